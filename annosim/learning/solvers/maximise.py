"""One safeguarded maximiser for every likelihood: Newton's method, with EM where the likelihood offers it.

Newton's direction comes from a dense curvature by Cholesky in coordinates scaled by the diagonal, with the directions
that change nothing deflated, or from an operator by truncated conjugate gradients. Where the curvature is not safely
positive definite the step is EM's, or, without one or after thirty iterations, Newton's with the small eigenvalues raised.
Steps are capped, and accepted only if the likelihood rises, or, within the rounding of its value, if the gradient falls.
The tolerance is on the scaled gradient: each entry divided by the weight of the answers in which its coordinate has a part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lapack

from annosim.learning.solvers.functions import Evaluation, InformationOperator, Maximand

__all__ = ["Optimum", "conjugate_gradients", "factorise", "maximise"]

Vector = NDArray[np.float64]
Solve = Callable[[Vector], Vector | None]
DirectSolve = Callable[[Vector], Vector]

#: iterations of EM before Newton's method is tried
EM_ITERATIONS = 6
#: iterations after which EM no longer leads where the curvature is not positive definite: where types are hardly told apart a
#: thousand of its steps end nats below the maximum
PATIENCE = 30
#: condition numbers up to which a Cholesky factor is trusted: with an EM step to fall back on, and without
SAFE_CONDITION, LARGEST_CONDITION = 1e12, 1e15
#: rise of the value that a step must bring, as a share of what its slope promises (Armijo)
SUFFICIENT = 1e-4
#: steps are shortened by this factor, so often where there is another step to try, and where there is none
SHORTER, FEW_TRIES, MANY_TRIES = 0.25, 6, 20
#: a kept factor serves while a step divides the gradient by fifty
KEEPS = 0.02
#: products with the curvature in one truncated solve
MOST_PRODUCTS = 500

#: small eigenvalues are raised to this share of the largest
LEAST_RAISED = 1e-12
#: share of the largest curvature from which a negative one is no rounding, and how many saddles are left
UPWARDS, MOST_ESCAPES = 1e-7, 5
#: how far from a saddle it is looked for a higher point, in units of the scaled coordinates
ESCAPES = (1.0, -1.0, 0.1, -0.1, 0.01, -0.01)
RAISED = "the information was not positive definite at some step; its small eigenvalues were raised"


@dataclass
class Optimum:
    """Where the maximiser ended.

    Attributes:
        evaluation: the likelihood there.
        iterations: steps taken; ``newton_steps`` of them were Newton's.
        stopped_by: ``"gradient"``, ``"iterations"`` or ``"rounding"`` (no step rises any more).
        condition: condition number of the curvature in coordinates scaled by its diagonal, off the directions that
            change nothing, at the last factor; infinite where it was not positive definite, nan where none was formed.
        trace: values by iteration.
        notes: what the reader must know.
    """

    evaluation: Evaluation
    iterations: int
    stopped_by: str
    newton_steps: int = 0
    condition: float = float("nan")
    trace: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def point(self) -> Vector:
        """``(P,)``."""
        return self.evaluation.point

    @property
    def value(self) -> float:
        """Log-likelihood with the prior."""
        return self.evaluation.value

    @property
    def gradient(self) -> Vector:
        """``(P,)``."""
        return self.evaluation.gradient

    @property
    def scaled_gradient(self) -> float:
        """Largest entry of the scaled gradient."""
        return self.evaluation.scaled_gradient

    @property
    def converged(self) -> bool:
        """The scaled gradient is below the tolerance."""
        return self.stopped_by == "gradient"


def maximise(
    function: Maximand,
    start: Vector,
    tolerance: float = 1e-10,
    max_iterations: int = 200,
    *,
    newton: bool = True,
    em_iterations: int = EM_ITERATIONS,
) -> Optimum:
    """Maximise a function from one starting point.

    Once the tolerance is met, one more Newton step (the polish) costs little and leaves an error of rounding size.

    Args:
        function: a likelihood, or anything with its value, gradient and curvature.
        start: ``(P,)``.
        tolerance: on the scaled gradient.
        max_iterations: steps.
        newton: False for EM alone.
        em_iterations: how many steps of EM come first, where there is one.

    Example:
        >>> from annosim.learning.solvers.functions import Function
        >>> bowl = Function(lambda x: (-0.5 * float((x - 1) @ (x - 1)), 1 - x, np.eye(2)), np.ones(2))
        >>> maximise(bowl, np.zeros(2)).point
        array([1., 1.])
    """
    now = function.evaluate(np.array(start, dtype=np.float64))
    steps = _DampedSteps(function) if function.damped else _NewtonSteps(function)
    trace, iteration, newton_steps, polished, escapes = [now.value], 0, 0, not newton, 0
    while True:
        done = now.scaled_gradient <= tolerance
        # an exact Newton step that lands far below the tolerance was the polish
        settled = polished or (not function.costly_curvature and now.scaled_gradient <= 1e-4 * tolerance)
        ended = now.scaled_gradient == 0.0 or (done and settled) or iteration >= max_iterations
        if newton:
            polished = done
        taken = None
        if not ended and newton and (done or not function.has_em_step or iteration >= em_iterations):
            steps.impatient = iteration >= PATIENCE
            taken = steps.step(now, done)
            newton_steps += taken is not None
        if not ended and taken is None and function.has_em_step and not done and not steps.at_rounding:
            taken = _accepted(function, now, function.em_step(now), MANY_TRIES)
        if taken is None and done and escapes < MOST_ESCAPES:
            taken, escapes, polished = steps.above_saddle(now), escapes + 1, False
        if taken is None:
            stopped = "gradient" if done else "iterations" if ended else "rounding"
            break
        steps.keep_or_drop(now, taken, tolerance)
        now, iteration = taken, iteration + 1
        trace.append(now.value)
    return Optimum(now, iteration, stopped, newton_steps, steps.condition, trace, steps.notes)


def _accepted(function: Maximand, now: Evaluation, move: Vector, tries: int) -> Evaluation | None:
    """The first of ever shorter moves at which the value rises enough (or, within its rounding, the gradient falls)."""
    length = 1.0 / max(function.reach(move), 1.0)
    slack, rise = _rounding(function, now), float(now.gradient @ move)
    for _ in range(tries if rise > slack else 2):  # within rounding a shorter step is no better
        trial = function.evaluate(now.point + length * move)
        if np.isfinite(trial.value) and trial.value >= now.value + SUFFICIENT * length * rise - slack:
            if trial.value > now.value + slack or trial.scaled_gradient < now.scaled_gradient:
                return trial
        length *= SHORTER
    return None


def _rounding(function: Maximand, now: Evaluation) -> float:
    return function.rounding * (1.0 + abs(now.value))


class _NewtonSteps:
    """Newton's steps; a factor is kept while it serves, where forming the curvature is costly.

    Attributes:
        impatient: Newton's steps lead where the curvature is not positive definite, even where EM has one.
        at_rounding: the last step failed although it promised less than the rounding of the value: nothing rises.
    """

    def __init__(self, function: Maximand):
        self.function, self.condition, self.at_rounding, self.impatient = function, float("nan"), False, False
        self.notes: list[str] = []
        self._solve: Solve | None = None
        self._rising: Vector | None = None

    def step(self, now: Evaluation, polishing: bool) -> Evaluation | None:
        """A step that was accepted, or ``None``."""
        while True:
            fresh = self._solve is None
            solve = self._solve or self._direction(now)
            move = None if solve is None else solve(now.gradient)
            if move is None:
                return None
            taken = _accepted(self.function, now, move, FEW_TRIES if self.function.has_em_step else MANY_TRIES)
            self.at_rounding = taken is None and abs(float(now.gradient @ move)) <= _rounding(self.function, now)
            if taken is not None or fresh or polishing:
                self._solve = solve
                return taken
            self._solve = None  # the old factor no longer serves

    def keep_or_drop(self, before: Evaluation, after: Evaluation, tolerance: float) -> None:
        """Drop the factor where the curvature comes at no cost, or the gradient did not fall fast."""
        slow = after.scaled_gradient > KEEPS * before.scaled_gradient and after.scaled_gradient > tolerance
        if slow or not self.function.costly_curvature:
            self._solve = None

    def _direction(self, now: Evaluation) -> Solve | None:
        curvature = now.curvature
        if isinstance(curvature, InformationOperator):
            return self._truncated(now, curvature)
        limit = SAFE_CONDITION if self.function.has_em_step else LARGEST_CONDITION
        solve: Solve | None
        solve, self.condition = factorise(curvature, self.function.null, limit)
        self._rising = None
        if solve is None and (self.impatient or not self.function.has_em_step):
            solve, self.condition, self._rising = _raised(curvature, self.function.null)
            if not (self.function.flat_directions or self.function.has_em_step or RAISED in self.notes):
                self.notes.append(RAISED)
        return solve

    def above_saddle(self, now: Evaluation) -> Evaluation | None:
        """A higher point, where the gradient vanishes at a saddle: along the direction in which the value curves upwards most
        (at the last factor). ``None`` where it curves downwards in all."""
        if self._rising is None:
            return None
        found = []
        for length in ESCAPES:
            trial = self.function.evaluate(now.point + length * self._rising)
            if np.isfinite(trial.value) and trial.value > now.value + 10 * _rounding(self.function, now):
                found.append(trial)
        self._solve = self._rising = None
        return max(found, key=lambda trial: trial.value, default=None)

    def _truncated(self, now: Evaluation, curvature: InformationOperator) -> Solve:
        accuracy = min(0.1, max(now.scaled_gradient**0.5, 1e-6))
        return lambda gradient: conjugate_gradients(curvature, gradient, accuracy, MOST_PRODUCTS)


class _DampedSteps(_NewtonSteps):
    """Levenberg and Marquardt's steps: the damping grows until a step is accepted, and falls where it did well."""

    def __init__(self, function: Maximand):
        super().__init__(function)
        self.damping = 1e-2

    def step(self, now: Evaluation, polishing: bool) -> Evaluation | None:
        """A step that was accepted, or ``None`` when the damping has grown without one."""
        information = np.asarray(now.curvature)
        ridge = np.maximum(information.diagonal(), 1e-12)
        while self.damping < 1e12:
            solve, self.condition = factorise(
                information + np.diag(self.damping * ridge), self.function.null, LARGEST_CONDITION
            )
            if solve is not None:
                move = solve(now.gradient)
                taken = _accepted(self.function, now, move, 1)
                if taken is not None:
                    hoped = float(now.gradient @ move - 0.5 * move @ (information @ move))
                    if taken.value - now.value > 0.5 * hoped or hoped < 1e-12:
                        self.damping = max(self.damping / 5, 1e-14)
                    return taken
            self.damping *= 4
        return None


