"""What ``fit`` and ``project`` are given, checked before anything is computed: one line says what is wrong."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, NothingFreeError, told
from annosim.items import Items
from annosim.learning.fingerprint import of_model
from annosim.learning.objectives import ForwardKL, Objective
from annosim.learning.penalties import LogPrior
from annosim.learning.priors import Dirichlet, Gaussian, Ridge
from annosim.learning.solvers.settings import SOLVERS, FittedModel
from annosim.learning.structure import check_own_parameters
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.random import check_seed
from annosim.utilities.densities import LogDensity
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

__all__ = ["check_gradients", "check_level", "check_model", "check_settings", "keywords_checked", "models_of"]


P = ParamSpec("P")
R = TypeVar("R")


def keywords_checked(verb: Callable[P, R]) -> Callable[P, R]:
    """A verb that answers an unknown keyword by where it belongs: the solvers' options are fields of their settings.

    Example:
        >>> import annosim as an
        >>> an.fit(None, None, steps=100)
        Traceback (most recent call last):
        annosim.errors.ArgumentError: fit() has no argument 'steps'; write solver=an.Adam(steps=...) or an.EM(steps=...)
    """
    known = inspect.signature(verb).parameters

    @functools.wraps(verb)
    def checked(*args: P.args, **keywords: P.kwargs) -> R:
        for name in keywords:
            if name not in known:
                having = [f"an.{s.__name__}({name}=...)" for s in SOLVERS.values() if name in s.__dataclass_fields__]
                remedy = f"write solver={' or '.join(having)}" if having else f"it takes {', '.join(known)}"
                raise ArgumentError(f"{verb.__name__}() has no argument {name!r}; {remedy}")
        return verb(*args, **keywords)

    return checked


def models_of(verb: str, model: Any, data: PreferenceData) -> list[Population]:
    """The model for all replicates, or the one of each.

    Raises:
        ArgumentError: no population, not as many as replicates, or populations that differ in more than free numbers.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[0, 0, 1])
        >>> models_of("fit", [an.Annotator(an.Tabular(2), an.Luce())] * 2, data)
        Traceback (most recent call last):
        annosim.errors.ArgumentError: fit(model=): 2 populations for data without replicates; give one
    """
    if isinstance(model, Population):
        return [model]
    if not isinstance(model, list | tuple) or not model or not all(isinstance(one, Population) for one in model):
        shown = "a Fit; its .population is one" if isinstance(model, FittedModel) else told(model)
        raise ArgumentError(f"{verb}(model={shown}): give a population such as an.Annotator(an.Tabular(n), an.Luce())")
    if len(model) != data.replicates:
        has = "data without replicates" if data.replicates is None else f"{data.replicates} replicates"
        raise ArgumentError(
            f"{verb}(model=): {len(model)} populations for {has}; give one" + (" for each" if data.replicates else "")
        )
    shapes = [[(name, tuple(p.shape)) for name, p in one.free_parameters().items()] for one in model]
    fixed = [of_model(one, data.items) for one in model]
    for r in range(1, len(model)):
        what = "shapes of free parameters" if shapes[r] != shapes[0] else "rules, modules or fixed numbers"
        if (shapes[r], fixed[r]) != (shapes[0], fixed[0]):
            raise ArgumentError(
                f"{verb}(model=): the populations of replicates 0 and {r} differ in their {what}; only their free "
                "numbers, where each begins, may differ"
            )
        if not _same_map(model[0], model[r], data.items):
            raise ArgumentError(
                f"{verb}(model=): the populations of replicates 0 and {r} give other scores for the same free numbers; "
                "only these numbers, where each begins, may differ"
            )
    return list(model)


def _same_map(first: Population, other: Population, items: Items) -> bool:
    """Whether two populations mean the same by their numbers, plain attributes and closures included."""
    with torch.no_grad():
        copied = first.with_parameters(other.free_parameters())
        for a, b in zip(copied.components(), other.components(), strict=True):
            (u, m), (v, w) = a.nodes(items), b.nodes(items)
            if not (torch.allclose(u, v, equal_nan=True) and torch.allclose(m, w)):
                return False
            if any(_plain(x) != _plain(y) for x, y in zip(a.rule.modules(), b.rule.modules(), strict=True)):
                return False
    return True


def _plain(part: torch.nn.Module) -> dict[str, object]:
    """The plain attributes of a module: words and numbers that are no parameters."""
    return {name: value for name, value in vars(part).items() if isinstance(value, str | int | float | tuple)}


def check_settings(
    verb: str, objective: Any, regulariser: Any, prior: Any, starts: Any, seed: Any, device: Any = None
) -> None:
    """Refuse settings of the wrong kind.

    Raises:
        ArgumentError: names the argument and what it takes.

    Example:
        >>> check_settings("fit", None, None, 3, 1, 0)
        Traceback (most recent call last):
        annosim.errors.ArgumentError: fit(prior=3): an.priors.Gaussian(sd), an.priors.Dirichlet(counts) or an.priors.Ridge(penalty)
    """
    if objective is not None and not isinstance(objective, Objective):
        raise ArgumentError(
            f"{verb}(objective={_word(objective)}): None, an.objectives.NLL() or another objective, an.objectives.IPO(tau)"
        )
    if regulariser is not None and not isinstance(regulariser, ForwardKL):
        raise ArgumentError(
            f"{verb}(regulariser={_word(regulariser)}): None or an.objectives.ForwardKL(reference, weight)"
        )
    if prior is not None and not isinstance(prior, Gaussian | Dirichlet | Ridge):
        raise ArgumentError(
            f"{verb}(prior={_word(prior)}): an.priors.Gaussian(sd), an.priors.Dirichlet(counts) or an.priors.Ridge(penalty)"
        )
    if isinstance(starts, bool) or not isinstance(starts, int | np.integer) or starts < 1:
        raise ArgumentError(f"{verb}(starts={told(starts)}): a whole number of at least 1")
    check_seed(seed)
    if device is not None:
        try:
            torch.device(device)
        except (RuntimeError, TypeError):
            raise ArgumentError(f"{verb}(device={told(device)}): such as 'cpu' or 'cuda'") from None


def check_level(value: Any, where: str, what: str) -> None:
    """Refuse anything but a number strictly between 0 and 1."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 < value < 1:
        raise ArgumentError(f"{where}{value!r}): {what}")


