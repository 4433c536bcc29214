"""What is claimed of hidden types, and what is judged."""

from __future__ import annotations

from annosim.study import CONTROL, STUDY_ADDS, Estimate, Statement, at_least, at_most, equal, every, paper_says, true

from .claims_em import HERE, PAPER
from .theorems import COLLISIONS
from .twins import CASES

ZERO = 1e-15


def verdict(found, case, *expected):
    """A verdict is one of those that are expected."""
    said = found.get("asked", "verdict", case=case)
    return true(said in expected, f"{case}: {' or '.join(expected)} (found: {said})")


def rank(found, group, lost, **which):
    """The law's rank is so many below the number of identifiable parameters."""
    row = found.rows(group, **which)[0]
    return equal(row["of"] - row["rank"], lost, 0)


def twin_statements():
    """T1 - T4: witnesses, verdicts, and what breaks the symmetry."""
    yield Statement(
        "T1.witnesses",
        "Pairs of worlds with the same law of single pairs: distance zero up to rounding",
        f"{PAPER}, its lemma on one answer each; the witnesses are this study's",
        lambda f: every([at_most(d, ZERO) for d in f.values("witness", "pairs")]),
        whose=paper_says("abstract and the lemma on one answer each"),
        figure="twins_drawn",
    )
    for name, words in {
        "best_of_three": "T2: one best-of-three answer",
        "two_pairs": "T3: two pairs by the same annotator",
        "ties": "T4: ties (Rao-Kupper)",
        "position_bias": "T4: a known position bias",
    }.items():
        yield Statement(
            f"{words[:2]}.{name}",
            f"{words} tells the same worlds apart (law distance above 1e-3)",
            PAPER if words[:2] == "T2" else HERE,
            lambda f, n=name: every([at_least(d, 1e-3) for d in f.values("witness", n, scale=1.0)]),
            whose=paper_says("abstract") if words[:2] == "T2" else STUDY_ADDS,
            figure="twins_drawn",
        )
    for scale, value in ((1.0, 0.365740), (2.0, 0.425182)):
        yield Statement(
            f"T2.slate.{scale:g}",
            f"Slate {{a, b, b'}}, tastes +-{scale:g}: P(a) = {value} (indifferent people: 1/3)",
            HERE,
            lambda f, s=scale, v=value: equal(f.exact("duplicated", "probability", scale=s), v, 1e-6),
            whose=STUDY_ADDS,
            figure="where_they_come_apart",
        )
    yield Statement(
        "T1.verdicts",
        "Pairs once per annotator: antipodal types are not identified, unequal antipodes are singular, "
        "a type "
        "without preferences has full rank and a twin",
        HERE,
        lambda f: every(
            [
                verdict(f, "T1 antipodal", "not_identified"),
                verdict(f, "T1 unequal antipodes", "singular"),
                verdict(f, "T1 one without preferences", "not_identified"),
                rank(f, "asked", 0, case="T1 one without preferences"),
            ]
        ),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "T1.general",
        "Types that are neither antipodal nor indifferent have full rank already under single pairs",
        HERE,
        lambda f: verdict(f, "T1 general", "locally_identified", "identified"),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "T2-T4.verdicts",
        "Best of three, two pairs each, ties or a known position bias: full rank and no twin found",
        f"{PAPER}, abstract for best of three; the others are this study's",
        lambda f: every([verdict(f, c, "locally_identified", "identified") for c in CASES if c[:2] != "T1"]),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "lemma.pairs",
        "pairs identify the types where each user answers several varied ones (here two: full rank, and no twin found)",
        f"{PAPER}, lemma: many varied pairs of one user identify that user",
        lambda f: every([verdict(f, c, "locally_identified", "identified") for c in CASES if c[:2] == "T3"]),
        whose=paper_says("the lemma on many varied pairs of one user"),
    )
    yield Statement(
        "slogan",
        "'Ternary preferences are necessary' is exact where every annotator answers once, which is where the paper's lemma on one answer "
        "each says it; two pairs by the same annotator suffice, which strengthens its lemma that many varied pairs of one user do",
        f"this study; the two lemmas of {PAPER}",
        lambda f: every(
            [
                at_most(max(f.values("witness", "pairs")), ZERO),
                at_least(min(f.values("witness", "two_pairs", scale=1.0)), 1e-3),
            ]
        ),
        whose=STUDY_ADDS,
        figure="twins_drawn",
    )


