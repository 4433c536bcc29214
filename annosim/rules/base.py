"""What every choice rule has: an index, and three methods (sample, log_prob, table) on the indexed scores of a view.

Shapes: scores are ``(..., rows, k)``, the indexed utilities of the items on each menu, ``-inf`` where the menu is
padded; leading axes are types and replicates. Answers are in the encoding of :mod:`annosim.feedback`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.errors import AnswerKindError
from annosim.feedback import AnswerSpace, Feedback, filled_places
from annosim.items import Items, send
from annosim.parameters import Model, ParameterLike, describe
from annosim.random import CounterRNG

Asked = TypeVar("Asked", "Answer", "View")

__all__ = ["Answer", "Rule", "Tempered", "View"]


@dataclass(frozen=True, eq=False)
class Answer:
    """Answers as tensors.

    Attributes:
        position: ``(..., rows, width)`` long: see :mod:`annosim.feedback`; a choice has width 1.
        tied: ``(..., rows, k - 1)`` bool, or ``None`` when no answer is tied.
    """

    position: torch.Tensor
    tied: torch.Tensor | None = None

    @cached_property
    def any_tied(self) -> bool:
        """Some answer is tied; evaluated once."""
        tied = host_copy(self).tied
        return tied is not None and bool(tied.any())

    @cached_property
    def any_skipped(self) -> bool:
        """Some answer has no first place; evaluated once."""
        return bool((host_copy(self).position[..., 0] < 0).any())

    def to(self, device: str | torch.device) -> Answer:
        """The answers on ``device``; their values are read from the host copy."""
        moved = Answer(send(self.position, device), None if self.tied is None else send(self.tied, device))
        moved.__dict__["_home"] = host_copy(self)
        return moved

    @property
    def skipped(self) -> torch.Tensor:
        """``(..., rows)``: the answer is a skip."""
        return (self.position < 0).all(-1)


@dataclass(frozen=True, eq=False)
class View:
    """What an annotator sees of each question, beside the scores.

    Attributes:
        items: the item set.
        menu: ``(rows, k)`` long, item ids in display order, -1 pads.
        feedback: the kind of answer asked for.
        order: ``(rows,)`` long, place of the question in the annotator's own sequence (0 first), or ``None``.
        previous: ``(rows, width)`` long, the same annotator's previous answer (-1 at the first), or ``None``.
        annotator: ``(rows,)`` long, who answers, or ``None``.
        prompt: ``(rows,)`` long, the context of the question, or ``None``.
        covariates: by name, ``(rows, k)`` float64: a number of each alternative as it is shown here.
    """

    items: Items
    menu: torch.Tensor
    feedback: Feedback
    order: torch.Tensor | None = None
    previous: torch.Tensor | None = None
    annotator: torch.Tensor | None = None
    prompt: torch.Tensor | None = None
    covariates: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def k(self) -> int:
        """Places on the menu, pads included."""
        return int(self.menu.shape[-1])

    @cached_property
    def padded(self) -> bool:
        """Some menu is shorter than the widest; evaluated once."""
        return bool((host_copy(self).menu < 0).any())

    @cached_property
    def shown(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids of the items on the menus ``(m,)``, on the CPU where these rows came from there; and the place among them
        of every entry of ``menu``."""
        ids, place = torch.unique(host_copy(self).menu, return_inverse=True)
        return ids, send(place, self.menu.device)

    def to(self, device: str | torch.device) -> View:
        """The view on ``device``, but for its items; its values are read from the host copy."""
        put = lambda t: None if t is None else send(t, device)  # noqa: E731
        moved = replace(
            self,
            menu=send(self.menu, device),
            order=put(self.order),
            previous=put(self.previous),
            annotator=put(self.annotator),
            prompt=put(self.prompt),
            covariates={name: send(value, device) for name, value in self.covariates.items()},
        )
        moved.__dict__["_home"] = host_copy(self)
        return moved

    def expanded(self) -> View:
        """The view with an answer axis: every row-level field gets a last-but-one axis of length one."""
        up = lambda t: None if t is None else t.unsqueeze(-1)  # noqa: E731
        return replace(
            self,
            menu=self.menu.unsqueeze(-2),
            order=up(self.order),
            previous=None if self.previous is None else self.previous.unsqueeze(-2),
            annotator=up(self.annotator),
            prompt=up(self.prompt),
            covariates={name: value.unsqueeze(-2) for name, value in self.covariates.items()},
        )

    def rows(self, keep: torch.Tensor | NDArray[np.integer | np.bool_] | slice) -> View:
        """The view of some rows (an index or a mask)."""
        at = lambda t: None if t is None else t[keep]  # noqa: E731
        return replace(
            self,
            menu=self.menu[keep],
            order=at(self.order),
            previous=at(self.previous),
            annotator=at(self.annotator),
            prompt=at(self.prompt),
            covariates={name: value[keep] for name, value in self.covariates.items()},
        )


