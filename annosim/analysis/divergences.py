"""Divergences between densities on items, and between laws of answers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import ArrayLike

from annosim.arrays import Numbers
from annosim.designs.design import Design
from annosim.errors import ArgumentError, TooLargeError
from annosim.items import Items
from annosim.laws import Law, on_menus
from annosim.parameters import Fixed
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.random import CounterRNG, uniform53
from annosim.results import Result, versions
from annosim.utilities.base import Density
from annosim.utilities.densities import as_log_density, normalise

__all__ = [
    "LawDivergence",
    "kl_divergence",
    "law_divergence",
    "over_prompts",
    "prompt_quantiles",
    "prompt_sums",
    "relative_entropy_terms",
    "total_variation",
]


#: A density, or its vector of densities with respect to ``items.weights``.
DensityLike: TypeAlias = Density | Numbers | Fixed


@overload
def total_variation(p: DensityLike, q: DensityLike, items: Items, per_prompt: Literal[False] = False) -> float: ...
@overload
def total_variation(p: DensityLike, q: DensityLike, items: Items, *, per_prompt: Literal[True]) -> torch.Tensor: ...
@overload
def total_variation(p: DensityLike, q: DensityLike, items: Items, per_prompt: bool = False) -> float | torch.Tensor: ...
def total_variation(p: DensityLike, q: DensityLike, items: Items, per_prompt: bool = False) -> float | torch.Tensor:
    r"""Total variation ``1/2 int |p - q|`` between two densities on items.

    Args:
        p, q: densities (or vectors of densities with respect to ``items.weights``).
        items: where they live; sums are against the base measure ``items.weights``.
        per_prompt: give one value per prompt (ascending ids) instead of their mean.

    Returns:
        A float in [0, 1], or a float64 tensor ``(prompts,)``.

    Example:
        >>> round(total_variation([0.5, 0.5], [0.9, 0.1], Items(n=2)), 12)
        0.4
    """
    log_p, log_q = log_density(p, items), log_density(q, items)
    parts = 0.5 * (log_p.exp() - log_q.exp()).abs() * items.weights
    return over_prompts(parts, items, per_prompt)


@overload
def kl_divergence(p: DensityLike, q: DensityLike, items: Items, per_prompt: Literal[False] = False) -> float: ...
@overload
def kl_divergence(p: DensityLike, q: DensityLike, items: Items, *, per_prompt: Literal[True]) -> torch.Tensor: ...
@overload
def kl_divergence(p: DensityLike, q: DensityLike, items: Items, per_prompt: bool = False) -> float | torch.Tensor: ...
def kl_divergence(p: DensityLike, q: DensityLike, items: Items, per_prompt: bool = False) -> float | torch.Tensor:
    r"""Kullback-Leibler divergence ``int p log(p / q)`` in nats; infinite when q misses mass of p.

    Args:
        p, q: densities (or vectors of densities with respect to ``items.weights``).
        items: where they live.
        per_prompt: give one value per prompt (ascending ids) instead of their mean.

    Returns:
        A nonnegative float, or a float64 tensor ``(prompts,)``.

    Example:
        >>> round(kl_divergence([0.5, 0.5], [0.9, 0.1], Items(n=2)), 4)
        0.5108
    """
    log_p, log_q = log_density(p, items), log_density(q, items)
    return over_prompts(relative_entropy_terms(log_p, log_q) * items.weights, items, per_prompt)


def log_density(value: DensityLike, items: Items) -> torch.Tensor:
    """Log density of each item ``(n,)``, normalised on these items: a language model is read as conditional on them."""
    return normalise(as_log_density(value, items), items)


def relative_entropy_terms(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """``p log(p/q) - p + q`` entry by entry: nonnegative each, so that rounding cannot make the sum negative."""
    p, q = log_p.exp(), log_q.exp()
    gap = torch.where(torch.isneginf(log_p), 0.0, log_p - log_q)
    near = p * (gap + torch.expm1(-gap.clamp(-1.0, 1.0)))  # no cancellation where the densities nearly agree
    return torch.where(p > 0, torch.where(gap.abs() < 1, near, p * gap - p + q), q)


def prompt_sums(values: torch.Tensor, items: Items) -> torch.Tensor:
    """Sums of ``(..., n)`` values within each prompt, ``(..., prompts)``, prompts in ascending order of id."""
    out = torch.zeros(*values.shape[:-1], items.num_prompts, dtype=values.dtype)
    return out.scatter_add(-1, items.prompt_code.expand(values.shape), values)


def prompt_quantiles(values: torch.Tensor, masses: torch.Tensor, level: float, items: Items) -> torch.Tensor:
    """The smallest value v of each prompt's items with ``P(value <= v) >= level``, ``(prompts,)`` float64.

    Args:
        values, masses: ``(n,)``; masses add to one in each prompt.
        level: between 0 and 1.
        items: prompts in ascending order of id.

    Example:
        >>> prompt_quantiles(torch.tensor([3.0, 1.0, 2.0, 4.0]), torch.full((4,), 0.25), 0.5, Items(n=4)).tolist()
        [2.0]
    """
    out = torch.empty(items.num_prompts, dtype=torch.float64, device=values.device)
    for codes, ids in items.members_by_size:
        ordered, place = values[ids].sort(dim=-1, stable=True)
        upto = masses[ids].gather(-1, place).cumsum(-1)
        # rounding in the cumulative sum must not push an exact level to the next response
        at = torch.searchsorted(upto, level * upto[:, -1:] - 1e-12).clamp_max(ids.shape[1] - 1)
        out[codes] = ordered.gather(-1, at)[:, 0].double()
    return out


def over_prompts(parts: torch.Tensor, items: Items, per_prompt: bool) -> float | torch.Tensor:
    """Sums of ``(n,)`` parts within each prompt, or their mean over prompts."""
    sums = prompt_sums(parts, items)
    return sums if per_prompt else float(sums.mean())


@dataclass(frozen=True, eq=False, repr=False)
class LawDivergence(Result):
    """How far apart two laws of answers are.

    Attributes:
        total_variation: between the laws of one annotator's block (given its menus, on average).
        kl: KL(truth || other) of the block, nats.
        excess_cross_entropy: KL per answer, nats: what a forecaster of single answers loses by using ``other``.
        total_variation_error, kl_error: standard errors when they were estimated, 0 when exact.
        method: ``"exact"``, ``"factors"`` (KL exact, total variation sampled) or ``"sample"``.

    Example:
        >>> import annosim as an
        >>> same = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> an.analysis.law_divergence(same, same, an.Design(an.Items(n=2))).method
        'exact'
    """

    total_variation: float
    kl: float
    excess_cross_entropy: float
    total_variation_error: float
    kl_error: float
    method: str

    def _lines(self):
        error = lambda e: f" +- {e:.2g}" if e else ""  # noqa: E731
        return [
            ("total variation", f"{self.total_variation:.6g}{error(self.total_variation_error)}"),
            ("KL(truth || other)", f"{self.kl:.6g}{error(self.kl_error)} nats per annotator"),
            ("excess cross-entropy", f"{self.excess_cross_entropy:.6g} nats per answer"),
            ("method", self.method),
        ]


def law_divergence(
    truth: Population,
    other: Population,
    design: Design,
    *,
    max_outcomes: float = 1e6,
    max_menus: float = 2e5,
    draws: int = 20_000,
    seed: int = 0,
) -> LawDivergence:
    """Distance between the laws of one annotator's block of answers under two populations.

    Exact by enumeration up to ``max_outcomes``. Beyond it, blocks of two populations with one component each are
    products, so that the KL is a sum over questions (``factors``); everything else is a mean over ``draws`` blocks from
    the truth at ``seed`` with its standard error (``sample``). The last is used too when there are more than
    ``max_menus`` menus; menus are then drawn from the design.

    Args:
        truth: the population from which answers come.
        other: the population that is compared with it.
        design: what is asked.

    Raises:
        AnswerKindError: a rule does not define the design's feedback.

    Example:
        >>> import annosim as an
        >>> design = an.Design(an.Items(n=2), menus=[[0, 1]])
        >>> a, b = (an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, 0.0))
        >>> round(law_divergence(a, b, design).total_variation, 4)
        0.2311
    """
    both = Mixture([truth, other])
    settings = {"draws": 0, "seed": None, **versions()}
    try:
        menus = design.enumerate(max_menus if design.menus is None else np.inf)
    except TooLargeError:
        return _on_sampled_menus(truth, both, design, draws, seed, settings)
    with torch.no_grad():
        p, q = _split(on_menus(both, design, *menus, max_outcomes=max_outcomes), truth, design)
    excess = _excess(p, q)
    if p.num_outcomes <= max_outcomes:
        tv, kl = _enumerated(p, q)
        return LawDivergence(tv, kl, excess, 0.0, 0.0, "exact", settings=settings)
    settings |= {"draws": draws, "seed": seed}
    which = _draw_menus(p, draws, seed)
    tv, tv_error, kl, kl_error = _sampled(p, q, which, seed)
    if len(p.weight) == len(q.weight) == 1 and p.table.shape[1] == 1:
        return LawDivergence(tv, _product_kl(p, q), excess, tv_error, 0.0, "factors", settings=settings)
    return LawDivergence(tv, kl, excess, tv_error, kl_error, "sample", settings=settings)


def _split(both: Law, truth: Population, design: Design) -> tuple[Law, Law]:
    """The two laws, on the same answers, out of the law of the half-and-half mixture of the populations."""
    count = sum(len(c.weight) for c in truth.indexed(design.items))
    first, second = slice(0, count), slice(count, None)
    return tuple(  # type: ignore[return-value]
        dataclasses.replace(
            both, weight=both.weight[s] / both.weight[s].sum(), component=both.component[s], table=both.table[:, :, s]
        )
        for s in (first, second)
    )


def _enumerated(p: Law, q: Law) -> tuple[float, float]:
    blocks = torch.as_tensor(p.outcomes, dtype=torch.long)
    log_p = p.log_probability(blocks[..., 0], blocks[..., 1])
    log_q = q.log_probability(blocks[..., 0], blocks[..., 1])
    tv = 0.5 * float((log_p.exp() - log_q.exp()).abs().sum())
    return tv, float(relative_entropy_terms(log_p, log_q).sum())


def _question_terms(p: Law, q: Law, j: int) -> torch.Tensor:
    """KL of the j-th answer given its menu, ``(M,)``."""
    log_p = torch.logsumexp(p.weight.log()[:, None, None] + p.question(j), 0)
    log_q = torch.logsumexp(q.weight.log()[:, None, None] + q.question(j), 0)
    return relative_entropy_terms(log_p, log_q).sum(-1)


def _excess(p: Law, q: Law) -> float:
    """KL per answer, over the places of the sequence (the first place, when a rule remembers)."""
    reach = torch.as_tensor(p.reach)
    if p.table.shape[1] > 1:  # a rule remembers: the first place
        reach = reach[:1]
    elif len(p.table) == 1:
        terms = _question_terms(p, q, 0)
        return float((terms * reach).sum() / reach.sum() if p.fixed_sequence else (terms * p.menu_probability).sum())
    each = [_question_terms(p, q, j) for j in range(len(reach))]
    terms = torch.stack(
        [one[j] if p.fixed_sequence else (p.menu_probability * one).sum() for j, one in enumerate(each)]
    )
    return float((terms * reach).sum() / reach.sum())


def _product_kl(p: Law, q: Law) -> float:
    return _excess(p, q) * p.mean_questions


def _draw_menus(p: Law, draws: int, seed: int) -> torch.Tensor:
    """Menu numbers of ``draws`` blocks, ``(draws, questions)``; -1 fills the blocks of those who get fewer."""
    if p.fixed_sequence:
        return _cut_to_loads(torch.arange(p.questions).expand(draws, -1), p.design)
    u = torch.as_tensor(CounterRNG(seed, np.arange(draws)).uniform("menu", p.questions))
    cdf = p.menu_probability.cumsum(0)
    return _cut_to_loads(torch.searchsorted(cdf, u * cdf[-1], right=True).clamp_max(len(cdf) - 1), p.design)


def _cut_to_loads(menus: torch.Tensor, design: Design) -> torch.Tensor:
    """Blocks of the design's loads in their shares: each block keeps its first questions, -1 fills the rest."""
    share = np.cumsum(list(design.load_shares.values()))
    place = (np.arange(len(menus)) + 0.5) / len(menus)
    load = np.array(list(design.load_shares))[np.searchsorted(share, place * share[-1])]
    return torch.where(torch.arange(menus.shape[1]) < torch.as_tensor(load)[:, None], menus, -1)


