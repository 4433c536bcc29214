"""Hidden types of annotators, what pairs cannot say about them, and what EM-DPO and min-max regret make of them."""

from __future__ import annotations

import pandas as pd

from annosim.study import Cell, Preset, Study, t_interval, worded

from . import bounds, em, price, real, regret, theorems, twins
from .claims import table_statements, theorem_statements, twin_statements
from .claims_em import WORDS, at, em_statements, real_statements, regret_statements, share, spared
from .claims_price import cost, mean_of, price_statements
from .figures import FIGURES

#: (kinds, items, answers, uniform weights, how many times as many populations)
MIXTURES = (
    (2, 4, "rankings", False, 1),
    (2, 4, "choices over up to four", False, 1),
    (2, 4, "ranked top three", False, 1),
    (2, 4, "ranked top two and pairs", False, 1),
    (2, 4, "slates of two and three", True, 1),
    (2, 4, "pairs", True, 3),
    (2, 5, "pairs", False, 1),
    (2, 4, "best of three", False, 1),
)


def cells(
    starts,
    scales,
    points,
    items,
    populations,
    worlds,
    em_grid,
    laws,
    sources,
    bootstrap,
    twins_drawn,
    most_types,
    folds,
    sets,
    direction,
):
    """Twins and verdicts; bounds; theorems; EM-DPO and its baselines; real annotators."""
    for name in twins.WITNESSES:
        for scale in scales:
            yield Cell(twins.witness, {"name": name, "scale": scale})
    yield Cell(twins.curves, {"scales": [i / 10 for i in range(61)], "slates": 1})
    for scale in (1.0, 2.0):
        yield Cell(twins.duplicated, {"scale": scale})
    for case in twins.CASES:
        yield Cell(twins.asked, {"case": case, "starts": starts})
    for n, answers in (
        (4, "pairs"),
        (5, "pairs"),
        (6, "pairs"),
        (3, "rankings"),
        (4, "rankings"),
        (4, "best of three"),
        (5, "best of three"),
    ):
        yield Cell(twins.tables, {"n": n, "answers": answers, "starts": starts})
    for n in items:
        for answers in ("pairs", "best of three"):
            for q in (1, 2):
                yield Cell(twins.shares, {"n": n, "answers": answers, "questions": q, "points": points})
    yield from theorem_cells(populations, starts)
    yield from price_cells(sets, direction)
    yield from em_cells(worlds, em_grid, laws)
    yield from real_cells(sources, bootstrap, twins_drawn, most_types, folds)


def em_cells(worlds, em_grid, laws):
    """Twin worlds by number of annotators; EM and its baselines by annotators and answers; laws.

    Annotators times answers are kept to 20,000.
    """
    for kind, (annotators, replicates) in worlds.items():
        for people in annotators:
            for answers, q in WORDS:
                yield Cell(
                    em.twin_worlds,
                    {"kind": kind, "answers": answers, "questions": q, "annotators": people},
                    replicates=replicates,
                )
    for kind, (tastings, annotators, questions, replicates) in em_grid.items():
        for people in annotators:
            for q in questions:
                for tastes in tastings:
                    for answers in ("pairs", "best of three"):
                        if people * q <= 20_000:
                            yield Cell(
                                em.em_dpo,
                                {
                                    "kind": kind,
                                    "tastes": tastes,
                                    "answers": answers,
                                    "questions": q,
                                    "annotators": people,
                                },
                                replicates=_replicates(kind, tastes, answers, q, replicates),
                            )
    yield Cell(em.likelihood_laws, replicates=laws)
    for types, prompts in ((2, 1), (3, 2), (4, 3)):
        yield Cell(regret.regret_laws, {"types": types, "prompts": prompts}, replicates=laws)


def _replicates(kind, tastes, answers, questions, replicates):
    """Twelve data sets at least where EM is held against k-means; elsewhere as many as the preset says."""
    decisive = (kind, tastes, answers, questions) == ("linear", "general", "best of three", 1)
    return max(12, replicates) if decisive else replicates


