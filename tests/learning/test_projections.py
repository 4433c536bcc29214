"""Exact optima of other objectives: against closed forms, against each other, and refusals."""

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import NotIdentifiedError
from annosim.utilities.densities import normalise


@pytest.fixture(scope="module")
def world():
    items = an.Items.grid(-10.0, 10.0, 81)
    star = an.utilities.DensityMixture(
        [an.utilities.truncated_normal(-2.5, 0.5), an.utilities.truncated_normal(2.5, 1.0)], [0.4, 0.6]
    )
    pi0 = an.utilities.truncated_normal(0.0, 5.0)
    return items, star, pi0, an.Annotator(star, an.Luce()), an.Design(items, proposal=pi0)


def tabular(n, rule=None):
    return an.Annotator(an.LogDensity(an.Tabular(n)), rule or an.Luce())


def total_variation(p, q, items):
    return float(0.5 * ((p.exp() - q.exp()).abs() * items.weights).sum())


def win_chance(star, pi0, items):
    s = star(items).detach()
    return torch.sigmoid(s[:, None] - s[None]) @ (pi0(items).exp() * items.weights)


@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_ipo_is_the_reference_tilted_by_the_chance_to_win(world, tau):
    items, star, pi0, truth, design = world
    found = an.project(tabular(items.n, an.PBDE.dpo(1.0, pi0)), truth, design, objective=an.objectives.IPO(tau))
    expected = normalise(pi0(items) + win_chance(star, pi0, items) / tau, items)
    assert found.converged
    assert total_variation(found.population.utility(items).detach(), expected, items) < 1e-10


def test_ipo_depends_on_the_proposal_and_the_likelihood_does_not(world):
    items, star, pi0, truth, design = world
    other = design.with_(proposal=an.utilities.truncated_normal(3.0, 2.0))
    rule = an.PBDE.dpo(1.0, pi0)
    ipo = [
        an.project(tabular(items.n, rule), truth, d, objective=an.objectives.IPO(0.5)).population.utility(items)
        for d in (design, other)
    ]
    nll = [an.project(tabular(items.n, rule), truth, d).population.utility(items) for d in (design, other)]
    assert total_variation(*[u.detach() for u in ipo], items) > 0.02
    assert total_variation(*[u.detach() for u in nll], items) < 1e-6


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_slic_with_margin_zero(world, weight):
    items, star, pi0, truth, design = world
    found = an.project(
        tabular(items.n),
        truth,
        design,
        objective=an.objectives.SLiC(0.0),
        regulariser=an.objectives.ForwardKL(pi0, weight) if weight else None,
    )
    density = found.population.utility(items).detach().exp()
    if weight == 0:
        assert torch.allclose(density, torch.full_like(density, 0.05), atol=1e-9)
    else:  # the hinge pulls the reference towards flat, and never beyond it
        assert density.max() < pi0(items).exp().max()


def test_slic_is_homogeneous_and_a_staircase(world):
    items, star, pi0, truth, design = world
    index = {}
    for delta in (0.5, 1.0, 2.0):
        found = an.project(tabular(items.n), truth, design, objective=an.objectives.SLiC(delta))
        s = found.population.utility(items).detach()
        index[delta] = s - s[0]
        steps = index[delta] / delta
        assert torch.allclose(steps, steps.round(), atol=1e-9)
        assert abs(found.duality_gap) < 1e-9
    assert torch.allclose(index[2.0], 4 * index[0.5], atol=1e-9)


def test_the_interior_point_and_the_linear_program_meet_as_the_regulariser_vanishes(world):
    items, star, pi0, truth, design = world
    plain = an.project(tabular(items.n), truth, design, objective=an.objectives.SLiC(1.0))
    at_plain = plain.population.utility(items).detach()
    for weight in (1e-4, 1e-6):
        penalty = an.objectives.ForwardKL(pi0, weight)
        found = an.project(tabular(items.n), truth, design, objective=an.objectives.SLiC(1.0), regulariser=penalty)
        assert plain.objective - 1e-9 <= found.objective <= plain.objective + float(penalty(at_plain, items)) + 1e-9


