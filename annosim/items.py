"""Items: what is judged. Features, texts, prompts, paraphrase clusters, and a base measure."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from annosim.arrays import Numbers, as_numpy
from annosim.constraints import check_size, check_whole_number, check_whole_numbers
from annosim.errors import ArgumentError
from annosim.random import uniform53

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Items", "ItemsColumns"]


class ItemsColumns(TypedDict, total=False):
    """What :class:`Items` takes, for :meth:`Items.with_`."""

    features: Numbers | None
    names: Iterable[object] | None
    texts: Iterable[object] | None
    tokens: Numbers | Sequence[Numbers] | None
    prompts: Numbers | None
    clusters: Numbers | None
    weights: Numbers | None
    n: int
    columns: Mapping[str, ArrayLike]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Items:
    """A finite set of ``n`` items.

    Args:
        features: ``(n, dim)`` float array (or ``(n,)`` for one feature), or ``None`` when items are only names.
        names: ``n`` strings; ``"0" .. "n-1"`` by default.
        texts: ``n`` strings.
        tokens: ``(n, length)`` int array of token ids, ``-1`` pads after each sequence; or ``n`` lists of any lengths.
        prompts: ``(n,)`` ints: to which prompt an item belongs; one prompt by default. Menus stay inside a prompt.
        clusters: ``(n,)`` ints: paraphrases share a cluster; every item its own by default.
        weights: ``(n,)`` positive floats: the base measure (quadrature weights on a grid; ones by default).
        n: number of items, needed only when nothing else says it.
        columns: further named columns, each of length ``n``.

    Attributes:
        features, tokens, prompts, clusters, weights: torch tensors without gradients, on :attr:`device`
            (``numpy.asarray(items.features)`` works on a CPU). ``features`` and ``tokens`` may be ``None``.
        prompt_code: each item's prompt as a number from 0 to ``num_prompts - 1``, in ascending order of prompts.
        names, texts: tuples of strings; ``texts`` may be ``None``.
        columns: numpy arrays by name.

    Raises:
        ArgumentError: lengths differ, values are not finite, a weight is not positive, or names repeat.

    Example:
        >>> Items(names=["tea", "coffee"]).n
        2
        >>> Items.normal(6, dim=2, seed=0).features.shape
        torch.Size([6, 2])
    """

    n: int
    features: torch.Tensor | None
    names: tuple[str, ...]
    texts: tuple[str, ...] | None
    tokens: torch.Tensor | None
    prompts: torch.Tensor
    clusters: torch.Tensor
    weights: torch.Tensor
    columns: dict[str, NDArray[np.generic]]
    prompt_code: torch.Tensor

    def __init__(
        self,
        features: Numbers | None = None,
        names: Iterable[object] | None = None,
        texts: Iterable[object] | None = None,
        tokens: Numbers | Sequence[Numbers] | None = None,
        prompts: Numbers | None = None,
        clusters: Numbers | None = None,
        weights: Numbers | None = None,
        n: int = 0,
        columns: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        named = None if names is None else _distinct(_strings("names", names))
        read: dict[str, object] = {
            "features": None if features is None else _features(features),
            "names": named,
            "texts": None if texts is None else _strings("texts", texts),
            "tokens": None if tokens is None else _tokens(tokens),
            "prompts": None if prompts is None else _labels("prompts", prompts),
            "clusters": None if clusters is None else _labels("clusters", clusters),
            "weights": None if weights is None else _measure(weights),
        }
        own = {str(name): _column(name, value) for name, value in (columns or {}).items()}
        count = _common_length({**read, **{f"columns[{name!r}]": value for name, value in own.items()}}, n)
        read["names"] = tuple(str(i) for i in range(count)) if named is None else named
        read["prompts"] = torch.zeros(count, dtype=torch.long) if prompts is None else read["prompts"]
        read["clusters"] = torch.arange(count) if clusters is None else read["clusters"]
        read["weights"] = torch.ones(count, dtype=torch.float64) if weights is None else read["weights"]
        self.__dict__.update(read, n=count, columns=own)
        self.__dict__["prompt_code"] = self.prompts.unique(return_inverse=True)[1]

    @classmethod
    def normal(cls, n: int, dim: int, seed: int = 0, prompts: int = 1) -> Items:
        """``n`` items with independent standard normal features of dimension ``dim``.

        With ``prompts=p`` the items are dealt to p prompts in equal consecutive blocks (``n`` a multiple of p).

        Example:
            >>> Items.normal(4, dim=3, seed=1).dim
            3
        """
        for name, value in (("n", n), ("dim", dim), ("prompts", prompts)):
            check_whole_number(f"Items.normal({name}=)", value)
        check_size("Items.normal", n, dim)
        if n % prompts:
            raise ArgumentError(f"Items.normal(n={n}, prompts={prompts}): n must be a multiple of prompts")
        draws = uniform53(seed, "items", np.arange(n)[:, None], np.arange(dim)[None, :])
        return cls(features=ndtri(draws), prompts=np.repeat(np.arange(prompts), n // prompts))

    @classmethod
    def grid(cls, low: float, high: float, n: int) -> Items:
        """``n`` equally spaced points of ``[low, high]`` with trapezoid weights: sums over items are integrals.

        Example:
            >>> float(Items.grid(0.0, 1.0, 11).weights.sum())
            1.0
        """
        check_whole_number("Items.grid(n=)", n, 2)
        check_size("Items.grid", n)
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ArgumentError(f"Items.grid({low}, {high}, {n}): needs finite low < high")
        x = np.linspace(low, high, n)
        weights = np.full(n, (high - low) / (n - 1))
        weights[[0, -1]] /= 2
        return cls(features=x[:, None], weights=weights, names=[f"{v:.6g}" for v in x] if n <= 10_000 else None)

    # ---- pandas ------------------------------------------------------------------------------------------------------

    @classmethod
    def from_pandas(
        cls,
        frame: pd.DataFrame,
        *,
        features: Sequence[str] | None = None,
        names: str | None = None,
        texts: str | None = None,
        prompts: str | None = None,
        clusters: str | None = None,
        weights: str | None = None,
    ) -> Items:
        """Items from a frame, one row each; labels of prompts and clusters may be strings.

        Args:
            frame: one row per item.
            features: columns that are features; ``feature_0, feature_1, ...`` by default, where they exist.
            names, texts, prompts, clusters, weights: columns that hold them; ``name``, ``text``, ``prompt``, ``cluster``
                and ``weight`` by default, where they exist. All other columns become named columns.

        Raises:
            ArgumentError: a column that was named is missing.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"name": ["tea", "milk"], "price": [2.0, 1.0], "country": ["in", "ch"]})
            >>> items = Items.from_pandas(frame, features=["price"])
            >>> items.names, items.dim, list(items.columns)
            (('tea', 'milk'), 1, ['country'])
        """
        asked = {"name": names, "text": texts, "prompt": prompts, "cluster": clusters, "weight": weights}
        wanted = [*(features or ()), *filter(None, asked.values())]
        missing = [column for column in wanted if column not in frame]
        if missing:
            raise ArgumentError(f"Items.from_pandas: no column {missing[0]!r}; there are {', '.join(map(str, frame))}")
        numbered = [f"feature_{j}" for j in range(len(frame.columns))]
        chosen = list(features) if features is not None else [column for column in numbered if column in frame]
        found = {key: frame[column or key] for key, column in asked.items() if column or key in frame}
        used = {*chosen, "tokens", *(column.name for column in found.values())}
        return cls(
            features=frame[chosen].to_numpy() if chosen else None,
            names=found.get("name"),
            texts=found.get("text"),
            tokens=frame["tokens"].tolist() if "tokens" in frame else None,
            prompts=_codes(found["prompt"]) if "prompt" in found else None,
            clusters=_codes(found["cluster"]) if "cluster" in found else None,
            weights=found["weight"].to_numpy() if "weight" in found else None,
            n=len(frame),
            columns={str(column): frame[column].to_numpy() for column in frame if column not in used},
        )

    def to_pandas(self) -> pd.DataFrame:
        """A frame with one row per item, which :meth:`from_pandas` reads back; what is as by default is left out.

        Example:
            >>> Items(names=["tea", "milk"], features=[[2.0], [1.0]]).to_pandas()
               name  feature_0
            0   tea        2.0
            1  milk        1.0
        """
        import pandas as pd

        host = self.host
        columns: dict[str, object] = {"name": host.names}
        if host.texts is not None:
            columns["text"] = host.texts
        if host.num_prompts > 1:
            columns["prompt"] = host.prompts.numpy()
        if not torch.equal(host.clusters, torch.arange(host.n)):
            columns["cluster"] = host.clusters.numpy()
        if not bool((host.weights == 1).all()):
            columns["weight"] = host.weights.numpy()
        if host.features is not None:
            columns |= {f"feature_{j}": host.features[:, j].numpy() for j in range(host.dim)}
        if host.tokens is not None:
            columns["tokens"] = [row[row >= 0].tolist() for row in host.tokens]
        return pd.DataFrame(columns | {name: list(value) for name, value in host.columns.items()})

    # ---- what follows from them --------------------------------------------------------------------------------------

    @property
    def dim(self) -> int:
        """Number of features (0 without features)."""
        return 0 if self.features is None else int(self.features.shape[-1])

    @property
    def feature_matrix(self) -> torch.Tensor:
        """The features, ``(n, dim)``; items without features are refused.

        Raises:
            ArgumentError: there are none.
        """
        if self.features is None:
            raise ArgumentError("the items have no features; give Items(features=...)")
        return self.features

    @cached_property
    def feature_spread(self) -> torch.Tensor:
        """Largest less smallest value of each feature, ``(d,)``; kept, as every replicate and every fit asks for it.

        Raises:
            ArgumentError: there are none.

        Example:
            >>> Items(features=[[0.0, 1.0], [2.0, 1.0]]).feature_spread.tolist()
            [2.0, 0.0]
        """
        low, high = self.feature_matrix.double().aminmax(dim=0)  # numpy's ptp is five times slower on a long matrix
        return high - low

    @property
    def log_weights(self) -> torch.Tensor:
        """Log of the base measure, ``(n,)``."""
        return self.weights.log()

    @cached_property
    def num_prompts(self) -> int:
        """Number of distinct prompts."""
        return int(self.prompt_code.max()) + 1

    def members(self, prompt: int) -> torch.Tensor:
        """Item ids of one prompt, ascending."""
        there = self._members.get(int(prompt))
        return torch.empty(0, dtype=torch.long, device=self.prompts.device) if there is None else there

    @cached_property
    def _members(self) -> dict[int, torch.Tensor]:
        """All prompts' items: policies and win rates ask for one after the other, again and again."""
        prompts, count = self.prompts.unique(return_counts=True)
        order = self.prompts.argsort(stable=True)
        return dict(zip(prompts.tolist(), order.split(count.tolist()), strict=True))

    @cached_property
    def members_by_size(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Prompts with equally many items together, for what is computed prompt by prompt: their codes ``(P,)`` (see
        :attr:`prompt_code`) and the ids of their items ``(P, size)``.

        Example:
            >>> [ids.tolist() for _, ids in Items(n=5, prompts=[7, 7, 8, 9, 9]).members_by_size]
            [[[2]], [[0, 1], [3, 4]]]
        """
        count = torch.bincount(self.prompt_code, minlength=self.num_prompts)
        order, end = self.prompt_code.argsort(stable=True), count.cumsum(0)
        groups = []
        for size in count.unique().tolist():
            codes = (count == size).nonzero()[:, 0]
            at = (end[codes] - size)[:, None] + torch.arange(size, device=codes.device)
            groups.append((codes, order[at]))
        return groups

    def __len__(self) -> int:
        return self.n

    def id_of(self, name: str) -> int:
        """The id of a named item; an unknown name is an error that lists close ones."""
        try:
            return self.names.index(str(name))
        except ValueError:
            close = difflib.get_close_matches(str(name), self.names, 3) or self.names[:3]
            raise ArgumentError(f"no item is named {name!r}; close names: {', '.join(close)}") from None

    def with_(self, **changes: Unpack[ItemsColumns]) -> Items:
        """A copy with some columns replaced (``items.with_(clusters=[0, 0, 1])``)."""
        own: ItemsColumns = {name: getattr(self, name) for name in ItemsColumns.__annotations__}  # type: ignore[assignment]
        return Items(**(own | changes))

    # ---- parts, and devices ------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.weights.device

    @cached_property
    def host(self) -> Items:
        """The same items on the CPU; items that were moved remember them, so that nobody waits for the device."""
        return self if self.device.type == "cpu" else self.to("cpu")

    def subset(self, ids: torch.Tensor, device_ids: torch.Tensor | None = None) -> Items:
        """Some of the items, with their features, tokens, prompts, weights and columns.

        Args:
            ids: ``(m,)`` long, best on the CPU, where names and columns are.
            device_ids: the same on the items' device, when they are there already.

        Example:
            >>> Items.normal(5, dim=2).subset(torch.tensor([4, 0])).features.shape
            torch.Size([2, 2])
        """
        return _Subset(self, ids, send(ids, self.device) if device_ids is None else device_ids)

    def on_features(self, numbers: Sequence[int]) -> Items:
        """The same items with some of their features, in this order.

        Raises:
            ArgumentError: there is no feature of such a number.

        Example:
            >>> Items(features=[[5.0, 1.0], [0.0, 3.0]]).on_features([1]).features.tolist()
            [[1.0], [3.0]]
        """
        if self.features is None or not all(0 <= j < self.dim for j in numbers):
            have = "none" if self.features is None else f"0 to {self.dim - 1}"
            raise ArgumentError(f"Items.on_features({list(numbers)}): the items have features {have}")
        other = copy.copy(self)  # no number is read: this may happen inside a transform of torch.func
        other.__dict__.pop("feature_spread", None)
        other.__dict__["features"] = self.features[:, list(numbers)]
        other.__dict__["host"] = other if self.host is self else self.host.on_features(numbers)
        return other

    def to(self, device: str | torch.device) -> Items:
        """The items with their tensors on ``device``; names, texts and columns stay where they are."""
        if self.device == torch.device(device):
            return self
        other = object.__new__(Items)
        other.__dict__.update({name: getattr(self, name) for name in ("n", "names", "texts", "columns", "num_prompts")})
        for name in (*_TENSORS, "prompt_code"):
            value = getattr(self, name)
            other.__dict__[name] = None if value is None else send(value, device)
        if other.device.type != "cpu":
            other.__dict__["host"] = self.host
        return other

    def __repr__(self) -> str:
        parts = [f"n={self.n}"]
        if self.dim:
            parts.append(f"dim={self.dim}")
        if self.num_prompts > 1:
            parts.append(f"prompts={self.num_prompts}")
        if (clusters := int(self.clusters.unique().numel())) < self.n:
            parts.append(f"clusters={clusters}")
        return f"Items({', '.join(parts)})"


_TENSORS = ("features", "tokens", "prompts", "clusters", "weights")
_PICKED = (*_TENSORS, "names", "texts", "columns", "prompt_code")


class _Subset(Items):
    """Some items of a set. Each column is picked when it is first asked for: most are not, and ``ids`` may lie on a device."""

    def __init__(self, source: Items, ids: torch.Tensor, device_ids: torch.Tensor) -> None:
        self.__dict__.update(n=len(ids), _source=source, _ids=ids, _device_ids=device_ids)

    def __getattr__(self, name: str) -> Any:
        if name not in _PICKED or "_source" not in self.__dict__:
            raise AttributeError(f"'Items' object has no attribute {name!r}")
        self.__dict__[name] = found = self._pick(name)
        return found

    def _pick(self, name: str) -> object:
        source, ids = self.__dict__["_source"], self.__dict__["_ids"]
        if name == "prompt_code":
            return self.prompts.unique(return_inverse=True)[1]
        value = getattr(source, name)
        if name == "columns":
            return {key: column[ids.cpu().numpy()] for key, column in value.items()}
        if value is None:
            return None
        if name in ("names", "texts"):
            return tuple(value[i] for i in ids.tolist())
        return value[self.__dict__["_device_ids"]]

    @property
    def device(self) -> torch.device:
        return self.__dict__["_source"].device

    @cached_property
    def host(self) -> Items:
        source = self.__dict__["_source"]
        return self if source.host is source else source.host.subset(self.__dict__["_ids"].cpu())


# ---- reading what was given ------------------------------------------------------------------------------------------


def _common_length(read: Mapping[str, object], n: int) -> int:
    sizes = {name: len(value) for name, value in read.items() if value is not None}  # type: ignore[arg-type]
    if n:
        sizes["n"] = check_whole_number("Items(n=)", n, 0)
        check_size("Items(n=)", n)
    if len(set(sizes.values())) > 1:
        raise ArgumentError(f"Items: lengths differ: {sizes}; give every column one entry per item")
    if not sizes or next(iter(sizes.values())) < 1:
        raise ArgumentError("Items: no items; give features=, names=, texts= or n=")
    return next(iter(sizes.values()))


def _strings(name: str, value: Iterable[object]) -> tuple[str, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ArgumentError(f"Items({name}=): one string; give a list with one string per item")
    return tuple(str(one) for one in value)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ArgumentError(f"Items(names=): {twice!r} stands more than once; make names unique")
    return names


def _column(name: str, value: ArrayLike) -> NDArray[np.generic]:
    try:
        array = as_numpy(value)
    except ValueError:  # lists of different lengths
        rows = list(value)  # type: ignore[arg-type]
        array = np.empty(len(rows), dtype=object)
        array[:] = rows
    if array.ndim == 0:
        raise ArgumentError(f"Items(columns=): column {name!r} is one value; give one per item")
    return array


def _floats(name: str, value: Numbers) -> torch.Tensor:
    try:
        array = as_numpy(value)
        if array.dtype.kind not in "biufO":  # numpy would read strings as numbers
            raise TypeError
        tensor = torch.from_numpy(array.astype(np.float64))
    except (TypeError, ValueError):
        raise ArgumentError(f"Items({name}=): not numeric, or ragged; give one row of numbers per item") from None
    if tensor.ndim == 0:
        raise ArgumentError(f"Items({name}=): one number; give one row per item")
    bad = ~torch.isfinite(tensor).reshape(len(tensor), -1).all(-1)
    if bool(bad.any()):
        raise ArgumentError(f"Items({name}=): row {int(torch.nonzero(bad)[0])} is not finite; remove or impute it")
    return tensor


def _features(value: Numbers) -> torch.Tensor:
    tensor = _floats("features", value)
    tensor = tensor[:, None] if tensor.ndim == 1 else tensor
    if tensor.ndim != 2:
        raise ArgumentError(f"Items(features=): shape {tuple(tensor.shape)}; give (n, dim)")
    return tensor


def _measure(value: Numbers) -> torch.Tensor:
    weights = _floats("weights", value)
    if weights.ndim != 1 or bool((weights <= 0).any()):
        raise ArgumentError("Items(weights=): the base measure must be positive; drop items of measure zero")
    return weights


def _labels(name: str, value: Numbers) -> torch.Tensor:
    label = f"Items({name}=)"
    if (shape := np.shape(value)) and len(shape) != 1:
        raise ArgumentError(f"{label}: shape {shape}; give one number per item")
    return torch.as_tensor(check_whole_numbers(label, value).reshape(-1))


def _codes(labels: pd.Series[Any]) -> NDArray[np.int64]:
    """Labels as whole numbers, in the order in which they first occur; whole numbers stay as they are."""
    import pandas as pd

    if pd.api.types.is_integer_dtype(labels):
        return labels.to_numpy(np.int64)
    return pd.factorize(labels)[0].astype(np.int64)


def _tokens(value: Numbers | Sequence[Numbers]) -> torch.Tensor:
    """Token ids ``(n, length)``, shorter sequences filled with -1 at their end.

    Raises:
        ArgumentError: no whole numbers, an id below -1, or a pad before a token.
    """
    tokens = torch.as_tensor(value if isinstance(value, torch.Tensor | np.ndarray) else _filled(value)).cpu()
    if tokens.ndim != 2 or tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise ArgumentError(
            f"Items(tokens=): {tokens.dtype} of shape {tuple(tokens.shape)}; give whole numbers (n, length), -1 pads"
        )
    tokens = tokens.long()
    real = tokens >= 0
    wrong = (tokens < -1).any(1) | (real[:, 1:] & ~real[:, :-1]).any(1)
    if bool(wrong.any()):
        raise ArgumentError(
            f"Items(tokens=): item {int(torch.nonzero(wrong)[0])} has an id below -1, or a pad before a token; pads "
            "are -1 and stand after the sequence"
        )
    return tokens


def _filled(value: Numbers | Sequence[Numbers]) -> NDArray[np.int64]:
    """Lists of token ids as rows of one array, -1 after each."""
    try:
        rows = [as_numpy(row) for row in value]  # type: ignore[union-attr]
    except (TypeError, ValueError):
        rows = [np.zeros(())]
    if any(row.ndim != 1 or row.dtype.kind in "US" for row in rows):
        raise ArgumentError("Items(tokens=): give one list of token ids per item")
    filled = np.full((len(rows), max(map(len, rows), default=0)), -1, dtype=np.int64)
    for i, row in enumerate(rows):
        if len(row) and (row.dtype.kind not in "iu" or not np.can_cast(row.dtype, np.int64)):
            raise ArgumentError(f"Items(tokens=): item {i} has entries that are no whole numbers; give token ids")
        filled[i, : len(row)] = row
    return filled


def send(tensor: torch.Tensor, device: str | torch.device) -> torch.Tensor:
    """A tensor on a device; from the CPU without waiting for what the device has to do before.

    A plain ``tensor.to("cuda")`` waits until the copy has arrived. So do copies to MPS: the source must outlive them.

    Example:
        >>> send(torch.ones(2), "cpu")
        tensor([1., 1.])
    """
    place = torch.device(device)
    return tensor.to(place, non_blocking=tensor.device.type == "cpu" and place.type != "mps")
