"""Fits of many replicates at once: one array program where the structure allows, and a row with a status for each."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from annosim.compiled import threads
from annosim.coordinates import best_naming, renamed
from annosim.data.preferences import PreferenceData
from annosim.errors import AnnosimError, ArgumentError, NotIdentifiedError
from annosim.execution.current import engine
from annosim.execution.executor import ThisProcess, Threads
from annosim.execution.tasks import run_tasks
from annosim.learning.dispatch import finish, solve
from annosim.learning.estimation import Estimate, check_problem, estimate
from annosim.learning.likelihoods.autodiff import DifferentiatedLikelihood
from annosim.learning.likelihoods.luce import LuceTable
from annosim.learning.likelihoods.registry import LIKELIHOODS
from annosim.learning.problem import Problem, Solution, choose
from annosim.learning.result import Fit
from annosim.learning.solvers.settings import Newton, Solver, TrainingSolver
from annosim.learning.solvers.stacked import maximise_tables
from annosim.learning.structure import affine_index
from annosim.populations.base import Population
from annosim.results import Result

__all__ = ["BatchedFit", "solve_replicates"]

#: tables of at most so many items are fitted as one array program
FEW_ITEMS = 128


@dataclass(frozen=True, eq=False, repr=False)
class BatchedFit(Result):
    """Fits of R replicates; ``fits[r]`` is the r-th as a :class:`Fit`.

    Attributes:
        vectors: ``(R, P)`` free parameters (NaN where a replicate failed); types stand in order of falling weight;
            :meth:`align` matches them to a truth before they are averaged.
        log_likelihood: ``(R,)``.
        converged: ``(R,)`` bool.
        gradient_norm: ``(R,)`` largest entry of the gradient per unit weight.
        iterations: ``(R,)``.
        status: R words: ``"ok"``, ``"not converged"``, or why a replicate failed.
        model: the model whose parameters they are.
        solver: its name.
        objective: ``(R,)`` value of the minimised objective, where networks were trained or it is not the likelihood.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=2), annotators=50), seed=0, replicates=3)
        >>> fits = an.fit(people.like(seed=1), data)
        >>> fits.vectors.shape, fits[0].converged
        ((3, 2), True)
    """

    model: Population
    vectors: np.ndarray
    log_likelihood: np.ndarray
    converged: np.ndarray
    gradient_norm: np.ndarray
    iterations: np.ndarray
    status: tuple[str, ...]
    solver: str
    data: PreferenceData
    problem: Problem
    objective: np.ndarray | None = field(default=None)
    solutions: tuple[Solution, ...] = field(default=())
    estimates: tuple[Estimate | None, ...] = field(default=())
    each: tuple[Fit | None, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, replicate: int) -> Fit:
        """The fit of one replicate.

        Raises:
            NotIdentifiedError: that replicate's estimate does not exist.
        """
        r = range(len(self))[replicate]
        if not np.isfinite(self.vectors[r]).all():
            raise NotIdentifiedError(f"replicate {r}: {self.status[r]}")
        known = self.each[r] if self.each else None
        if known is not None:
            return known
        problem = replace(self.problem, _data=self.data[r])
        kept = self.estimates[r] if self.estimates else None
        if kept is not None:
            return finish(problem, self.solver, kept.solution())
        if self.solutions:
            return finish(problem, self.solver, self.solutions[r])
        said = self.status[r].removeprefix("stopped by ")
        ended = "iterations" if said == self.status[r] else said
        solution = Solution(
            population=self.model.with_parameters(torch.as_tensor(self.vectors[r])),
            log_likelihood=float(self.log_likelihood[r]),
            converged=bool(self.converged[r]),
            iterations=int(self.iterations[r]),
            stopped_by="gradient" if self.converged[r] else ended,
            gradient_norm=float(self.gradient_norm[r]),
            why=f"replicate {r} of {len(self)}",
        )
        return finish(problem, self.solver, solution)

    def align(self, truth: Population) -> BatchedFit:
        """The same fits, each with its types renamed to match ``truth``."""
        rows = self.vectors.copy()
        for r, row in enumerate(self.vectors):
            if np.isfinite(row).all():
                one = self.model.with_parameters(torch.as_tensor(row))
                named = renamed(one, best_naming(one, truth, self.problem.items)).vector().numpy()
                if len(named) != len(row):
                    raise ArgumentError(
                        "align: the best naming tears the parts of a nested mixture apart, which replicates of one "
                        "structure cannot follow; align them one by one, fits[r].align(truth)"
                    )
                rows[r] = named
        return replace(self, vectors=rows)

    def _lines(self):
        ok = sum(word == "ok" for word in self.status)
        finite = self.gradient_norm[np.isfinite(self.gradient_norm)]
        return [
            ("replicates", f"{len(self)}, {ok} converged"),
            ("other statuses", ", ".join(sorted({w[:60] for w in self.status if w != "ok"})) or "none"),
            ("largest gradient norm", float(finite.max()) if len(finite) else float("nan")),
            ("solver", self.solver),
        ]


def solve_replicates(
    problem: Problem, models: list[Population], data: PreferenceData, solver: Solver | str
) -> BatchedFit:
    """Fit every replicate; one that fails is recorded, and the others continue.

    Args:
        problem: of the first replicate, its arguments checked.
        models: one for all replicates, or one for each.
        data: with replicates.
        solver: settings, or ``"auto"``.
    """
    problem = replace(problem, _data=data[0])
    method, problem = choose(problem, solver)
    together = _likelihoods(problem, models, data, method.name)
    if together is not None:
        return together
    found = method.solve_at_once(problem, models, data) if method.solve_at_once is not None else None
    if found is None:
        return _one_by_one(problem, models, data, solver)
    return _together(problem, method.name, found, data)


def _together(problem: Problem, name: str, found: list[Solution], data: PreferenceData) -> BatchedFit:
    """Solutions of all replicates, trained as one batched program."""
    value = [s.log_likelihood for s in found]
    return BatchedFit(
        model=problem.model,
        vectors=np.stack([s.population.vector().numpy() for s in found]),
        log_likelihood=np.array([np.nan if v is None else v for v in value]),
        objective=np.array([s.objective for s in found], dtype=float),
        converged=np.array([s.converged for s in found]),
        gradient_norm=np.array([s.gradient_norm for s in found]),
        iterations=np.array([s.iterations for s in found]),
        status=tuple("ok" if s.converged else _status(s.stopped_by) for s in found),
        solver=name,
        data=data,
        problem=problem,
        solutions=tuple(found),
        settings={"replicates": len(found), "starts": problem.starts, "path": "trained at once"},
    )


def _likelihoods(problem: Problem, models: list[Population], data: PreferenceData, name: str) -> BatchedFit | None:
    """Whatever is fitted by maximising a likelihood: each replicate as a single fit is, shared among the cores."""
    kind = next((one for one in LIKELIHOODS if one.name == name), None)
    if kind is None:
        return None
    stacked = _tables(problem, data) if kind is LuceTable else None
    if stacked is not None:
        return stacked
    # forward-mode derivatives are not safe in threads
    workers = 1 if issubclass(kind, DifferentiatedLikelihood) else threads.count(None)
    with engine(lambda: Threads(workers) if workers > 1 else ThisProcess()) as executor:
        found = run_tasks(_estimate, (name, problem, models, data), range(len(data.menu)), executor)
    return _gathered(problem, data, name, found)


def _estimate(common: tuple[str, Problem, list[Population], PreferenceData], r: int) -> Estimate | AnnosimError:
    """One replicate's estimate, or why it has none."""
    name, problem, models, data = common
    kind = next(one for one in LIKELIHOODS if one.name == name)
    part = replace(problem, model=models[r % len(models)], _data=data[r])
    try:
        check_problem(part)
        return estimate(kind(part))
    except ArgumentError:
        raise  # the same for every replicate
    except AnnosimError as error:
        return error


