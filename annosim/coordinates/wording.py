"""Directions in the space of parameters, in words."""

from __future__ import annotations

import torch

from annosim.populations.base import Population
from annosim.populations.low_rank import LowRank

__all__ = ["describe_direction", "normalisation_words", "sparse_basis", "sum_preserving"]


def sparse_basis(directions: torch.Tensor) -> torch.Tensor:
    """Row-reduced basis of the rows' span ``(G, P)``, each row scaled to a largest entry of one: easy to read."""
    rows = directions.detach().clone().double()
    g, p = rows.shape
    done: list[int] = []
    for r in range(g):
        left = rows[r:].abs().clone()
        left[:, done] = -1.0
        flat = int(left.argmax())
        i, j = r + flat // p, flat % p
        rows[[r, i]] = rows[[i, r]]
        rows[r] = rows[r] / rows[r, j]
        for k in range(g):
            if k != r:
                rows[k] = rows[k] - rows[k, j] * rows[r]
        done.append(j)
    top = rows.abs().amax(-1, keepdim=True)
    rows = rows / torch.where(top > 0, top, torch.ones_like(top))
    return torch.where(rows.abs() < 1e-9, torch.zeros_like(rows), rows)


def describe_direction(population: Population, direction: torch.Tensor, most: int = 8) -> str:
    """A direction ``(P,)`` in the user's parameter names: ``"raise a[0] by 1; lower a[1] by 0.5"``."""
    names = population.parameter_names()
    direction = direction.detach()
    direction = direction / direction.abs().max()
    blocks = _constant_blocks(population, direction)
    if blocks:
        return "; ".join(
            f"{'raise' if value > 0 else 'lower'} all of {name} by {abs(value):.3g}" for name, value in blocks
        )
    largest = direction.abs().argsort(descending=True, stable=True)
    order = [int(i) for i in largest if abs(float(direction[i])) > 1e-6]
    parts = [
        f"{'raise' if direction[i] > 0 else 'lower'} {names[i]} by {abs(float(direction[i])):.3g}" for i in order[:most]
    ]
    return "; ".join(parts) + (f"; and {len(order) - most} more" if len(order) > most else "")


def _constant_blocks(population: Population, direction: torch.Tensor) -> list[tuple[str, float]]:
    out, start = [], 0
    for name, p in population.named_parameters():
        if not p.requires_grad:
            continue
        part = direction[start : start + p.numel()]
        start += p.numel()
        if float(part.abs().max()) < 1e-6:
            continue
        if p.numel() < 2 or float((part - part.mean()).abs().max()) > 1e-6:
            return []
        out.append((name, float(part.mean())))
    return out


def _only_simplex(population: Population, direction: torch.Tensor) -> str:
    """The name of the one group of weights that moves, if nothing else does."""
    start, moved = 0, []
    for name, p in population.named_parameters():
        if p.requires_grad:
            if float(direction[start : start + p.numel()].abs().max()) > 1e-9:
                moved.append(name)
            start += p.numel()
    return moved[0] if len(moved) == 1 and population.constraint_of(moved[0]) == "simplex" else ""


def _only_loadings(population: Population, direction: torch.Tensor) -> str:
    """The name of the loadings of low-rank tastes, if nothing else moves."""
    start, moved = 0, []
    loadings = {id(part.loadings) for part in population.modules() if isinstance(part, LowRank)}
    for name, p in population.named_parameters():
        if p.requires_grad:
            if float(direction[start : start + p.numel()].abs().max()) > 1e-9:
                moved.append((name, id(p) in loadings))
            start += p.numel()
    return moved[0][0] if len(moved) == 1 and moved[0][1] else ""


def sum_preserving(population: Population, directions: torch.Tensor) -> torch.Tensor:
    """Directions ``(G, P)`` with every group of weights moved along its simplex (its sum unchanged)."""
    out, start = directions.clone(), 0
    for name, p in population.named_parameters():
        if p.requires_grad:
            part = slice(start, start + p.numel())
            if population.constraint_of(name) == "simplex":
                share = (p / p.sum()).detach().double().flatten()
                out[:, part] = (out[:, part] - out[:, part].sum(-1, keepdim=True) * share) / p.detach().double().sum()
            start += p.numel()
    return out


def normalisation_words(population: Population, directions: torch.Tensor) -> list[str]:
    """One line for each direction ``(G, P)`` that no answers can tell, and the convention that fixes it.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(3), an.Luce())
        >>> from annosim.coordinates import identifiable_coordinates
        >>> normalisation_words(one, identifiable_coordinates(one, an.Items(n=3)).null)
        ['utility.values: its level (fixed by centring per prompt)']
    """
    if not len(directions):
        return []
    if len(directions) > 40:
        return [f"{len(directions)} directions of the parameters move nothing that answers could tell"]
    return list(dict.fromkeys(_normalisation(population, row) for row in sparse_basis(directions)))


def _normalisation(population: Population, row: torch.Tensor) -> str:
    blocks = _constant_blocks(population, row)
    simplex = _only_simplex(population, row)
    if simplex:
        return f"{simplex}: their sum (fixed to one)"
    if len(blocks) == 1:
        return f"{blocks[0][0]}: its level (fixed by centring per prompt)"
    if blocks and all(abs(value - blocks[0][1]) < 1e-6 for _, value in blocks):
        return f"{' and '.join(name for name, _ in blocks)}: their common level (fixed by centring the utilities)"
    rotated = _only_loadings(population, row)
    if rotated:
        return f"{rotated}: a rotation of the hidden directions (left as it is)"
    return describe_direction(population, row)
