"""What to ask next: the question whose answer is expected to tell most, and whether enough is known already.

The stopping rule may be looked at after every answer. For each value ``t`` of the target the ratio
``P(answers) / P(answers | t)`` is a nonnegative martingale under ``t`` with mean one, whatever questions were chosen from
the answers before. By Ville's inequality it ever reaches ``1 / alpha`` with probability ``alpha`` at most, so that the
values not yet excluded, ``{t: P(answers | t) > alpha P(answers)}``, hold the truth at all times with probability
``1 - alpha`` (the prior-posterior ratio of Waudby-Smith and Ramdas 2020, NeurIPS; an e-process of Ramdas, Gruenwald, Vovk
and Shafer 2023, Statistical Science 38:576). When one is left, stop. It holds for the law of the given population. A type's answers have the law averaged over its tastes, and
so does the bound; of other targets a value is excluded when all nodes of tastes that have it are. For what all annotators have in
common see :func:`annosim.sampling.next_vote`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.errors import ArgumentError, told
from annosim.feedback import Feedback
from annosim.items import Items
from annosim.learning.arguments import check_level
from annosim.learning.posterior.annotators import AnnotatorPosterior
from annosim.learning.posterior.asked import Menus, Shown
from annosim.learning.posterior.information import entropy, expected_information
from annosim.results import Result, versions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NextQuestion", "QuestionTarget", "next_question", "target_labels"]

#: A number for each state from the utilities of all items there, ``(S, n) -> (S,)``: states alike in it need not be told
#: apart.
Labeller: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.integer]]
#: What the question is to tell: the type, all of the utilities, the best item (which a policy would choose), or a function.
QuestionTarget: TypeAlias = Literal["type", "utility", "policy"] | Labeller


@dataclass(frozen=True, eq=False, repr=False)
class NextQuestion(Result):
    """Candidates by expected gain, and what is decided.

    Attributes:
        annotator: whom to ask; ``None`` when all are decided.
        menu: ``(k,)`` item ids to show them; ``None`` when all are decided.
        words: the menu in names.
        gain: expected information of that question about the target, in nats.
        gains: ``(B, M)`` of every annotator and candidate.
        annotators: names, ``B``.
        menus: ``(M, k)`` candidates.
        entropy: ``(B,)`` nats that are not known of the target; NaN where the target is continuous.
        candidates_left: of each annotator, the values of the target that are not excluded.
        decided: of each annotator, the one value that is left, or ``None``.
        alpha: probability that the truth is ever excluded, at most.
        target: its name.
        shared: the target is one for all annotators (:func:`annosim.sampling.next_vote`), and so is what is decided.
        note: why nothing can be decided, or empty.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s, 0.1 * s]), an.Luce()) for s in (3.0, -3.0)])
        >>> known = an.learning.annotator_posterior(two, items=an.Items(n=3))
        >>> ask = an.learning.next_question(known, [[0, 1], [0, 2]])
        >>> ask.menu.tolist(), ask.decided
        ([0, 1], (None,))
    """

    annotator: str | None
    menu: NDArray[np.int64] | None
    words: str
    gain: float
    gains: NDArray[np.float64]
    annotators: tuple[str, ...]
    menus: NDArray[np.int64]
    entropy: NDArray[np.float64]
    candidates_left: tuple[tuple[int, ...], ...]
    decided: tuple[int | None, ...]
    alpha: float
    target: str
    items: Items
    shared: bool = False
    note: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row per annotator and candidate, the largest gain first."""
        import pandas as pd

        b, m = np.unravel_index(np.argsort(-self.gains, axis=None, kind="stable"), self.gains.shape)
        menus = [menu_words(self.items, menu) for menu in self.menus]
        columns = {"annotator": [self.annotators[i] for i in b], "menu": [menus[j] for j in m]}
        return pd.DataFrame(columns | {"gain (nats)": self.gains[b, m]})

    @property
    def stop(self) -> bool:
        """Whether the target is decided for every annotator."""
        return all(value is not None for value in self.decided)

    def _title(self) -> str:
        return f"Next question about {self.target}"

    def _lines(self) -> list[tuple[str, object]]:
        if self.annotator is None:
            lines: list[tuple[str, object]] = [("ask", "nobody")]
        else:
            lines = [("ask", f"{self.annotator}: {self.words}"), ("expected gain", f"{self.gain:.4g} nats")]
        if self.note:
            return [*lines, ("not decided", self.note)]
        bound = f"at error {self.alpha:g}, however often one looks"
        if self.shared:
            left = [self.items.names[i] for i in self.candidates_left[0]]
            names = ", ".join(left[:6]) + f" and {len(left) - 6} more" * (len(left) > 6)
            return [*lines, (f"decided: {names}" if self.stop else f"open: {names} may be best", bound)]
        left_open = sum(value is None for value in self.decided)
        state = f"decided: {left_open} of {len(self.decided)} open" if left_open else "decided: stop asking"
        return [*lines, (state, bound)]


