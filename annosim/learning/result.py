"""The frozen result of ``fit`` and ``project``: what was found, how surely, and how."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from annosim.arrays import Numbers
from annosim.coordinates import best_naming, num_identifiable, renamed
from annosim.coordinates.normalisation import conventions
from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, FileReadError, told, warn
from annosim.learning.inference import draw, uncertainty
from annosim.learning.inference import leaderboard as leaderboards
from annosim.learning.inference import profile as profiles
from annosim.learning.likelihoods.reference import Blocks, joint_log_prob, log_likelihood, total_weight
from annosim.learning.likelihoods.registry import likelihood_of
from annosim.learning.posterior.annotators import AnnotatorPosterior, annotator_posterior, check_same_items
from annosim.learning.posterior.asked import Menus
from annosim.learning.posterior.prediction import Prediction
from annosim.learning.posterior.questions import NextQuestion, QuestionTarget, next_question
from annosim.learning.saving import save_object
from annosim.populations.base import Population
from annosim.results import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from annosim.learning.inference.leaderboard import Leaderboard
    from annosim.learning.likelihoods.base import Likelihood
    from annosim.learning.problem import Problem, Solution
    from annosim.learning.training.em_trace import EMSummary
    from annosim.learning.training.result import Training

__all__ = ["Fit"]


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Result):
    """What ``fit`` or ``project`` found.

    Attributes:
        population: the model at the optimum: it can be simulated, compared and identified like any other.
        log_likelihood: at the optimum, without penalties; ``None`` of a projection and of other objectives.
        objective: value of what was minimised, per unit weight of the data (penalties included).
        divergence: of a projection: Kullback-Leibler divergence from the truth's law to the model's, in nats per block
            of answers; ``None`` otherwise.
        converged: the scaled gradient is below the tolerance.
        iterations: of the best start.
        solver: its name; ``why`` says why it was chosen.
        stopped_by: ``"gradient"`` when converged; else ``"iterations"``, ``"rounding"``, ``"infinity"``, ``"schedule"``, ...
        gradient_norm: largest entry of the gradient of the objective per unit weight.
        normalisation: the convention that fixes each direction which no answer can tell.
        condition: condition number of the Hessian off the null directions.
        starts: log-likelihoods of all starting points.
        trace: log-likelihood by iteration of the best start, or ``None``.
        notes: what a prior decided, fallbacks, whatever the reader must know.
        truth: hidden columns of simulated data (types, tastes), which no solver sees and :func:`annosim.compare` reads.
        training: the run that trained networks, or ``None``.
        em: what EM over networks wrote down at its E-steps, or ``None``.
        last_change: of a training run: change of the mean loss over its last fiftieth.
        duality_gap: of SLiC: how far from the optimum the solution can be at most; ``None`` otherwise.
        loose_items: of SLiC's linear program: how many items can move alone with the objective unchanged.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 3, answer=[0, 0, 1])
        >>> an.fit(an.Annotator(an.Tabular(2), an.Luce()), data).converged
        True
    """

    population: Population
    log_likelihood: float | None
    converged: bool
    iterations: int
    solver: str
    stopped_by: str
    gradient_norm: float
    why: str = ""
    objective: float | None = None
    divergence: float | None = None
    normalisation: tuple[str, ...] = ()
    condition: float = float("nan")
    starts: tuple[float, ...] = ()
    trace: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    truth: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    training: Training | None = field(default=None, repr=False)
    em: EMSummary | None = field(default=None, repr=False)
    last_change: float | None = None
    duality_gap: float | None = None
    loose_items: int | None = None
    problem: Problem = field(kw_only=True, repr=False)

    @classmethod
    def from_solution(cls, problem: Problem, name: str, solution: Solution, settings: dict[str, object]) -> Fit:
        """Freeze a solver's solution."""
        for component in solution.population.components():
            component.estimated = True
        return cls(
            population=solution.population,
            log_likelihood=None if problem.is_projection else solution.log_likelihood,
            converged=bool(solution.converged),
            iterations=int(solution.iterations),
            solver=name,
            stopped_by=solution.stopped_by,
            gradient_norm=float(solution.gradient_norm),
            why=solution.why,
            objective=solution.objective,
            divergence=solution.divergence,
            normalisation=conventions(solution.population, problem.items),
            condition=float(solution.condition),
            starts=tuple(float(v) for v in solution.starts),
            trace=None if solution.trace is None else np.asarray(solution.trace),
            notes=tuple(solution.notes),
            training=solution.training,
            em=solution.em,
            last_change=solution.last_change,
            duality_gap=solution.duality_gap,
            loose_items=solution.loose_items,
            problem=solution.problem or problem,
            settings=settings,
        )

    # ---- numbers ---------------------------------------------------------------------------------------------------

    @property
    def is_projection(self) -> bool:
        """Whether this is the limit of infinite data."""
        return self.problem.is_projection

    @cached_property
    def num_parameters(self) -> int:
        """How many numbers any answers could tell (:func:`annosim.coordinates.num_identifiable`)."""
        return num_identifiable(self.population, self.problem.items)

    @cached_property
    def likelihood(self) -> Likelihood:
        """The likelihood at the estimate, with the curvature and the scores that standard errors read."""
        return likelihood_of(replace(self.problem, model=self.population), self.solver)

    def __getstate__(self) -> dict[str, Any]:
        """Without the likelihood, which is made again from model and data."""
        return {name: value for name, value in self.__dict__.items() if name != "likelihood"}

    @property
    def bic(self) -> float:
        """Bayesian information criterion ``p log(annotators) - 2 log L`` (smaller is better); blocks are the units."""
        return self.num_parameters * float(np.log(self._weight())) - 2.0 * self._need_likelihood("bic")

    @property
    def aic(self) -> float:
        """Akaike's criterion ``2 p - 2 log L``."""
        return 2.0 * self.num_parameters - 2.0 * self._need_likelihood("aic")

    def _weight(self) -> float:
        return self.likelihood.people if self.problem.shards is not None else total_weight(self.problem.data)

    def _need_likelihood(self, name: str) -> float:
        if self.log_likelihood is None:
            raise ArgumentError(f"{name}: this result has no log-likelihood (a projection, or another objective)")
        return self.log_likelihood

    def held_out(self, data: PreferenceData) -> float:
        """Mean log-likelihood per annotator on other data."""
        if not isinstance(data, PreferenceData):
            raise ArgumentError(f"held_out(data={told(data)}): give an.PreferenceData on the same items")
        return log_likelihood(self.population, data) / total_weight(data)

    def covariance(self, kind: str = "hessian") -> torch.Tensor:
        """Covariance of the estimates in the reported normalisation, ``(P, P)``, rows as ``population.parameter_names()``.

        Args:
            kind: ``"hessian"`` (inverse observed information), ``"sandwich"`` (rows independent, or blocks of a
                mixture and of random tastes; right under misspecification; White 1982), ``"cluster"`` (annotators
                independent).
        """
        return uncertainty.covariance(self, kind)

    def standard_errors(self, kind: str = "hessian") -> dict[str, torch.Tensor]:
        """Standard errors by parameter name, each of its parameter's shape, in the reported normalisation.

        Raises:
            ArgumentError: an unknown kind, or a result without data (a batched or loaded one).
        """
        se = self.covariance(kind).diagonal().clamp_min(0.0).sqrt()
        return self.population.unflatten(se)

    def bootstrap(self, replicates: int = 200, seed: int = 0) -> torch.Tensor:
        """Bootstrap by annotator, as multinomial weights: normalised parameter vectors ``(replicates, P)``."""
        return uncertainty.bootstrap(self, replicates, seed)

    def profile(self, name: str, level: float = 0.95, reach: float = 8.0, steps: int = 16) -> profiles.Profile:
        """Profile likelihood of one free number (``"types.0.utility.values[3]"``) with a classification.

        Args:
            name: as in ``population.parameter_names()``.
            level: of the interval.
            reach: how many Wald standard errors to go on either side (at least 8 units where there is none).
            steps: values on each side.
        """
        return profiles.profile(self, name, level, reach, steps)

    # ---- mixtures --------------------------------------------------------------------------------------------------

    @cached_property
    def responsibilities(self) -> torch.Tensor:
        """Posterior probability of each component for each annotator with an answer, ``(annotators, types)``."""
        blocks = Blocks(self.problem.data, named=not self.is_projection)
        with torch.no_grad():
            joint = joint_log_prob(self.population, blocks)
            component = torch.cat(
                [torch.full((len(c.weight),), c.number) for c in self.population.indexed(self.problem.items)]
            )
            share = torch.softmax(joint, 0)
            out = torch.zeros(int(component.max()) + 1, blocks.count, dtype=share.dtype)
            return out.index_add(0, component, share).T

    def align(self, truth: Population) -> Fit:
        """The same fit with its types renamed to match ``truth`` (:func:`annosim.coordinates.align_types`).

        A nested mixture whose parts the best naming tears apart becomes the mixture of its components.
        """
        if not isinstance(truth, Population):
            raise ArgumentError(f"align(truth={told(truth)}): give a population whose types are named")
        order = best_naming(self.population, truth, self.problem.items)
        return replace(self, population=renamed(self.population, order))

    # ---- annotators that the fit has not seen ----------------------------------------------------------------------

    def posterior(self, data: PreferenceData | None = None, *, covariates: Numbers | None = None) -> AnnotatorPosterior:
        """What is known of annotators whom the fit has not seen, from their answers: types, tastes, utilities.

        The population is taken as it was estimated and nothing is fitted anew
        (:func:`annosim.learning.annotator_posterior`).

        Args:
            data: their answers, few or many; ``None`` for somebody who has not answered: the prior.
            covariates: ``(B, c)``, where the shares of the types depend on them.

        Raises:
            ArgumentError: other items than those of the fit, or a model with numbers for each annotator.

        Example:
            >>> import annosim as an
            >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s, 0.0]), an.Luce()) for s in (3.0, -3.0)])
            >>> design = an.Design(an.Items(n=3), annotators=300, questions=6)
            >>> fit = an.fit(two, an.simulate(two, design, seed=0))
            >>> somebody = an.PreferenceData(an.Items(n=3), [[0, 1], [1, 2]], answer=[1, 0], annotator=[0, 0])
            >>> bool(fit.posterior(somebody).types.max() > 0.9), fit.posterior().types.sum().round(9)
            (True, np.float64(1.0))
        """
        if data is not None and isinstance(data, PreferenceData):
            check_same_items(self.population, self.problem.items, data.items)
            self._warn_of_known(data)
        return annotator_posterior(self.population, data, items=self.problem.items, covariates=covariates)

    def predict(
        self, menus: Menus, *, given: PreferenceData | None = None, covariates: Numbers | None = None
    ) -> Prediction:
        """Probabilities of answers by annotators whom the fit has not seen, given what they have said.

        Args:
            menus: a design, or ``(M, k)`` item ids.
            given: their answers; ``None`` for somebody who has not answered.
            covariates: see :meth:`posterior`.

        Example:
            >>> import annosim as an
            >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 4, answer=[0, 0, 0, 1])
            >>> fit = an.fit(an.Annotator(an.Tabular(2), an.Luce()), data)
            >>> fit.predict([[0, 1]]).probabilities.round(6).tolist()
            [[[0.75, 0.25]]]
        """
        return self.posterior(given, covariates=covariates).predict(menus)

    def next_question(
        self,
        data: PreferenceData | None,
        candidates: Menus,
        target: QuestionTarget = "type",
        *,
        alpha: float = 0.05,
        covariates: Numbers | None = None,
    ) -> NextQuestion:
        """The question whose answer is expected to tell most of annotators, and whether enough is known already.

        Args:
            data: their answers so far (several annotators: whom to ask next, too); ``None`` before the first.
            candidates: what may be asked: a design, or menus ``(M, k)``.
            target: ``"type"``, ``"utility"``, ``"policy"`` (their best item), or a function of utilities.
            alpha: error of the stopping rule, which may be looked at after every answer
                (:mod:`annosim.learning.posterior.questions`).
            covariates: see :meth:`posterior`.

        Example:
            >>> import annosim as an
            >>> kinds = [an.Annotator(an.Tabular([0.0, s, 0.1 * s]), an.Luce()) for s in (3.0, -3.0)]
            >>> design = an.Design(an.Items(n=3), annotators=300, questions=6)
            >>> fit = an.fit(an.Mixture(kinds), an.simulate(an.Mixture(kinds), design, seed=0))
            >>> ask = fit.next_question(None, [[0, 1], [0, 2]])
            >>> ask.words, ask.stop
            ('0, 1', False)
        """
        return next_question(self.posterior(data, covariates=covariates), candidates, target, alpha)

    def _warn_of_known(self, data: PreferenceData) -> None:
        """Earlier answers of people whom the fit has seen are not counted again."""
        known, named = self.problem.data.annotator_names, data.annotator_names
        if (
            self.is_projection
            or known is None
            or named is None
            or named.dtype.kind in "iu"
            or data is self.problem.data
        ):
            return
        both = sorted({str(name) for name in known} & {str(name) for name in named})
        if both:
            warn(
                f"posterior: {len(both)} annotator(s), {both[0]!r} first, also answered the data of the fit; what they said "
                "there is not counted here. Give all their answers together: an.data.concat([old, new])"
            )

    # ---- to read ---------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        return "Projection" if self.is_projection else "Fit"

    def _lines(self) -> list[tuple[str, Any]]:
        lines: list[tuple[str, Any]] = [("model", _short(repr(self.population)))]
        if self.log_likelihood is not None:
            lines.append(("log-likelihood", self.log_likelihood))
        if self.divergence is not None:
            lines.append(("divergence from the truth", f"{self.divergence:.6g} nats a block"))
        state = "converged" if self.converged else "NOT converged"
        lines.append((state, f"stopped by {self.stopped_by} after {self.iterations} iterations"))
        lines.append(("gradient norm", f"{self.gradient_norm:.2g}"))
        lines.append(("solver", self.solver + (f" ({self.why})" if self.why else "")))
        if np.isfinite(self.condition):
            lines.append(("condition", f"{self.condition:.3g}"))
        if len(self.starts) > 1:
            lines.append(("starts", f"{len(self.starts)}, best {max(self.starts):.6g}, worst {min(self.starts):.6g}"))
        lines += [("normalisation", text) for text in self.normalisation] + [("note", text) for text in self.notes]
        return lines

    def summary(
        self, kind: str | None = None, level: float = 0.95, sort: Literal["estimate", "parameter"] = "estimate"
    ) -> pd.DataFrame:
        """A table (pandas): parameter, item, estimate, standard error, interval; items also have a rank in their table.

        What belongs under the table is in its ``attrs``: kind and level of the intervals, log-likelihood, gradient
        norm and solver.

        Args:
            kind: see :meth:`covariance`; by default ``"cluster"`` (annotators are the units) where at least eight
                annotators answered and some of them repeatedly, else ``"hessian"``.
            level: coverage of the Wald intervals.
            sort: ``"estimate"``: the items of each table by falling estimate, everything else in the order of the
                parameters; ``"parameter"``: all in that order.
        """
        table = uncertainty.summary(self, kind, level, sort)
        for name in ("log_likelihood", "converged", "gradient_norm", "solver"):
            table.attrs[name] = getattr(self, name)
        return table

    def plot(self, kind: str | None = None, level: float = 0.95, axes: Axes | None = None) -> Axes:
        """Estimates with intervals, in order; returns the matplotlib axes. Errors as in :meth:`summary`."""
        return draw.intervals(self, kind, level, axes)

    def leaderboard(
        self,
        kind: str | None = None,
        level: float = 0.95,
        *,
        anchor: float = 1000.0,
        draws: int = 10_000,
        seed: int = 0,
    ) -> Leaderboard:
        r"""Items in order, with rank intervals, groups of ties and contrasts that hold together.

        All differences of two strengths are judged at once: their largest standardised error has the law of
        ``max |Z_i - Z_j| / se_ij`` with ``Z`` normal with the estimates' covariance, and hypotheses that were rejected
        leave the maximum (Romano and Wolf 2005; ranks: Mogstad et al. 2024). With G annotators as the units the law is
        a multivariate t with G - 1 degrees of freedom. Measured at 95 % (2026-11-30; 200 simulated data sets each, eight items,
        three or four pairs of exact ties): with 60 annotators all ranks and groups of ties were right in 99 %, all contrasts covered in
        95.5 %; with 15 annotators in 98 % and 92.5 %.

        Args:
            kind: of the errors, as in :meth:`summary`.
            level: probability that all ranks, groups and contrasts are right.
            anchor: Elo points of an average item.
            draws, seed: of the normal law.

        Raises:
            ArgumentError: several types, or utilities that are no table.

        Example:
            >>> import annosim as an
            >>> people = an.Annotator(an.Tabular([1.0, 0.9, -1.0]), an.Luce())
            >>> data = an.simulate(people, an.Design(an.Items(names=["a", "b", "c"]), annotators=300), seed=0)
            >>> an.fit(an.Annotator(an.Tabular(3), an.Luce()), data).leaderboard().separation.rank_high.tolist()
            [2, 2, 3]
        """
        return leaderboards.leaderboard(self, kind, level, anchor, draws, seed)

    def contrasts(
        self, pairs: Sequence[tuple[str, str]] | None = None, kind: str | None = None, level: float = 0.95
    ) -> pd.DataFrame:
        """By how much one item is better than another, and how often it wins; all pairs hold together.

        See :meth:`leaderboard`, whose contrasts these are.
        """
        return self.leaderboard(kind, level).contrasts(pairs)

    def report(
        self,
        format: Literal["html", "markdown", "latex"] = "html",
        path: str | os.PathLike[str] | None = None,
        *,
        kind: str | None = None,
        level: float = 0.95,
        title: str = "Leaderboard",
    ) -> str:
        """The leaderboard as a page that opens offline, Markdown or LaTeX; written to ``path``, too, if given."""
        return self.leaderboard(kind, level).report(format, path, title)

    # ---- to keep ---------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fit (population, numbers, data) to one file; first under a temporary name, then renamed."""
        target = _path(path, "Fit.save")
        save_object({"annosim": 1, "fit": self}, target)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Fit:
        """Read a fit written by :meth:`save`. The file is a pickle: load only files that you trust.

        Raises:
            FileReadError: the file is missing or is not a saved fit.
        """
        import pickle

        file = _path(path, "Fit.load")
        try:
            content = torch.load(file, weights_only=False)
        except FileNotFoundError:
            raise FileReadError(f"{path}: there is no such file; write one with Fit.save") from None
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise FileReadError(f"{path}: cannot be read as a saved fit ({error}); write one with Fit.save") from error
        if not isinstance(content, dict) or not isinstance(content.get("fit"), cls):
            raise FileReadError(f"{path}: holds no fit; write one with Fit.save")
        return content["fit"]


def _path(path: Any, where: str) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise ArgumentError(f"{where}({path!r}): give the path of a file")
    return Path(path)


def _short(text: str) -> str:
    return text if len(text) <= 160 else text[:157] + "..."
