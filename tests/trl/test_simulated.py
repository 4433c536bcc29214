"""Rewards from simulated people: exact where they are exact, the people's own win rates where they are drawn."""

from __future__ import annotations

import json
import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import AnswerKindError, ArgumentError, DataError
from annosim.trl import reward_function

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ITEMS = an.Items(texts=["tea", "milk", "water"])


def annotator(*values, rule=None):
    return an.Annotator(an.Tabular(list(values)), rule or an.Luce())


def test_without_answers_it_is_the_mean_utility():
    people = an.Mixture([annotator(1.0, 0.0, 2.0), annotator(0.0, 3.0, 1.0)], [0.25, 0.75])
    reward = reward_function(people, items=ITEMS)
    found = reward(["x", "x", "y"], ["milk", " tea\n", "water"], completion_ids=None, trainer_state=None)
    assert found == pytest.approx([0.75 * 3, 0.25, 0.5 + 0.75])
    assert reward_function(an.Tabular([5.0, 6.0, 7.0]), items=ITEMS)(["x"], ["milk"]) == [6.0]


def test_tastes_are_averaged():
    people = an.RandomCoefficients([1.0, -1.0], [1.0, 0.5], an.Luce())
    reward = reward_function(
        people, features=lambda prompts, texts: [[len(p), len(t)] for p, t in zip(prompts, texts, strict=True)]
    )
    assert reward(["ab", ""], ["x", "abc"]) == pytest.approx([1.0, -3.0], abs=1e-9)


def test_with_answers_it_is_the_share_of_comparisons_won():
    """Three completions of one prompt and two of another, 20,000 people: exact win rates within six errors (1e-8)."""
    values = {"tea": 1.0, "milk": 0.0, "water": -0.5}
    reward = reward_function(annotator(*values.values()), items=ITEMS, answers=20_000, seed=4)
    said = ["tea", "milk", "water", "milk", "tea"]
    found = reward(["x", "x", "x", "y", "y"], said)

    def wins(one, other):
        return 1 / (1 + math.exp(values[other] - values[one]))

    exact = [np.mean([wins(said[i], said[j]) for j in group if j != i]) for group in ([0, 1, 2], [3, 4]) for i in group]
    assert np.abs(np.array(found) - exact).max() < 6 * 0.5 / math.sqrt(20_000)
    assert np.abs(np.array(found) - exact).max() > 0


def test_equal_completions_tie_and_one_alone_has_a_half():
    reward = reward_function(annotator(9.0, 0.0, 0.0), items=ITEMS, answers=5)
    assert reward(["x", "x", "y"], ["tea", "tea", "milk"]) == [0.5, 0.5, 0.5]
    ties = annotator(0.0, 0.0, 0.0, rule=an.Davidson([1e9]))
    assert reward_function(ties, items=ITEMS, answers=50)(["x", "x"], ["tea", "milk"]) == [0.5, 0.5]


def test_position_bias_favours_nobody():
    """All choose what is shown first: each of two wins about half of 400 calls (six errors)."""
    first = annotator(0.0, 0.0, 0.0, rule=an.PositionBias(an.Luce(), shift=50.0))
    reward = reward_function(first, items=ITEMS, answers=1)
    won = np.mean([reward(["x", "x"], ["tea", "milk"])[0] for _ in range(400)])
    assert abs(won - 0.5) < 6 * 0.5 / 20


def test_each_call_has_its_own_draws_and_seeds_are_addresses():
    def calls(seed):
        reward = reward_function(annotator(0.0, 0.0, 0.0), items=ITEMS, answers=101, seed=seed)
        return [reward(["x", "x"], ["tea", "milk"])[0] for _ in range(3)]

    assert calls(1) == calls(1) and len(set(calls(1))) > 1 and calls(1) != calls(2)


def test_token_utilities_read_the_trainers_tokens():
    class Last(an.Utility):
        def forward(self, items):
            return items.tokens.max(1).values.double() + torch.as_tensor(items.columns["prompt_length"])

    class Letters:
        def __call__(self, text):
            return {"input_ids": [ord(c) - 97 for c in text]}

        def apply_chat_template(self, messages, **options):
            return {"input_ids": [0] * len(messages)}

    reward = reward_function(Last(), tokenizer=Letters())
    assert reward(["ab", "a"], ["?", "?"], completion_ids=[[7], [8, 3]]) == [9.0, 9.0]
    chat = [[{"role": "user", "content": "hello"}]]
    assert reward(chat, [[{"role": "assistant", "content": "no"}]], completion_ids=[[4]]) == [5.0]
    with pytest.raises(ArgumentError, match="completion_ids"):
        reward(["a"], ["b"])


def test_what_is_no_item_is_refused_or_has_the_reward_that_was_given():
    reward = reward_function(annotator(1.0, 2.0, 3.0), items=ITEMS)
    with pytest.raises(DataError, match="'wine' is no item's text"):
        reward(["x"], ["wine"])
    kept = reward_function(annotator(1.0, 2.0, 3.0), items=ITEMS, unknown=-9.0, answers=3)
    assert kept(["x", "x"], ["wine", "milk"]) == [-9.0, 0.5]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: reward_function(annotator(1.0, 2.0, 3.0)), "there is none"),
        (lambda: reward_function(annotator(1.0, 2.0, 3.0), items=ITEMS, tokenizer=str), "items= and tokenizer="),
        (lambda: reward_function("people", items=ITEMS), "give a population"),
        (lambda: reward_function(annotator(1.0, 2.0, 3.0), items=an.Items(n=3)), "they have no texts"),
        (lambda: reward_function(annotator(1.0, 2.0, 3.0), items=ITEMS, answers=0), "answers"),
        (lambda: reward_function(an.Tabular([1.0, 2.0, 3.0]), items=ITEMS, answers=2), "a utility has no answers"),
    ],
)
def test_bad_input_is_refused_in_one_line(make, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_rule_that_compares_nothing_is_refused():
    graders = annotator(0.0, 0.0, 0.0, rule=an.rules.OrderedLogit([-1.0, 1.0]))
    with pytest.raises(AnswerKindError):
        reward_function(graders, items=ITEMS, answers=2)(["x", "x"], ["tea", "milk"])


@pytest.fixture
def folder(hf, tokenizer, gpt2, records, tmp_path):
    """A model and rows on disk, as the examples take them."""
    gpt2(0).save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return tmp_path


def script(name, folder, monkeypatch, *options):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [name, "--model", "tiny", *options])
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    return runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_the_example_of_em_dpo_runs(folder, monkeypatch, capsys):
    own = script("em_dpo_trl.py", folder, monkeypatch, "--data", "rows.jsonl", "--steps", "3", "--out", "mine")
    assert own["trainer"].state.global_step == 3 and (folder / "mine" / "type_1" / "config.json").is_file()
    assert "shares of the types" in capsys.readouterr().out


@pytest.mark.parametrize("trainer", ["GRPO", "RLOO"])
def test_the_example_of_reinforcement_learning_runs(trainer, folder, monkeypatch, capsys):
    options = ("--trainer", trainer, "--steps", "2", "--tokens", "4")
    own = script("grpo_simulated.py", folder, monkeypatch, *options)
    assert own["trainer"].state.global_step == 2 and own["reward"].calls == len(own["rewards"]) == 2
    assert all(0 <= reward <= 1 for reward in own["rewards"])
