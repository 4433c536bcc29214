"""The verb ``project``: inverts the law from infinite data. The pseudo-true model, without sampling error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.laws import law as write_law
from annosim.learning.arguments import check_model, check_settings, keywords_checked
from annosim.learning.dispatch import finish
from annosim.learning.objectives import ForwardKL, Objective
from annosim.learning.priors import Prior
from annosim.learning.problem import Problem, choose, is_nll, projection_for
from annosim.learning.result import Fit
from annosim.learning.solvers.settings import Solver, SolverName
from annosim.populations.base import Population

__all__ = ["project"]


@keywords_checked
def project(
    model: Population,
    truth: Population,
    design: Design,
    objective: Objective | None = None,
    regulariser: ForwardKL | None = None,
    prior: Prior | None = None,
    solver: Solver | SolverName = "auto",
    starts: int = 1,
    seed: int = 0,
) -> Fit:
    r"""The minimiser of the expected objective under ``truth`` and ``design``: where a learner of infinite data ends.

    For the likelihood it is the Kullback-Leibler projection ``argmin_theta KL(law(truth) || law(model_theta))`` (White
    1982). A law is weighted data, so this is ``fit`` on the law: one set of solvers serves both.

    Args:
        model: the learner's family; its free parameters are set.
        truth: who really answers.
        design: what they are asked (the number of annotators does not matter).
        objective: ``None`` or ``an.objectives.NLL()``; others need a declared population optimum, or a differentiable
            ``loss_of_logit`` of their own (convex or not: several starts, and the notes say which) on pairs.
        regulariser: added to the expected objective.
        prior, solver, starts, seed: as in :func:`annosim.fit`.

    Returns:
        A :class:`~annosim.learning.result.Fit` with ``.divergence`` and without a log-likelihood. The divergence is infinite,
        with a note, where the truth gives ties or skips that the model cannot give.

    Raises:
        NoProjectionError: the objective has no declared population optimum for this model and design.
        NotIdentifiedError: the design never compares some items.
        TooLargeError: the law cannot be written out.

    Example:
        >>> import annosim as an
        >>> truth = an.Annotator(an.Tabular([0.0, 1.0, 3.0]), an.Luce())
        >>> best = project(an.Annotator(an.Tabular(3), an.Luce()), truth, an.Design(an.Items(n=3)))
        >>> [round(v, 6) for v in (best.population.utility.values - best.population.utility.values[0]).tolist()]
        [0.0, 1.0, 3.0]
    """
    for name, value, kind in (("model", model, Population), ("truth", truth, Population), ("design", design, Design)):
        if not isinstance(value, kind):
            raise ArgumentError(f"project({name}=): expected a {kind.__name__}, got {type(value).__name__}")
    check_settings("project", objective, regulariser, prior, starts, seed)
    check_model("project", model, design.items, prior)
    for component in model.components():
        component.rule.check_kind(design.feedback)
    problem = Problem(
        model,
        law=write_law(truth, design),
        truth=truth,
        design=design,
        objective=objective,
        regulariser=regulariser,
        prior=prior,
        starts=int(starts),
        seed=seed,
    )
    plain = is_nll(objective) and regulariser is None
    method, problem = choose(problem, solver, "project") if plain else projection_for(problem, solver)
    return _with_impossible(finish(problem, method.name, method.solve(problem)), problem)


def _with_impossible(found: Fit, problem: Problem) -> Fit:
    """Ties and skips that the model cannot give: no finite divergence, and a note that says how they were read."""
    law, rules = problem.law, [component.rule for component in problem.model.components()]
    assert law is not None
    space = law.space
    tied = np.zeros(len(space), dtype=bool) if space.tied is None else np.asarray(space.tied).any(1)
    skipped = np.asarray(space.answer)[:, 0] < 0
    lost = {
        "ties (read as half wins)": tied & ~skipped & (not any(rule.ties for rule in rules)),
        "skips (left out)": skipped & (not any(rule.skips for rule in rules)),
    }
    if not any(which.any() for which in lost.values()):
        return found
    mass = law.expected_counts().detach().sum(0).numpy()
    notes = [
        f"{mass[which].sum() / mass.sum():.3g} of the truth's answers are {what}, which the model cannot give: the divergence "
        "of the laws is infinite"
        for what, which in lost.items()
        if mass[which].sum() > 0
    ]
    if not notes:
        return found
    divergence = None if found.divergence is None else float("inf")
    return replace(found, divergence=divergence, notes=(*found.notes, *notes))