def check_model(verb: str, model: Population, items: Items, prior: Any) -> None:
    """Refuse a model with nothing free, tables or weights of another size than the items, or a prior on nothing.

    Raises:
        NothingFreeError: nothing is free.
        ArgumentError: names the utility and both sizes.
    """
    if not model.num_free():
        known = any(component.estimated for component in model.components())
        what = "; what is known of annotators whom a fit has not seen is fit.posterior(data)" if known else ""
        raise NothingFreeError(f"{verb}: nothing is free in this model; leave a utility or the weights free{what}")
    if verb == "fit":
        _check_not_refitted(model)
    check_gradients(model, verb)
    check_own_parameters(model, items)
    for component in model.components():
        if isinstance(component, Annotator):
            utility = component.utility.energy if isinstance(component.utility, LogDensity) else component.utility
            if isinstance(utility, Tabular | Linear):
                with torch.no_grad():
                    utility(items)  # says which sizes do not fit
    if prior is not None:
        LogPrior(prior, model, items)


def _check_not_refitted(model: Population) -> None:
    """Refuse a mixture of the types of a fit under fixed weights: it looks like the posterior of newcomers and is a new fit.

    Raises:
        ArgumentError: says what gives the posterior, and how to estimate the types anew.
    """
    if not isinstance(model, Mixture) or model.weights.requires_grad:
        return
    if any(one.estimated and one.num_free() for one in model.components()):
        raise ArgumentError(
            "fit(model=): the types come from a fit and only the weights are fixed, so that the types would be estimated anew "
            "from these annotators; what is known of annotators whom the fit has not seen is fit.posterior(data); to estimate "
            "the types anew start from model.like(seed)"
        )


def check_gradients(model: Population, verb: str = "fit") -> None:
    """Refuse free utilities under a rule that sees their order at most: the likelihood is flat wherever one starts.

    Raises:
        ArgumentError: names the rule and the remedies.
    """
    for component in model.components():
        own = {id(p) for p in component.rule.parameters()}
        if component.rule.ordinal and any(p.requires_grad and id(p) not in own for p in component.parameters()):
            raise ArgumentError(
                f"{verb}: {component.rule!r} sees at most the order of the utilities, and the likelihood is flat in them; "
                "fix the utility, an.Tabular(an.fixed([...])), or fit a rule with a scale such as an.Luce()"
            )


def _word(value: Any) -> str:
    return f"{value.__name__}, without its brackets" if isinstance(value, type) else told(value)
