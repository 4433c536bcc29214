"""The bench framework: turns, ratios, skipped implementations. No test here asserts a time."""

import json

import numpy as np
import pytest

from annosim.bench.measure import Benchmark, Implementation, Options, measure
from annosim.cli import main
from annosim.errors import ArgumentError


def test_contenders_take_turns_and_the_first_run_is_not_counted():
    order = []
    sums = Benchmark("race", "steps", [Implementation(n, lambda n=n: order.append(n), 10.0) for n in "ab"], {"b": 0.0})
    found = measure(sums, rounds=3)
    assert "".join(order) == "ab" + "ab" * 3
    assert found.rates["a"].shape == found.ratio("b").shape == (3,)
    assert np.allclose(found.ratio("b"), found.rates["a"] / found.rates["b"])
    assert "target 0 x: met" in repr(found)
    assert set(json.loads(json.dumps(found.record()))) >= {"rates", "ratios", "settings"}


def test_a_peer_that_is_not_installed_is_named():
    sums = Benchmark(
        "race", "steps", [Implementation("a", list, 1.0), Implementation("b", list, 1.0, skipped="pip install b")]
    )
    found = measure(sums, rounds=1)
    assert list(found.rates) == ["a"] and "pip install b" in repr(found)


def test_bad_rounds():
    with pytest.raises(ArgumentError):
        measure(Benchmark("race", "steps", [Implementation("a", list, 1.0)]), rounds=0)


def test_the_simulation_benchmark_runs(tmp_path, capsys):
    assert main(["bench", "simulate", "--rounds", "1", "--size", "0.002", "--out", str(tmp_path / "b.json")]) == 0
    assert len(json.loads((tmp_path / "b.json").read_text())) == 4
    assert "Plackett-Luce" in capsys.readouterr().out


def test_the_size_scales_the_work():
    from annosim.bench.simulate import benchmarks

    small, large = (benchmarks(Options(size=s))[0].implementations[0].units for s in (0.001, 0.002))
    assert large == 2 * small


def test_an_unknown_benchmark(capsys):
    assert main(["bench", "nothing"]) == 2
    assert "simulate" in capsys.readouterr().err
