"""``check_rule`` and ``check_population``: laws for those who write their own annotators."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch

from annosim.checks.registry import Finding
from annosim.checks.result import CheckReport, CheckResult
from annosim.checks.statistics import compare_counts
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import AnnosimError, ArgumentError, told
from annosim.feedback import KINDS, AnswerSpace, Feedback
from annosim.items import Items
from annosim.laws import Law, law
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.random import CounterRNG
from annosim.results import versions
from annosim.rules.base import Rule, View
from annosim.rules.covariates import standard_covariates
from annosim.simulation.draws import simulate
from annosim.utilities.tabular import Tabular

__all__ = ["check_population", "check_rule"]

#: probability that a run raises a false alarm, over all of its statistical checks
LEVEL = 1e-6


def check_rule(
    rule: Rule,
    *,
    items: Items | None = None,
    kinds: Collection[str] | None = None,
    draws: int = 20_000,
    seed: int = 0,
    name: str | None = None,
    raise_on_failure: bool = True,
) -> CheckReport:
    """Hold a rule's three methods against one another, for every feedback kind that it defines.

    Args:
        rule: a rule, or response biases around one.
        items: three or more items; three without features by default.
        kinds: ask only about these kinds of feedback, as ``["choice", "ranking"]``; about all by default.
        draws: simulated answers per feedback kind.
        seed: of the draws.
        name: for the report.
        raise_on_failure: raise when a law does not hold; ``False`` returns the evidence whatever it says.

    Raises:
        CheckFailedError: a law does not hold; its ``report`` has all results.
        ArgumentError: ``kinds`` names none, or one that there is not.

    Returns:
        First whether every kind that the rule claims has a law; then one result per law and kind: probabilities sum
        to one, ``log_prob`` agrees with ``table``, samples follow the table (exact binomial, Bonferroni, level 1e-6
        for the run), the gradient agrees with differences (also, from either side, where utilities are equal), leading
        axes batch, and seeds are addresses.

    Example:
        >>> import annosim as an
        >>> from annosim.checks import check_rule
        >>> check_rule(an.Luce(temperature=2.0), draws=2000).passed
        True
    """
    items = Items(n=3) if items is None else items
    given = list(KINDS) if kinds is None else list(kinds) if isinstance(kinds, Iterable) else [kinds]
    asked = tuple(kind for kind in KINDS if kind in given)
    if not asked or any(kind not in KINDS for kind in given):
        raise ArgumentError(f"check_rule(kinds={told(kinds)}): give a list of some of {', '.join(KINDS)}")
    person = Annotator(Tabular(np.linspace(-0.8, 1.0, items.n)), rule)
    return _run(person, items, asked, draws, seed, name or type(rule).__name__).concluded(raise_on_failure)


def check_population(
    population: Population,
    items: Items,
    *,
    draws: int = 20_000,
    seed: int = 0,
    name: str | None = None,
    raise_on_failure: bool = True,
) -> CheckReport:
    """The same laws for a whole population on ``items``: its law against what it simulates.

    Args:
        population: who answers.
        items: the item set that its utilities read.
        draws: simulated annotators per feedback kind.
        seed: of the draws.
        name: for the report.
        raise_on_failure: raise when a law does not hold; ``False`` returns the evidence whatever it says.

    Raises:
        CheckFailedError: a law does not hold; its ``report`` has all results.

    Example:
        >>> import annosim as an
        >>> from annosim.checks import check_population
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., s]), an.Luce()) for s in (1., -1.)])
        >>> check_population(two, an.Items(n=2), draws=2000).passed
        True
    """
    return _run(population, items, KINDS, draws, seed, name or type(population).__name__).concluded(raise_on_failure)


def _run(population: Population, items: Items, kinds: Sequence[str], draws: int, seed: int, name: str) -> CheckReport:
    designs = {kind: design for kind in kinds if (design := _design(population, items, kind, draws)) is not None}
    laws: list[tuple[str, Callable[..., Finding]]] = [
        ("sums_to_one", _sums_to_one),
        ("log_prob_agrees_with_table", _log_prob_agrees),
        ("sample_follows_table", _sample_follows),
        ("gradient", _gradient),
        ("batches", _batches),
        ("seeds_are_addresses", _addresses),
    ]
    results = [_defines_something(population, kinds, designs)]
    for kind, design in designs.items():
        for label, run in laws:
            try:
                finding = run(population, design, seed, LEVEL / len(designs))
            except Exception as error:  # a rule is foreign code: whatever it raises on lawful questions is found
                finding = Finding(False, f"raised {type(error).__name__}: {error}")
            results.append(
                CheckResult(
                    f"{label}[{kind}]",
                    "passed" if finding.holds else "failed",
                    finding.p_value,
                    finding.evidence,
                    (run.__doc__ or "").strip(),
                )
            )
    return CheckReport(estimator=name, results=results, settings={"draws": draws, "seed": seed, **versions()})


def _defines_something(population: Population, kinds: Sequence[str], designs: dict[str, Design]) -> CheckResult:
    """Every kind of answer in a rule's ``kinds`` has a law, and there is one at least."""
    claimed = {kind for kind in kinds if all(kind in component.rule.kinds for component in population.components())}
    lacking = [kind for kind in kinds if kind in claimed and kind not in designs]
    good = bool(designs) and not lacking
    text = f"a law for {', '.join(designs) or 'nothing'}"
    text += f"; none for {', '.join(lacking)}, which its kinds claim" if lacking else ""
    return CheckResult("defines_its_kinds", "passed" if good else "failed", None, text, _first(_defines_something))


