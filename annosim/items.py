"""Items: what is judged. Features, texts, prompts, paraphrase clusters, and a base measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from annosim.errors import ArgumentError
from annosim.random import uniform53

__all__ = ["Items"]


@dataclass(frozen=True, eq=False)
class Items:
    """A finite set of ``n`` items.

    Args:
        features: ``(n, dim)`` float array, or ``None`` when items are only names.
        names: ``n`` strings; ``"0" .. "n-1"`` by default.
        texts: ``n`` strings.
        tokens: ``(n, length)`` int array of token ids, ``-1`` pads after each sequence; or ``n`` lists of any lengths.
        prompts: ``(n,)`` ints: to which prompt an item belongs; one prompt by default. Menus stay inside a prompt.
        clusters: ``(n,)`` ints: paraphrases share a cluster; every item its own by default.
        weights: ``(n,)`` positive floats: the base measure (quadrature weights on a grid; ones by default).
        n: number of items, needed only when nothing else says it.
        columns: further named columns, each of length ``n``.

    Raises:
        ArgumentError: lengths differ, values are not finite, a weight is not positive, or names repeat.

    Example:
        >>> Items(names=["tea", "coffee"]).n
        2
        >>> Items.normal(6, dim=2, seed=0).features.shape
        torch.Size([6, 2])
    """

    features: Any = None
    names: Any = None
    texts: Any = None
    tokens: Any = None
    prompts: Any = None
    clusters: Any = None
    weights: Any = None
    n: int = 0
    columns: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self._length()
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put("n", n)
        if self.features is not None:
            put("features", _float_tensor("features", self.features, n))
        if self.names is None:
            put("names", tuple(str(i) for i in range(n)))
        else:
            put("names", tuple(str(name) for name in self.names))
            if len(set(self.names)) != n:
                twice = next(name for name in self.names if self.names.count(name) > 1)
                raise ArgumentError(f"Items(names=): {twice!r} stands more than once; make names unique")
        if self.texts is not None:
            put("texts", tuple(str(text) for text in self.texts))
        if self.tokens is not None:
            put("tokens", _token_tensor(self.tokens))
        put("prompts", _int_tensor("prompts", self.prompts, n, torch.zeros(n, dtype=torch.long)))
        put("prompt_code", self.prompts.unique(return_inverse=True)[1])  # later it might be asked for on a device
        put("clusters", _int_tensor("clusters", self.clusters, n, torch.arange(n)))
        if self.weights is None:
            put("weights", torch.ones(n, dtype=torch.float64))
        else:
            weights = _float_tensor("weights", self.weights, n)
            if weights.ndim != 1 or bool((weights <= 0).any()):
                raise ArgumentError("Items(weights=): the base measure must be positive; drop items of measure zero")
            put("weights", weights)

    def _length(self) -> int:
        sizes = {
            name: len(value)
            for name in ("features", "names", "texts", "tokens", "prompts", "clusters", "weights")
            if (value := getattr(self, name)) is not None
        }
        sizes |= {f"columns[{name!r}]": len(value) for name, value in self.columns.items()}
        if self.n:
            sizes["n"] = int(self.n)
        if len(set(sizes.values())) > 1:
            raise ArgumentError(f"Items: lengths differ: {sizes}; give every column one entry per item")
        if not sizes or next(iter(sizes.values())) < 1:
            raise ArgumentError("Items: no items; give features=, names=, texts= or n=")
        return next(iter(sizes.values()))

    @classmethod
    def normal(cls, n: int, dim: int, seed: int = 0, prompts: int = 1) -> Items:
        """``n`` items with independent standard normal features of dimension ``dim``.

        With ``prompts=p`` the items are dealt to p prompts in equal consecutive blocks (``n`` a multiple of p).

        Example:
            >>> Items.normal(4, dim=3, seed=1).dim
            3
        """
        from scipy.special import ndtri

        if n < 1 or dim < 1:
            raise ArgumentError(f"Items.normal(n={n}, dim={dim}): both must be at least 1")
        if prompts < 1 or n % prompts:
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
        if not (np.isfinite(low) and np.isfinite(high) and low < high and n >= 2):
            raise ArgumentError(f"Items.grid({low}, {high}, {n}): needs finite low < high and at least 2 points")
        x = np.linspace(low, high, n)
        weights = np.full(n, (high - low) / (n - 1))
        weights[[0, -1]] /= 2
        return cls(features=x[:, None], weights=weights, names=[f"{v:.6g}" for v in x] if n <= 10_000 else None)

    @property
    def dim(self) -> int:
        """Number of features (0 without features)."""
        return 0 if self.features is None else int(self.features.shape[-1])

    @property
    def log_weights(self) -> torch.Tensor:
        """Log of the base measure, ``(n,)``."""
        return self.weights.log()

    @cached_property
    def num_prompts(self) -> int:
        """Number of distinct prompts."""
        return int(self.prompt_code.max()) + 1

    @cached_property
    def prompt_code(self) -> torch.Tensor:
        """Each item's prompt as a number from 0 to ``num_prompts - 1``, ``(n,)``; in the order of the prompts' own."""
        return self.prompts.unique(return_inverse=True)[1]

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        source, _ = self.__dict__.get("_of", (None, None))
        return self.weights.device if source is None else source.device

    @property
    def home(self) -> Items:
        """The same items on the CPU; those that were moved remember them, so that nobody waits for the device."""
        if "_home" not in self.__dict__:
            source, ids = self.__dict__.get("_of", (self, None))
            if source is not self:
                found = self if source.home is source else source.home.at(ids.cpu())
            else:
                found = self if self.device.type == "cpu" else self.to("cpu")
            if found is self:
                return self
            self.__dict__["_home"] = found
        return self.__dict__["_home"]

    def members(self, prompt: int) -> torch.Tensor:
        """Item ids of one prompt, ascending."""
        return torch.nonzero(self.prompts == prompt).flatten()

    def __len__(self) -> int:
        return self.n

    def id_of(self, name: str) -> int:
        """The id of a named item; an unknown name is an error that lists close ones."""
        try:
            return self.names.index(str(name))
        except ValueError:
            import difflib

            close = difflib.get_close_matches(str(name), self.names, 3) or self.names[:3]
            raise ArgumentError(f"no item is named {name!r}; close names: {', '.join(close)}") from None

    def at(self, ids: torch.Tensor, sent: torch.Tensor | None = None) -> Items:
        """Some of the items, with their features, tokens, prompts, weights and columns.

        Args:
            ids: ``(m,)`` long, best on the CPU, where names and columns are.
            sent: the same on the items' device, when it is known already.

        Example:
            >>> Items.normal(5, dim=2).at(torch.tensor([4, 0])).features.shape
            torch.Size([2, 2])
        """
        part = object.__new__(Items)
        part.__dict__.update(n=len(ids), _of=(self, ids), _sent=send(ids, self.device) if sent is None else sent)
        return part

    def __getattr__(self, name: str) -> Any:
        """What :meth:`at` left for when it is asked for: most of it never is, and ``ids`` may lie on a device."""
        source, ids = self.__dict__.get("_of", (None, None))
        if source is None or name not in _PICKED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = getattr(source, name)
        if name == "columns":
            found: Any = {key: np.asarray(column)[ids.cpu().numpy()] for key, column in value.items()}
        elif value is None:
            found = None
        elif name in ("names", "texts"):
            found = tuple(value[i] for i in ids.tolist())
        else:
            found = value[self._sent]
        self.__dict__[name] = found
        return found

    def with_(self, **changes: Any) -> Items:
        """A copy with some columns replaced (``items.with_(clusters=[0, 0, 1])``)."""
        return replace(self, **changes)

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
            other.__dict__["_home"] = self.home
        return other

    def __repr__(self) -> str:
        parts = [f"n={self.n}"]
        if self.dim:
            parts.append(f"dim={self.dim}")
        if self.num_prompts > 1:
            parts.append(f"prompts={self.num_prompts}")
        if int(self.clusters.unique().numel()) < self.n:
            parts.append(f"clusters={int(self.clusters.unique().numel())}")
        return f"Items({', '.join(parts)})"


_TENSORS = ("features", "tokens", "prompts", "clusters", "weights")
_PICKED = (*_TENSORS, "names", "texts", "columns")
for _name in ("features", "names", "texts", "tokens", "prompts", "clusters", "weights"):
    delattr(Items, _name)  # defaults of a dataclass stand on the class, where they would hide what __getattr__ picks


def _float_tensor(name: str, value: Any, n: int) -> torch.Tensor:
    try:
        tensor = torch.as_tensor(_plain(value), dtype=torch.float64).clone()
    except (TypeError, ValueError):
        raise ArgumentError(f"Items({name}=): not numeric, or ragged; give {n} rows of numbers") from None
    if name == "features" and tensor.ndim == 1:
        tensor = tensor[:, None]
    bad = ~torch.isfinite(tensor).reshape(n, -1).all(-1)
    if bool(bad.any()):
        row = int(torch.nonzero(bad)[0])
        raise ArgumentError(f"Items({name}=): row {row} is not finite; remove or impute it")
    return tensor


def _token_tensor(value: Any) -> torch.Tensor:
    """Token ids ``(n, length)``, shorter sequences filled with -1 at their end.

    Raises:
        ArgumentError: no whole numbers, an id below -1, or a pad before a token.
    """
    where = "Items(tokens=): "
    if not isinstance(value, torch.Tensor | np.ndarray):
        rows = [np.asarray(row) for row in value]
        if any(row.ndim != 1 for row in rows):
            raise ArgumentError(f"{where}give one list of token ids per item")
        filled = np.full((len(rows), max(map(len, rows))), -1, dtype=np.int64)
        for i, row in enumerate(rows):
            if len(row) and not (np.issubdtype(row.dtype, np.integer) and np.can_cast(row.dtype, np.int64)):
                raise ArgumentError(f"{where}item {i} has entries that are no whole numbers; give token ids")
            filled[i, : len(row)] = row
        value = filled
    tokens = torch.as_tensor(value).cpu()
    if tokens.ndim != 2 or tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise ArgumentError(
            f"{where}{tokens.dtype} of shape {tuple(tokens.shape)}; give whole numbers (n, length), -1 pads"
        )
    tokens = tokens.long()
    real = tokens >= 0
    wrong = (tokens < -1).any(1) | (real[:, 1:] & ~real[:, :-1]).any(1)
    if bool(wrong.any()):
        raise ArgumentError(
            f"{where}item {int(torch.nonzero(wrong)[0])} has an id below -1, or a pad before a token; pads are -1 and "
            "stand after the sequence"
        )
    return tokens


def _int_tensor(name: str, value: Any, n: int, default: torch.Tensor) -> torch.Tensor:
    if value is None:
        return default
    array = _plain(value)
    if array.shape != (n,):
        raise ArgumentError(f"Items({name}=): shape {array.shape}, expected ({n},)")
    if not np.issubdtype(array.dtype, np.integer):
        raise ArgumentError(f"Items({name}=): needs whole numbers, got {array.dtype}; code labels as 0, 1, 2, ...")
    return torch.as_tensor(array, dtype=torch.long)


def send(tensor: torch.Tensor, device: str | torch.device) -> torch.Tensor:
    """A tensor on a device; from the CPU without waiting for what the device has to do before.

    A plain ``tensor.to("cuda")`` waits until the copy has arrived. So do copies to MPS: the source must outlive them.

    Example:
        >>> send(torch.ones(2), "cpu")
        tensor([1., 1.])
    """
    place = torch.device(device)
    return tensor.to(place, non_blocking=tensor.device.type == "cpu" and place.type != "mps")


def _plain(value: Any) -> np.ndarray:
    """A numpy array; of a tensor wherever it lies."""
    return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)


def stack_names(items: Items, ids: Sequence[int]) -> list[str]:
    """Names of some ids (for messages)."""
    return [items.names[int(i)] for i in ids]