def _gathered(problem: Problem, data: PreferenceData, name: str, found: list[Any]) -> BatchedFit:
    count, size = len(found), problem.model.num_free()
    vectors, numbers = np.full((count, size), np.nan), np.full((count, 3), np.nan)
    for r, one in enumerate(found):
        if isinstance(one, Estimate):
            total = max(one.likelihood.total, 1e-300)
            vectors[r] = one.vector()
            numbers[r] = one.log_likelihood, np.abs(one.best.gradient).max(initial=0.0) / total, one.best.iterations
    done = [isinstance(one, Estimate) for one in found]
    return BatchedFit(
        model=problem.model,
        vectors=vectors,
        log_likelihood=numbers[:, 0],
        converged=np.array([isinstance(one, Estimate) and one.best.converged for one in found]),
        gradient_norm=numbers[:, 1],
        iterations=np.nan_to_num(numbers[:, 2]).astype(int),
        status=tuple(_status(one.best.stopped_by) if isinstance(one, Estimate) else str(one) for one in found),
        solver=name,
        data=data,
        problem=problem,
        estimates=tuple(one if ok else None for one, ok in zip(found, done, strict=True)),
        settings={"replicates": count, "tolerance": problem.tolerance, "path": "likelihood by likelihood"},
    )


def _status(stopped_by: str) -> str:
    return {"gradient": "ok", "iterations": "not converged"}.get(stopped_by, f"stopped by {stopped_by}")


