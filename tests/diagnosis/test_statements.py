"""Every statement of a diagnosis has its number, its test with its error rate, and what would change it; and at the edges of
what data can be, none contradicts another one."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

import annosim as an
from annosim.diagnosis.case import Case
from annosim.diagnosis.ceiling import ceiling
from annosim.learning.inference.resample import multinomial_weights

SIX = [[0, 1], [1, 2], [2, 0], [1, 0], [2, 1], [0, 2]]
#: the same order of preference whatever the sides: 0 over 1 over 2
IN_ORDER = [0, 0, 1, 1, 1, 0]
TEN = np.repeat(np.arange(10), 6)


def votes(n=4, people=12, questions=20, seed=0, spread=1.0, **more):
    design = an.Design(an.Items(n=n, **more), annotators=people, questions=questions)
    return an.simulate(an.Annotator(an.Tabular(np.linspace(-spread, spread, n).tolist()), an.Luce()), design, seed=seed)


def all_ties():
    rows = len(SIX) * 10
    return an.PreferenceData(
        an.Items(names=list("abc")),
        SIX * 10,
        np.tile([[0, 1]], (rows, 1)),
        tied=np.ones((rows, 1), bool),
        annotator=np.repeat(np.arange(10), 6),
    )


def never_wins():
    data = votes()
    at = np.asarray(data.menu) == 0
    return data.with_(answer=np.where(at[:, 0], 1, np.where(at[:, 1], 0, np.asarray(data.answer))))


def ratings(grades):
    return an.PreferenceData(
        an.Items(n=3),
        [[0], [1], [2]] * (len(grades) // 3),
        np.asarray(grades).reshape(-1, 1),
        feedback=an.Feedback("rating", grades=5),
        annotator=np.repeat(np.arange(len(grades) // 3), 3),
    )


def rankings():
    menu = [[0, 1, 2, -1], [1, 2, 3, 4], [3, 4, -1, -1], [0, 4, 2, -1]] * 5
    usual = [[0, 1, 2, -1], [3, 2, 1, 0], [0, 1, -1, -1], [2, 1, 0, -1]] * 4
    last = [[1, 0, 2, -1], [0, 1, 2, 3], [1, 0, -1, -1], [0, 1, 2, -1]]
    return an.PreferenceData(an.Items(n=5), menu, usual + last, "ranking", annotator=np.repeat(np.arange(5), 4))


def clusters():
    items = an.Items(n=3, clusters=[0, 0, 1])
    design = an.Design(items, menus=[[0, 2], [1, 2]] * 4, questions="all", annotators=10)
    return an.simulate(an.Annotator(an.Tabular([1.0, -1.0, 0.0]), an.Luce()), design, seed=0)


def features(again):
    rng = np.random.default_rng(0)
    items = an.Items(features=rng.normal(size=(6 if again else 120, 2)))
    menus = rng.integers(0, 3, (60, 2)) * 2 + [0, 1] if again else np.arange(120).reshape(-1, 2)
    people = an.Annotator(an.Linear([1.0, -0.5]), an.Luce())
    return an.simulate(people, an.Design(items, menus=menus.tolist(), questions="all", annotators=1), seed=0)


DATA = {
    "plain": votes,
    "texts": lambda: votes(8, 30, 20, texts=["x" * int(k) for k in np.random.default_rng(0).integers(5, 90, 8)]),
    "all ties": all_ties,
    "one vote": lambda: an.PreferenceData(an.Items(names=["tea", "milk"]), [[0, 1]], [0]),
    "one vote with an id": lambda: an.PreferenceData(an.Items(n=2), [[0, 1]], [0], annotator=[0]),
    "one annotator": lambda: an.PreferenceData(an.Items(n=3), SIX * 5, [0, 1, 0, 1, 0, 0] * 5, annotator=[0] * 30),
    "one pair": lambda: votes(2, 10, 12, spread=0.3),
    "one pair without ids": lambda: an.PreferenceData(an.Items(n=2), [[0, 1], [1, 0]] * 10, [0, 0, 1, 0, 0] * 4),
    "all left": lambda: an.PreferenceData(an.Items(n=3), SIX * 10, [0] * 60, annotator=TEN),
    "separation": lambda: an.PreferenceData(an.Items(n=3), SIX * 10, IN_ORDER * 10, annotator=TEN),
    "an item that never wins": never_wins,
    "two groups": lambda: an.PreferenceData(
        an.Items(n=4), [[0, 1], [2, 3], [1, 0], [3, 2]] * 15, ([0, 1, 1, 0, 1, 1] * 10), annotator=TEN
    ),
    "some weights 0": lambda: (lambda d: d.with_(weight=(np.asarray(d.annotator) > 3).astype(float)))(votes()),
    "weights 1e9": lambda: (lambda d: d.with_(weight=np.full(d.rows, 1e9)))(votes()),
    "weights of fractions": lambda: (lambda d: d.with_(weight=np.where(np.asarray(d.annotator) % 2 == 0, 0.5, 1.7)))(
        votes()
    ),
    "every row three times": lambda: (lambda d: d.take(np.repeat(np.arange(d.rows), 3)))(votes(4, 6, 8)),
    "rankings of some": rankings,
    "grades all one": lambda: ratings([2] * 18),
    "grades": lambda: ratings(np.random.default_rng(0).integers(0, 5, 36)),
    "skips": lambda: an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [-1, -1, -1]),
    "best and worst": lambda: an.PreferenceData(
        an.Items(n=4), [[0, 1, 2], [1, 2, 3], [3, 0, 1]] * 4, [[0, 2], [1, 0], [2, 1]] * 4, "best-worst"
    ),
    "two camps": lambda: an.simulate(
        an.Mixture([an.Annotator(an.Tabular([s, 0.0, -s]), an.Luce()) for s in (2.0, -2.0)]),
        an.Design(an.Items(n=3), annotators=40, questions=12),
        seed=0,
    ),
    "wordings": clusters,
    "alternatives shown once": lambda: features(False),
    "alternatives with features": lambda: features(True),
    "one item": lambda: ratings([0, 1, 2]).with_(items=an.Items(n=1), menu=[[0]] * 3),
}


@pytest.fixture(scope="module", params=list(DATA))
def page(request):
    return an.diagnose(DATA[request.param]())


def test_every_statement_has_its_number_its_test_and_what_would_change_it(page):
    for found in page.findings:
        assert found.sentence.endswith(".") and found.sentence[0].isupper() or found.sentence[0].isdigit(), found
        assert found.test and found.error_rate and found.change.endswith("."), found
        if found.status == "not asked":
            assert found.value is None and found.p_value is None and found.test.startswith("not run: ")
            continue
        assert found.value is not None and math.isfinite(found.value), found
        if found.low is not None:
            assert found.low <= found.value <= found.high, found
        assert found.p_value is None or 0.0 <= found.p_value <= 1.0


def test_no_sentence_says_what_is_no_number(page):
    said = " ".join(found.sentence + found.change + found.test for found in page.findings)
    assert not re.search(r"\bnan\b|\binf\b|\b0 to 0(?![.\d])|\b1 times\b|(?<!\.)\b1 answers\b", said), said
    assert page.to_html().count("Error rate:") == len(page.findings)


def test_all_ties_lead_to_no_leader_and_no_contradiction():
    page = an.diagnose(all_ties())
    assert page.exit_code == 3 and "is a tie" in page["existence"].sentence
    assert "leads" not in repr(page) and page["ranking"].status == "not asked"
    assert "with a winner" in page["consistency"].sentence
    assert page["ties"].low == pytest.approx(0.025**0.1)


def test_equal_items_have_no_first_one():
    data = an.PreferenceData(an.Items(n=3), SIX * 10, [0] * 60, annotator=TEN)
    assert "All items are estimated equal: nobody is first" in an.diagnose(data)["ranking"].sentence


def test_agreement_of_everybody_has_an_interval_of_its_own():
    """Nobody of ten disagreed: Clopper and Pearson's end for people, not 100 % to 100 %."""
    data = an.PreferenceData(an.Items(n=3), SIX * 10, IN_ORDER * 10, annotator=TEN)
    page = an.diagnose(data)
    assert page["ceiling"].low == pytest.approx(0.025**0.1) and page["ceiling"].high == 1.0
    assert page["agreement"].low is None and page["agreement"].value == pytest.approx(1.0)
    assert page["position"].value == 0.5  # as many to the left, though every annotator has the same share


