"""Checks of the contract with callers: determinism, no side effects, any dtype, gradients that are gradients, results that can be saved."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import torch

from annosim.checks.datasets import random_dataset
from annosim.checks.estimator import Estimator
from annosim.checks.registry import Finding, NotApplicable, check
from annosim.data.preferences import PreferenceData

__all__ = [
    "check_annotator_ids_ignored",
    "check_deterministic",
    "check_device",
    "check_dtypes",
    "check_gradient",
    "check_leaves_global_generators_alone",
    "check_leaves_inputs_alone",
    "check_serialisation",
]


@check(without={"random": "draws random numbers of its own by declaration"})
def check_deterministic(estimator: Estimator, seed: int) -> Finding:
    """Called twice on the same data, whatever the global random state, it returns the same numbers.

    Deterministic: the comparison is exact.
    """
    data = random_dataset(estimator.kind, seed=seed)
    kept = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - the global state is the subject here
    try:
        first = estimator(data)
        np.random.seed(12345)  # noqa: NPY002
        torch.default_generator.manual_seed(12345)
        second = estimator(data)
    finally:
        np.random.set_state(kept[0])  # noqa: NPY002
        torch.set_rng_state(kept[1])
    gap = float(np.max(np.abs(first - second))) if first.shape == second.shape else float("inf")
    return Finding(gap == 0.0, f"two calls differ by {gap:.2g}")


@check()
def check_leaves_global_generators_alone(estimator: Estimator, seed: int) -> Finding:
    """It neither reads nor moves the global random generators of numpy and torch.

    Deterministic. A seeded call that advances a global generator changes all other draws.
    """
    data = random_dataset(estimator.kind, seed=seed)
    state: Any = np.random.get_state()  # noqa: NPY002
    before = state[1].copy(), state[2], torch.get_rng_state()
    estimator(data)
    after: Any = np.random.get_state()  # noqa: NPY002
    moved = []
    if not np.array_equal(before[0], after[1]) or before[1] != after[2]:
        moved.append("numpy")
    if not torch.equal(before[2], torch.get_rng_state()):
        moved.append("torch")
    return Finding(not moved, f"global generators moved: {', '.join(moved) or 'none'}")


@check()
def check_leaves_inputs_alone(estimator: Estimator, seed: int) -> Finding:
    """The data are the same after the call.

    Deterministic: every array is compared with a copy.
    """
    data = random_dataset(estimator.kind, seed=seed)
    before = {name: copy.deepcopy(value) for name, value in data.__dict__.items() if isinstance(value, np.ndarray)}
    estimator(data)
    changed = [name for name, value in before.items() if not np.array_equal(value, getattr(data, name))]
    return Finding(not changed, f"arrays changed: {', '.join(changed) or 'none'}")


@check()
def check_dtypes(estimator: Estimator, seed: int) -> Finding:
    """Any integer type and memory order of the data, and any default dtype of torch, give the same estimate.

    Deterministic. torch's default is set to float64 for one call, and put back.
    """
    data = random_dataset(estimator.kind, seed=seed)
    first = estimator(data)
    worst = 0.0
    for cast in (np.int16, np.int64):
        other = object.__new__(PreferenceData)
        changes: dict[str, Any] = {
            "menu": np.asfortranarray(data.menu.astype(cast)),
            "answer": np.asfortranarray(data.answer.astype(cast)),
        }
        other.__dict__.update(data.__dict__ | changes)
        worst = max(worst, float(np.max(np.abs(estimator(other) - first))))
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if kept == torch.float64 else torch.float64)
    try:
        default = float(np.max(np.abs(estimator(data) - first)))
    finally:
        torch.set_default_dtype(kept)
    evidence = f"int16 and int64, column order: largest difference {worst:.2g}; other default of torch: {default:.2g}"
    return Finding(max(worst, default) <= estimator.tolerance, evidence)


@check(needs=("device",))
def check_device(estimator: Estimator, seed: int) -> Finding:
    """Computed on the GPU it gives the same estimate as on the CPU.

    Deterministic; needs the tag ``device`` (the function takes ``device="cpu"`` and ``device="cuda"``) and a CUDA
    device. The difference allowed is the estimator's tolerance: sums are taken in another order there.
    """
    data = random_dataset(estimator.kind, seed=seed)
    here = estimator.read(estimator.raw(data, device="cpu"), data)
    if not torch.cuda.is_available():
        raise NotApplicable("needs a CUDA device, and torch finds none on this machine")
    there = estimator.read(estimator.raw(data, device="cuda"), data)
    gap = float(np.max(np.abs(here - there))) if np.isfinite(there).all() else float("inf")
    return Finding(gap <= estimator.tolerance, f"cpu against cuda: largest difference {gap:.2g}")


@check(
    kinds=("pairwise", "choice", "ranking", "ties", "reward"),
    without={"annotators": "models the annotators, so that it matters who answered"},
)
def check_annotator_ids_ignored(estimator: Estimator, seed: int) -> Finding:
    """An estimator of one set of utilities does not depend on who gave which answer.

    Deterministic. (Models of the annotators belong to kind ``mixture``.)
    """
    data = random_dataset(estimator.kind, seed=seed)
    named = data.with_(annotator=(np.arange(data.rows) % 7).astype(np.int32), order=None)
    gap = float(np.max(np.abs(estimator(data) - estimator(named))))
    return Finding(gap <= estimator.tolerance, f"seven annotators instead of one each: largest difference {gap:.2g}")


@check(needs=("gradient",))
def check_gradient(estimator: Estimator, seed: int) -> Finding:
    """The gradient that it declares is the gradient of its objective: held against central differences.

    ``objective(data, utilities) -> (value, gradient)``. Deterministic; relative error below 1e-5.
    """
    if estimator.objective is None:
        return Finding(False, "the tag 'gradient' is set but there is no method objective(data, utilities)")
    data = random_dataset(estimator.kind, rows=60, seed=seed)
    rng = np.random.default_rng(seed)
    u = rng.normal(size=data.items.n)
    _, gradient = estimator.objective(data, u)
    step = 1e-5
    slope = np.zeros_like(u)
    for i in range(len(u)):
        up, down = u.copy(), u.copy()
        up[i] += step
        down[i] -= step
        slope[i] = (estimator.objective(data, up)[0] - estimator.objective(data, down)[0]) / (2 * step)
    gap = float(np.max(np.abs(slope - np.asarray(gradient))) / max(1.0, np.abs(slope).max()))
    return Finding(
        gap < 1e-5,
        f"largest relative error {gap:.2g}; differences {np.round(slope, 5).tolist()}, "
        f"declared {np.round(np.asarray(gradient, dtype=float), 5).tolist()}",
    )


@check(without={"random": "draws random numbers of its own by declaration"})
def check_serialisation(estimator: Estimator, seed: int) -> Finding:
    """What it returns survives pickling: the copy says the same utilities.

    Deterministic: the comparison is exact.
    """
    data = random_dataset(estimator.kind, seed=seed)
    result = estimator.raw(data)
    try:
        again = pickle.loads(pickle.dumps(result))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return Finding(False, f"the result cannot be pickled: {error}")
    gap = float(np.max(np.abs(estimator.read(again, data) - estimator.read(result, data))))
    return Finding(gap == 0.0, f"pickled and read back: largest difference {gap:.2g}")
