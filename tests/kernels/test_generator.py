"""The compiled generator and its helpers, bit by bit and at the extremes."""

import numpy as np
import pytest
from scipy import special

numba = pytest.importorskip("numba")

from annosim.compiled.link_cache import digest  # noqa: E402
from annosim.random import STREAMS, raw_uint32, uniform53  # noqa: E402
from annosim.simulation.kernels.generator import BLOCK, fill_uint32, uint32_at, uniform52  # noqa: E402
from annosim.simulation.kernels.luce import choose, choose_pair, exponential, float32_odds, luce_pairs, tied_pairs  # noqa: E402
from annosim.simulation.kernels.mallows import mallows  # noqa: E402
from annosim.simulation.kernels.menus import guide_table, inverse_index, number_rows  # noqa: E402
from annosim.simulation.kernels.response_biases import FIRST, replace_answers  # noqa: E402
from annosim.simulation.kernels.samplers import row_types  # noqa: E402
from annosim.simulation.kernels.tastes import normal_quantile, standard_normals  # noqa: E402

LAST = 2**32 - 1
KEY = np.uint64(2**64 - 5)
_ONE = np.empty(0, np.int8)


@pytest.mark.parametrize("group", [0, 1, 2**26 - 1, 2**40])
def test_compiled_words_are_the_library_s_words(group):
    out = np.empty(256, np.uint32)
    fill_uint32(out, group, KEY, STREAMS["habit"], 3, 7)
    entity = group * 64 + np.arange(256)
    assert np.array_equal(out, raw_uint32(int(KEY), "habit", entity, 3, 7))
    assert [uint32_at(e, KEY, STREAMS["habit"], 3, 7) for e in entity[:70]] == out[:70].tolist()


def test_kernels_on_disk_are_tied_to_every_source(tmp_path):
    """numba itself compares only the kernel's own file: a changed generator would leave old machine code in use."""
    stamps = {k._cache._cache_file._source_stamp for k in (fill_uint32, luce_pairs, mallows, inverse_index, choose)}
    assert len(stamps) == 1 and isinstance(stamps.pop(), str)
    files = [tmp_path / name for name in ("a.py", "b.py")]
    for file in files:
        file.write_text("x = 1")
    before = digest(files)
    files[1].write_text("x = 2")
    assert digest(files) != before


def test_two_words_make_the_library_s_uniform():
    high, low = raw_uint32(5, "answer", np.arange(20), 0), raw_uint32(5, "answer", np.arange(20), 1)
    ours = [uniform52(np.uint32(h), np.uint32(w)) for h, w in zip(high, low, strict=True)]
    assert ours == uniform53(5, "answer", np.arange(20), 0).tolist()


@numba.njit
def _exponentials(w):
    out = np.empty(len(w))
    for i in range(len(w)):
        out[i] = exponential(w[i])
    return out


def test_exponentials_from_the_smallest_to_the_largest_uniform():
    w = np.r_[np.arange(2000), LAST - np.arange(2000), np.arange(0, 2**32, 2**20 - 3)].astype(np.uint32)
    complement = (2.0**32 - w.astype(np.float64) - 0.5) / 2**32  # exact: 33 bits
    u = (w.astype(np.float64) + 0.5) / 2**32
    exact = np.where(u > 0.5, -np.log1p(-complement), -np.log(u))
    assert np.abs(_exponentials(w) / exact - 1).max() < 1e-9


def test_normal_quantiles():
    p = np.r_[np.logspace(-16, -1, 300), np.linspace(0.001, 0.999, 301), 1 - np.logspace(-15, -1, 100)]
    assert np.abs(np.array([normal_quantile(x) for x in p]) - special.ndtri(p)).max() < 1e-13


def _pairs(odds: float, w: list[int], kernel=choose_pair) -> list[int]:
    """Answers to pairs with odds ``odds : 1`` at given high words."""
    value = np.ones((2, BLOCK))
    value[0] = odds
    padded = np.zeros(BLOCK, np.uint32)
    padded[: len(w)] = w
    out = np.empty(BLOCK, np.int8)
    kernel(value, padded, out, 0, np.uint64(0), 0)
    return out[: len(w)].tolist()