def _tables(problem: Problem, data: PreferenceData) -> BatchedFit | None:
    """Bradley-Terry tables of a few items: Newton on the stack of win matrices."""
    component, n = affine_index(problem.model, data.items), data.items.n
    as_asked = isinstance(problem.solver, Newton) and problem.solver.hessian != "matrix-free"
    plain = data.feedback.kind == "choice" and data.menu_size == 2 and data.answer.ndim == 2 and data.weight is None
    if component is None or not as_asked or problem.prior is not None or not plain or n > FEW_ITEMS:
        return None
    menu, answer = np.asarray(data.menu), np.asarray(data.answer)
    if menu.min() < 0 or answer.min() < 0 or data.has_ties:
        return None
    count = len(menu)
    won = np.take_along_axis(menu, answer[..., None].astype(np.int64), 2)[..., 0].astype(np.int64)
    code = (np.arange(count)[:, None] * n + won) * n + (menu.sum(2) - won)
    wins = np.bincount(code.ravel(), minlength=count * n * n).reshape(count, n, n).astype(np.float64)
    diagonal = np.einsum("rii->ri", wins)
    self_pairs = diagonal.sum(1)
    diagonal[...] = 0.0
    s, value, worst, iterations = maximise_tables(
        wins, data.items.prompts.numpy(), None, problem.tolerance, problem.max_iterations
    )
    vectors = np.full((count, n), np.nan)
    for r in np.flatnonzero(np.isfinite(value)):
        vectors[r] = component.utility_from_index(s[r], data.items)
    done = worst <= problem.tolerance
    missing = ~np.isfinite(value)
    words = np.where(missing, "the estimate does not exist", np.where(done, "ok", "not converged"))
    heavy = (wins.sum(2) + wins.sum(1)).max(1) / np.maximum(wins.sum((1, 2)), 1.0)
    return BatchedFit(
        model=problem.model,
        vectors=vectors,
        log_likelihood=value - np.log(2.0) * self_pairs,
        converged=done & ~missing,
        gradient_norm=np.where(missing, np.nan, worst * heavy),
        iterations=iterations,
        status=tuple(words.tolist()),
        solver="newton",
        data=data,
        problem=problem,
        settings={"replicates": count, "tolerance": problem.tolerance, "path": "stacked tables"},
    )


def _one_by_one(problem: Problem, models: list[Population], data: PreferenceData, solver: Solver | str) -> BatchedFit:
    models = models * len(data.menu) if len(models) == 1 else models

    count, size = len(data.menu), problem.model.num_free()
    vectors, numbers = np.full((count, size), np.nan), np.full((count, 3), np.nan)
    converged, words, name = np.zeros(count, dtype=bool), [], "none"
    fits: list[Fit | None] = [None] * count
    here = isinstance(solver, TrainingSolver) and (solver.log is not None or solver.checkpoint is not None)
    with nullcontext(ThisProcess()) if here else engine(ThisProcess) as executor:  # its files are this machine's
        found = run_tasks(_fit, (problem, models, data, solver), range(count), executor)
    for r, one in enumerate(found):
        if isinstance(one, AnnosimError):
            words.append(str(one))
            continue
        fits[r] = one
        vectors[r], converged[r], name = one.population.vector().numpy(), one.converged, one.solver
        value = np.nan if one.log_likelihood is None else one.log_likelihood
        numbers[r] = value, one.gradient_norm, one.iterations
        words.append(_status(one.stopped_by) if not one.converged else "ok")
    return BatchedFit(
        model=problem.model,
        vectors=vectors,
        log_likelihood=numbers[:, 0],
        converged=converged,
        gradient_norm=numbers[:, 1],
        iterations=np.nan_to_num(numbers[:, 2]).astype(int),
        status=tuple(words),
        solver=name,
        data=data,
        problem=problem,
        settings={"replicates": count, "path": "one by one"},
        objective=np.array([np.nan if one is None or one.objective is None else one.objective for one in fits]),
        each=tuple(fits),
    )


def _fit(common: tuple[Problem, list[Population], PreferenceData, Solver | str], r: int) -> Fit | AnnosimError:
    """The fit of one replicate, or why it has none."""
    problem, models, data, solver = common
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return solve(replace(problem, model=models[r], _data=data[r]), _own_files(solver, r))
    except ArgumentError:
        raise  # the same for every replicate
    except AnnosimError as error:
        return error


def _own_files(solver: Solver | str, replicate: int) -> Solver | str:
    return solver.with_own_files(replicate) if isinstance(solver, TrainingSolver) else solver
