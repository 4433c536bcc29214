"""Counts instead of answers: the multinomial sufficient statistics of a simulation, drawn directly.

The cost grows with the number of distinct menus (or blocks), not with the number of answers. The result is equal in law
to ``simulate(...).counts()``, not in draws: it reads the stream ``counts``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import torch

from annosim.data.joining import concat
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError, TooLargeError, told
from annosim.laws import Law, law
from annosim.populations.base import Population
from annosim.populations.random_tastes import RandomTastes
from annosim.random import STREAMS, check_seed
from annosim.results import versions
from annosim.simulation.rows import RowSampler

__all__ = ["simulate_counts"]

#: Rows that are simulated and collapsed at a time, where the law is not known in closed form.
_CHUNK = 1 << 20
#: Rows that are simulated and collapsed at most: some minutes.
_MOST = 10**10


def simulate_counts(population: Population, design: Design, seed: int = 0, replicate: int = 0) -> PreferenceData:
    """Distinct menus and answers with how often each was given, as ``data.weight``.

    With one question an annotator, or one kind of annotator without memory, a row is a (menu, answer) and its weight
    the number of rows of the full simulation; otherwise it is a block of answers and its weight counts annotators.

    Distributions of tastes have no closed law (quadrature would be off by more than a large sample shows), and types
    that depend on the annotator are not drawn alike: these are simulated and collapsed, annotator by annotator, in
    memory for the distinct blocks; ``data.settings["path_reasons"]`` says so.

    Raises:
        TooLargeError: too many distinct menus or blocks to write out, or more than 1e10 rows to simulate and collapse.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> data = simulate_counts(people, an.Design(an.Items(n=2), annotators=10**12), seed=0)
        >>> data.rows, int(data.weight.sum())
        (4, 1000000000000)
    """
    for component in population.components():
        component.rule.check_kind(design.feedback)
    generator = _generator(seed, replicate)
    with torch.no_grad():
        reason = _no_closed_law(population)
        if reason:
            return _collapsed(population, design, seed, replicate, reason)
        try:
            exact = law(population, design)
            blocks = _by_row(exact, generator) if _rows_suffice(exact) else _by_block(exact, generator)
        except TooLargeError as error:
            raise TooLargeError(
                f"simulate(counts=True): {error}; or leave out counts= and collapse with data.counts()"
            ) from None
    return _data(exact, blocks, seed, replicate)


def _generator(seed: int, replicate: int) -> np.random.Generator:
    """numpy's Philox4x64 with the address as its 128-bit key."""
    if not 0 <= replicate < 2**32:
        raise ArgumentError(f"simulate(replicate={told(replicate)}): a whole number from 0 to 2**32 - 1")
    key = np.array([check_seed(seed), (STREAMS["counts"] << 32) | replicate], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _no_closed_law(population: Population) -> str:
    """Why counts cannot be drawn from the exact law; empty when they can."""
    if any(isinstance(component, RandomTastes) for component in population.components()):
        return "the law of a distribution of tastes has no closed form"
    if population.annotator_weights(np.arange(1)) is not None:
        return "types depend on the annotator"
    return ""


def _collapsed(population: Population, design: Design, seed: int, replicate: int, reason: str) -> PreferenceData:
    """Simulate some annotators at a time and keep what is distinct."""
    if design.num_rows > _MOST:
        raise TooLargeError(
            f"simulate(counts=True): {reason}, so every answer is drawn; {design.num_rows:.3g} rows are too many "
            f"(at most {_MOST:.0e}): lower annotators"
        )
    sampler = RowSampler(population, design, seed)
    step = max(64, _CHUNK // design.num_questions // 64 * 64)
    kept: list[PreferenceData] = []
    for first in range(0, design.annotators, step):
        last = min(first + step, design.annotators)
        block, low = sampler.draw(first, last, replicate), sampler.row_of(first)
        annotator, order = sampler.layout(low, low + len(block.menu))
        alone = design.num_questions == 1
        part = PreferenceData._from_validated(
            items=design.items,
            menu=block.menu,
            answer=block.answer,
            tied=block.tied,
            feedback=design.feedback,
            annotator=None if alone else (annotator - first).astype(np.int32),
            order=None if alone else order.astype(np.int32),
            covariates=sampler.covariates(first, last, replicate),
        ).counts()
        kept.append(part)
        if sum(p.rows for p in kept[1:]) >= kept[0].rows:  # merging costs what is there: do it when it has doubled
            kept = [concat(kept, annotators="new").counts()]
    settings = {
        "seed": seed,
        "replicate": replicate,
        "path": "counts",
        "counts": True,
        "path_reasons": {"counts": f"{reason}: simulated, then collapsed"},
        **versions(),
    }
    return replace(concat(kept, annotators="new").counts(), settings=settings)


def _rows_suffice(exact: Law) -> bool:
    """Rows are independent: one question a block, or a single component whose answers do not hang together."""
    return exact.questions == 1 or (len(exact.weight) == 1 and exact.table.shape[:2] == (1, 1))


#: menu numbers and answer numbers ``(N, questions)``, and how often each block was given ``(N,)``
Blocks = tuple[np.ndarray, np.ndarray, np.ndarray]


def _groups(design: Design) -> list[tuple[Counter[int], int]]:
    """Kinds of groups that share their questions: number of questions -> members who answer so many, and how many."""
    if design.loads is None:
        groups, rest = divmod(design.annotators, design.overlap)
        kinds = [(Counter({design.num_questions: design.overlap}), groups)]
        return kinds + ([(Counter({design.num_questions: rest}), 1)] if rest else [])
    padded = np.zeros(-(-len(design.loads) // design.overlap) * design.overlap, dtype=np.int64)
    padded[: len(design.loads)] = design.loads
    rows, count = np.unique(np.sort(padded.reshape(-1, design.overlap), 1), axis=0, return_counts=True)
    return [(Counter(row[row > 0].tolist()), int(n)) for row, n in zip(rows, count, strict=True)]


def _shares(exact: Law) -> np.ndarray:
    share = exact.menu_probability.numpy()
    return share / share.sum()


def _by_row(exact: Law, generator: np.random.Generator) -> list[Blocks]:
    asked = _asked(exact, generator)
    given = (exact.weight[:, None, None] * exact.question(0).exp()).sum(0).numpy()
    shown = np.flatnonzero(asked)
    answers = generator.multinomial(asked[shown], given[shown] / given[shown].sum(-1, keepdims=True))
    menu, answer = np.nonzero(answers)
    return [(shown[menu][:, None], answer[:, None], answers[menu, answer])]


def _asked(exact: Law, generator: np.random.Generator) -> np.ndarray:
    """How often each menu is asked, ``(M,)``; annotators of one group share their questions."""
    design = exact.design
    if exact.fixed_sequence:
        loads = np.full(1, len(exact.menu)) if design.loads is None else design.loads
        people = design.annotators if design.loads is None else 1
        return people * (loads[:, None] > np.arange(len(exact.menu))).sum(0)
    asked = np.zeros(len(exact.menu), dtype=np.int64)
    for members, groups in _groups(design):
        before = 0
        for load in sorted(members):  # places of the sequence that equally many members reach
            reach = sum(n for longer, n in members.items() if longer >= load)
            asked += reach * generator.multinomial(groups * (load - before), _shares(exact))
            before = load
    return asked


def _by_block(exact: Law, generator: np.random.Generator) -> list[Blocks]:
    """First how many annotators get each sequence of menus, then what they answer."""
    exact.check_size()
    found = []
    for load, asked in sorted(_sequences(exact, generator).items()):
        part = exact.of_load(load)
        m, a = (1 if part.fixed_sequence else len(part.menu)), len(part.space)
        places = np.r_[np.arange(0, 2 * load, 2), np.arange(1, 2 * load, 2)]  # all menus, then all answers
        table = part.probabilities.reshape((m, a) * load).transpose(places).reshape(m**load, a**load)
        shown = np.flatnonzero(asked)
        given = generator.multinomial(asked.flat[shown], table[shown] / table[shown].sum(-1, keepdims=True))
        sequence, answers = np.nonzero(given)
        menus = np.stack(np.unravel_index(shown[sequence], (m,) * load), 1)
        if part.fixed_sequence:
            menus = np.broadcast_to(np.arange(load), menus.shape)
        found.append((menus, np.stack(np.unravel_index(answers, (a,) * load), 1), given[sequence, answers]))
    return found


def _sequences(exact: Law, generator: np.random.Generator) -> dict[int, np.ndarray]:
    """Number of questions -> annotators who get each sequence of so many menus, ``(M, M, ...)``."""
    design = exact.design
    if exact.fixed_sequence:
        loads = np.full(1, exact.questions) if design.loads is None else design.loads
        people = design.annotators if design.loads is None else 1
        return {int(q): np.full((1,) * int(q), people * n) for q, n in Counter(loads.tolist()).items()}
    found: dict[int, np.ndarray] = {}
    for members, groups in _groups(design):
        longest = max(members)
        chance = _shares(exact)
        for _ in range(longest - 1):
            chance = np.multiply.outer(chance, _shares(exact))
        drawn = generator.multinomial(groups, chance.reshape(-1)).reshape((len(exact.menu),) * longest)
        for load, n in members.items():  # whoever answers fewer sees the first of them
            found[load] = found.get(load, 0) + n * drawn.sum(tuple(range(load, longest)))
    return found


def _data(exact: Law, blocks: list[Blocks], seed: int, replicate: int) -> PreferenceData:
    """Blocks of equal length, one list after the other, as data."""
    length = np.concatenate([np.full(len(weight), menus.shape[1]) for menus, _, weight in blocks])
    menus, answers = (np.concatenate([part[i].reshape(-1) for part in blocks]) for i in (0, 1))
    weight = np.repeat(np.concatenate([part[2] for part in blocks]).astype(np.float64), length)
    answer = exact.space.answer[answers]
    if exact.design.feedback.kind == "choice" and answer.shape[1] == 1:
        answer = answer[:, 0]
    alone = bool((length == 1).all())
    start = np.repeat(np.cumsum(length) - length, length)
    return PreferenceData._from_validated(
        items=exact.design.items,
        menu=exact.menu.numpy()[menus].astype(np.int32),
        answer=answer,
        tied=None if exact.space.tied is None else exact.space.tied[answers],
        feedback=exact.design.feedback,
        annotator=None if alone else np.repeat(np.arange(len(length), dtype=np.int32), length),
        order=None if alone else (np.arange(len(start)) - start).astype(np.int32),
        weight=weight,
        covariates={name: value.numpy()[menus] for name, value in exact.covariates.items()},
        settings={"seed": seed, "replicate": replicate, "path": "counts", "counts": True, **versions()},
    )
