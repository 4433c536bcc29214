"""What two types of annotators would say, what would be learned from it, whether it could be known, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from annosim.designs.design import Design
from annosim.errors import ArgumentError, told
from annosim.identifiability.formatting import fold
from annosim.identifiability.identification import identify
from annosim.identifiability.report import VERDICTS, IdentifiabilityReport
from annosim.items import Items
from annosim.laws import law
from annosim.learning.projection import project
from annosim.parameters import fixed
from annosim.planning.cost import Cost
from annosim.planning.planner import plan
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.results import Result, versions
from annosim.rules.base import Rule
from annosim.rules.luce import Luce
from annosim.rules.probit import Thurstone
from annosim.rules.ties import Davidson
from annosim.utilities.tabular import Tabular

__all__ = ["NAMES", "OPENING", "QUESTIONS", "RULES", "Exploration", "Question", "RuleName", "explore"]

Question: TypeAlias = Literal["pairs", "pairs with ties", "best of three", "rankings of three"]
RuleName: TypeAlias = Literal["logit", "probit"]
QUESTIONS: tuple[Question, ...] = get_args(Question)
RULES: tuple[RuleName, ...] = get_args(RuleName)
#: The items; the utility of the first is zero for everybody, since answers reveal only differences.
NAMES = ("A", "B", "C")
_ITEMS = Items(names=list(NAMES))
#: Prices of the plan: one for an annotator, a tenth for an answer.
PRICE = Cost(annotator=1.0, answer=0.1)
#: Most answers of one annotator: the law of a block has outcomes to the power of their number.
MOST_ANSWERS = 3
#: How often a pair that is equally liked is called a tie, relative to each side (Davidson's delta).
TIES = 1.0
#: Utilities of either type and the share of the first with which the page opens.
OPENING = ((0.5, 3.0), (0.5, -6.0), 0.6)
#: Pages are threads of one process, in which torch numbers the levels of forward differentiation only once.
_ONE_AT_A_TIME = Lock()
#: Starts of the search for a twin, few enough to answer while somebody looks on.
STARTS = 4


@dataclass(frozen=True, eq=False, repr=False)
class Exploration(Result):
    """Everything that the page shows.

    Attributes:
        answers: ``(menu, answer)`` of each possible answer to one question, in words.
        people_law: ``(N,)`` their probabilities given the menu.
        learner_law: ``(N,)`` the same under the one reward model that infinite data would give.
        types: ``(2, 3)`` utilities of the types, 0 for the first item.
        mean: ``(3,)`` utilities averaged over people.
        learned: ``(3,)`` utilities of that reward model.
        policy: ``(3,)`` the policy of DPO with a uniform reference, ``softmax(learned / beta)``.
        report: the verdict on the two types.
        annotators: needed for the weights to within ``settings["precision"]``; ``inf`` where they cannot be known.
        answers_needed, cost: of so many annotators.
        reason: why the weights cannot be known, or ``""``.

    Example:
        >>> found = explore((1.0, 2.0), (1.0, 2.0), weight=0.5, question="pairs", answers=1, starts=0)
        >>> found.learned.round(4).tolist(), found.verdict
        ([0.0, 1.0, 2.0], 'not identified')
    """

    answers: tuple[tuple[str, str], ...]
    people_law: NDArray[np.float64]
    learner_law: NDArray[np.float64]
    types: NDArray[np.float64]
    mean: NDArray[np.float64]
    learned: NDArray[np.float64]
    policy: NDArray[np.float64]
    report: IdentifiabilityReport
    annotators: float
    answers_needed: float
    cost: float
    reason: str

    @property
    def verdict(self) -> str:
        """The verdict of ``identify`` in words."""
        return self.report.verdict.replace("_", " ")

    @property
    def meaning(self) -> str:
        """What the verdict says."""
        return VERDICTS[self.report.verdict]

    @property
    def twin(self) -> tuple[NDArray[np.float64], float] | None:
        """Utilities ``(2, 3)`` and weight of the first type of another population with the same law, if there is one."""
        if not isinstance(self.report.twin, Mixture):
            return None
        return _utilities(self.report.twin), float(self.report.twin.component_weights()[0].detach())

    @property
    def finding(self) -> str:
        """The item that the reward model puts first, beside the one that people like best on average."""
        liked, learned = (_first(values) for values in (self.mean, self.learned))
        if liked == learned:
            return f"Infinite data teach one reward model to prefer {learned}, as people do on average."
        return f"Infinite data teach one reward model to prefer {learned}; people on average prefer {liked}."

    @property
    def price(self) -> str:
        """The plan in a sentence."""
        if not np.isfinite(self.annotators):
            return f"No number of annotators shows the share of each type: {self.reason}."
        share = f"The share of each type to within ±{self.settings['precision']:g}"
        return f"{share}: {self.annotators:,.0f} annotators, {self.answers_needed:,.0f} answers, cost {self.cost:,.0f}."

    def _lines(self) -> list[tuple[str, object]]:
        lines: list[tuple[str, object]] = [
            ("learned", fold(self.finding)),
            ("verdict", fold(f"{self.verdict}: {self.meaning}")),
        ]
        return [*lines, ("cost", fold(self.price))]


def explore(
    first: tuple[float, float],
    second: tuple[float, float],
    weight: float = 0.6,
    *,
    rule: RuleName = "logit",
    question: Question = "pairs",
    answers: int = 1,
    beta: float = 1.0,
    precision: float = 0.05,
    starts: int = STARTS,
) -> Exploration:
    """Two types of annotators who compare the items A, B and C: their law, what is learned, and what it would cost.

    Args:
        first, second: utilities of B and C for either type; that of A is 0.
        weight: share of the first type.
        rule: ``"logit"`` (Bradley-Terry, Plackett-Luce; with ties Davidson) or ``"probit"`` (Thurstone).
        question: what is asked.
        answers: of each annotator, 1 to 3.
        beta: of DPO.
        precision: half-width of a 95 % interval for the weights, for the plan.
        starts: of the search for a twin.

    Raises:
        ArgumentError: an unknown rule or question, a number out of range, or ties with probit noise.

    Example:
        >>> explore((1.0, 1.0), (-1.0, -1.0), 0.5, starts=0).people_law.round(4).tolist()
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    _check(rule, question, answers, weight, beta, precision)
    with _ONE_AT_A_TIME:
        found = _explored(_pair(first), _pair(second), float(weight), rule, question, answers, float(precision), starts)
    return replace(found, policy=_softmax(found.learned / beta), settings=found.settings | {"beta": beta})


