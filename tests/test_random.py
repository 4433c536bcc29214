"""The generator: known answers, addresses that never collide, words that look independent."""

import numpy as np
import pytest
from scipy import stats

from annosim.errors import ArgumentError
from annosim.random import STREAMS, CounterRNG, child_seed, philox4x32, raw_uint32, torch_generator, uniform, uniform53

#: probability that a test here fails by chance, all assertions of a test together
ALARM = 1e-8

# known-answer tests of the Random123 distribution: counter, key, output
KNOWN = [
    ((0, 0, 0, 0), 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), 0x299F31D0A4093822, "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter, key, answer):
    out = philox4x32(*(np.array(c, dtype=np.uint64) for c in counter), key)
    assert " ".join(f"{int(w):08x}" for w in out) == answer


def test_layout_is_a_bijection_of_entities_onto_words():
    entity = np.r_[np.arange(4096), 2**34 + np.arange(256)]
    block = entity // 64 * 16 + entity % 16
    lane = entity // 16 % 4
    assert len(set(zip(block.tolist(), lane.tolist(), strict=True))) == len(entity)
    for e in (0, 17, 63, 64, 1000, 2**34 + 5, 2**57 + 3):
        b = e // 64 * 16 + e % 16
        counter = [b & 0xFFFFFFFF, 7, 2, (STREAMS["answer"] << 24) | (b >> 32)]
        out = philox4x32(*(np.array(c, dtype=np.uint64) for c in counter), 99)
        assert int(raw_uint32(99, "answer", e, 7, 2)) == int(out[e // 16 % 4])


@pytest.mark.parametrize(("start", "count"), [(0, 1), (5, 60), (63, 2), (64, 64), (100, 300), (2**40 + 3, 130)])
def test_a_run_of_entities_equals_its_single_words(start, count):
    entity = start + np.arange(count)
    run = CounterRNG(3, entity, 5).raw_uint32("menu", 4, start=2)
    single = raw_uint32(3, "menu", entity[:, None], 2 + np.arange(4)[None, :], 5)
    assert np.array_equal(run, single)
    assert np.array_equal(CounterRNG(3, entity[::-1], 5).raw_uint32("menu", 4, start=2), single[::-1])


@pytest.mark.parametrize(("start", "count"), [(0, 64), (0, 100), (37, 500), (2**33, 70)])
def test_uniforms_of_a_run_of_entities_are_those_of_each_alone(start, count):
    run = np.arange(start, start + count)
    single = [float(uniform53(5, "bootstrap", entity, 3, 2)) for entity in run]
    assert uniform53(5, "bootstrap", run, 3, 2).tolist() == single


def test_uniforms_are_open_at_both_ends():
    smallest, largest = (0 + 0.5) * 2.0**-32, (2.0**32 - 1 + 0.5) * 2.0**-32
    assert 0 < smallest and largest < 1
    bits = np.array([0, 2**52 - 1], dtype=np.float64)
    wide = (bits + 0.5) * 2.0**-52
    assert 0 < wide[0] and wide[1] < 1
    u = uniform53(0, "answer", np.arange(1000), 0)
    assert ((0 < u) & (u < 1)).all()


def test_uniforms_are_the_middles_of_their_words_wherever_they_are_asked_for():
    """One formula for functions and generators, one or many entities, one or many replicates."""
    entity, k, replicate = np.array([0, 5, 70, 2**40 + 1]), np.arange(3, 6), np.array([0, 1, 4, 9])
    narrow = (raw_uint32(8, "answer", entity[:, None], k, replicate[:, None]).astype(np.float64) + 0.5) / 2**32
    high, low = (raw_uint32(8, "answer", entity[:, None], 2 * k + i, replicate[:, None]).astype(object) for i in (0, 1))
    wide = (((high * 2**20 + low // 2**12).astype(np.float64)) + 0.5) / 2**52
    assert np.array_equal(uniform(8, "answer", entity[:, None], k, replicate[:, None]), narrow)
    assert np.array_equal(uniform53(8, "answer", entity[:, None], k, replicate[:, None]), wide)
    rng = CounterRNG(8, entity, replicate)
    assert np.array_equal(rng.uniform("answer", 3, start=3), narrow)
    assert np.array_equal(rng.uniform53("answer", 3, start=3), wide)
    assert np.array_equal(rng.normal("answer", 3, start=3), stats.norm.ppf(wide))


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "0"])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ArgumentError, match="seed"):
        raw_uint32(seed, "menu", 0, 0)


def test_an_unknown_stream_is_named():
    with pytest.raises(ArgumentError, match="noise"):
        raw_uint32(0, "noise", 0, 0)


@pytest.mark.parametrize("draw", [uniform, uniform53])
def test_uniforms_are_uniform(draw):
    """Dvoretzky-Kiefer-Wolfowitz: P(sup |F_n - F| > e) <= 2 exp(-2 n e^2)."""
    n = 100_000
    u = np.sort(draw(11, "answer", np.arange(n), 0))
    distance = max((np.arange(1, n + 1) / n - u).max(), (u - np.arange(n) / n).max())
    assert distance <= np.sqrt(np.log(2 / ALARM) / (2 * n))


def _neighbours():
    n = 64_000
    rows = np.arange(n)
    base = uniform(0, "answer", rows, 0)
    yield "next row", base[:-1], base[1:]
    yield "row of the next block", base[:-16], base[16:]
    yield "row of the next group", base[:-64], base[64:]
    yield "next draw", base, uniform(0, "answer", rows, 1)
    yield "next replicate", base, uniform(0, "answer", rows, 0, 1)
    yield "another stream", base, uniform(0, "menu", rows, 0)
    yield "seed 1", base, uniform(1, "answer", rows, 0)
    yield "seed 2**32", base, uniform(2**32, "answer", rows, 0)


@pytest.mark.parametrize(("name", "first", "second"), [pytest.param(*c, id=c[0]) for c in _neighbours()])
def test_neighbouring_addresses_are_independent(name, first, second):
    """Exact binomial tests of the joint quartile cells (16 of them, Bonferroni)."""
    cell = (first * 4).astype(int) * 4 + (second * 4).astype(int)
    counts = np.bincount(cell, minlength=16)
    p = [stats.binomtest(int(c), len(cell), 1 / 16).pvalue for c in counts]
    assert min(p) >= ALARM / 16


def test_normals_follow_the_normal_law():
    n = 50_000
    z = np.sort(CounterRNG(2, np.arange(n)).normal("taste", 1)[:, 0])
    f = stats.norm.cdf(z)
    distance = max((np.arange(1, n + 1) / n - f).max(), (f - np.arange(n) / n).max())
    assert distance <= np.sqrt(np.log(2 / ALARM) / (2 * n))


def test_child_seeds_differ():
    seeds = {child_seed(s, name) for s in range(100) for name in ("start", "bootstrap")}
    assert len(seeds) == 200
    assert len({torch_generator(s, name).initial_seed() for s in range(100) for name in ("start", "load")}) == 200
