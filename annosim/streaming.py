"""Simulations larger than memory: shards of parquet, each written atomically and reproducible alone.

Shard ``s`` holds the annotators ``s * per_shard ...`` and depends on the seed and on ``s``, not on the shards before
it. A run that is stopped resumes at the missing shards; a longer run keeps the shards of a shorter one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from annosim.data.files import atomic_path, atomic_text
from annosim.data.parquet import items_table, table_of, truth_path, write_truth
from annosim.data.preferences import PreferenceData
from annosim.data.shards import Shards, open_shards
from annosim.designs import Design
from annosim.errors import ArgumentError, FileReadError
from annosim.kernels import threads as pool
from annosim.kernels.rows import Source
from annosim.populations import Population
from annosim.results import versions
from annosim.tastes import hidden_truth

__all__ = ["Stream", "simulate_shards"]

#: Rows of a shard: some 40 MB of pairs in memory.
SHARD_ROWS = 1 << 22
_PLAN = "simulation.json"


class Stream:
    """The shards of a simulation; any of them can be drawn alone.

    Args:
        population, design: what is drawn.
        seed, replicate: the address.
        shard_rows: rows of a shard, about; a shard holds whole annotators, a multiple of 64.
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
        shard_rows: int = SHARD_ROWS,
        path: str = "auto",
    ):
        if isinstance(shard_rows, bool) or shard_rows < 1:
            raise ArgumentError(f"simulate(shard_rows={shard_rows!r}): a whole number of at least 1")
        self.source = Source(population, design, seed, path, threads=1)
        self.design, self.seed, self.replicate = design, seed, replicate
        each = max(1, round(design.num_rows / design.annotators))
        self.per_shard = max(64, int(shard_rows) // each // 64 * 64)

    def __len__(self) -> int:
        return -(-self.design.annotators // self.per_shard)

    def rows(self, number: int) -> int:
        """Rows of a shard."""
        first, last = self._span(number)
        return self.source.row_of(last) - self.source.row_of(first)

    def _span(self, number: int) -> tuple[int, int]:
        first = number * self.per_shard
        return first, min(first + self.per_shard, self.design.annotators)

    def shard(self, number: int) -> PreferenceData:
        """Draw one shard; annotators keep their numbers in the whole run (one question each: they are the rows)."""
        first, last = self._span(number)
        block = self.source.draw(first, last, self.replicate)
        annotator, order = None, None
        if self.design.num_questions > 1 or self.design.loads is not None:
            low = self.source.row_of(first)
            annotator, order = self.source.layout(low, low + len(block.menu))
        small = np.int16 if self.design.items.n <= 2**15 else np.int32
        return PreferenceData._trusted(
            items=self.design.items,
            menu=block.menu.astype(small),
            answer=block.answer,
            tied=block.tied,
            feedback=self.design.feedback,
            annotator=None if annotator is None else annotator.astype(np.int32),
            order=None if order is None else order.astype(np.int32),
            truth=hidden_truth(self.source.population, block.type, self.seed, first, self.replicate),
            settings={"seed": self.seed, "replicate": self.replicate, "shard": number, **self._settings},
        )

    @property
    def _settings(self) -> dict[str, Any]:
        return {**self.source.path.settings, **versions()}

    def fingerprint(self) -> str:
        """What the shards depend on: the design, the numbers of the population, the seed, and a sample of the draws."""
        digest = hashlib.sha256()
        design, items = self.design, self.design.items
        told = [design.feedback, design.menu_size, design.questions, design.overlap, design.with_replacement, items.n]
        told += [self.seed, self.replicate, self.per_shard, versions()["annosim"], repr(self.source.population)]
        digest.update(repr(told).encode())
        for name, value in sorted(self.source.population.state_dict().items()):
            digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
        for array in (
            design.menus,
            design.menu_weights,
            design.log_proposal,
            design.prompt_probability,
            items.features,
        ):
            digest.update(b"-" if array is None else np.asarray(array).tobytes())
        digest.update(b"-" if design.loads is None else b"loads")
        block = self.source.draw(0, min(64, design.annotators), self.replicate)
        if design.annotators >= 64:
            digest.update(block.menu.tobytes() + block.answer.tobytes() + block.type.tobytes())
        return digest.hexdigest()


def simulate_shards(
    population: Population,
    design: Design,
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    replicate: int = 0,
    shard_rows: int = SHARD_ROWS,
    path: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> Shards:
    """Write a simulation to a directory of shards, in memory that does not grow with its length.

    Args:
        population, design: what is drawn.
        out: the directory; shards of the same simulation that are there already are kept.
        seed, replicate: the address.
        shard_rows: rows of a shard, about.
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
    with ThreadPoolExecutor(pool.count(threads)) as workers:
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
    """The plan file says whose directory this is."""
    plan = {"version": 1, "fingerprint": stream.fingerprint(), "annotators_per_shard": stream.per_shard}
    place = directory / _PLAN
    if place.exists():
        try:
            old = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileReadError(f"{place}: damaged ({error}); remove the directory and start again") from None
        if old != plan:
            raise ArgumentError(
                f"{directory}: holds shards of another simulation (population, design, seed or shard size differ); "
                "choose another directory, or remove this one"
            )
        if _file(directory, len(stream)).exists():
            raise ArgumentError(f"{directory}: holds a longer run of this simulation; ask for at least as many rows")
        (directory / "shards.json").unlink(missing_ok=True)
        return
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ArgumentError(f"{directory}: exists and holds no simulation; choose another directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileReadError(f"{directory}: cannot be written ({error.strerror})") from None
    with atomic_path(directory / "items.parquet") as temporary:
        pq.write_table(items_table(stream.design.items), temporary, compression="none")
    atomic_text(place, json.dumps(plan, indent=1))


def _file(directory: Path, number: int) -> Path:
    return directory / f"part-{number:06d}.parquet"


def _written(directory: Path, stream: Stream, number: int) -> bool:
    """Whether a shard is there in full; the shorter last shard of a shorter run is not."""
    path = _file(directory, number)
    try:
        return pq.read_metadata(path).num_rows == stream.rows(number) and truth_path(path).exists()
    except FileNotFoundError:
        return False
    except (OSError, pa.ArrowException):
        return False


def _write(directory: Path, stream: Stream, number: int) -> None:
    data = stream.shard(number)
    path = _file(directory, number)
    write_truth(data, truth_path(path))  # first: a shard counts as written when both are there
    with atomic_path(path) as temporary:
        table = table_of(data, with_items=False)
        # parquet's integers have four bytes; packed differences take about log2(n) bits, and less time than a codec
        packed = {f.name: "DELTA_BINARY_PACKED" for f in table.schema if pa.types.is_integer(f.type)}
        pq.write_table(
            table, temporary, compression="none", use_dictionary=False, column_encoding=packed, write_statistics=False,
            row_group_size=1 << 20,
        )  # fmt: skip


def _finish(directory: Path, stream: Stream) -> None:
    shards = []
    for number in range(len(stream)):
        first, last = stream._span(number)
        span = [first, last - 1] if stream.design.num_questions > 1 else [0, stream.rows(number) - 1]
        shards.append({"file": _file(directory, number).name, "rows": stream.rows(number), "annotators": span})
    atomic_text(directory / "shards.json", json.dumps({"version": 1, "shards": shards}, indent=1))
