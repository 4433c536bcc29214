"""Few votes of people beside many answers of judges: unbiased, as precise as promised, and equal to another implementation.

``python tests/learning/test_prediction_powered.py`` measures coverage and gain as the documentation quotes them (minutes).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import binom

import annosim as an
from annosim.errors import ArgumentError, DataError
from annosim.learning.inference.rectified import bradley_terry

MODELS = 4
#: models differ in quality; their responses to a prompt scatter about it; the last writes longest
QUALITY, LENGTH, SCATTER = np.array([0.6, 0.2, -0.2, -0.6]), np.array([-1.0, -0.3, 0.3, 1.0]), 1.5
BLOCK = 150
PAIRS = np.array([(a, b) for a in range(MODELS) for b in range(a + 1, MODELS)])


def judge(length: float, lapse: float, position: float) -> an.Annotator:
    """A misspecified judge: it likes length, guesses at times, and favours a side."""
    rule = an.Lapse(an.PositionBias(an.Luce(), shift=position), rate=lapse)
    return an.Annotator(an.Linear([1.0, length]), rule)


PEOPLE = an.Annotator(an.Linear([1.0, 0.0]), an.Luce())
JUDGES = {"strong": judge(0.3, 0.05, 0.1), "long-winded": judge(1.0, 0.1, 0.2), "careless": judge(0.5, 0.5, 0.0)}


def world(seed: int, votes: int, questions: int, judges=("strong",), people: int | None = None):
    """Votes of people on the first questions, answers of the judges on all; responses are drawn anew for each seed."""
    rng = np.random.default_rng(seed)
    score = QUALITY + SCATTER * rng.normal(size=(questions, MODELS))
    length = LENGTH + rng.normal(size=(questions, MODELS))
    pair = PAIRS[rng.integers(len(PAIRS), size=questions)]
    pair = np.where(rng.random((questions, 1)) < 0.5, pair, pair[:, ::-1])
    models = an.Items(names=[f"model {m}" for m in range(MODELS)])

    def answers(annotator, start, number):
        """To one block of questions; few responses at a time, whose table of odds is small."""
        at = np.arange(start, min(start + BLOCK, questions))
        features = np.stack([score[at], length[at]], -1).reshape(-1, 2)
        responses = an.Items(features=features, prompts=np.repeat(at, MODELS))
        menus = pair[at] + MODELS * (at - start)[:, None]
        design = an.Design(responses, menus=menus, annotators=1, questions="all")
        return an.simulate(annotator, design, seed=1000 * seed + 10 * number + start // BLOCK * 10**6).answer

    def said(annotator, number, rows, who, names):
        answer = np.concatenate([answers(annotator, start, number) for start in range(0, rows, BLOCK)])[:rows]
        prompts = np.arange(rows)
        return an.PreferenceData(
            models, pair[:rows], answer=answer, prompt=prompts, annotator=who, annotator_names=names
        )

    who = None if people is None else rng.integers(people, size=votes)
    one = said(PEOPLE, 0, votes, who, None)
    parts = [
        said(JUDGES[name], 1 + k, questions, np.zeros(questions, dtype=int), np.array([name]))
        for k, name in enumerate(judges)
    ]
    return one, an.data.concat(parts)


def truth() -> np.ndarray:
    """Bradley-Terry strengths of what people would say about infinitely many prompts."""
    z, w = np.polynomial.hermite_e.hermegauss(80)
    gap = QUALITY[PAIRS[:, 0]] - QUALITY[PAIRS[:, 1]]
    share = expit(gap[:, None] + SCATTER * 2**0.5 * z) @ w / w.sum()

    def loss(x):
        d = x[PAIRS[:, 0]] - x[PAIRS[:, 1]]
        return float((np.logaddexp(0, d) - share * d).sum() + x.sum() ** 2)

    return minimize(loss, np.zeros(MODELS), tol=1e-12).x


def run(seed, **settings):
    votes, judged = world(seed, **settings)
    return an.learning.prediction_powered(votes, judged)


# ---- against another implementation ----------------------------------------------------------------------------------


def columns(found):
    """Pairs as a design matrix against the last item; people's rows, the others, and the weights that make the mixes equal."""
    votes = found.votes
    at, x = np.arange(len(votes.pair)), np.zeros((len(votes.pair), MODELS))
    x[at, votes.first[votes.pair]], x[at, votes.second[votes.pair]] = 1.0, -1.0
    told, alone = votes.question, np.flatnonzero(~votes.voted)
    weight = (np.bincount(votes.pair[told]) / np.bincount(votes.pair[alone]))[votes.pair[alone]]
    return x[:, :-1], told, alone, weight * len(alone) / weight.sum()