def test_the_ceiling_of_coins_is_held():
    """Answers of coins: the interval reaches one half from above at least; 40 worlds, misses at 5 % each (1e-6)."""
    from scipy.stats import binom

    held = 0
    for seed in range(40):
        answer = np.random.default_rng(seed).integers(0, 2, 60)
        data = an.PreferenceData(an.Items(n=2), [[0, 1], [1, 0]] * 30, answer)
        found = ceiling(Case(data))
        p = 0.5
        held += found.low <= p <= found.high
        assert found.high > 0.55  # the second-order part: sixty answers do not show a coin for sure
    assert held >= binom.ppf(1e-6, 40, 0.95)


def test_huge_weights_are_drawn_as_counts():
    """A bootstrap of four thousand million people: means and variances of a multinomial (five standard errors)."""
    weight = np.array([3e9, 1e9])
    drawn = multinomial_weights(weight, 400, 0)
    assert (drawn.sum(1) == 4e9).all()
    sd = math.sqrt(4e9 * 0.75 * 0.25)
    assert abs(drawn[:, 0].mean() - 3e9) < 5 * sd / math.sqrt(400)
    assert abs(drawn[:, 0].std() / sd - 1) < 5 / math.sqrt(800)
    assert (multinomial_weights(weight, [7], 0) == multinomial_weights(weight, 8, 0)[7]).all()
    with pytest.raises(an.errors.ArgumentError, match="divide the weights"):
        multinomial_weights(np.array([1e30]), 1, 0)


