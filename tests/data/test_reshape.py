"""Ties as half wins, splits, renumbering, and sufficient statistics."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

import annosim as an
from annosim.checks import strategies as st
from annosim.errors import ArgumentError, DataError, TooLargeError


def half_wins(data):
    """(winner, loser) -> weight, a tie half each way; ranks count every ordered pair of the listed."""
    wins = Counter()
    answer = data.answer if data.answer.ndim == 2 else data.answer[:, None]
    for r in range(data.rows):
        order = [p for p in answer[r].tolist() if p >= 0]
        if data.feedback.kind == "choice":
            beaten = [p for p in range(data.menu_size) if data.menu[r, p] >= 0 and p not in order]
            for p in order:
                for q in beaten:
                    wins[data.menu[r, p], data.menu[r, q]] += data.row_weight[r] / len(order)
            continue
        group = np.cumsum([0] + [0 if t else 1 for t in (data.tied[r] if data.tied is not None else [False] * 9)])
        for i, p in enumerate(order):
            for j, q in enumerate(order[i + 1 :], i + 1):
                share = 0.5 if group[i] == group[j] else 1.0
                wins[data.menu[r, p], data.menu[r, q]] += share * data.row_weight[r]
                wins[data.menu[r, q], data.menu[r, p]] += (1 - share) * data.row_weight[r]
    return {pair: weight for pair, weight in wins.items() if weight}


@pytest.mark.parametrize("kind", ["choice", "ranking"])
@settings(max_examples=80)
@given(draw=st.hs.data())
def test_half_wins_are_half_wins(kind, draw):
    data = draw.draw(st.encoded_data(kind=kind))
    half = data.ties("half")
    assert not half.has_ties and half.tied is None
    assert half.row_weight.sum() == pytest.approx(data.row_weight.sum())
    if kind == "choice":  # the winner's share; tied winners do not beat each other in this count
        before, after = winners(data), winners(half)
    else:
        before, after = half_wins(data), half_wins(half)
    assert before.keys() == after.keys()
    assert all(after[key] == pytest.approx(before[key]) for key in before)


def winners(data):
    out = Counter()
    answer = data.answer if data.answer.ndim == 2 else data.answer[:, None]
    for r in range(data.rows):
        order = [p for p in answer[r].tolist() if p >= 0]
        for p in order:
            out[tuple(data.menu[r].tolist()), p] += data.row_weight[r] / len(order)
    return {key: weight for key, weight in out.items() if weight}


@settings(max_examples=60)
@given(data=st.encoded_data(kind="top"))
def test_half_wins_of_top_answers_share_the_places(data):
    """Each alternative stands among the listed as often as an equal share of its group's places says."""
    half = data.ties("half")
    assert not half.has_ties and half.row_weight.sum() == pytest.approx(data.row_weight.sum())
    depth = data.feedback.depth
    assert (half.answer[:, depth:] < 0).all()
    before, after = Counter(), Counter()
    for r in range(data.rows):
        order = [p for p in data.answer[r].tolist() if p >= 0]
        start = 0
        while start < len(order):
            stop = start
            while data.tied is not None and stop < data.menu_size - 1 and data.tied[r, stop]:
                stop += 1
            inside = min(stop + 1, depth) - start
            for p in order[start : stop + 1]:
                before[tuple(data.menu[r].tolist()), p] += data.row_weight[r] * max(inside, 0) / (stop + 1 - start)
            start = stop + 1
    for r in range(half.rows):
        for p in half.answer[r].tolist():
            if p >= 0:
                after[tuple(half.menu[r].tolist()), p] += half.row_weight[r]
    for key in before | after:
        assert after[key] == pytest.approx(before[key])


def test_half_annotators_keep_their_blocks():
    data = an.PreferenceData(
        an.Items(n=3),
        [[0, 1], [1, 2], [0, 2]],
        [[0, 1], [0, -1], [1, -1]],
        tied=[[True], [False], [False]],
        annotator=[0, 0, 1],
        annotator_names=["ann", "bob"],
        truth={"type": np.array([1, 0])},
    )
    half = data.ties()
    assert half.annotator.tolist() == [0, 0, 1, 1, 2] and half.weight.tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]
    assert half.answer.tolist() == [0, 0, 1, 0, 1] and half.columns["voter"].tolist() == [0, 0, 0, 0, 1]
    assert half.truth["type"].tolist() == [1, 1, 0] and half.annotator_weight.sum() == 2