@pytest.fixture(scope="module")
def found():
    return run(3, votes=300, questions=2000, judges=("strong", "long-winded"))


@pytest.mark.parametrize("lam", [1.0, 0.4])
def test_strengths_maximise_the_published_objective(found, lam):
    """Angelopoulos et al. 2023, eq. of generalised linear models, with importance weights; by a general optimiser."""
    votes = found.votes
    x, told, alone, weight = columns(found)
    y, f = votes.answer, votes.judged[0]

    def loss(theta):
        d = x @ theta
        term = np.logaddexp(0, d)
        people = (term[told] - y * d[told]).mean() - lam * (term[told] - f[told] * d[told]).mean()
        return people + lam * (weight * (term[alone] - f[alone] * d[alone])).mean()

    theirs = minimize(loss, np.zeros(MODELS - 1), tol=1e-14).x
    ours, _ = bradley_terry(found.parts, np.array([lam, 0.0]))
    np.testing.assert_allclose((ours - ours[-1])[:-1], theirs, atol=2e-6)


def test_strengths_are_those_of_ppi_python():
    ppi = pytest.importorskip("ppi_py")
    found = run(3, votes=300, questions=2000)
    votes = found.votes
    x, told, alone, weight = columns(found)
    f = votes.judged[0]
    for lam in (1.0, 0.4):
        ours, _ = bradley_terry(found.parts, np.array([lam]))
        theirs = ppi.ppi_logistic_pointestimate(
            x[told], votes.answer, f[told], x[alone], f[alone], lam=lam, w_unlabeled=weight
        )
        np.testing.assert_allclose((ours - ours[-1])[:-1], theirs, atol=1e-6)


def test_a_win_rate_is_the_prediction_powered_mean():
    """lambda = Cov(y, f) / ((1 + n / N) Var(f)); error from the two samples' variances (arXiv:2311.01453, eq. 6)."""
    votes, judged = world(5, votes=900, questions=4000)
    one = [part.take((np.sort(part.menu, 1) == [0, 1]).all(1)) for part in (votes, judged)]
    one = [part.with_(items=an.Items(names=["a", "b"])) for part in one]
    table = an.learning.prediction_powered(*one).win_rates().set_index("item")
    inside = an.learning.prediction_powered(*one).votes
    y, told = inside.answer, inside.judged[0][inside.question]
    alone = inside.judged[0][~inside.voted]
    n, more = len(y), len(alone)
    both = np.concatenate([told, alone])
    # the mean that is taken off holds the answer itself: n + N over n + N - 1 in place of n over n - 1
    cross = ((y - y.mean()) * (told - both.mean())).sum() / n * len(both) / (len(both) - 1)
    lam = cross / ((1 + n / more) * both.var(ddof=1))
    assert table.loc["a", "win_rate"] == pytest.approx(y.mean() + lam * (alone.mean() - told.mean()), abs=1e-12)
    error = np.sqrt((y - lam * told).var() / n + lam**2 * alone.var() / more)
    assert table.loc["a", "standard_error"] == pytest.approx(error, rel=0.01)
    assert table.loc["a", "people_error"] == pytest.approx(y.std() / n**0.5, rel=1e-12)
    assert table.loc["a", "win_rate"] + table.loc["b", "win_rate"] == pytest.approx(1.0)


def test_people_alone_are_the_usual_fit(found):
    votes, _ = world(3, votes=300, questions=2000)
    usual = an.fit(an.Annotator(an.Tabular(MODELS), an.Luce()), votes)
    np.testing.assert_allclose(found.people_estimate, usual.summary(sort="parameter")["estimate"], atol=1e-8)
    np.testing.assert_allclose(found.people_covariance, usual.covariance("sandwich"), atol=1e-8)


