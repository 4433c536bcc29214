"""Drawing from the law: ``simulate(population, design, seed=)``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
import torch

from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError, TooLargeError, told
from annosim.laws import check_question
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.random_tastes import hidden_truth
from annosim.results import versions
from annosim.simulation import memory, reference
from annosim.simulation.counts import simulate_counts
from annosim.simulation.dispatch import choose
from annosim.simulation.paths import PathName
from annosim.simulation.rows import RowSampler
from annosim.simulation.torch_path import TorchSampler

if TYPE_CHECKING:  # pyarrow takes a while to import
    from annosim.io.shards import Shards

#: called after every shard with (rows written, rows kept from before, rows in all)
Progress: TypeAlias = Callable[[int, int, int], None]

__all__ = ["draw_types", "simulate", "simulate_like", "to_cpu"]


@overload
def simulate(
    population: Population,
    design: Design,
    *,
    seed: int = ...,
    replicates: int | None = ...,
    replicate: int = ...,
    counts: bool = ...,
    out: None = None,
    shard_rows: int | None = ...,
    path: PathName = ...,
    device: str = ...,
    threads: int | None = ...,
    progress: Progress | None = ...,
) -> PreferenceData: ...


@overload
def simulate(
    population: Population,
    design: Design,
    *,
    seed: int = ...,
    replicates: int | None = ...,
    replicate: int = ...,
    counts: bool = ...,
    out: str | os.PathLike[str],
    shard_rows: int | None = ...,
    path: PathName = ...,
    device: str = ...,
    threads: int | None = ...,
    progress: Progress | None = ...,
) -> Shards: ...


def simulate(
    population: Population,
    design: Design,
    *,
    seed: int = 0,
    replicates: int | None = None,
    replicate: int = 0,
    counts: bool = False,
    out: str | os.PathLike[str] | None = None,
    shard_rows: int | None = None,
    path: PathName = "auto",
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
) -> PreferenceData | Shards:
    """Draw what the population says to the design.

    A draw's address is ``(seed, replicate, stream, entity, k)``: nothing depends on chunks, threads or the device, and
    a longer run begins with the shorter one. Memory is ``4 k + 1`` bytes a row for choices from menus of ``k`` (``5 k``
    for rankings), 8 more when an annotator answers several questions, and one byte an annotator.

    Args:
        population: who answers.
        design: what they are asked.
        seed: 0 .. 2**64 - 1.
        replicates: R independent data sets along a leading axis.
        replicate: which replicate, when only one is drawn.
        counts: draw how often each answer is given instead of the answers: ``data.weight``, equal in law to collapsing
            the full simulation; the cost grows with the number of distinct menus (blocks, for mixtures with several
            questions). See :mod:`annosim.simulation.counts`.
        out: a directory: stream shards of parquet to it in constant memory; resumes. See :mod:`annosim.simulation.streaming`.
        shard_rows: rows of a shard, about; by default 4 million pairs, or what takes as much memory (40 MB a thread).
        path: ``"auto"`` takes compiled kernels where there are any; ``"reference"`` is the readable definition;
            ``"numba"`` raises where there is no kernel; ``"torch"`` is the path of other devices, on the processor.
            ``data.settings["path"]`` says which one ran.
        device: ``"cuda"`` draws there: Luce's rule, and ``menu``, ``answer`` and ``truth["type"]`` are tensors that
            stay there (:func:`to_cpu` brings them back).
        threads: of the compiled kernels; all cores of the process by default.
        progress: with ``out``: called after every shard with (rows written, rows kept from before, rows in all).

    Returns:
        :class:`PreferenceData` with the hidden types in ``truth["type"]`` ``(annotators,)``, and tastes in
        ``truth["taste"]`` where they are continuous; with ``out``, the :class:`~annosim.io.Shards` of the directory.

    Raises:
        AnswerKindError: a rule does not define the design's feedback.
        ArgumentError: a number is out of range, or the path does not exist here.
        DeviceError: the device is not there, or has no path for this population or design.
        TooLargeError: more rows than the machine's memory holds (stream them with ``out``).

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Linear([1.0, 0.0]), an.Luce())
        >>> an.simulate(people, an.Design(an.Items.normal(6, 2), annotators=10), seed=0)
        PreferenceData(10 rows, choice from menus of 2, 10 annotators, 6 items)
    """
    _check(population, design, replicates, replicate)
    if design.covariates and (device != "cpu" or path == "torch"):
        raise ArgumentError("simulate: a design with covariates is drawn on the processor; leave out device= and path=")
    if counts or out is not None:
        if replicates is not None or (counts and out is not None):
            raise ArgumentError("simulate: counts=, out= and replicates= exclude one another; pass replicate=r")
        if device != "cpu" or path == "torch":
            raise ArgumentError("simulate: counts= and out= are drawn on the processor; leave out device= and path=")
    if counts:
        return simulate_counts(population, design, seed, replicate)
    if out is not None:
        from annosim.simulation.streaming import simulate_shards  # pyarrow takes a while to import

        return simulate_shards(
            population,
            design,
            out,
            seed=seed,
            replicate=replicate,
            shard_rows=shard_rows,
            path=path,
            threads=threads,
            progress=progress,
        )
    if device != "cpu" or path == "torch":
        return _on_device(population, design, seed, replicates, replicate, device)
    return _in_memory(population, design, seed, replicates, replicate, path, threads)


def _on_device(
    population: Population, design: Design, seed: int, replicates: int | None, replicate: int, device: str
) -> PreferenceData:
    sampler = TorchSampler(population, design, seed, device)
    numbers = [replicate] if replicates is None else list(range(replicates))
    parts = [sampler.draw(r) for r in numbers]
    columns = {n: parts[0][n] if replicates is None else torch.stack([p[n] for p in parts]) for n in parts[0]}
    annotator, order = sampler.columns()
    data = PreferenceData._from_validated(
        items=design.items,
        menu=columns["menu"],
        answer=columns["answer"],
        feedback=design.feedback,
        annotator=annotator,
        order=order,
        truth={"type": columns["type"]},
        settings={
            "seed": seed,
            "replicates": replicates,
            "replicate": replicate,
            "path": sampler.name,
            "device": device,
            **versions(),
        },
    )
    return to_cpu(data) if sampler.device.type == "cpu" else data


def to_cpu(data: PreferenceData) -> PreferenceData:
    """Data that were drawn on a device, as numpy arrays in memory; others are given back as they are.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=2), annotators=5), path="torch")
        >>> to_cpu(data).menu.dtype
        dtype('int32')
    """
    bring = lambda v: v.cpu().numpy() if isinstance(v, torch.Tensor) else v  # noqa: E731
    names = ("menu", "answer", "tied", "annotator", "order")
    if not any(isinstance(v, torch.Tensor) for v in (*(getattr(data, n) for n in names), *data.truth.values())):
        return data
    changes = {name: bring(getattr(data, name)) for name in names}
    every = {f.name: getattr(data, f.name) for f in fields(data)}
    return PreferenceData._from_validated(**(every | changes | {"truth": {k: bring(v) for k, v in data.truth.items()}}))


def _in_memory(
    population: Population,
    design: Design,
    seed: int,
    replicates: int | None,
    replicate: int,
    path: PathName,
    threads: int | None,
) -> PreferenceData:
    sampler = RowSampler(population, design, seed, path, threads)
    numbers = [replicate] if replicates is None else range(replicates)
    rows, people = design.num_rows, design.annotators
    _check_memory(sampler, rows * len(numbers))
    menu, answer, tied = sampler.empty(rows, (len(numbers),))
    types = [sampler.types(0, people, r) for r in numbers]
    for at, number in enumerate(numbers):
        sampler.fill(menu[at], answer[at], None if tied is None else tied[at], types[at], 0, people, number)
    pick = (lambda x: x[0]) if replicates is None else (lambda x: x)
    truth = [hidden_truth(population, t, seed, replicate=r) for t, r in zip(types, numbers, strict=True)]
    annotator, order = sampler.columns()
    shown = [sampler.covariates(0, people, number) for number in numbers]
    return PreferenceData._from_validated(
        items=design.items,
        menu=pick(menu),
        answer=pick(answer),
        feedback=design.feedback,
        tied=None if tied is None else pick(tied),
        annotator=annotator,
        order=order,
        truth=truth[0] if replicates is None else {name: np.stack([t[name] for t in truth]) for name in truth[0]},
        covariates={name: pick(np.stack([one[name] for one in shown])) for name in design.covariates},
        settings={
            "seed": seed,
            "replicates": replicates,
            "replicate": replicate,
            **sampler.path.settings,
            **versions(),
        },
    )


def _check_memory(sampler: RowSampler, rows: int) -> None:
    """Refuse what cannot be held before half of it is drawn."""
    k, several = sampler.design.menu_size, sampler.design.num_questions > 1
    need = rows * (4 * k + sampler.width + (k - 1) * sampler.ties + 8 * several)
    there = memory.installed()
    if there is not None and need > there:
        raise TooLargeError(
            f"simulate: {rows:.3g} rows take {need / 1e9:.3g} GB and this machine has {there / 1e9:.3g} GB; stream "
            "them with out=DIR, or draw counts=True"
        )
    if several and sampler.design.annotators >= 2**31:
        raise ArgumentError("simulate: at most 2**31 - 1 annotators of several questions (annotators are int32)")


def _check(population: Population, design: Design, replicates: int | None, replicate: int) -> None:
    check_question("simulate", population, design)
    for component in population.components():
        component.rule.check_kind(design.feedback)
    whole = isinstance(replicates, int | np.integer) and not isinstance(replicates, bool)
    if replicates is not None and not (whole and replicates >= 1):
        raise ArgumentError(f"simulate(replicates={told(replicates)}): a whole number of at least 1")
    if not 0 <= replicate < 2**32:
        raise ArgumentError(f"simulate(replicate={told(replicate)}): a whole number from 0 to 2**32 - 1")


def draw_types(population: Population, seed: int, annotators: np.ndarray, replicate: int) -> np.ndarray:
    """Hidden component of each annotator, ``(annotators,)`` int8 (or int32 beyond 127 components).

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)])
        >>> draw_types(two, 0, np.arange(3), 0).dtype
        dtype('int8')
    """
    return reference.types(population, seed, annotators, replicate)


def simulate_like(population: Population, data: PreferenceData, *, seed: int = 0, replicate: int = 0) -> PreferenceData:
    """New answers to the same questions by the same annotators: parametric bootstrap and posterior prediction.

    Args:
        population: who answers.
        data: whose menus are asked again (of one replicate).
        seed, replicate: the address of the answers.

    Raises:
        ArgumentError: no population or no data, a rule that remembers earlier answers, or data with replicates.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=2), annotators=5), seed=0)
        >>> simulate_like(people, data, seed=1).rows
        5
    """
    if not isinstance(population, Population) or not isinstance(data, PreferenceData):
        given = f"{type(population).__name__}, {type(data).__name__}"
        raise ArgumentError(
            f"simulate_like({given}): give a population such as fit.population, and the data to answer anew"
        )
    components = population.components()
    for component in components:
        component.rule.check_kind(data.feedback)
    if data.replicates is not None:
        raise ArgumentError("simulate_like: the data have replicates; take one of them, data[r]")
    if any(component.rule.memory for component in components):
        raise ArgumentError("simulate_like: a rule remembers earlier answers; simulate with a Design instead")
    ties = any(component.rule.ties for component in components)
    width = data.feedback.width(data.menu_size, ties)
    types = draw_types(population, seed, np.arange(data.num_annotators), replicate)
    answer, tied, settings = _answer_again(population, data, types, seed, replicate, width, ties)
    flat = answer[:, 0] if data.feedback.kind == "choice" and width == 1 else answer
    truth = hidden_truth(population, types, seed, replicate=replicate)
    settings = {"seed": seed, "replicate": replicate, **settings, **versions()}
    return replace(data, answer=flat, tied=tied, truth=truth, settings=settings)


def _answer_again(
    population: Population, data: PreferenceData, types: np.ndarray, seed: int, replicate: int, width: int, ties: bool
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Answers ``(rows, width)`` to the data's menus, ties, and the path that drew them."""
    shown = data.covariates
    asked = Design(data.items, menus=data.menu, feedback=data.feedback, replacement=True, covariates=shown)
    path = choose(population, asked, seed)
    # a kernel for tastes counts annotators by rows, which data from elsewhere do not
    if path.answers is not None and all(isinstance(one, Annotator) for one in population.components()):
        menu = np.ascontiguousarray(data.menu, dtype=np.int32)
        answer = np.empty((data.rows, width), dtype=np.int8)
        tied = np.zeros((data.rows, data.menu_size - 1), dtype=bool) if ties else None
        of_row = None if len(population.components()) == 1 else types[data.annotator_ids]
        path.answers(menu, of_row, answer, tied, 0, replicate)
        return answer, tied, path.settings
    with torch.no_grad():
        answer, tied = reference.answers(
            population, data.view(), seed, replicate, np.arange(data.rows), types[data.annotator_ids], width, ties
        )
    return answer, tied, {"path": "reference"}