def test_ties_that_cannot_be_broken():
    sizes = [5, 7, 8, 9]  # choices tied 5, 7, 8 and 9 ways by one annotator: 2520 copies
    n = 9
    menu = np.tile(np.arange(n), (4, 1))
    answer = [[*range(s)] + [-1] * (n - s) for s in sizes]
    tied = [[True] * (s - 1) + [False] * (n - s) for s in sizes]
    data = an.PreferenceData(an.Items(n=n), menu, answer, tied=tied, annotator=[0] * 4)
    with pytest.raises(TooLargeError, match="2520 copies"):
        data.ties("half")
    with pytest.raises(ArgumentError, match="'half' is the one way"):
        data.ties("drop")


# ---- counts --------------------------------------------------------------------------------------------------------


def blocks(data, ordered):
    """Multiset of blocks with their weights, in plain Python."""
    out = Counter()
    answer = data.answer if data.answer.ndim == 2 else data.answer[:, None]
    tied = np.zeros((data.rows, 0)) if data.tied is None else data.tied
    prompt = np.zeros(data.rows) if data.prompt is None else data.prompt
    for a in np.unique(data.annotator_ids):
        rows = np.flatnonzero(data.annotator_ids == a)
        rows = rows[np.argsort(data.sequence[rows], kind="stable")]
        said = [(*data.menu[r].tolist(), *answer[r].tolist(), *tied[r].tolist(), prompt[r]) for r in rows]
        out[tuple(said if ordered else sorted(said))] += data.annotator_weight[a]
    return out


@pytest.mark.parametrize("ordered", [False, True])
@settings(max_examples=100)
@given(draw=st.hs.data())
def test_counts_keep_every_block(ordered, draw):
    data = draw.draw(st.encoded_data(max_n=2, max_rows=8))
    small = data.counts(ordered=ordered)
    assert blocks(small, ordered) == pytest.approx(blocks(data, ordered))
    assert small.num_annotators == len(blocks(data, ordered))
    assert small.counts(ordered=ordered).equals(small)


@settings(max_examples=60)
@given(data=st.encoded_data(max_n=3))
def test_counts_by_row_are_a_histogram(data):
    small = data.counts(by="row")
    histogram = Counter()
    answer = data.answer if data.answer.ndim == 2 else data.answer[:, None]
    for r in range(data.rows):
        tied = () if data.tied is None else tuple(data.tied[r].tolist())
        prompt = () if data.prompt is None else (int(data.prompt[r]),)
        histogram[(*data.menu[r].tolist(), *answer[r].tolist(), *tied, *prompt)] += data.row_weight[r]
    assert sorted(small.weight) == pytest.approx(sorted(histogram.values()))


def test_counts_of_long_blocks_and_named_columns():
    rng = np.random.default_rng(3)
    menu = np.tile([0, 1], (120, 1))
    answer = np.tile(rng.integers(0, 2, 40), 3)  # three annotators who say the same forty things
    data = an.PreferenceData(
        an.Items(n=2), menu, answer, annotator=np.repeat([0, 1, 2], 40), columns={"m": np.repeat([1.0, 2.0, 1.0], 40)}
    )
    assert data.counts().annotator_weight.tolist() == [3.0]
    kept = data.counts(columns=["m"])
    assert kept.annotator_weight.tolist() == [2.0, 1.0] and kept.columns["m"][0] == 1.0
    with pytest.raises(ArgumentError, match="no column 'x'"):
        data.counts(columns=["x"])


def test_blocks_of_unequal_lengths_stay_apart():
    """One short block and many distinct longer ones: a class for each, whose answers are its own."""
    said = [[0], [0, 0], [0, 1], [1, 0], [1, 1], [0, 0, 0], [0, 0, 1], [1, 1, 1], [1, 1, 0], [0, 1, 1]] * 2
    who = np.repeat(np.arange(len(said)), [len(block) for block in said])
    twice = an.PreferenceData(an.Items(n=2), np.tile([0, 1], (len(who), 1)), np.concatenate(said), annotator=who)
    small = twice.counts(ordered=True)
    assert small.annotator_weight.tolist() == [2.0] * 10
    assert blocks(small, True) == blocks(twice, True)


def test_counts_do_not_rest_on_a_hash():
    """Ranges whose product overflows 64 bits are compressed exactly."""
    from annosim.data.counts import combine

    rng = np.random.default_rng(0)
    fields = [rng.integers(-(2**31), 2**31 - 1, 500) for _ in range(5)]
    fields = [np.r_[f, f] for f in fields]
    code = combine(fields)
    rows = list(zip(*[f.tolist() for f in fields], strict=True))
    number = {row: i for i, row in enumerate(dict.fromkeys(rows))}
    expected = [number[row] for row in rows]
    assert len(set(zip(code.tolist(), expected, strict=True))) == len(number) == int(code.max()) + 1