def table_statements():
    """T5, and bounds on a finite design."""
    yield Statement(
        "T5.continuum",
        "Two free types, pairs of 4 items: rank 6 of 7 and a curve of populations with the same law",
        HERE,
        lambda f: every(
            [
                rank(f, "tables", 1, n=4, answers="pairs"),
                at_most(f.exact("tables", "law_distance", n=4, answers="pairs"), 1e-10),
            ]
        ),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "T5.full",
        "Full rank: pairs of 5 and 6, rankings of 3 and 4, best of three of 4 and 5 items",
        HERE,
        lambda f: every([rank(f, "tables", 0, n=n, answers=a) for n, a in _T5_FULL]),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "bounds.six",
        "Any distribution of tastes, best of three of 6 items on a line: share(beta > 0) = .674 lies in [.60, .74]",
        HERE,
        lambda f: every(
            [
                equal(f.exact("shares", "share", n=6, answers="best of three", questions=1), 0.674, 2e-3),
                equal(f.exact("shares", "low", n=6, answers="best of three", questions=1), 0.60, 0.02),
                equal(f.exact("shares", "high", n=6, answers="best of three", questions=1), 0.74, 0.02),
            ]
        ),
        whose=STUDY_ADDS,
        figure="bounds_of_the_share",
    )
    yield Statement(
        "bounds.shrink",
        "The bounds are narrower for best of three than for pairs, and narrower with more items",
        HERE,
        lambda f: every(
            [at_most(_width(f, n, "best of three") - _width(f, n, "pairs"), 0) for n in (4, 6)]
            + [at_most(_width(f, 6, "best of three") - _width(f, 4, "best of three"), 0)]
        ),
        whose=STUDY_ADDS,
        figure="bounds_of_the_share",
    )


_T5_FULL = ((5, "pairs"), (6, "pairs"), (3, "rankings"), (4, "rankings"), (4, "best of three"), (5, "best of three"))


def _width(found, n, answers):
    return found.get("shares", "width", n=n, answers=answers, questions=1)


