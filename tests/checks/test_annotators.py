"""check_rule and check_population accept what is right and catch what is wrong."""

import numpy as np
import pytest
import torch
from hypothesis import find

import annosim as an
from annosim.checks import check_population, check_rule
from annosim.checks import strategies as st
from annosim.rules.base import Answer
from annosim.rules.response_biases import Lapse, PositionBias


@pytest.mark.parametrize(
    "rule",
    [an.Luce(), an.Luce(0.5), Lapse(an.Luce(), rate=0.1), PositionBias(an.Luce(), shift=0.3)],
    ids=["luce", "cool", "lapse", "position"],
)
def test_our_rules_pass(rule):
    report = check_rule(rule, draws=4000, raise_on_failure=False)
    assert len(report) >= 6 and report.passed, report.failed


@pytest.mark.parametrize("name", [*st.RULES, *st.RESPONSE_BIASES])
def test_every_registered_rule_and_habit_passes(name):
    make = st.RESPONSE_BIASES[name](an.Luce(), 3) if name in st.RESPONSE_BIASES else st.RULES[name]
    rule = find(make(3) if callable(make) else make, lambda rule: True)
    report = check_rule(rule, draws=1000, raise_on_failure=False)
    assert report.passed, report.failed
    assert len(report) > 6


def test_a_rule_is_asked_about_some_kinds_only():
    report = check_rule(an.Luce(), kinds=["ranking"], draws=100)
    assert {r.name.partition("[")[2] for r in report} == {"", "ranking]"}
    asked_too_much = check_rule(an.rules.Thumbs(), kinds=["choice", "rating"], draws=100, raise_on_failure=False)
    assert asked_too_much["defines_its_kinds"].evidence == "a law for rating"
    for wrong in ([], ["guess"], ["choice", "guess"], 3, ["choice", ["ranking"]]):
        with pytest.raises(an.errors.ArgumentError, match="choice, ranking"):
            check_rule(an.Luce(), kinds=wrong)


def test_a_rule_without_a_law_does_not_pass_by_silence():
    class Nothing(an.Luce):
        kinds = frozenset({"choice"})

        def log_prob(self, scores, answer, view):
            raise an.errors.ArgumentError("not yet written")

    report = check_rule(Nothing(), draws=100, raise_on_failure=False)
    assert not report.passed and "none for choice" in report["defines_its_kinds"].evidence


def test_a_kink_where_utilities_are_equal_is_found():
    """A gradient that vanishes there proves no maximum; differences from either side show the kink."""

    class Kink(an.Luce):
        kinds = frozenset({"choice"})

        def log_prob(self, scores, answer, view):
            gap = scores[..., 0] - scores[..., 1]
            other = torch.where(answer.position[..., 0] == 0, -gap.abs(), gap.abs())
            return torch.nn.functional.logsigmoid(other)

    report = check_rule(Kink(), items=an.Items(n=2), draws=100, raise_on_failure=False)
    assert report["gradient[choice]"].status == "failed" and not report.passed
    people = an.simulate(an.Annotator(an.Tabular(2), an.Luce()), an.Design(an.Items(n=2), annotators=9), seed=0)
    assert an.fit(an.Annotator(an.Tabular(2), Kink()), people).population.vector().any()  # it begins elsewhere, too


def test_whatever_a_rule_raises_is_a_finding():
    class Crashes(an.Luce):
        kinds = frozenset({"choice"})

        def sample(self, scores, view, rng):
            raise KeyError("no such column")

    report = check_rule(Crashes(), draws=100, raise_on_failure=False)
    assert "KeyError" in report["sample_follows_table[choice]"].evidence


def test_a_mixture_passes():
    people = an.Mixture([an.Annotator(an.Tabular([0.0, s, 0.2]), an.Luce()) for s in (1.0, -1.0)], [0.7, 0.3])
    assert check_population(people, an.Items(n=3), draws=4000, raise_on_failure=False).passed


class _SamplesFirst(an.Luce):
    def sample(self, scores, view, rng):
        return Answer(torch.zeros(len(scores), 1, dtype=torch.long))

    kinds = frozenset({"choice"})


class _NotNormalised(an.Luce):
    kinds = frozenset({"choice"})

    def log_prob(self, scores, answer, view):
        return super().log_prob(scores, answer, view) + 0.1


class _UsesAGlobalGenerator(an.Luce):
    kinds = frozenset({"choice"})

    def sample(self, scores, view, rng):
        return Answer(torch.as_tensor(np.random.randint(0, 3, (len(scores), 1))))  # noqa: NPY002 - the bug


@pytest.mark.parametrize(
    ("rule", "law"),
    [
        (_SamplesFirst(), "sample_follows_table[choice]"),
        (_NotNormalised(), "sums_to_one[choice]"),
        (_UsesAGlobalGenerator(), "seeds_are_addresses[choice]"),
    ],
    ids=["samples-first", "not-normalised", "global-generator"],
)
def test_broken_rules_are_caught(rule, law):
    assert check_rule(rule, draws=4000, raise_on_failure=False)[law].status == "failed"