def _first(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").strip()


def _design(population: Population, items: Items, kind: str, annotators: int) -> Design | None:
    """The largest question of a kind for which the population has a law: three or two alternatives, any grades.

    Laws of pairs (Rao and Kupper) and scales of any length (two grades, or ten) are met in this way.
    """
    for k in range(min(3, items.n), 0, -1):
        for grades in (5, 2, 3, 4, 6, 7, 8, 9, 10) if kind == "rating" else (None,):
            menu = [list(range(k)), list(range(k))[::-1]][: 2 if k > 1 else 1]
            depth = max(1, k - 1) if kind == "top" else None
            try:
                feedback = Feedback(kind, depth, grades)
                shown = standard_covariates(population_covariates(population), len(menu), k)
                design = Design(items, menus=menu, feedback=feedback, annotators=annotators, covariates=shown)
                law(population, design.with_(annotators=1))
            except (AnnosimError, TypeError):
                continue
            return design
    return None


def population_covariates(population: Population) -> list[str]:
    """Names of the covariates of a question that somebody's rule reads, each once.

    Example:
        >>> import annosim as an
        >>> population_covariates(an.Annotator(an.Tabular(2), an.rules.Covariates(an.Luce(), ["length"])))
        ['length']
    """
    return list(dict.fromkeys(name for one in population.components() for name in one.rule.covariates))


def _sums_to_one(population: Population, design: Design, seed: int, level: float) -> Finding:
    """The probabilities of all answers to a menu sum to one."""
    table = law(population, design).table.exp().sum(-1)
    gap = float((table - 1).abs().max())
    return Finding(gap < 1e-9, f"largest distance from one {gap:.2g}")


def _log_prob_agrees(population: Population, design: Design, seed: int, level: float) -> Finding:
    """``log_prob`` of an answer is its entry of the table."""
    data = simulate(population, design.with_(annotators=200), seed=seed)
    worst = 0.0
    for component in population.components():
        index, _ = component.nodes(data.items)
        view, answer = _first_questions(data), data.answers()
        scores = index[0].double()[view.menu]
        space = component.rule.space(view)
        table = component.rule.table(scores, view, space)
        code = _answer_codes(data, space)
        direct = component.rule.log_prob(scores, answer, view)
        if (code < 0).any():
            return Finding(False, f"row {int((code < 0).nonzero()[0])} holds an answer that the table does not list")
        entry = table[torch.arange(len(code)), code]
        both_never = torch.isneginf(direct) & torch.isneginf(entry)
        worst = max(worst, float(torch.where(both_never, 0.0, (direct - entry).abs()).max().detach()))
    return Finding(worst < 1e-9, f"largest difference {worst:.2g}")


def _first_questions(data: PreferenceData) -> View:
    """A view of data with one question each: response biases with memory see that there was no answer before."""
    view = data.view()
    if view.previous is not None:
        return view
    width = view.feedback.width(view.k, data.tied is not None)
    return replace(view, previous=torch.full((data.rows, width), -1))


def _answer_codes(data: PreferenceData, space: AnswerSpace) -> torch.Tensor:
    marks = np.zeros((len(space), 0)) if space.tied is None else space.tied.astype(int)
    known = {(*a, *t): i for i, (a, t) in enumerate(zip(space.answer.tolist(), marks.tolist(), strict=True))}
    answer = data.answer[:, None] if data.answer.ndim == 1 else data.answer
    tied = np.zeros((data.rows, data.menu_size - 1), int) if data.tied is None else data.tied.astype(int)
    tied = tied if space.tied is not None else tied[:, :0]
    return torch.tensor([known.get((*a, *t), -1) for a, t in zip(answer.tolist(), tied.tolist(), strict=True)])


def _sample_follows(population: Population, design: Design, seed: int, level: float) -> Finding:
    """Samples follow the exact table: exact binomial per cell, Bonferroni."""
    exact = law(population, design)
    data = simulate(population, design, seed=seed)
    which = (data.menu[:, :1] != np.asarray(exact.menu)[0, 0]).astype(int)[:, 0] if len(exact.menu) > 1 else 0
    code = _answer_codes(data, exact.space).numpy()
    if (code < 0).any():
        return Finding(False, f"row {int(np.flatnonzero(code < 0)[0])} holds an answer that the table does not list")
    counts = np.bincount(which * len(exact.space) + code, minlength=len(exact.menu) * len(exact.space))
    test = compare_counts(counts, exact.marginal().numpy().reshape(-1))
    p = float(test.p_value)
    return Finding(p >= level, f"{len(counts)} cells, {data.rows} draws", p)


def _gradient(population: Population, design: Design, seed: int, level: float) -> Finding:
    """The gradient of the law in the free parameters agrees with differences: here, and where tables are equal."""
    if not population.num_free():
        return Finding(True, "nothing is free")

    def value(v: torch.Tensor) -> torch.Tensor:
        return population.functional_call(v, lambda p: law(p, design, differentiable=True).marginal())

    start, step = population.vector(), 1e-6
    central, steepest = _gap_to_differences(value, start, step, -step)
    if steepest == 0.0:
        return Finding(central < 1e-7, "the law is a step function: it knows no more than the order of the utilities")
    equal = population.with_parameters(
        {name: 0.0 * one for name, one in population.free_parameters().items() if name.endswith("utility.values")}
    ).vector()  # where a fit begins: a kink there has a gradient that leads nowhere
    sided = max(_gap_to_differences(value, equal, one, 0.0)[0] for one in (step, -step))
    return Finding(
        central < 1e-7 and sided < 1e-4,
        f"largest difference {central:.2g}; at equal utilities, from either side, {sided:.2g}",
    )


def _gap_to_differences(
    value: Callable[[torch.Tensor], torch.Tensor], at: torch.Tensor, up: float, down: float
) -> tuple[float, float]:
    """Largest distance of the derivatives at a point from differences of values up and down, and the largest of them."""
    jacobian = torch.func.jacrev(value)(at).detach()
    columns = [
        (value(at + up * move) - value(at + down * move)).detach() / (up - down)
        for move in torch.eye(len(at), dtype=at.dtype)
    ]
    return float((jacobian - torch.stack(columns, -1)).abs().max()), float(jacobian.abs().max())


def _batches(population: Population, design: Design, seed: int, level: float) -> Finding:
    """A leading axis of scores gives the same table as one call per entry."""
    worst = 0.0
    exact: Law = law(population, design)
    view = _first_questions(simulate(population, design.with_(annotators=6), seed=seed))
    for component in population.components():
        index, _ = component.nodes(design.items)
        scores = index[0].detach().double()[view.menu]
        both = torch.stack([scores, 0.5 * scores])
        together = component.rule.table(both, view, exact.space)
        apart = torch.stack([component.rule.table(s, view, exact.space) for s in both])
        gap = (together.exp() - apart.exp()).abs().max()
        worst = max(worst, float(gap.detach()))
    return Finding(worst < 1e-12, f"largest difference {worst:.2g}")


def _addresses(population: Population, design: Design, seed: int, level: float) -> Finding:
    """A longer run begins with the shorter one, and replicate r of R is replicate r drawn alone."""
    long = simulate(population, design.with_(annotators=50), seed=seed)
    short = simulate(population, design.with_(annotators=20), seed=seed)
    both = simulate(population, design.with_(annotators=20), seed=seed, replicates=2)
    alone = simulate(population, design.with_(annotators=20), seed=seed, replicate=1)
    same = np.array_equal(long.answer[: short.rows], short.answer) and np.array_equal(both.answer[1], alone.answer)
    entity = CounterRNG(seed, np.arange(4)).raw_uint32("answer", 2)
    return Finding(bool(same) and entity.shape == (4, 2), "prefix and replicate " + ("agree" if same else "differ"))
