"""Every compiled path against the reference: same seed, same answers, up to rounding in 1e-6 of compared pairs."""

import numpy as np
import pytest

import annosim as an
from annosim.errors import ArgumentError
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.rules.rankings import Mallows
from annosim.rules.response_biases import AttributeBias, Lapse, PositionBias, Skip
from annosim.rules.ties import Davidson, RaoKupper
from annosim.simulation.draws import simulate

pytest.importorskip("numba")

ITEMS = an.Items.normal(30, 3, seed=0)
PROMPTS = an.Items.normal(60, 3, seed=1, prompts=5)


def one(rule=None, weights=(1.0, -2.0, 0.5)):
    return an.Annotator(an.Linear(list(weights)), rule or an.Luce())


def two(first=None, second=None):
    return an.Mixture([one(first), one(second, (-1.0, 0.0, 2.0))], [0.3, 0.7])


POPULATIONS = {
    "luce": one(),
    "temperature": one(an.Luce(0.3)),
    "pbde": one(an.PBDE(f=0.5, g=np.linspace(-1, 1, 30))),
    "mixture": two(),
    "position bias": one(PositionBias(an.Luce(), 0.8)),
    "attribute bias": one(AttributeBias(an.Luce(), 0.5, 0)),
    "lapse": one(Lapse(an.Luce(), 0.2)),
    "lapse first": one(Lapse(an.Luce(), 0.2, how="first")),
    "skip": one(Skip(an.Luce(), 0.1)),
    "nested habits": one(Skip(PositionBias(Lapse(Lapse(an.Luce(), 0.2, how="first"), 0.3), 0.4), 0.1)),
    "habits by type": two(Lapse(PositionBias(an.Luce(), 0.5), 0.4), Lapse(an.Luce(), 0.2, how="first")),
    "mallows": one(Mallows(0.6)),
    "mallows mixture": two(Lapse(Mallows(normalised=0.4), 0.1), Mallows(0.9)),
    "random coefficients": RandomCoefficients([1.0, 0.0, 2.0], [0.5, 1.0, 3.0], an.Luce(0.7)),
    "lognormal": RandomCoefficients([0.1, 0.0, 0.2], 0.5, Lapse(an.Luce(), 0.1), distribution="lognormal"),
}
DESIGNS = {
    "pairs": {},
    "best of 4": {"menu_size": 4},
    "ranking of 2": {"feedback": "ranking"},
    "ranking of 5": {"menu_size": 5, "feedback": "ranking"},
    "top 2 of 5": {"menu_size": 5, "feedback": "top", "depth": 2},
}


def assert_equal(people, design, **settings):
    """Menus and types bit by bit; answers but for 1e-6 of the compared pairs (at least one is forgiven)."""
    fast = simulate(people, design, path="numba", **settings)
    slow = simulate(people, design, path="reference", **settings)
    assert fast.settings["path"] == "numba" and slow.settings["path"] == "reference"
    assert np.array_equal(fast.menu, slow.menu)
    assert np.array_equal(fast.truth["type"], slow.truth["type"])
    k = design.menu_size
    rows = fast.answer.reshape(-1, 1) if fast.answer.ndim == fast.menu.ndim - 1 else fast.answer
    same = (rows == slow.answer.reshape(rows.shape)).all(-1)
    pairs = same.size * k * (k - 1) / 2
    assert (~same).sum() <= max(1, 1e-6 * pairs)
    assert fast.answer.dtype == slow.answer.dtype == np.int8
    if fast.tied is not None:
        assert (fast.tied != slow.tied).any(-1).sum() <= max(1, 1e-6 * pairs)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("people", POPULATIONS)
def test_rules(people, design):
    assert_equal(
        POPULATIONS[people], an.Design(ITEMS, annotators=1500, questions=2, **DESIGNS[design]), seed=3, replicate=5
    )


@pytest.mark.parametrize("feedback", ["choice", "ranking"])
@pytest.mark.parametrize(
    "rule", [Davidson(0.7), RaoKupper(1.5), Davidson(0.0), PositionBias(Davidson(1.2, temperature=0.5), 0.3)], ids=repr
)
def test_pairs_with_ties(rule, feedback):
    design = an.Design(ITEMS, annotators=4000, feedback=feedback)
    assert_equal(one(rule), design, seed=4, replicate=2**31)
    assert_equal(an.Mixture([one(rule), one(type(rule)() if rule.__class__ is not PositionBias else rule)]), design)


