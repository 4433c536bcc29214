"""Many Bradley-Terry tables at once: Newton's method on a stack of win matrices (replicates, bootstraps)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

__all__ = ["connected", "newton_tables"]

#: float64 numbers in one chunk (about 8 MB, so that the temporaries of a chunk stay in cache)
CHUNK = 1 << 20


def connected(wins: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    """Whether each table's estimate exists: within every prompt one strong component. ``(R, n, n) -> (R,)``."""
    groups = len(np.unique(prompts))
    return np.array([connected_components(csr_matrix(w), connection="strong")[0] == groups for w in wins])


def newton_tables(
    wins: np.ndarray, prompts: np.ndarray, start: np.ndarray | None = None, tolerance: float = 1e-10, max_iterations=60
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Maximum-likelihood scores of every table.

    Args:
        wins: ``(R, n, n)``.
        prompts: ``(n,)``, a gauge each.
        start: ``(n,)`` or ``(R, n)``.
        tolerance: on the scaled gradient.
        max_iterations: Newton steps.

    Returns:
        scores ``(R, n)`` centred within prompts, NaN where the estimate does not exist; log-likelihood ``(R,)``; scaled
        gradient ``(R,)``; iterations ``(R,)``.

    Example:
        >>> newton_tables(np.array([[[0.0, 3.0], [1.0, 0.0]]]), np.zeros(2, int))[0].round(4).tolist()
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
    n = wins.shape[1]
    _, code = np.unique(prompts, return_inverse=True)
    same = (code[:, None] == code[None, :]) / np.bincount(code)[code]
    both = wins + wins.transpose(0, 2, 1)
    involved = both.sum(2)
    s, iterations = np.array(s), np.zeros(len(wins), dtype=np.int64)
    value, gradient, p = _evaluate(wins, s)
    worst, polished = (np.abs(gradient) / involved).max(1), np.zeros(len(wins), bool)
    active = np.arange(len(wins))
    for _ in range(max_iterations):
        active = active[~(polished[active] | (worst[active] == 0))]
        if not len(active):
            break
        polished[active] = worst[active] <= tolerance
        q = p[active]
        h = -both[active] * q * q.transpose(0, 2, 1)
        h[:, np.arange(n), np.arange(n)] = -h.sum(2)
        scale = h[:, np.arange(n), np.arange(n)].max(1)
        move = np.linalg.solve(h + scale[:, None, None] * same, gradient[active][..., None])[..., 0]
        move *= np.minimum(1.0, 6.0 / np.maximum(np.abs(move).max(1), 1e-300))[:, None]
        left, length = active, np.ones(len(active))
        for _ in range(30):
            at = np.flatnonzero(np.isin(active, left))
            trial = s[left] + length[at, None] * move[at]
            v, g, q = _evaluate(wins[left], trial)
            after = (np.abs(g) / involved[left]).max(1)
            ok = (v >= value[left] - 1e-12 * (1 + np.abs(value[left]))) & ((v > value[left]) | (after <= worst[left]))
            took = left[ok]
            s[took], value[took], gradient[took], p[took], worst[took] = trial[ok], v[ok], g[ok], q[ok], after[ok]
            left = left[~ok]
            length *= 0.5
            if not len(left):
                break
        polished[left] = True  # no step rises any more: rounding
        iterations[active] += 1
    mean = np.einsum("ij,rj->ri", same, s)
    return s - mean, value, worst, iterations


def _evaluate(wins, s):
    d = s[:, :, None] - s[:, None, :]
    z = np.exp(-np.abs(d))
    p = np.where(d >= 0, 1.0, z) / (1.0 + z)
    value = -(wins * (np.log1p(z) + np.maximum(-d, 0.0))).sum((1, 2))
    return value, (wins * p.transpose(0, 2, 1) - wins.transpose(0, 2, 1) * p).sum(2), p
