"""Local ranks of many populations of one structure as one batched program."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from annosim.coordinates import Coordinates, identifiable_coordinates
from annosim.coordinates.identifiable import decompose, in_float64, is_signal
from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.identifiability.local import saturation
from annosim.information.jacobian import factors, listed_law, symmetric_size, symmetric_tangent, vectors
from annosim.information.support import DesignSupport, prepare
from annosim.information.threads import few_threads
from annosim.populations.base import Population

__all__ = ["Ranks", "local_ranks"]


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks of ``B`` populations.

    Attributes:
        rank: ``(B,)`` long.
        num_parameters: ``(B,)`` long.
        singular_values: ``(B, P)`` relative to each one's largest, descending, zeros beyond the identifiable ones.
        questions: ``(B,)`` questions that were looked at: one where that is enough for a full rank (more never lower
            it).
        exact: nothing was left out; otherwise deficient ranks are lower bounds.
    """

    rank: torch.Tensor
    num_parameters: torch.Tensor
    singular_values: torch.Tensor
    questions: torch.Tensor
    exact: bool


def local_ranks(
    population: Population, design: Design, vectors_: torch.Tensor, *, chunk: int = 500, seed: int = 0
) -> Ranks:
    """Ranks of the law at many parameter vectors of one population's structure.

    Args:
        population: the structure (its own values do not matter, but must be generic for its order effects).
        design: what is asked.
        vectors_: ``(B, P)`` parameter vectors, in the order of ``population.vector()``.
        chunk: how many are held in memory at once.
        seed: of a sample of menus, where there are too many.

    Raises:
        ArgumentError: vectors of the wrong length.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., 1., -1., .5]), an.Luce()) for _ in range(2)])
        >>> z = torch.randn(20, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> z[:, :2] = torch.softmax(z[:, :2], -1)
        >>> local_ranks(two, an.Design(an.Items(n=4)), z).rank.unique().tolist()  # T5: 6 of 7
        [6]
    """
    population = in_float64(population)
    size = population.num_free()
    if vectors_.ndim != 2 or vectors_.shape[1] != size:
        raise ArgumentError(f"local_ranks: vectors of shape {tuple(vectors_.shape)}, expected (B, {size})")
    frame = prepare(population, design, seed=seed)
    know = identifiable_coordinates(population, design.items)
    components = sum(len(c.weight) for c in population.indexed(design.items))
    questions = frame.questions if frame.blocks is not None else saturation(components, frame.questions)
    pattern = _pattern(population, frame, vectors_[0].double()) if frame.blocks is None else None
    exact = frame.exact
    if pattern is not None:
        while questions > 1 and symmetric_size(pattern[1], questions) * size > 4e6:
            questions, exact = questions - 1, False
    with few_threads():
        return _ranks(population, frame, know, pattern, vectors_.double(), questions, exact, chunk)


def _ranks(population, frame, know, pattern, vectors_, questions, exact, chunk) -> Ranks:
    program = _Program(population, frame, know, None if pattern is None else pattern[0])
    first = program(vectors_, 1 if pattern is not None else questions, chunk)
    rank, known, values, asked = first
    again = torch.nonzero(rank < known).flatten()
    if pattern is not None and questions > 1 and len(again):
        more = program(vectors_[again], questions, chunk)
        rank[again], values[again] = more[0], more[2]
        asked[again] = questions
    return Ranks(rank, known, values, asked, exact)


class _Program:
    """Laws and coordinates of many parameter vectors, differentiated together."""

    def __init__(self, population: Population, frame: DesignSupport, know: Coordinates, live: torch.Tensor | None):
        self.population, self.frame, self.know, self.live = population, frame, know, live

    def _one(self, v: torch.Tensor, questions: int):
        p = self.population
        coordinates = torch.func.jacfwd(lambda x: self.know.with_scale(p, x))(v)
        if self.frame.blocks is not None:
            law = torch.func.jacfwd(
                lambda x: p.functional_call(x, lambda q: listed_law(*factors(q, self.frame), self.frame))
            )(v)
        else:
            law = _tangent(p, self.frame, v, self.live, questions)
        return law, coordinates

    def __call__(self, vectors_: torch.Tensor, questions: int, chunk: int):
        program = torch.func.vmap(lambda v: self._one(v, questions))
        ranks, known, values = [], [], []
        for part in vectors_.split(chunk):
            law, coordinates = program(part)
            seen = decompose(coordinates)
            jacobian = law @ seen.basis
            if jacobian.shape[-2] > jacobian.shape[-1]:
                jacobian = torch.linalg.qr(jacobian, mode="r")[1]
            found = torch.linalg.svdvals(jacobian)
            relative = found / found[:, :1].clamp_min(1e-300)
            ranks.append(is_signal(found).sum(-1))
            known.append(seen.rank)
            values.append(relative)
        rank = torch.cat(ranks)
        return rank, torch.cat(known), torch.cat(values), torch.full_like(rank, questions)


def _pattern(population: Population, frame: DesignSupport, v: torch.Tensor) -> tuple[torch.Tensor | None, int]:
    """Which columns of the tangents can move at all, and the size of their span."""
    weight, f, _, df = _raw(population, frame, v)
    flat = df.permute(1, 0, 2).reshape(f.shape[1], -1)
    live = (flat != 0).any(0)
    width = weight.shape[1] + int(live.sum())
    return (live, width) if width < f.shape[1] else (None, f.shape[1])


def _raw(population: Population, frame: DesignSupport, v: torch.Tensor):
    def function(x):
        weight, table = population.functional_call(x, lambda p: factors(p, frame))
        both = weight, vectors(table, frame)
        return both, both

    (dweight, df), (weight, f) = torch.func.jacfwd(function, has_aux=True)(v)
    return weight, f, dweight, df


def _tangent(population: Population, frame: DesignSupport, v: torch.Tensor, live: torch.Tensor | None, questions: int):
    weight, f, dweight, df = _raw(population, frame, v)
    if live is not None and questions > 1:
        c, d = f.shape
        flat = df.permute(1, 0, 2).reshape(d, -1)
        columns = torch.cat([f.transpose(0, 1), flat[:, live.nonzero().flatten()]], 1)
        r = torch.linalg.qr(columns, mode="reduced")[1]
        at = torch.full((len(live),), -1, dtype=torch.long)
        at[live] = torch.arange(int(live.sum()))
        packed = torch.where(live, r[:, c:][:, at.clamp_min(0)], torch.zeros((), dtype=r.dtype))
        f, df = r[:, :c].transpose(0, 1), packed.reshape(r.shape[0], c, -1).permute(1, 0, 2)
    return symmetric_tangent(weight, dweight, f, df, questions)
