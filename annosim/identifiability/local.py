"""Local analysis: the rank of the law's Jacobian in the identifiable coordinates, and its null directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from annosim.coordinates import Coordinates
from annosim.coordinates.identifiable import RANK_TOLERANCE, in_float64, is_signal, refined
from annosim.coordinates.wording import describe_direction, sparse_basis, sum_preserving
from annosim.information.jacobian import compress, law_jacobian, symmetric_size, tangents
from annosim.information.support import LIMIT, DesignSupport
from annosim.populations.base import Population

__all__ = ["LocalRank", "NullDirection", "local_rank"]

#: relative singular values below this may be the error of averages over tastes
SUSPECT = 1e-3


@dataclass(frozen=True, eq=False)
class NullDirection:
    """A direction in which the law does not move at first order.

    Attributes:
        vector: ``(P,)`` in the order of ``population.vector()``, largest entry 1.
        changes: name of each parameter that moves, and by how much.
        words: the same as a sentence.
    """

    vector: torch.Tensor
    changes: Mapping[str, float]
    words: str

    def __str__(self) -> str:
        return self.words

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class LocalRank:
    """Rank of the law on the identifiable coordinates.

    Attributes:
        rank: singular values that are signal (:func:`annosim.coordinates.identifiable.is_signal`).
        num_parameters: number of identifiable coordinates.
        singular_values: ``(num_parameters,)`` relative to the largest, descending.
        largest: the largest one: how far the law moves per unit of its best known direction.
        null: ``(num_parameters, n)`` orthonormal null directions in identifiable coordinates.
        right: ``(num_parameters, num_parameters)`` all right singular vectors, columns.
        questions: questions of a block that were needed.
        exact: False when the rank is only a lower bound.
        note: why.
        blurred: averages over tastes are not exact enough to say whether the law moves along the null directions.
    """

    rank: int
    num_parameters: int
    singular_values: torch.Tensor
    largest: float
    null: torch.Tensor
    right: torch.Tensor
    questions: int
    exact: bool
    note: str
    blurred: bool = False

    @property
    def full(self) -> bool:
        """Nothing is null."""
        return self.rank == self.num_parameters

    @property
    def gap(self) -> tuple[float, float]:
        """Smallest relative singular value that counts, and the largest that does not (0 when there is none)."""
        s = self.singular_values
        kept = float(s[self.rank - 1]) if self.rank else 0.0
        lost = float(s[self.rank]) if self.rank < len(s) else 0.0
        return kept, lost

    @property
    def clear(self) -> bool:
        """The least that counts is ten times above the rule; what does not is a hundred times below that."""
        kept, lost = self.gap
        return self.rank == 0 or kept > 10 * RANK_TOLERANCE and kept > 100 * lost


def saturation(components: int, questions: int) -> int:
    r"""Questions after which the rank of a mixture of ``components`` cannot grow any more: ``min(questions, 2C - 1)``.

    The tangents ``f_c^{(x)q}`` and ``f_c^{(x)(q-1)} df`` are evaluations of polynomials of degree q and of their
    derivatives
    at C points; polynomials of degree 2C - 1 take any values and derivatives at C points (products of squared linear
    forms), so that from there on they are as independent as they will ever be.
    """
    return max(1, min(questions, 2 * components - 1))


def local_rank(population: Population, frame: DesignSupport, know: Coordinates) -> LocalRank:
    """Rank of the law's Jacobian on the identifiable coordinates.

    As many questions as can matter (:func:`saturation`) and fit into memory are looked at.

    Example:
        >>> import annosim as an
        >>> from annosim.coordinates import identifiable_coordinates
        >>> from annosim.information import prepare
        >>> one, design = an.Annotator(an.Tabular(4), an.Luce()), an.Design(an.Items(n=4), menus=[[0, 1], [2, 3]])
        >>> local_rank(one, prepare(one, design), identifiable_coordinates(one, design.items)).rank
        2
    """
    population, more = in_float64(population), False
    if frame.blocks is None:
        q, more = _questions(population, frame, know)
        frame = frame.with_questions(q)
    found = _ranked(law_jacobian(population, frame) @ know.basis, frame)
    finer = refined(population) if found.rank and found.gap[0] < SUSPECT else None
    if finer is not None:
        found = _ranked(law_jacobian(population, frame) @ know.basis, frame, law_jacobian(finer, frame) @ know.basis)
    if not found.full and more:
        note = f"the first {frame.questions} questions are looked at"
        return replace(found, exact=False, note="; ".join(filter(None, [frame.note, note])))
    # more questions or menus never lower a rank, so a full rank is exact even where something was left out
    return replace(found, exact=True) if found.full else found


def _questions(population: Population, frame: DesignSupport, know: Coordinates) -> tuple[int, bool]:
    """As many questions as fit into memory, and whether more could matter."""
    weight, f, _, df = tangents(population, population.vector(), frame)
    size = compress(f, df)[0].shape[1]
    most = saturation(weight.shape[1], frame.questions)
    q = 1
    while q < most and symmetric_size(size, q + 1) * know.num_parameters * (q + 1) < LIMIT / 4:
        q += 1
    return q, q < most


def _ranked(jacobian: torch.Tensor, frame: DesignSupport, finer: torch.Tensor | None = None) -> LocalRank:
    size = jacobian.shape[1]
    if len(jacobian) > size:
        jacobian = torch.linalg.qr(jacobian, mode="r")[1]
    _, s, vt = torch.linalg.svd(jacobian, full_matrices=True)
    s = torch.cat([s, torch.zeros(size - len(s), dtype=s.dtype)])
    top = float(s[0]) if size else 0.0
    relative = s / top if top > 0 else s
    counts = is_signal(s, None if finer is None else (finer @ vt.T).norm(dim=0)) if size else s > 0
    rank = int(counts.sum())
    blurred = finer is not None and rank < int(is_signal(s).sum())
    return LocalRank(
        rank=rank,
        num_parameters=size,
        singular_values=relative,
        largest=top,
        null=vt[rank:].T,
        right=vt.T,
        questions=frame.questions,
        exact=frame.exact or rank == size,
        note=frame.note,
        blurred=blurred,
    )


def null_directions(population: Population, know: Coordinates, null: torch.Tensor) -> tuple[NullDirection, ...]:
    """Null directions of the law as changes of named parameters."""
    if not null.shape[1]:
        return ()
    names = population.parameter_names()
    out = []
    for row in sparse_basis(sum_preserving(population, (know.basis @ null).T)):
        moved = {names[i]: float(row[i]) for i in range(len(names)) if abs(float(row[i])) > 1e-9}
        out.append(NullDirection(row, moved, describe_direction(population, row)))
    return tuple(out)
