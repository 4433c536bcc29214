"""How many hidden types: by the Bayesian information criterion, or by the likelihood of annotators held out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annosim.annotators import PerAnnotator
from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, NotIdentifiedError, told
from annosim.learning.arguments import keywords_checked
from annosim.learning.fitting import fit
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood
from annosim.learning.priors import Prior
from annosim.learning.result import Fit
from annosim.learning.solvers.settings import Solver, SolverName
from annosim.populations.base import Population
from annosim.random import child_seed, uniform53
from annosim.results import Result, versions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TypesChoice", "choose_types"]


@dataclass(frozen=True, eq=False, repr=False)
class TypesChoice(Result):
    """The table of :func:`choose_types`; every array has one entry for each number of types tried.

    Attributes:
        ks: ``(K,)`` numbers of types.
        log_likelihood: ``(K,)`` on all data; nan where no estimate exists.
        num_parameters: ``(K,)``.
        bic: ``(K,)`` ``p log(annotators) - 2 log L`` (smaller is better).
        held_out: ``(K,)`` mean log-likelihood of a held-out annotator, each one held out once (larger is better); nan
            with ``folds=0``, or where some fold has no estimate.
        held_out_error: ``(K,)`` standard error of the difference from the largest ``held_out`` (annotators as units).
        best: the number of types chosen.
        by: ``"bic"`` or ``"held_out"``.
        fits: the fit on all data for each number that has one.
        notes: fits that did not converge or do not exist.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=3), annotators=60, questions=6), seed=1)
        >>> one = lambda k: an.Mixture([an.Annotator(an.Tabular(3), an.Luce()) for _ in range(k)])
        >>> an.choose_types(one, data, ks=(1, 2), folds=0).held_out.tolist()
        [nan, nan]
    """

    ks: tuple[int, ...]
    log_likelihood: np.ndarray
    num_parameters: np.ndarray
    bic: np.ndarray
    held_out: np.ndarray
    held_out_error: np.ndarray
    best: int
    by: str
    fits: dict[int, Fit]
    notes: tuple[str, ...] = ()

    @property
    def fit(self) -> Fit:
        """The fit with the number of types chosen."""
        return self.fits[self.best]

    def to_frame(self) -> pd.DataFrame:
        """The table (pandas), a row for each number of types."""
        import pandas as pd

        columns = ("log_likelihood", "num_parameters", "bic", "held_out", "held_out_error")
        return pd.DataFrame({name: getattr(self, name) for name in columns}, index=pd.Index(self.ks, name="types"))

    def _title(self) -> str:
        return "Number of types"

    def _lines(self) -> list[tuple[str, Any]]:
        lines: list[tuple[str, Any]] = [("best", f"{self.best} (by {self.by})")]
        for i, k in enumerate(self.ks):
            text = f"log-likelihood {self.log_likelihood[i]:.6g}, BIC {self.bic[i]:.6g}"
            if np.isfinite(self.held_out[i]):
                text += f", held out {self.held_out[i]:.6g} an annotator"
                if self.held_out_error[i] > 0:
                    text += f" (difference from the largest known to {self.held_out_error[i]:.2g})"
            lines.append((f"{k} type{'s' if k > 1 else ''}", text))
        return lines + [("note", text) for text in self.notes]


@keywords_checked
def choose_types(
    model_of_k: Callable[[int], Population],
    data: PreferenceData,
    ks: Sequence[int] = (1, 2, 3, 4),
    by: str = "bic",
    *,
    folds: int = 5,
    starts: int = 5,
    seed: int = 0,
    prior: Prior | None = None,
    solver: Solver | SolverName = "auto",
    device: str | torch.device | None = None,
) -> TypesChoice:
    r"""Fit a model with each number of types and choose one.

    ``bic``: smallest ``p log(B) - 2 log L`` with ``B`` annotators and ``p`` the numbers that data could tell (Schwarz
    1978; consistent for the number of types under bounded parameters: Keribin 2000). ``held_out``: largest likelihood
    of annotators who were held out, by cross-validation (Smyth 2000). Neither tests that the types are real: tastes
    that vary continuously are approximated by more types the more data there are. Held-out likelihood often takes a
    type too many, and types whose answers nearly separate the items make it hang on few annotators: pass ``prior=``.

    Args:
        model_of_k: a number of types to a population: ``lambda k: an.Mixture([... for _ in range(k)])``.
        data: the answers; annotators are the units.
        ks: the numbers of types to try.
        by: ``"bic"`` or ``"held_out"``.
        folds: parts into which annotators are divided at random, each held out once; 0 leaves held-out likelihoods out
            (then ``by="bic"``). The cost is ``folds + 1`` fits for each number of types.
        starts: starting points of each fit.
        seed: address of the folds and of the starting points.
        prior, solver, device: of each fit, as in :func:`annosim.fit`.

    Raises:
        ArgumentError: an unknown ``by``, numbers out of range, or more folds than annotators.
        NotIdentifiedError: no number of types has an estimate (or none in every fold, ``by="held_out"``).

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s, 2 * s]), an.Luce()) for s in (2.0, -2.0)])
        >>> data = an.simulate(two, an.Design(an.Items(n=3), annotators=100, questions=8), seed=0)
        >>> model = lambda k: an.Mixture([an.Annotator(an.Tabular(3), an.Luce()) for _ in range(k)])
        >>> an.choose_types(model, data, ks=(1, 2, 3), folds=2, starts=2).best
        2
    """
    if not callable(model_of_k):
        raise ArgumentError(f"choose_types({model_of_k!r}): give a function of K, lambda k: an.Mixture([...] * k)")
    if not isinstance(data, PreferenceData):
        raise ArgumentError(f"choose_types(data={told(data)}): give an.PreferenceData")
    ks = tuple(ks) if isinstance(ks, Sequence | range) and not isinstance(ks, str) else (ks,)
    _check(data, ks, by, folds)
    data = data.compact()
    notes: list[str] = []
    fits: dict[int, Fit] = {}
    part = _folds(data, folds, seed)
    columns = np.full((3, len(ks)), np.nan)
    scores = np.full((len(ks), data.num_annotators), np.nan)
    for i, k in enumerate(ks):
        fit_types = partial(
            fit,
            starts=starts if k > 1 else 1,
            seed=child_seed(seed, f"types/{k}"),
            prior=prior,
            solver=solver,
            device=device,
        )
        found = _fit(model_of_k, k, data, "", notes, fit_types)
        if found is None:
            continue
        fits[k] = found
        columns[:, i] = found.log_likelihood, found.num_parameters, found.bic
        for fold in range(folds):
            mine = part[np.asarray(data.annotator_ids)] == fold
            trained = _fit(model_of_k, k, data.take(~mine).compact(), f" without fold {fold}", notes, fit_types)
            if trained is not None:
                scores[i, part == fold] = _each(trained.population, data.take(mine))
    held_out, error = _summary(scores, np.asarray(data.annotator_weight))
    criterion = -columns[2] if by == "bic" else held_out
    if not np.isfinite(criterion).any():
        raise NotIdentifiedError(f"choose_types: no number of types has an estimate: {notes[0]}")
    return TypesChoice(
        ks=ks,
        log_likelihood=columns[0],
        num_parameters=columns[1],
        bic=columns[2],
        held_out=held_out,
        held_out_error=error,
        best=ks[int(np.nanargmax(criterion))],
        by=by,
        fits=fits,
        notes=tuple(notes),
        settings={
            "folds": folds,
            "starts": starts,
            "seed": seed,
            "prior": prior,
            "solver": solver,
            "versions": versions(),
        },
    )


def _check(data: PreferenceData, ks: tuple[int, ...], by: str, folds: int) -> None:
    if by not in ("bic", "held_out"):
        raise ArgumentError(f"choose_types(by={told(by)}): one of bic, held_out")
    if not ks or len(set(ks)) < len(ks) or not all(_whole(k) and k >= 1 for k in ks):
        raise ArgumentError(f"choose_types(ks={told(ks)}): different whole numbers of at least 1, such as (1, 2, 3, 4)")
    if data.replicates is not None:
        raise ArgumentError("choose_types: one replicate at a time: data[r]")
    people = len(np.unique(data.annotator_ids))
    if not _whole(folds) or folds == 1 or not 0 <= folds <= people:
        raise ArgumentError(f"choose_types(folds={told(folds)}): 0, or from 2 to the number of annotators, {people}")
    if folds == 0 and by == "held_out":
        raise ArgumentError("choose_types(by='held_out', folds=0): nobody is held out; give folds=5")


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _folds(data: PreferenceData, folds: int, seed: int) -> np.ndarray:
    """Fold of each annotator, ``(annotators,)``: equal parts in a random order."""
    people = np.arange(data.num_annotators)
    draw = uniform53(child_seed(seed, "types/folds"), "analysis", people, 0)
    return np.argsort(np.argsort(draw, kind="stable")) % max(folds, 1)


def _fit(
    model_of_k: Callable[[int], Population],
    k: int,
    data: PreferenceData,
    where: str,
    notes: list[str],
    fit_types: Callable[[Population, PreferenceData], Fit],
) -> Fit | None:
    try:
        with warnings.catch_warnings():  # said in the notes, with the number of types
            warnings.filterwarnings("ignore", "fit did not converge")
            found = fit_types(_nameless(model_of_k(k)), data)
    except NotIdentifiedError as error:
        notes.append(f"{k} types{where}: {error}")
        return None
    if not found.converged:
        notes.append(f"{k} types{where}: did not converge (stopped by {found.stopped_by})")
    return found


def _nameless(model: Any) -> Any:
    """Refuse models of named annotators: those held out have no numbers of their own."""
    if isinstance(model, Population):
        personal = model.annotator_weights(np.arange(1)) is not None
        for component in model.components():
            personal |= any(isinstance(rule, PerAnnotator) and rule.is_personal for rule in component.rule.layers())
        if personal:
            raise ArgumentError(
                "choose_types: a model with numbers for each annotator (an.Gated, an.rules.Reliability) says nothing of "
                "people held out; compare fits by .bic"
            )
    return model


def _each(population: Population, data: PreferenceData) -> np.ndarray:
    """Log-likelihood of every annotator with an answer, ``(annotators,)``, in order of their numbers."""
    with torch.no_grad():
        return block_log_likelihood(population, Blocks(data)).numpy()


def _summary(scores: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means, and standard errors of the paired differences from the largest mean, ``(K,)`` each."""
    share = weight / weight.sum()
    mean = scores @ share
    error = np.full(len(mean), np.nan)
    if np.isfinite(mean).any():
        gap = scores - scores[int(np.nanargmax(mean))]
        error = np.sqrt(((gap - (gap @ share)[:, None]) ** 2) @ share / weight.sum())
    return mean, error