def _invert(probability: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    cdf = probability.cumsum(-1)
    return torch.searchsorted(cdf, (u * cdf[..., -1])[..., None], right=True)[..., 0].clamp_max(cdf.shape[-1] - 1)


def _draw_answers(p: Law, menus: torch.Tensor, seed: int) -> torch.Tensor:
    draws, questions = menus.shape
    u = torch.as_tensor(uniform53(seed, "analysis", np.arange(draws)[:, None], np.arange(questions + 1)))
    kind = _invert(p.weight.expand(draws, -1), u[:, 0])
    previous = torch.full((draws,), len(p.space), dtype=torch.long)
    out = []
    for j in range(questions):
        part = p.table[j if len(p.table) > 1 else 0]
        at = previous if len(part) > 1 else torch.zeros_like(previous)
        previous = _invert(part[at, kind, menus[:, j].clamp_min(0)].exp(), u[:, j + 1])  # not read beyond the load
        out.append(previous)
    return torch.stack(out, -1)


def _sampled(p: Law, q: Law, menus: torch.Tensor, seed: int) -> tuple[float, float, float, float]:
    """Total variation and KL with their standard errors, from blocks drawn from p at given menus."""
    answers = _draw_answers(p, menus, seed)
    p, q = p.given_menus, q.given_menus
    ratio = q.log_probability(menus, answers) - p.log_probability(menus, answers)
    distance = -torch.expm1(ratio.clamp_max(0.0))  # E_p (1 - q/p)^+ is the total variation
    surprise = -ratio
    if not _wider_support(p, q):  # then E_p q/p = 1, and q/p - 1 is a control variate of -log q/p
        mean_zero = torch.expm1(ratio)
        spread = mean_zero.var()
        if float(spread) > 0 and bool(torch.isfinite(spread)):
            slope = ((surprise - surprise.mean()) * mean_zero).mean() / spread
            surprise = surprise - slope * mean_zero
    root = len(menus) ** 0.5
    return (float(distance.mean()), float(distance.std() / root), float(surprise.mean()), float(surprise.std() / root))


def _wider_support(p: Law, q: Law) -> bool:
    """Whether q gives some answer that p never gives."""
    never = torch.isneginf(p.table).all(2) & ~torch.isneginf(q.table).all(2)
    return bool(never.any())


def _on_sampled_menus(
    truth: Population, both: Population, design: Design, draws: int, seed: int, settings: dict[str, Any]
) -> LawDivergence:
    q_count = design.num_questions
    draws = max(1000, min(draws, int(4e5) // q_count))
    entity = np.arange(draws * q_count)
    menu = design.sample(CounterRNG(seed, entity))
    with torch.no_grad():
        chance = torch.full((len(menu),), 1 / len(menu), dtype=torch.float64)
        p, q = _split(on_menus(both, design, menu, chance), truth, design)
    which = _cut_to_loads(torch.arange(len(menu)).reshape(draws, q_count), design)
    tv, tv_error, kl, kl_error = _sampled(p, q, which, seed)
    settings |= {"draws": draws, "seed": seed, "menus": "sampled"}
    return LawDivergence(tv, kl, _excess(p, q), tv_error, kl_error, "sample", settings=settings)


def check_probabilities(name: str, values: ArrayLike) -> np.ndarray:
    """Float64 array of numbers in [0, 1].

    Raises:
        ArgumentError: a value is not a probability.
    """
    out = np.asarray(values, dtype=np.float64)
    if not bool(((out >= 0) & (out <= 1)).all()):
        raise ArgumentError(f"{name}: not all values are probabilities; give numbers from 0 to 1")
    return out
