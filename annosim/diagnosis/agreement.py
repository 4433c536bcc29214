"""How far annotators agree, beyond chance."""

from __future__ import annotations

import math

import numpy as np

from annosim.analysis.annotator_agreement import Agreement, agreement
from annosim.data.preferences import PreferenceData
from annosim.diagnosis.case import Case, people_of, percent, plural
from annosim.diagnosis.finding import Finding, not_asked
from annosim.errors import AnnosimError

__all__ = ["agree"]

#: rows above which a part stands for all, with annotators and without
MOST, MOST_ALONE = 20_000, 4_000
#: pairs of answers below which agreement is not spoken of
FEW_PAIRS = 10
LABELS = {
    "between": "two annotators give the same answer",
    "within": "one annotator gives the same answer again",
    "alpha": "Krippendorff's alpha",
    "gwet_ac1": "Gwet's AC1",
    "kendall_w": "Kendall's W",
    "spearman": "Spearman's correlation",
}


def agree(case: Case) -> Finding:
    """Krippendorff's alpha and its kin, with intervals over annotators."""
    name = "agreement"
    part = case.part(MOST if case.named else MOST_ALONE)
    weight = np.asarray(part.annotator_weight)
    part = people_of(part, MOST, case.seed) if (weight != np.round(weight)).any() else part
    try:
        found = agreement(part, replicates=200, seed=case.seed)
    except AnnosimError as error:
        why = str(error)[:160].removeprefix("agreement: ").split("; ")[0]
        return not_asked(name, f"{why[:1].upper()}{why[1:]}.", "Ask several annotators the same questions.")
    why = _why_not(found, part, case.named)
    if why:
        return not_asked(
            name,
            f"{why}, so that agreement beyond chance cannot be told.",
            "Ask several annotators the same questions.",
        )
    kind = {"choice": "nominal", "rating": "ordinal"}.get(part.feedback.kind, "ranking")
    low, high = found.intervals.get("alpha", (math.nan, math.nan))
    alike = low == high  # whoever is drawn, answers agree as far: a bootstrap knows no others
    low, high = (math.nan, math.nan) if alike else (low, high)
    rows = []
    for key, label in LABELS.items():
        value = float(getattr(found, key))
        if np.isfinite(value):
            ends = found.intervals.get(key, (math.nan, math.nan))
            rows.append((label, value, float(ends[0]), float(ends[1])))
    span = f" (95 % interval {low:.2f} to {high:.2f})" if math.isfinite(low) else ""
    first = " of first answers" if found.pairs_within else ""
    sentence = f"Krippendorff's alpha ({kind}){first} is {found.alpha:.2f}{span}: 0 is chance, 1 is full agreement."
    few = "the same for any annotators that are drawn: no interval" if alike else "too few annotators for an interval"
    share = "" if part is case.data else f", of {plural(part.rows, 'row')} drawn at random"
    test = f"Krippendorff's alpha, {f'bootstrap over annotators{share}' if math.isfinite(low) else few}"
    return Finding(
        name,
        sentence,
        float(found.alpha),
        float(low) if math.isfinite(low) else None,
        float(high) if math.isfinite(high) else None,
        test,
        status="notice",
        errs="" if math.isfinite(low) else "not known: there is no interval",
        change="Low agreement is noise or plurality: 'consistency' and 'one type' tell them apart where people repeat.",
        head=("statistic", "value", "low", "high"),
        rows=tuple(rows),
    )


def _why_not(found: Agreement, data: PreferenceData, named: bool) -> str:
    """Why there is no agreement to speak of, or ``""``."""
    if found.pairs_between < FEW_PAIRS:
        return f"{plural(found.pairs_between, 'pair')} of answers to one question by two annotators are too few"
    menus = np.unique(np.sort(np.asarray(data.menu), axis=1), axis=0)
    if data.feedback.kind != "rating" and len(menus) < 2:
        who = "two annotators give the same answer" if named else "two answers are the same"
        return f"All answers are about one question ({who} {percent(found.between)} of the time)"
    return "" if math.isfinite(found.alpha) else "All answers are one"
