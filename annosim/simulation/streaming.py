"""Simulations larger than memory: shards of parquet, each written atomically and reproducible alone.

Shard ``s`` holds the annotators ``s * per_shard ...`` and depends on the seed and on ``s``, not on the shards before
it. A run that is stopped resumes at the missing shards; a longer run keeps the shards of a shorter one.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from annosim.compiled import threads as pool
from annosim.data.preferences import PreferenceData
from annosim.data.writers.parquet import items_table, rows_table, truth_path, write_truth
from annosim.designs.design import Design
from annosim.errors import ArgumentError, FileReadError
from annosim.files import atomic_path, atomic_text, one_line
from annosim.io.shards import Shards, open_shards
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.random_tastes import hidden_truth
from annosim.results import versions
from annosim.simulation.paths import PathName
from annosim.simulation.rows import RowSampler

__all__ = ["Stream", "simulate_shards"]

#: Rows of a shard of pairs, some 40 MB in memory; larger menus get as many rows as take as much.
SHARD_ROWS = 1 << 22
#: Shards that are drawn and written at a time, at most: memory does not grow with the cores of a machine.
_AT_ONCE = 16
_PLAN = "simulation.json"


def shard_rows_of(design: Design) -> int:
    """Rows of a shard by default: about 40 MB of menus and answers in memory.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=20)
        >>> [shard_rows_of(an.Design(items, menu_size=k, feedback="ranking")) for k in (2, 10, 20)]
        [3774873, 754974, 377487]
    """
    k = design.menu_size
    return min(SHARD_ROWS, SHARD_ROWS * 9 // (4 * k + (1 if design.feedback.kind == "choice" else k)))


class Stream:
    """The shards of a simulation; any of them can be drawn alone.

    Args:
        population, design: what is drawn.
        seed, replicate: the address.
        shard_rows: rows of a shard, about (:func:`shard_rows_of` by default); whole annotators, a multiple of 64.
        path: of :func:`annosim.simulate`.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> stream = Stream(people, an.Design(an.Items(n=2), annotators=1000), seed=0, shard_rows=256)
        >>> len(stream), stream.shard(3).rows
        (4, 232)
    """

    def __init__(
        self,
        population: Population,
        design: Design,
        seed: int = 0,
        replicate: int = 0,
        shard_rows: int | None = None,
        path: PathName = "auto",
    ):
        shard_rows = shard_rows_of(design) if shard_rows is None else shard_rows
        if isinstance(shard_rows, bool) or shard_rows < 1:
            raise ArgumentError(f"simulate(shard_rows={shard_rows!r}): a whole number of at least 1")
        self.sampler = RowSampler(population, design, seed, path, threads=1)
        self.design, self.seed, self.replicate = design, seed, replicate
        each = max(1, round(design.num_rows / design.annotators))
        self.per_shard = max(64, int(shard_rows) // each // 64 * 64)

    def __len__(self) -> int:
        return -(-self.design.annotators // self.per_shard)

    def rows(self, number: int) -> int:
        """Rows of a shard."""
        first, last = self._span(number)
        return self.sampler.row_of(last) - self.sampler.row_of(first)

    def _span(self, number: int) -> tuple[int, int]:
        first = number * self.per_shard
        return first, min(first + self.per_shard, self.design.annotators)

    def shard(self, number: int) -> PreferenceData:
        """Draw one shard; annotators keep their numbers in the whole run (one question each: they are the rows)."""
        first, last = self._span(number)
        block = self.sampler.draw(first, last, self.replicate)
        annotator, order = None, None
        if self.design.num_questions > 1 or self.design.loads is not None:
            low = self.sampler.row_of(first)
            annotator, order = self.sampler.layout(low, low + len(block.menu))
        small = np.int16 if self.design.items.n <= 2**15 else np.int32
        return PreferenceData._from_validated(
            items=self.design.items,
            menu=block.menu.astype(small),
            answer=block.answer,
            tied=block.tied,
            feedback=self.design.feedback,
            annotator=None if annotator is None else annotator.astype(np.int32),
            order=None if order is None else order.astype(np.int32),
            truth=hidden_truth(self.sampler.population, block.type, self.seed, first, self.replicate),
            settings={"seed": self.seed, "replicate": self.replicate, "shard": number, **self._settings},
        )

    @property
    def _settings(self) -> dict[str, Any]:
        return {**self.sampler.path.settings, **versions()}

    def fingerprint(self) -> str:
        """What the shards depend on: the design, the numbers of the population, the seed, and a sample of the draws."""
        digest = hashlib.sha256()
        design, items = self.design, self.design.items
        parts = [design.feedback, design.menu_size, design.questions, design.overlap, design.with_replacement, items.n]
        parts += [self.seed, self.replicate, self.per_shard, versions()["annosim"], repr(self.sampler.population)]
        digest.update(repr(parts).encode())
        for name, value in sorted(self.sampler.population.state_dict().items()):
            digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
        for array in (design.menus, design.menu_weights, design.log_proposal, design.prompt_probability):
            digest.update(b"-" if array is None else np.asarray(array).tobytes())
        sink = pa.BufferOutputStream()  # what rules may read of the items: features, prompts, columns
        with pa.ipc.new_stream(sink, items_table(items).schema) as writer:
            writer.write_table(items_table(items))
        digest.update(sink.getvalue())
        with torch.no_grad():  # and callables, which no parameter speaks for
            for component in self.sampler.population.components():
                for u in (torch.zeros(items.n, dtype=torch.float64), torch.ones(items.n, dtype=torch.float64)):
                    digest.update(component.rule.index(u, items).double().numpy().tobytes())
                if isinstance(component, Annotator) and not component.utility.state_dict():
                    digest.update(component.utility(items).double().numpy().tobytes())
        block = self.sampler.draw(0, min(64, design.annotators), self.replicate)
        if design.annotators >= 64:
            digest.update(block.menu.tobytes() + block.answer.tobytes() + block.type.tobytes())
        return digest.hexdigest()

    def loads(self) -> list[str]:
        """What each shard's annotators are asked, when their numbers of questions differ."""
        if self.design.loads is None:
            return []
        spans = [self._span(s) for s in range(len(self))]
        return [hashlib.sha256(self.design.loads[a:b].tobytes()).hexdigest()[:16] for a, b in spans]


