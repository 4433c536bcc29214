"""How many answers a precision or a margin takes."""

import math

import numpy as np
import pytest
from scipy.stats import binom

import annosim as an
from annosim.planning.planner import default_target
from annosim.planning.precision import FEW, needed, votes_to_detect


@pytest.mark.parametrize("margin", [0.2, 0.3, 0.45, 0.4999999])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_few_votes_have_the_power_of_the_exact_test(margin, power):
    votes, p = votes_to_detect(margin, power), 0.5 + margin
    if votes >= FEW:
        return
    wins = np.arange(votes + 1)
    rejects = 2 * np.minimum(binom.cdf(wins, votes, 0.5), binom.sf(wins - 1, votes, 0.5)) <= 0.05
    assert binom.pmf(wins, votes, p)[rejects].sum() >= power


def test_goals_out_of_reach_are_no_crash():
    assert (
        needed(0.2, 100, 1e-300) == math.inf and needed(0.2, 100, 1e300) == 1.0 and needed(math.inf, 3, 1.0) == math.inf
    )
    with pytest.raises(an.errors.ArgumentError, match="more votes than can be counted"):
        votes_to_detect(1e-300, 0.8)


def test_weights_are_the_target_where_some_number_moves_them():
    kinds = [an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)]
    assert default_target(an.Mixture(kinds, [0.5, 0.5])) == "weights"
    assert default_target(an.Mixture(kinds, an.fixed([0.5, 0.5]))) == "mean utility"
    assert default_target(an.populations.Contaminated(kinds[0], an.fixed(0.2))) == "mean utility"
    assert default_target(kinds[0]) == "utilities"
