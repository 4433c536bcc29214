import numpy as np
import pytest
import torch
from hypothesis import given

from annosim import Items
from annosim.checks import strategies as st
from annosim.errors import ArgumentError


def test_grid_weights_are_the_trapezoid_rule():
    grid = Items.grid(-10.0, 10.0, 2001)
    f = (grid.features[:, 0] ** 2) * grid.weights
    assert float(f.sum()) == pytest.approx(np.trapezoid(grid.features[:, 0].numpy() ** 2, dx=0.01), rel=1e-13)
    assert float(grid.weights.sum()) == pytest.approx(20.0, rel=1e-13)


def test_normal_is_an_address_and_a_longer_set_begins_with_the_shorter():
    assert torch.equal(Items.normal(6, 2, seed=3).features, Items.normal(9, 2, seed=3).features[:6])
    assert not torch.equal(Items.normal(6, 2, seed=3).features, Items.normal(6, 2, seed=4).features)


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
    ],
)
def test_bad_items_say_what_and_where(kwargs, words):
    with pytest.raises(ArgumentError, match=words):
        Items(**kwargs)


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
