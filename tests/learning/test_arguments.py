"""A wrong argument is one line that names it, in every verb of this room."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError
from annosim.learning.problem import Problem
from annosim.learning.solvers.settings import SOLVERS, solvers_with
from annosim.learning.starts import starting_points

ONE = an.Annotator(an.Tabular(2), an.Luce())
TIES = an.Annotator(an.Tabular(2), an.Davidson(delta=an.free(1.0)))  # by automatic differentiation
DATA = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, [0, 0, 0, 1])
DESIGN = an.Design(an.Items(n=2))

SETTINGS = [
    ("objective", ["nll", an.objectives.NLL, 3]),
    ("regulariser", ["kl", 3]),
    ("prior", [3, "dirichlet", an.priors.Dirichlet]),
    ("starts", [0, 1.5, "3", True, None]),
    ("solver", ["newtn", None, 3]),
    ("seed", [-1, "a", 1.5, None]),
    ("tolerance", [1e-3]),
    ("toleranc", [1e-3]),
]
FLAT = [(name, value) for name, values in SETTINGS for value in values]


@pytest.mark.parametrize("model", [ONE, TIES], ids=["newton", "autograd"])
@pytest.mark.parametrize(("name", "value"), FLAT)
def test_fit_and_project_name_the_argument(model, name, value):
    for call in (lambda: an.fit(model, DATA, **{name: value}), lambda: an.project(model, ONE, DESIGN, **{name: value})):
        with pytest.raises(an.errors.AnnosimError, match=name) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_more_types_than_annotators_are_refused():
    rows = an.PreferenceData(an.Items(n=2), [[0, 1]] * 6, [0, 0, 0, 1, 1, 0], annotator=[0, 0, 1, 1, 2, 2])
    types = [an.Annotator(an.Tabular(2), an.Luce()) for _ in range(4)]
    with pytest.raises(an.errors.NotIdentifiedError, match="4 types but only 3 annotator"):
        an.fit(an.Mixture(types), rows)


@pytest.mark.parametrize("make", [an.Mixture, lambda one: an.Gated(one, np.ones((2, 1)))])
def test_one_population_is_no_list_of_types(make):
    with pytest.raises(ArgumentError, match="types="):
        make(ONE)


def test_an_option_of_a_solver_is_sent_to_its_settings():
    with pytest.raises(ArgumentError, match=r"no argument 'steps'; write solver=an.Adam\(steps=...\) or an.EM"):
        an.fit(ONE, DATA, steps=3)
    with pytest.raises(ArgumentError, match=r"project\(\) has no argument 'tolerance'; write solver=an.Newton\(tole"):
        an.project(ONE, ONE, DESIGN, tolerance=1e-3)


@pytest.mark.parametrize("settings", [an.Newton, an.LBFGS, an.learning.SimulatedLikelihood])
@pytest.mark.parametrize(
    "bad",
    [{"tolerance": value} for value in ("x", None, 0.0, 2.0, True)] + [{"max_iterations": v} for v in (0, None, 1.5)],
)
def test_settings_name_the_option(settings, bad):
    with pytest.raises(ArgumentError, match=f"{settings.__name__}.{next(iter(bad))}="):
        settings(**bad)


def test_a_subclass_of_settings_is_used_as_its_parent_is():
    class Careful(an.LBFGS):
        """Somebody's own name for the same settings."""

    assert an.fit(ONE, DATA, solver=Careful()).solver == an.fit(ONE, DATA, solver=an.LBFGS()).solver
    assert an.fit(ONE, DATA, solver="lbfgs").log_likelihood == an.fit(ONE, DATA, solver=an.LBFGS()).log_likelihood


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: an.fit(ONE, None), "fit.data=None"),
        (lambda: an.fit("bt", DATA), "fit.model='bt'"),
        (lambda: an.fit(ONE, DATA, device="gpu"), "device='gpu'"),
        (lambda: an.fit(an.Annotator(an.Tabular(3), an.Luce()), DATA), "3 values but there are 2 items"),
        (lambda: an.fit(an.Annotator(an.Linear(2), an.Luce()), DATA), "no features"),
        (lambda: an.project(an.Annotator(an.Tabular(3), an.Luce()), ONE, DESIGN), "3 values but there are 2 items"),
        (lambda: an.project(ONE, None, DESIGN), "project.truth="),
        (lambda: an.project(ONE, ONE, an.Items(n=2)), "project.design="),
        (lambda: an.fit(an.Annotator(an.Linear(1), an.Luce()), DATA, prior=an.priors.Dirichlet(1)), "no features"),
        (lambda: an.choose_types(3, DATA), "a function of K"),
        (lambda: an.choose_types(lambda k: ONE, None), "data=None"),
        (lambda: an.choose_types(lambda k: None, DATA, folds=2), "fit.model=None"),
        (lambda: an.choose_types(lambda k: ONE, DATA, ks="a"), "whole numbers"),
        (lambda: an.choose_types(lambda k: ONE, DATA, folds="a"), "folds='a'"),
        (lambda: an.Fit.load(3), "Fit.load.3"),
    ],
)
def test_wrong_kinds(call, match):
    with pytest.raises(an.errors.AnnosimError, match=match):
        call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda f: f.summary(kind="x"), "the kinds are"),
        (lambda f: f.summary(level="a"), "level='a'"),
        (lambda f: f.plot(level=2), "level=2"),
        (lambda f: f.bootstrap("a"), "replicates='a'"),
        (lambda f: f.bootstrap(10, seed="x"), "seed='x'"),
        (lambda f: f.profile(3), "the parameters are"),
        (lambda f: f.profile("utility.values[0]", level=2), "level=2"),
        (lambda f: f.profile("utility.values[0]", steps=0), "steps=0"),
        (lambda f: f.profile("utility.values[0]", reach=-1), "reach=-1"),
        (lambda f: f.held_out(None), "held_out"),
        (lambda f: f.align(None), "align"),
        (lambda f: f.save(3), "Fit.save.3"),
    ],
)
def test_results_name_the_argument(call, match):
    fit = an.fit(ONE, DATA)
    with pytest.raises(an.errors.AnnosimError, match=match):
        call(fit)
    assert np.isfinite(fit.log_likelihood)