# ---- splits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["annotator", "prompt", "row"])
def test_a_split_is_disjoint_whole_and_repeatable(by):
    n = 60
    data = an.PreferenceData(
        an.Items(n=2),
        [[0, 1]] * n,
        [0] * n,
        annotator=np.arange(n) // 5,
        prompt=np.arange(n) % 10,
        columns={"row": np.arange(n)},
        annotator_names=[f"w{i}" for i in range(12)],
        truth={"type": np.arange(12)},
    )
    parts = data.split(by, [0.5, 0.3, 0.2], seed=4)
    rows = np.concatenate([p.columns["row"] for p in parts])
    assert sorted(rows) == list(range(n))
    unit = {"annotator": np.arange(n) // 5, "prompt": np.arange(n) % 10, "row": np.arange(n)}[by]
    groups = [set(unit[p.columns["row"]]) for p in parts]
    assert not (groups[0] & groups[1]) and not (groups[0] & groups[2]) and not (groups[1] & groups[2])
    assert [len(g) for g in groups] == {"annotator": [6, 4, 2], "prompt": [5, 3, 2], "row": [30, 18, 12]}[by]
    for part in parts:
        assert part.num_annotators == len(set(part.annotator))
        for row, a in zip(part.columns["row"], part.annotator, strict=True):
            assert part.annotator_names[a] == f"w{row // 5}" and part.truth["type"][a] == row // 5
    again = data.split(by, [0.5, 0.3, 0.2], seed=4)
    assert all(a.equals(b) for a, b in zip(parts, again, strict=True))
    assert not data.split(by, 0.5, seed=5)[0].equals(data.split(by, 0.5, seed=6)[0])


def test_splits_that_make_no_sense():
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [0, 1])
    for fraction in (0, 1, 1.5, [0.5, 0.6], [1.0, 0.0]):
        with pytest.raises(ArgumentError, match="fraction"):
            data.split(fraction=fraction)
    with pytest.raises(ArgumentError, match="one of annotator, prompt, row"):
        data.split(by="day")
    with pytest.raises(DataError, match="cannot fill 3 parts"):
        data.split(by="row", fraction=[0.4, 0.3, 0.3])


def test_concatenation_refuses_what_does_not_fit():
    one = an.PreferenceData(an.Items(n=2), [[0, 1]], [0])
    for other, what in [
        (an.PreferenceData(an.Items(n=3), [[0, 1]], [0]), "items.n"),
        (an.PreferenceData(an.Items(n=2), [[0, 1]], [[0, 1]], feedback="ranking"), "feedback"),
        (one.with_(prompt=np.array([0])), "prompt"),
        (one.with_(columns={"m": np.array([1.0])}), "columns"),
    ]:
        with pytest.raises(DataError, match=f"part 1 differs from part 0 in {what}"):
            an.data.concat([one, other])
    tie = an.PreferenceData(an.Items(n=2), [[0, 1]], [[0, 1]], tied=[[True]])
    assert an.data.concat([one, tie]).answer.tolist() == [[0, -1], [0, 1]]


@pytest.mark.parametrize("people", [None, 4])
def test_the_copies_of_a_vote_are_one_observation(people):
    """Half wins are observations of value 1/2: robust errors by hand, with and without annotators."""
    said = np.array([0] * 11 + [1] * 5 + [2] * 8)
    value = np.array([1.0, 0.0, 0.5])[said]
    answer = np.stack([np.where(said == 1, 1, 0), np.where(said == 2, 1, -1)], 1)
    who = None if people is None else np.arange(24) % people
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 24, answer, tied=(said == 2)[:, None], annotator=who)
    fit = an.fit(an.Annotator(an.Tabular(2), an.Luce()), data.ties("half"))
    p = value.mean()
    unit = np.arange(24) if who is None else who
    for kind, by in (("sandwich", np.arange(24)), ("cluster", unit)):
        meat = (np.bincount(by, weights=value - p) ** 2).sum()
        error = np.sqrt(meat) / (24 * p * (1 - p)) / 2  # of half the difference: utilities are centred
        found = np.concatenate([np.ravel(v) for v in fit.standard_errors(kind=kind).values()])
        np.testing.assert_allclose(found, error, rtol=1e-6)


