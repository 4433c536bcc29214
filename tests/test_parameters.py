import pytest
import torch
from hypothesis import given
from hypothesis import strategies as hs

import annosim as an
from annosim.checks import strategies as st
from annosim.constraints import check_value
from annosim.errors import ArgumentError, NothingFreeError
from annosim.parameters import Constraint, Fixed, Free, Unconstrained


def test_utilities_and_weights_are_free_rules_are_not():
    people = an.Mixture(
        [an.Annotator(an.Tabular(3), an.Luce(2.0)), an.Annotator(an.Linear([1.0]), an.Luce(an.free(1.0)))]
    )
    assert set(people.free_parameters()) == {
        "weights",
        "types.0.utility.values",
        "types.1.utility.weights",
        "types.1.rule.temperature",
    }


def test_a_dpo_reference_is_copied_and_frozen():
    reference = an.LogDensity(an.Tabular([0.0, 1.0]))
    rule = an.PBDE.dpo(2.0, reference)
    before = rule.index(torch.zeros(2), an.Items(n=2))
    reference.energy.values.data += torch.tensor([5.0, 0.0])
    assert torch.equal(rule.index(torch.zeros(2), an.Items(n=2)), before)
    assert not rule.free_parameters()


@given(hs.data())
def test_vector_and_names_round_trip(data):
    items = data.draw(st.items(dim=2))
    people = data.draw(st.populations(items))
    vector = people.vector()
    assert len(people.parameter_names()) == len(vector) == people.num_free()
    moved = people.with_parameters(vector + 0.25)
    assert torch.allclose(moved.vector(), vector + 0.25) and torch.equal(people.vector(), vector)


def test_like_refuses_a_population_with_nothing_free():
    with pytest.raises(NothingFreeError, match="nothing is free"):
        an.Annotator(an.Tabular(an.fixed([0.0, 1.0])), an.Luce()).like(seed=0)


def test_like_keeps_constraints_and_fixed_numbers():
    people = an.Mixture([an.Annotator(an.Tabular(2), an.Luce(3.0)), an.Annotator(an.Tabular(2), an.Luce(an.free(1.0)))])
    other = people.like(seed=4)
    assert float(other.types[0].rule.temperature) == 3.0
    assert float(other.types[1].rule.temperature.detach()) > 0
    assert float(other.weights.detach().sum()) == pytest.approx(1.0) and bool((other.weights > 0).all())
    assert torch.equal(other.vector(), people.like(seed=4).vector())


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf"), "warm"])
def test_bad_temperatures_say_what_is_allowed(temperature):
    with pytest.raises(ArgumentError, match=r"Luce\(temperature=\)"):
        an.Luce(temperature)


@pytest.mark.parametrize("weights", [[0.5, 0.6], [-0.5, 1.5], [1.0], [float("nan"), 1.0]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ArgumentError, match=r"Mixture\(weights=\)"):
        an.Mixture([an.Annotator(an.Tabular(2), an.Luce())] * 2, weights)


@pytest.mark.parametrize("constraint", list(Constraint))
def test_unconstrained_coordinates_reach_the_constraint_and_come_back(constraint):
    z = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
    value = constraint.transform(z)
    assert bool(constraint.support.check(value).all()) and constraint.allows(value)
    assert torch.allclose(constraint.transform(constraint.unconstrained(value)), value)


@pytest.mark.parametrize("constraint", [c for c in Constraint if c not in ("real", "centred", "increasing")])
def test_a_boundary_value_has_finite_coordinates(constraint):
    edge = torch.tensor(
        [1.0, 0.0, 0.0] if constraint == "simplex" else [1.0, 1.0] if constraint == "at_least_one" else [0.0]
    )
    z = constraint.unconstrained(edge.double(), margin=1e-6)
    assert bool(torch.isfinite(z).all()) and torch.allclose(constraint.transform(z), edge.double(), atol=1e-5)
    assert constraint.allows(edge.double()) and not constraint.allows(edge.double() - 1.0)


def test_unconstrained_coordinates_of_a_population_round_trip_and_know_what_is_feasible():
    people = an.Mixture(
        [an.Annotator(an.Tabular([0.0, 1.0]), an.Luce(an.free(t))) for t in (1.0, 2.0)], weights=[0.25, 0.75]
    )
    free, vector = Unconstrained(people), people.vector()
    assert torch.allclose(free.inside(free.outside(vector)), vector) and free.feasible(vector)
    for name, value in (("weights", [-0.5, 1.5]), ("types.0.rule.temperature", -1.0)):
        moved = people.with_parameters({name: torch.tensor(value, dtype=torch.float64)})
        assert not free.feasible(moved.vector())


def test_marks_are_values_that_functions_make():
    assert an.free(0.5) == Free(0.5) and an.fixed([1.0]) == Fixed([1.0])
    assert isinstance(an.free(0.5), Free) and not isinstance(an.free(0.5), Fixed)


@pytest.mark.parametrize("shares", [[0.3333333, 0.6666666], [0.2000004, 0.8], [1.0, 0.0]])
def test_shares_that_nearly_sum_to_one_are_made_to(shares):
    found = check_value("shares", shares, "simplex")
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-15)
    assert found.tolist() == pytest.approx([share / sum(shares) for share in shares], abs=1e-15)
