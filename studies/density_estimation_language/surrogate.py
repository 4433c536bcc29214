"""The exact surrogate of E12: a sentence is its length, there are exp(entropy x length) of each, all is enumerated.

The entropy per token cancels: the length-normalised log-probability of a sentence of length l is log p(l) / l minus it.
*Whole* has the broad lengths of a news corpus, with a mean of 26. What the two annotators are like decides what is
found, so three designs stand side by side:

``peaked``   normal lengths around 10 and 44, where the paper reports the modes; the parameter is the standard deviation
             as a share of the mean. Far from its own mode each annotator is many nats from the other.
``cut``      *whole* up to 20 tokens, and *whole* beyond 30: the paper's subsets. The parameter is what is left of the
             density on the other side, as language models trained on a subset never give zero.
``soft``     the same subsets with logistic borders; the parameter is their width in tokens.
"""

from __future__ import annotations

import numpy as np

import annosim as an

from .mixtures import SCALE, people

#: designs and their parameters
DESIGNS = {"peaked": (0.15, 0.25, 0.4), "cut": (0.1, 0.01, 1e-4), "soft": (1.0, 2.0, 4.0, 8.0)}


def whole(x: np.ndarray) -> np.ndarray:
    """Log density of the lengths of all sentences."""
    log_p = 3 * np.log(x) - x / 6.5
    return log_p - np.logaddexp.reduce(log_p)


def annotators(design: str, parameter: float, x: np.ndarray) -> list[np.ndarray]:
    """Log densities of the short and of the long annotator."""
    if design == "peaked":
        parts = [-0.5 * ((x - mean) / (parameter * mean)) ** 2 for mean in (10, 44)]
    elif design == "cut":
        parts = [whole(x) + np.where(inside, 0.0, np.log(parameter)) for inside in (x <= 20, x > 30)]
    else:
        parts = [whole(x) - np.logaddexp(0, (x - 20.5) / parameter), whole(x) - np.logaddexp(0, (30.5 - x) / parameter)]
    return [p - np.logaddexp.reduce(p) for p in parts]


def modes(p: np.ndarray) -> np.ndarray:
    """Positions of the strict local maxima that are not negligible."""
    inner = (p[1:-1] > p[:-2]) & (p[1:-1] > p[2:]) & (p[1:-1] > 1e-4)
    return np.flatnonzero(inner) + 1


def lengths_only(kind: str, design: str, parameter: float, longest: int, beta: float) -> dict:
    """What is learned of the annotator mixture (``"annotators"``) or of the density mixture (``"density"``)."""
    x = np.arange(1, longest + 1)
    items = an.Items(features=x[:, None], columns={"length": x})
    parts, rule = annotators(design, parameter, x), an.PBDE.length_normalised(SCALE)
    blend, truth = np.logaddexp(*parts) - np.log(2), people(kind, *parts)
    reference = an.LogDensity(an.Tabular(an.fixed(whole(x))))
    found = an.project(
        an.Annotator(an.LogDensity(an.Tabular(longest)), rule),
        truth,
        an.Design(items, proposal=np.exp(whole(x))),
        regulariser=an.objectives.ForwardKL(reference, 2 * beta),
    )
    p = found.population.utility(items).detach().exp().numpy()
    at = modes(p)
    return {
        "x": x,
        "learned": p,
        "whole": np.exp(whole(x)),
        "blend": np.exp(blend),
        "modes": len(at),
        "modes_at": str(x[at].tolist()),
        "highest": int(x[p.argmax()]),
        "gradient": found.gradient_norm,
        "own_modes": str([int(x[one.argmax()]) for one in parts]),
        "short_mode": int(x[parts[0].argmax()]),
        "long_mode": int(x[parts[1].argmax()]),
        "overlap": float(np.minimum(*np.exp(parts)).sum()),
    }
