"""Objectives: how one learns. Each acts on the rule's answers or on its preference logit; smaller is better.

The *preference logit* of a pair is ``h = log P(recorded answer) - log P(the other one)``; under Luce's rule it is the
difference of the two indexed utilities, so that DPO, IPO and SLiC are these objectives with ``PBDE.dpo(beta, ref)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import logsigmoid

from annosim.arrays import Numbers
from annosim.errors import ArgumentError, told
from annosim.items import Items, send
from annosim.parameters import check_number, check_value
from annosim.populations.base import Population
from annosim.random import torch_generator
from annosim.rules.base import Answer, Rule, View
from annosim.rules.luce import Luce
from annosim.utilities.base import Density
from annosim.utilities.densities import as_log_density

__all__ = ["IPO", "NLL", "ForwardKL", "Margin", "Objective", "SLiC", "SoftLabels", "pair_logit"]


@dataclass(frozen=True)
class Objective:
    """Base of every objective: :meth:`row_losses` of a rule, ``(..., rows)``.

    Attributes:
        likelihood: it is minus a log-likelihood of whole answers, so a mixture may sum it over an annotator's answers
            before it averages over types; every other objective asks for a model with a single type.

    Example:
        >>> class Squared(Objective):
        ...     def loss_of_logit(self, h, q=None):
        ...         return (h - 1).square()
        >>> Squared().loss_of_logit(torch.tensor(3.0))
        tensor(4.)
    """

    likelihood: bool = field(default=False, init=False, repr=False)

    def row_losses(
        self, rule: Rule, scores: torch.Tensor, answer: Answer, view: View, columns: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Loss of each row, ``(..., rows)``.

        Args:
            rule: the assumed rule.
            scores: ``(..., rows, k)`` indexed utilities of each menu.
            answer: recorded answers.
            view: what was seen.
            columns: named columns of the data, each ``(rows,)``.
        """
        raise TypeError(f"{type(self).__name__} must define row_losses(rule, scores, answer, view, columns)")

    def columns(self) -> tuple[str, ...]:
        """Names of the data's columns that the objective reads."""
        return ()

    @property
    def of_choice(self) -> bool:
        """Whether its column belongs to the recorded choice and not to the response displayed first."""
        return False

    def loss_of_logit(self, h: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
        """Loss of the preference logit ``h`` of the recorded answer (``q``: share that agrees with it)."""
        raise TypeError(f"{type(self).__name__} is not a function of one preference logit")


def pair_logit(rule: Rule, scores: torch.Tensor, view: View, what: str = "this objective") -> torch.Tensor:
    """``log P(first) - log P(second)`` of a choice from pairs in display order, ``(..., rows)``.

    Raises:
        ArgumentError: the data are not choices from pairs.

    Example:
        >>> import annosim as an
        >>> from annosim.feedback import Feedback
        >>> view = View(an.Items(n=2), torch.tensor([[0, 1]]), Feedback("choice"))
        >>> pair_logit(an.Luce(), torch.tensor([[2.0, 0.5]]), view).tolist()
        [1.5]
    """
    if view.feedback.kind not in ("choice", "ranking", "top") or scores.shape[-1] != 2:
        raise ArgumentError(
            f"{what} needs choices from pairs, and these are {view.feedback.kind} answers to menus of "
            f"{scores.shape[-1]}; use objective=NLL(), which takes every kind"
        )
    if isinstance(rule, Luce):
        return scores[..., 0] - scores[..., 1]
    zero = torch.zeros((*scores.shape[:-1], 1), dtype=torch.long, device=scores.device)
    return rule.log_prob(scores, Answer(zero), view) - rule.log_prob(scores, Answer(zero + 1), view)


def chosen_logit(rule: Rule, scores: torch.Tensor, answer: Answer, view: View, what: str) -> torch.Tensor:
    """Preference logit of the recorded answer, ``(..., rows)``."""
    if answer.any_tied:
        raise ArgumentError(f'{what} has no meaning for ties; make them half wins with data.ties("half")')
    if answer.any_skipped:
        raise ArgumentError(f"{what} has no meaning for skips; drop these rows with data.take(~data.skipped)")
    h = pair_logit(rule, scores, view, what)
    return torch.where(answer.position[..., 0] == 0, h, -h)


@dataclass(frozen=True)
class NLL(Objective):
    r"""Minus the log-likelihood, of any rule, feedback kind and population: the default.

    With ``label_smoothing = e`` each pair counts as ``1 - e`` of itself and ``e`` of its opposite (conservative DPO,
    Mitchell 2023): ``-(1 - e) log P(recorded) - e log P(other)``.

    Args:
        label_smoothing: from 0 to 1/2 (exclusive); pairs only.

    Raises:
        ArgumentError: label smoothing out of range.

    Example:
        >>> round(float(NLL().loss_of_logit(torch.zeros(()))), 4)
        0.6931
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= check_number("NLL(label_smoothing=)", self.label_smoothing, "real") < 0.5:
            raise ArgumentError(f"NLL(label_smoothing={self.label_smoothing}): a number from 0 to below 0.5")
        object.__setattr__(self, "likelihood", self.label_smoothing == 0)

    def row_losses(
        self, rule: Rule, scores: torch.Tensor, answer: Answer, view: View, columns: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """``-log P(answer)``, ``(..., rows)``."""
        if self.label_smoothing == 0:
            return -rule.log_prob(scores, answer, view)
        return self.loss_of_logit(chosen_logit(rule, scores, answer, view, "NLL(label_smoothing=)"))

    def loss_of_logit(self, h: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
        """Softplus of ``-h``, smoothed."""
        e = self.label_smoothing
        return -(1 - e) * logsigmoid(h) - e * logsigmoid(-h) if e else -logsigmoid(h)


@dataclass(frozen=True)
class IPO(Objective):
    r"""``(h - 1 / (2 tau))^2`` (Azar et al. 2310.12036), with ``PBDE.dpo(1, reference)`` as the rule.

    Its optimum on a proposal ``mu`` is ``reference(x) exp(E_{x'~mu} P(x > x') / tau) / Z``: it depends on ``mu``.

    Args:
        tau: positive.

    Example:
        >>> IPO(0.5).loss_of_logit(torch.tensor([0.0, 1.0])).tolist()
        [1.0, 0.0]
    """

    tau: float = 0.1

    def __post_init__(self) -> None:
        check_number("IPO(tau=)", self.tau, "positive")

    def row_losses(
        self, rule: Rule, scores: torch.Tensor, answer: Answer, view: View, columns: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Squared distance of the logit from its target, ``(..., rows)``."""
        return self.loss_of_logit(chosen_logit(rule, scores, answer, view, "IPO"))

    def loss_of_logit(self, h: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
        """``(h - 1 / (2 tau))^2``."""
        return (h - 1 / (2 * self.tau)) ** 2


@dataclass(frozen=True)
class SLiC(Objective):
    r"""``max(0, delta - h)`` (Zhao et al. 2305.10425); the regulariser is a separate :class:`ForwardKL`.

    Args:
        delta: margin, at least 0.

    Example:
        >>> SLiC(1.0).loss_of_logit(torch.tensor([0.0, 2.0])).tolist()
        [1.0, 0.0]
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_number("SLiC(delta=)", self.delta, "nonnegative")

    def row_losses(
        self, rule: Rule, scores: torch.Tensor, answer: Answer, view: View, columns: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Hinge of the logit, ``(..., rows)``."""
        return self.loss_of_logit(chosen_logit(rule, scores, answer, view, "SLiC"))

    def loss_of_logit(self, h: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
        """``max(0, delta - h)``."""
        return torch.relu(self.delta - h)


_KINDS = ("unsigned", "signed", "inside", "constant", "given")
#: what a column holds where no kind is said
_KIND_OF = {"judged": "signed", "margin": "given"}


@dataclass(frozen=True)
class Margin(Objective):
    r"""``-log sigmoid(h - m)`` with a margin from judgements; ``q`` is the share of judges for the first displayed.

    ===============  ============================  ====================================================================
    kind             m                             optimum per pair (p = true preference for the first, d its logit)
    ===============  ============================  ====================================================================
    unsigned (M1)    ``alpha |2 q - 1|``           inflates ``|d|`` unless p = 1/2
    signed (M2)      ``alpha (2 q_c - 1)``         ``d = logit p + alpha (2 q - 1)`` exactly; q_c agrees with the choice
    inside (M3)      ``-alpha |2 q - 1|``          shrinks ``|d|``
    constant         ``alpha``                     inflates ``|d|``
    given            ``alpha`` times the column    as TRL's and HelpSteer's margins: any real number per recorded choice
    ===============  ============================  ====================================================================

    Args:
        kind: one of the five; where it is left out a column named ``margin`` is given, and ``judged`` holds shares of judges
            (``signed``); any other column needs it, as shares and margins cannot be told apart by their numbers.
        column: the data's column that holds ``q``; of ``given`` the margin itself, how much better the chosen response is (it
            may be negative); not needed by ``constant``.
        alpha: at least 0.
        judge: a population whose choice probabilities are ``q`` when an infinite-data law is projected and has no
            columns; the truth itself by default.

    Example:
        >>> h, q = torch.tensor([0.5]), torch.tensor([0.75])
        >>> round(float(Margin("signed", "q", 1.0).loss_of_logit(h, q)), 4)
        0.6931
        >>> round(float(Margin(column="margin").loss_of_logit(h, torch.tensor([2.0]))), 4)
        1.7014
    """

    kind: str = ""
    column: str = "judged"
    alpha: float = 1.0
    judge: Population | None = None

    def __post_init__(self) -> None:
        if not self.kind:
            if self.column not in _KIND_OF:
                raise ArgumentError(
                    f"Margin(column={told(self.column)}): say what it holds: kind='given' for margins of the chosen response (any real "
                    "number, as TRL's), kind='signed', 'unsigned' or 'inside' for the share of judges for the first displayed"
                )
            object.__setattr__(self, "kind", _KIND_OF[self.column])
        if self.kind not in _KINDS:
            raise ArgumentError(f"Margin(kind={told(self.kind)}): one of {', '.join(_KINDS)}")
        check_number("Margin(alpha=)", self.alpha, "nonnegative")

    def columns(self) -> tuple[str, ...]:
        """The column of judgements."""
        return () if self.kind == "constant" else (self.column,)

    def row_losses(
        self, rule: Rule, scores: torch.Tensor, answer: Answer, view: View, columns: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """``-log sigmoid(h - m)``, ``(..., rows)``."""
        h = chosen_logit(rule, scores, answer, view, "Margin")
        if self.kind == "constant":
            return self.loss_of_logit(h)
        q = columns[self.column].to(h.dtype)
        if self.kind != "given":
            q = torch.where(answer.position[..., 0] == 0, q, 1 - q)
        return self.loss_of_logit(h, q)

    @property
    def of_choice(self) -> bool:
        """True for given margins, which belong to the recorded choice."""
        return self.kind == "given"

    def margin(self, q: torch.Tensor | None) -> torch.Tensor | float:
        """The margin, given the share ``q`` that agrees with the recorded answer."""
        if self.kind == "constant":
            return self.alpha
        if q is None:
            raise ArgumentError(f"Margin({self.kind!r}): the share that agrees with the answer is needed")
        if self.kind == "given":
            return self.alpha * q
        if self.kind == "signed":
            return self.alpha * (2 * q - 1)
        return self.alpha * (2 * q - 1).abs() * (1 if self.kind == "unsigned" else -1)

    def loss_of_logit(self, h: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
        """``-log sigmoid(h - m)``."""
        return -logsigmoid(h - self.margin(q))


@dataclass(frozen=True)
class SoftLabels(Objective):
    """``-q log P(first) - (1 - q) log P(second)``: the answer is a share ``q`` for the first displayed alternative.

    Args:
        column: the data's column that holds ``q``.
        judge: as in :class:`Margin`.

    Example:
        >>> SoftLabels("q").columns()
        ('q',)
    """

    column: str = "judged"
    judge: Population | None = None

    def columns(self) -> tuple[str, ...]:
        """The column of shares."""
        return (self.column,)

    def row_losses(
        self, rule: Rule, scores: torch.Tensor, answer: Answer, view: View, columns: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Cross-entropy with the share, ``(..., rows)``; the recorded answers play no part."""
        h = pair_logit(rule, scores, view, "SoftLabels")
        q = columns[self.column].to(h.dtype)
        return self.loss_of_logit(h, q)

    def loss_of_logit(self, h: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
        """Cross-entropy of the logit with the share that agrees with the recorded answer."""
        if q is None:
            raise ArgumentError("SoftLabels: the share that agrees with the answer is needed")
        return -q * logsigmoid(h) - (1 - q) * logsigmoid(-h)


@dataclass(frozen=True, eq=False)
class ForwardKL:
    """``weight * KL(reference || density)``, added to an objective: it keeps the model where the reference has mass.

    The expectation is exact over the items, unless ``draws`` asks for the estimate that one has where items cannot be
    enumerated. The utility of the model must be a density.

    Args:
        reference: a density.
        weight: at least 0.
        shown: take the items on the menus as draws from the reference: the penalty is then ``weight`` times the mean of
            ``-log density`` over them (the reference's entropy left out), as for language models, whose items cannot
            be enumerated.
        draws: every step of Adam takes the mean over this many fresh draws of the reference, at an address of the
            seed and the step; what is evaluated, reported and projected is still the expectation.

    Example:
        >>> import annosim as an
        >>> flat = an.LogDensity(lambda x: 0 * x[:, 0])
        >>> float(ForwardKL(flat, 1.0)(flat(an.Items.grid(0, 1, 3)), an.Items.grid(0, 1, 3)))
        0.0
    """

    reference: Density | Numbers
    weight: float = 1.0
    shown: bool = False
    draws: int | None = None
    _mass: torch.Tensor | None = field(default=None, repr=False)  # (n,), of a step's draws
    _known: _Evaluated | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_number("ForwardKL(weight=)", self.weight, "nonnegative")
        whole = isinstance(self.draws, int) and not isinstance(self.draws, bool) and self.draws > 0
        if self.draws is not None and (self.shown or not whole):
            raise ArgumentError(f"ForwardKL(draws={told(self.draws)}): a whole number from 1, and not with shown=True")

    def on(self, items: Items) -> ForwardKL:
        """Itself with the reference evaluated, where it lies and once for all, on these items.

        Example:
            >>> import annosim as an
            >>> grid = an.Items.grid(0, 1, 3)
            >>> held = ForwardKL(an.LogDensity(lambda x: 0 * x[:, 0]), 1.0).on(grid)
            >>> float(held(torch.zeros(3), grid))
            0.0
        """
        return self if self.shown else replace(self, _known=_evaluated(self.reference, items))

    def at_step(self, items: Items, seed: int, step: int) -> ForwardKL:
        """The penalty of one step: itself, or its estimate from this step's draws."""
        if self.draws is None:
            return self
        held = self if self._knows(items) else self.on(items)
        mass = held._known.mass_at_home  # type: ignore[union-attr]  # drawn there, so that the device changes nothing
        drawn = torch.multinomial(mass, self.draws, True, generator=torch_generator(seed, f"reference {step}"))
        mass = torch.bincount(drawn, minlength=items.n) * (items.num_prompts / self.draws)
        return replace(held, _mass=send(mass, items.device))

    def __call__(self, log_density: torch.Tensor, items: Items) -> torch.Tensor:
        """The penalty of log densities ``(..., n)``; averaged over prompts."""
        known: _Evaluated = self._known if self._knows(items) else _evaluated(self.reference, items)  # type: ignore
        log_ref = known.log_density.to(log_density.device)
        mass = (known.mass if self._mass is None else self._mass).to(log_density.device)
        gap = torch.where(mass > 0, log_ref - log_density, torch.zeros_like(log_density))
        return self.weight * (mass * gap).sum(-1) / items.num_prompts

    def _knows(self, items: Items) -> bool:
        return self._known is not None and self._known.items is items


class _Evaluated(NamedTuple):
    """A density on items: its logs and masses ``(n,)`` where the items lie, and the masses on the CPU."""

    items: Items
    log_density: torch.Tensor
    mass: torch.Tensor
    mass_at_home: torch.Tensor


def _evaluated(reference: Density | Numbers, items: Items) -> _Evaluated:
    parts: list[torch.Tensor] = []
    if isinstance(reference, nn.Module):
        parts = [*reference.parameters(), *reference.buffers()]
    there = items.to(parts[0].device) if parts and parts[0].device.type != "cpu" else items.host
    log_ref = as_log_density(reference, there)
    mass = (log_ref + there.log_weights.to(log_ref.device)).exp()
    place = items.device
    return _Evaluated(items, log_ref.to(place), mass.to(place), mass.cpu())


def columns_of(objective: Objective, data_columns: Any, device: Any = "cpu") -> dict[str, torch.Tensor]:
    """The columns that an objective reads, as float64 tensors.

    Raises:
        ArgumentError: a column is missing, not finite, or outside [0, 1] (given margins may be any real number).
    """
    kind = "real" if objective.of_choice else "unit"
    out = {}
    for name in objective.columns():
        if name not in data_columns:
            raise ArgumentError(
                f"{type(objective).__name__}: the data have no column {name!r} (they have "
                f"{', '.join(map(repr, data_columns)) or 'none'}); add it with data.with_(columns={{{name!r}: shares}})"
            )
        values = np.asarray(data_columns[name])
        if kind == "unit" and np.issubdtype(values.dtype, np.number):
            bad = np.argwhere(~((values >= 0) & (values <= 1)))  # NaN too
            if len(bad):
                raise ArgumentError(
                    f"column {name!r}: {values[tuple(bad[0])]:.6g} in row {bad[0][-1]}; give shares from 0 to 1 "
                    f"({len(bad)} of {values.size} are not)"
                    + (
                        f", or Margin('given', {name!r}) for margins of the chosen response"
                        if isinstance(objective, Margin)
                        else ""
                    )
                )
        out[name] = check_value(f"column {name!r}", values, kind).to(device)
    return out
