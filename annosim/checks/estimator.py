"""What the checks call an estimator: a function of :class:`PreferenceData`, with what it declares about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from annosim.arrays import Numbers
from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, CheckError
from annosim.populations.base import Population

__all__ = ["KINDS", "TAGS", "Estimator", "as_estimator"]

KINDS = ("pairwise", "choice", "ranking", "ties", "mixture", "reward")

#: What an estimator may declare; each tag switches laws on or off (see every check's docstring).
TAGS: dict[str, str] = {
    "weights": "honours data.weight, so that weighted rows stand for repeated ones",
    "regularised": "a penalty or prior shrinks the estimate: laws that only maximum likelihood obeys do not apply",
    "score": "returns scores that order the items, not Luce utilities (counting, eigenvector, Elo ...)",
    "sequential": "reads rows as a sequence in time, so their order matters by design",
    "spectral": "converges to the Luce utilities but does not maximise their likelihood (spectral and moment methods)",
    "davidson": "estimates Davidson's model of ties (kind ties)",
    "rao_kupper": "estimates Rao and Kupper's model of ties (kind ties)",
    "annotators": "models the annotators themselves (skill, bias), so that it matters who answered",
    "random": "draws random numbers of its own",
    "device": "takes a keyword device ('cpu', 'cuda') and computes there",
    "intervals": "its result has .standard_errors (n_items,), or it returns (utilities, standard_errors)",
    "gradient": "has a method objective(data, utilities) -> (value, gradient)",
}


@dataclass(frozen=True)
class Estimator:
    """An estimator under test.

    Attributes:
        function: ``f(data) -> utilities (n_items,)``, or a population or a fit with ``.population``, or a matrix of
            pair probabilities ``(n_items, n_items)`` when ``returns="probabilities"``.
        kind: one of :data:`KINDS`: what data it takes.
        tags: names in :data:`TAGS`.
        returns: ``"utilities"``, ``"population"`` or ``"probabilities"``.
        tolerance: how far two estimates may differ that a law says are equal (utilities; largest difference).
        name: for reports.
        version: of the package that it comes from.

    Example:
        >>> import numpy as np
        >>> counting = as_estimator(lambda data: np.bincount(data.menu[:, 0], minlength=data.items.n), tags={"score"})
        >>> counting.kind
        'pairwise'
    """

    function: Callable[..., object]
    kind: str = "pairwise"
    tags: frozenset[str] = frozenset()
    returns: str = "utilities"
    tolerance: float = 1e-4
    name: str = ""
    version: str = ""
    objective: Callable[..., tuple[float, Numbers]] | None = field(default=None, compare=False)

    def raw(self, data: PreferenceData, **keywords: object) -> object:
        """Call the function on data without their hidden truth."""
        # data without hidden truth are handed over as they are, also when a check bypassed their constructor
        return self.function(data.for_learner() if data.truth else data, **keywords)

    def __call__(self, data: PreferenceData) -> np.ndarray:
        """Centred utilities ``(n_items,)`` (types by items, in order of weight, for a mixture)."""
        return self.read(self.raw(data), data)

    def read(self, result: object, data: PreferenceData) -> np.ndarray:
        """Utilities in a result of the function, centred over the items."""
        if self.returns == "probabilities":
            p = _numpy(result)
            with np.errstate(divide="ignore"):
                u = np.log(p) - np.log(p.T)
            return u.mean(1)
        population = getattr(result, "population", result)
        if isinstance(population, Population):
            with torch.no_grad():
                rows = [(float(c.weight.sum()), _numpy(c.index).mean(0)) for c in population.indexed(data.items)]
            if self.kind != "mixture":
                return rows[0][1] - rows[0][1].mean()
            rows.sort(key=lambda r: -r[0])
            return np.stack([u - u.mean() for _, u in rows])
        if isinstance(result, tuple):
            result = result[0]
        u = _numpy(result)
        if u.shape[-1:] != (data.items.n,):
            raise CheckError(
                f"{self.name or 'estimator'} returned shape {u.shape}, expected ({data.items.n},): one utility per item"
            )
        return u - u.mean(-1, keepdims=True)

    def standard_errors(self, result: object) -> np.ndarray:
        """Claimed standard errors of the centred utilities ``(n_items,)``."""
        if isinstance(result, tuple):
            return _numpy(result[1])
        errors: Any = getattr(result, "standard_errors")  # noqa: B009 - whatever the package calls a result has it
        errors = errors() if callable(errors) else errors
        if isinstance(errors, dict):
            errors = next(iter(errors.values()))
        return _numpy(errors).reshape(-1)

    def has(self, *tags: str) -> bool:
        """Whether it declares all of these tags."""
        return set(tags) <= self.tags


def as_estimator(
    function: Callable[[PreferenceData], object] | Estimator,
    kind: str | None = None,
    tags: Iterable[str] = (),
    returns: str | None = None,
    tolerance: float | None = None,
    name: str | None = None,
    version: str = "",
) -> Estimator:
    """Wrap a function as an :class:`Estimator`; an Estimator gets the tags added and keeps what is not given.

    Args:
        function: ``f(data) -> utilities (n_items,)``; see :class:`Estimator`.
        kind: one of :data:`KINDS`; ``"pairwise"`` by default. An Estimator keeps its own.
        tags: names in :data:`TAGS`.
        returns: ``"utilities"`` (default), ``"population"`` or ``"probabilities"``.
        tolerance: largest difference of utilities that a law calls equal; 1e-4 by default.
        name: for reports; the function's own by default.
        version: of the package that it comes from.

    Raises:
        ArgumentError: not callable, an unknown kind, tag or return type, a tolerance that is not a nonnegative number,
            or another kind than the Estimator's own.

    Example:
        >>> mine = as_estimator(lambda data: [0.0] * data.items.n, tags={"regularised"}, name="shrunk to zero")
        >>> mine.name, mine.kind, sorted(mine.tags)
        ('shrunk to zero', 'pairwise', ['regularised'])
    """
    declared = frozenset({tags} if isinstance(tags, str) else tags)
    _validate(kind, declared, returns, tolerance)
    given = {"returns": returns, "tolerance": tolerance, "name": name, "version": version or None}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if isinstance(function, Estimator):
        if kind not in (None, function.kind):
            raise ArgumentError(f"kind={kind!r}, but {function.name!r} is of kind {function.kind!r}; leave it out")
        return replace(function, tags=function.tags | declared, **changes)
    if not callable(function):
        raise ArgumentError(f"estimator {function!r} is not callable; give f(data) -> utilities")
    changes.setdefault("name", str(getattr(function, "__name__", type(function).__name__)))
    objective = getattr(function, "objective", None)
    return Estimator(function, kind or "pairwise", declared, objective=objective, **changes)


def _validate(kind: str | None, tags: frozenset[str], returns: str | None, tolerance: float | None) -> None:
    """Raise at the first argument whose value is not allowed."""
    if kind is not None and kind not in KINDS:
        raise ArgumentError(f"kind={kind!r}: the kinds are {', '.join(KINDS)}")
    unknown = sorted(tags - set(TAGS))
    if unknown:
        raise ArgumentError(f"tags: {unknown[0]!r} is unknown; the tags are {', '.join(TAGS)}")
    if returns not in (None, "utilities", "population", "probabilities"):
        raise ArgumentError(f"returns={returns!r}: utilities, population or probabilities")
    if tolerance is not None and not (np.isfinite(tolerance) and tolerance >= 0):
        raise ArgumentError(f"tolerance={tolerance!r}: a nonnegative number")


def _numpy(value: object) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=np.float64)
