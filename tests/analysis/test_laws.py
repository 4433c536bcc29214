"""Laws that divergences and comparisons obey, whatever the populations, rules and designs."""

from __future__ import annotations

import math

import hypothesis.strategies as hs
import numpy as np
import pytest
from hypothesis import assume, given, settings

import annosim as an
from annosim.analysis import law_divergence
from annosim.checks import strategies as st


@hs.composite
def two_populations(draw):
    """Two populations and a design that both can answer."""
    over = draw(st.items(min_n=2, max_n=4))
    design = draw(st.designs(over=over))
    kind = design.feedback.kind
    return tuple(draw(st.populations(over, feedback=kind)) for _ in range(2)) + (design,)


def measured(a, b, design):
    try:
        return law_divergence(a, b, design, max_outcomes=2e4)
    except (an.errors.AnswerKindError, an.errors.TooLargeError, an.errors.TiesError):
        assume(False)  # a rule that does not go with this design (its own tests say which); anything else is a fault


@settings(max_examples=40)
@given(two_populations())
def test_divergences_are_divergences(case):
    a, b, design = case
    found = measured(a, b, design)
    assume(found.method == "exact")
    assert -1e-12 <= found.total_variation <= 1 + 1e-12
    assert found.kl >= -1e-12 and found.excess_cross_entropy >= -1e-12
    assert found.total_variation <= math.sqrt(max(found.kl, 0.0) / 2) + 1e-7  # Pinsker
    assert measured(b, a, design).total_variation == pytest.approx(found.total_variation, abs=1e-12)
    assert measured(a, a, design).kl == pytest.approx(0, abs=1e-12)


@settings(max_examples=25)
@given(two_populations())
def test_renaming_types_changes_nothing(case):
    a, b, design = case
    mixed = an.Mixture([a, b], weights=[0.25, 0.75])
    found = measured(mixed.relabelled([1, 0]), mixed, design)
    assert found.total_variation == pytest.approx(0, abs=1e-9)


@settings(max_examples=40)
@given(st.items(min_n=2, max_n=6, prompts=True), hs.data())
def test_policies_are_densities_and_tilts_are_ordered(over, data):
    numbers = hs.lists(st.numbers(), min_size=over.n, max_size=over.n)
    u, v = (an.Tabular(data.draw(numbers)) for _ in range(2))
    mass = np.array(data.draw(st.weights(over.n))) / over.weights.numpy()
    reference = an.policies.ItemDensity(mass)
    quantile = an.policies.reference_quantile(reference, 0.85)
    good = an.policies.all_of(an.policies.lsc(u, quantile), an.policies.lsc(v, quantile))
    prompts = over.num_prompts
    for policy in (
        an.policies.gibbs(reference, u, 0.5),
        an.policies.gibbs(reference, good, 0.5),
        an.policies.best_of_n(reference, u, 3),
        an.policies.log_linear_pool([an.policies.gibbs(reference, u, 1.0), an.policies.gibbs(reference, v, 1.0)]),
    ):
        assert float(policy.mass(over).sum()) == pytest.approx(prompts)
    # nothing has a higher value of the regularised objective than its own tilt
    best, other = an.policies.gibbs(reference, u, 0.7), an.policies.gibbs(reference, v, 0.7)

    def value(policy):
        gained = float((policy.mass(over) * u(over).detach()).sum()) / prompts
        return gained - 0.7 * an.analysis.kl_divergence(policy, reference, over)

    assert value(best) >= value(other) - 1e-10
    # the amplification bound: pi(y) <= pi_0(y) / Z with Z <= 1
    log_z = an.policies.log_partition(reference, good, 0.5, over)
    assert bool((log_z <= 1e-12).all())
    _, code = over.prompts.unique(return_inverse=True)
    gain = an.policies.gibbs(reference, good, 0.5).log_prob(over) - reference.log_prob(over)
    assert bool((gain + log_z[code] <= 1e-9).all())
