"""Disagreement of two kinds, plural tastes and indistinguishable responses, and margins learned from judges."""

from __future__ import annotations

import pandas as pd

from annosim.errors import StudyError
from annosim.study import Cell, Preset, Study, t_interval

from . import formulas, paraphrases, real_votes, synthetic, two_kinds
from .claims import (
    HARD,
    cell,
    debate_gain,
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
    worlds,
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
    draws,
    models,
):
    """Closed forms; the synthetic 2 x 2 with and without judges; repeated answers; paraphrases; the real votes."""
    for p, m in ((0.55, 0.5), (0.7, 1.0)):
        yield Cell(formulas.one_pair, {"p": p, "m": m})
    for p in (0.52, 0.6, 0.65, 0.75, 0.8, 0.85, 0.9, 0.95):
        yield Cell(formulas.one_pair, {"p": p, "m": round(abs(2 * p - 1), 10)})
    world = {"votes": votes, "prompts": prompts, "responses": responses, "votes_held_out": 4}
    common = {"replicates": replicates, "seed_name": "world"}
    # the gaps to the ceiling differ by less than one of them varies from world to world: they need more worlds
    yield Cell(synthetic.single_votes, world, replicates=worlds, seed_name="world")
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
        # the vote of each pair that is learned from is drawn several times: methods differ by less than by the draw
        settings = {"debate": debate, "dim": dim, "alpha": alpha, "names": ["none", *real_names()]}
        repeated = {"replicates": draws, "seed_name": "debates"}
        yield Cell(real_votes.other_debates, settings, **repeated, skip=real_votes.no_data)


def real_names():
    """The methods that are claimed of both models."""
    return ["M1 unsigned", "M2 signed", "M3 inside", "soft label", "majority"]


def claims(shares, models, debates):
    """Formulas, the 2 x 2, margins, judges, the two kinds, paraphrases, the real votes."""
    yield from formula_statements()
    yield from table_statements()
    yield from margin_statements()
    yield from judge_statements()
    yield from kind_statements()
    yield from paraphrase_statements(shares)
    yield from real_statements(models, debates)


def finding(found, claims):
    """When margins and soft labels help, when they hurt, and by how much, in the words of the verdicts."""
    verdict = {claim.id: claim.verdict for claim in claims}
    kinds = ("agreed", "plural", "paraphrase")
    reached, ceiling = (
        {k: t_interval(cell(found, name, k)).value for k in kinds} for name in ("pearson_share", "ceiling_share")
    )
    part = {k: reached[k] / ceiling[k] for k in kinds}
    falls = {k: _TOLD[verdict[f"A3.{k}"]] for k in kinds[1:]}
    return (
        f"A reward model of single votes forecasts held-out votes with correlation {reached['agreed']:.2f} where people agree, "
        f"{reached['plural']:.2f} where tastes differ and {reached['paraphrase']:.2f} where responses are paraphrases. Most of that is "
        f"the votes' own noise: the truth itself reaches {ceiling['plural']:.2f} and {ceiling['paraphrase']:.2f}. Of this ceiling the "
        f"model has {part['plural']:.0%} ({falls['plural']}) and {part['paraphrase']:.0%} ({falls['paraphrase']}), against "
        f"{part['agreed']:.0%} where people agree. {_judges(found, verdict)} {_real(found, verdict)}"
    )


#: a verdict in words, of a share that is said to be smaller
_TOLD = {
    "supported": "less",
    "contradicted": "not less",
    "inconclusive": "not told apart",
    "not judged": "not told apart here",
}


def _judges(found, verdict):
    """Faithful judges, and one persona."""
    lower, others = [], []
    for method in ("soft label", "majority", "M2 signed", "M1 unsigned", "M3 inside"):
        changes = sorted(1000 * gain(found, method, "brier", kind).value for kind in HARD)
        said = f"{method} ({changes[0]:+.1f}e-3 to {changes[-1]:+.1f}e-3)"
        judged = verdict[f"M.brier.{method}"]
        if judged == "supported":
            lower.append(said)
        else:
            others.append(f"{method} {'raises it' if changes[0] > 0 else 'does not'} ({said.split('(')[1]}")
    parts = [f"the Brier score falls in every kind of hard prompts with {', '.join(lower)}"] if lower else []
    parts += others
    lost = {m: gain(found, m, "pearson", "plural", "one persona").value for m in ("soft label", "M1 unsigned")}
    hurt = "cost" if verdict["J.persona.soft"] == "supported" else "change by"
    nothing = "nothing" if verdict["J.persona.unsigned"] == "supported" else "something"
    return (
        f"Ten judgements a pair by judges who are like the people, after one temperature: {'; '.join(parts)}. Judges who are all one of the six types {hurt} soft labels {abs(lost['soft label']):.2f} of correlation in "
        f"plural prompts and unsigned margins {nothing} ({lost['M1 unsigned']:+.2f})."
    )


def _real(found, verdict):
    """Soft labels on the real votes: new arguments, and debates left out."""
    words = {"supported": "lower", "contradicted": "raise"}
    parts = []
    for where, id, change in (
        ("on new arguments", "linear", lambda: real_gain(found, "soft label", "brier", "linear")),
        ("on debates left out", "debate", lambda: debate_gain(found, "soft label", "brier")),
    ):
        if f"R.{id}.brier.soft label" not in verdict:  # the preset leaves no debate out
            continue
        try:
            e = change()
        except StudyError:  # the votes are not on this machine
            continue
        told = words.get(verdict[f"R.{id}.brier.soft label"], "do not surely change")
        parts.append(f"{told} the Brier score {where} ({e.value:+.4f} [{e.low:+.4f}, {e.high:+.4f}])")
    if not parts:
        return "The real votes are not on this machine."
    return f"With real votes soft labels from the other annotators {' and '.join(parts)}."


def two_by_two(found):
    """Reward model of single votes and with infinite data, in each kind of prompts: correlations of d and sigmoid(d)
    with the true preference p; of d, of the forecast after one temperature and of p with the share of four held-out votes;
    Brier score. Means and 95 % half-widths."""
    out = []
    for model in ("votes", "infinite data"):
        for kind in ("agreed", "plural", "paraphrase", "both"):
            row = {"responses": kind, "model": model}
            for name in (
                "pearson",
                "spearman",
                "pearson_sigmoid",
                "gap_share",
                "pearson_share",
                "ceiling_share",
                "brier",
            ):
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
    "worlds": 40,
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
    "draws": 0,
    "models": ["linear"],
}
_PAPER = _QUICK | {
    "judges": [1, 3, 10, 50, 0],
    "votes": 4000,
    "prompts": 40,
    "worlds": 1200,
    "replicates": 50,
    "annotators": 4000,
    "splits": 20,
    "dim": 200,
    "steps": 2000,
    "shares": [0.1, 0.25, 0.5, 0.75, 0.9],
    "twins": 100,
    "debates": 32,
    "draws": 6,
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