@pytest.mark.parametrize("weight", [1e-3, 1.0])
@pytest.mark.parametrize("rule", ["luce", "dpo", "length"])
def test_slic_says_converged_because_it_is_proved(rule, weight):
    """No other point is below the bound, whatever the rule; the bound is where the solution is."""
    items = an.Items(features=np.linspace(-3, 3, 21)[:, None], columns={"length": 3 + np.arange(21) % 5})
    pi0 = an.utilities.truncated_normal(0.0, 1.0)
    kind = {"luce": an.Luce(), "dpo": an.PBDE.dpo(2.0, pi0), "length": an.PBDE.length_normalised(5.0)}[rule]
    truth, design = an.Annotator(an.utilities.truncated_normal(1.0, 0.5), an.Luce()), an.Design(items, proposal=pi0)
    law, penalty = an.law(truth, design), an.objectives.ForwardKL(pi0, weight)
    p, rng = law.marginal(), np.random.default_rng(1)
    for delta in (0.5, 2.0):
        objective = an.objectives.SLiC(delta)
        found = an.project(tabular(items.n, kind), truth, design, objective=objective, regulariser=penalty)
        assert found.converged
        assert 0 <= found.duality_gap < 1e-8
        bound, best = found.objective - found.duality_gap, found.population.utility(items).detach()
        for size in (1e-6, 1e-3, 0.1, 1.0):
            u = normalise(best + size * torch.as_tensor(rng.normal(size=items.n)), items)
            s = kind.index(u, items)
            h = s[law.menu[:, 0]] - s[law.menu[:, 1]]
            hinge = (p[:, 0] * objective.loss_of_logit(h) + p[:, 1] * objective.loss_of_logit(-h)).sum()
            assert float((hinge + penalty(u, items)).detach()) >= bound - 1e-12


def test_slic_of_weights_of_features_is_a_linear_program_too():
    items = an.Items.normal(8, dim=2, seed=0)
    truth, model = an.Annotator(an.Linear([1.0, -0.5]), an.Luce()), an.Annotator(an.Linear(2), an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=200), seed=1)
    found = an.fit(model, data, objective=an.objectives.SLiC(1.0))
    assert found.converged
    menu, answer = np.asarray(data.menu), np.asarray(data.answer).reshape(-1)
    x = items.features.double().numpy()
    rows = np.arange(data.rows)
    gap = x[menu[rows, answer]] - x[menu[rows, 1 - answer]]
    best = found.population.utility.weights.detach().numpy()
    value = lambda w: np.maximum(0, 1 - gap @ w).mean()  # noqa: E731
    assert value(best) == pytest.approx(found.objective, abs=1e-12)
    corners = np.array(
        [
            np.linalg.solve(gap[[i, j]], [1.0, 1.0])
            for i in range(0, 200, 5)
            for j in range(i)
            if abs(np.linalg.det(gap[[i, j]])) > 1e-9
        ]
    )
    assert min(value(w) for w in corners) >= value(best) - 1e-12


def test_slic_with_a_regulariser_beats_its_neighbours(world):
    """A local check of a convex optimum: no random perturbation lowers the exact objective."""
    items, star, pi0, truth, design = world
    penalty, objective = an.objectives.ForwardKL(pi0, 1.0), an.objectives.SLiC(1.0)
    found = an.project(tabular(items.n), truth, design, objective=objective, regulariser=penalty)
    law = an.law(truth, design)
    p = law.marginal()

    def value(u):
        u = normalise(u, items)
        h = u[law.menu[:, 0]] - u[law.menu[:, 1]]
        hinge = (p[:, 0] * objective.loss_of_logit(h) + p[:, 1] * objective.loss_of_logit(-h)).sum()
        return float((hinge + penalty(u, items)).detach())

    best = found.population.utility(items).detach()
    here = value(best)
    assert here == pytest.approx(found.objective, abs=1e-9)
    rng = np.random.default_rng(0)
    for size in (1e-4, 1e-2, 1.0):
        for _ in range(20):
            assert value(best + size * torch.as_tensor(rng.normal(size=items.n))) >= here - 1e-8


