"""What is claimed of the cost of twins, of the answers that end them, and of the direction of the mean taste."""

from __future__ import annotations

import numpy as np

from annosim.study import CONTROL, STUDY_ADDS, Statement, at_least, at_most, difference, equal, every, exact, t_interval

HERE = "this study"


def values_of(found, group, column, of=None, **where):
    """One column of the rows of a group that match."""
    rows = found.rows(group, **({"name": of} if of else {}))
    return np.array([r[column] for r in rows if all(r[k] == v for k, v in where.items())], dtype=float)


def mean_of(found, group, column, of=None, **where):
    """Its mean with an interval over sets of responses; one set alone is an exact number."""
    values = values_of(found, group, column, of, **where)
    return exact(values[0]) if "set" in where else t_interval(values)


def price_statements(answers):
    """A: fairness of twins; B: the price of an answer; D: the mean taste; and types that are alike."""
    yield from _fairness()
    yield from _answers()
    yield from _direction(max(answers))
    yield from _similar()


def cost(found, truth, of="unequal antipodes", column="ratio", **more):
    """The min-max policy of the twin, in the world of this number: regret of the worst-off type, or how many times that of
    the right world's policy; mean over sets of responses."""
    return mean_of(found, "fairness_of_twins", column, of, truth=truth, **more)


def _fairness():
    yield Statement(
        "A.cost",
        "unequal antipodes (.7 and .3) and their twin (one type without preferences): the min-max policy of the twin gives "
        "the worst-off type more regret than that of the right world, whichever is right",
        HERE,
        lambda f: every(
            [at_least(cost(f, 0), 1.5), at_least(cost(f, 1), 2.5)],
            "at least 1.5 and 2.5 times (mean over sets of responses)",
            ["antipodes right", "their twin right"],
        ),
        whose=STUDY_ADDS,
        figure="what_twins_cost",
    )
    yield Statement(
        "A.numbers",
        "on the responses of the figures: 2.2 and 4.4 times",
        "this study's own numbers, kept as a check",
        lambda f: every(
            [equal(cost(f, 0, set=0), 2.2, 0.05), equal(cost(f, 1, set=0), 4.4, 0.05)],
            labels=["antipodes right", "their twin right"],
        ),
        whose=CONTROL,
        figure="what_twins_cost",
    )
    yield Statement(
        "A.witness",
        "the witness of the figures (equal antipodes, and nobody prefers anything) costs hardly anything: both min-max policies "
        "are all but the reference",
        HERE,
        lambda f: every(
            [at_most(cost(f, 0, "indifferent"), 1.25), at_most(cost(f, 1, "indifferent", "twin_world"), 0.01)],
            "at most 1.25 times the regret where the antipodes are right, at most .01 nats (against none) where nobody prefers "
            "anything (means over sets of responses)",
            ["antipodes right, times", "nobody right, nats"],
        ),
        whose=STUDY_ADDS,
        figure="what_twins_cost",
    )


#: annotators on the responses of the figures, the antipodes being right; 437 suffice where 436.2 are needed. If nobody
#: prefers anything and the antipodes are the rival, it takes 435, 127, 99 and 50.
NEEDED = {"best of three": 436.2, "two pairs": 133.1, "ranking of three": 104.9, "three pairs": 48.9}


