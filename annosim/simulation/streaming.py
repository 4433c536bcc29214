"""Simulations larger than memory: shards of parquet, each written atomically and reproducible alone.

Shard ``s`` holds the annotators ``s * per_shard ...`` and depends on the seed and on ``s``, not on the shards before
it. A run that is stopped resumes at the missing shards; a longer run keeps the shards of a shorter one. Shards are drawn in threads of this
process, or on the workers of ``with an.cluster(...):``; at a URL the workers write them themselves.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from annosim.compiled import threads as pool
from annosim.data.preferences import PreferenceData
from annosim.data.writers.parquet import items_table, rows_table, truth_bytes, truth_name
from annosim.designs.design import Design
from annosim.errors import ArgumentError, ClusterError, FileReadError, told
from annosim.execution.current import engine
from annosim.execution.executor import Threads
from annosim.execution.tasks import Died, iter_tasks
from annosim.io.shards import Shards, open_shards
from annosim.places import Folder
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
_PLAN, _MANIFEST = "simulation.json", "shards.json"


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
            raise ArgumentError(f"simulate(shard_rows={told(shard_rows)}): a whole number of at least 1")
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
            covariates=self.sampler.covariates(first, last, self.replicate),
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
        listed = (design.menus, design.menu_weights, *design.covariates.values())
        for array in (*listed, design.log_proposal, design.prompt_probability):
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


@dataclass(frozen=True)
class _Recipe:
    """What a worker must know to draw any shard.

    Attributes:
        arguments: of :class:`Stream`.
        folder: where it writes shards itself; ``None`` where they travel back.
        made: the stream, in the process that has made it.
    """

    arguments: tuple[Any, ...]
    folder: Folder | None
    made: Stream | None

    @cached_property
    def stream(self) -> Stream:
        return self.made or Stream(*self.arguments)


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
        out: the directory or its URL; shards of the same simulation that are there already are kept.
        seed, replicate: the address.
        shard_rows: rows of a shard, about; :func:`shard_rows_of` by default.
        path: see :func:`annosim.simulate`.
        threads: shards that are drawn and written at a time; on a cluster, its workers decide.
        progress: called with (rows written now, rows kept from before, rows in all) after every shard.

    Raises:
        ArgumentError: the directory holds another simulation, or a longer one.
        FileReadError: the place cannot be written.
        ClusterError: the cluster was lost; what is written is kept.
    """
    if design.num_questions > 1 and design.annotators >= 2**31:
        raise ArgumentError("simulate(out=): at most 2**31 - 1 annotators of several questions (annotators are int32)")
    stream = Stream(population, design, seed, replicate, shard_rows, path)
    folder = Folder(out)
    _prepare(folder, stream)
    there = set(folder.names())
    missing = [s for s in range(len(stream)) if not _written(folder, stream, s, there)]
    total = design.num_rows
    kept = total - sum(stream.rows(s) for s in missing)
    done = 0
    if progress is not None:
        progress(0, kept, total)
    with engine(lambda: Threads(threads or min(pool.count(), _AT_ONCE))) as executor:
        arguments = (population, design, seed, replicate, shard_rows, path)
        made = stream if executor.same_process else None
        recipe = _Recipe(arguments, folder if executor.reaches(folder) else None, made)
        for number, files in iter_tasks(_draw, recipe, missing, executor):
            if isinstance(files, Died):
                raise ClusterError(f"shard {number}: {files.message}; a smaller shard_rows= takes less memory")
            _write(folder, files)
            done += stream.rows(number)
            if progress is not None:
                progress(done, kept, total)
    _finish(folder, stream)
    return open_shards(folder.place)


def _draw(recipe: _Recipe, number: int) -> dict[str, bytes]:
    """On a worker: one shard's files, or none where it has written them itself."""
    files = _files(recipe.stream, number)
    if recipe.folder is None:
        return files
    _write(recipe.folder, files)
    return {}


