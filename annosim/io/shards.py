"""Data larger than memory: a directory of parquet shards, written one at a time and concatenated lazily.

``DIR/shards.json`` (written last: a directory without it is incomplete) lists the shards; ``DIR/items.parquet`` holds
the items; hidden truth lies beside each shard.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike
from pydantic import BaseModel, Field, ValidationError

from annosim.compiled import threads
from annosim.data.joining import concat
from annosim.data.preferences import PreferenceData
from annosim.data.writers.parquet import METADATA_KEY, items_table, rows_table, truth_path, write_truth
from annosim.errors import ArgumentError, DataError, FileReadError, TooLargeError
from annosim.execution.current import engine
from annosim.execution.executor import Threads
from annosim.execution.tasks import run_in_order, run_tasks
from annosim.feedback import Feedback
from annosim.files import atomic_path, atomic_text, one_line
from annosim.io.arrow import open_parquet, read_rows, reason
from annosim.io.parquet import metadata_of, read_data, read_file, read_items, read_truth
from annosim.items import Items
from annosim.places import Folder, is_url

__all__ = ["ShardWriter", "Shards", "open_shards", "read_parquet"]

_MANIFEST = "shards.json"
#: Shards whose counts are merged at a time, and the rows of them that are held until then.
_MERGED, _MERGED_ROWS = 16, 1 << 22


class _Shard(BaseModel):
    file: str = Field(pattern=r"^[^/\\\\]+$")
    rows: int = Field(ge=0)


class _Manifest(BaseModel):
    shards: list[_Shard] = Field(min_length=1)


class ShardWriter:
    """Writes shards one at a time; the directory appears, complete, when the block ends without an error.

    Args:
        directory: where to write.
        overwrite: replace a complete directory of shards.

    Raises:
        ArgumentError: the directory exists already.

    Example:
        >>> import tempfile, pathlib, annosim as an
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "votes"
        >>> one = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[0, 1, 0])
        >>> with ShardWriter(path) as out:
        ...     out.write(one)
        ...     out.write(one)
        >>> open_shards(path)
        Shards(6 rows in 2 shards, choice from menus of 2, 2 items)
    """

    def __init__(self, directory: str | os.PathLike[str], overwrite: bool = False):
        self.directory = Path(os.path.realpath(directory))  # a symbolic link is written through
        if self.directory.exists() and not (overwrite and (self.directory / _MANIFEST).exists()):
            raise ArgumentError(
                f"{directory}: exists already; choose another place"
                + (", or overwrite=True" if (self.directory / _MANIFEST).exists() else "")
            )
        self._shards: list[dict[str, object]] = []
        self._items: Items | None = None
        self._temporary = self.directory.with_name(f".{self.directory.name}.{os.getpid()}.tmp")

    def __enter__(self) -> ShardWriter:
        with one_line(self.directory):
            self._temporary.mkdir(parents=True)
        return self

    def write(self, data: PreferenceData) -> None:
        """One shard; annotator numbers mean the same people in all shards. Items must be those of the first."""
        if self._items is None:
            self._items = data.items
            with atomic_path(self._temporary / "items.parquet") as temporary:
                pq.write_table(items_table(data.items), temporary, compression="none")
        elif data.items is not self._items and data.items.names != self._items.names:
            raise DataError(f"shard {len(self._shards)}: other items than in the first shard")
        path = self._temporary / f"part-{len(self._shards):06d}.parquet"
        with atomic_path(path) as temporary:
            pq.write_table(rows_table(data, with_items=False), temporary, compression="none", row_group_size=1 << 20)
        write_truth(data, truth_path(path))
        low, high = (0, data.rows - 1) if data.annotator is None else (data.annotator.min(), data.annotator.max())
        self._shards.append({"file": path.name, "rows": data.rows, "annotators": [int(low), int(high)]})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or not self._shards:
            shutil.rmtree(self._temporary, ignore_errors=True)
            if kind is None:
                raise DataError(f"{self.directory}: no shards were written")
            return
        try:
            atomic_text(self._temporary / _MANIFEST, json.dumps({"version": 1, "shards": self._shards}, indent=1))
            with one_line(self.directory):
                if self.directory.exists():
                    shutil.rmtree(self.directory)
                os.replace(self._temporary, self.directory)
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)


class Shards:
    """Shards seen as one data set; rows are read when they are asked for, through a memory map.

    Attributes:
        items: the item set.
        feedback: kind of answers.
        files: the shards' paths or URLs.
        rows: rows of all shards together.

    Example:
        >>> import tempfile, pathlib, annosim as an
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "votes.parquet"
        >>> an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[0, 1, 0]).to_parquet(path)
        >>> Shards([path, path]).take([5, 0]).answer.tolist()
        [0, 0]
    """

    def __init__(self, files: Sequence[Path | str], items: Items | None = None):
        self.files: list[Path | str] = [f if isinstance(f, str) and is_url(f) else Path(f) for f in files]
        if not self.files:
            raise ArgumentError("open_shards: no files; give a directory of shards or parquet files")
        self._sizes: list[int] = []
        self._metadata = []
        for path in self.files:
            with open_parquet(path) as file:
                self._metadata.append(metadata_of(path, file.schema_arrow))
                self._sizes.append(file.metadata.num_rows)
        first = self._metadata[0]
        for path, one in zip(self.files, self._metadata, strict=True):
            if (one.feedback, one.menu_size) != (first.feedback, first.menu_size):
                raise DataError(f"{path}: another feedback kind or menu size than {self.files[0]}")
        self._items = items
        self._edges = np.r_[0, np.cumsum(self._sizes)]

    @property
    def items(self) -> Items:
        if self._items is None:
            self._items = self[0].items
        return self._items

    @property
    def feedback(self) -> Feedback:
        return Feedback(**self._metadata[0].feedback)  # type: ignore[arg-type]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the named columns."""
        return tuple(self._metadata[0].columns)

    @property
    def rows(self) -> int:
        return int(self._edges[-1])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, shard: int) -> PreferenceData:
        """One shard as data (hidden truth of its own annotators beside it)."""
        return self._read(shard, read_truth(self.files[shard]))

    def for_learner(self, shard: int) -> PreferenceData:
        """One shard without its hidden truth, which is not read."""
        return self._read(shard, {})

    def _read(self, shard: int, truth: dict[str, np.ndarray]) -> PreferenceData:
        path, metadata = self.files[shard], self._metadata[shard]
        with open_parquet(path) as file:
            rows = read_rows(path, file)
        return read_data(path, rows, metadata, items=self._items, truth=truth)

    def __iter__(self) -> Iterator[PreferenceData]:
        return (self[i] for i in range(len(self)))

    def batches(self, size: int = 1 << 20) -> Iterator[PreferenceData]:
        """Consecutive rows, at most ``size`` at a time and never across shards; memory stays bounded by a batch."""
        if size < 1:
            raise ArgumentError(f"batches(size={size}): at least 1")
        for path, metadata in zip(self.files, self._metadata, strict=True):
            with open_parquet(path) as file:
                first = 0
                for batch in file.iter_batches(batch_size=size):
                    yield read_data(path, pa.Table.from_batches([batch]), metadata, items=self.items, first=first)
                    first += batch.num_rows

    def take(self, rows: ArrayLike) -> PreferenceData:
        """Some rows by number, in the order given; only their shards are read."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        if not len(rows) or rows.min() < 0 or rows.max() >= self.rows:
            raise ArgumentError(f"take: row numbers are 0..{self.rows - 1}, at least one")
        shard = np.searchsorted(self._edges, rows, side="right") - 1
        order = np.argsort(shard, kind="stable")
        parts = [self.for_learner(s).take(rows[shard == s] - self._edges[s]) for s in np.unique(shard)]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return concat(parts).take(back)

    def load(self) -> PreferenceData:
        """Everything in memory, with the hidden truth."""
        return concat(list(self))

    def counts(
        self, by: str = "annotator", ordered: bool = False, columns: Sequence[str] = (), limit: int | None = None
    ) -> PreferenceData:
        """As :meth:`PreferenceData.counts`, shard by shard on the active engine where no annotator stands in two shards.

        Args:
            by, ordered, columns: see :meth:`PreferenceData.counts`.
            limit: the most rows that the result may have; by default any number.

        Raises:
            TooLargeError: there are more distinct answers than ``limit``, said as soon as it is known.
            DataError: there are more rows than ``limit``, and an annotator stands in two shards.

        Example:
            >>> import tempfile, pathlib, annosim as an
            >>> path = pathlib.Path(tempfile.mkdtemp()) / "votes.parquet"
            >>> an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[0, 1, 0]).to_parquet(path)
            >>> open_shards([path, path]).counts().weight.tolist()
            [4.0, 2.0]
        """
        if by == "annotator" and not self._has_whole_annotators():
            if limit is not None and self.rows > limit:
                self.require_whole_annotators()
            return self.load().counts(by, ordered, columns)
        total: list[PreferenceData] = []  # one, once there is any
        parts: list[PreferenceData] = []
        common, numbers = (self, by, ordered, tuple(columns)), range(len(self))
        with (
            engine(lambda: Threads(min(threads.count(), len(self)))) as executor,
            closing(run_in_order(_count, common, numbers, executor)) as counted,
        ):
            for number, part in enumerate(counted):
                parts.append(part)
                if len(parts) < _MERGED and sum(one.rows for one in parts) < _MERGED_ROWS and number < numbers[-1]:
                    continue
                total, parts = [concat([*total, *parts], annotators="new").counts("annotator", ordered, columns)], []
                if limit is not None and total[0].rows > limit:
                    raise TooLargeError(
                        f"counts: more than {limit:.3g} distinct answers in the first {number + 1} of {len(self)} shards"
                    )
        return total[0]

    @cached_property
    def _spans(self) -> list[tuple[int, int] | None]:
        """Lowest and highest annotator of each shard, ``None`` where every row has its own."""
        with engine(lambda: Threads(min(threads.count(), len(self)))) as executor:
            return run_tasks(_span, self, range(len(self)), executor)

    def _has_whole_annotators(self) -> bool:
        spans = sorted(span for span in self._spans if span is not None)
        return all(one[1] < other[0] for one, other in pairwise(spans))

    def require_whole_annotators(self) -> None:
        """Refuse shards of which two hold answers of one annotator.

        Raises:
            DataError: names the remedy.
        """
        if not self._has_whole_annotators():
            raise DataError(
                "shards: an annotator stands in two of them; write all answers of an annotator to one shard"
            )

    def head(self, rows: int = 1024) -> PreferenceData:
        """The first rows of the first shard."""
        return next(self.batches(rows))

    def bytes_in_memory(self, shard: int) -> int:
        """What a shard takes when it is read, about."""
        return self._sizes[shard] * (8 * self._metadata[shard].menu_size + 24)

    def __repr__(self) -> str:
        kind, k = self.feedback.kind, self._metadata[0].menu_size
        return f"Shards({self.rows} rows in {len(self)} shards, {kind} from menus of {k}, {self.items.n} items)"


def _count(common: tuple[Shards, str, bool, tuple[str, ...]], number: int) -> PreferenceData:
    """On a worker: the distinct answers of one shard."""
    shards, by, ordered, columns = common
    return shards.for_learner(number).counts(by, ordered, columns)


def _span(shards: Shards, number: int) -> tuple[int, int] | None:
    """On a worker: lowest and highest annotator of a shard."""
    with open_parquet(shards.files[number]) as file:
        if "annotator" not in file.schema_arrow.names:
            return None
        column = file.read(columns=["annotator"])["annotator"].to_numpy()
    return int(column.min()), int(column.max())


def open_shards(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Shards:
    """A directory that :class:`ShardWriter` wrote or its URL, or several parquet files, as one lazily concatenated data set.

    Raises:
        FileReadError: missing, or incomplete (the run that wrote it was stopped).

    Example:
        >>> import tempfile, pathlib, annosim as an
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "votes.parquet"
        >>> an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[0, 1, 0]).to_parquet(path)
        >>> shards = open_shards([path, path])
        >>> shards.rows, [batch.rows for batch in shards.batches(2)]
        (6, [2, 1, 2, 1])
    """
    if not isinstance(path, str | os.PathLike):
        return Shards([p if isinstance(p, str) and is_url(p) else Path(p) for p in path])
    folder = Folder(path)
    if folder.local is not None and folder.local.is_file():
        return Shards([folder.local])
    manifest = folder.at(_MANIFEST)
    try:
        shards = _Manifest.model_validate_json(folder.read(_MANIFEST)).shards
    except FileNotFoundError:
        there = folder.names() or (folder.local is not None and folder.local.exists())
        what = "no shards.json in it; the run that wrote it did not end" if there else "no such directory"
        raise FileReadError(f"{path}: {what}") from None
    except (OSError, ValidationError, ValueError) as error:
        raise FileReadError(f"{manifest}: damaged ({reason(error)}); write the shards again") from None
    items_path = folder.at("items.parquet")
    with open_parquet(items_path) as file:
        items = read_items(items_path, read_rows(items_path, file))
    return Shards([folder.at(shard.file) for shard in shards], items)


def read_parquet(path: str | os.PathLike[str]) -> PreferenceData:
    """A parquet file that annosim wrote, or all shards of a directory, in memory.

    Raises:
        FileReadError: missing, damaged, or a parquet file that annosim did not write.

    Example:
        >>> import tempfile, pathlib, annosim as an
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "votes.parquet"
        >>> data = an.PreferenceData(an.Items(names=["tea", "milk"]), [[0, 1]], answer=[1])
        >>> data.to_parquet(path)
        >>> read_parquet(path).equals(data)
        True
    """
    remote = isinstance(path, str) and is_url(path)
    folder = remote and not str(path).endswith(".parquet")
    return open_shards(path).load() if folder or (not remote and Path(path).is_dir()) else read_file(path)


def is_own_parquet(path: str | os.PathLike[str]) -> bool:
    """Whether a parquet file was written by annosim; one that cannot be opened is somebody else's."""
    if is_url(path):
        return False
    with open_parquet(path) as file:
        return METADATA_KEY in (file.schema_arrow.metadata or {})