def factorise(matrix: Vector, null: Vector | None, limit: float) -> tuple[DirectSolve | None, float]:
    """Cholesky in coordinates scaled by the diagonal, directions that change nothing deflated.

    Args:
        matrix: ``(P, P)``.
        null: ``(P, G)``, or ``None``.
        limit: largest condition number that is trusted.

    Returns:
        gradient -> direction, or ``None`` where the matrix is not safely positive definite; and the condition number.

    Example:
        >>> solve, condition = factorise(np.diag([4.0, 1e6]), None, 1e12)
        >>> solve(np.array([4.0, 1e6])).tolist(), condition  # units say nothing
        ([1.0, 1.0], 1.0)
    """
    system, d = _scaled(matrix, null)
    if not np.isfinite(system).all():
        return None, float("inf")
    try:
        factor = cho_factor(system, lower=True, check_finite=False)
    except LinAlgError:
        return None, float("inf")
    norm = np.abs(system).sum(0).max(initial=0.0)
    condition = 1.0 / max(lapack.dpocon(factor[0], norm, uplo="L")[0], 1e-300) if len(d) else 1.0
    if not condition < limit:
        return None, condition
    return (lambda gradient: d * cho_solve(factor, d * gradient, check_finite=False)), condition


def _scaled(matrix: Vector, null: Vector | None) -> tuple[Vector, Vector]:
    """The matrix in coordinates scaled by its diagonal, deflated; and the scales ``(P,)``."""
    diagonal = matrix.diagonal()
    largest = max(float(diagonal.max(initial=0.0)), 1e-300)
    # a coordinate without curvature has no scale of its own: the root of nothing would multiply rounding by 1e150
    d = 1.0 / np.sqrt(np.where(diagonal > 1e-300 * largest, np.maximum(diagonal, 1e-300), largest))
    with np.errstate(over="ignore", invalid="ignore"):  # whoever reads the system looks whether it is finite
        system = matrix * d[:, None] * d[None, :]
    if null is not None and null.shape[1]:
        flat = null / d[:, None]
        flat /= np.linalg.norm(flat, axis=0)
        system = system + flat @ flat.T
    return system, d


