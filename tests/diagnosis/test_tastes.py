"""How much tastes differ: coverage of the interval, and its edges.

``python tests/diagnosis/test_tastes.py`` measures the coverage that ``annosim/diagnosis/tastes.py`` states (a quarter of an
hour).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import annosim as an
from annosim.diagnosis.case import Case
from annosim.diagnosis.tastes import LARGEST, taste_spread

WORLDS = 200


def world(sd: float, questions: int, seed: int, people: int = 60, n: int = 8) -> an.PreferenceData:
    """Pairs drawn at random; every annotator's utilities are the mean ones and normal tastes of this standard deviation."""
    rng = np.random.default_rng([seed, int(sd * 100), questions, n])
    mean = 0.65 * rng.normal(size=n)
    who = np.repeat(np.arange(people), questions)
    left = rng.integers(0, n, len(who))
    right = (left + rng.integers(1, n, len(who))) % n
    own = mean + sd * rng.normal(size=(people, n))
    chosen = (rng.random(len(who)) > 1 / (1 + np.exp(own[who, right] - own[who, left]))).astype(int)
    return an.PreferenceData(an.Items(n=n), np.stack([left, right], 1), chosen, annotator=who)


def covered(sd: float, questions: int, worlds: int) -> tuple[int, float]:
    """How many intervals hold the truth, and their median length."""
    found = [taste_spread(Case(world(sd, questions, seed))) for seed in range(worlds)]
    assert all(one is not None and 0.0 <= one.low < one.high for one in found)
    return sum(one.low <= sd <= one.high for one in found), float(np.median([one.high - one.low for one in found]))


@pytest.mark.parametrize(("sd", "questions"), [(0.0, 20), (0.5, 20), (1.0, 20)])
def test_the_interval_holds_the_truth(sd, questions):
    """Of 15 worlds; at 95 % each, so few occur with probability 1e-7."""
    assert covered(sd, questions, 15)[0] >= binom.ppf(1e-7, 15, 0.95)


def test_rankings_and_choices_of_several_have_intervals_too():
    """Normal tastes of .8: truth within two lengths of the interval, by rankings of four and by choices of three."""
    rng = np.random.default_rng(1)
    own = np.linspace(-1, 1, 6) + 0.8 * rng.normal(size=(80, 6))
    who = np.repeat(np.arange(80), 10)
    for k in (3, 4):
        menu = np.argsort(rng.random((800, 6)), axis=1)[:, :k]
        value = np.take_along_axis(own[who], menu, 1) + rng.gumbel(size=menu.shape)
        ranking = k == 4
        answer = np.argsort(-value, axis=1) if ranking else value.argmax(1)
        data = an.PreferenceData(
            an.Items(n=6), menu, answer, feedback="ranking" if ranking else "choice", annotator=who
        )
        found = taste_spread(Case(data))
        assert abs(found.value - 0.8) < 2 * (found.high - found.low) < 2.4


def test_a_weight_is_as_many_people():
    """Counts of equal annotators and the same written out are simulated alike: one interval."""
    data = world(0.5, 2, 0, people=400, n=3)
    counts = data.counts()
    assert counts.rows < data.rows
    one, other = taste_spread(Case(data)), taste_spread(Case(counts))
    assert one.annotators == other.annotators
    assert abs(one.value - other.value) < 0.1 * (one.high - one.low)


def test_tables_of_huge_counts_are_a_part_of_them():
    data = world(0.0, 2, 0, people=400, n=3).counts()
    found = taste_spread(Case(data.with_(weight=data.weight * 1e7)))
    assert not found.whole and found.annotators < 15_001 and 0 <= found.low < found.high


def test_everybody_for_themselves_has_no_upper_end():
    """Two camps that never waver: no standard deviation is too large, and the page says above which."""
    menu = [[0, 1], [1, 2], [0, 2]] * 4
    data = an.PreferenceData(
        an.Items(n=3), menu * 20, [0] * 12 * 10 + [1] * 12 * 10, annotator=np.repeat(np.arange(20), 12)
    )
    found = taste_spread(Case(data))
    assert np.isinf(found.high) and found.low == LARGEST
    said = an.diagnose(data)["one type"]
    assert "above" in said.sentence and "inf" not in said.sentence and np.isfinite(said.value)


def test_no_interval_is_a_point():
    """Answers that depend on each other less than chance would have it: everybody chooses either item as often."""
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 120, [0, 1] * 60, annotator=np.repeat(np.arange(20), 6))
    found = taste_spread(Case(data))
    assert found.low == 0.0 and found.high > 0.05
    assert "0 to 0 " not in repr(an.diagnose(data)) and "0 to 0)" not in repr(an.diagnose(data))


if __name__ == "__main__":
    print("    answers each    sd 0   .25    .5     1     (median length)")
    for questions in (20, 60):
        found = [covered(sd, questions, WORLDS) for sd in (0.0, 0.25, 0.5, 1.0)]
        shares = "  ".join(f"{100 * hits / WORLDS:.1f}" for hits, _ in found)
        lengths = ", ".join(f"{length:.2f}" for _, length in found)
        print(f"    {questions:<15} {shares}  ({lengths})", flush=True)