def _files(stream: Stream, number: int) -> dict[str, bytes]:
    """One shard as files: the hidden truth first, since a shard counts as written when both are there."""
    data, name = stream.shard(number), _name(number)
    table, truth, out = rows_table(data, with_items=False), truth_bytes(data), io.BytesIO()
    # parquet's integers have four bytes; packed differences take about log2(n) bits, less time than a codec
    packed = {f.name: "DELTA_BINARY_PACKED" for f in table.schema if pa.types.is_integer(f.type)}
    pq.write_table(
        table,
        out,
        compression="none",
        use_dictionary=False,
        column_encoding=packed,
        write_statistics=False,
        row_group_size=1 << 20,
    )
    return ({} if truth is None else {truth_name(name): truth}) | {name: out.getvalue()}


def _write(folder: Folder, files: dict[str, bytes]) -> None:
    """A full disk, a quota, a directory that vanished: one line that names the file."""
    try:
        for name, raw in files.items():
            folder.write(name, raw)
    except FileReadError as error:
        raise FileReadError(f"{error}, and run again: what is written is kept") from None


def _prepare(folder: Folder, stream: Stream) -> None:
    """The plan file says whose directory this is; it comes first, so that a run stopped anywhere is known again."""
    plan = {"version": 2, "fingerprint": stream.fingerprint(), "annotators_per_shard": stream.per_shard}
    local = folder.local
    if folder.exists(_PLAN):
        _resume(folder, stream, plan)
    elif (local is not None and local.exists() and not local.is_dir()) or set(folder.names()) - set(_leftovers(folder)):
        raise ArgumentError(f"{folder}: exists and holds no simulation; choose another directory")
    if local is not None:
        try:
            local.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileReadError(f"{folder}: cannot be written ({error.strerror}); choose another place") from None
    items = io.BytesIO()
    pq.write_table(items_table(stream.design.items), items, compression="none")
    plan_text = json.dumps({**plan, "loads": stream.loads()}, indent=1)
    _write(folder, {_PLAN: plan_text.encode(), "items.parquet": items.getvalue()})


def _resume(folder: Folder, stream: Stream, plan: dict[str, Any]) -> None:
    """Refuse what belongs to another simulation or would shorten this one; drop what no longer fits."""
    try:
        old = json.loads(folder.read(_PLAN))
        before = old.pop("loads", [])
    except (OSError, ValueError, AttributeError) as error:
        raise FileReadError(f"{folder.at(_PLAN)}: damaged ({error}); remove the directory and start again") from None
    changed = [s for s, (a, b) in enumerate(zip(before, stream.loads(), strict=False)) if a != b]
    if old != plan or any(s < len(before) - 1 for s in changed):
        raise ArgumentError(
            f"{folder}: holds shards of another simulation (population, items, design, seed or shard size differ); "
            "choose another directory, or remove this one"
        )
    if folder.exists(_name(len(stream))):
        raise ArgumentError(f"{folder}: holds a longer run of this simulation; ask for at least as many rows")
    folder.remove(_MANIFEST)
    for number in changed:  # the last shard of a shorter run
        folder.remove(_name(number))


def _leftovers(folder: Folder) -> list[str]:
    """Temporary files of a run that was killed while it wrote them."""
    stems = tuple(f".{name}" for name in (f"{_PLAN}.", "items.parquet.", "part-", f"{_MANIFEST}."))
    return [name for name in folder.names() if name.startswith(stems) and name.endswith(".tmp")]


def _name(number: int) -> str:
    return f"part-{number:06d}.parquet"


def _written(folder: Folder, stream: Stream, number: int, there: set[str]) -> bool:
    """Whether a shard is there in full; the shorter last shard of a shorter run is not."""
    name = _name(number)
    truth = truth_name(name)
    if not {name, truth} <= there:
        return False
    try:
        with folder.open(truth) as held, folder.open(name) as file:
            return zipfile.is_zipfile(held) and pq.read_metadata(file).num_rows == stream.rows(number)
    except (OSError, pa.ArrowException):
        return False


def _finish(folder: Folder, stream: Stream) -> None:
    shards = []
    for number in range(len(stream)):
        first, last = stream._span(number)
        span = [first, last - 1] if stream.design.num_questions > 1 else [0, stream.rows(number) - 1]
        shards.append({"file": _name(number), "rows": stream.rows(number), "annotators": span})
    for name in _leftovers(folder):
        folder.remove(name)
    folder.write(_MANIFEST, json.dumps({"version": 1, "shards": shards}, indent=1).encode())
