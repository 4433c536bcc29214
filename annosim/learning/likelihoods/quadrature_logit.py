"""Mixed logit by quadrature: the compiled simulated likelihood, with the model's own nodes in place of draws.

Everybody has the same nodes, weighted, so that the likelihood is that of the law (:meth:`RandomTastes.standard_nodes`), and
value, gradient and exact Hessian come from one compiled pass.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from annosim.learning.likelihoods.simulated import TOLERABLE, MixedLogit
from annosim.learning.problem import Problem
from annosim.learning.solvers.maximise import Optimum, factorise, maximise
from annosim.learning.solvers.settings import Newton, Solver

__all__ = ["QuadratureLogit"]

Vector = NDArray[np.float64]

#: answers times nodes beyond which each person's own draws take over
LARGE = 2e6
#: answers times nodes up to which a quadrature that is too coarse is refined
LARGEST = 8e6


class QuadratureLogit(MixedLogit):
    """Choices grouped by person, and the nodes of a product rule.

    Example:
        >>> import annosim as an
        >>> people = an.RandomCoefficients([1.0], [0.5], an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items.normal(6, 1), annotators=40, questions=4), seed=0)
        >>> an.fit(people, data).solver
        'quadrature'
    """

    name, order = "quadrature", 29
    settings: ClassVar[type[Solver]] = Newton  # type: ignore[assignment]
    hessians = ("dense",)

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """What a simulated likelihood takes, where the nodes are those of a product rule."""
        return super().applies(problem) and problem.model.quadrature != "sobol"

    @classmethod
    def is_automatic(cls, problem: Problem) -> bool:
        """Up to so many answers and nodes."""
        return problem.data.rows * len(problem.model.standard_nodes()[1]) <= LARGE

    def _draw(self) -> None:
        """The model's nodes, the same for everybody, with their weights."""
        model, people = self.problem.model, len(self.weights)
        nodes, weight = (part.double().numpy() for part in model.standard_nodes(self.problem.finer))
        nodes = nodes[:, self.random]
        if not len(self.random):
            nodes, weight = nodes[:1], np.ones(1)
        self.z = np.tile(nodes.T, (people, 1, 1))
        self.inverse = np.tile(weight.max() / weight, (people, 1))
        self.unit_of_weights = np.full(people, np.log(weight.max() * len(weight)))
        self.words = f"{len(weight)} nodes"

    @property
    def why(self) -> str:  # type: ignore[override]
        """What it is."""
        return f"{self.kind} coefficients on panels: quadrature with {self.words}, and its exact Hessian"

    def _words(self) -> list[str]:
        return []

    def _stages(self, every: int, draws: int) -> list[tuple[int, NDArray[np.int64]]]:
        """The same on all nodes: some of them are no quadrature."""
        stages = super()._stages(every, draws)
        return [(draws, moved) for count, moved in stages if count <= draws]

    def sign_normalised(self, found: Optimum) -> tuple[Self, Optimum]:
        """Scales positive: the nodes are symmetric."""
        full, turned = self._positive(self.all_numbers(found.point))
        return self, (replace(found, evaluation=self.evaluate(full[self.free])) if turned.any() else found)

    def refined(self, found: Optimum) -> tuple[Self, Optimum]:
        """The optimum on as many nodes as make the error of quadrature tolerable, up to a limit."""
        here = self
        while (error := here.simulation_error(found)) is not None and error.max(initial=0.0) > TOLERABLE:
            more = here._finer()
            if not more._fits:
                break
            here, found = more, maximise(more, found.point, self.problem.tolerance, self.problem.max_iterations)
        return here, found

    def _finer(self) -> Self:
        """With as many nodes again as the model has in each dimension; half of that where they would be too many."""
        several, one = (replace(self.problem, finer=self.problem.finer + more) for more in (2, 1))
        nodes = self.problem.model.standard_nodes(several.finer)[1]
        return type(self)(several if self.problem.data.rows * len(nodes) <= LARGEST else one)

    @property
    def _fits(self) -> bool:
        return self.problem.data.rows * self.z.shape[2] <= LARGEST

    def simulation_error(self, found: Optimum) -> Vector | None:
        """By how many of its standard errors a finer quadrature would move each estimate, ``(P,)``: one Newton step."""
        if not len(self.random) or not found.converged:
            return None
        solve, _ = factorise(np.asarray(found.evaluation.curvature), None, 1e12)
        if solve is None:
            return None
        error = np.sqrt([solve(e)[j] for j, e in enumerate(np.eye(len(found.point)))])
        return np.abs(solve(self._finer().evaluate(found.point).gradient)) / error

    def _simulation_notes(self, found: Optimum) -> list[str]:
        error = self.simulation_error(found)
        if error is None or error.max(initial=0.0) <= TOLERABLE:
            return []
        return [
            f"finer nodes would move an estimate by about {error.max():.2g} of its standard error; give more of them, "
            'RandomCoefficients(points=), or pass solver="simulated"'
        ]
