"""The empirical design: the questions that annotators were really asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from annosim.data.asked import design_of, distinct_menus
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.information.support import LIMIT, DesignSupport
from annosim.laws import answer_space
from annosim.populations.base import Population
from annosim.random import CounterRNG, child_seed

__all__ = ["empirical"]


def empirical(
    population: Population, data: PreferenceData, seed: int = 0, limit: float = LIMIT
) -> tuple[Design, DesignSupport]:
    """A design over the menus of the data, and a frame that lists the blocks of its annotators.

    One type: menus suffice (answers are independent). Mixtures: every annotator's block of menus, shortened to a seeded
    choice of as many questions as fit (then the rank is a lower bound).

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(3), an.Luce())
        >>> data = an.simulate(one, an.Design(an.Items(n=3), annotators=50), seed=0)
        >>> empirical(one, data)[1].menu.shape[1]
        2
    """
    if data.replicates is not None:
        raise ArgumentError("identify(model, data): the data have replicates; pass one of them, data[r]")
    if any(component.rule.memory for component in population.components()):
        raise ArgumentError(
            "identify(model, data): a rule remembers earlier answers; pass the design instead of the data"
        )
    design = design_of(data).with_(annotators=data.num_annotators, questions=1, loads=None)
    listed = design.listed
    frame = DesignSupport(design, listed.menu, listed.probability, 1, covariates=listed.covariates)
    ids = np.asarray(data.annotator_ids)
    most = int(np.bincount(ids).max())
    if len(population.indexed(data.items)) == 1 and population.indexed(data.items)[0].weight.numel() == 1 or most == 1:
        return design, frame
    _, code = distinct_menus(data)
    blocks, weight, exact = _blocks(population, design, ids, code, data.annotator_weight, seed, limit)
    note = "" if exact else f"a seeded choice of {blocks.shape[1]} questions stands for each annotator's (up to {most})"
    by_block = replace(frame, blocks=blocks, block_share=weight, questions=blocks.shape[1], exact=exact, note=note)
    return design.with_(questions=blocks.shape[1]), by_block


def _blocks(population, design, ids, code, annotator_weight, seed, limit):
    """``(B, q)`` menu numbers, a block per annotator (shorter annotators repeat nothing: they are listed by size)."""
    answers = len(answer_space(population, design))
    components = len(population.components())
    counts = np.bincount(ids)
    typical = int(np.quantile(counts[counts > 0], 0.9))
    q = max(2, min(typical, 2 * components - 1, 3))
    while q > 2 and answers**q * max(1, population.num_free()) * 50 > limit:
        q -= 1
    rows, owner = _choose(ids, code, q, seed)
    most = int(max(50, limit / 4 / (answers**q * max(1, population.num_free()))))
    exact = bool((counts[counts > 0] == q).all()) and len(rows) <= most
    if len(rows) > most:
        u = CounterRNG(child_seed(seed, "empirical/blocks"), np.arange(len(rows))).uniform("analysis", 1)[:, 0]
        keep = np.sort(np.argsort(u)[:most])
        rows, owner = rows[keep], owner[keep]
    blocks, inverse = np.unique(rows, axis=0, return_inverse=True)
    share = np.bincount(inverse.reshape(-1), weights=annotator_weight[owner], minlength=len(blocks))
    return torch.as_tensor(blocks), torch.as_tensor(share / share.sum()), exact


def _choose(ids: np.ndarray, code: np.ndarray, q: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to four seeded choices of q questions from every annotator with at least q, and whose they are."""
    u = CounterRNG(child_seed(seed, "empirical/questions"), np.arange(len(ids))).uniform("analysis", 4)
    out, owner = [], []
    counts = np.bincount(ids)
    for draw in range(4):
        order = np.lexsort((u[:, draw], ids))
        place = np.arange(len(ids)) - np.repeat(np.r_[0, np.cumsum(counts)[:-1]], counts)
        keep = (place < q) & (counts[ids[order]] >= q)
        if keep.any():
            out.append(np.sort(code[order][keep].reshape(-1, q), axis=1))
            owner.append(ids[order][keep].reshape(-1, q)[:, 0])
        if bool((counts[counts > 0] == q).all()):
            break
    if not out:
        raise ArgumentError(
            "identify(model, data): no annotator has two answers; a mixture is then judged by its design"
        )
    return np.concatenate(out), np.concatenate(owner)
