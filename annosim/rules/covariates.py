"""Covariates: what an alternative shows in this question alone (its length, its price, that it plays at home) sways choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.special import ndtri

from annosim.errors import ArgumentError, told
from annosim.parameters import Model, ParameterLike, describe, free
from annosim.random import uniform53
from annosim.rules.base import Rule, View
from annosim.rules.response_biases import ResponseBias

__all__ = ["Coefficients", "Covariates", "covariate_of", "standard_covariates"]


class Coefficients(Model):
    """The coefficients of covariates, each a number under the covariate's name.

    Args:
        coefficients: real numbers by name; ``free(start)`` to estimate one.

    Raises:
        ArgumentError: no names, a name with a dot or that torch modules already have, or a number that is not finite.

    Example:
        >>> Coefficients({"length": 0.5})
        Coefficients(length=0.5)
    """

    def __init__(self, coefficients: Mapping[str, ParameterLike]):
        super().__init__()
        if not coefficients:
            raise ArgumentError("Covariates(covariates=): no names; give at least one, ['length']")
        for name, value in coefficients.items():
            if not isinstance(name, str) or not name or "." in name or hasattr(torch.nn.Module, name):
                raise ArgumentError(f"Covariates(covariates=): {name!r} cannot name a number; rename the covariate")
            self.declare(name, value, ndim=0)

    def __repr__(self) -> str:
        return describe(self)


class Covariates(ResponseBias):
    r"""Adds ``sum_c coefficient_c * x_c`` to each score, ``x_c`` the alternative's covariate **in this question**.

    ``s_rj = u(item_rj) + sum_c b_c x_rjc``: a conditional logit with alternative-specific covariates (McFadden 1974)
    around Luce's rule, style control of model strengths (Li, Angelopoulos and Chiang 2024, "Does style matter?"), home
    advantage (Agresti 2002, 10.6.4) where the covariate is 1 for who plays at home. A covariate belongs to the question,
    as its menu does: ``data.covariates``, ``Design(covariates=)``. What belongs to the item wherever it is shown is an
    :class:`~annosim.rules.AttributeBias`. Types of a mixture that are given the same rule share its coefficients.

    Args:
        rule: the wrapped rule.
        covariates: names, whose coefficients are all estimated, from 0; or coefficients by name, fixed as they are,
            ``free(start)`` to estimate one.

    Raises:
        ArgumentError: a name that is none; where answers are asked for, a question without one of the covariates.

    Example:
        >>> import annosim as an
        >>> rule = an.rules.Covariates(an.Luce(), {"length": 0.5})
        >>> design = an.Design(an.Items(n=2), menus=[[0, 1]], covariates={"length": [[2.0, 0.0]]})
        >>> an.law(an.Annotator(an.Tabular([0.0, 0.0]), rule), design).probabilities.round(4).tolist()
        [0.7311, 0.2689]
    """

    def __init__(self, rule: Rule, covariates: Sequence[str] | Mapping[str, ParameterLike]):
        super().__init__(rule)
        if isinstance(covariates, str) or not isinstance(covariates, Sequence | Mapping):
            raise ArgumentError(
                f"Covariates(covariates={told(covariates)}): a list of names, or coefficients by name, {{'length': 0.5}}"
            )
        odd = [name for name in covariates if not isinstance(name, str)]
        if odd:
            raise ArgumentError(f"Covariates(covariates=): {odd[0]!r} cannot name a number; rename the covariate")
        twice = sorted(set(rule.covariates) & set(covariates))
        if twice or len(set(covariates)) < len(covariates):
            name = twice[0] if twice else max(covariates, key=list(covariates).count)
            raise ArgumentError(f"Covariates(covariates=): {name!r} is there twice; give one coefficient for it")
        named = covariates if isinstance(covariates, Mapping) else dict.fromkeys(covariates, free(0.0))
        self.coefficients = Coefficients(named)

    @property
    def unbounded(self) -> bool:  # type: ignore[override]
        """As the wrapped rule."""
        return self.rule.unbounded

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its own covariates."""
        return tuple(self.coefficients.declared)

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of its own covariates, and of those that the wrapped rule reads."""
        return (*self.names, *self.rule.covariates)

    def distort(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """Scores with what the question's covariates add, ``(..., rows, k)``."""
        for name in self.names:
            coefficient = getattr(self.coefficients, name).to(scores)
            scores = scores + coefficient * covariate_of(view, name).to(scores)
        return scores


def covariate_of(view: View, name: str) -> torch.Tensor:
    """A covariate as a question shows it, ``(rows, k)``.

    Raises:
        ArgumentError: the question has none of this name.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[0], covariates={"length": [3.0]})
        >>> covariate_of(data.view(), "price")
        Traceback (most recent call last):
        annosim.errors.ArgumentError: Covariates: these questions have no covariate 'price', they have 'length'; ...
    """
    if name not in view.covariates:
        have = f"they have {', '.join(map(repr, view.covariates))}" if view.covariates else "nor any other"
        raise ArgumentError(
            f"Covariates: these questions have no covariate {name!r}, {have}; give it with the data, "
            f"an.io.read(..., covariates=[{name!r}]) or data.with_covariates([{name!r}]), or with the menus, "
            f"an.Design(..., menus=..., covariates={{{name!r}: ...}})"
        )
    return view.covariates[name]


def standard_covariates(names: Sequence[str], rows: int, k: int) -> dict[str, torch.Tensor]:
    """Standard normal covariates of questions that are asked to see what a rule does, each ``(rows, k)``, always the same.

    Example:
        >>> standard_covariates(["length"], 2, 3)["length"].shape
        torch.Size([2, 3])
    """
    at = np.arange(rows)[:, None], np.arange(k)
    return {name: torch.as_tensor(ndtri(uniform53(number, "analysis", *at))) for number, name in enumerate(names, 1)}