def two_items(p):
    truth = an.Annotator(an.Tabular([np.log(p / (1 - p)), 0.0]), an.Luce())
    return truth, an.Design(an.Items(n=2), menus=[[0, 1]])


@pytest.mark.parametrize("p", [0.3, 0.55, 0.7])
def test_margins_and_soft_labels_on_one_pair(p):
    truth, design = two_items(p)
    logit = np.log(p / (1 - p))

    def gap(objective):
        u = an.project(
            an.Annotator(an.Tabular(2), an.Luce()), truth, design, objective=objective
        ).population.utility.values
        return float(u[0] - u[1])

    assert gap(an.objectives.Margin("signed", alpha=1.5)) == pytest.approx(logit + 1.5 * (2 * p - 1), abs=1e-8)
    assert gap(an.objectives.SoftLabels()) == pytest.approx(logit, abs=1e-8)
    assert (
        abs(gap(an.objectives.Margin("unsigned", alpha=1.0)))
        > abs(logit)
        > abs(gap(an.objectives.Margin("inside", alpha=1.0)))
    )
    judge = an.Annotator(an.Tabular([1.0, 0.0]), an.Luce())
    assert gap(an.objectives.SoftLabels(judge=judge)) == pytest.approx(1.0, abs=1e-8)
    e = 0.1
    smooth = p * (1 - e) + (1 - p) * e
    assert gap(an.objectives.NLL(label_smoothing=e)) == pytest.approx(np.log(smooth / (1 - smooth)), abs=1e-8)


def test_finite_data_use_the_same_solvers():
    items = an.Items(n=4)
    data = an.simulate(
        an.Annotator(an.Tabular([0.0, 0.5, 1.0, 2.0]), an.Luce()), an.Design(items, annotators=300), seed=3
    )
    found = an.fit(an.Annotator(an.Tabular(4), an.Luce()), data, objective=an.objectives.IPO(0.5))
    h = np.asarray(data.menu)
    won = np.where(np.asarray(data.answer) == 0, h[:, 0], h[:, 1])
    lost = np.where(np.asarray(data.answer) == 0, h[:, 1], h[:, 0])
    incidence = np.zeros((data.rows, 4))
    incidence[np.arange(data.rows), won] += 1
    incidence[np.arange(data.rows), lost] -= 1
    expected = np.linalg.lstsq(incidence, np.ones(data.rows), rcond=None)[0]  # 1 / (2 tau) = 1
    got = found.population.utility.values.detach().numpy()
    assert np.allclose(got - got.mean(), expected - expected.mean(), atol=1e-9)


def test_linear_utilities():
    items = an.Items.normal(6, dim=2, seed=1)
    truth = an.Annotator(an.Linear([1.0, -0.5]), an.Luce())
    found = an.project(an.Annotator(an.Linear(2), an.Luce()), truth, an.Design(items), objective=an.objectives.IPO(0.5))
    law = an.law(truth, an.Design(items))
    x = items.features[law.menu[:, 0]] - items.features[law.menu[:, 1]]
    p = law.given_menus.marginal()[:, 0]
    expected = torch.linalg.lstsq(x, ((p - 0.5) / 0.5)[:, None]).solution[:, 0]
    assert torch.allclose(found.population.utility.weights, expected, atol=1e-9)


def test_pieces_that_never_meet_are_named():
    truth = an.Annotator(an.Tabular([0.0, 1.0, 0.0, 1.0]), an.Luce())
    design = an.Design(an.Items(names=["a", "b", "c", "d"]), menus=[[0, 1], [2, 3]])
    with pytest.raises(NotIdentifiedError, match="never compared"):
        an.project(an.Annotator(an.Tabular(4), an.Luce()), truth, design, objective=an.objectives.IPO(1.0))


