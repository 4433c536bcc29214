"""Counts instead of answers: the multinomial sufficient statistics of a simulation, drawn directly.

The cost grows with the number of distinct menus (or blocks), not with the number of answers. The result is equal in law
to ``simulate(...).counts()``, not in draws: it reads the stream ``counts``.
"""

from __future__ import annotations

import numpy as np
import torch

from annosim.data.preferences import PreferenceData
from annosim.designs import Design
from annosim.errors import ArgumentError
from annosim.law import Law, law
from annosim.populations import Population
from annosim.random import STREAMS, check_seed
from annosim.results import versions

__all__ = ["simulate_counts"]


def simulate_counts(population: Population, design: Design, seed: int = 0, replicate: int = 0) -> PreferenceData:
    """Distinct menus and answers with how often each was given, as ``data.weight``.

    With one question an annotator, or one kind of annotator without memory, a row is a (menu, answer) and its weight
    the number of rows of the full simulation; otherwise it is a block of answers and its weight counts annotators.

    Raises:
        TooLargeError: too many distinct menus or blocks to write out.
        ArgumentError: blocks of a mixture with ``overlap`` or ``loads``, whose annotators do not have the same law or
            are not independent.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> data = simulate_counts(people, an.Design(an.Items(n=2), annotators=10**12), seed=0)
        >>> data.rows, int(data.weight.sum())
        (4, 1000000000000)
    """
    for leaf in population.leaves():
        leaf.rule.check_kind(design.feedback)
    generator = _generator(seed, replicate)
    with torch.no_grad():
        exact = law(population, design)
        if _rows_suffice(exact):
            return _by_row(exact, generator, seed, replicate)
        if design.overlap > 1 or design.loads is not None:
            raise ArgumentError(
                "simulate(counts=True): blocks of a mixture with overlap= or loads= are not equal and independent; "
                "simulate without counts= and collapse with data.counts()"
            )
        return _by_block(exact, generator, seed, replicate)


def _generator(seed: int, replicate: int) -> np.random.Generator:
    """numpy's Philox4x64 with the address as its 128-bit key."""
    if not 0 <= replicate < 2**32:
        raise ArgumentError(f"simulate(replicate={replicate!r}): a whole number from 0 to 2**32 - 1")
    key = np.array([check_seed(seed), (STREAMS["counts"] << 32) | replicate], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _rows_suffice(exact: Law) -> bool:
    """Rows are independent: one question a block, or a single component whose answers do not hang together."""
    return exact.questions == 1 or (len(exact.weight) == 1 and exact.table.shape[:2] == (1, 1))


def _by_row(exact: Law, generator: np.random.Generator, seed: int, replicate: int) -> PreferenceData:
    asked = _asked(exact, generator)
    given = (exact.weight[:, None, None] * exact.question(0).exp()).sum(0).numpy()
    shown = np.flatnonzero(asked)
    answers = generator.multinomial(asked[shown], given[shown] / given[shown].sum(-1, keepdims=True))
    menu, answer = np.nonzero(answers)
    return _data(exact, shown[menu][:, None], answer[:, None], answers[menu, answer], seed, replicate)


def _asked(exact: Law, generator: np.random.Generator) -> np.ndarray:
    """How often each menu is asked, ``(M,)``; annotators of one group share their questions."""
    design = exact.design
    if exact.fixed_sequence:
        return np.full(len(exact.menu), design.annotators, dtype=np.int64)
    share = exact.menu_probability.numpy()
    share = share / share.sum()
    if design.loads is not None and design.overlap == 1:
        return generator.multinomial(int(design.loads.sum()), share)
    if design.loads is not None:
        raise ArgumentError("simulate(counts=True): overlap= with loads= has no simple counts; leave out counts=")
    groups, rest = divmod(design.annotators, design.overlap)
    whole = generator.multinomial(groups * design.num_questions, share) * design.overlap
    return whole + (generator.multinomial(design.num_questions, share) * rest if rest else 0)


def _by_block(exact: Law, generator: np.random.Generator, seed: int, replicate: int) -> PreferenceData:
    share = exact.probabilities.numpy()
    drawn = generator.multinomial(exact.design.annotators, share / share.sum())
    kept = np.flatnonzero(drawn)
    blocks = exact.outcomes[kept]
    return _data(exact, blocks[..., 0], blocks[..., 1], drawn[kept], seed, replicate)


def _data(exact: Law, menus, answers, weight, seed: int, replicate: int) -> PreferenceData:
    """Blocks of menu and answer numbers ``(N, q)`` with their weights ``(N,)``."""
    count, q = menus.shape
    flat = answers.reshape(-1)
    answer = exact.space.answer[flat]
    if exact.design.feedback.kind == "choice" and answer.shape[1] == 1:
        answer = answer[:, 0]
    return PreferenceData._trusted(
        items=exact.design.items,
        menu=exact.menu.numpy()[menus.reshape(-1)].astype(np.int32),
        answer=answer,
        tied=None if exact.space.tied is None else exact.space.tied[flat],
        feedback=exact.design.feedback,
        annotator=None if q == 1 else np.repeat(np.arange(count, dtype=np.int32), q),
        order=np.tile(np.arange(q, dtype=np.int32), count) if q > 1 else None,
        weight=np.repeat(weight.astype(np.float64), q),
        settings={"seed": seed, "replicate": replicate, "path": "counts", "counts": True, **versions()},
    )