@pytest.mark.parametrize("kernel", [choose_pair, choose])
class TestThresholds:
    def test_equal_utilities_split_the_words_in_half(self, kernel):
        assert _pairs(1.0, [0, 2**31 - 1, 2**31, LAST], kernel) == [0, 0, 1, 1]

    def test_an_event_of_probability_1e_8_has_its_42_words(self, kernel):
        odds = 1e-8 / (1 - 1e-8)  # 42.95 of the 2**32 words choose the first
        assert _pairs(odds, list(range(42)), kernel) == [0] * 42
        assert _pairs(odds, [43, 44, 10**6, LAST], kernel) == [1] * 4
        assert _pairs(1 / odds, [LAST - i for i in range(42)], kernel) == [1] * 42
        assert _pairs(1 / odds, [LAST - 43, LAST - 44, 0], kernel) == [0] * 3

    def test_inside_the_cell_of_the_threshold_the_second_word_decides(self, kernel):
        """Word 42 is below the threshold 42.95 with probability 0.95 over its second words."""
        odds = 1e-8 / (1 - 1e-8)
        answers = np.array(_pairs(odds, [42] * BLOCK, kernel))
        low = raw_uint32(0, "answer", np.arange(BLOCK), 1)
        expected = (42 + (low.astype(float) + 0.5) / 2**32) / 2**32 >= 1e-8
        assert np.array_equal(answers, expected)
        assert 0 < answers.sum() < BLOCK / 4

    def test_a_difference_of_50_is_certain_at_this_resolution(self, kernel):
        assert _pairs(np.exp(50.0), [0, 1, LAST - 1, LAST], kernel) == [0] * 4
        assert _pairs(np.exp(-50.0), [0, 1, LAST - 1, LAST], kernel) == [1] * 4


