"""Disagreement of two kinds, plural tastes and indistinguishable responses, and margins learned from judges."""

from __future__ import annotations

import pandas as pd

from annosim.errors import StudyError
from annosim.study import Cell, Preset, Study, t_interval

from . import formulas, real_votes, synthetic, two_kinds
from .claims import (
    cell,
    formula_statements,
    gain,
    kind_statements,
    margin_statements,
    real_gain,
    real_statements,
    table_statements,
)
from .figures import FIGURES


def cells(votes, prompts, responses, replicates, judges, alpha, annotators, splits, dim, steps):
    """Closed forms; the synthetic 2 x 2 with and without judges; repeated answers; the real votes."""
    for p, m in ((0.55, 0.5), (0.7, 1.0)):
        yield Cell(formulas.one_pair, {"p": p, "m": m})
    for p in (0.52, 0.6, 0.65, 0.75, 0.8, 0.85, 0.9, 0.95):
        yield Cell(formulas.one_pair, {"p": p, "m": round(abs(2 * p - 1), 10)})
    world = {"votes": votes, "prompts": prompts, "responses": responses, "votes_held_out": 4}
    common = {"replicates": replicates, "seed_name": "world"}
    yield Cell(synthetic.single_votes, world, **common)
    for judge in ("faithful", "biased"):
        for count in judges:
            yield Cell(synthetic.margins, {**world, "judge": judge, "judges": count, "alpha": alpha}, **common)
    for questions in (1, 2):
        yield Cell(two_kinds.laws, {"questions": questions}, seed_name="laws")
        yield Cell(two_kinds.laws_on_real_pairs, {"questions": questions, "pairs": 40}, skip=real_votes.no_data)
    for swap in (True, False):
        yield Cell(two_kinds.repeated_answers, {"annotators": annotators, "swap": swap}, replicates=replicates)
    for kind in ("linear", "network"):
        names = list(real_votes.methods(alpha)) if kind == "linear" else ["none", *real_names()]
        settings = {"kind": kind, "dim": dim, "alpha": alpha, "steps": steps, "names": names}
        yield Cell(real_votes.held_out_scores, settings, replicates=splits, seed_name="splits", skip=real_votes.no_data)


def real_names():
    """The methods that are claimed of both models."""
    return ["M1 unsigned", "M2 signed", "M3 inside", "soft label", "majority"]


def claims():
    """Formulas, the 2 x 2, margins, the two kinds, the real votes."""
    yield from formula_statements()
    yield from table_statements()
    yield from margin_statements()
    yield from kind_statements()
    yield from real_statements()


def finding(found, claims):
    """Two sentences with their numbers."""
    share = {k: t_interval(cell(found, "pearson_share", k)).value for k in ("agreed", "plural", "paraphrase")}
    ceiling = {k: t_interval(cell(found, "ceiling_share", k)).value for k in ("plural", "paraphrase")}
    soft, inflated = (gain(found, m, "brier", "all") for m in ("soft label", "M1 unsigned"))
    try:
        change = real_gain(found, "soft label", "brier", "linear")
        real = f"{change.value:+.4f}, interval {change.low:+.4f} to {change.high:+.4f}"
    except StudyError:  # the real votes are not on this machine
        real = "not known here"
    return (
        f"A reward model of single votes correlates {share['agreed']:.2f} with held-out votes where people agree and "
        f"{share['plural']:.2f} and {share['paraphrase']:.2f} where tastes differ or responses are paraphrases, "
        f"but the "
        f"truth itself reaches only {ceiling['plural']:.2f} and {ceiling['paraphrase']:.2f} there, and only a "
        f"second answer "
        "by the same annotator tells the two kinds apart. "
        f"With ten judgements per pair soft labels change the Brier score by {soft.value:+.4f} and unsigned margins by "
        f"{inflated.value:+.4f} (on the real votes, soft labels from the other annotators: {real}): "
        f"a margin "
        "that does not know the sign inflates every gap."
    )


def two_by_two(found):
    """Reward model of single votes and with infinite data, in each kind of prompts: correlations of d and sigmoid(d)
    with the true preference p, of d and p with the share of four held-out votes, Brier score; means and 95 %
    half-widths."""
    out = []
    for model in ("votes", "infinite data"):
        for kind in ("agreed", "plural", "paraphrase", "both"):
            row = {"responses": kind, "model": model}
            for name in ("pearson", "spearman", "pearson_sigmoid", "pearson_share", "ceiling_share", "brier"):
                e = t_interval(cell(found, name, kind, model))
                row[name] = f"{e.value:.3f} ± {e.high - e.value:.3f}"
            out.append(row)
    return pd.DataFrame(out)


def margins_table(found):
    """Every method, judge and number of judgements (0: infinitely many): means over replicates, all prompts
    together."""
    frame = found.frame("margins")
    frame = frame[frame["prompts_are"] == "all"]
    names = ["pearson", "spearman", "brier", "ece"]
    return frame.groupby(["judge", "judges", "method"])[names].mean().reset_index()


def real_table(found):
    """Real votes, held-out arguments: means over random splits."""
    names = ["pearson", "spearman", "pearson_sigmoid", "brier", "ece", "one_vote", "train_pairs", "test_pairs"]
    return found.frame("held_out_scores").groupby(["kind", "method"])[names].mean().reset_index()


_QUICK = {
    "votes": 1200,
    "prompts": 12,
    "responses": 8,
    "replicates": 10,
    "judges": [1, 3, 10, 50, 0],
    "alpha": 1.0,
    "annotators": 400,
    "splits": 5,
    "dim": 50,
    "steps": 400,
}
_PAPER = _QUICK | {
    "votes": 4000,
    "prompts": 40,
    "replicates": 50,
    "annotators": 4000,
    "splits": 20,
    "dim": 200,
    "steps": 2000,
}

STUDY = Study(
    name="disagreement",
    title="Disagreement, its two kinds, and margins learned from it",
    paper="Padmakumar, Jin, Kirk, He: Beyond the Binary: Capturing Diverse Preferences With Reward Regularization "
    "(2412.03822); the abstract fixes the taxonomy and the method, the formulas are this project's",
    presets={"quick": Preset(0.75, _QUICK, decisive=False), "paper": Preset(12, _PAPER)},
    cells=cells,
    claims=claims,
    figures=FIGURES,
    tables=[two_by_two, margins_table, real_table],
    finding=finding,
)
