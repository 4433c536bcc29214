"""The law on its factors: its Jacobian, and distances between laws (see :mod:`annosim.information`)."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
import torch

from annosim.autodiff import forward_jacobian
from annosim.coordinates.identifiable import in_float64
from annosim.coordinates.observed import covariate_rows
from annosim.designs.design import Design
from annosim.errors import ArgumentError, NothingFreeError
from annosim.information.support import DesignSupport, prepare
from annosim.laws import Law, on_menus
from annosim.parameters import fixed
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture

__all__ = ["factors", "law_distance", "law_jacobian", "symmetric_index"]

#: rows of covariates that a law is written out for
MANY_COVARIATES = 64

# ---- the law on factors ------------------------------------------------------------------------------------------


def factors(population: Population, frame: DesignSupport) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights ``(X, C)`` and probabilities ``(J, V, C, M, A)`` of one question; differentiable, and works under vmap.

    Where the shares of the types depend on who answers (:class:`annosim.Gated`), the law is that of a block and of the
    covariates of who gave it: a row for each of the ``X`` covariates, carrying the root of its probability. Otherwise
    there is one row.
    """
    one = on_menus(population, frame.design, frame.menu, frame.share, frame.covariates)
    return weights_by_covariates(population, one), one.table.exp()


def weights_by_covariates(population: Population, law: Law) -> torch.Tensor:
    """``(X, C)`` weights of a law's components given the covariates, times the root of the covariates' probability.

    Of more than :data:`MANY_COVARIATES` rows, that many stand for all: more never lower a rank.
    """
    rows = covariate_rows(population)
    if not rows:
        return law.weight[None]
    kept = np.unique(np.linspace(0, rows - 1, min(rows, MANY_COVARIATES)).round().astype(int))
    share = population.annotator_weights(kept)
    if share is None:
        return law.weight[None]
    within = law.weight / population.component_weights()[law.component].clamp_min(1e-300)
    return share.double()[:, law.component] * within / len(kept) ** 0.5


def vectors(table: torch.Tensor, frame: DesignSupport) -> torch.Tensor:
    """``f_c``: the first question's table times the root of the menus' shares, ``(..., C, M * A)``."""
    return (table[..., 0, -1, :, :, :] * frame.share.sqrt()[:, None]).flatten(-2)