def test_no_weight_at_all_is_refused():
    data = votes()
    with pytest.raises(an.errors.ArgumentError, match="nobody answered"):
        an.diagnose(data.with_(weight=np.zeros(data.rows)))


def test_rows_of_weight_0_are_left_out():
    data = votes()
    some = np.asarray(data.annotator) > 3
    left = an.diagnose(data.with_(weight=some.astype(float)))
    alone = an.diagnose(data.take(some))
    assert "80 rows of weight 0 are left out" in left["read"].sentence
    assert [f.value for f in left.findings[1:]] == [f.value for f in alone.findings[1:]]


def test_copies_of_a_whole_file_are_no_repeats():
    page = an.diagnose(DATA["every row three times"]())
    assert page.exit_code == 4 and "Every row stands there 3 times" in page["read"].sentence
    assert page["consistency"].status == "not asked"


def test_grades_that_are_one_place_nothing():
    page = an.diagnose(ratings([2] * 18))
    assert page.exit_code == 3 and "All 18 grades are one" in page["existence"].sentence
    highest = an.diagnose(ratings([3, 1, 2, 3, 2, 1, 3, 1, 1]))  # of a scale to 5: nobody gave more than the 4th
    assert highest.exit_code == 3 and "'0'" in highest["existence"].sentence


