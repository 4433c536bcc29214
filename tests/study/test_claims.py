"""Laws of verdicts: an interval that shrinks can decide a claim, and never turn it round."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from annosim.errors import ArgumentError, StudyError
from annosim.study import (
    CONTROL,
    Attribution,
    Estimate,
    Outcome,
    Statement,
    at_least,
    at_most,
    equal,
    every,
    increasing,
    inside,
    provided,
    t_interval,
    true,
    worded,
)

VERDICTS = {"supported", "contradicted", "inconclusive", "not judged"}
finite = st.floats(-100, 100).map(lambda x: round(x, 3))


@st.composite
def estimates(draw):
    low, value, high = sorted(draw(st.tuples(finite, finite, finite)))
    return Estimate(value, low, high)


@st.composite
def nested(draw):
    a, b, value, c, d = sorted(draw(st.tuples(*[finite] * 5)))
    return Estimate(value, a, d), Estimate(value, b, c)


@given(estimates(), finite, finite)
def test_verdict_says_whether_all_some_or_no_points_lie_inside(estimate, one, other):
    low, high = min(one, other), max(one, other)
    verdict = inside(estimate, low, high).verdict
    # The ends of both intervals and the points between are all that can matter.
    points = sorted({estimate.low, estimate.high, *(p for p in (low, high) if estimate.low <= p <= estimate.high)})
    points += [(a + b) / 2 for a, b in zip(points, points[1:], strict=False)]
    hit = [low <= p <= high for p in points]
    assert verdict == ("supported" if all(hit) else "inconclusive" if any(hit) else "contradicted")


@given(nested(), finite, st.floats(0, 50))
def test_a_smaller_interval_never_turns_a_decided_claim(pair, target, within):
    wide, narrow = (equal(e, target, within).verdict for e in pair)
    assert wide in ("inconclusive", narrow)


@given(estimates(), finite, st.floats(0, 20), st.floats(0, 20))
def test_a_wider_tolerance_keeps_a_supported_claim(estimate, target, within, more):
    if equal(estimate, target, within).verdict == "supported":
        assert equal(estimate, target, within + more).verdict == "supported"
    if equal(estimate, target, within + more).verdict == "contradicted":
        assert equal(estimate, target, within).verdict == "contradicted"


@given(estimates(), finite)
def test_at_least_mirrors_at_most(estimate, bound):
    assert at_least(estimate, bound).verdict == at_most(-estimate, -bound).verdict


@given(estimates(), finite)
def test_at_least_and_at_most_cannot_both_fail(estimate, bound):
    verdicts = [at_least(estimate, bound).verdict, at_most(estimate, bound).verdict]
    assert verdicts.count("contradicted") <= 1
    assert verdicts.count("supported") < 2 or estimate.low == estimate.high == bound


@given(estimates(), estimates())
def test_two_in_order_is_a_positive_difference(a, b):
    verdict = increasing([a, b]).verdict
    steps = [b.low - a.high, b.high - a.low]
    assert verdict == ("supported" if steps[0] > 0 else "contradicted" if steps[1] <= 0 else "inconclusive")


@given(st.lists(finite, min_size=2, max_size=6))
def test_exact_numbers_are_in_order_or_not(values):
    expected = all(a < b for a, b in zip(values, values[1:], strict=False))
    assert increasing(values).verdict == ("supported" if expected else "contradicted")


@given(st.lists(estimates(), min_size=1, max_size=5), finite)
def test_every_is_a_conjunction_that_corrects_for_its_occasions_to_be_wrong(many, bound):
    parts = [at_most(e, bound) for e in many]
    verdict = every(parts).verdict
    assert (verdict == "supported") == all(p.verdict == "supported" for p in parts)
    drawn = sum(e.low < e.high for e in many)
    wide = [at_most(e.at(1 - 0.05 / max(drawn, 1)), bound).verdict for e in many]
    assert (verdict == "contradicted") == ("contradicted" in wide)


@given(st.lists(estimates(), min_size=2, max_size=5), finite)
def test_a_conjunction_of_conjunctions_is_one(many, bound):
    parts = [at_least(e, bound) for e in many]
    flat, nested = every(parts), every([every(parts[:1]), every(parts[1:])])
    assert (flat.verdict, flat.value, flat.low) == (nested.verdict, nested.value, nested.low)


def _draws(means, worlds, seed):
    return np.random.Generator(np.random.Philox(seed)).normal(means, 1.0, size=(worlds, 6, len(means)))


def test_a_true_claim_about_several_is_contradicted_in_at_most_five_of_a_hundred():
    """False alarm 1e-9: an exact binomial quantile. Each of five parts holds with nothing to spare."""
    worlds, parts = 1500, 5
    judged = [[at_least(t_interval(x), 0.0) for x in sample.T] for sample in _draws([0.0] * parts, worlds, seed=11)]
    most = binom.isf(1e-9, worlds, 0.05)
    assert sum(every(one).verdict == "contradicted" for one in judged) <= most
    assert sum(any(j.verdict == "contradicted" for j in one) for one in judged) > most  # what the correction is for


def test_a_true_order_of_several_is_contradicted_in_at_most_five_of_a_hundred():
    """False alarm 1e-9. Five equal means: no step is strictly upwards, and none downwards."""
    worlds = 1500
    judged = [increasing([t_interval(x) for x in sample.T]).verdict for sample in _draws([0.0] * 5, worlds, seed=12)]
    assert judged.count("contradicted") <= binom.isf(1e-9, worlds, 0.05)


def test_a_claim_with_one_false_part_is_supported_in_at_most_five_of_a_hundred():
    """False alarm 1e-9: support needs no correction, because the false part itself must be supported."""
    worlds = 1500
    judged = [
        every([at_least(t_interval(x), 0.0) for x in sample.T]).verdict
        for sample in _draws([-1e-9, 3.0, 9.0, 9.0], worlds, seed=13)
    ]
    assert 0 < judged.count("supported") <= binom.isf(1e-9, worlds, 0.05)


def test_a_number_without_error_is_no_occasion_to_be_wrong():
    drawn, exact_ones = Estimate(0.5, 0.1, 0.95), [at_most(1.0, 2.0)] * 20
    assert every([at_least(drawn, 1.0), *exact_ones]).verdict == "contradicted"
    assert every([at_least(drawn, 1.0), *[at_most(Estimate(1.0, 0.9, 1.1), 2.0)] * 20]).verdict == "inconclusive"
    assert every([at_most(3.0, 2.0), *exact_ones]).verdict == "contradicted"


def test_what_is_found_names_every_number_that_is_compared():
    drawn = Estimate(2.0, 1.5, 2.5)
    assert (
        every([equal(2.228, 2.2, 0.05), equal(4.372, 4.4, 0.05)]).found
        == "2.228 (2.2 within 0.05); 4.372 (4.4 within 0.05)"
    )
    assert every([at_least(drawn, 1), at_least(3.0, 1)], labels=["a", "b"]).found == "a: 2 [1.5, 2.5]; b: 3"
    assert every([at_least(float(k), 1) for k in range(1, 31)]).found == "30 numbers from 1 to 30"
    assert every([true(True, "one"), true(False, "two")]).found == "1 of 2 hold"
    assert increasing([13.66, 30.74, 60.0], ["1", "1/2", "1/4"]).found == "1 13.66, 1/2 30.74, 1/4 60"
    assert increasing([drawn, 5.0]).found == "2 [1.5, 2.5], 5"
    claim = Statement("C", "text", "source", lambda outcome: increasing([1.0, 3.0]), whose=CONTROL).decide(None)
    assert claim.as_json()["found"] == claim.found == "1, 3"
    one = Statement("C", "text", "source", lambda outcome: at_least(drawn, 1), whose=CONTROL).decide(None)
    assert one.found == "2 [1.5, 2.5]"


@given(estimates(), finite, finite)
def test_a_claim_whose_condition_fails_is_not_judged_and_says_which(estimate, bound, other):
    condition, judged = at_least(estimate, other), at_most(estimate, bound)
    found = provided(condition, judged, "something learned")
    if condition.verdict == "supported":
        assert found is judged
    else:
        assert found.verdict == "not judged" and "something learned" in found.reason
        assert (found.value, found.low, found.high) == (judged.value, judged.low, judged.high)
        assert every([found, at_most(1, 2)]).verdict == "not judged"


@given(st.sampled_from(["value", "low", "high"]), finite)
def test_what_is_not_a_number_decides_nothing(field, bound):
    broken = Estimate(**{**{"value": 0.0, "low": -1.0, "high": 1.0}, field: math.nan})
    for judged in (
        at_least(broken, bound),
        at_most(broken, bound),
        equal(broken, bound, 1.0),
        increasing([broken, 1.0]),
    ):
        assert judged.verdict == "inconclusive" and "not a number" in judged.reason


def test_an_infinite_interval_decides_nothing():
    unknown = Estimate(0.5, -math.inf, math.inf)
    assert {equal(unknown, 0.5, 1e9).verdict, at_least(unknown, -1e9).verdict} == {"inconclusive"}


def test_a_fact_is_supported_or_contradicted():
    assert true(True, "modes").verdict == "supported" and true(False, "modes").verdict == "contradicted"


@pytest.mark.parametrize(
    "call",
    [
        lambda: equal(1.0, 1.0, within=-0.1),
        lambda: equal(1.0, math.nan, within=0.1),
        lambda: at_least(1.0, math.nan),
        lambda: inside(1.0, 2.0, 1.0),
        lambda: every([]),
        lambda: increasing([1.0]),
        lambda: increasing([1.0, 2.0], ["one"]),
        lambda: every([at_most(1, 2)], labels=["one", "two"]),
    ],
)
def test_a_claim_that_means_nothing_is_refused(call):
    with pytest.raises(ArgumentError):
        call()


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        (lambda outcome: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda outcome: 0.5, "its judge returned float"),
        (
            lambda outcome: (_ for _ in ()).throw(StudyError("cell a, replicate 0, failed: b")),
            "cell a, replicate 0, failed: b",
        ),
    ],
)
def test_a_judge_that_fails_makes_its_claim_inconclusive(judge, reason):
    claim = Statement("C", "text", "source", judge, expected="at least 1", whose=CONTROL).decide(None)
    assert claim.verdict == "inconclusive" and claim.reason.startswith(reason) and claim.expected == "at least 1"
    assert claim.as_json()["value"] is None


OPEN = Estimate(0.5, 0.0, 2.0)


@pytest.mark.parametrize(
    ("judge", "small", "large"),
    [
        (lambda o: at_most(OPEN, 1), "not judged", "inconclusive"),
        (lambda o: at_most(Estimate(0.5, -math.inf, math.inf), 1), "not judged", "inconclusive"),
        (lambda o: at_most(OPEN, 3), "supported", "supported"),
        (lambda o: at_most(OPEN, -1), "contradicted", "contradicted"),
        (lambda o: o.get("absent", "x"), "not judged", "inconclusive"),
        (lambda o: 1 / 0, "inconclusive", "inconclusive"),
        (lambda o: at_most(math.nan, 1), "inconclusive", "inconclusive"),
    ],
)
def test_what_a_small_preset_leaves_open_is_not_judged_and_what_fails_is_inconclusive(judge, small, large):
    one = Statement("C", "text", "source", judge, whose=CONTROL)
    assert [one.decide(Outcome([]), decisive=d).verdict for d in (False, True)] == [small, large]


@pytest.mark.parametrize(
    ("values", "expected"), [((1, 1), "yes"), ((1, 9), "no"), ((9, 9), "no"), ((1, OPEN), "(b inconclusive)")]
)
def test_a_finding_says_what_the_verdicts_allow(values, expected):
    judges = zip("ab", values, strict=True)
    claims = [
        Statement(name, "text", "source", lambda o, v=value: at_most(v, 1), whose=CONTROL).decide(None)
        for name, value in judges
    ]
    assert worded(claims, ["a", "b"], "yes", "no") == expected
    assert worded(claims, "a", "yes", "no", "open") == ("yes" if values[0] == 1 else "no")
    for names in ([], ["a", "c"]):
        with pytest.raises(StudyError, match="there are: a, b"):
            worded(claims, names, "yes", "no")


def test_a_claim_without_an_owner_cannot_be_written_down():
    with pytest.raises(TypeError, match="whose"):
        Statement("C", "text", "source", lambda outcome: at_most(1, 2))


@pytest.mark.parametrize(("group", "read"), [("paper", ""), ("study", "abstract"), ("someone", "")])
def test_what_was_read_belongs_to_the_paper(group, read):
    with pytest.raises(ArgumentError):
        Attribution(group, read)


@given(estimates(), finite)
def test_a_claim_is_plain_json(estimate, bound):
    import json

    claim = Statement("C", "text", "source", lambda outcome: at_most(estimate, bound), whose=CONTROL).decide(None)
    message = json.loads(json.dumps(claim.as_json(), allow_nan=False))
    assert list(message)[:8] == ["id", "statement", "source", "expected", "value", "low", "high", "verdict"]
    assert message["verdict"] in VERDICTS and message["value"] == estimate.value
    assert message["whose"] == "control" and message["read"] == ""