def price_cells(sets, direction):
    """What the ambiguity costs, what ends it, and the direction of the mean taste."""
    for name in ("unequal antipodes", "indifferent"):
        yield Cell(price.fairness_of_twins, {"name": name, "scale": 1.0, "sets": sets})
    yield Cell(price.answers_needed, {"name": "indifferent", "scale": 1.0, "sets": sets})
    yield Cell(price.mean_direction, {"items": 30, "answers": direction["answers"]}, replicates=direction["replicates"])
    for types in (2, 3, 4):
        yield Cell(price.similar_types, {"types": types, "prompts": 3}, replicates=sets)


def real_cells(sources, bootstrap, twins_drawn, most_types, folds):
    """One type or two, one-type twins, and the number of types; the score test needs two answers of an annotator."""
    for source in sources:
        where, votes = at(source), source["file"] in (real.UKP, real.LLMFAO)
        for method, replicates in bootstrap.items():
            if method in source["tests"]:
                yield Cell(real.one_or_two, {**where, "method": method, "replicates": replicates}, skip=real.missing)
        if votes:
            yield Cell(real.one_type_twin, {**where, "twins": twins_drawn}, skip=real.missing)
        if "likelihood_ratio" in source["tests"]:
            yield Cell(real.by_types, {**where, "most": most_types, "folds": folds}, skip=real.missing)