def simulate_shards(
    population: Population,
    design: Design,
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    replicate: int = 0,
    shard_rows: int | None = None,
    path: PathName = "auto",
    threads: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> Shards:
    """Write a simulation to a directory of shards, in memory that does not grow with its length.

    Args:
        population, design: what is drawn.
        out: the directory; shards of the same simulation that are there already are kept.
        seed, replicate: the address.
        shard_rows: rows of a shard, about; :func:`shard_rows_of` by default.
        path: see :func:`annosim.simulate`.
        threads: shards that are drawn and written at a time.
        progress: called with (rows written now, rows kept from before, rows in all) after every shard.

    Raises:
        ArgumentError: the directory holds another simulation, or a longer one.
        FileReadError: the place cannot be written.
    """
    if design.num_questions > 1 and design.annotators >= 2**31:
        raise ArgumentError("simulate(out=): at most 2**31 - 1 annotators of several questions (annotators are int32)")
    stream = Stream(population, design, seed, replicate, shard_rows, path)
    directory = Path(out)
    _prepare(directory, stream)
    missing = [s for s in range(len(stream)) if not _written(directory, stream, s)]
    total = design.num_rows
    kept = total - sum(stream.rows(s) for s in missing)
    done = 0
    if progress is not None:
        progress(0, kept, total)
    with ThreadPoolExecutor(threads or min(pool.count(), _AT_ONCE)) as workers:
        jobs = {workers.submit(_write, directory, stream, s): s for s in missing}
        try:
            for job in as_completed(jobs):
                job.result()
                done += stream.rows(jobs[job])
                if progress is not None:
                    progress(done, kept, total)
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise
    _finish(directory, stream)
    return open_shards(directory)


def _prepare(directory: Path, stream: Stream) -> None:
    """The plan file says whose directory this is; it comes first, so that a run stopped anywhere is known again."""
    plan = {"version": 2, "fingerprint": stream.fingerprint(), "annotators_per_shard": stream.per_shard}
    place = directory / _PLAN
    if place.exists():
        _resume(directory, stream, plan)
    elif directory.exists() and (
        not directory.is_dir() or any(p not in _leftovers(directory) for p in directory.iterdir())
    ):
        raise ArgumentError(f"{directory}: exists and holds no simulation; choose another directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileReadError(f"{directory}: cannot be written ({error.strerror}); choose another place") from None
    with _writing(place):
        atomic_text(place, json.dumps({**plan, "loads": stream.loads()}, indent=1))
    items = directory / "items.parquet"
    with _writing(items), atomic_path(items) as temporary:
        pq.write_table(items_table(stream.design.items), temporary, compression="none")


def _resume(directory: Path, stream: Stream, plan: dict[str, Any]) -> None:
    """Refuse what belongs to another simulation or would shorten this one; drop what no longer fits."""
    place = directory / _PLAN
    try:
        old = json.loads(place.read_text(encoding="utf-8"))
        before = old.pop("loads", [])
    except (OSError, ValueError, AttributeError) as error:
        raise FileReadError(f"{place}: damaged ({error}); remove the directory and start again") from None
    changed = [s for s, (a, b) in enumerate(zip(before, stream.loads(), strict=False)) if a != b]
    if old != plan or any(s < len(before) - 1 for s in changed):
        raise ArgumentError(
            f"{directory}: holds shards of another simulation (population, items, design, seed or shard size differ); "
            "choose another directory, or remove this one"
        )
    if _file(directory, len(stream)).exists():
        raise ArgumentError(f"{directory}: holds a longer run of this simulation; ask for at least as many rows")
    (directory / "shards.json").unlink(missing_ok=True)
    for number in changed:  # the last shard of a shorter run
        _file(directory, number).unlink(missing_ok=True)


def _leftovers(directory: Path) -> list[Path]:
    """Temporary files of a run that was killed while it wrote them."""
    return [p for name in (_PLAN, "items.parquet", "part-*", "shards.json") for p in directory.glob(f".{name}.*.tmp")]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A full disk, a quota, a directory that vanished: one line that names the file."""
    try:
        with one_line(path):
            yield
    except FileReadError as error:
        raise FileReadError(f"{error}, and run again: what is written is kept") from None


def _file(directory: Path, number: int) -> Path:
    return directory / f"part-{number:06d}.parquet"


def _written(directory: Path, stream: Stream, number: int) -> bool:
    """Whether a shard is there in full; the shorter last shard of a shorter run is not."""
    path = _file(directory, number)
    try:
        whole = zipfile.is_zipfile(truth_path(path))
        return whole and pq.read_metadata(path).num_rows == stream.rows(number)
    except FileNotFoundError:
        return False
    except (OSError, pa.ArrowException):
        return False


def _write(directory: Path, stream: Stream, number: int) -> None:
    data = stream.shard(number)
    path = _file(directory, number)
    with _writing(path):
        write_truth(data, truth_path(path))  # first: a shard counts as written when both are there
        with atomic_path(path) as temporary:
            table = rows_table(data, with_items=False)
            # parquet's integers have four bytes; packed differences take about log2(n) bits, less time than a codec
            packed = {f.name: "DELTA_BINARY_PACKED" for f in table.schema if pa.types.is_integer(f.type)}
            pq.write_table(
                table,
                temporary,
                compression="none",
                use_dictionary=False,
                column_encoding=packed,
                write_statistics=False,
                row_group_size=1 << 20,
            )


def _finish(directory: Path, stream: Stream) -> None:
    shards = []
    for number in range(len(stream)):
        first, last = stream._span(number)
        span = [first, last - 1] if stream.design.num_questions > 1 else [0, stream.rows(number) - 1]
        shards.append({"file": _file(directory, number).name, "rows": stream.rows(number), "annotators": span})
    for path in _leftovers(directory):
        path.unlink(missing_ok=True)
    atomic_text(directory / "shards.json", json.dumps({"version": 1, "shards": shards}, indent=1))