def host_copy(here: Asked) -> Asked:
    """The view or the answers before they were sent to a device, where reading values costs no synchronisation."""
    return here.__dict__.get("_home", here)


class Rule(Model):
    """Base of every rule. Subclasses define ``kinds`` and :meth:`log_prob`; a fast :meth:`sample` where it pays.

    Attributes:
        kinds: feedback kinds that the rule defines.
        ties: the rule can answer with a tie.
        skips: the rule can answer with a skip.
        memory: answers depend on the annotator's previous answers (then a block is enumerated, or refused).
        sequential: answers depend on the place in the annotator's sequence (``view.order``).
        ordinal: answers depend on the utilities' order at most, so that no gradient leads to them.
        absolute: adding a number to all indices changes the answers (ratings), so that their location is no convention.
        unbounded: the likelihood rises for ever where an item never loses (``False`` where that is not known).
        divisor: name of the rule's own number that divides the utilities (a temperature), if it has one.
        tie_parameter: name of the rule's own number that says how likely ties are, if it has one.
        level: place among nested response biases, 0 for the innermost; -1 for a rule that is none.

    Example:
        A rule of one's own needs its log-probabilities; its table and its samples follow from them.

        >>> import annosim as an
        >>> class Cauchit(Rule):
        ...     kinds = frozenset({"choice"})
        ...     def log_prob(self, scores, answer, view):
        ...         gap = scores[..., 0] - scores[..., 1]
        ...         return (0.5 + torch.atan(torch.where(answer.position[..., 0] == 0, gap, -gap)) / torch.pi).log()
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), Cauchit())
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.25, 0.75]
    """

    kinds: frozenset[str] = frozenset()
    ties: bool = False
    skips: bool = False
    memory: bool = False
    sequential: bool = False
    ordinal: bool = False
    absolute: bool = False
    unbounded: bool = False
    divisor: str | None = None
    tie_parameter: str | None = None
    level: int = -1

    @property
    def largest_tie(self) -> int | None:
        """How many alternatives can be tied at most; ``None`` for a rule that says nothing of it."""
        return None

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """What could ever be known of the utilities from answers, ``(..., n) -> (..., n)``; the identity for Luce."""
        return u

    def affine(self, items: Items) -> tuple[torch.Tensor, torch.Tensor] | None:
        """``f`` and ``g``, ``(n,)`` float64 each, of an index of the form ``f u + g``; ``None`` for any other.

        They are found by evaluating the index, so that a rule need not say what form it has.

        Example:
            >>> import annosim as an
            >>> [part.tolist() for part in an.Luce(temperature=2.0).affine(an.Items(n=2))]
            [[0.5, 0.5], [0.0, 0.0]]
        """
        at = lambda u: self.index(u, items).double()  # noqa: E731
        zero, probe = torch.zeros(items.n, dtype=torch.float64), torch.linspace(-1.0, 2.0, items.n).double() ** 3
        g = at(zero)
        f = at(zero + 1) - g
        return (f, g) if torch.allclose(at(probe), f * probe + g, rtol=1e-9, atol=1e-12) else None

    @property
    def follows_luce(self) -> bool:
        """Answers are those of :class:`annosim.Luce` at this rule's index: what is fast or exact for Luce may be used."""
        return False

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates of a question that the rule reads, each once."""
        return ()

    def layers(self) -> Iterator[Rule]:
        """The rule, and then those that it wraps, from the outside in."""
        yield self

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log-probability of each answer, ``(..., rows)``; everything broadcasts over leading axes."""
        raise TypeError(f"{type(self).__name__} must define log_prob(scores, answer, view)")

    @staticmethod
    def view(
        items: Items,
        menu: torch.Tensor,
        feedback: Feedback,
        order: int = 0,
        covariates: Mapping[str, torch.Tensor] | None = None,
    ) -> View:
        """The view of questions ``menu (rows, k)`` at one place of the sequence, with no previous answer."""
        rows = len(menu)
        none_yet = torch.full((rows, feedback.width(menu.shape[-1])), -1, device=menu.device)
        place = torch.full((rows,), order, device=menu.device)
        return View(items, menu, feedback, order=place, previous=none_yet, covariates=covariates or {})

    def __repr__(self) -> str:
        return describe(self)

    def check_kind(self, feedback: Feedback) -> None:
        """Raise :class:`AnswerKindError` when the rule does not define this kind."""
        if feedback.kind not in self.kinds:
            raise AnswerKindError(
                f"{type(self).__name__} does not define feedback {feedback.kind!r}; it defines "
                f"{', '.join(sorted(self.kinds))}"
            )

    def space(self, view: View) -> AnswerSpace:
        """All answers that this rule can give to menus of this size."""
        filled = filled_places(view.menu.reshape(-1, view.k).cpu().numpy())
        return view.feedback.answers(view.k, ties=self.ties, skips=self.skips, filled=filled)

    def table(self, scores: torch.Tensor, view: View, space: AnswerSpace | None = None) -> torch.Tensor:
        """Exact log-probabilities of every answer in ``space``, ``(..., rows, answers)``.

        Answers outside the rule's own space (ties, skips, pads) have ``-inf``.

        Args:
            scores: ``(..., rows, k)``.
            view: the rows' view.
            space: the answers to list; the rule's own space by default.
        """
        self.check_kind(view.feedback)
        space = self.space(view) if space is None else space
        answer = Answer(
            torch.as_tensor(np.array(space.answer), dtype=torch.long, device=scores.device),
            None if space.tied is None else torch.as_tensor(np.array(space.tied), device=scores.device),
        )
        allowed = self._allowed(answer, view).to(scores.device)
        safe = self._safe(answer, space)
        if view.padded:  # an empty place has score -inf, whose differences have no gradient
            own = torch.where(
                allowed, torch.arange(len(space), device=allowed.device), allowed.long().argmax(-1)[:, None]
            )
            safe = Answer(safe.position[own], None if safe.tied is None else safe.tied[own])
        out = self.log_prob(scores.unsqueeze(-2), safe, view.expanded())
        return torch.where(allowed, out, -torch.inf)

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """Draw an answer per row by inverting the exact table (rules with large answer spaces override this).

        Args:
            scores: ``(rows, k)``.
            view: the rows' view.
            rng: one entity per row; uses stream ``answer``.
        """
        space = self.space(view)
        log_p = self.table(scores, view, space)
        cdf = log_p.double().exp().cumsum(-1)
        draw = torch.as_tensor(rng.uniform53("answer", 1), device=cdf.device) * cdf[..., -1:]
        pick = torch.searchsorted(cdf, draw).squeeze(-1).clamp_max(len(space) - 1)
        position = torch.as_tensor(np.array(space.answer), dtype=torch.long, device=cdf.device)[pick]
        tied = None if space.tied is None else torch.as_tensor(space.tied, device=cdf.device)[pick]
        return Answer(position, tied)

    def _allowed(self, answer: Answer, view: View) -> torch.Tensor:
        """``(rows, answers)``: the answer can be given to the row's menu (pads, ties, skips)."""
        filled = view.menu >= 0
        if view.feedback.kind == "rating":
            given = ((answer.position >= 0) == filled.unsqueeze(-2)).all(-1)
            return given | (answer.skipped & self.skips)
        padded = torch.cat([filled, torch.ones_like(filled[:, :1])], -1)
        on_menu = padded[:, answer.position].all(-1)  # position -1 reads the column of ones
        if view.feedback.kind in ("ranking", "top"):  # as long as the menu and the depth ask
            given, there = (answer.position >= 0).sum(-1), filled.sum(-1, keepdim=True)
            on_menu = on_menu & ((given >= there.clamp_max(view.feedback.depth or view.k)) | answer.skipped)
        if answer.tied is not None and not self.ties:
            on_menu = on_menu & ~answer.tied.any(-1)
        return on_menu & ~answer.skipped if not self.skips else on_menu

    def _safe(self, answer: Answer, space: AnswerSpace) -> Answer:
        """The answers with those outside this rule's space replaced by one that it defines (masked afterwards)."""
        position, tied = answer.position, answer.tied
        if not self.skips and bool(answer.skipped.any()):
            position = torch.where(answer.skipped[:, None], position[:1], position)
        if tied is not None and not self.ties:
            plain = torch.nonzero(~tied.any(-1) & ~answer.skipped).flatten()
            position = torch.where(tied.any(-1)[:, None], position[plain[0]], position)
            tied = None
        return Answer(position, tied)


