"""The 32 debates of UKPConvArg1, one by one: agreement, ties, cycles, existence, estimate."""

from __future__ import annotations

import numpy as np

import annosim as an

from .reading import decisive, read_debates, table, utilities, win_counts


def debates(rules, data):
    """A row for each debate; ``rules`` adds what Rao-Kupper gains on Davidson in BIC (five seconds for all)."""
    return [_row(name, answers, rules) for name, answers in read_debates(data).items()]


def _row(name, answers, rules):
    half, agreed = answers.ties("half"), an.analysis.agreement(answers)
    row = {
        "debate": name,
        "items": answers.items.n,
        "votes": answers.rows,
        "annotators": answers.num_annotators,
        "tied": float(answers.tied.any(-1).mean()),
        "agreement": agreed.between,
        "alpha": agreed.alpha,
        "triads": 0,
        "cyclic": 0,
        "exists_decisive": _exists(decisive(answers)),
        "exists": _exists(half),
        "gradient": 0.0,
        "spread": float("nan"),
        "best": "",
    }
    row["triads"], row["cyclic"] = cycles(win_counts(answers))
    if row["exists"]:
        fit = an.fit(table(half), half)
        values = fit.population.utility.values.numpy(force=True)
        row |= {"spread": float(values.std()), "best": half.items.names[int(values.argmax())]}
        row["gradient"] = fit.gradient_norm
    if rules:
        davidson = an.fit(table(answers, an.Davidson(delta=an.free(1.0))), answers)
        kupper = an.fit(table(answers, an.rules.RaoKupper(theta=an.free(2.0))), answers)
        row["rao_kupper_gains"] = davidson.bic - kupper.bic
    return row


def _exists(answers):
    try:
        utilities(answers)
    except an.errors.NotIdentifiedError:
        return False
    return True


def cycles(counts):
    """Triads of items in which every pair has a majority, and how many of them go round in a circle.

    With ``B`` the matrix of strict majorities (a digraph), the triangle ``i > j > k > i`` is counted three times by the
    trace of ``B^3``, and any triad of three majorities six times by that of ``(B + B')^3``. Coins for majorities would
    make a quarter of the triads cyclic.
    """
    beats = (counts > counts.T).astype(np.int64)
    either = beats + beats.T
    triads = int(np.trace(either @ either @ either)) // 6
    return triads, int(np.trace(beats @ beats @ beats)) // 3