@lru_cache(maxsize=64)
def symmetric_index(r: int, q: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sorted multi-indices of a symmetric ``r^q`` tensor ``(N, q)``, and the root of how often each occurs."""
    if q == 1:
        return torch.arange(r)[:, None], torch.ones(r, dtype=torch.float64)
    index = np.array(list(itertools.combinations_with_replacement(range(r), q)), dtype=np.int64).reshape(-1, q)
    count = np.full(len(index), float(math.factorial(q)))
    run = np.ones(len(index))
    for j in range(1, q):
        run = np.where(index[:, j] == index[:, j - 1], run + 1, 1.0)
        count /= run
    return torch.as_tensor(index), torch.as_tensor(np.sqrt(count))


def symmetric_size(r: int, q: int) -> int:
    """Distinct entries of a symmetric tensor with ``q`` indices of ``r`` values."""
    return math.comb(r + q - 1, q)


def symmetric_law(weight: torch.Tensor, f: torch.Tensor, q: int) -> torch.Tensor:
    """``sum_c w_c f_c^{(x)q}`` in the coordinates of symmetric tensors: ``(X, C), (C, r) -> (X N,)``, isometric."""
    index, root = symmetric_index(f.shape[-1], q)
    product = f[..., index[:, 0]]
    for j in range(1, q):
        product = product * f[..., index[:, j]]
    return (weight @ product * root).flatten()


def symmetric_tangent(
    weight: torch.Tensor, dweight: torch.Tensor, f: torch.Tensor, df: torch.Tensor, q: int
) -> torch.Tensor:
    """Derivative of :func:`symmetric_law`: ``(X, C), (X, C, P), (C, r), (C, r, P) -> (X N, P)``."""
    index, root = symmetric_index(f.shape[-1], q)
    parts = [f[..., index[:, j]] for j in range(q)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole * part
    out = whole.transpose(-1, -2) @ dweight
    for j in range(q):
        rest = weight.unsqueeze(-1).expand(*weight.shape, parts[0].shape[-1])
        for i in range(q):
            if i != j:
                rest = rest * parts[i]
        out = out + (rest.unsqueeze(-1) * df[..., index[:, j], :]).sum(-3)
    return (out * root.unsqueeze(-1)).flatten(0, -2)


def listed_law(weight: torch.Tensor, table: torch.Tensor, frame: DesignSupport) -> torch.Tensor:
    """The law on listed blocks, ``(X B A^q,)``, entries times the root of the block's share; differentiable."""
    assert_blocks = frame.blocks
    if assert_blocks is None:
        raise ArgumentError("listed_law: the frame lists no blocks")
    joint = None
    answers = table.shape[-1]
    for j in range(frame.questions):
        part = table[j if table.shape[0] > 1 else 0]
        menus = assert_blocks[:, j]
        if part.shape[0] == 1 or joint is None:
            now = part[-1][:, menus]  # (C, B, A)
            joint = now if joint is None else (joint.unsqueeze(-1) * now.unsqueeze(-2)).flatten(-2)
            continue
        now = part[:answers][:, :, menus].permute(1, 2, 0, 3)  # (C, B, previous, A)
        shape = joint.shape
        split = joint.reshape(*shape[:-1], -1, answers)
        joint = (split.unsqueeze(-1) * now.unsqueeze(-3)).flatten(-3)
    if joint is None or frame.block_share is None:
        raise ArgumentError("listed_law: no questions")
    mixed = torch.einsum("xc,cba->xba", weight, joint)
    return (mixed * frame.block_share.sqrt()[:, None]).flatten()


# ---- Jacobian ----------------------------------------------------------------------------------------------------


def law_jacobian(population: Population, frame: DesignSupport, *, questions: int | None = None) -> torch.Tensor:
    """Jacobian of the law in the free parameters, ``(rows, P)`` float64, up to a rotation of the rows.

    Raises:
        NothingFreeError: nothing is free.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(3), an.Luce())
        >>> J = law_jacobian(one, prepare(one, an.Design(an.Items(n=3))))
        >>> int(torch.linalg.matrix_rank(J))
        2
    """
    population = in_float64(population)
    if not population.num_free():
        raise NothingFreeError("the Jacobian of a law needs a free parameter; nothing is free in this population")
    v = population.vector()
    if frame.blocks is not None:
        function = lambda x: population.functional_call(x, lambda p: listed_law(*factors(p, frame), frame))  # noqa: E731
        return forward_jacobian(function, v)
    weight, f, dweight, df = tangents(population, v, frame)
    f, df = compress(f, df)
    return symmetric_tangent(weight, dweight, f, df, questions or frame.questions)


def tangents(
    population: Population, v: torch.Tensor, frame: DesignSupport
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """``weight (X, C), f (C, D), dweight (X, C, P), df (C, D, P)`` at the parameter vector ``v``."""

    def function(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weight, table = population.functional_call(x, lambda p: factors(p, frame))
        return weight, vectors(table, frame)

    weight, f = function(v)
    dweight, df = forward_jacobian(function, v)
    return weight.detach(), f.detach(), dweight.detach(), df.detach()


def compress(f: torch.Tensor, df: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same vectors in an orthonormal frame of their span: ``(C, r), (C, r, P)``."""
    c, d = f.shape
    flat = df.permute(1, 0, 2).reshape(d, -1)
    live = (flat != 0).any(0)
    columns = torch.cat([f.T, flat[:, live]], 1)
    if columns.shape[1] >= d:
        return f, df
    r = torch.linalg.qr(columns, mode="r")[1]
    packed = torch.zeros(len(r), flat.shape[1], dtype=f.dtype)
    packed[:, live] = r[:, c:]
    return r[:, :c].T.contiguous(), packed.reshape(len(r), c, -1).permute(1, 0, 2).contiguous()


# ---- distance ----------------------------------------------------------------------------------------------------


def law_distance(first: Population, second: Population, design: Design | DesignSupport, *, seed: int = 0) -> float:
    r"""Distance of two laws: the root of ``E_menus sum_answers (P(answers | menus) - Q(answers | menus))^2``.

    Zero exactly when the laws agree; rounding leaves about 1e-16, since both populations are read in one frame.

    Example:
        >>> import annosim as an
        >>> a = an.Annotator(an.Tabular([0., 1.]), an.Luce()); b = an.Annotator(an.Tabular([1., 2.]), an.Luce())
        >>> law_distance(a, b, an.Design(an.Items(n=2))) < 1e-15
        True
    """
    if not isinstance(first, Population) or not isinstance(second, Population):
        raise ArgumentError("law_distance(first, second, design): give two populations, and an.Design(...)")
    both = _both(first, second)
    frame = design if isinstance(design, DesignSupport) else prepare(both, design, seed=seed)
    with torch.no_grad():
        weight, table = factors(both, frame)  # one call: the same answers are listed for both
        split = sum(len(c.weight) for c in first.indexed(frame.design.items))
        weight = 2 * torch.cat([weight[:, :split], -weight[:, split:]], 1)
        if frame.blocks is not None:
            return float(listed_law(weight, table, frame).norm())
        f = vectors(table, frame)
        if len(f) < f.shape[1]:
            f = torch.linalg.qr(f.T, mode="r")[1].T
        q = frame.questions
        # atoms are len(weight): laws of more questions agree exactly when those of len(weight) - 1 do
        while q > 1 and symmetric_size(f.shape[1], q) > 2e6:
            q -= 1
        return float(symmetric_law(weight, f, q).norm())


def _both(first: Population, second: Population) -> Population:
    return Mixture([in_float64(first), in_float64(second)], weights=fixed([0.5, 0.5]))


def common_frame(first: Population, second: Population, design: Design, seed: int = 0) -> DesignSupport:
    """A support that serves two populations: their order effects, memories and answers."""
    return prepare(_both(first, second), design, seed=seed)