def theorem_cells(populations, starts):
    """The known theorems."""
    for k, n, answers in theorems.COLLISIONS:
        yield Cell(theorems.collision, {"kinds": k, "n": n, "answers": answers})
    for k, n, answers, uniform, times in MIXTURES:
        yield Cell(
            theorems.mixtures,
            {
                "kinds": k,
                "n": n,
                "answers": answers,
                "uniform": uniform,
                "populations": populations * times,
                "starts": starts,
            },
        )
    for k in (2, 3):
        yield Cell(theorems.questions_needed, {"kinds": k, "populations": populations, "starts": 0})
    for rho in (-0.9, -0.4, 0.0, 0.5, 0.9):
        yield Cell(theorems.probit, {"rho": rho})
    yield Cell(theorems.ford, {"games": 12, "items": 5, "replicates": 40 * populations // 4})
    for k in (1, 5, 25):
        yield Cell(theorems.calibration, {"rewards": k, "annotators": 100_000})
    for b in (1.0, 2.0, 5.0):
        yield Cell(theorems.distortion, {"b": b})
        yield Cell(bounds.lotteries, {"b": b, "worlds": 25 * populations})
    yield Cell(bounds.clones, {"worlds": 10 * populations, "copies": 6})
    for n in (2, 4, 16):
        yield Cell(bounds.best_of, {"n": n, "worlds": 10 * populations})


def claims(worlds, em_grid, sources, direction):
    """Twins, tables and bounds, what they cost, theorems, EM and regret, real annotators."""
    yield from twin_statements()
    yield from table_statements()
    yield from price_statements(direction["answers"])
    yield from theorem_statements()
    yield from em_statements(worlds, em_grid)
    yield from regret_statements()
    yield from real_statements(sources)


def finding(found, judged):
    """When types are told apart, when not, by how much, and what it costs, in the words that the verdicts allow."""
    many = max(found.settings["worlds"]["linear"][0])
    one, three, two = (share(found, "linear", a, q, many).value for a, q in WORDS)
    needed = {way: mean_of(found, "answers_needed", "annotators", way=way, set=0).value for way in price.WAYS}
    fair = [cost(found, truth).value for truth in (0, 1)]
    nothing, nats = cost(found, 0, "indifferent").value, cost(found, 1, "indifferent", "twin_world").value
    people = max(found.settings["em_grid"]["linear"][1])
    gain = spared(found, "linear", people, "pooled DPO").value
    ways = ", ".join(
        f"{n:.0f} for {'a ' * way.startswith('ranking')}{way}" for way, n in needed.items() if way != "best of three"
    )
    return " ".join(
        [
            worded(
                judged,
                ["T1.witnesses", "EM.linear.pairs"],
                "Pairs fail where every annotator answers one: antipodal types and people without preferences have one law, and with "
                f"{many} annotators EM misses the two worlds by {one:.2f} of their distance (one half is the best any method can do).",
                f"One pair from each of {many} annotators: EM misses the two worlds by {one:.2f} of their distance, which equal laws "
                "forbid: something is wrong.",
                f"With one pair from each of {many} annotators EM misses the two worlds by {one:.2f} of their distance.",
            ),
            worded(
                judged,
                "EM.linear.three",
                f"One best-of-three answer each tells them apart ({three:.2f}),",
                f"One best-of-three answer each does not tell them apart ({three:.2f}),",
                f"One best-of-three answer each leaves it open ({three:.2f}),",
            ),
            worded(
                judged,
                "EM.linear.two_pairs",
                f"two pairs by the same annotator do as well ({two:.2f}).",
                f"two pairs by the same annotator do not ({two:.2f}).",
                f"two pairs by the same annotator leave it open ({two:.2f}).",
            ),
            worded(
                judged,
                "B.weakest",
                f"Of four ways out best of three is the weakest: {needed['best of three']:.0f} annotators for odds of 20 to 1 that the "
                f"antipodes are right, against {ways}.",
                f"Of four ways out best of three is not always the weakest: {needed['best of three']:.0f} annotators for odds of 20 to 1, "
                f"against {ways}.",
            ),
            worded(
                judged,
                "A.cost",
                "Who ends in the wrong one of two such worlds and makes its policy fair gives the worst-off type "
                f"{fair[0]:.1f} or {fair[1]:.1f} times the regret (unequal antipodes);",
                f"Ending in the wrong one of two such worlds costs a fair policy little ({fair[0]:.1f} or {fair[1]:.1f} times the "
                "regret; unequal antipodes);",
            ),
            worded(
                judged,
                "A.witness",
                f"between equal antipodes and nobody hardly anything is at stake ({nothing:.2f} times, or {nats:.3f} nats against "
                "none; means over sets of responses).",
                f"between equal antipodes and nobody something is at stake as well ({nothing:.2f} times, or {nats:.3f} nats).",
            ),
            worded(
                judged,
                "min-max-regret.linear.pooled DPO",
                f"Where types are told apart, the min-max policy spares the worst-off type {gain:.2f} nats against one DPO.",
                f"Where types are told apart, the min-max policy spares the worst-off type nothing against one DPO ({gain:.2f} nats).",
            ),
        ]
    )


def where_three_are_necessary(found):
    """Where the slogan "ternary preferences are necessary" is exact, and where it is not. Two worlds: half the
    annotators have tastes b and half -b, or nobody prefers anything. Distance: total variation between the laws of one
    annotator's answers in the two worlds. Verdict: what ``identify`` says of the antipodal types. EM: its mean error in
    the two worlds over their distance, with linear policies and the most annotators; below one half the answers told
    the worlds apart. With one pair each no number of annotators helps; two pairs by the same annotator, ties, or a
    known position bias do without a third response. (Types that are neither antipodal nor indifferent are told apart
    by one pair each: T1.)"""
    many = max(found.settings["worlds"]["linear"][0])
    row = found.rows("witness", name="indifferent", scale=1.0)[0]
    rows = []
    for asked, column, case, em_case in (
        ("one pair from each annotator", "pairs", "T1 antipodal", ("pairs", 1)),
        ("one best-of-three answer from each", "best_of_three", "T2 antipodal", ("best of three", 1)),
        ("two pairs from the same annotator", "two_pairs", "T3 antipodal", ("pairs", 2)),
        ("one pair from each, ties recorded", "ties", "T4 ties, antipodal", None),
        ("one pair from each, position bias known", "position_bias", "T4 position bias, antipodal", None),
    ):
        says = found.get("asked", "verdict", case=case)
        estimate = None if em_case is None else share(found, "linear", *em_case, many)
        shown = "" if estimate is None else f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
        same = row[column] < 1e-12
        slogan = "exact: pairs say nothing" if same else "not exact: pairs suffice"
        rows.append((asked, row[column], says, shown, slogan if column != "best_of_three" else "three suffice"))
    return pd.DataFrame(rows, columns=["asked", "distance of the laws", "identify says", "EM's error", "the slogan is"])


def where_they_part(found):
    """Twin worlds by scale of the tastes: distance of their laws under single pairs (zero up to rounding), and the
    best-of-three slate (of eight items on a plane) on which an answer's probability differs most, and by how much."""
    frame = found.frame("witness")[["name", "scale", "pairs", "best_of_three", "two_pairs", "slate", "slate_gap"]]
    return frame.sort_values(["name", "scale"])


def verdicts(found):
    """What ``identify`` says of T1 - T4: rank, verdict, twin and its law's distance."""
    return found.frame("asked")[["case", "rank", "of", "verdict", "twin", "law_distance", "smallest"]]


def tables_of_two_types(found):
    """T5: two types with free utilities of n items."""
    return found.frame("tables")[["n", "answers", "rank", "of", "verdict", "twin", "law_distance", "smallest"]]


def twin_worlds(found):
    """EM on antipodal types and on people without preferences: errors of the rewards in both worlds, and their mean
    over the worlds' distance with its 95 % interval over replicates. At least one half under single pairs."""
    rows = []
    for kind, (annotators, _) in found.settings["worlds"].items():
        for people in annotators:
            for answers, q in WORDS:
                which = {"kind": kind, "answers": answers, "questions": q, "annotators": people}
                e = share(found, kind, answers, q, people)
                mean = [float(found.values("twin_worlds", c, **which).mean()) for c in ("antipodal", "indifferent")]
                rows.append((kind, WORDS[answers, q], people, *mean, e.value, e.low, e.high, e.n))
    names = [
        "kind",
        "from each annotator",
        "annotators",
        "error, antipodal",
        "error, indifferent",
        "share",
        "low",
        "high",
        "replicates",
    ]
    return pd.DataFrame(rows, columns=names)


BY = ["kind", "tastes", "answers", "questions", "annotators", "method"]


def em_table(found):
    """EM-DPO and its baselines: means over replicates. Error: of the rewards, under the best naming of types; accuracy
    and adjusted Rand index: of the clustering of annotators; group accuracy: pairs ordered as each type orders them."""
    names = ["error", "weight_error", "accuracy", "rand", "group_accuracy", "log_likelihood"]
    frame = found.frame("em_dpo")
    return frame[frame["error"].notna()].groupby(BY)[names].mean().reset_index()


def regret_table(found):
    """Regret of one policy for both groups: means over replicates, and half the 95 % interval of the worst group's.
    Regret: beta KL(pi || pi_k); loss: expected reward lost against the group's own policy (may be negative for one)."""
    frame = found.frame("em_dpo")
    group = frame[frame["worst_regret"].notna()].groupby(BY)
    out = group[["regret_1", "regret_2", "worst_regret", "mean_regret", "worst_loss"]].mean()
    half = group["worst_regret"].apply(lambda x: t_interval(x).high - x.mean())
    out.insert(3, "worst_regret_half_interval", half)
    return out.reset_index()


def real_tests(found):
    """Real annotators: is one type enough? The statistic, its mean and 95 % point under one type, and the p-value."""
    rows = found.finished("one_or_two")
    names = [
        "file",
        "topic",
        "method",
        "annotators",
        "answers",
        "items",
        "statistic",
        "simulated_mean",
        "simulated_95",
        "p",
    ]
    return pd.DataFrame(rows, columns=names)


def real_twins(found):
    """Agreement between annotators and tie rate of real votes, and of simulations of the one-type fit: mean, range, and
    how many are as far from the mean as the real votes."""
    rows = found.finished("one_type_twin")
    names = [
        "file",
        "topic",
        "agreement",
        "twin_agreement",
        "twin_agreement_low",
        "twin_agreement_high",
        "agreement_as_far",
        "ties",
        "twin_ties",
        "ties_as_far",
        "twins",
    ]
    return pd.DataFrame(rows, columns=names)


def real_mixtures(found):
    """Real annotators by number of types: BIC, log-likelihood of a held-out annotator (and the error of its difference
    from the best), the largest type, and for ballots what ``identify`` says before fitting."""
    rows = found.finished("by_types")
    names = [
        "file",
        "topic",
        "types",
        "log_likelihood",
        "bic",
        "held_out",
        "held_out_error",
        "largest",
        "before",
        "rank",
        "of",
    ]
    return pd.DataFrame(rows, columns=names)


SCORE, RATIO = "score", "likelihood_ratio"


def _source(file, tests, topic=0, items=0, people=0):
    return {"file": file, "tests": tests, "topic": topic, "items": items, "people": people}


def _ward(name, people=0):
    return _source(f"scottish_elections/{name}.csv", [RATIO], people=people)


BOTH = ["antipodal", "general"]
#: worlds: kind -> annotators, replicates; em_grid: kind -> tastes, annotators, answers per annotator, replicates
_QUICK = {
    "starts": 3,
    "scales": [0.5, 1.0, 2.0, 4.0],
    "points": 121,
    "items": [4, 6],
    "populations": 2,
    "worlds": {"linear": [[250, 4000], 4], "tabular": [[16_000], 3], "network": [[16_000], 3]},
    "em_grid": {"linear": [BOTH, [1000], [1, 2, 5, 20], 3]},
    "laws": 1,
    "sets": 12,
    "direction": {"answers": [300, 30_000], "replicates": 6},
    "bootstrap": {SCORE: 19, RATIO: 19},
    "twins_drawn": 199,
    "most_types": 3,
    "folds": 2,
    "sources": [
        _source(real.UKP, [SCORE]),
        _source(real.LLMFAO, [SCORE], items=8),
        _source(real.SUSHI, [RATIO], people=200),
    ],
}
_PAPER = _QUICK | {
    "starts": 40,
    "scales": [0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0],
    "points": 321,
    "items": [4, 6, 8, 10],
    "populations": 20,
    "worlds": {
        "linear": [[250, 1000, 4000, 16_000], 20],
        "tabular": [[250, 1000, 4000, 16_000], 20],
        "network": [[250, 1000, 4000, 16_000], 10],
    },
    "em_grid": {
        "linear": [BOTH, [250, 1000, 4000], [1, 2, 5, 20], 20],
        "tabular": [BOTH, [250, 1000, 4000], [1, 2, 5, 20], 20],
        "network": [BOTH, [250, 1000, 4000], [1, 2, 5, 20], 10],
    },
    "laws": 5,
    "sets": 40,
    "direction": {"answers": [300, 1000, 3000, 10_000, 30_000, 100_000], "replicates": 30},
    "bootstrap": {SCORE: 199, RATIO: 199},
    "twins_drawn": 1999,
    "most_types": 5,
    "folds": 5,
    "sources": [
        _source(real.UKP, [SCORE, RATIO]),
        _source(real.LLMFAO, [SCORE, RATIO]),
        _source(real.SUSHI, [RATIO]),
        *[_ward(w) for w in ("orkney_2017_ward1", "fife_2022_ward4", "glasgow_2022_ward20")],
    ],
}

STUDY = Study(
    name="heterogeneity",
    title="Hidden types of annotators, and what pairs cannot say about them",
    paper="Chidambaram, Seetharaman, Syrgkanis: Direct Preference Optimization with Unobserved Preference "
    "Heterogeneity: "
    "The Necessity of Ternary Preferences (2405.15065, 2510.15716)",
    presets={"quick": Preset(1, _QUICK, decisive=False), "paper": Preset(120, _PAPER)},
    cells=cells,
    claims=claims,
    figures=FIGURES,
    tables=[
        where_three_are_necessary,
        where_they_part,
        verdicts,
        tables_of_two_types,
        twin_worlds,
        em_table,
        regret_table,
        real_tests,
        real_twins,
        real_mixtures,
    ],
    finding=finding,
    seed=20261121,  # after the criteria were written down: no result had been seen on these seeds
)