@pytest.mark.parametrize("depth", [1, 3, 4, 5])
def test_every_depth(depth):
    for name in ("luce", "mallows", "random coefficients", "lapse"):
        design = an.Design(ITEMS, menu_size=5, feedback="top", depth=depth, annotators=600)
        assert_equal(POPULATIONS[name], design, seed=6)


def test_tastes_of_annotators_with_loads_of_their_own():
    design = an.Design(ITEMS, annotators=400, loads=np.random.default_rng(0).integers(1, 9, 400))
    assert_equal(POPULATIONS["random coefficients"], design, seed=6)


BIASED = {
    "luce": (lambda shift: one(PositionBias(an.Luce(), shift)), ("choice", "ranking")),
    "by type": (lambda shift: two(PositionBias(an.Luce(), shift), PositionBias(an.Luce(), shift[::-1])), ("choice",)),
    "ties": (lambda shift: one(PositionBias(Davidson(0.7), shift)), ("choice",)),
    "coefficients": (
        lambda shift: RandomCoefficients(
            [1.0, 0.0, 2.0], 0.5, PositionBias(an.PBDE(f=np.linspace(0.5, 1, 30), g=np.linspace(-2, 2, 30)), shift)
        ),
        ("choice", "ranking"),
    ),
}


@pytest.mark.parametrize("name", BIASED)
def test_a_shift_for_every_position(name):
    """Every place has its own bias, in every kernel; coefficients meet a slope and an offset of every item."""
    make, kinds = BIASED[name]
    for feedback in kinds:
        for shift in ([0.3, -1.2],) if name == "ties" else ([0.3, -1.2], [0.3, -1.2, 0.8]):
            design = an.Design(ITEMS, menu_size=len(shift), feedback=feedback, annotators=1000)
            assert_equal(make(shift), design, seed=8)


@pytest.mark.parametrize("how", ["uniform", "first", "flip"])
def test_lapses(how):
    for feedback in ("choice", "ranking"):
        design = an.Design(ITEMS, annotators=3000, feedback=feedback)
        assert_equal(one(Lapse(an.Luce(), 0.5, how=how)), design, replicate=1)
    padded = an.Design(ITEMS, menus=[[0, 1, 2, 3], [4, 5, 6, -1], [7, -1, 8, -1]], feedback="ranking", annotators=500)
    assert_equal(one(Lapse(an.Luce(), 0.5, how=how)), padded)


LISTED = [[0, 1, 2], [3, 4, -1], [5, 6, 7]]
MENUS = {
    "replacement": (ITEMS, {"replacement": True, "menu_size": 3}),
    "pairs with replacement": (ITEMS, {"replacement": True}),
    "proposal": (ITEMS, {"proposal": np.full(30, 1 / 30), "menu_size": 3}),
    "proposal without replacement": (ITEMS, {"proposal": np.full(30, 1 / 30), "replacement": False, "menu_size": 3}),
    "proposal over prompts": (PROMPTS, {"proposal": np.full(60, 1 / 12)}),
    "prompts": (PROMPTS, {"menu_size": 4, "prompt_weights": [0.1, 0.2, 0.3, 0.4, 0.0]}),
    "prompts, pairs": (PROMPTS, {}),
    "listed": (ITEMS, {"menus": LISTED, "menu_weights": [0.5, 0.5, 0.0]}),
    "all listed": (ITEMS, {"menus": LISTED, "questions": "all"}),
    "listed rankings": (ITEMS, {"menus": LISTED, "feedback": "ranking"}),
    "overlap": (ITEMS, {"overlap": 3, "menu_size": 3}),
    "loads": (ITEMS, {"loads": np.random.default_rng(0).integers(1, 9, 1000)}),
    "one prompt of many, shuffled": (an.Items.normal(9, 3).__class__(features=np.eye(9, 3), prompts=[0, 1, 2] * 3), {}),
}


@pytest.mark.parametrize("name", MENUS)
def test_menus(name):
    items, settings = MENUS[name]
    questions = {} if "questions" in settings or "loads" in settings else {"questions": 3}
    assert_equal(two(), an.Design(items, annotators=1000, **questions, **settings), seed=5, replicate=2)


def test_a_grid_density_under_a_proposal():
    grid = an.Items.grid(-10.0, 10.0, 2001)
    people = an.Annotator(an.utilities.truncated_normal(0.0, 1.0), an.Luce())
    assert_equal(people, an.Design(grid, annotators=30_000, proposal=an.utilities.truncated_normal(0.0, 5.0)), seed=1)


