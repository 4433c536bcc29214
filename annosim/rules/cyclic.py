"""Intransitive preferences: a skew-symmetric term beside the scores."""

from __future__ import annotations

import numpy as np
import torch

from annosim.arrays import Numbers
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike, check_value, marked_like, unmarked
from annosim.rules.base import Rule, View
from annosim.rules.response_biases import ResponseBias

__all__ = ["Cyclic"]


class Cyclic(ResponseBias):
    r"""Adds to each alternative its mean advantage over the menu: ``s_a + sum_b C_ab / k``, ``C`` skew-symmetric.

    For a pair under Luce ``P(a > b) = sigmoid(s_a - s_b + C_ab)``: rock-paper-scissors when the cycle outweighs the
    scores (general skew terms: Chen and Joachims 2016, "blade-chest"). On larger menus the advantage is the average
    over the others shown, so that an alternative's weight depends on its company.

    Args:
        rule: the wrapped rule.
        terms: ``(n, n)`` skew-symmetric matrix, or its ``n (n - 1) / 2`` entries above the diagonal, row by row;
            ``free(start)`` to estimate.

    Raises:
        ArgumentError: the matrix is not skew-symmetric, or has another size than the items.

    Example:
        >>> import annosim as an
        >>> rock_paper_scissors = [[0, -2, 2], [2, 0, -2], [-2, 2, 0]]
        >>> people = an.Annotator(an.Tabular([0.0, 0.0, 0.0]), Cyclic(an.Luce(), rock_paper_scissors))
        >>> an.law(people, an.Design(an.Items(n=3), menus=[[1, 0]])).probabilities.round(decimals=4).tolist()
        [0.8808, 0.1192]
    """

    def __init__(self, rule: Rule, terms: ParameterLike):
        super().__init__(rule)
        values = check_value("Cyclic(terms=)", unmarked(terms), "real").numpy()
        if values.ndim == 2:
            if values.shape[0] != values.shape[1] or not np.allclose(values, -values.T, atol=1e-12):
                raise ArgumentError("Cyclic(terms=): the matrix must be skew-symmetric, terms[a, b] = -terms[b, a]")
            values = values[np.triu_indices(len(values), 1)]
        size = (1 + np.sqrt(1 + 8 * values.size)) / 2
        if values.ndim != 1 or size != int(size):
            raise ArgumentError(f"Cyclic(terms=): {values.size} numbers are not n (n - 1) / 2 for any n")
        self.n = int(size)
        self.declare("terms", marked_like(terms, values))

    def matrix(self) -> torch.Tensor:
        """``C (n, n)``, differentiable."""
        rows, columns = torch.triu_indices(self.n, self.n, 1, device=self.terms.device)
        upper = torch.zeros(self.n, self.n, dtype=self.terms.dtype, device=self.terms.device)
        upper = upper.index_put((rows, columns), self.terms)
        return upper - upper.mT

    def mean_advantage(self, items: Items) -> torch.Tensor:
        """Mean advantage of each item over those of its prompt, ``(n,)``: what of the terms is no cycle."""
        if items.n != self.n:
            raise ArgumentError(f"Cyclic(terms=): a matrix of {self.n} items but there are {items.n}")
        together = (items.prompt_code[:, None] == items.prompt_code).to(self.terms)
        return (self.matrix() * together).sum(-1) / together.sum(-1)

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped index plus the mean advantages, ``(..., n)``: answers tell the two apart from cycles alone."""
        index = self.rule.index(u, items)
        return index + self.mean_advantage(items).to(index)

    def relabelled(self, order: Numbers) -> Cyclic:
        """The same response bias after items are renamed: new item ``j`` is old item ``order[j]``."""
        at = torch.as_tensor(order)
        return Cyclic(self.rule, self.matrix().detach()[at][:, at].numpy())

    def distort(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """Scores with the advantages over the menu in the place of those over the prompt, ``(..., rows, k)``."""
        menu = view.menu.clamp_min(0)
        there = (view.menu >= 0).to(scores.device)
        advantage = self.matrix().to(device=scores.device, dtype=scores.dtype)[menu.unsqueeze(-1), menu.unsqueeze(-2)]
        count = there.sum(-1, keepdim=True)
        here = torch.where(there.unsqueeze(-2), advantage, 0.0).sum(-1) / count
        return scores + (here - self.mean_advantage(view.items).to(scores)[menu])