def test_annotators_are_units_as_in_the_usual_fit():
    votes, judged = world(4, votes=300, questions=600, people=20)
    found = an.learning.prediction_powered(votes, judged)
    usual = an.fit(an.Annotator(an.Tabular(MODELS), an.Luce()), votes)
    assert (found.units, found.clusters) == ("annotator", 20.0)
    np.testing.assert_allclose(found.people_covariance, usual.covariance("cluster"), atol=1e-8)


# ---- what it promises ------------------------------------------------------------------------------------------------


def test_votes_on_one_question_about_few_prompts_are_dependent():
    """Four votes that say the same of each question are no more than one."""
    rng = np.random.default_rng(0)
    menu, prompt = np.repeat(PAIRS, 7, 0), np.tile(np.arange(7), len(PAIRS))
    said, own = rng.integers(2, size=(2, len(menu)))
    models = an.Items(names=[f"model {m}" for m in range(MODELS)])
    machine = an.PreferenceData(models, menu, answer=own, prompt=prompt)

    def found(times):
        row = np.repeat(np.arange(0, len(menu), 2), times)
        votes = an.PreferenceData(models, menu[row], answer=said[row], prompt=prompt[row])
        return an.learning.prediction_powered(votes, machine)

    once, often = found(1), found(4)
    assert (once.units, often.units, often.clusters) == ("vote", "question", 21.0)
    np.testing.assert_allclose(often.covariance, once.covariance, rtol=1e-8, atol=1e-12)


def test_intervals_cover_and_the_judge_pays():
    """14 worlds of a misspecified judge, three neighbouring differences of four models in each.

    Were coverage the nominal 95 %, fewer covered than the bound has probability 1e-7 (differences of a world are nearly
    independent). The gain is what the judge's correlation of about .35 makes it.
    """
    true, covered, gain = truth(), 0, []
    for seed in range(14):
        found = run(seed, votes=150, questions=900)
        gap, spread = np.diff(found.estimate - true), found.covariance
        error = np.sqrt(np.diagonal(spread)[1:] + np.diagonal(spread)[:-1] - 2 * np.diagonal(spread, 1))
        covered += int((np.abs(gap) <= 1.96 * error).sum())
        gain.append(found.gain)
    assert covered >= binom.ppf(1e-7, 42, 0.95)
    assert 1.05 < np.mean(gain) < 1.3


def test_people_may_be_asked_about_other_pairs_than_the_judge():
    """A judge that loves length, and people who mostly compare the first two models: within pairs nothing is biased.

    About 1,500 votes; an estimate off by more than five standard errors has probability 1e-6. Shares that are not rectified
    within pairs are off by more.
    """
    votes, judged = world(11, votes=3000, questions=6000, judges=("long-winded",))
    rng = np.random.default_rng(0)
    first = (np.sort(votes.menu, 1) == [0, 1]).all(1)
    found = an.learning.prediction_powered(votes.take(first | (rng.random(votes.rows) < 0.3)), judged)
    gap = found.estimate - truth()
    error = found.covariance
    # the target under unequal pairs is the projection with their shares; it moves these by less than .01
    for a, b in PAIRS:
        spread = error[a, a] + error[b, b] - 2 * error[a, b]
        assert abs(gap[a] - gap[b]) < 5 * spread**0.5 + 0.02


def test_sides_names_and_order_do_not_matter(found):
    votes, judged = world(3, votes=300, questions=2000, judges=("strong", "long-winded"))
    rng = np.random.default_rng(1)
    turn = rng.random(judged.rows) < 0.5
    turned = judged.with_(
        menu=np.where(turn[:, None], judged.menu[:, ::-1], judged.menu),
        answer=np.where(turn, 1 - judged.answer, judged.answer),
    ).take(rng.permutation(judged.rows))
    place = np.array([2, 0, 3, 1])
    names = np.array(votes.items.names)[np.argsort(place)].tolist()
    renamed = turned.with_(items=an.Items(names=names), menu=place[turned.menu])
    again = an.learning.prediction_powered(votes, renamed)
    np.testing.assert_allclose(again.estimate, found.estimate, atol=1e-10)
    np.testing.assert_allclose(again.covariance, found.covariance, atol=1e-10)


