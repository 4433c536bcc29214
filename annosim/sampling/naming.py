"""One name for each type over all draws."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.coordinates import best_naming, best_namings, centred
from annosim.coordinates.normalisation import interchangeable
from annosim.items import Items
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture

__all__ = ["one_name_each"]

Vector = NDArray[np.float64]


def one_name_each(model: Population, items: Items, vectors: Vector, log_density: Vector) -> Vector:
    """Parameter vectors ``(S, P)`` with their types named as in the draw of the highest density.

    A posterior under a prior that knows no types has a mode for every naming; each draw is renamed to come nearest to
    the reference (Stephens 2000, J. R. Stat. Soc. B 62:795). Types of the reference are in order of falling weight.
    """
    if not interchangeable(model) or not isinstance(model, Mixture):
        return vectors
    best = model.with_parameters(torch.as_tensor(vectors[int(np.argmax(log_density))]))
    reference = best.relabelled(np.argsort(-best.weights.detach().numpy(), kind="stable").tolist())
    plain = all(isinstance(one, Annotator) and not one.rule.num_free() for one in model.types)
    names = _at_once(model, reference, items, vectors) if plain else _one_by_one(model, reference, items, vectors)
    return _renamed(model, vectors, names)


def _at_once(model: Mixture, reference: Mixture, items: Items, vectors: Vector) -> NDArray[np.int64]:
    def look(v: torch.Tensor) -> torch.Tensor:
        return model.functional_call(v, lambda p: torch.stack([one.nodes(items)[0][0] for one in p.components()]))

    def all_indices(rows: Vector) -> Vector:
        with torch.no_grad():
            return centred(torch.stack([look(row) for row in torch.as_tensor(rows)]), items).numpy()

    at = (
        slice(-len(model.weights), None) if list(model.free_parameters())[-1] == "weights" else _place(model, "weights")
    )
    own = all_indices(reference.vector().numpy()[None])[0]
    share = reference.weights.detach().numpy()
    return best_namings(all_indices(vectors), vectors[:, at], own, share)


def _one_by_one(model: Mixture, reference: Mixture, items: Items, vectors: Vector) -> NDArray[np.int64]:
    rows = torch.as_tensor(vectors)
    return np.array([best_naming(model.with_parameters(row), reference, items) for row in rows], dtype=np.int64)


def _renamed(model: Mixture, vectors: Vector, names: NDArray[np.int64]) -> Vector:
    """The same populations, new type ``j`` being old type ``names[:, j]``."""
    out = vectors.copy()
    at = _place(model, "weights")
    out[:, at] = np.take_along_axis(vectors[:, at], names, 1)
    for name in model.free_parameters():
        if not name.startswith("types."):
            continue
        _, number, rest = name.split(".", 2)
        sources = np.stack([vectors[:, _place(model, f"types.{k}.{rest}")] for k in range(len(model.types))], 1)
        out[:, _place(model, name)] = sources[np.arange(len(out)), names[:, int(number)]]
    return out


def _place(model: Population, name: str) -> slice:
    """Where a parameter stands in the vector of all."""
    start = 0
    for other, value in model.free_parameters().items():
        if other == name:
            return slice(start, start + value.numel())
        start += value.numel()
    raise KeyError(name)