class TestSecondWords:
    """A hundred rows whose threshold lies in the middle of the cell of their first word: the second word decides."""

    rows, key = np.arange(100), np.uint64(9)

    def cells(self, stream: str, k: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Thresholds ``(rows,)``, and whether the 52-bit uniform lies below them."""
        high, low = raw_uint32(9, stream, self.rows, k), raw_uint32(9, stream, self.rows, k + 1)
        below = low < 2**31
        assert 20 < below.sum() < 80
        return (high.astype(float) + 0.5) / 2**32, below

    @pytest.mark.parametrize("davidson", [True, False])
    def test_of_ties(self, davidson):
        threshold, below = self.cells("answer")
        strength = np.array([0.0 if davidson else 1.5])
        second = (1 / threshold - 1) / (1.0 if davidson else strength[0])
        odds = np.r_[1.0, second][None]
        menu = np.stack([np.zeros(100, np.int32), 1 + self.rows.astype(np.int32)], 1)
        out, tied = np.empty((100, 2), np.int8), np.empty((100, 1), bool)
        tied_pairs(menu, _ONE, odds, np.ones((1, 2)), strength, davidson, False, out, tied, 0, self.key, 0)
        assert np.array_equal((out[:, 0] == 0) & ~tied[:, 0], below)

    def test_of_lapses(self):
        rate, below = self.cells("habit", 4096)
        menu, out = np.tile(np.array([0, 1], np.int32), (100, 1)), np.ones((100, 1), np.int8)
        replace_answers(menu, self.rows.astype(np.int8), rate, FIRST, False, 1, out, 0, 4096, self.key, 0)
        assert np.array_equal(out[:, 0] == 0, below)

    def test_of_mallows(self):
        """The first of a pair comes first with probability 1 / (1 + phi) when it is better, else phi / (1 + phi)."""
        threshold, below = self.cells("answer")
        better = threshold > 0.5
        phi = np.where(better, 1 / threshold - 1, threshold / (1 - threshold))
        menu = np.where(better[:, None], [[0, 1]], [[1, 0]]).astype(np.int32)
        rank, out = np.tile(np.array([0, 1], np.int32), (100, 1)), np.empty((100, 1), np.int8)
        mallows(menu, self.rows.astype(np.int8), rank, phi, out, 0, 1, self.key, 0)
        assert np.array_equal(out[:, 0] == 0, below)


@pytest.mark.parametrize("types", [1, 3])
@pytest.mark.parametrize("centre", [0.0, 30.0, -90.0])
def test_pairs_too_close_for_float32_are_looked_at_in_float64(types, centre):
    """One row of each block has its threshold 2.5 to 300 words from its own word; float32 would get some 25 wrong."""
    blocks = 100
    close = BLOCK * np.arange(blocks) + np.random.default_rng(1).integers(0, BLOCK, blocks)
    w = raw_uint32(9, "answer", np.arange(BLOCK * blocks), 0).astype(float)
    away = np.random.default_rng(0).integers(2, 300, blocks) * np.where(np.arange(blocks) % 2, 1, -1) + 0.5
    threshold = np.full(len(w), 2.0**31)  # equal odds everywhere else
    threshold[close] = np.clip(w[close] + away, 2.5, LAST - 2.5)
    odds = np.exp(centre) * np.r_[1.0, 1.0, 2.0**32 / threshold[close] - 1][None].repeat(types, 0)
    menu = np.tile(np.array([0, 1], np.int32), (len(w), 1))
    menu[close, 1] = 2 + np.arange(blocks)
    kind = np.empty(0, np.int8) if types == 1 else (np.arange(len(w)) % types).astype(np.int8)
    bias, out = np.ones((types, 2)), np.empty(len(w), np.int8)
    luce_pairs(menu, kind, odds, bias, *float32_odds(odds, bias), out, 0, np.uint64(9), 0)
    assert np.array_equal(out, w >= threshold)


def test_the_worst_roundings_of_float32_are_looked_at_again():
    """One pair of each block is sought among 1000 for which float32 settles wrongly, as far from zero as it can."""
    blocks, tries, f = 200, 1000, np.float32
    w = raw_uint32(9, "answer", np.arange(BLOCK * blocks), 0).astype(np.uint32)
    row = BLOCK * np.arange(blocks) + w.reshape(blocks, BLOCK).argmax(1)  # large words are rounded most
    rng = np.random.default_rng(0)
    a = np.exp(rng.uniform(-1, 1, (blocks, tries)))
    away = rng.integers(2, 700, a.shape) * rng.choice([-1, 1], a.shape) + 0.5
    threshold = np.clip(w[row][:, None] + away, 2.5, LAST - 2.5)
    b = a * (2.0**32 / threshold - 1)
    total = f(a) + f(b)
    gap = f(w[row][:, None]) * total - f(a) * f(2.0**32)
    wrong = (gap >= 0) != (w[row][:, None] >= threshold)
    far = np.where(wrong, np.abs(gap) / total, 0).argmax(1)[:, None]
    a, b, threshold = (np.take_along_axis(x, far, 1)[:, 0] for x in (a, b, threshold))
    assert (np.take_along_axis(np.where(wrong, np.abs(gap) / total, 0), far, 1) > 300).sum() > blocks / 4
    odds = np.r_[1.0, 1.0, np.stack([a, b], 1).ravel()][None]
    menu = np.tile(np.array([0, 1], np.int32), (len(w), 1))
    menu[row] = 2 + np.arange(2 * blocks).reshape(-1, 2)
    bias, out = np.ones((1, 2)), np.empty(len(w), np.int8)
    luce_pairs(menu, np.empty(0, np.int8), odds, bias, *float32_odds(odds, bias), out, 0, np.uint64(9), 0)
    expected = w.astype(float) >= 2.0**31
    expected[row] = w[row] >= threshold
    assert np.array_equal(out, expected)


def test_guided_inversion_is_the_binary_search():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 1000):
        mass = rng.random(n) ** 4
        mass[rng.random(n) < 0.3] = 0
        mass[rng.integers(n)] = 1
        cdf = np.cumsum(mass / mass.sum())
        out = np.empty(640, np.int64)
        inverse_index(out, 3, cdf, guide_table(cdf), STREAMS["menu"], 2, np.uint64(1), 0)
        u = (raw_uint32(1, "menu", 192 + np.arange(640), 2).astype(float) + 0.5) / 2**32
        assert np.array_equal(out, np.minimum(np.searchsorted(cdf, u * cdf[-1], side="right"), n - 1))


@pytest.mark.parametrize("questions", [1, 2, 3, 4, 7, 8, 1000, 2**20 - 1])
def test_rows_know_their_annotator_and_its_type(questions):
    """By whole division, to the last row that an int32 annotator can have."""
    for low in (0, 64, 5 * questions, 2**31 * questions - 300):
        row = low + np.arange(300)
        annotator, order = np.empty(300, np.int32), np.empty(300, np.int32)
        number_rows(annotator, order, low, questions)
        assert np.array_equal(annotator, row // questions) and np.array_equal(order, row % questions)
    types = np.random.default_rng(0).integers(0, 5, 2000 // questions + 3).astype(np.int8)
    for low, high in ((0, 8 * (2000 // (8 * questions)) * questions), (3, 1500), (questions, 3 * questions)):
        row = np.arange(low, min(high, low + 2000))
        first = low // questions
        got = row_types(types[first:], first, low, low + len(row), questions)
        assert got.dtype == np.int8 and np.array_equal(got, types[row // questions])


def test_tastes_use_both_words_of_every_replicate():
    """The low word moves a normal by some 1e-10, which no answer would show."""
    z = np.empty((130, 2))
    standard_normals(z, 64, KEY, 3)
    u = uniform53(int(KEY), "taste", 64 + np.arange(130)[:, None], np.arange(2)[None], 3)
    assert np.abs(z - special.ndtri(u)).max() < 1e-12
