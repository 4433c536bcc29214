"""The law of one annotator's whole block of answers, written out exactly.

Given the type, answers are independent, so a :class:`Law` stores one question's table per component and the weights,
never the product over questions; ``outcomes`` and ``probabilities`` are made on demand.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError, TooLargeError, told
from annosim.feedback import AnswerSpace
from annosim.items import Items
from annosim.populations.annotator import check_utilities
from annosim.populations.base import IndexedComponent, Population, gather
from annosim.results import Result
from annosim.rules.base import View

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Law", "law"]


@dataclass(frozen=True, eq=False, repr=False)
class Law(Result):
    """The exact law of one annotator's block: how many questions, menus drawn, and answers given.

    :attr:`outcomes` and :attr:`probabilities` are numpy arrays, and :meth:`to_frame` names them. The factors are torch
    tensors; they carry gradients only in a law made with ``differentiable=True``.

    Attributes:
        design: the design.
        menu: ``(M, k)`` long, the distinct menus.
        menu_probability: ``(M,)`` float64.
        weight: ``(C,)`` float64 probabilities of the types, or of the quadrature nodes of tastes.
        component: ``(C,)`` long, the component of the population (its number) to which each of these belongs.
        table: ``(J, P, C, M, A)`` float64 log-probabilities of each answer. J is 1, or the number of questions when a
            rule depends on the place in the sequence; P is 1, or A + 1 when a rule remembers the previous answer
            (index A: none yet).
        space: the ``A`` answers.
        max_outcomes: limit for :attr:`probabilities`.
        menus_given: whether the probabilities condition on the menus.
        covariates: of the alternatives as the menus show them, each ``(M, k)``.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0, 0.0]), an.Luce())
        >>> exact = an.law(people, an.Design(an.Items(n=3), menu_size=3, questions=2))
        >>> exact.num_outcomes, exact.table.shape  # 6 ordered menus, 3 answers, one type
        (324, torch.Size([1, 1, 1, 6, 3]))
    """

    design: Design
    menu: torch.Tensor
    menu_probability: torch.Tensor
    weight: torch.Tensor
    component: torch.Tensor
    table: torch.Tensor
    space: AnswerSpace
    max_outcomes: float = 1e7
    menus_given: bool = False
    covariates: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def questions(self) -> int:
        """Questions in the longest block."""
        return self.design.num_questions

    @property
    def reach(self) -> NDArray[np.float64]:
        """``(questions,)`` probability that a block has a question at each place: ones unless loads differ."""
        places = np.arange(self.questions)
        return np.asarray(sum(share * (places < load) for load, share in self.design.load_shares.items()))

    @property
    def mean_questions(self) -> float:
        """Mean number of questions in a block."""
        return float(self.reach.sum())

    @property
    def fixed_sequence(self) -> bool:
        """Every annotator gets the listed menus in order (``questions="all"``)."""
        return self.design.questions == "all"

    @property
    def num_outcomes(self) -> int:
        """How many outcomes a block has."""
        m, a = len(self.menu), len(self.space)
        return sum((a if self.fixed_sequence else m * a) ** load for load in self.design.load_shares)

    def question(self, j: int = 0, previous: int | None = None) -> torch.Tensor:
        """Log-table of the j-th question, ``(C, M, A)``; ``previous`` is an answer number when a rule remembers."""
        part = self.table[j if len(self.table) > 1 else 0]
        return part[len(part) - 1 if previous is None else previous]

    @property
    def given_menus(self) -> Law:
        """The law conditional on the menus: ``probabilities`` then sum to one for every sequence of menus."""
        return replace(self, menus_given=True)

    def of_load(self, questions: int) -> Law:
        """The law of the annotators who get this many questions."""
        cut = questions if self.fixed_sequence else len(self.menu)
        return replace(
            self,
            design=self.design.of_load(questions),
            menu=self.menu[:cut],
            menu_probability=self.menu_probability[:cut],
            covariates={name: value[:cut] for name, value in self.covariates.items()},
            table=self.table[:questions, :, :, :cut],
        )

    @cached_property
    def outcomes(self) -> NDArray[np.int32]:
        """``(N, questions, 2)`` menu and answer number of each question, in lexicographic order.

        Where annotators get different numbers of questions, shorter blocks come first, filled with -1.
        """
        self.check_size()
        blocks = [self._outcomes_of(load) for load in self.design.load_shares]
        return np.concatenate(
            [np.pad(b, ((0, 0), (0, self.questions - b.shape[1]), (0, 0)), constant_values=-1) for b in blocks]
        )

    def _outcomes_of(self, q: int) -> NDArray[np.int32]:
        m, a = len(self.menu), len(self.space)
        if self.fixed_sequence:
            answers = np.array(list(itertools.product(range(a), repeat=q)), dtype=np.int32).reshape(-1, q)
            return np.stack([np.broadcast_to(np.arange(q, dtype=np.int32), answers.shape), answers], -1)
        codes = np.indices((m * a,) * q, dtype=np.int32).reshape(q, -1).T
        return np.stack([codes // a, codes % a], -1)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """``(N,)`` probabilities of :attr:`outcomes`; they sum to one."""
        return self.probability_tensor.detach().numpy()

    @cached_property
    def probability_tensor(self) -> torch.Tensor:
        """:attr:`probabilities` as a torch tensor; differentiable where the law is."""
        outcomes = torch.as_tensor(self.outcomes, dtype=torch.long)
        return self.log_probability(outcomes[..., 0], outcomes[..., 1]).exp()

    def log_probability(self, menus: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        """Log-probability of blocks given by menu and answer numbers, both ``(N, questions)``; differentiable.

        Where annotators get different numbers of questions, -1 fills the shorter blocks.
        """
        joint = torch.zeros(len(self.weight), len(menus), dtype=torch.float64)
        previous = torch.full((len(menus),), len(self.space), dtype=torch.long)
        chance = self._log_load(menus)
        for j in range(menus.shape[1]):
            asked = menus[:, j] >= 0
            menu, answer = menus[:, j].clamp_min(0), answers[:, j].clamp_min(0)
            part = self.table[j if len(self.table) > 1 else 0]
            at = previous if len(part) > 1 else torch.zeros_like(previous)
            joint = joint + torch.where(asked, part[at, :, menu, answer].T, 0.0)
            previous = answer
            if not self.fixed_sequence and not self.menus_given:
                chance = chance + torch.where(asked, self.menu_probability[menu].log(), 0.0)
        return torch.logsumexp(self.weight.log()[:, None] + joint, 0) + chance

    def _log_load(self, menus: torch.Tensor) -> torch.Tensor:
        """Log-probability that a block has as many questions, ``(N,)``; zero given the menus."""
        shares = self.design.load_shares
        if self.menus_given or len(shares) == 1:
            return torch.zeros(len(menus), dtype=torch.float64)
        share = torch.zeros(self.questions + 1, dtype=torch.float64)
        share[list(shares)] = torch.tensor(list(shares.values()), dtype=torch.float64)
        return share.log()[(menus >= 0).sum(-1)]

    def check_size(self) -> None:
        """Refuse to write out more than :attr:`max_outcomes`.

        Raises:
            TooLargeError: counts the outcomes and names the remedies.
        """
        if self.num_outcomes > self.max_outcomes:
            raise TooLargeError(
                f"the law has {self.num_outcomes:.3g} outcomes, more than max_outcomes={self.max_outcomes:.3g}; ask "
                "fewer questions, fix a shorter list with menus=, or raise max_outcomes (ranks, information and "
                "distances work on the factors and do not need the outcomes)"
            )

    def marginal(self) -> torch.Tensor:
        """The law of the first question, ``(M, A)``: P(menu, answer), summed over components; differentiable."""
        p = (self.weight[:, None, None] * self.question(0).exp()).sum(0)
        return p if self.menus_given else self.menu_probability[:, None] * p

    def expected_counts(self) -> torch.Tensor:
        """How often a block shows each menu and gets each answer, on average, ``(M, A)``; differentiable."""
        if self.table.shape[1] == 1:
            tables = (self.weight[:, None, None] * self.table[:, 0].exp()).sum(1)  # (J, M, A)
            asked = torch.as_tensor(self.reach)
            if self.fixed_sequence:
                return self.counts_by_place().sum(0)
            asked = asked if len(tables) > 1 else asked.sum()[None]
            return (asked[:, None, None] * tables).sum(0) * self.menu_probability[:, None]
        counts = torch.zeros(len(self.menu) * len(self.space), dtype=torch.float64)
        outcomes, p = torch.as_tensor(self.outcomes, dtype=torch.long), self.probability_tensor
        for j in range(self.questions):
            asked = outcomes[:, j, 0] >= 0
            code = outcomes[asked, j, 0] * len(self.space) + outcomes[asked, j, 1]
            counts = counts.scatter_add(0, code, p[asked])
        return counts.reshape(len(self.menu), len(self.space))

    def counts_by_place(self) -> torch.Tensor:
        """How often the question at each place of a block shows each menu and gets each answer, ``(questions, M, A)``.

        Of people without a memory: from the factors, without the outcomes.

        Example:
            >>> import annosim as an
            >>> tired = an.Annotator(an.Tabular([0.0, 1.0]), an.rules.Fatigue(an.Luce(), 9.0))
            >>> law = an.law(tired, an.Design(an.Items(n=2), menus=[[0, 1]] * 2, questions="all"))
            >>> law.counts_by_place().sum(1).round(decimals=2).tolist()
            [[0.27, 0.73], [0.5, 0.5]]
        """
        if self.table.shape[1] > 1:
            raise ArgumentError(
                "Law.counts_by_place: somebody's answers depend on the one before; write out the outcomes"
            )
        tables = (self.weight[:, None, None] * self.table[:, 0].exp()).sum(1).expand(self.questions, -1, -1)
        asked = torch.as_tensor(self.reach)[:, None, None] * tables
        if self.fixed_sequence:  # the j-th menu is the j-th question
            return asked * torch.eye(self.questions, len(self.menu), dtype=torch.float64)[:, :, None]
        return asked * self.menu_probability[:, None]

    def to_frame(self) -> pd.DataFrame:
        """One row per outcome: the menus and answers of its questions in words, and its probability.

        Example:
            >>> import annosim as an
            >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
            >>> an.law(people, an.Design(an.Items(names=["tea", "milk"]), menus=[[0, 1]])).to_frame().round(4)
                    menu answer  probability
            0  tea, milk    tea       0.2689
            1  tea, milk   milk       0.7311
        """
        import pandas as pd

        names = self.design.items.names
        menus = [", ".join(names[i] for i in row if i >= 0) for row in self.menu.tolist()]
        columns: dict[str, object] = {}
        for j in range(self.questions):
            end = "" if self.questions == 1 else f"_{j + 1}"
            menu, answer = self.outcomes[:, j, 0], self.outcomes[:, j, 1]
            columns[f"menu{end}"] = [menus[m] if m >= 0 else None for m in menu]
            columns[f"answer{end}"] = [
                self._answer(m, a) if m >= 0 else None for m, a in zip(menu, answer, strict=True)
            ]
        return pd.DataFrame(columns | {"probability": self.probabilities})

    def _answer(self, menu: int, answer: int) -> str:
        tied = None if self.space.tied is None else self.space.tied[answer]
        shown = [self.design.items.names[i] if i >= 0 else "" for i in self.menu[menu].tolist()]
        return self.design.feedback.in_words(self.space.answer[answer], shown, tied)

    def as_data(self, marginal: bool = False, by_place: bool = False) -> PreferenceData:
        """The law as weighted data: each outcome an annotator, with its probability as weight.

        Args:
            by_place: one question per outcome, at its place in the block: for a model whose answers are independent, and
                people without a memory.
            marginal: one question per outcome instead of the block, with its expected count as weight; the same
                objective for a model whose answers are independent and do not depend on their place, and far smaller.

        Outcomes of probability zero are left out.
        """
        if by_place:
            p = self.counts_by_place().detach()
            place, menu, answer = torch.nonzero(p > 0, as_tuple=True)
            return self._rows(menu[:, None], answer[:, None], p[place, menu, answer]).with_(order=place.numpy())
        if marginal or self.questions == 1:
            p = self.expected_counts().detach().reshape(-1)
            keep = torch.nonzero(p > 0).flatten()
            menus, answers = (keep // len(self.space))[:, None], (keep % len(self.space))[:, None]
        else:
            p = self.probability_tensor.detach()
            keep = torch.nonzero(p > 0).flatten()
            blocks = torch.as_tensor(self.outcomes, dtype=torch.long)[keep]
            menus, answers = blocks[..., 0], blocks[..., 1]
        return self._rows(menus, answers, p[keep])

    def _rows(self, menus: torch.Tensor, answers: torch.Tensor, weight: torch.Tensor) -> PreferenceData:
        block, place = torch.nonzero(menus >= 0, as_tuple=True)
        code = answers[block, place].numpy()
        answer = self.space.answer[code]
        if self.design.feedback.kind == "choice" and answer.shape[1] == 1:
            answer = answer[:, 0]
        return PreferenceData(
            items=self.design.items,
            menu=self.menu[menus[block, place]].numpy().astype(np.int32),
            answer=answer,
            tied=None if self.space.tied is None else self.space.tied[code],
            feedback=self.design.feedback,
            annotator=None if menus.shape[1] == 1 else block.numpy().astype(np.int32),
            weight=weight[block].numpy(),
            covariates={name: value[menus[block, place]].numpy() for name, value in self.covariates.items()},
            settings={"source": "law"},
        )

    def _lines(self) -> list[tuple[str, object]]:
        loads = ", ".join(f"{q} ({share:.3g})" for q, share in self.design.load_shares.items())
        return [
            ("menus", len(self.menu)),
            ("answers to a menu", len(self.space)),
            ("questions in a block", loads if len(self.design.load_shares) > 1 else self.questions),
            ("components", len(self.weight)),
            ("outcomes", f"{self.num_outcomes:.6g}"),
        ]


def law(
    population: Population,
    design: Design,
    *,
    max_outcomes: float = 1e7,
    max_menus: float = 2e7,
    differentiable: bool = False,
) -> Law:
    r"""Write out the law of one annotator's block of answers, exactly (float64).

    ``P(block) = sum_c w_c prod_j P(menu_j) P_c(answer_j | menu_j)``, with components ``c`` the types (or the quadrature
    nodes of a distribution of tastes). Where annotators get different numbers of questions (``loads=``), it is the
    mixture over these numbers.

    Args:
        population: who answers.
        design: what they are asked.
        max_outcomes: limit above which ``.outcomes`` and ``.probabilities`` raise.
        max_menus: limit on distinct ordered menus.
        differentiable: whether the law's tensors (``probability_tensor``, ``table``, ...) keep their gradients in the
            population's parameters, for ``torch.autograd`` (torch 2.6 cannot take ``torch.func.jacrev`` of a law).

    Raises:
        TooLargeError: too many menus or outcomes; the message counts them and names the remedies.
        AnswerKindError: a rule does not define the design's feedback.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.2689, 0.7311]
    """
    check_question("law", population, design)
    menus = design.enumerate(max_menus)
    with contextlib.nullcontext() if differentiable else torch.no_grad():
        return on_menus(population, design, *menus, max_outcomes=max_outcomes)


def check_question(where: str, population: Population, design: Design) -> None:
    """Refuse what is no population, no design, or a population whose utilities are not finite on the items.

    Raises:
        ArgumentError: names the argument and what belongs there.
    """
    if not isinstance(population, Population):
        shown = "a Fit; its .population is one" if hasattr(population, "population") else told(population)
        raise ArgumentError(f"{where}(population={shown}): give a population such as an.Annotator(utility, an.Luce())")
    if not isinstance(design, Design):
        raise ArgumentError(f"{where}(design={told(design)}): give a design such as an.Design(items)")
    check_utilities(population, design.items)


def on_menus(
    population: Population,
    design: Design,
    menu: torch.Tensor,
    probability: torch.Tensor,
    covariates: Mapping[str, torch.Tensor] | None = None,
    *,
    max_outcomes: float = 1e7,
) -> Law:
    """The law on given menus, differentiable in the population's parameters (no menus are enumerated).

    Args:
        population, design: whose law.
        menu, probability: ``(M, k)`` and ``(M,)``.
        covariates: of the alternatives as these menus show them, each ``(M, k)``.
        max_outcomes: limit above which outcomes are not written out.
    """
    components = population.indexed(design.items)
    space = answer_space(population, design)
    order = design.num_questions if any(c.rule.sequential for c in components) else 1
    memory = any(c.rule.memory for c in components)
    shown = dict(covariates or {})
    table = torch.stack(
        [
            torch.stack(
                [
                    torch.cat([_component_table(c, design, menu, space, j, previous, shown) for c in components])
                    for previous in ([*range(len(space)), None] if memory else [None])
                ]
            )
            for j in range(order)
        ]
    )
    return Law(
        design=design,
        menu=menu,
        menu_probability=probability,
        weight=torch.cat([c.weight for c in components]),
        component=torch.cat([torch.full((len(c.weight),), c.number) for c in components]),
        table=table,
        space=space,
        max_outcomes=max_outcomes,
        covariates=shown,
    )


def answer_space(population: Population, design: Design) -> AnswerSpace:
    """All answers that somebody in the population can give to the design's menus."""
    rules = [component.rule for component in population.components()]
    for rule in rules:
        rule.check_kind(design.feedback)
    count = design.feedback.count(design.menu_size, any(r.ties for r in rules))
    if count > 1e7:
        raise TooLargeError(
            f"a menu of {design.menu_size} has {count:.3g} {design.feedback.kind} answers; use smaller menus or "
            'feedback="top" with a small depth'
        )
    ties, skips = any(r.ties for r in rules), any(r.skips for r in rules)
    return design.feedback.answers(design.menu_size, ties, skips, design.filled)


def _component_table(
    component: IndexedComponent,
    design: Design,
    menu: torch.Tensor,
    space: AnswerSpace,
    order: int,
    previous: int | None,
    covariates: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    scores = gather(component.index.double(), menu)
    view = table_view(design.items, menu, design, space, order, previous, covariates)
    return component.rule.table(scores, view, space).double()


def table_view(
    items: Items,
    menu: torch.Tensor,
    design: Design,
    space: AnswerSpace,
    order: int,
    previous: int | None,
    covariates: Mapping[str, torch.Tensor] | None = None,
) -> View:
    """The view of an enumerated question: each row one menu, at one place of the sequence."""
    last = np.full(space.answer.shape[1], -1) if previous is None else space.answer[previous]
    return View(
        items=items,
        menu=menu,
        feedback=design.feedback,
        order=torch.arange(len(menu)) if design.questions == "all" else torch.full((len(menu),), order),
        previous=torch.as_tensor(np.array(last), dtype=torch.long).expand(len(menu), -1),
        covariates=covariates or {},
    )