def _raised(matrix: Vector, null: Vector | None) -> tuple[Solve | None, float, Vector | None]:
    """Newton's direction with eigenvalues made positive and the small ones raised; condition off the flat ones; and the
    direction in which the value curves upwards most, where it does.

    No direction where the curvature overflowed: tastes that explain every answer have likelihoods without a maximum.
    """
    system, d = _scaled(matrix, null)
    if not np.isfinite(system).all():
        return None, float("inf"), None
    try:
        values, vectors = np.linalg.eigh(system)
    except LinAlgError:
        return None, float("inf"), None
    top = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    safe = np.maximum(np.abs(values), LEAST_RAISED * top)
    live = values[values > 1e-10 * top]
    condition = top / float(live[0]) if len(live) else float("inf")
    rising = d * vectors[:, 0] if values[0] < -UPWARDS * top else None

    def solve(gradient: Vector) -> Vector | None:
        with np.errstate(over="ignore", invalid="ignore"):  # next to no curvature, and a slope
            move = d * (vectors @ ((vectors.T @ (d * gradient)) / safe))
        return move if np.isfinite(move).all() else None

    return solve, condition, rising


def conjugate_gradients(
    information: InformationOperator, gradient: Vector, accuracy: float, limit: int
) -> Vector | None:
    """Solves ``H x = gradient``, preconditioned, until curvature is not positive (``None`` if at once).

    Example:
        >>> twice = InformationOperator(lambda v: 2 * v, np.ones(2))
        >>> conjugate_gradients(twice, np.array([2.0, 4.0]), 1e-12, 9).tolist()
        [1.0, 2.0]
    """
    diagonal = np.maximum(information.diagonal, 1e-300)
    x, left = np.zeros(len(gradient)), gradient.copy()
    z = left / diagonal
    direction, size = z.copy(), float(left @ z)
    stop = accuracy**2 * size
    for i in range(limit):
        if size <= stop or size == 0.0:
            break
        curved = information.product(direction)
        curvature = float(direction @ curved)
        if not curvature > 1e-14 * float(direction @ (diagonal * direction)):
            return None if i == 0 else x
        length = size / curvature
        x += length * direction
        left -= length * curved
        z = left / diagonal
        before, size = size, float(left @ z)
        direction = z + (size / before) * direction
    return x
