"""What rows carry beside the winner: time stamps, several reasons, frequencies, soft labels, ties in long choice data."""

import pytest

import annosim as an
from annosim.errors import RowsError

VOTES = [
    {"left": "a", "right": "b", "winner": "left", "who": "x", "reasons": ["clear", "short"], "when": "2026-01-02T10:00:02Z"},
    {"left": "b", "right": "a", "winner": "right", "who": "x", "reasons": ["funny", "long"], "when": "2026-01-01T23:00:01Z"},
    {"left": "b", "right": "a", "winner": "tie", "who": "y", "reasons": ["one"], "when": "2026-01-03 08:00"},
]  # fmt: off
OPTIONS = {"annotator": "who", "order": "when"}


@pytest.mark.parametrize(
    "times", [None, [1.7e12 + 5, 1.7e12, 1.7e12 + 9], [1_700_000_005, 1_700_000_000, 1_700_000_009]]
)
def test_time_stamps_number_the_votes_of_each_annotator(times):
    rows = VOTES if times is None else [{**row, "when": time} for row, time in zip(VOTES, times, strict=True)]
    assert an.io.read(rows, "pairs", OPTIONS).order.tolist() == [1, 0, 0]


def test_places_stay_as_they_are_and_no_time_is_said():
    rows = [{**row, "when": place} for row, place in zip(VOTES, (4, 2, 7), strict=True)]
    assert an.io.read(rows, "pairs", OPTIONS).order.tolist() == [4, 2, 7]
    with pytest.raises(RowsError, match="line 2: when 'soon' is no place and no time"):
        an.io.read([VOTES[0], {**VOTES[1], "when": "soon"}], "pairs", OPTIONS)


@pytest.mark.parametrize("count", [2, 3])
def test_several_reasons_are_kept(count, tmp_path):
    """Also where all rows have equally many, which must not become a matrix."""
    data = an.io.read(VOTES[:count], "pairs", OPTIONS)
    assert data.take([1]).columns["reasons"].tolist() == [["funny", "long"]]
    data.to_parquet(tmp_path / "votes.parquet")
    assert an.io.read(tmp_path / "votes.parquet").equals(data)
    assert an.PreferenceData.from_frame(data.to_frame()).equals(data)


def test_probabilities_and_counts_keep_covariates():
    rows = [{"left": "a", "right": "b", "p": 0.7, "len_left": 3, "len_right": 1, "n": 2}]
    soft = an.io.read(rows, "pairs", {"winner": "p", "winner_is": "score", "count": "n"}, covariates=["len"])
    assert soft.weight.tolist() == pytest.approx([1.4, 0.6]) and soft.covariates["len"].tolist() == [[3, 1]] * 2
    counted = an.io.read(
        [{**rows[0], "who": "x", "winner": "left"}], "pairs", {"annotator": "who", "count": "n"}, ["len"]
    )
    assert counted.rows == 2 and counted.covariates["len"].tolist() == [[3, 1]] * 2


def test_several_chosen_alternatives_are_a_tie_where_that_is_said():
    chosen = [(1, 1, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1)]
    rows = [
        {"id": t, "alt": alt, "choice": c, "price": (t * 7 + 3 * j) % 5}
        for t, each in enumerate(chosen)
        for j, (alt, c) in enumerate(zip("xyz", each, strict=True))
    ]
    with pytest.raises(RowsError, match=r"2 of this situation's alternatives are chosen, expected 1 \(ties=true"):
        an.io.read(rows, "long", {"situation": "id"})
    data = an.io.read(rows, "long", {"situation": "id", "ties": True}, covariates=["price"])
    assert data.answer.tolist()[:3] == [[0, 1, -1], [2, -1, -1], [1, 2, -1]]
    assert data.tied.tolist()[:3] == [[True, False], [False, False], [True, False]]
    model = an.Annotator(an.Tabular(3), an.rules.Covariates(an.Davidson(an.free([0.5])), ["price"]))
    assert an.fit(model, data, prior=an.priors.Gaussian(1.0)).converged
