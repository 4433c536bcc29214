"""Draws of a simulated likelihood: low-discrepancy sequences, scrambled, each person's own consecutive run of them."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from annosim.compiled import threads
from annosim.compiled.lazy import LazyModule
from annosim.errors import ArgumentError
from annosim.learning.solvers.settings import SimulatedLikelihood
from annosim.random import child_seed

__all__ = ["FIRST", "draws_for", "enough", "most", "requested"]

kernels = LazyModule("annosim.learning.likelihoods.kernels.simulated")

#: draws for each annotator with which it begins, where nobody says how many
FIRST = 128
#: numbers in memory up to which draws are added unasked: 1 GB
MOST = 2**27

#: numbers drawn together
PIECE = 2**18


def requested(solver: SimulatedLikelihood, people: int, dim: int, seed: int) -> tuple[np.ndarray, str]:
    """Standard normals ``(people, dim, R)`` that the settings ask for, and what they are, in words.

    Where nothing is random (``dim`` 0) one empty draw says all.

    Raises:
        ArgumentError: given draws of another shape, or numbers that are not finite.

    Example:
        >>> requested(SimulatedLikelihood(draws=16, sequence="halton"), 3, 2, 0)[1]
        '16 scrambled Halton draws for each annotator'
    """
    draws, sequence = FIRST if solver.draws is None else solver.draws, solver.sequence
    if isinstance(draws, np.ndarray):
        if draws.ndim != 3 or draws.shape[:2] != (people, dim) or draws.shape[2] < 2 or not np.isfinite(draws).all():
            raise ArgumentError(
                f"SimulatedLikelihood(draws=): an array of shape {draws.shape}; give finite standard normals of shape "
                f"({people}, {dim}, R): annotators in order of their number, coefficients that vary, at least 2 draws"
            )
        return np.ascontiguousarray(draws, dtype=np.float64), f"{draws.shape[2]} given draws for each annotator"
    z = draws_for(people, draws if dim else 1, dim, seed, sequence)
    return z, f"{draws} scrambled {sequence.capitalize()} draws for each annotator"


def enough(draws: int, error: float, tolerable: float) -> int:
    """Draws at which an error of simulation, which falls about as one over them, is tolerable: a power of two.

    Example:
        >>> enough(128, 0.7, 0.1), enough(128, 0.05, 0.1)
        (1024, 256)
    """
    wanted = max(draws * max(error, 1e-300) / tolerable, draws + 1)
    return int(2 ** min(np.ceil(np.log2(wanted)), 40))


def most(people: int, dim: int) -> int:
    """Draws for each annotator that fit into memory: a power of two.

    Example:
        >>> most(1000, 4)
        32768
    """
    return int(2 ** np.floor(np.log2(max(MOST / max(people * dim, 1), FIRST))))


def draws_for(
    people: int, draws: int, dim: int, seed: int, sequence: Literal["sobol", "halton"] = "sobol"
) -> np.ndarray:
    """Standard normals ``(people, dim, draws)``: consecutive runs of one scrambled low-discrepancy sequence.

    Args:
        people, draws, dim: how many.
        seed: of the scrambling.
        sequence: ``"sobol"`` (Owen's scrambling of Sobol's points) or ``"halton"`` (Halton's, digits permuted).

    Example:
        >>> draws_for(3, 8, 2, 0).shape
        (3, 2, 8)
    """
    from scipy.stats import qmc

    z, points = np.empty((people, dim, draws)), people * draws
    if not dim:
        return z
    generator = np.random.default_rng(child_seed(seed, "simulated likelihood"))
    source = (
        qmc.Sobol(dim, scramble=True, rng=generator, bits=30 if points <= 2**30 else 62)
        if sequence == "sobol"
        else qmc.Halton(dim, scramble=True, rng=generator)
    )
    several = max(PIECE // (dim * draws), 1)
    for at in range(0, people, several):
        some = z[at : at + several]
        with warnings.catch_warnings():  # the run is not cut at a power of two; people get consecutive pieces of it
            warnings.simplefilter("ignore", UserWarning)
            uniform = source.random(len(some) * draws)
        _transform(uniform, some)
    return z


def _transform(uniform: np.ndarray, out: np.ndarray) -> None:
    """Normal quantiles of uniforms ``(people * R, dim)`` into ``out (people, dim, R)``, on all threads."""
    workers, draws = threads.count(None), out.shape[2]
    cuts = [len(out) * i // workers for i in range(workers + 1)]
    pieces = list(zip(cuts, cuts[1:], strict=False))
    task = lambda i: kernels.normals(uniform[pieces[i][0] * draws : pieces[i][1] * draws], out[slice(*pieces[i])])  # noqa: E731
    threads.run(task, range(workers), workers)
