"""Disagreement of two kinds, plural tastes and indistinguishable responses, and margins learned from judges."""

from __future__ import annotations

import pandas as pd

from annosim.errors import StudyError
from annosim.study import Cell, Preset, Study, t_interval

from . import formulas, paraphrases, real_votes, synthetic, two_kinds
from .claims import (
    cell,
    formula_statements,
    gain,
    judge_statements,
    kind_statements,
    margin_statements,
    paraphrase_statements,
    real_gain,
    real_statements,
    table_statements,
)
from .figures import FIGURES


def cells(
    votes,
    prompts,
    responses,
    replicates,
    judges,
    alpha,
    annotators,
    splits,
    dim,
    steps,
    shares,
    answers,
    twins,
    debates,
    models,
):
    """Closed forms; the synthetic 2 x 2 with and without judges; repeated answers; paraphrases; the real votes."""
    for p, m in ((0.55, 0.5), (0.7, 1.0)):
        yield Cell(formulas.one_pair, {"p": p, "m": m})
    for p in (0.52, 0.6, 0.65, 0.75, 0.8, 0.85, 0.9, 0.95):
        yield Cell(formulas.one_pair, {"p": p, "m": round(abs(2 * p - 1), 10)})
    world = {"votes": votes, "prompts": prompts, "responses": responses, "votes_held_out": 4}
    common = {"replicates": replicates, "seed_name": "world"}
    yield Cell(synthetic.single_votes, world, **common)
    for judge in synthetic.JUDGES:
        for count in judges if judge in ("faithful", "biased by style") else [10]:
            yield Cell(synthetic.margins, {**world, "judge": judge, "judges": count, "alpha": alpha}, **common)
    for questions in (1, 2):
        yield Cell(two_kinds.laws, {"questions": questions}, seed_name="laws")
        yield Cell(two_kinds.laws_on_real_pairs, {"questions": questions, "pairs": 40}, skip=real_votes.no_data)
    for swap in (True, False):
        yield Cell(two_kinds.repeated_answers, {"annotators": annotators, "swap": swap}, replicates=replicates)
    for share in shares:
        which = {"share": share, "answers": answers}
        yield Cell(paraphrases.paraphrase_twins, which, replicates=twins, seed_name="paraphrases")
    for kind in models:
        names = list(real_votes.methods(alpha)) if kind == "linear" else ["none", *real_names()]
        settings = {"kind": kind, "dim": dim, "alpha": alpha, "steps": steps, "names": names}
        yield Cell(real_votes.held_out_scores, settings, replicates=splits, seed_name="splits", skip=real_votes.no_data)
    for debate in range(debates):
        settings = {"debate": debate, "dim": dim, "alpha": alpha, "names": ["none", *real_names()]}
        yield Cell(real_votes.other_debates, settings, seed_name="debates", skip=real_votes.no_data)


def real_names():
    """The methods that are claimed of both models."""
    return ["M1 unsigned", "M2 signed", "M3 inside", "soft label", "majority"]


def claims(shares, models):
    """Formulas, the 2 x 2, margins, judges, the two kinds, paraphrases, the real votes."""
    yield from formula_statements()
    yield from table_statements()
    yield from margin_statements()
    yield from judge_statements()
    yield from kind_statements()
    yield from paraphrase_statements(shares)
    yield from real_statements(models)


def finding(found, claims):
    """When margins and soft labels help, when they hurt, and by how much."""
    share = {k: t_interval(cell(found, "pearson_share", k)).value for k in ("agreed", "plural", "paraphrase")}
    ceiling = {k: t_interval(cell(found, "ceiling_share", k)).value for k in ("plural", "paraphrase")}
    brier = {m: gain(found, m, "brier", "all").value for m in ("soft label", "M1 unsigned", "M2 signed", "M3 inside")}
    persona = {m: gain(found, m, "pearson", "plural", "one persona").value for m in ("soft label", "M1 unsigned")}
    best = min((m for m in brier if m != "soft label"), key=brier.get)
    try:
        change = real_gain(found, "soft label", "brier", "linear")
        real = f"{change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
    except StudyError:  # the real votes are not on this machine
        real = "not known here"
    return (
        f"A reward model of single votes correlates {share['agreed']:.2f} with held-out votes where people agree, and only "
        f"{share['plural']:.2f} and {share['paraphrase']:.2f} where tastes differ or responses are paraphrases; the truth itself "
        f"reaches {ceiling['plural']:.2f} and {ceiling['paraphrase']:.2f} there. Judgements help when the judges are like the "
        f"people: after one temperature, ten a pair change the Brier score by {1000 * brier['soft label']:+.1f}e-3 as soft labels "
        f"and by {1000 * brier[best]:+.1f}e-3 as the best margin ({best}). They hurt when all judges are one persona: soft "
        f"labels lose {-persona['soft label']:.2f} of correlation in plural prompts, unsigned margins "
        f"{abs(persona['M1 unsigned']):.2f}. Real votes, soft labels from the other annotators: {real}."
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
    names = ["pearson", "spearman", "brier", "ece", "raw_brier", "raw_ece", "factor"]
    return frame.groupby(["judge", "judges", "method"])[names].mean().reset_index()


def real_table(found):
    """Real votes, held-out arguments: means over random splits."""
    names = ["pearson", "spearman", "brier", "ece", "raw_brier", "raw_ece", "one_vote", "train_pairs", "test_pairs"]
    return found.frame("held_out_scores").groupby(["kind", "method"])[names].mean().reset_index()


_QUICK = {
    "votes": 1200,
    "prompts": 12,
    "responses": 8,
    "replicates": 10,
    "judges": [1, 10, 0],
    "alpha": 1.0,
    "annotators": 400,
    "splits": 5,
    "dim": 50,
    "steps": 400,
    "shares": [0.1, 0.25, 0.5, 0.75],
    "answers": 2000,
    "twins": 12,
    "debates": 0,
    "models": ["linear"],
}
_PAPER = _QUICK | {
    "judges": [1, 3, 10, 50, 0],
    "votes": 4000,
    "prompts": 40,
    "replicates": 50,
    "annotators": 4000,
    "splits": 20,
    "dim": 200,
    "steps": 2000,
    "shares": [0.1, 0.25, 0.5, 0.75, 0.9],
    "twins": 100,
    "debates": 32,
    "models": ["linear", "network"],
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
