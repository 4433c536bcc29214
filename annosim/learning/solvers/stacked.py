"""Many Bradley-Terry tables at once: the maximiser's Newton steps on a stack of win matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from annosim.learning.solvers.functions import LONGEST_STEP
from annosim.learning.solvers.maximise import MANY_TRIES, SHORTER, SUFFICIENT

__all__ = ["connected", "maximise_tables"]

#: float64 numbers in one chunk (about 8 MB, so that the temporaries of a chunk stay in cache)
CHUNK = 1 << 20


def connected(wins: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    """Whether each table's estimate exists: within every prompt one strong component. ``(R, n, n) -> (R,)``."""
    groups = len(np.unique(prompts))
    return np.array([connected_components(csr_matrix(w), connection="strong")[0] == groups for w in wins])


def maximise_tables(
    wins: np.ndarray, prompts: np.ndarray, start: np.ndarray | None = None, tolerance: float = 1e-10, max_iterations=60
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Maximum-likelihood scores of every table.

    Args:
        wins: ``(R, n, n)``.
        prompts: ``(n,)``, a normalisation each.
        start: ``(n,)`` or ``(R, n)``.
        tolerance: on the scaled gradient.
        max_iterations: Newton steps.

    Returns:
        scores ``(R, n)`` centred within prompts, NaN where the estimate does not exist; log-likelihood ``(R,)``; scaled
        gradient ``(R,)``; iterations ``(R,)``.

    Example:
        >>> maximise_tables(np.array([[[0.0, 3.0], [1.0, 0.0]]]), np.zeros(2, int))[0].round(4).tolist()
        [[0.5493, -0.5493]]
    """
    count, n, _ = wins.shape
    scores, value = np.full((count, n), np.nan), np.full(count, np.nan)
    gradient, iterations = np.full(count, np.inf), np.zeros(count, dtype=np.int64)
    exists = connected(wins, prompts)
    step = max(1, CHUNK // (n * n))
    live = np.flatnonzero(exists)
    for i in range(0, len(live), step):
        at = live[i : i + step]
        first = np.zeros((len(at), n)) if start is None else np.broadcast_to(start, (count, n))[at]
        scores[at], value[at], gradient[at], iterations[at] = _chunk(
            wins[at], prompts, first, tolerance, max_iterations
        )
    return scores, value, gradient, iterations


def _chunk(wins, prompts, s, tolerance, max_iterations):
    """Newton's steps of :func:`annosim.learning.solvers.maximise.maximise`, all tables that are not done at once."""
    _, code = np.unique(prompts, return_inverse=True)
    same = (code[:, None] == code[None, :]) / np.bincount(code)[code]
    exposure = (wins + wins.transpose(0, 2, 1)).sum(2)
    s, iterations = np.array(s), np.zeros(len(wins), dtype=np.int64)
    now = _evaluate(wins, s, exposure)
    polished, active = np.zeros(len(wins), bool), np.arange(len(wins))
    for _ in range(max_iterations):
        active = active[~(polished[active] | (now.worst[active] == 0))]
        if not len(active):
            break
        polished[active] = now.worst[active] <= tolerance
        move = _newton_moves(wins[active], now.p[active], now.gradient[active], same)
        refused = _accept(wins, exposure, s, now, active, move)
        polished[refused] = True  # no step rises any more: rounding
        iterations[active] += 1
    return s - np.einsum("ij,rj->ri", same, s), now.value, now.worst, iterations


def _newton_moves(wins: np.ndarray, p: np.ndarray, gradient: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Capped Newton directions, the location of each prompt deflated, ``(R, n)``."""
    diagonal = np.arange(wins.shape[1])
    h = -(wins + wins.transpose(0, 2, 1)) * p * p.transpose(0, 2, 1)
    h[:, diagonal, diagonal] = -h.sum(2)
    scale = h[:, diagonal, diagonal].max(1)
    move = np.linalg.solve(h + scale[:, None, None] * same, gradient[..., None])[..., 0]
    return move * np.minimum(1.0, LONGEST_STEP / np.maximum(np.abs(move).max(1), 1e-300))[:, None]


def _accept(
    wins: np.ndarray, exposure: np.ndarray, s: np.ndarray, now: _State, active: np.ndarray, move: np.ndarray
) -> np.ndarray:
    """The first of ever shorter moves that the maximiser's rule accepts, in place; the tables that have none."""
    rise = np.einsum("ri,ri->r", now.gradient[active], move)
    left, length = np.arange(len(active)), 1.0
    for _ in range(MANY_TRIES):
        at = active[left]
        trial = s[at] + length * move[left]
        new, slack = _evaluate(wins[at], trial, exposure[at]), 1e-12 * (1 + np.abs(now.value[at]))
        ok = new.value >= now.value[at] + SUFFICIENT * length * rise[left] - slack
        ok &= (new.value > now.value[at] + slack) | (new.worst < now.worst[at])
        s[at[ok]] = trial[ok]
        for old, one in zip(now, new, strict=True):
            old[at[ok]] = one[ok]
        left, length = left[~ok], length * SHORTER
        if not len(left):
            break
    return active[left]


class _State(NamedTuple):
    """Of every table: log-likelihood ``(R,)``, gradient, probabilities ``(R, n, n)``, scaled gradient ``(R,)``."""

    value: np.ndarray
    gradient: np.ndarray
    p: np.ndarray
    worst: np.ndarray


def _evaluate(wins: np.ndarray, s: np.ndarray, exposure: np.ndarray) -> _State:
    d = s[:, :, None] - s[:, None, :]
    z = np.exp(-np.abs(d))
    p = np.where(d >= 0, 1.0, z) / (1.0 + z)
    value = -(wins * (np.log1p(z) + np.maximum(-d, 0.0))).sum((1, 2))
    gradient = (wins * p.transpose(0, 2, 1) - wins.transpose(0, 2, 1) * p).sum(2)
    return _State(value, gradient, p, (np.abs(gradient) / exposure).max(1))
