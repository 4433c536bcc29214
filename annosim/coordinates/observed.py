"""What is looked at of each component and of the shares: the coordinates themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtri

from annosim.coordinates.questions import Question, behaviour, depends_on_level, questions_for
from annosim.items import Items
from annosim.populations.base import Component, Population
from annosim.populations.gated import Gated
from annosim.populations.random_tastes import RandomTastes
from annosim.random import uniform53

__all__ = ["Observed", "centred", "covariate_rows", "index_moments", "observed", "share_coordinates", "shares"]


def centred(index: torch.Tensor, items: Items, by_prompt: bool = True) -> torch.Tensor:
    """``index (..., n)`` minus its mean within each prompt (over all items with ``by_prompt=False``).

    Example:
        >>> centred(torch.tensor([0.0, 2.0, 5.0]), Items(n=3, prompts=[0, 0, 1])).tolist()
        [-1.0, 1.0, 0.0]
    """
    if items.num_prompts == 1 or not by_prompt:
        return index - index.mean(-1, keepdim=True)
    code = items.prompt_code.to(index.device)
    count = torch.bincount(code, minlength=items.num_prompts).to(index.dtype)
    total = torch.zeros((*index.shape[:-1], items.num_prompts), dtype=index.dtype, device=index.device)
    return index - (total.index_add(-1, code, index) / count)[..., code]


# ---- shares of the types -----------------------------------------------------------------------------------------


def covariate_rows(population: Population) -> int:
    """Rows of covariates on which the shares of the types depend; 0 where they are the same for everybody."""
    return max((len(part.covariates) for part in population.modules() if isinstance(part, Gated)), default=0)


def shares(population: Population) -> torch.Tensor:
    """Probabilities of the components by row of covariates ``(X, L)``; one row where everybody has the same."""
    rows = covariate_rows(population)
    by_person = population.annotator_weights(np.arange(rows)) if rows else None
    return population.component_weights()[None].double() if by_person is None else by_person.double()


def share_coordinates(population: Population) -> torch.Tensor:
    """Shares, or log ratios of shares where they depend on covariates (which saturated gates do not blur)."""
    share = shares(population)
    if not covariate_rows(population):
        return share.reshape(-1)
    log = torch.where(share > 0, share, 1.0).log()
    return (log[:, :-1] - log[:, -1:]).reshape(-1)


# ---- the distribution of the index -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Observed:
    """What is looked at of one component.

    Attributes:
        by_prompt: its answers depend on differences within prompts alone.
        questions: asked of its rule; empty where neither the level nor a free number could show.
        normal: tastes vary, and the index is linear in the normal coordinates.
        probes: ``(n, M)`` directions in which the covariance, or the distribution, is looked at; ``None`` where tastes do
            not vary.
    """

    by_prompt: bool
    questions: tuple[Question, ...]
    normal: bool = False
    probes: torch.Tensor | None = None

    def of(self, component: Component, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
        """The coordinates, and the same numbers before anything is centred (the scale of their rounding)."""
        if self.normal:
            mean, spread = index_moments(component, items)
            rows, weight = mean[None] if spread is None else torch.cat([mean[None], spread.mT]), None
            level = mean.mean()
        else:
            rows, weight = _nodes(component, items)
            level = (weight[:, None] * rows).sum(0).mean()
        if self.by_prompt:
            kept, level = centred(rows, items), torch.zeros((), dtype=torch.float64)
        else:
            kept = torch.cat([rows[:1] - level, rows[1:]]) if self.normal else rows - level
        answers = behaviour(component.rule, self.questions, level)
        return (
            torch.cat([self._distribution(kept, weight), answers]),
            torch.cat([self._distribution(rows, weight), answers]),
        )

    def _distribution(self, rows: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """The index; or mean and covariance; or means of smooth bounded functions that tell any two distributions apart."""
        if self.probes is None:
            return rows[0]
        if weight is None:
            return torch.cat([rows[0], (rows[1:].mT @ (rows[1:] @ self.probes)).reshape(-1)])
        shift = torch.linspace(-2.0, 2.0, self.probes.shape[1], dtype=torch.float64)
        return torch.cat([weight @ torch.tanh(rows @ self.probes), weight @ torch.tanh(rows @ self.probes + shift)])


def observed(component: Component, items: Items) -> Observed:
    questions = () if component.rule.follows_luce else questions_for(component.rule, items)
    by_level = depends_on_level(component.rule, items, questions)
    kept = questions if by_level or component.rule.num_free() else ()
    with torch.no_grad():
        mean, spread = index_moments(component, items)
    if spread is None:
        return Observed(not by_level, kept)
    normal = isinstance(component, RandomTastes) and _is_normal(component, items)
    return Observed(not by_level, kept, normal, _probes(component, items, centred(spread.mT, items), normal))


def _probes(component: Component, items: Items, spread: torch.Tensor, normal: bool) -> torch.Tensor:
    """Seeded directions: as many as the covariance has dimensions, or twice the free numbers at the scale of tastes."""
    count = min(items.n, len(spread) + 1) if normal else 2 * component.num_free() + 20
    rows = np.arange(items.n)[:, None]
    drawn = torch.as_tensor(ndtri(uniform53(0, "start", rows, np.arange(count))))
    if normal:
        return drawn
    sd = (spread @ drawn).norm(dim=0).clamp_min(1e-300)  # of the index along each direction
    return drawn / sd * torch.linspace(0.3, 3.0, count, dtype=torch.float64)


def _nodes(component: Component, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
    index, weight = component.nodes(items)
    return index.double(), weight.double()


def index_moments(component: Component, items: Items) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Mean index ``(n,)`` and a factor ``(n, d)`` of its covariance, exact where the index is linear in normal
    coordinates and by the component's nodes otherwise; ``None`` where tastes do not vary."""
    if isinstance(component, RandomTastes) and _is_normal(component, items):
        z = torch.cat([torch.zeros(1, component.dim), torch.eye(component.dim)]).double()
        index = component.rule.index(component.utilities(component.tastes(z), items), items).double()
        return index[0], (index[1:] - index[0]).mT
    index, weight = _nodes(component, items)
    if len(weight) == 1:
        return index[0], None
    mean = weight @ index
    return mean, ((index - mean) * weight.sqrt()[:, None]).mT


def _is_normal(component: RandomTastes, items: Items) -> bool:
    """Whether the index is linear in the normal coordinates, tried at a few points."""
    points = torch.as_tensor(
        ndtri(uniform53(0, "analysis", np.arange(component.dim + 3)[:, None], np.arange(component.dim)))
    )
    with torch.no_grad():
        z = torch.cat([torch.zeros(1, component.dim), torch.eye(component.dim), points]).double()
        index = component.rule.index(component.utilities(component.tastes(z), items), items).double()
    start, slopes, tried = index[0], index[1 : component.dim + 1] - index[0], index[component.dim + 1 :] - index[0]
    scale = slopes.abs().max() + start.abs().max()
    return bool(((tried - points @ slopes).abs() <= 1e-9 * scale).all())