def next_question(
    posterior: AnnotatorPosterior, candidates: Menus, target: QuestionTarget = "type", alpha: float = 0.05
) -> NextQuestion:
    """The candidate whose answer tells most of the target, over all annotators of a posterior whose target is open.

    Args:
        posterior: from :meth:`annosim.Fit.posterior`; several annotators are asked about each other's turns.
        candidates: what may be asked: a design, or menus ``(M, k)``.
        target: ``"type"``, ``"utility"`` (all that is hidden of the annotator), ``"policy"`` (their best item of each prompt), or
            a function of the utilities at ``S`` states, ``(S, n) -> (S,)`` whole numbers.
        alpha: error of the stopping rule.

    Raises:
        ArgumentError: an unknown target, candidates that are no menus, an ``alpha`` outside (0, 1).

    Example:
        >>> import annosim as an
        >>> kinds = [an.Annotator(an.Tabular([0.0, s, 0.1 * s]), an.Luce()) for s in (3.0, -3.0)]
        >>> known = an.learning.annotator_posterior(an.Mixture(kinds), items=an.Items(n=3))
        >>> next_question(known, [[0, 1], [0, 2]]).to_frame().round(3)
                annotator  menu  gain (nats)
        0  no answers yet  0, 1        0.502
        1  no answers yet  0, 2        0.011
    """
    check_level(alpha, "next_question(alpha=", "an error between 0 and 1")
    menus, shown, feedback = posterior.questions("next_question", candidates)
    rows = [_one(posterior, b, menus, shown, feedback, target, alpha) for b in range(len(posterior.annotators))]
    gains = np.stack([gain for gain, _, _ in rows])
    left = tuple(values for _, _, values in rows)
    decided = tuple(values[0] if len(values) == 1 else None for values in left)
    open_gains = np.where([[value is None] for value in decided], gains, -1.0)
    who, which = np.unravel_index(int(open_gains.argmax()), gains.shape)
    done = all(value is not None for value in decided)
    menu = menus[which].numpy()
    return NextQuestion(
        annotator=None if done else posterior.annotators[who],
        menu=None if done else menu,
        words="" if done else menu_words(posterior.items, menu),
        gain=0.0 if done else float(gains[who, which]),
        gains=gains,
        annotators=posterior.annotators,
        menus=menus.numpy(),
        entropy=np.array([value for _, value, _ in rows]),
        candidates_left=left,
        decided=decided,
        alpha=float(alpha),
        target=target if isinstance(target, str) else getattr(target, "__name__", "the target"),
        items=posterior.items,
        settings=versions(),
    )


def _one(
    posterior: AnnotatorPosterior,
    b: int,
    menus: torch.Tensor,
    shown: Shown,
    feedback: Feedback,
    target: QuestionTarget,
    alpha: float,
) -> tuple[NDArray[np.float64], float, tuple[int, ...]]:
    """Of one annotator: gains ``(M,)``, entropy of the target, and the values of the target that are not excluded."""
    tables, weight, _ = posterior.tables(b, menus, feedback, shown)
    labels, count = target_labels(posterior, b, target)
    gains = expected_information(tables, weight, labels)
    if labels is None:
        return gains.numpy(), math.nan, tuple(range(count))
    mass = torch.zeros(count, dtype=torch.float64).index_add(0, labels, weight)
    return gains.numpy(), float(entropy(mass)), _not_excluded(posterior, b, labels, target, alpha)


def target_labels(posterior: AnnotatorPosterior, b: int, target: QuestionTarget) -> tuple[torch.Tensor | None, int]:
    """The value of the target at each node of one annotator ``(S,)``, and how many values there are.

    Raises:
        ArgumentError: an unknown target, or a function that does not return whole numbers, one for each state.
    """
    if target == "type":
        sizes = [part.weight.shape[1] for part in posterior.parts]
        return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)), len(sizes)
    if target == "utility":
        return None, sum(part.weight.shape[1] for part in posterior.parts)
    utilities = torch.cat([posterior.utilities(part, slice(b, b + 1))[0] for part in posterior.parts])
    if target == "policy":
        best = [utilities[:, posterior.items.members(p)].argmax(-1) for p in posterior.items.prompts.unique().tolist()]
        if len(best) == 1:
            return best[0], posterior.items.n
        values = torch.stack(best, -1).numpy()
    elif callable(target):
        values = np.asarray(target(utilities.numpy()))
        if values.shape != (len(utilities),) or values.dtype.kind not in "iub":
            raise ArgumentError(
                "next_question(target=): the function must return (S,) whole numbers from (S, n) utilities"
            )
        if values.dtype.kind in "iu" and values.min() >= 0:
            return torch.as_tensor(values.astype(np.int64)), int(values.max()) + 1
    else:
        raise ArgumentError(
            f"next_question(target={told(target)}): 'type', 'utility', 'policy', or a function of utilities"
        )
    codes = np.unique(values, axis=0, return_inverse=True)[1].reshape(-1)
    return torch.as_tensor(codes), int(codes.max()) + 1


def _not_excluded(
    posterior: AnnotatorPosterior, b: int, labels: torch.Tensor, target: QuestionTarget, alpha: float
) -> tuple[int, ...]:
    """Values of the target that some state not yet excluded has."""
    bar = float(posterior.log_evidence[b]) + math.log(alpha)
    if target == "type":  # a type's answers have the law that is averaged over its tastes
        found = torch.stack([part.log_evidence[b] for part in posterior.parts])
        return tuple(int(c) for c in torch.nonzero(found > bar).flatten())
    found = torch.cat([part.log_likelihood[b] for part in posterior.parts])
    return tuple(sorted({int(v) for v in labels[found > bar]}))


def menu_words(items: Items, menu: NDArray[np.int64]) -> str:
    """A menu in names."""
    return ", ".join(items.names[i] for i in menu.tolist() if i >= 0)