def test_combinations_without_a_meaning_are_refused():
    items = an.Items(n=4)
    truth = an.Annotator(an.Tabular(4), an.Luce())
    two = an.Mixture([an.Annotator(an.Tabular(4), an.Luce()) for _ in range(2)])
    with pytest.raises(an.errors.NoProjectionError):
        an.project(truth, truth, an.Design(items, menu_size=3), objective=an.objectives.IPO(1.0))
    with pytest.raises(an.errors.NoProjectionError):
        an.project(two, truth, an.Design(items), objective=an.objectives.IPO(1.0))


def test_the_forward_kl_of_a_rule_whose_f_varies_has_right_derivatives_and_is_convex():
    from annosim.learning.solvers.convex import Affine, _forward_kl_index
    from annosim.learning.structure import affine_index

    n = 7
    items = an.Items(
        features=np.arange(n)[:, None], weights=np.linspace(0.5, 2, n), columns={"length": np.arange(1, n + 1)}
    )
    leaf = affine_index(tabular(n, an.PBDE.length_normalised(5.0)), items)
    affine, penalty = Affine.of(leaf, items), an.objectives.ForwardKL(an.LogDensity(lambda x: -0.1 * x[:, 0]), 0.7)
    s = torch.as_tensor(np.random.default_rng(0).normal(size=n))
    value, gradient, hessian = _forward_kl_index(affine, s, penalty)
    step, eye = 1e-5, torch.eye(n, dtype=torch.float64)
    up, down = ([_forward_kl_index(affine, s + sign * step * e, penalty) for e in eye] for sign in (1, -1))
    slope = torch.tensor([(a[0] - b[0]) / (2 * step) for a, b in zip(up, down, strict=True)], dtype=torch.float64)
    bend = torch.stack([(a[1] - b[1]) / (2 * step) for a, b in zip(up, down, strict=True)])
    assert torch.allclose(gradient, slope, atol=1e-7)
    assert torch.allclose(hessian, bend, atol=1e-8)
    assert float(torch.linalg.eigvalsh(hessian).min()) > -1e-12


def test_a_length_normalised_truth_is_recovered_with_a_vanishing_regulariser():
    length = np.arange(5, 20)
    items = an.Items(features=length[:, None], columns={"length": length})
    rule, flat = an.PBDE.length_normalised(5.0), an.LogDensity(lambda x: 0 * x[:, 0])
    density = an.LogDensity(an.Tabular(an.fixed(-0.05 * (length - 10.0) ** 2)))
    found = an.project(
        tabular(15, rule),
        an.Annotator(density, rule),
        an.Design(items, proposal=flat),
        regulariser=an.objectives.ForwardKL(flat, 1e-9),
    )
    assert total_variation(found.population.utility(items).detach(), density(items).detach(), items) < 1e-6


def test_the_likelihood_with_a_regulariser_need_not_be_named():
    items = an.Items.grid(0.0, 1.0, 4)
    people = an.Annotator(an.LogDensity(an.Tabular([0.0, 1.0, 0.5, 0.2])), an.Luce())
    data = an.simulate(people, an.Design(items, annotators=300), seed=0)
    pull = an.objectives.ForwardKL(an.LogDensity(an.Tabular([0.0] * 4)), 0.1)
    plain, named = (an.fit(people, data, objective=o, regulariser=pull) for o in (None, an.objectives.NLL()))
    assert torch.equal(plain.population.vector(), named.population.vector())
    with pytest.raises(an.errors.ArgumentError, match="densit"):
        an.fit(an.Annotator(an.Tabular(4), an.Luce()), data, regulariser=pull)


class Squared(an.objectives.Objective):
    """IPO's loss, written by somebody else."""

    def loss_of_logit(self, h, q=None):
        return (h - 0.5 / 0.4) ** 2


