"""``annosim bench fit``: Bradley-Terry, Plackett-Luce, latent classes, mixed logit, Monte Carlo; peers and loops.

Peers get the data in their own form, outside the clock; ours is the whole verb, from preference data to a fit. Every
benchmark prints the gradient norm at which we stopped (peers stop at their own defaults, which are no tighter); the last
two print the exponent with which the cost grows in distinct menus.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from annosim.bench.measure import Benchmark, Implementation, Options
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.items import Items
from annosim.learning.fitting import fit
from annosim.learning.solvers.settings import SimulatedLikelihood
from annosim.populations.annotator import Annotator
from annosim.populations.mixture import Mixture
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.rules.luce import Luce
from annosim.simulation.draws import simulate
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

__all__ = ["benchmarks"]


def benchmarks(options: Options) -> list[Benchmark]:
    """The comparisons of this file."""
    size = options.size
    return [
        _bradley_terry(int(1e6 * size)),
        _many_items(int(1e7 * size)),
        _rankings(int(1e5 * size)),
        _latent_classes(int(1e4 * size)),
        _mixed_logit(int(1e4 * size)),
        _monte_carlo(max(int(200 * size), 2), 2.0, "em-newton against a loop of EM"),
        _monte_carlo(max(int(20 * size), 2), 0.6, "the same, weakly identified"),
        _growth(int(2.5e4 * size), mixture=False),
        _growth(int(1e4 * size), mixture=True),
    ]


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _missing(module: str) -> str:
    return "" if importlib.util.find_spec(module) is not None else f"pip install {module}"


def _pairs(n: int, rows: int) -> PreferenceData:
    rng = _rng()
    u = rng.normal(size=n)
    first = rng.integers(0, n, rows)
    second = (first + rng.integers(1, n, rows)) % n
    lost = rng.random(rows) > 1 / (1 + np.exp(u[second] - u[first]))
    return PreferenceData(Items(n=n), np.stack([first, second], 1).astype(np.int32), lost.astype(np.int8))


def _ours(model: Any, data: PreferenceData, units: float, name: str = "annosim", **options: Any) -> Implementation:
    found = fit(model, data, **options)
    worst = float(np.nanmax(found.gradient_norm))
    return Implementation(f"{name} (gradient {worst:.0e})", lambda: fit(model, data, **options), units)


def _bradley_terry(rows: int) -> Benchmark:
    n = 1000
    data = _pairs(n, rows)
    ours = _ours(Annotator(Tabular(n), Luce()), data, rows)
    peers = [_evalica(data, rows), _choix_pairs(data, rows)]
    return Benchmark(f"Bradley-Terry, {n} items, {rows:.0e} comparisons", "pairs", [ours, *peers], {"evalica": 30.0})


def _evalica(data: PreferenceData, rows: int) -> Implementation:
    if _missing("evalica"):
        return Implementation("evalica", lambda: None, rows, _missing("evalica"))
    import evalica

    names = data.items.names
    left, right = ([names[i] for i in data.menu[:, side]] for side in (0, 1))
    word = [evalica.Winner.X if a == 0 else evalica.Winner.Y for a in data.answer]
    return Implementation("evalica", lambda: evalica.bradley_terry(left, right, word), rows)


def _choix_pairs(data: PreferenceData, rows: int) -> Implementation:
    few = max(rows // 10, 1)
    if _missing("choix"):
        return Implementation("choix.ilsr_pairwise", lambda: None, few, _missing("choix"))
    import choix

    at = np.arange(few)
    won, lost = data.menu[at, data.answer[:few]], data.menu[at, 1 - data.answer[:few]]
    pairs = np.stack([won, lost], 1).tolist()
    return Implementation(
        "choix.ilsr_pairwise (a tenth)", lambda: choix.ilsr_pairwise(data.items.n, pairs, alpha=1e-6), few
    )


def _many_items(rows: int) -> Benchmark:
    n = max(rows // 100, 10)
    data = _pairs(n, rows)
    ours = _ours(Annotator(Tabular(n), Luce()), data, rows)
    return Benchmark(f"Bradley-Terry, {n} items, {rows:.0e} comparisons (target: one second)", "pairs", [ours])


def _rankings(rows: int) -> Benchmark:
    n, k, rng = 100, 10, _rng()
    u = rng.normal(size=n)
    menu = np.argsort(rng.random((rows, n)), 1)[:, :k].astype(np.int32)
    order = np.argsort(-(u[menu] + rng.gumbel(size=(rows, k))), 1).astype(np.int8)
    data = PreferenceData(Items(n=n), menu, order, feedback="ranking")
    ours = _ours(Annotator(Tabular(n), Luce()), data, rows)
    peer = Implementation("choix.ilsr_rankings", lambda: None, rows, _missing("choix"))
    if not peer.skipped:
        import choix

        ranked = np.take_along_axis(menu, order.astype(np.int64), 1).tolist()
        peer = Implementation("choix.ilsr_rankings", lambda: choix.ilsr_rankings(n, ranked), rows)
    return Benchmark(
        "Plackett-Luce, rankings of 10 out of 100", "rankings", [ours, peer], {"choix.ilsr_rankings": 40.0}
    )


def _growth(menus: int, mixture: bool) -> Benchmark:
    """The same fit on ever more distinct menus of five items, each answered ten times."""
    n, k, each, sizes = 100 if mixture else 60, 5, 10, (1, 2, 4, 8)
    implementations = []
    for times in sizes:
        rng, count = _rng(), menus * times
        u = 0.5 * rng.normal(size=n)
        own = np.repeat(np.argsort(rng.random((count, n)), 1)[:, :k].astype(np.int32), each, 0)
        sign = np.repeat(rng.choice([1.0, -1.0], count * each // 20 + 1), 20)[: len(own), None] if mixture else 1.0
        chosen = (sign * u[own] + rng.gumbel(size=own.shape)).argmax(1).astype(np.int8)
        people = np.arange(len(own)) // 20 if mixture else None
        data = PreferenceData(Items(n=n), own, chosen, annotator=people)
        table = Annotator(Tabular(u), Luce())
        model: Any = Mixture([table, Annotator(Tabular(-u), Luce())]) if mixture else table
        implementations.append(_ours(model, data, count, f"{count:,} distinct menus"))
    what = "two latent classes" if mixture else "one table"
    return Benchmark(
        f"growth of the cost: {what}, distinct menus of {k}", "distinct menus", implementations, growth=True
    )


def _latent_classes(people: int) -> Benchmark:
    questions, k, d, types, rng = 10, 3, 4, 3, _rng()
    x = rng.normal(size=(people * questions * k, d))
    w, kind = rng.normal(size=(types, d)), rng.integers(0, types, people)
    u = (x.reshape(people, -1, d) @ w[kind][:, :, None])[..., 0].reshape(-1, k)
    chosen = (u + rng.gumbel(size=u.shape)).argmax(1)
    menu = np.arange(len(x), dtype=np.int32).reshape(-1, k)
    data = PreferenceData(
        Items(features=x), menu, chosen.astype(np.int8), annotator=np.repeat(np.arange(people), questions)
    )
    start = w + 0.5 * rng.normal(size=w.shape)
    model = Mixture([Annotator(Linear(one), Luce()) for one in start])
    difference = x.reshape(-1, k, d)
    rest = np.array([[a for a in range(k) if a != c] for c in chosen])
    rows = np.arange(len(chosen))[:, None]
    difference = difference[rows, rest] - difference[rows, chosen[:, None]]

    def loop() -> Any:
        return _numpy_em(difference, people, start.copy(), 1e-10)

    return Benchmark(
        f"latent classes: {people} people, {questions} choices of {k}, {types} types (target: 0.1 s)",
        "people",
        [_ours(model, data, people), Implementation("numpy EM", loop, people)],
    )


def _mixed_logit(people: int) -> Benchmark:
    """Ours on everybody; the peer on a tenth, which flatters it: its arrays fit the caches better."""
    questions, k, d, draws, rng = 10, 3, 4, 200, _rng()
    x = rng.normal(size=(people * questions * k, d))
    own = np.array([1.0, -0.5, 0.3, 0.0]) + rng.normal(size=(people, d)) * np.array([1.0, 0.5, 0.8, 0.3])
    u = (x.reshape(people, -1, d) @ own[:, :, None])[..., 0].reshape(-1, k)
    chosen = (u + rng.gumbel(size=u.shape)).argmax(1)
    menu = np.arange(len(x), dtype=np.int32).reshape(-1, k)
    data = PreferenceData(
        Items(features=x), menu, chosen.astype(np.int8), annotator=np.repeat(np.arange(people), questions)
    )
    model = RandomCoefficients(np.zeros(d), np.full(d, 0.5), Luce())
    ours = _ours(model, data, people, solver=SimulatedLikelihood(draws=draws))
    few = max(people // 10, 1)
    peer = Implementation("xlogit (a tenth)", lambda: None, few, _missing("xlogit"))
    if not peer.skipped:
        run = _xlogit(x, chosen, few, questions, draws)
        worst = np.abs(run().grad_n.sum(0)).max() / few
        peer = Implementation(f"xlogit, a tenth (gradient {worst:.0e})", run, few)
    title = f"mixed logit: {people} people, {questions} choices of {k}, {d} normal coefficients, {draws} draws"
    return Benchmark(title, "people", [ours, peer], {peer.name: 12.0})


def _xlogit(x: np.ndarray, chosen: np.ndarray, people: int, questions: int, draws: int) -> Callable[[], Any]:
    """xlogit on the first people, in its own optimiser at its defaults."""
    from xlogit import MixedLogit

    situations = people * questions
    k, names = len(x) // len(chosen), [f"x{j}" for j in range(x.shape[1])]
    picked = (np.arange(k) == chosen[:situations, None]).ravel().astype(int)

    def run() -> Any:
        model = MixedLogit()
        model.fit(
            X=x[: situations * k],
            y=picked,
            varnames=names,
            alts=np.tile(np.arange(k), situations),
            ids=np.repeat(np.arange(situations), k),
            panels=np.repeat(np.arange(people), questions * k),
            randvars=dict.fromkeys(names, "n"),
            n_draws=draws,
            verbose=0,
        )
        return model

    return run


def _numpy_em(difference: np.ndarray, people: int, w: np.ndarray, tolerance: float, limit: int = 5000) -> Any:
    """EM as one writes it in numpy: softmax, responsibilities, one Newton step a type; to the same scaled gradient."""
    types, d = w.shape
    log_share = np.full(types, -np.log(types))
    for _ in range(limit):
        odds = np.exp(difference @ w.T)  # (rows, others, types)
        total = 1.0 + odds.sum(1)
        joint = log_share - np.log(total).reshape(people, -1, types).sum(1)
        r = np.exp(joint - joint.max(1, keepdims=True))
        r /= r.sum(1, keepdims=True)
        heavy = np.repeat(r, len(difference) // people, 0)
        p = odds / total[:, None]
        worst = 0.0
        for t in range(types):
            mean = np.einsum("ra,rad->rd", p[..., t], difference)
            gradient = -heavy[:, t] @ mean
            second = np.einsum("ra,rad,rae->de", p[..., t] * heavy[:, t : t + 1], difference, difference)
            w[t] += np.linalg.solve(second - (mean * heavy[:, t : t + 1]).T @ mean, gradient)
            worst = max(worst, np.abs(gradient).max() / len(difference))
        share = r.mean(0)
        worst = max(worst, np.abs(share - np.exp(log_share)).max())
        log_share = np.log(share)
        if worst <= tolerance:
            break
    return w


def _monte_carlo(replicates: int, strength: float, title: str) -> Benchmark:
    items = Items.normal(20, 2, seed=0)
    w = strength * np.array([[1.0, 0.0], [-0.5, 0.5]])
    people = Mixture([Annotator(Linear(one), Luce()) for one in w], [0.6, 0.4])
    design = Design(items, annotators=2000, questions=5)
    data = simulate(people, design, seed=0, replicates=replicates)
    features, few = items.feature_matrix.numpy(), max(replicates // 10, 1)

    def difference(r: int) -> np.ndarray:
        rows = np.arange(data.rows)
        lost, won = data.menu[r][rows, 1 - data.answer[r]], data.menu[r][rows, data.answer[r]]
        return (features[lost] - features[won])[:, None, :]

    made: list[Callable[[], Any]] = [
        (lambda x: lambda: _numpy_em(x, 2000, w.copy(), 1e-9))(difference(r)) for r in range(few)
    ]
    loop = Implementation("numpy EM, one replicate after the other (a tenth)", lambda: [run() for run in made], few)
    target = 14.0 if strength > 1 else 30.0
    return Benchmark(
        f"Monte Carlo of {replicates} replicates, {title}",
        "replicates",
        [_ours(people, data, replicates), loop],
        {loop.name: target},
    )
