"""Functions to be maximised: what is known at a point, curvature as a matrix or an operator, and how far steps may go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

__all__ = ["Curvature", "Evaluation", "Function", "InformationOperator", "Maximand"]

Vector = NDArray[np.float64]

#: no coordinate moves further than this in one step (a utility of 6 is odds of 400)
LONGEST_STEP = 6.0


class InformationOperator(LinearOperator):  # type: ignore[misc]  # scipy has no types
    """Minus a Hessian that is never formed: its product with a vector, and the diagonal that preconditions it.

    Example:
        >>> twice = InformationOperator(lambda v: 2 * v, np.array([2.0, 2.0]))
        >>> (twice @ np.ones(2)).tolist()
        [2.0, 2.0]
    """

    def __init__(self, product: Callable[[Vector], Vector], diagonal: Vector):
        super().__init__(np.dtype(np.float64), (len(diagonal), len(diagonal)))
        self.product, self.diagonal = product, diagonal

    def _matvec(self, v: Vector) -> Vector:
        return self.product(np.ravel(v))


Curvature = NDArray[np.float64] | InformationOperator


class Evaluation:
    """A log-likelihood (with the prior) at one point.

    Args:
        point: ``(P,)``.
        value: there.
        gradient: ``(P,)``.
        scale: ``(P,)`` by which the gradient is divided before it is compared with a tolerance.
        curvature: minus the Hessian, or a function that forms it when it is first asked for.

    Attributes:
        scaled_gradient: largest entry of ``|gradient / scale|``.

    Example:
        >>> at = Evaluation(np.zeros(1), -1.0, np.array([3.0]), np.array([6.0]), np.eye(1))
        >>> at.scaled_gradient, at.curvature.tolist()
        (0.5, [[1.0]])
    """

    def __init__(
        self,
        point: Vector,
        value: float,
        gradient: Vector,
        scale: Vector,
        curvature: Curvature | Callable[[], Curvature],
    ):
        self.point, self.value, self.gradient = point, value, gradient
        self.scaled_gradient = float(np.max(np.abs(gradient) / scale, initial=0.0))
        self._curvature = curvature

    @property
    def curvature(self) -> Curvature:
        """Minus the Hessian: a matrix ``(P, P)``, or an operator where it is never formed."""
        if not isinstance(self._curvature, np.ndarray | InformationOperator):
            self._curvature = self._curvature()
        return self._curvature


class Maximand:
    """What the maximiser asks of a function.

    Attributes:
        null: ``(P, G)`` directions that change nothing, or ``None``: orthogonal, or of disjoint support.
        longest: no coordinate moves further than this in one step, one number or ``(P,)``.
        costly_curvature: forming the curvature costs much more than a gradient: a factor is kept while it serves.
        damped: the curvature is the expected information and not minus the Hessian: steps are damped.
        flat_directions: the function may have flat directions beyond ``null``, which are no reason for a note.
        has_em_step: :meth:`em_step` is defined: it comes first, and wherever Newton's step does not serve.
        rounding: relative accuracy of a value.
    """

    null: Vector | None = None
    longest: float | Vector = LONGEST_STEP
    costly_curvature: bool = False
    damped: bool = False
    flat_directions: bool = False
    has_em_step: bool = False
    rounding: float = 1e-12

    def evaluate(self, x: Vector) -> Evaluation:
        """Value, gradient and curvature at ``x (P,)``."""
        raise TypeError(f"{type(self).__name__} must define evaluate(x)")

    def reach(self, move: Vector) -> float:
        """How far a move goes, in units of the longest step: by its largest coordinate, if nothing better is known."""
        return float((np.abs(move) / self.longest).max(initial=0.0))

    def em_step(self, now: Evaluation) -> Vector:
        """EM's move from a point, ``(P,)``."""
        raise TypeError(f"{type(self).__name__} has no EM step")


class Function(Maximand):
    """Any function with a gradient and a Hessian, to be maximised.

    Args:
        derivatives: ``x -> value, gradient (p,), minus the Hessian (p, p)``.
        scale: ``(p,)`` that divides the gradient.
        null: directions that change nothing.
        longest: no coordinate moves further in one step.

    Example:
        >>> bowl = Function(lambda x: (-0.5 * float((x - 1) @ (x - 1)), 1 - x, np.eye(2)), np.ones(2))
        >>> bowl.evaluate(np.zeros(2)).value
        -1.0
    """

    def __init__(
        self,
        derivatives: Callable[[Vector], tuple[float, Vector, Vector]],
        scale: Vector,
        null: Vector | None = None,
        longest: float | Vector = LONGEST_STEP,
    ):
        self.derivatives, self.scale, self.null, self.longest = derivatives, scale, null, longest

    def evaluate(self, x: Vector) -> Evaluation:
        """Value, gradient and curvature."""
        value, gradient, curvature = self.derivatives(x)
        return Evaluation(x, value, gradient, self.scale, curvature)