def theorem_statements():
    """The known theorems."""
    for name, source, words, which in (
        (
            "zhao.2016",
            "Zhao, Piech, Xia 1603.07323",
            "k-mixtures of Plackett-Luce collide for m <= 2k - 1: explicit pairs for (k, m) = (2, 3), (3, 5)",
            COLLISIONS[:2],
        ),
        (
            "zhao.2019",
            "Zhao, Xia 1910.11721",
            "Favourites of all and pairs do not identify 2-mixtures (l1 + l2 <= 2k - 1): an explicit pair",
            COLLISIONS[2:],
        ),
    ):
        yield Statement(
            name,
            words,
            source,
            lambda f, which=which: every(
                [
                    j
                    for k, m, a in which
                    for j in (
                        at_most(f.exact("collision", "law_distance", kinds=k, n=m, answers=a), ZERO),
                        at_least(f.exact("collision", "apart", kinds=k, n=m, answers=a), 0.1),
                    )
                ]
            ),
            whose=CONTROL,
        )
    yield Statement(
        "zhao.2016.two",
        "2-mixtures over 4 items: full rank and no twin among random mixtures",
        "Zhao, Piech, Xia 1603.07323",
        lambda f: _clean(f, kinds=2, n=4, answers="rankings"),
        whose=CONTROL,
    )
    for answers, words in (
        ("choices over up to four", "choices over up to 4"),
        ("ranked top three", "ranked top-3"),
        ("ranked top two and pairs", "ranked top-2 plus pairs"),
    ):
        yield Statement(
            f"zhao.2019.{answers.replace(' ', '-')}",
            f"2-mixtures from {words}: full rank and no twin among random mixtures",
            "Zhao, Xia 1910.11721",
            lambda f, a=answers: _clean(f, kinds=2, n=4, answers=a),
            whose=CONTROL,
        )
    yield Statement(
        "mnl.two",
        "A uniform mixture of two MNLs: slates of 2 and 3 leave no twin; pairs alone leave some random mixtures one",
        "Chierichetti, Kumar, Tomkins 2018",
        lambda f: every(
            [
                _clean(f, kinds=2, n=4, answers="slates of two and three"),
                at_least(f.exact("mixtures", "twins", kinds=2, n=4, answers="pairs"), 1e-9),
            ]
        ),
        whose=CONTROL,
    )
    yield Statement(
        "zhang.2022",
        "Two-component Bradley-Terry mixtures over 5 items, 3-slates over 4: full rank at random mixtures",
        "Zhang, Zhang, Loh, Liang 2201.13132",
        lambda f: every(
            [
                equal(f.exact("mixtures", "full_rank", kinds=2, n=5, answers="pairs"), 1, 0),
                equal(f.exact("mixtures", "full_rank", kinds=2, n=4, answers="best of three"), 1, 0),
            ]
        ),
        whose=CONTROL,
    )
    yield Statement(
        "grouped",
        "K types from one pair asked q times: q = 2K - 1 has full rank, q = 2K - 2 never",
        "Vandermeulen, Scott 1502.06644",
        lambda f: every(
            [equal(f.exact("questions_needed", "enough", kinds=k), 1, 0) for k in (2, 3)]
            + [equal(f.exact("questions_needed", "one_less", kinds=k), 0, 0) for k in (2, 3)]
        ),
        whose=CONTROL,
    )
    yield Statement(
        "probit",
        "Correlated probit, zero means: P(1 best of 3) = 1/4 + arcsin(rho)/(2 pi)",
        "Cherapanamjeri et al. 2510.15839",
        lambda f: every([equal(r["orthant"] - r["formula"], 0, 1e-7) for r in f.rows("probit")]),
        whose=CONTROL,
    )
    yield Statement(
        "ford",
        "The Bradley-Terry estimate exists iff the win graph is strongly connected",
        "Ford 1957",
        lambda f: equal(f.exact("ford", "agree"), 1, 0),
        whose=CONTROL,
    )
    yield Statement(
        "calibration",
        "k i.i.d. rewards: squared calibration error at most 1/(4k)",
        "2506.06298",
        lambda f: every([at_most(_of_bound(r), 1.05) for r in f.rows("calibration")], "at most 1.05 times the bound"),
        whose=CONTROL,
    )
    yield Statement(
        "distortion",
        "Bound of maximal lotteries: 1.0820 (b=1), 1.3130 (2), 2.5339 (5)",
        "Goelz, Haghtalab, Yang 2505.23749",
        lambda f: every(
            [
                equal(f.exact("distortion", "bound", b=b), v, 5e-5)
                for b, v in ((1.0, 1.0820), (2.0, 1.3130), (5.0, 2.5339))
            ]
        ),
        whose=CONTROL,
    )
    yield Statement(
        "lotteries",
        "Maximal lotteries under Bradley-Terry noise: no world has a larger distortion than the bound",
        "Goelz, Haghtalab, Yang 2505.23749",
        lambda f: every([at_most(r["worst"] / r["bound"], 1) for r in f.rows("lotteries")]),
        whose=CONTROL,
    )
    yield Statement(
        "clones",
        "Near copies of one response change the order of others under the regularised maximum-likelihood "
        "reward, never with Voronoi weights",
        "Procaccia, Schiffer, Zhang 2501.09254",
        lambda f: every([at_least(f.exact("clones", "plain"), 1e-9), equal(f.exact("clones", "voronoi"), 0, 0)]),
        whose=CONTROL,
    )
    yield Statement(
        "best-of-n",
        "KL(best of n || base) is at most log n - (n - 1)/n",
        "Beirami et al. 2401.01879",
        lambda f: every([at_most(r["worst"] - r["bound"], 1e-12) for r in f.rows("best_of")]),
        whose=CONTROL,
    )


def _of_bound(row):
    """The worst pair's squared error over its bound, drawn: with its Monte Carlo interval."""
    value, half = row["worst"] / row["bound"], 1.96 * row["worst_error"] / row["bound"]
    return Estimate(value, value - half, value + half, "Monte Carlo")


def _clean(found, **which):
    return every(
        [
            equal(found.exact("mixtures", "full_rank", **which), 1, 0),
            equal(found.exact("mixtures", "twins", **which), 0, 0),
        ]
    )