def test_two_million_pairs_and_half_a_million_rankings():
    assert_equal(two(), an.Design(ITEMS, annotators=1_000_000, questions=2), seed=7)
    assert_equal(one(), an.Design(ITEMS, menu_size=4, feedback="ranking", annotators=300_000), seed=7)


def test_large_differences():
    people = an.Annotator(an.Tabular(np.linspace(-50, 50, 30)), an.Luce())
    for k, feedback in ((2, "choice"), (4, "choice"), (4, "ranking")):
        assert_equal(people, an.Design(an.Items(n=30), menu_size=k, feedback=feedback, annotators=20_000))


def test_extreme_seeds_and_replicates():
    for seed, replicate in ((2**64 - 1, 0), (2**32, 2**32 - 1)):
        assert_equal(two(), an.Design(ITEMS, annotators=500, questions=2), seed=seed, replicate=replicate)


REFUSED = {
    "range": (an.Annotator(an.Tabular([0.0, 700.0]), an.Luce()), {}, "range over"),
    "best-worst": (one(), {"items": ITEMS, "menu_size": 3, "feedback": "best-worst"}, "best-worst"),
    "mallows with equal utilities": (an.Annotator(an.Tabular([0.0, 0.0]), Mallows(0.5)), {}, "equal utilities"),
    "mallows on a repeated item": (
        one(Mallows(0.5)),
        {"items": ITEMS, "menus": [[0, 1, 0]], "replacement": True},
        "repeated items",
    ),
    "mallows on a shorter menu": (one(Mallows(0.5)), {"items": ITEMS, "menus": [[0, 1, -1], [2, 3, 4]]}, "pads"),
    "mallows with replacement": (one(Mallows(0.5)), {"items": ITEMS, "replacement": True}, "repeated items"),
    "mallows with sides": (one(an.rules.PositionBias(Mallows(0.5), 0.3)), {"items": ITEMS}, "position biases"),
    "ties of three": (one(an.rules.Davidson([0.5, 0.2])), {"items": ITEMS, "menu_size": 3}, "menus of 3"),
    "ties and lapses": (one(Lapse(an.rules.Davidson([0.5]), 0.1)), {"items": ITEMS}, "lapses of Davidson"),
    "another rule": (one(an.Thurstone()), {"items": ITEMS}, "Thurstone has no compiled kernel"),
    "rules by type": (an.Mixture([one(), one(Mallows(0.5))]), {"items": ITEMS}, "different rules"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_takes_the_reference_and_says_so(name):
    people, settings, why = REFUSED[name]
    design = an.Design(**({"items": an.Items(n=2), "annotators": 50} | settings))
    data = simulate(people, design)
    assert data.settings["path"] == "reference"
    assert why in data.settings["path_reasons"]["answers"]
    with pytest.raises(ArgumentError, match=why):
        simulate(people, design, path="numba")


def test_without_numba_the_reference_runs_with_one_warning(monkeypatch):
    import sys

    from annosim.simulation import dispatch

    design = an.Design(ITEMS, annotators=100)
    expected = simulate(one(), design, path="reference")
    monkeypatch.setitem(sys.modules, "annosim.simulation.kernels.samplers", None)
    monkeypatch.delattr("annosim.simulation.kernels.samplers", raising=False)
    dispatch._compiled.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="numba"):
            data = simulate(one(), design)
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = simulate(one(), design)
    finally:
        monkeypatch.undo()
        dispatch._compiled.cache_clear()
    assert data.settings["path"] == "reference"
    assert np.array_equal(data.answer, expected.answer) and np.array_equal(again.answer, expected.answer)


def test_compilation_is_announced_when_it_takes_long_and_nothing_else_is(monkeypatch, capsys):
    import time

    from numba import njit
    from numba.core import event

    from annosim.compiled import compile_notice

    def kernel(module):
        fresh = njit(lambda x: x + 1)
        fresh.py_func.__module__ = module
        return fresh

    class Slow(event.Listener):
        """Lets a compilation begin and then take its time."""

        def on_start(self, told):
            time.sleep(0.1)

        def on_end(self, told):
            pass

    compile_notice.install()
    monkeypatch.setattr(compile_notice, "PATIENCE", 0.0)
    monkeypatch.setattr(compile_notice._listener, "_said", False)
    with event.install_listener("numba:compile", Slow()):
        kernel("somebody.else")(1)
        assert capsys.readouterr().err == ""
        ours = kernel("annosim.simulation.kernels.luce")
        ours(1)
        assert "compiling" in capsys.readouterr().err
        ours(1)
        kernel("annosim.simulation.kernels.luce")(1)  # once for all that is compiled in a row
    assert capsys.readouterr().err == ""