def test_judges_named_among_the_annotators(found):
    votes, judged = world(3, votes=300, questions=2000, judges=("strong", "long-winded"))
    people = votes.with_(annotator=np.arange(votes.rows), annotator_names=np.arange(votes.rows).astype(str))
    both = an.data.concat([people, judged])
    again = an.learning.prediction_powered(both, ["strong", "long-winded"])
    np.testing.assert_allclose(again.estimate, found.estimate, atol=1e-10)


def test_a_judge_twice_counts_once():
    votes, judged = world(6, votes=200, questions=1000)
    twin = judged.with_(annotator_names=np.array(["twin"]))
    one = an.learning.prediction_powered(votes, judged)
    two = an.learning.prediction_powered(votes, an.data.concat([judged, twin]))
    np.testing.assert_allclose(two.estimate, one.estimate, atol=1e-8)
    np.testing.assert_allclose(two.weights, one.weights[0] / 2, atol=1e-8)
    assert two.effective_judges == pytest.approx(1.0)


def test_an_adversary_is_turned_round():
    votes, judged = world(6, votes=200, questions=1000)
    against = judged.with_(answer=1 - judged.answer)
    one, other = (an.learning.prediction_powered(votes, j) for j in (judged, against))
    np.testing.assert_allclose(other.estimate, one.estimate, atol=1e-8)
    np.testing.assert_allclose(other.weights, -one.weights, atol=1e-8)


def test_questions_that_were_chosen_are_noticed():
    """People vote where the judge prefers the first model: the judge's own answers tell (p < 1e-10)."""
    votes, judged = world(7, votes=1000, questions=2000)
    liked = np.sort(judged.menu, 1)[:, 0] == judged.menu[np.arange(judged.rows), judged.answer]
    kept = votes.take(liked[:1000] | (np.arange(1000) % 5 == 0))
    with pytest.warns(UserWarning, match="no random sample"):
        found = an.learning.prediction_powered(kept, judged)
    assert found.selection[0] < 1e-10 and "no random sample" in found.notes[-1]


# ---- what is refused -------------------------------------------------------------------------------------------------


def always(data, side):
    return data.with_(answer=np.full(data.rows, side))


