"""Has a loss of preference logits a minimum? The question of :mod:`.checks`, asked of objectives beside the likelihood.

A loss of the logit ``h`` of a recorded answer rises for ever towards minus infinity, plus infinity, or both. Where it rises
on one side only, nothing holds the logit on the other; a table has a minimum exactly when the graph of what is held is
strongly connected, and a linear utility when no direction leaves all that is held alone (the recession cone of a convex
function, Rockafellar 1970, theorem 27.1; for the logistic loss these are Ford's and Albert and Anderson's conditions).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from annosim.items import Items
from annosim.learning.existence.connectivity import connectivity, require_connected
from annosim.learning.existence.separation import check_linear

__all__ = ["check_logits", "held"]

#: a logit at which a loss that levels off is level in float64
FAR = 1e8
REMEDY = "use an objective that also holds what is too sure, such as an.objectives.NLL(label_smoothing=0.05)"

Loss = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


def held(loss: Loss, count: int, agree: torch.Tensor | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the loss of each of ``count`` logits rises for ever towards minus, and towards plus infinity.

    Example:
        >>> import annosim as an
        >>> [side.tolist() for side in held(an.objectives.NLL().loss_of_logit, 1, None)]
        [[True], [False]]
        >>> [side.tolist() for side in held(an.objectives.IPO(0.5).loss_of_logit, 1, None)]
        [[True], [True]]
    """
    slopes = []
    for far in (-FAR, FAR):
        h = torch.full((count,), far, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(loss(h, agree).sum(), h)
        slopes.append(slope.numpy())
    return slopes[0] < 0, slopes[1] > 0


def check_logits(
    name: str,
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    winner: NDArray[np.int64],
    loser: NDArray[np.int64],
    matrix: NDArray[np.float64] | None,
    items: Items,
) -> tuple[list[str], NDArray[np.float64] | None]:
    """Notes and directions that change nothing ``(p, G)``, or a refusal that names what has no finite value.

    Args:
        name: of the objective, for the message.
        sides: what :func:`held` says of each pair.
        winner, loser: of each pair.
        matrix: ``(n, p)``, the index of the items in the weights of a linear utility; ``None`` for a table.
        items: what they are.

    Raises:
        NotIdentifiedError: some items or weights run to infinity.
    """
    below, above = sides
    better, worse = np.r_[winner[below], loser[above]], np.r_[loser[below], winner[above]]
    better, worse = np.divmod(np.unique(better * items.n + worse), items.n)
    estimate = f"the minimum of {name}"
    if matrix is not None:
        return check_linear(matrix[better] - matrix[worse], matrix, items, None, estimate, REMEDY)
    graph = sparse.csr_matrix((np.ones(len(better)), (better, worse)), shape=(items.n, items.n))
    seen = np.zeros(items.n, bool)
    seen[winner] = seen[loser] = True
    require_connected(connectivity(graph, items, seen), items, "fit", estimate, REMEDY)
    return [], None
