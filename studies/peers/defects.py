"""Defects in a few lines each: the smallest data that show them, and what each package says about them."""

from __future__ import annotations

import warnings

import numpy as np

import annosim as an
from annosim.checks import adapt, datasets

from .estimators import TIGHT, bradley_terry


def noisy_gradient():
    """crowd-kit's NoisyBradleyTerry: its gradient against central differences of its own log-likelihood."""
    cls = adapt.load("crowdkit.aggregation:NoisyBradleyTerry")
    rows, workers = np.array([[1, 2, 1], [2, 3, 3], [1, 3, 1], [2, 1, 2], [3, 1, 3]]), np.array([0, 1, 0, 1, 0])
    x = np.linspace(-0.5, 0.9, 1 + 3 + 2 * 2)
    arguments = (rows, workers, 3, 2, 1e-5)
    declared = cls._compute_gradient(x, *arguments)
    step = 1e-6
    slope = np.array(
        [
            (
                cls._compute_log_likelihood(x + step * e, *arguments)
                - cls._compute_log_likelihood(x - step * e, *arguments)
            )
            / (2 * step)
            for e in np.eye(len(x))
        ]
    )
    names = ["base", "score 1", "score 2", "score 3", "bias 1", "bias 2", "skill 1", "skill 2"]
    return {"gap": float(np.abs(slope - declared).max()), "names": names, "declared": declared, "slope": slope}


def iterations_do_nothing():
    """crowd-kit's BradleyTerry: how far ten and a hundred thousand iterations differ, and both from the optimum."""
    cls = adapt.load("crowdkit.aggregation:BradleyTerry")
    data, truth = datasets.exact_dataset("pairwise", (1, 2, 3, 4))
    few, many = (adapt.crowdkit(cls, n_iter=n)(data) for n in (10, 100_000))
    return {"moved": float(np.abs(few - many).max()), "error": float(np.abs(many - truth).max())}


# Item 0 beats 1 and 2, which beat each other once; and two pairs that never meet, each 1 : 1.
UNDEFEATED = an.PreferenceData(an.Items(n=3), menu=[[0, 1], [0, 2], [1, 2], [2, 1]], answer=[0, 0, 0, 0])
DISCONNECTED = an.PreferenceData(an.Items(n=4), menu=[[0, 1], [1, 0], [2, 3], [3, 2]], answer=[0, 0, 0, 0])


def _answer(estimator, data):
    """What a call says: ``raised`` or ``warned`` with the words, or ``returned`` with the utilities."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            utilities = estimator(data)
        except Exception as error:  # a refusal of any class counts as one
            return {
                "outcome": "raised",
                "says": str(error),
                "utilities": np.full(data.items.n, np.nan),
                "spread": np.nan,
            }
    messages = [str(w.message) for w in caught if not issubclass(w.category, DeprecationWarning)]
    return {
        "outcome": "warned" if messages else "returned",
        "says": " ".join(messages[:1]),
        "utilities": utilities,
        "spread": float(np.ptp(utilities)),
    }


def _without_penalty(package):
    if package == "choix":
        return adapt.choix(adapt.load("choix:opt_pairwise"), alpha=0.0)
    return adapt.evalica(adapt.load("evalica:bradley_terry")) if package == "evalica" else adapt.annosim(bradley_terry)


def undefeated(package):
    """What a fit says when item 0 never loses."""
    return _answer(_without_penalty(package), UNDEFEATED)


def disconnected(package):
    """What a fit says of items that were never compared with one another."""
    return _answer(_without_penalty(package), DISCONNECTED)


def losers_first():
    """evalica's scores of three items, a over b over c, each three times of four."""
    data = an.PreferenceData(an.Items(n=3), menu=[[0, 1], [1, 2], [0, 2]] * 4, answer=[0] * 9 + [1] * 3)
    names = ("counting", "average_win_rate", "bradley_terry", "newman", "pagerank", "elo", "eigen")
    return {"best": {name: int(np.argmax(adapt.evalica(adapt.load(f"evalica:{name}"))(data))) for name in names}}


def two_items():
    """evalica's Newman iteration on the smallest data: the second of two items wins three times of four."""
    data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 4, answer=[0, 1, 1, 1])
    u = adapt.evalica(adapt.load("evalica:newman"), **TIGHT)(data)
    return {"difference": float(u[1] - u[0]), "truth": float(np.log(3.0))}