REFUSED = {
    "nothing in common": (lambda v, j: j.take(np.arange(300, 1000)), "0 question.s. in common"),
    "other names": (lambda v, j: j.with_(items=an.Items(names=["a", "b", "c", "d"])), "0 question.s. in common"),
    "nothing alone": (lambda v, j: j.take(np.arange(200)), "adds nothing"),
    "always left": (lambda v, j: always(j, 0), "the left side in each of 1000"),
    "one answer a pair": (
        lambda v, j: j.with_(answer=(j.menu[:, 0] > j.menu[:, 1]) + 0),
        "one answer on all of its questions",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_judge_that_says_nothing_is_refused(name):
    votes, judged = world(8, votes=200, questions=1000)
    broken, message = REFUSED[name]
    with pytest.raises(an.errors.NotIdentifiedError, match=message):
        an.learning.prediction_powered(votes, broken(votes, judged))


def test_questions_that_cannot_be_matched_are_refused():
    votes, judged = world(8, votes=200, questions=1000)
    with pytest.raises(an.errors.ArgumentError, match="have no prompts and the others do"):
        an.learning.prediction_powered(votes, judged.with_(prompt=None))
    with pytest.raises(an.errors.ArgumentError, match="name a column"):
        an.learning.prediction_powered(votes.with_(prompt=None), judged.with_(prompt=None))
    with pytest.raises(an.errors.ArgumentError, match="judges=None"):
        an.learning.prediction_powered(votes, None)
    with pytest.raises(an.errors.ArgumentError, match="no annotator 'gpt'"):
        an.learning.prediction_powered(judged, "gpt")


def test_questions_without_a_number_are_refused_and_decimal_points_say_nothing():
    """All the empty cells together would be one question."""
    votes, judges = world(0, 60, 200)
    numbered = [part.with_(columns={"q": np.asarray(part.prompt)}, prompt=None) for part in (votes, judges)]
    expected = an.learning.prediction_powered(votes, judges).votes.common.sum()
    floats = numbered[0].with_(columns={"q": numbered[0].columns["q"].astype(float)})
    assert an.learning.prediction_powered(floats, numbered[1], question="q").votes.common.sum() == expected
    lost = numbered[0].columns["q"].astype(float)
    lost[7] = np.nan
    with pytest.raises(DataError, match="row 7 of the votes has none"):
        an.learning.prediction_powered(floats.with_(columns={"q": lost}), numbered[1], question="q")


@pytest.mark.parametrize("wrong", [3, ["a"], "half", [0.0]])
def test_shares_are_numbers(wrong):
    with pytest.raises(ArgumentError, match="shares of the questions"):
        an.planning.Judged(shares=wrong)


def test_people_without_an_estimate_are_refused():
    votes, judged = world(8, votes=200, questions=1000)
    with pytest.raises(an.errors.NotIdentifiedError, match="people's votes alone"):
        an.learning.prediction_powered(votes.take(votes.menu.max(1) < 3), judged)


# ---- what to collect -------------------------------------------------------------------------------------------------


def test_the_cheapest_share_is_neymans():
    """One pair, one judge: share^2 = (1 - r^2) / r^2 * price of a judge's answer / price of a vote."""
    votes, judged = world(5, votes=1800, questions=6000)
    one = [part.take((np.sort(part.menu, 1) == [0, 1]).all(1)) for part in (votes, judged)]
    one = [part.with_(items=an.Items(names=["a", "b"])) for part in one]
    found = an.learning.prediction_powered(*one)
    price = 0.01
    plan = an.plan(found, an.planning.Judged(answer=price), precision=0.001, cost=an.Cost(annotator=0.0, answer=1.0))
    r = float(found.panel()["correlation"].iloc[0])
    cheapest = plan.rows[-1]
    share = cheapest.answers / cheapest.judged
    assert share == pytest.approx(((1 - r**2) / r**2 * price) ** 0.5, rel=0.02)
    assert cheapest.cost == min(row.cost for row in plan.rows[1:])
    assert cheapest.half_width.max() == pytest.approx(0.001, rel=1e-3)
    alone = plan.rows[0]
    assert alone.answers == pytest.approx(found.people * (1.96 / 0.001) ** 2 * found.people_covariance[0, 0], rel=1e-3)
    assert (
        an.plan(found, an.planning.Judged(answer=5.0), precision=0.001, cost=an.Cost(0.0, 1.0)).best.name
        == "people alone"
    )


def test_a_plan_of_judges_needs_their_pilot(found):
    with pytest.raises(an.errors.ArgumentError, match="needs a pilot"):
        an.plan(PEOPLE, an.planning.Judged())
    with pytest.raises(an.errors.ArgumentError, match="give an.planning.Judged"):
        an.plan(found, an.Design(an.Items(n=4)))
    with pytest.raises(an.errors.ArgumentError, match="shares"):
        an.planning.Judged(shares=[1.5])


def measure(replicates: int, votes: int, questions: int) -> None:
    """Coverage of 95 % intervals of all differences, and how much smaller the squared error is than with people alone."""
    true, (a, b) = truth(), PAIRS.T
    panels = {name: [name] for name in JUDGES} | {"all three": list(JUDGES)}
    hit, low, error = ({name: [] for name in panels} for _ in range(3))
    for seed in range(replicates):
        people, judged = world(seed, votes, questions, tuple(JUDGES))
        name_of = np.array(judged.annotator_names)[judged.annotator]
        for name, panel in panels.items():
            found = an.learning.prediction_powered(people, judged.take(np.isin(name_of, panel)))
            spread = found.covariance
            gap = (found.estimate - true)[a] - (found.estimate - true)[b]
            hit[name].append(np.abs(gap) <= 1.96 * np.sqrt(spread[a, a] + spread[b, b] - 2 * spread[a, b]))
            low[name].append(found.selection.min() < 0.05 / len(panel))
            alone = ((found.people_estimate - true) ** 2).sum()
            error[name].append([alone, ((found.estimate - true) ** 2).sum(), found.gain])
    for name in panels:
        alone, both, gain = np.mean(error[name], 0)
        print(
            f"{votes} votes, {questions} questions, {name}: coverage {np.mean(hit[name]):.3f}, squared error {alone / both:.2f} "
            f"times smaller (said {gain:.2f}), selection alarms at 5 %: {np.mean(low[name]):.3f}"
        )


if __name__ == "__main__":
    import sys
    import warnings

    warnings.simplefilter("ignore")
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 300, votes=150, questions=1500)
