"""Long frames by hand: one row per answer and alternative, and what was said of each place."""

from __future__ import annotations

import pandas as pd
import pytest

import annosim as an

#: kind, what was said of a, b and c in three questions, the answers by place, and marks of ties
SAID = {
    "choice": ("choice", [[0, 1, 0], [1, 0, 0], [0, 0, 0]], [1, 0, -1], None),
    "rankings": ("ranking", [[2, 1, 3], [1, 2, 3], [3, 2, 1]], [[1, 0, 2], [0, 1, 2], [2, 1, 0]], None),
    "a tie": ("ranking", [[1, 1, 2], [1, 2, 3]], [[0, 1, 2], [0, 1, 2]], [[True, False], [False, False]]),
    "the first two": (an.Feedback("top", depth=2), [[2, 1, 0], [0, 2, 1]], [[1, 0], [2, 1]], None),
    "best and worst": ("best-worst", [[1, 0, -1], [-1, 0, 1]], [[0, 2], [2, 0]], None),
    "grades": (an.Feedback("rating", grades=4), [[3, 0, 1], [2, None, 0]], [[3, 0, 1], [2, -1, 0]], None),
}


def long(said):
    rows = [(q, place, "abc"[place], one) for q, three in enumerate(said) for place, one in enumerate(three)]
    return pd.DataFrame(rows, columns=["row", "position", "item", "answer"]).sample(frac=1, random_state=0)


@pytest.mark.parametrize("name", SAID)
def test_what_was_said_of_each_place(name):
    feedback, said, answer, tied = SAID[name]
    if name == "grades":  # an item without a grade is not on the menu
        frame = long(said).dropna()
    else:
        frame = long(said)
    data = an.PreferenceData.from_frame(frame, items=an.Items(names=list("abc")), feedback=feedback)
    order = [int(str(one)) for one in frame["row"].drop_duplicates()]  # questions come in order of first appearance
    found = data.answer[[order.index(q) for q in range(len(said))]]
    width = len(answer[0]) if isinstance(answer[0], list) else None
    found = found[:, :width] if width and found.ndim > 1 else found.reshape(-1) if width is None else found
    assert found.tolist() == answer
    assert (None if data.tied is None else data.tied[[order.index(q) for q in range(len(said))]].tolist()) == tied
