"""``annosim bench simulate``: comparisons, rankings and mixtures against numpy, peers, memory and the generator."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from annosim.bench.measure import Benchmark, Implementation, Options
from annosim.compiled import threads
from annosim.designs.design import Design
from annosim.items import Items
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.rules.luce import Luce
from annosim.simulation.draws import simulate
from annosim.simulation.rows import RowSampler
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

__all__ = ["benchmarks"]

_ITEMS, _TEN = 1000, 10


def benchmarks(options: Options) -> list[Benchmark]:
    """The comparisons of this file; on another device, those that have a path there."""
    if options.device != "cpu":
        return [_on_device(options, 2, "choice"), _on_device(options, 10, "ranking")]
    return [_pairs(options), _rankings(options), _mixture(options), _floor(options)]


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def _ours(people: Population, design: Design, options: Options, name: str = "annosim") -> Implementation:
    def run() -> Any:
        return simulate(people, design, seed=0, threads=options.threads)

    return Implementation(name, run, design.num_rows)


def _reused(people: Population, design: Design, options: Options) -> Implementation:
    """The same draws into arrays that exist already: without the first touch of new memory."""
    source = RowSampler(people, design, 0, threads=options.threads)
    menu, answer, tied = source.empty(design.num_rows)
    kinds = source.types(0, design.annotators, 0)

    def run() -> None:
        source.fill(menu, answer, tied, kinds, 0, design.annotators, 0)

    return Implementation("annosim, into reused arrays", run, design.num_rows)


def _peer(name: str, module: str, make: Callable[[Any], Callable[[], Any]], units: float) -> Implementation:
    if importlib.util.find_spec(module.split(".")[0]) is None:
        return Implementation(name, lambda: None, units, skipped=f"pip install {module.split('.')[0]}")
    return Implementation(name, make(importlib.import_module(module)), units)


def _pairs(options: Options) -> Benchmark:
    rows = int(2e7 * options.size)
    u = _normal(_ITEMS)
    people, design = Annotator(Tabular(u), Luce()), Design(Items(n=_ITEMS), annotators=rows)
    generator, few = np.random.default_rng(0), max(rows // 10, 1)

    def vectorised() -> Any:
        first = generator.integers(0, _ITEMS, few)
        second = (first + generator.integers(1, _ITEMS, few)) % _ITEMS
        won = generator.random(few) < 1 / (1 + np.exp(u[second] - u[first]))
        return np.stack([first, second], 1), np.where(won, 0, 1)

    choix = _peer("choix", "choix", lambda m: lambda: m.generate_pairwise(u, 5000), 5000)
    numpy = Implementation("numpy", vectorised, few)
    return Benchmark(
        f"pairs of {_ITEMS} items",
        "pairs",
        [_ours(people, design, options), _reused(people, design, options), numpy, choix],
        {"numpy": 15.0},
    )


def _rankings(options: Options) -> Benchmark:
    rows = int(2e6 * options.size)
    u = _normal(_TEN)
    people = Annotator(Tabular(u), Luce())
    design = Design(Items(n=_TEN), menu_size=_TEN, feedback="ranking", annotators=rows)
    generator, few = np.random.default_rng(0), max(rows // 10, 1)

    def gumbel() -> Any:
        return np.argsort(-(u + generator.gumbel(size=(few, _TEN))), axis=1)

    peer = _peer(
        "prefsampling",
        "prefsampling.ordinal",
        lambda m: lambda: m.plackett_luce(1000, _TEN, np.exp(u).tolist(), seed=0),
        1000,
    )
    return Benchmark(
        "Plackett-Luce rankings of ten",
        "rankings",
        [
            _ours(people, design, options),
            _reused(people, design, options),
            Implementation("numpy, Gumbel and argsort", gumbel, few),
            peer,
        ],
        {"numpy, Gumbel and argsort": 8.0, "prefsampling": 1000.0},
    )


def _mixture(options: Options) -> Benchmark:
    people_of, questions, dim = int(4e6 * options.size), 4, 8
    items = Items.normal(_ITEMS, dim)
    weights, shares = _normal(5, dim), np.array([0.3, 0.25, 0.2, 0.15, 0.1])
    people = Mixture([Annotator(Linear(w), Luce()) for w in weights], shares)
    design = Design(items, annotators=people_of, questions=questions)
    utilities = items.feature_matrix.numpy() @ weights.T
    generator, chunk = np.random.default_rng(0), 1 << 14
    few = max(people_of // (10 * chunk), 1) * chunk
    menu, answer = np.empty((few * questions, 2), dtype=np.int32), np.empty(few * questions, dtype=np.int8)

    def chunked() -> None:
        for at in range(0, few * questions, chunk * questions):
            kind = np.repeat(generator.choice(5, size=chunk, p=shares), questions)
            first = generator.integers(0, _ITEMS, chunk * questions)
            second = (first + generator.integers(1, _ITEMS, chunk * questions)) % _ITEMS
            gap = utilities[second, kind] - utilities[first, kind]
            rows = slice(at, at + chunk * questions)
            menu[rows, 0], menu[rows, 1] = first, second
            answer[rows] = generator.random(chunk * questions) >= 1 / (1 + np.exp(gap))

    return Benchmark(
        "comparisons of a five-type linear population, four questions each",
        "pairs",
        [
            _ours(people, design, options),
            _reused(people, design, options),
            Implementation("numpy, chunked", chunked, few * questions),
        ],
        {"numpy, chunked": 5.0},
    )


def _on_device(options: Options, k: int, feedback: str) -> Benchmark:
    """Draws that stay on the device, against filling as many bytes there."""
    import torch

    rows = int((1e9 if k == 2 else 5e7) * options.size)
    design = Design(Items(n=_ITEMS), menu_size=k, feedback=feedback, annotators=rows)
    people = Annotator(Tabular(_normal(_ITEMS)), Luce())
    bytes_of = rows * (4 * k + (1 if feedback == "choice" else k))

    def finish() -> None:
        if options.device.startswith("cuda"):
            torch.cuda.synchronize(options.device)

    def draw() -> None:
        simulate(people, design, device=options.device)
        finish()

    def fill() -> None:
        torch.empty(bytes_of, dtype=torch.uint8, device=options.device).fill_(1)
        finish()

    return Benchmark(
        f"{feedback} from menus of {k} on {options.device} (target for pairs on an H200: 5e10 a second)",
        "rows",
        [
            Implementation(f"annosim on {options.device}", draw, rows),
            Implementation("filling as many bytes", fill, rows),
        ],
    )


def _words_into_cache() -> Callable[[int, Any], Any]:
    """Draws that many words, block after block into one buffer, as the kernels do."""
    from numba import njit

    from annosim.simulation.kernels.generator import BLOCK, fill_uint32

    @njit(nogil=True)
    def draw(count, key):
        buffer = np.empty(BLOCK, np.uint32)
        total = np.uint64(0)
        for k in range(count // BLOCK):
            fill_uint32(buffer, k * (BLOCK // 64), key, 4, 0, 0)
            total += np.uint64(buffer[0])
        return total

    return draw


def _floor(options: Options) -> Benchmark:
    """What any pair must cost: three words drawn and nine bytes written."""
    rows = int(2e7 * options.size)
    workers = threads.count(options.threads)
    target = np.zeros(rows * 9, dtype=np.uint8)

    draw = _words_into_cache()

    def words() -> None:
        threads.run(lambda i: draw(3 * rows // workers, np.uint64(i)), range(workers), workers)

    def write(fresh: bool) -> None:
        out = np.empty(rows * 9, dtype=np.uint8) if fresh else target
        cuts = [rows * 9 * i // workers for i in range(workers + 1)]
        threads.run(lambda i: out[cuts[i] : cuts[i + 1]].fill(1), range(workers), workers)

    return Benchmark(
        "the floor of a pair: three words, nine bytes",
        "pairs",
        [
            Implementation("three words of the generator", words, rows),
            Implementation("nine bytes into memory that is there", lambda: write(False), rows),
            Implementation("nine bytes into fresh memory", lambda: write(True), rows),
        ],
    )
