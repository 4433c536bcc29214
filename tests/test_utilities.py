import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as hs
from scipy import stats

import annosim as an
from annosim.checks import strategies as st
from annosim.errors import ArgumentError
from annosim.utilities.densities import as_log_density, normalise, segment_logsumexp

GRID = an.Items.grid(-10.0, 10.0, 2001)


def p_star():
    return an.utilities.DensityMixture(
        [an.utilities.truncated_normal(-2.5, 0.25), an.utilities.truncated_normal(2.5, 1.0)], an.fixed([0.4, 0.6])
    )


def test_the_papers_density_has_its_two_peaks():
    p = p_star()(GRID).exp().numpy()
    x = GRID.features[:, 0].numpy()
    left, right = p[x < 0].max(), p[x > 0].max()
    assert left == pytest.approx(0.6383, abs=5e-5) and right == pytest.approx(0.2394, abs=5e-5)


def test_truncated_normal_against_scipy():
    p = an.utilities.truncated_normal(0.0, 5.0)(GRID).exp().numpy()
    exact = stats.truncnorm(-2, 2, loc=0, scale=5).pdf(GRID.features[:, 0].numpy())
    assert np.allclose(p, exact, rtol=2e-6)  # trapezoid error of the normaliser


@given(hs.data())
def test_densities_sum_to_one_within_each_prompt(data):
    items = data.draw(st.items(min_n=2, max_n=6, prompts=True))
    energy = torch.tensor(data.draw(hs.lists(st.numbers(), min_size=items.n, max_size=items.n)))
    mass = (normalise(energy, items) + items.log_weights).exp()
    for prompt in items.prompts.unique().tolist():
        assert float(mass[items.members(prompt)].sum()) == pytest.approx(1.0, abs=1e-12)


def test_segment_logsumexp_survives_extremes():
    x = torch.tensor([-1250.0, -1251.0, 700.0, 710.0], dtype=torch.float64)
    out = segment_logsumexp(x, torch.tensor([0, 0, 1, 1]))
    assert torch.allclose(out[[0, 2]], torch.stack([torch.logsumexp(x[:2], 0), torch.logsumexp(x[2:], 0)]))


@pytest.mark.parametrize("bad", [[0.0, np.nan], [np.inf, 0.0]])
def test_nan_and_infinite_utilities_are_refused(bad):
    with pytest.raises(ArgumentError, match="not finite"):
        an.Tabular(bad)


def test_sizes_that_differ_are_refused():
    with pytest.raises(ArgumentError, match="2 values but there are 3 items"):
        an.Tabular(2)(an.Items(n=3))
    with pytest.raises(ArgumentError, match="no features"):
        an.Linear([1.0])(an.Items(n=3))


def test_a_density_vector_must_integrate_to_one():
    with pytest.raises(ArgumentError, match="sums to"):
        as_log_density(np.ones(2001), GRID)


def test_density_sampling_follows_the_mass():
    # DKW: P(sup |F_n - F| > e) <= 2 exp(-2 n e^2); e at 1e-9 false alarm
    n = 20_000
    ids = p_star().sample(GRID, n, seed=0)
    empirical = torch.bincount(ids, minlength=2001).double().cumsum(0) / n
    exact = p_star().mass(GRID).cumsum(0)
    assert float((empirical - exact).abs().max()) < np.sqrt(np.log(2 / 1e-9) / (2 * n))


def test_a_network_is_drawn_at_an_address_and_redrawn_by_like():
    state = torch.get_rng_state()
    a, b = an.Network([8, 8], dim=1, seed=1), an.Network([8, 8], dim=1, seed=1)
    assert torch.equal(a(GRID), b(GRID)) and not torch.equal(a(GRID), a.like(seed=5)(GRID))
    assert torch.equal(torch.get_rng_state(), state)  # no global random state is touched


@pytest.mark.parametrize("use", ["simulate", "law", "fit", "fit copies", "compare"])
def test_several_numbers_an_item_are_no_utility(use):
    """Read row by row they would be garbage, and with replicates those of another replicate."""
    items = an.Items.normal(5, dim=2, seed=0)
    model = an.Annotator(an.utilities.Heads([4], dim=2, outputs=3), an.Luce())
    good = an.Annotator(an.Linear([1.0, 0.0]), an.Luce())
    design = an.Design(items, annotators=30)
    calls = {
        "simulate": lambda: an.simulate(model, design, seed=0),
        "law": lambda: an.law(model, design),
        "fit": lambda: an.fit(model, an.simulate(good, design, seed=0), solver=an.Adam(steps=2)),
        "fit copies": lambda: an.fit(model, an.simulate(good, design, seed=0, replicates=2), solver=an.Adam(steps=2)),
        "compare": lambda: an.compare(model, good, design),
    }
    with pytest.raises(ArgumentError, match=r"Heads gave numbers of shape \(5, 3\) for 5 items.*utility.column\(0\)"):
        calls[use]()


def test_a_column_of_numbers_is_a_utility():
    class Column(an.Utility):
        def forward(self, items):
            return items.features[:, :1]

    items = an.Items.normal(5, dim=2, seed=0)
    index = an.Annotator(Column(), an.Luce()).index(items)
    assert torch.equal(index, items.features[:, 0]) and index.shape == (5,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: an.Annotator(torch.nn.Linear(3, 1), an.Luce()),
            r"a plain module, Linear; wrap it .* an.Network\(module",
        ),
        (lambda: an.Annotator(an.Tabular, an.Luce()), "Tabular is no utility; give one"),
        (lambda: an.Annotator(np.zeros((3, 3)), an.Luce()), "ndarray is no utility"),
        (lambda: an.Annotator(an.Tabular(3), an.Luce), r"the class Luce; give one of its kind, Luce\(\)"),
        (lambda: an.Network(8, dim=3), r"for one layer give \[8\]"),
        (lambda: an.utilities.Heads(8, dim=3), r"Heads.*for one layer give \[8\]"),
        (lambda: an.Network("8", dim=3), r"hidden widths such as \[64, 64\]"),
        (lambda: an.Network(None, dim=3), r"hidden widths such as \[64, 64\]"),
    ],
)
def test_what_is_no_utility_rule_or_width_is_refused_in_one_line(call, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
