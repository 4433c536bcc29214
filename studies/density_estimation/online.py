"""E14, of this study: online DPO of two annotators. Each round draws its pairs from the policy that the last one left.

Left of zero is where the narrow annotator's density lies, but pi0 too has half of its mass there, so that this mass alone
does not say that the annotator is served; :func:`.claims.near` measures a window round the annotator's peak. The point at
zero counts half: with a moving reference and beta 1 the mass left of zero then goes from .408 to .017 in twelve rounds on
101 points, and on 201 or 401. A sum over x < 0 without that half point goes from .401 to .014 on 201 points, from .395 to
.012 on 101: it depends on the grid.
"""

from __future__ import annotations

import numpy as np

import annosim as an

from . import world


def online(points: int, rounds: int, beta: float, reference: str, mixing: float) -> dict:
    """Exact rounds of DPO from pi0: each learns from infinitely many anonymous answers of the two annotators, the narrow
    one (40 %) left of zero and the wide one (60 %) right of it. ``reference``: DPO's, the last policy (moving) or pi0."""
    items = world.grid(points)
    x = items.features[:, 0].numpy()
    found = an.iterate(
        world.two_annotators(), world.reference(), items, rounds, beta=beta, reference=reference, mixing=mixing
    )
    density = found.mass / items.weights.numpy()
    left = (found.mass * np.where(x == 0, 0.5, x < 0)).sum(1)
    return {
        "x": x,
        "left": left,
        "density": density,
        "first": float(left[1]),
        "last": float(left[-1]),
        "moved": float(np.abs(np.diff(left[-3:])).max()),
        "kl_to_start": found.kl,
    }


def online_finite(points: int, rounds: int, beta: float, reference: str, pairs: int, seed: int) -> dict:
    """The same from so many fresh pairs a round."""
    items = world.grid(points)
    found = an.iterate(
        world.two_annotators(),
        world.reference(),
        items,
        rounds,
        beta=beta,
        reference=reference,
        answers=pairs,
        prior=an.priors.Gaussian(10.0),
        seed=seed % 2**31,
    )
    left = (found.mass * (items.features[:, 0].numpy() < 0)).sum(1)
    return {"left": left, "first": float(left[1]), "last": float(left[-1])}