def _pair(utility: tuple[float, float]) -> tuple[float, float]:
    b, c = map(float, utility)
    return b, c


@lru_cache(maxsize=256)
def _explored(
    first: tuple[float, float],
    second: tuple[float, float],
    weight: float,
    rule: RuleName,
    question: Question,
    answers: int,
    precision: float,
    starts: int,
) -> Exploration:
    """Everything at beta = 1: only the policy depends on it. A slider that comes back finds what was there before."""
    people = Mixture(
        [Annotator(Tabular([0.0, *map(float, utility)]), _rule(rule, question)) for utility in (first, second)],
        weights=[weight, 1.0 - weight],
    )
    design = _design(question, answers)
    once = design.with_(questions=1)
    learner = project(Annotator(Tabular(3), _rule(rule, question)), people, once).population
    learned = _utilities(learner)[0]
    said, people_law = _one_answer(people, once)
    report = identify(people, design, starts=starts, seed=0)
    reason = _why_unknown(report)
    row = None
    if not reason:  # a plan asks the verdict again, which takes longest where it is no
        row = plan(people, {question: design}, target="weights", precision=precision, cost=PRICE, starts=0).rows[0]
    types = _utilities(people)
    settings = {"rule": rule, "question": question, "answers": answers, "weight": weight}
    return Exploration(
        answers=said,
        people_law=people_law,
        learner_law=_one_answer(learner, once)[1],
        types=types,
        mean=weight * types[0] + (1.0 - weight) * types[1],
        learned=learned,
        policy=_softmax(learned),
        report=report,
        annotators=np.inf if row is None else row.annotators,
        answers_needed=np.inf if row is None else row.answers,
        cost=np.inf if row is None else row.cost,
        reason=reason,
        settings=settings | {"precision": precision, "starts": starts, **versions()},
    )


def _check(rule: str, question: str, answers: int, weight: float, beta: float, precision: float) -> None:
    if rule not in RULES:
        raise ArgumentError(f"explore(rule={told(rule)}): use one of {', '.join(RULES)}")
    if question not in QUESTIONS:
        raise ArgumentError(f"explore(question={told(question)}): use one of {', '.join(QUESTIONS)}")
    if rule == "probit" and question == "pairs with ties":
        raise ArgumentError(
            "explore: ties have logit noise here (Davidson); choose rule='logit', or pairs without ties"
        )
    if answers not in range(1, MOST_ANSWERS + 1):
        raise ArgumentError(f"explore(answers={told(answers)}): between 1 and {MOST_ANSWERS}")
    if not 0.0 < weight < 1.0:
        raise ArgumentError(f"explore(weight={told(weight)}): between 0 and 1")
    for name, value in (("beta", beta), ("precision", precision)):
        if not (np.isfinite(value) and value > 0.0):
            raise ArgumentError(f"explore({name}={value!r}): a positive number")


def _rule(rule: RuleName, question: Question) -> Rule:
    if question == "pairs with ties":
        return Davidson(delta=fixed(TIES))
    return Luce() if rule == "logit" else Thurstone()


def _design(question: Question, answers: int) -> Design:
    size = 3 if question.endswith("three") else 2
    menus = [[0, 1], [0, 2], [1, 2]] if size == 2 else [[0, 1, 2]]
    feedback = "ranking" if question.startswith("rankings") else "choice"
    return Design(_ITEMS, menu_size=size, menus=menus, feedback=feedback, questions=answers)


def _one_answer(people: Population, once: Design) -> tuple[tuple[tuple[str, str], ...], NDArray[np.float64]]:
    """Answers in words, and their probabilities given the menu."""
    frame = law(people, once).to_frame()
    given = frame["probability"] / frame.groupby("menu")["probability"].transform("sum")
    return tuple(zip(frame["menu"], frame["answer"], strict=True)), given.to_numpy(dtype=float)


def _utilities(people: Population) -> NDArray[np.float64]:
    """``(types, 3)`` utilities, 0 for the first item."""
    values = np.array([c.utility(_ITEMS).detach().numpy() for c in people.components()], dtype=float)
    return values - values[:, :1]


def _why_unknown(report: IdentifiabilityReport) -> str:
    """Why no number of annotators shows the shares, or ``""``."""
    if report.exit_code == 0:
        return ""
    if report.verdict == "not_identified":
        return f"the answers fix {report.rank} of {report.num_parameters} numbers"
    return "another population has the same law" if report.twin is not None else f"the model is {report.verdict} here"


def _first(values: NDArray[np.float64]) -> str:
    """The items of the largest value."""
    return " and ".join(n for n, v in zip(NAMES, values, strict=True) if v > values.max() - 1e-6)


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()
