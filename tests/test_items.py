import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given

from annosim import Items
from annosim.checks import strategies as st
from annosim.errors import ArgumentError, TooLargeError


def test_grid_weights_are_the_trapezoid_rule():
    grid = Items.grid(-10.0, 10.0, 2001)
    f = (grid.features[:, 0] ** 2) * grid.weights
    assert float(f.sum()) == pytest.approx(np.trapezoid(grid.features[:, 0].numpy() ** 2, dx=0.01), rel=1e-13)
    assert float(grid.weights.sum()) == pytest.approx(20.0, rel=1e-13)


def test_normal_is_an_address_and_a_longer_set_begins_with_the_shorter():
    assert torch.equal(Items.normal(6, 2, seed=3).features, Items.normal(9, 2, seed=3).features[:6])
    assert not torch.equal(Items.normal(6, 2, seed=3).features, Items.normal(6, 2, seed=4).features)
    assert Items.normal(6, 2, prompts=3).prompts.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"features": [[0.0], [np.nan]]}, "row 1"),
        ({"features": [[0.0], [np.inf]]}, "row 1"),
        ({"names": ["a", "a"]}, "'a'"),
        ({"names": ["a", "b"], "weights": [1.0]}, "lengths differ"),
        ({"n": 2, "weights": [1.0, 0.0]}, "positive"),
        ({"n": 2, "prompts": [0.5, 1.0]}, "whole numbers"),
        ({"tokens": [[1, 2], [1.5]]}, "item 1"),
        ({"tokens": ["ab", "cd"]}, "list of token ids"),
        ({"tokens": [3, 4]}, "list of token ids"),
        ({"tokens": [[1, 2], [-1, 2]]}, "item 1.*pad before"),
        ({"tokens": [[1, -100]]}, "below -1"),
        ({"tokens": np.array([[0.5, 1.0]])}, "whole numbers"),
        ({}, "no items"),
        ({"features": 5}, "one number"),
        ({"features": [["a"], ["b"]]}, "not numeric"),
        ({"features": [[1.0], [1.0, 2.0]]}, "ragged"),
        ({"features": np.zeros((2, 2, 2))}, r"\(n, dim\)"),
        ({"names": "tea"}, "one string per item"),
        ({"names": 3}, "one string per item"),
        ({"texts": 3.0}, "one string per item"),
        ({"tokens": 3}, "list of token ids"),
        ({"n": 2, "prompts": "ab"}, "whole numbers"),
        ({"n": 2, "clusters": [[0], [1]]}, "one number per item"),
        ({"n": 2.5}, "whole number"),
        ({"n": -1}, "whole number"),
        ({"n": 2, "weights": "heavy"}, "not numeric"),
        ({"n": 2, "columns": {"price": 3.0}}, "'price'"),
    ],
)
def test_bad_items_say_what_and_where(kwargs, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        Items(**kwargs)
    assert len(str(caught.value)) <= 300 and "\n" not in str(caught.value)


def test_a_size_that_nobody_means_is_refused_before_it_is_allocated():
    with pytest.raises(TooLargeError, match="Items"):
        Items(n=10**12)


def test_sequences_of_any_lengths_are_filled_with_pads():
    assert Items(tokens=[[1, 2, 3], [4], []]).tokens.tolist() == [[1, 2, 3], [4, -1, -1], [-1, -1, -1]]
    assert Items(tokens=[torch.tensor([5, 6]), np.array([7])]).tokens.tolist() == [[5, 6], [7, -1]]


@given(st.items(dim=2, prompts=True))
def test_every_item_belongs_to_one_prompt(items):
    members = [items.members(p).tolist() for p in items.prompts.unique().tolist()]
    assert sorted(sum(members, [])) == list(range(items.n))


def test_an_unknown_name_offers_close_ones():
    with pytest.raises(ArgumentError, match="coffee"):
        Items(names=["tea", "coffee"]).id_of("cofee")


@given(st.items(dim=2, prompts=True))
def test_items_round_trip_through_pandas(items):
    items = items.with_(clusters=np.arange(items.n) // 2, columns={"price": np.arange(items.n) / 3})
    again = Items.from_pandas(items.to_pandas())
    for name in ("features", "prompts", "clusters", "weights"):
        assert np.array_equal(getattr(again, name), getattr(items, name))
    assert again.names == items.names and again.columns["price"].tolist() == items.columns["price"].tolist()


def test_tokens_come_back_from_pandas_and_zero_is_one():
    items = Items(tokens=[[0, 3, 0], [2], [0]])
    frame = items.to_pandas()
    assert frame["tokens"].tolist() == [[0, 3, 0], [2], [0]]
    assert torch.equal(Items.from_pandas(frame).tokens, items.tokens)


def test_a_frame_says_which_columns_are_what():
    frame = pd.DataFrame(
        {"what": ["a", "b", "c"], "x": [1.0, 2.0, 3.0], "question": ["p", "q", "p"], "tokens": [[1], [2, 3], []]}
    )
    items = Items.from_pandas(frame, features=["x"], names="what", prompts="question")
    assert items.names == ("a", "b", "c") and items.prompts.tolist() == [0, 1, 0] and not items.columns
    assert items.tokens.tolist() == [[1, -1], [2, 3], [-1, -1]]
    assert Items.from_pandas(items.to_pandas()).tokens.tolist() == items.tokens.tolist()
    with pytest.raises(ArgumentError, match="no column 'y'; there are what, x"):
        Items.from_pandas(frame, features=["y"])


def test_numpy_reads_every_tensor():
    items = Items.normal(4, 2, prompts=2)
    for name in ("features", "prompts", "clusters", "weights", "log_weights", "prompt_code"):
        assert np.asarray(getattr(items, name)).shape[0] == 4


def test_a_subset_is_items_like_any_other():
    items = Items([[0.0], [1.0], [2.0]], names=["a", "b", "c"], prompts=[0, 1, 1], columns={"price": [1, 2, 3]})
    part = items.subset(torch.tensor([2, 0]))
    assert part.names == ("c", "a") and part.columns["price"].tolist() == [3, 1] and part.num_prompts == 2
    assert part.with_(names=["x", "y"]).features.tolist() == [[2.0], [0.0]] and part.host is part
    assert pickle.loads(pickle.dumps(part)).prompts.tolist() == [1, 0] and copy.deepcopy(part).n == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = part.nothing