def test_pads_of_a_menu_change_no_agreement():
    """Rankings of three beside those of four: the same numbers as with menus that have no room for a fourth."""
    data = rankings()
    three = data.take([at for at in range(data.rows) if at % 4 == 0]).compact()
    found = an.analysis.agreement(three, replicates=0)
    narrow = three.with_(menu=np.asarray(three.menu)[:, :3], answer=np.asarray(three.answer)[:, :3])
    plain = an.analysis.agreement(narrow, replicates=0)
    assert found.alpha == pytest.approx(plain.alpha) and found.kendall_w == pytest.approx(plain.kendall_w)
    assert an.analysis.agreement(data, replicates=0).alpha > 0.2  # four of five agree on everything


def test_a_test_that_could_notice_nobody_is_not_called_ok():
    people = an.Annotator(an.Tabular([0.0, 0.5, 1.0, 1.5, -0.5]), an.Luce())
    few, many = (
        an.diagnose(an.simulate(people, an.Design(an.Items(n=5), annotators=25, questions=n), seed=0)) for n in (4, 80)
    )
    for name in ("one side", "spammers", "adversaries"):
        assert (few[name].status, few[name].p_value) == ("not asked", None)
        needed = int(few[name].change.removeprefix("Ask each annotator about ").removesuffix(" questions."))
        assert 4 < needed <= 80 and "none of 25 annotators gave more than 4" in few[name].sentence
        assert many[name].status == "fine" and "25" in many[name].change
    asked = sum(found.p_value is not None for found in few.findings)
    assert f"none of {asked} tests rejects" in few.headline
    # of 25 annotators by Holm at 5 %, both sides: 2 * 25 * .5 ** n <= .05 from n = 10 on
    assert "about 10 answers" in few["one side"].sentence


def test_two_annotators_who_share_too_little_are_not_called_different():
    people = an.Annotator(an.Tabular([0.0, 3.0, 6.0]), an.Luce())  # they agree nearly always, copies or not
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=8, questions=12), seed=0)
    found = an.diagnose(data)["copies"]
    assert found.status == "not asked" and "would be noticed from about" in found.sentence


def test_existence_names_who_never_lost_and_who_never_won():
    top = an.Items(names=["x", "top", "y"])
    data = an.PreferenceData(top, [[0, 1], [1, 2], [0, 2], [2, 0]] * 5, answer=[1, 0, 0, 0] * 5)
    sentence = an.diagnose(data)["existence"].sentence
    assert "1 item never lost to the others: 'top'; 1 group never won against the others: 'x', 'y'." in sentence


@pytest.mark.parametrize("wrong", [np.zeros((50, 50)), list(range(3000)), {"a": list(range(3000))}])
def test_an_argument_of_a_wrong_type_is_named_in_one_short_line(wrong):
    one, design = an.Annotator(an.Tabular(3), an.Luce()), an.Design(an.Items(n=3))
    data = an.simulate(one, design, seed=0)
    for call in (
        lambda: an.fit(one, wrong),
        lambda: an.fit(wrong, data),
        lambda: an.simulate(wrong, design, seed=0),
        lambda: an.simulate(one, wrong, seed=0),
        lambda: an.simulate(one, design, seed=wrong),
        lambda: an.project(wrong, one, design),
        lambda: an.identify(wrong, design),
        lambda: an.identify(one, wrong),
        lambda: an.plan(wrong, design, precision=0.1),
        lambda: an.plan(one, design, precision=wrong),
        lambda: an.diagnose(wrong),
        lambda: an.diagnose(data, precision=wrong),
        lambda: an.law(wrong, design),
    ):
        with pytest.raises(an.errors.ArgumentError) as caught:
            call()
        assert len(str(caught.value)) < 250 and "\n" not in str(caught.value)


def test_a_frame_in_place_of_data_is_named_and_told_how_to_read_it():
    frame = pd.DataFrame({"left": ["a"] * 50, "right": ["b"] * 50, "winner": ["a"] * 50})
    with pytest.raises(
        an.errors.ArgumentError, match=r"^fit\(data=DataFrame of shape \(50, 3\)\): give an.PreferenceData; an.io"
    ):
        an.fit(an.Annotator(an.Tabular(2), an.Luce()), frame)