class Tempered(Rule):
    """Base of rules whose index is the utility over a temperature.

    Args:
        temperature: positive; ``free(start)`` to estimate it.
    """

    divisor: str | None = "temperature"

    def __init__(self, temperature: ParameterLike = 1.0):
        super().__init__()
        self.declare("temperature", temperature, "positive", ndim=0)

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """``u / temperature``, ``(..., n)``."""
        known = self.temperature
        wrapped = torch._C._functorch.is_functorch_wrapped_tensor
        if wrapped(u) and not wrapped(known) and not known.requires_grad and known.device.type == "cpu":
            # under forward derivatives a division by a tensor costs four times that by a number: torch makes it a tangent
            return torch.ops.aten.div.Scalar(u, float(known))
        return u / known.to(u.dtype)  # elsewhere the number is not read: it may be on a GPU, or be traced


def remaining_logsumexp(scores: torch.Tensor, position: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Stage by stage: the chosen score and the logsumexp of what was still there.

    Args:
        scores: ``(..., k)``, ``-inf`` at pads.
        position: ``(..., width)`` long, best first, -1 beyond the end.

    Returns:
        chosen, log-total: both ``(..., width)``; zero at stages beyond the end.
    """
    width, k = position.shape[-1], scores.shape[-1]
    batch = torch.broadcast_shapes(scores.shape[:-1], position.shape[:-1])
    position = position.expand(*batch, width)
    left = torch.ones((*batch, k), dtype=torch.bool, device=scores.device)
    scores = scores.expand(*batch, k)
    chosen, total = [], []
    for j in range(width):
        at = position[..., j : j + 1]
        live = at >= 0
        at = at.clamp_min(0)
        # rows that have ended see zeros instead of -inf everywhere, whose logsumexp has no gradient
        stage = torch.where(live, torch.where(left, scores, -torch.inf), torch.zeros_like(scores))
        chosen.append(torch.where(live, scores.gather(-1, at), 0.0).squeeze(-1))
        total.append(torch.where(live.squeeze(-1), torch.logsumexp(stage, -1), 0.0))
        left = left.scatter(-1, at, left.gather(-1, at) & ~live)
    return torch.stack(chosen, -1), torch.stack(total, -1)
