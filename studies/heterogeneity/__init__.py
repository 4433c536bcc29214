"""Hidden types of annotators, what pairs cannot say about them, and what EM-DPO and min-max regret make of them."""

from __future__ import annotations

import pandas as pd

from annosim.study import Cell, Preset, Study, t_interval

from . import em, real, theorems, twins
from .claims import column, em_statements, real_statements, table_statements, theorem_statements, twin_statements
from .figures import FIGURES

UKP = "ukp_convincing_arguments/votes.csv.gz"
#: (kinds, items, answers, uniform weights, how many times as many populations)
MIXTURES = (
    (2, 4, "rankings", False, 1), (2, 4, "choices over up to four", False, 1), (2, 4, "ranked top three", False, 1),
    (2, 4, "slates of two and three", True, 1), (2, 4, "pairs", True, 3), (2, 5, "pairs", False, 1),
    (2, 4, "best of three", False, 1),
)  # fmt: skip


def cells(starts, scales, points, items, populations, annotators, questions, replicates, kinds, bootstrap, topics,
ballots,
          most_types):  # fmt: skip
    """Twins and verdicts; bounds; theorems; EM-DPO and its baselines; real annotators."""
    for name in twins.WITNESSES:
        for scale in scales:
            yield Cell(twins.witness, {"name": name, "scale": scale})
    yield Cell(twins.curves, {"scales": [i / 10 for i in range(61)], "slates": 1})
    for scale in (1.0, 2.0):
        yield Cell(twins.duplicated, {"scale": scale})
    for case in twins.CASES:
        yield Cell(twins.asked, {"case": case, "starts": starts})
    for n, answers in ((4, "pairs"), (5, "pairs"), (6, "pairs"), (3, "rankings"), (4, "rankings"), (4, "best of three"),
                       (5, "best of three")):  # fmt: skip
        yield Cell(twins.tables, {"n": n, "answers": answers, "starts": starts})
    for n in items:
        for answers in ("pairs", "best of three"):
            for q in (1, 2):
                yield Cell(twins.shares, {"n": n, "answers": answers, "questions": q, "points": points})
    yield from theorem_cells(populations, starts)
    yield from em_cells(annotators, questions, replicates, kinds)
    for topic in topics:
        yield Cell(real.test_votes, {"file": UKP, "topic": topic, "replicates": bootstrap}, skip=real.missing)
    yield Cell(real.test_votes, {"file": "llmfao.csv", "topic": 0, "replicates": bootstrap}, skip=real.missing)
    for file in ballots:
        yield Cell(real.by_types, {"file": file, "most": most_types, "starts": 3, "annotators": 0}, skip=real.missing)