def _answers():
    per_set = lambda f, way: values_of(f, "answers_needed", "annotators", way=way)  # noqa: E731
    ratio = lambda f, way: t_interval(per_set(f, "best of three") / per_set(f, way))  # noqa: E731
    others = [way for way in NEEDED if way != "best of three"]
    yield Statement(
        "B.weakest",
        "where equal antipodes are right and a world without preferences is the rival, one best-of-three answer each is the "
        "weakest of four ways to tell: two pairs, a ranking of three or three pairs from each annotator need fewer annotators",
        HERE,
        lambda f: every(
            [at_least(ratio(f, way), 2.0) for way in others],
            "best of three needs at least twice as many (mean over sets of responses)",
            [f"times {way}" for way in others],
        ),
        whose=STUDY_ADDS,
        figure="what_twins_cost",
    )
    yield Statement(
        "B.numbers",
        "on the responses of the figures, the antipodes being right, for odds of 20 to 1: best of three 436.2 annotators (437 "
        "suffice), two pairs 133.1, a ranking of three 104.9, three pairs 48.9",
        "this study's own numbers, kept as a check",
        lambda f: every(
            [
                equal(mean_of(f, "answers_needed", "annotators", way=way, set=0), value, 0.1)
                for way, value in NEEDED.items()
            ],
            "these within .1",
            list(NEEDED),
        ),
        whose=CONTROL,
        figure="what_twins_cost",
    )
    yield Statement(
        "B.answers",
        "counted in answers instead of annotators two pairs are still cheaper than best of three",
        HERE,
        lambda f: at_most(
            difference(
                *(np.log(values_of(f, "answers_needed", "in_all", way=w)) for w in ("two pairs", "best of three"))
            ),
            0.0,
        ),
        "logarithm of the ratio at most 0 (mean over sets of responses)",
        whose=STUDY_ADDS,
        figure="what_twins_cost",
    )


def _direction(many):
    angle = lambda f, loss, answers: values_of(f, "mean_direction", "angle", loss=loss, answers=answers)  # noqa: E731
    yield Statement(
        "D.likelihood",
        "tastes symmetric around a mean, infinite data: the likelihood does not find the direction of the mean taste",
        HERE,
        lambda f: at_least(t_interval(angle(f, "likelihood", 0)), 3.0),
        "off by at least 3 degrees (mean over sets of responses)",
        whose=STUDY_ADDS,
        figure="mean_direction",
    )
    yield Statement(
        "D.sign",
        "the sign loss (fewest answers ordered wrongly) does",
        "Manski 1975 (maximum score); applied to tastes by this study",
        lambda f: at_most(t_interval(angle(f, "sign loss", 0)), 1.0),
        "off by at most 1 degree, the width of the best arc",
        whose=STUDY_ADDS,
        figure="mean_direction",
    )
    yield Statement(
        "D.many",
        f"from {many} answers the sign loss is nearer",
        HERE,
        lambda f: at_most(difference(angle(f, "sign loss", many), angle(f, "likelihood", many)), 0.0),
        whose=STUDY_ADDS,
        figure="mean_direction",
    )


def _similar():
    gains = lambda f, types: f.values("similar_types", "gain", types=types)  # noqa: E731
    yield Statement(
        "similar.gain",
        "two, three and four types of which all but one are alike: the min-max policy is never worse for the worst-off type "
        "than the uniform mixture, which is among those that it is the best of",
        "by definition",
        lambda f: every([at_least(float(gains(f, k).min()), -1e-9) for k in (2, 3, 4)], labels=_TYPES),
        whose=CONTROL,
        figure="similar_types",
    )
    yield Statement(
        "similar.size",
        "it spares the worst-off type regret that counts (tastes drawn apart with a standard deviation of 1.2, those alike within "
        ".2, at beta 1)",
        HERE,
        lambda f: every(
            [at_least(t_interval(gains(f, k)), 0.05) for k in (2, 3, 4)],
            "at least .05 nats in each case (mean over random worlds)",
            _TYPES,
        ),
        whose=STUDY_ADDS,
        figure="similar_types",
    )
    yield Statement(
        "similar.more",
        "and the more are alike, the more it spares",
        HERE,
        lambda f: every(
            [at_least(difference(*(gains(f, k) for k in pair), paired=False), 0.0) for pair in ((3, 2), (4, 2))],
            "three and four types against two: a larger gain",
            ["three against two", "four against two"],
        ),
        whose=STUDY_ADDS,
        figure="similar_types",
    )


_TYPES = ["2 types", "3 types", "4 types"]
