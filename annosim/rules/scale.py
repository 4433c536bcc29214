"""Scale: an inverse temperature for any rule, one for all or one for each annotator."""

from __future__ import annotations

import torch

from annosim.annotators import Labels, PerAnnotator
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike
from annosim.rules.base import Rule, View
from annosim.rules.response_biases import ResponseBias

__all__ = ["Scaled"]


class Scaled(PerAnnotator, ResponseBias):
    """Multiplies the wrapped rule's index by ``factor``: an inverse temperature for any rule.

    With a factor for each annotator some are surer than others (Fiebig, Keane, Louviere and Wasi 2010, Marketing Science
    29:393). Who answers is ``view.annotator``; a law has no named annotators, so that it raises for more than one factor:
    take one person's with :meth:`of`, or a ``Mixture`` of them.

    Args:
        rule: the wrapped rule.
        factor: positive, one number or ``(annotators,)``; ``free(start)`` to estimate.
        annotators: whose factors they are, by name (``data.annotator_names``); ``fit`` then finds those of its data.

    Raises:
        ArgumentError: shapes do not fit, a factor is missing for an annotator, or no annotator ids are given.

    Example:
        >>> import annosim as an
        >>> Scaled(an.Luce(), 2.0).index(torch.tensor([1.0]), an.Items(n=1)).tolist()
        [2.0]
        >>> Scaled(an.Luce(), [1.0, 3.0]).of(1)
        Scaled(Luce(temperature=1), factor=3)
    """

    def __init__(self, rule: Rule, factor: ParameterLike, annotators: Labels | None = None):
        super().__init__(rule)
        self.annotators = annotators
        self.declare("factor", factor, "positive")
        shape = tuple(self.factor.shape)
        if len(shape) > 1 or shape == (0,):
            raise ArgumentError(f"Scaled(factor=): shape {shape}, expected a number or (annotators,)")
        if annotators is not None and shape not in ((), (1,), (len(annotators),)):
            raise ArgumentError(f"Scaled(annotators=): {len(annotators)} names for {shape[0]} factors")

    @property
    def is_personal(self) -> bool:
        """Whether there is a factor for each annotator."""
        return self.factor.numel() > 1

    def select_annotators(self, labels: Labels) -> None:
        """Keep the factors of these annotators, in their order; one factor for everybody stays."""
        self.keep("factor", labels)
        self.annotators = labels

    def of(self, annotator: int) -> Scaled:
        """The same rule with one annotator's factor for all (fixed): what :func:`annosim.law` can write out."""
        return Scaled(self.rule, float(self.number_of("factor", torch.as_tensor(annotator)).detach()))

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """``factor`` times the wrapped index, ``(..., n)``; the wrapped index where each annotator has a factor."""
        index = self.rule.index(u, items)
        return index if self.is_personal else index * self.factor.reshape(()).to(index.device)

    def distort(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """The scores times the annotator's own factor; where one factor is for all, it is in the index already."""
        if not self.is_personal:
            return scores
        own = self.number_of("factor", view.annotator).to(scores)[..., None]
        return torch.where(torch.isfinite(scores), torch.where(torch.isfinite(scores), scores, 0.0) * own, scores)
