"""What is claimed of the cost of twins, of the answers that end them, and of the direction of the mean taste."""

from __future__ import annotations

import numpy as np

from annosim.study import STUDY_ADDS, Statement, at_least, at_most, difference, equal, every, exact, t_interval

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


def _fairness():
    cost = lambda f, truth, **more: mean_of(f, "fairness_of_twins", "ratio", "unequal antipodes", truth=truth, **more)  # noqa: E731
    yield Statement(
        "A.cost",
        "unequal antipodes (.7 and .3) and their twin (one type without preferences): the min-max policy of the twin gives "
        "the worst-off type more regret than that of the right world, whichever is right",
        HERE,
        lambda f: every(
            [at_least(cost(f, 0), 1.5), at_least(cost(f, 1), 2.5)],
            "at least 1.5 and 2.5 times (mean over sets of responses)",
        ),
        whose=STUDY_ADDS,
        figure="what_twins_cost",
    )
    yield Statement(
        "A.numbers",
        "on the responses of the figures: 2.2 and 4.4 times",
        HERE,
        lambda f: every([equal(cost(f, 0, set=0), 2.2, 0.05), equal(cost(f, 1, set=0), 4.4, 0.05)]),
        whose=STUDY_ADDS,
        figure="what_twins_cost",
    )
    yield Statement(
        "A.witness",
        "the paper's own witness (equal antipodes, and nobody prefers anything) costs hardly anything: both min-max policies are "
        "all but the reference",
        HERE,
        lambda f: every(
            [
                at_most(mean_of(f, "fairness_of_twins", "ratio", "indifferent", truth=0), 1.25),
                at_most(mean_of(f, "fairness_of_twins", "twin_world", "indifferent", truth=1), 0.01),
            ],
            "antipodes right: at most 1.25 times the regret; nobody prefers anything: at most .01 nats",
        ),
        whose=STUDY_ADDS,
        figure="what_twins_cost",
    )


def _answers():
    per_set = lambda f, way: values_of(f, "answers_needed", "annotators", way=way)  # noqa: E731
    ratio = lambda f, way: t_interval(per_set(f, "best of three") / per_set(f, way))  # noqa: E731
    yield Statement(
        "B.weakest",
        "one best-of-three answer each is the weakest way to tell twins apart: two pairs, a ranking of three or three pairs "
        "from each annotator need fewer annotators",
        HERE,
        lambda f: every(
            [at_least(ratio(f, way), 2.0) for way in ("two pairs", "ranking of three", "three pairs")],
            "best of three needs at least twice as many (mean over sets of responses)",
        ),
        whose=STUDY_ADDS,
        figure="what_twins_cost",
    )
    yield Statement(
        "B.numbers",
        "on the responses of the figures, for odds of 20 to 1: best of three 436 annotators, two pairs 133, a ranking of "
        "three 105, three pairs 49",
        HERE,
        lambda f: every(
            [
                equal(mean_of(f, "answers_needed", "annotators", way=way, set=0), value, 1.0)
                for way, value in (
                    ("best of three", 436),
                    ("two pairs", 133),
                    ("ranking of three", 105),
                    ("three pairs", 49),
                )
            ]
        ),
        whose=STUDY_ADDS,
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
    gain = lambda f, types: t_interval(f.values("similar_types", "gain", types=types))  # noqa: E731
    yield Statement(
        "similar.gain",
        "two, three and four types of which all but one are alike: the min-max policy spares the worst-off type regret "
        "against the uniform mixture",
        HERE,
        lambda f: every([at_least(gain(f, k), 0.0) for k in (2, 3, 4)]),
        whose=STUDY_ADDS,
        figure="similar_types",
    )
    yield Statement(
        "similar.more",
        "and the more are alike, the more it spares",
        HERE,
        lambda f: every(
            [
                at_least(difference(*(f.values("similar_types", "gain", types=k) for k in pair), paired=False), 0.0)
                for pair in ((3, 2), (4, 2))
            ],
            "three and four types against two: a larger gain",
        ),
        whose=STUDY_ADDS,
        figure="similar_types",
    )