class Logistic(an.objectives.Objective):
    """The likelihood, written by somebody else."""

    def loss_of_logit(self, h, q=None):
        return torch.nn.functional.softplus(-h)


class Brier(an.objectives.Objective):
    """The squared error of the forecast: proper, so its optimum is the truth, and not convex in the logit."""

    def loss_of_logit(self, h, q=None):
        return torch.sigmoid(-h) ** 2


class Lasso(an.objectives.Objective):
    """It reads a column."""

    def columns(self):
        return ("margin",)

    def loss_of_logit(self, h, q=None):
        return (h - 1.0) ** 2


PEOPLE = an.Annotator(an.Tabular([0.0, 1.0, -2.0, 3.0]), an.Luce())
FOUR = an.Design(an.Items(n=4))


def centred(population):
    values = population.utility.values.detach()
    return (values - values.mean()).numpy()


@pytest.mark.parametrize(("mine", "own"), [(Squared(), an.objectives.IPO(0.4)), (Logistic(), None)])
def test_a_loss_of_ones_own_is_projected_as_the_librarys(mine, own):
    found = an.project(an.Annotator(an.Tabular(4), an.Luce()), PEOPLE, FOUR, objective=mine)
    expected = an.project(an.Annotator(an.Tabular(4), an.Luce()), PEOPLE, FOUR, objective=own)
    np.testing.assert_allclose(centred(found.population), centred(expected.population), atol=1e-7)
    assert found.converged and any("is convex" in note for note in found.notes)
    assert any("8 of 8 starts" in note for note in found.notes)


def test_a_proper_loss_that_is_not_convex_finds_the_truth_and_says_that_it_is_not_convex():
    found = an.project(an.Annotator(an.Tabular(4), an.Luce()), PEOPLE, FOUR, objective=Brier(), starts=12)
    np.testing.assert_allclose(centred(found.population), centred(PEOPLE), atol=1e-6)
    assert any("not convex" in note for note in found.notes) and len(found.starts) == 12


def test_a_linear_model_under_a_loss_of_ones_own_is_where_the_slope_vanishes():
    items = an.Items.normal(6, 2, seed=1)
    two = an.Mixture([an.Annotator(an.Linear(b), an.Luce()) for b in ([1.0, 0.5], [-0.5, 1.5])])
    found = an.project(an.Annotator(an.Linear(2), an.Luce()), two, an.Design(items), objective=Brier())
    x, p = items.features, an.analysis.pair_probabilities(two, items)
    i, j = np.triu_indices(6, 1)

    def risk(w):
        h = (x[i] - x[j]) @ w
        return (p[i, j] * torch.sigmoid(-h) ** 2 + (1 - p[i, j]) * torch.sigmoid(h) ** 2).mean()

    w = found.population.utility.weights.detach().clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(risk(w), w)
    assert float(slope.abs().max()) < 1e-8
    draws = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert all(float(risk(w.detach() + d)) >= float(risk(w.detach())) for d in draws)


def test_a_loss_that_reads_columns_is_refused_with_the_reason():
    with pytest.raises(an.errors.NoProjectionError, match="reads margin"):
        an.project(an.Annotator(an.Tabular(4), an.Luce()), PEOPLE, FOUR, objective=Lasso())


class Bounded(an.objectives.Objective):
    """``1 - tanh(h)``: a decided order costs least when it is sure."""

    def loss_of_logit(self, h, q=None):
        return 1 - torch.tanh(h)


def test_a_loss_of_ones_own_whose_minimum_lies_at_infinity_is_refused():
    truth = an.Annotator(an.Tabular([0.0, 0.5, 1.0, 1.5]), an.Luce())
    with pytest.raises(an.errors.NotIdentifiedError, match="the minimum of Bounded does not exist.*16 times as large"):
        an.project(an.Annotator(an.Tabular(4), an.Luce()), truth, an.Design(an.Items(n=4)), objective=Bounded())