def theorem_cells(populations, starts):
    """The known theorems."""
    for k, n in ((2, 3), (3, 5)):
        yield Cell(theorems.collision, {"kinds": k, "n": n})
    for k, n, answers, uniform, times in MIXTURES:
        yield Cell(theorems.mixtures, {"kinds": k, "n": n, "answers": answers, "uniform": uniform,
                                       "populations": populations * times, "starts": starts})  # fmt: skip
    for k in (2, 3):
        yield Cell(theorems.questions_needed, {"kinds": k, "populations": populations, "starts": 0})
    for rho in (-0.9, -0.4, 0.0, 0.5, 0.9):
        yield Cell(theorems.probit, {"rho": rho})
    yield Cell(theorems.ford, {"games": 12, "items": 5, "replicates": 40 * populations // 4})
    for k in (1, 5, 25):
        yield Cell(theorems.calibration, {"rewards": k, "annotators": 20_000})
    for b in (1.0, 2.0, 5.0):
        yield Cell(theorems.distortion, {"b": b})


def em_cells(annotators, questions, replicates, kinds):
    """EM-DPO: every number of answers at the largest number of annotators; fewer annotators at one answer each."""
    many = max(annotators)
    for kind in kinds:
        for tastes in ("antipodal", "general"):
            for answers in ("pairs", "best of three"):
                for q in questions if kind == "linear" else questions[:2]:
                    for people in annotators:
                        if people == many or (q == 1 and kind == "linear"):
                            yield Cell(em.em_dpo, {"tastes": tastes, "kind": kind, "answers": answers, "questions": q,
                                                   "annotators": people}, replicates=replicates)  # fmt: skip
    yield Cell(em.likelihood_laws, replicates=3)


def claims(annotators):
    """Twins, tables and bounds, theorems, EM and regret, real annotators."""
    yield from twin_statements()
    yield from table_statements()
    yield from theorem_statements()
    yield from em_statements(annotators)
    yield from real_statements()


def finding(found, judged):
    """Two sentences with their numbers."""
    many = max(found.settings["annotators"])
    wrong, right, two = (
        t_interval(
            column(found, "error", "em", tastes="antipodal", kind="linear", answers=a, questions=q, annotators=many)
        ).value
        for a, q in (("pairs", 1), ("best of three", 1), ("pairs", 2))
    )
    return (
        f"With one pair per annotator antipodal types are not identified: EM's rewards are off by {wrong:.2f} with "
        f"{many} "
        f"annotators, against {right:.2f} from one best-of-three answer each and {two:.2f} from two pairs each, so the "
        "slogan that ternary preferences are necessary is exact for one answer per annotator and only there. "
        f"{sum(c.verdict == 'supported' for c in judged)} of {len(judged)} claims are supported."
    )


def verdicts(found):
    """What ``identify`` says of T1 - T4: rank, verdict, twin and its law's distance."""
    return found.frame("asked")[["case", "rank", "of", "verdict", "twin", "law_distance", "smallest"]]


def tables_of_two_types(found):
    """T5: two types with free utilities of n items."""
    return found.frame("tables")[["n", "answers", "rank", "of", "verdict", "twin", "law_distance", "smallest"]]


def em_table(found):
    """EM-DPO and its baselines: means over replicates. Error: of the rewards, under the best naming of types."""
    frame = found.frame("em_dpo")
    names = ["error", "weight_error", "accuracy", "rand", "group_accuracy", "worst_regret", "mean_regret"]
    return frame.groupby(["kind", "tastes", "answers", "questions", "annotators", "method"])[names].mean().reset_index()


def real_tests(found):
    """Real votes: score test of one type, agreement and ties against twenty one-type simulated twins."""
    rows = found.finished("test_votes")
    names = ["file", "topic", "annotators", "rows", "items", "statistic", "simulated_95", "p", "agreement",
             "twin_agreement", "twin_low", "twin_high", "ties", "twin_ties"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def real_mixtures(found):
    """Real rankings: mixtures of Plackett-Luce types, and what ``identify`` says of each before fitting."""
    rows = found.finished("by_types")
    return pd.DataFrame(rows, columns=["file", "types", "log_likelihood", "bic", "before", "rank", "of", "largest"])


_QUICK = {
    "starts": 6, "scales": [0.5, 1.0, 2.0, 4.0], "points": 121, "items": [4, 6], "populations": 4,
    "annotators": [500, 3000], "questions": [1, 2, 5], "replicates": 8, "kinds": ["linear"], "bootstrap": 39,
    "topics": [0], "ballots": ["preflib/sushi.soc", "scottish_elections/orkney_2017_ward1.csv"], "most_types": 3,
}  # fmt: skip
_PAPER = _QUICK | {
    "starts": 40, "scales": [0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], "points": 321, "items": [4, 6, 8, 10],
    "populations": 20, "annotators": [250, 500, 1000, 3000, 10_000], "questions": [1, 2, 5, 20], "replicates": 30,
    "kinds": ["linear", "tabular"], "bootstrap": 199, "topics": list(range(8)),
    "ballots": ["preflib/sushi.soc", *[f"scottish_elections/{w}.csv" for w in (
        "orkney_2017_ward1", "fife_2022_ward4", "glasgow_2022_ward20")]], "most_types": 5,
}  # fmt: skip

STUDY = Study(
    name="heterogeneity",
    title="Hidden types of annotators, and what pairs cannot say about them",
    paper="Chidambaram, Seetharaman, Syrgkanis: Direct Preference Optimization with Unobserved Preference "
    "Heterogeneity: "
    "The Necessity of Ternary Preferences (2405.15065, 2510.15716)",
    presets={"quick": Preset(1, _QUICK), "paper": Preset(120, _PAPER)},
    cells=cells,
    claims=claims,
    figures=FIGURES,
    tables=[verdicts, tables_of_two_types, em_table, real_tests, real_mixtures],
    finding=finding,
)