def test_one_annotator_for_two_types_is_refused():
    one = an.Annotator(an.Tabular(3), an.Luce())
    data = an.simulate(an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce()), an.Design(an.Items(n=3), annotators=50))
    with pytest.raises(ArgumentError, match="types 0 and 1 share all their free parameters"):
        an.fit(an.Mixture([one, one]), data)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=lambda solver: solver.__name__)
def test_a_solver_has_all_its_own_options(solver):
    names = list(solver.__dataclass_fields__)
    assert solver in solvers_with(names) and solver in solvers_with(names[:1]) and solvers_with(["no option"]) == []


def test_schedules_are_their_formulas():
    """Linear warm-up and a cosine to zero; temperatures that fall geometrically to one."""
    adam = an.Adam(steps=20, lr=0.3, warmup=4)
    expected = [0.3 * (step + 1) / 4 for step in range(4)]
    expected += [0.15 * (1 + math.cos(math.pi * (step - 4) / 16)) for step in range(4, 20)]
    assert [adam.rate(step) for step in range(20)] == pytest.approx(expected)
    em = an.EM(steps=40, temperature=8.0, anneal=0.5)
    expected = [8.0 ** (1 - step / 20) if step < 20 else 1.0 for step in range(40)]
    assert [em.temperature_at(step) for step in range(40)] == pytest.approx(expected)


def test_starts_are_the_model_and_redrawn_ones():
    """The first start is the model as given, unless its types begin alike; the others differ from it and each other."""
    one = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce())
    data = an.simulate(one, an.Design(an.Items(n=3), annotators=20), seed=0)
    other = an.Annotator(an.Tabular([2.0, 0.0, 1.0]), an.Luce())
    same = an.Mixture([one, copy.deepcopy(one)])
    for model, kept in ((one, True), (an.Mixture([one]), True), (an.Mixture([one, other]), True), (same, False)):
        starts = starting_points(Problem(model, data, starts=4))
        assert len(starts) == 4 and torch.equal(starts[0].vector(), model.vector()) == kept
        vectors = [tuple(start.vector().tolist()) for start in starts]
        assert len(set(vectors)) == 4
        again = starting_points(Problem(model, data, starts=2))
        assert [torch.equal(a.vector(), b.vector()) for a, b in zip(again, starts, strict=False)] == [True, True]