def test_replicates_side_by_side_say_what_each_said():
    people = an.Mixture([an.Annotator(an.Tabular([0.0, s, 1.0]), an.Luce()) for s in (2.0, -2.0)])
    design = an.Design(an.Items(n=3), annotators=20, questions=3, feedback="ranking", menu_size=3)
    parts = [an.simulate(people, design, seed=s) for s in (1, 5, 9)]
    both = an.data.stack(parts)
    assert both.replicates == 3 and both.annotator.ndim == 1  # nobody's number is kept twice
    assert all(both[r].equals(part) for r, part in enumerate(parts))
    loads = [p.with_(annotator=np.random.default_rng(r).integers(0, 20, p.rows)) for r, p in enumerate(parts)]
    assert all(an.data.stack(loads)[r].equals(part) for r, part in enumerate(loads))
    drawn = an.simulate(people, design, seed=2, replicates=3)
    assert an.data.stack([drawn[r] for r in range(3)]).equals(drawn)


def test_selections_of_different_rows_stand_side_by_side():
    one = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, [0, 1, 1, 0])
    both = an.data.stack([one.take([0, 2]), one.take([3, 1])])
    assert both.answer.tolist() == [[0, 1], [0, 1]] and both.annotator_names is None


def test_stacking_refuses_what_does_not_fit():
    one = an.PreferenceData(an.Items(n=2), [[0, 1]], [0])
    for other, what in [
        (an.PreferenceData(an.Items(n=3), [[0, 1]], [0]), "items.n"),
        (an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [0, 1]), "rows"),
        (one.with_(columns={"m": np.array([1.0])}), "columns"),
        (one.with_(annotator=np.array([0]), annotator_names=["Ann"]), "annotator"),
    ]:
        with pytest.raises(DataError, match=f"stack: part 1 differs from part 0 in {what}"):
            an.data.stack([one, other])
    with pytest.raises(ArgumentError, match="no parts"):
        an.data.stack([])
    for parts in (3, [3], one):
        with pytest.raises(ArgumentError, match="concat.parts=.: give a list of an.PreferenceData"):
            an.data.concat(parts)
    named, other = (
        one.with_(annotator=np.array([0]), annotator_names=[n], columns={"m": np.array([v])})
        for n, v in (("Ann", 1.0), ("Bo", 2.0))
    )
    for part, what in ((other, "annotator_names"), (named.with_(columns={"m": np.array([2.0])}), "columns")):
        with pytest.raises(DataError, match=f"differs from part 0 in {what}; replicates have them in common"):
            an.data.stack([named, part])
    with pytest.raises(DataError, match="has replicates"):
        an.data.stack([an.data.stack([one])])
    tie = an.PreferenceData(an.Items(n=2), [[0, 1]], [[0, 1]], tied=[[True]])
    assert an.data.stack([one, tie]).tied.tolist() == [[[False]], [[True]]]


@pytest.mark.parametrize("by", ["annotator", "prompt", "row"])
def test_each_unit_is_left_out_once_and_the_rest_is_everything_else(by):
    items = an.Items(n=6, prompts=[0, 0, 1, 1, 2, 2])
    menu = np.array([[0, 1], [2, 3], [5, 4], [1, 0], [4, 5], [3, 2]])
    data = an.PreferenceData(items, menu, answer=[0, 1, 0, 1, 1, 0], annotator=[2, 0, 1, 2, 2, 0])
    whole = sorted(zip(map(tuple, menu.tolist()), np.asarray(data.answer).ravel().tolist(), strict=True))
    seen = []
    for unit, rest, out in data.leave_one_out(by):
        parts = [
            list(zip(map(tuple, p.menu.tolist()), np.asarray(p.answer).ravel().tolist(), strict=True))
            for p in (rest, out)
        ]
        assert sorted(parts[0] + parts[1]) == whole and out.rows
        seen += [(unit, row) for row in parts[1]]
    assert sorted(row for _, row in seen) == whole
    assert len({unit for unit, _ in seen}) == {"annotator": 3, "prompt": 3, "row": 6}[by]


def test_a_single_unit_cannot_be_left_out():
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, answer=[0, 1])
    with pytest.raises(an.errors.DataError, match="nothing would be left"):
        data.leave_one_out("prompt")
    with pytest.raises(an.errors.ArgumentError, match="one of annotator"):
        data.leave_one_out("debate")


def test_a_design_of_data_has_their_loads_and_weights():
    items = an.Items(n=3)
    votes = an.PreferenceData(
        items, [[0, 1], [1, 2], [1, 2]], answer=[0, 1, 0], annotator=[0, 0, 2], weight=[1.0, 1.0, 2.0]
    )
    design = votes.design()
    assert design.loads.tolist() == [2, 1] and design.annotators == 2
    np.testing.assert_allclose(design.menu_weights, [0.25, 0.75])
    with pytest.raises(an.errors.ArgumentError, match="replicates"):
        an.data.stack([votes, votes]).design()
