"""Repeats: do annotators agree with themselves, more than with others, and in other words?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annosim.data.counts import combine
from annosim.data.preferences import PreferenceData
from annosim.diagnosis.case import Case, people_of, percent, plural, times
from annosim.diagnosis.finding import COUNTED, Finding, not_asked, tail
from annosim.diagnosis.implied import Implied, Ints
from annosim.identifiability.heterogeneity import consistency_test
from annosim.items import Items
from annosim.random import child_seed, uniform53

__all__ = ["consistency", "paraphrase"]

#: rows of repeated questions above which a seeded part is shuffled
MOST = 6_000
#: probability under chance below which agreement with oneself is called small
RARE = 1e-3
DRAWS = 399


def consistency(case: Case) -> Finding:
    """Chance, plurality or paraphrase: which of them these repeats can tell, and what they say."""
    if not case.named:
        return not_asked(
            "consistency", f"{case.alone[0]}, so that chance and different people cannot be told apart.", case.alone[1]
        )
    if case.data.feedback.kind != "choice" or case.data.menu_size != 2:
        return not_asked(
            "consistency", "Repeats are compared for pairs; these answers are of another kind.", "Ask some pairs twice."
        )
    if case.copied > 1:
        return not_asked(
            "consistency",
            f"Every row stands {times(case.copied)} in the file: these repeats are copies of rows, not answers that were given again.",
            "Keep one of each row, and diagnose again.",
        )
    again, words = _repeated(case)
    if again is None:
        won = " with a winner (ties are left out)" if case.data.has_ties else ""
        return not_asked(
            "consistency",
            f"No annotator answered the same question twice{won}: chance and plurality within a question cannot be told apart.",
            "Ask each annotator a few of their questions again, with the sides swapped.",
        )
    result = consistency_test(again, replicates=DRAWS, seed=case.seed)
    within, between = float(result.evidence["within"]), float(result.evidence["between"])
    p = tail(float(result.statistic), np.asarray(result.simulated)) if np.isfinite(between) else None
    test = f"shuffling who gave which answer, within questions ({plural(result.evidence['repeated'], 'pair')} of own answers)"
    if not np.isfinite(between):
        sentence = f"Asked again, annotators give the same answer {percent(within)} of the time; nobody else answered these questions."
        return Finding(
            "consistency",
            sentence,
            within,
            test="count",
            change="Ask several annotators the same questions.",
            errs=COUNTED,
        )
    said = f"Asked again, annotators give the same answer {percent(within)} of the time, against {percent(between)} of two annotators"
    more = f"{said}: more than with others, as where people differ (plurality).{words}"
    chance = f"{said}: no more than chance explains.{words}"
    if within < min(between, 0.5) and tail(-float(result.statistic), -np.asarray(result.simulated)) < RARE:
        chance = f"{said}: less than chance would give, as where people take one side whatever it shows, or take turns.{words}"
    change = (
        "More repeats; with the sides swapped they show effects of the position, in other words those of paraphrase."
    )
    return Finding("consistency", more, within - between, None, None, test, p, change=change, otherwise=chance)


def _repeated(case: Case) -> tuple[PreferenceData | None, str]:
    """Rows of the questions that somebody answered twice, a part of them, and what sides and wordings add."""
    data = people_of(case.data, MOST, case.seed)
    question, usable = _questions(data)
    cell = combine([question, np.asarray(data.annotator_ids)])
    count = np.bincount(cell, usable)
    twice = np.zeros(int(question.max()) + 1, dtype=bool)
    twice[question[usable & (count[cell] > 1)]] = True
    rows = np.flatnonzero(usable & twice[question])
    if not len(rows):
        return None, ""
    if len(rows) > MOST:
        kept = np.unique(question[rows])
        size = np.bincount(question[rows])[kept]
        order = np.argsort(uniform53(child_seed(case.seed, "diagnosis/repeats"), "bootstrap", np.arange(len(kept)), 0))
        kept = kept[order[: max(1, int(np.searchsorted(np.cumsum(size[order]), MOST)))]]
        rows = rows[np.isin(question[rows], kept)]
    part = data.take(rows)
    if data.prompt is not None:  # the same pair under another prompt is another question
        part = _apart(part, question[rows])
    return part, _sides(case)


def _questions(data: PreferenceData) -> tuple[Ints, NDArray[np.bool_]]:
    """The question of each row, whatever its words, and whether its answer prefers one of two different things."""
    cluster = data.items.clusters.numpy()[np.asarray(data.menu)]
    low, high = cluster.min(1), cluster.max(1)
    usable = (low != high) & ~np.asarray(data.skipped)
    if data.has_ties:
        usable &= ~np.asarray(data.tied).any(1)
    return combine([low, high] if data.prompt is None else [low, high, np.asarray(data.prompt)]), usable


def paraphrase(case: Case) -> Finding:
    """Do other words change answers: people's own answers to a question in the same words, against those in other words.

    Within one annotator's answers to one question, whatever the wording, answers are exchangeable where words do not
    matter: the test of :func:`consistency_test` with wordings in the place of annotators, and (annotator, question) in the
    place of questions. It tells paraphrase from chance and from plurality, which act alike in all wordings.
    """
    name, data = "paraphrase", people_of(case.data, MOST, case.seed)
    mark = "Mark texts that say the same, an.Items(clusters=...), and ask annotators a question in the same and in other words."
    if len(np.unique(data.items.clusters.numpy())) == data.items.n:
        return not_asked(
            name, "No items are marked as the same in other words: paraphrase and chance cannot be told apart.", mark
        )
    if data.annotator is None or data.feedback.kind != "choice" or data.menu_size != 2:
        return not_asked(name, "Wordings are compared in pairs, by annotators who have ids.", mark)
    if case.displayed.startswith("The answer"):  # words, or a taste for a side, or winners that are listed first
        return not_asked(name, case.displayed, "Keep the order of display in the file.")
    question, usable = _questions(data)
    meaning = np.asarray(data.items.clusters)[np.asarray(data.menu)]
    # a side may matter: answers are exchanged among questions that show the same meaning on the same side
    turned = (meaning[:, 0] > meaning[:, 1]).astype(np.int64)
    cell = combine([question, np.asarray(data.annotator_ids, dtype=np.int64), turned])
    rows = np.flatnonzero(usable & (np.bincount(cell, usable)[cell] > 1))[:MOST]
    words = combine(list(np.sort(np.asarray(data.menu), axis=1).T))
    kept, worded = cell[rows], words[rows]
    same = combine([kept, worded]) if len(rows) else kept
    if not len(rows) or not _both_kinds(kept, same):
        why = "Nobody answered a question twice in the same words, and in other words as well: paraphrase and chance cannot be told apart."
        return not_asked(name, why, mark)
    again = _apart(data.take(rows), kept).with_(annotator=worded, annotator_names=None, order=None, weight=None)
    result = consistency_test(again, replicates=DRAWS, seed=case.seed)
    within, between = float(result.evidence["within"]), float(result.evidence["between"])
    p = tail(float(result.statistic), np.asarray(result.simulated))
    said = f"One annotator's answers to one question agree {percent(within)} of the time in the same words, {percent(between)} in other words"
    return Finding(
        name,
        f"{said}: words change answers (paraphrase).",
        within - between,
        test=f"shuffling which wording got which answer, within annotator and question ({plural(len(rows), 'answer')})",
        p_value=p,
        change="More questions asked twice in each wording.",
        otherwise=f"{said}: no more than chance explains.",
    )


def _both_kinds(cell: Ints, same: Ints) -> bool:
    """Whether some cell holds the same words twice, and other words as well."""
    twice = np.bincount(same)[same] > 1
    wordings = np.bincount(np.unique(np.stack([cell, same]), axis=1)[0], minlength=int(cell.max()) + 1)
    return bool((twice & (wordings[cell] > 1)).any())


def _apart(part: PreferenceData, question: Ints) -> PreferenceData:
    """The rows with the items of each question renamed, so that prompts do not mix."""
    clusters = part.items.clusters.numpy()
    code = combine([np.r_[question, question], np.r_[part.menu[:, 0], part.menu[:, 1]]])
    both = code.reshape(2, -1).T
    first = np.unique(code, return_index=True)[1]
    old = np.r_[part.menu[:, 0], part.menu[:, 1]][first]
    labels = combine([np.r_[question, question][first], clusters[old]])
    return part.with_(items=Items(n=len(first), clusters=labels), menu=both, prompt=None, prompt_names=None)


def _sides(case: Case) -> str:
    """Agreement with oneself where the sides were swapped, and where they were not."""
    pairs: Implied = case.pairs
    pairs = pairs.take(pairs.won != 0.5)
    if not len(pairs):
        return ""
    cell = combine([pairs.question, pairs.who])
    out = []
    flipped = (pairs.first > pairs.second).astype(float)
    agree: dict[str, float] = {}
    total: dict[str, float] = {}
    for name, side in (("kept", (flipped, flipped)), ("swapped", (flipped, 1.0 - flipped))):
        ones = [np.bincount(cell, s * pairs.low_won) for s in side]
        all_of = [np.bincount(cell, s) for s in side]
        zeros = [a - o for a, o in zip(all_of, ones, strict=True)]
        if name == "swapped":
            agree[name] = float((ones[0] * ones[1] + zeros[0] * zeros[1]).sum())
            total[name] = float((all_of[0] * all_of[1]).sum())
        else:
            both = [np.bincount(cell, s * pairs.low_won) for s in (flipped, 1.0 - flipped)]
            many = [np.bincount(cell, s) for s in (flipped, 1.0 - flipped)]
            agree[name] = float(
                sum((o * (o - 1) + (m - o) * (m - o - 1)).sum() / 2 for o, m in zip(both, many, strict=True))
            )
            total[name] = float(sum((m * (m - 1)).sum() / 2 for m in many))
    for name, words in (("kept", "with the sides kept"), ("swapped", "with the sides swapped")):
        if total[name]:
            out.append(f"{percent(agree[name] / total[name])} {words} ({plural(total[name], 'pair')})")
    return f" Own answers agree {' and '.join(out)}." if len(out) == 2 else ""
