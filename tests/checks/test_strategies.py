"""What the strategies promise: shapes that are what they are called, every registered rule, counterexamples as code."""

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as hs

import annosim as an
from annosim.checks import strategies as st
from annosim.checks.annotators import _design as question
from annosim.checks.datasets import has_estimate
from annosim.checks.shrinking import as_code
from annosim.feedback import KINDS
from annosim.rules.registry import ENTRIES

WORDS = {"PreferenceData": an.PreferenceData, "Items": an.Items, "Feedback": an.Feedback}
LUCE_KINDS = ("choice", "ranking", "top", "best-worst")


def luce(data):
    return an.Annotator(an.Tabular(data.items.n), an.Luce())


@settings(max_examples=60)
@given(kind=hs.sampled_from(LUCE_KINDS), data=hs.data())
def test_identified_data_always_have_an_estimate(kind, data):
    drawn = data.draw(st.preference_data(shape="identified", feedback=kind))
    assert has_estimate(drawn)
    assert an.fit(luce(drawn), drawn).converged


@settings(max_examples=60)
@given(kind=hs.sampled_from(LUCE_KINDS), shape=hs.sampled_from(["unidentified", "degenerate"]), data=hs.data())
def test_unidentified_and_degenerate_data_never_have_one(kind, shape, data):
    drawn = data.draw(st.preference_data(shape=shape, feedback=kind))
    assert not has_estimate(drawn)
    with pytest.raises((an.errors.NotIdentifiedError, an.errors.DataError)):
        an.fit(luce(drawn), drawn)


@settings(max_examples=40)
@given(kind=hs.sampled_from(KINDS), shape=hs.sampled_from(st.SHAPES), data=hs.data())
def test_drawn_data_print_as_code_that_makes_them_again(kind, shape, data):
    drawn = data.draw(st.preference_data(shape=shape, feedback=kind))
    assert eval(as_code(drawn), WORDS).equals(drawn)  # noqa: S307 - our own text


@settings(max_examples=40)
@given(st.encoded_data())
def test_whatever_the_encoding_holds_prints_as_code(drawn):
    assert eval(as_code(drawn), WORDS).equals(drawn)  # noqa: S307


def test_hypothesis_shows_a_counterexample_as_code():
    @settings(database=None, derandomize=True, max_examples=50)
    @given(st.preference_data(shape="identified", feedback="ranking"))
    def never_three_items(data):
        assert data.items.n < 3

    with pytest.raises(AssertionError) as caught:
        never_three_items()
    shown = "\n".join(caught.value.__notes__)
    # one line of the note; what hypothesis writes after it (a comment, a blob) differs between environments
    code = shown[shown.index("PreferenceData(") :].splitlines()[0].split("  #")[0].rstrip().rstrip(",")
    assert "array(" not in code and "tensor(" not in code
    data = eval(code, WORDS)  # noqa: S307
    assert (data.items.n, data.rows) == (3, 3) and code.count("\n") == 0


def test_every_registered_rule_and_habit_is_drawn_or_excused():
    assert set(st.RULES) | set(st.RESPONSE_BIASES) | set(st.NOT_DRAWN) == set(ENTRIES["rule"]) | set(ENTRIES["habit"])
    assert not set(st.NOT_DRAWN) & (set(st.RULES) | set(st.RESPONSE_BIASES))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(data=hs.data())
def test_drawn_rules_define_the_kind(kind, data):
    """Every drawn rule has a law for the kind: probabilities of every menu that sum to one."""
    items = data.draw(st.items(min_n=3, max_n=4))
    size = data.draw(hs.integers(2, 3))
    people = data.draw(st.annotators(items, feedback=kind, menu_size=size))
    assert kind in people.rule.kinds
    if kind == "rating":  # a scale's number of grades belongs to the rule
        design = question(people, items, kind, 1)
    else:
        feedback = an.Feedback(kind, size if kind == "top" else None)
        design = an.Design(items, menus=[list(range(size))], feedback=feedback)
    assert float(an.law(people, design).probabilities.sum()) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_all_rules_that_define_a_kind_are_reached(kind):
    names = {k for k in st.RULES if set(LUCE_KINDS if kind is None else (kind,)) <= st._defines(k)}
    wanted = {type(find(st.RULES[k](3) if callable(st.RULES[k]) else st.RULES[k], lambda rule: True)) for k in names}
    seen = set()

    @settings(max_examples=300, database=None, derandomize=True)
    @given(st.rules(kind, n=3, menu_size=2, biases=False, exact=False))
    def collect(rule):
        seen.add(type(rule))

    collect()
    assert seen == wanted and len(wanted) == len(names)


def test_rules_shrink_to_the_plain_luce_rule():
    assert repr(find(st.rules("choice"), lambda rule: True)) == repr(an.Luce())


@settings(max_examples=40)
@given(st.tied_comparisons(), st.rankings())
def test_ties_and_rankings_are_what_they_are_called(ties, rankings):
    assert ties.tied is not None and ties.menu_size == 2
    assert rankings.feedback.kind == "ranking" and rankings.menu_size <= 3


@pytest.mark.parametrize(("arguments", "words"), [({"shape": "odd"}, "identified"), ({"feedback": "odd"}, "choice")])
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(an.errors.ArgumentError, match=words):
        find(st.preference_data(**arguments), lambda data: True)


def test_weights_are_probabilities():
    w = find(st.weights(3), lambda w: True)
    assert np.isclose(sum(w), 1) and len(set(w)) == 1
