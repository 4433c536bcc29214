"""What a new user copies from the README, or from a page to which it moved, runs word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import annosim as an
from annosim import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, page: str = "README.md", word: str = "") -> str:
    """The first block of a page in this language that holds the word."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return next(b for b in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if word in b)


def test_ten_lines_of_python(capsys):
    names: dict = {}
    exec(compile(block("python"), "README.md", "exec"), names)
    assert names["fit"].converged and names["data"].rows == 10_000
    assert names["score"].total_variation < 0.1 and names["report"].verdict == "locally_identified"
    assert capsys.readouterr().out.split() == block("text").split()


def test_types_and_reliability():
    names: dict = {}
    text = block("python", "docs/howto/hidden-types.md", "choose_types")
    exec(compile(text, "README.md", "exec"), names)
    assert names["types"].best == 2
    assert names["noisy"].converged and len(names["noisy"].population.free_parameters()["rule.skill"]) == 100


def test_items_from_a_frame_and_a_law_in_words():
    names: dict = {}
    text = block("python", "docs/howto/pandas.md", "from_pandas")
    exec(compile(text, "README.md", "exec"), names)
    assert names["law"].probabilities.sum() == pytest.approx(1.0)
    assert set(names["law"].to_frame()["answer"]) == {"tea", "milk", "juice"}


def test_names_that_moved_are_where_the_changelog_says():
    text = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `an\.(\w+)` \| `([\w.]+)` \|$", text, re.MULTILINE)
    assert len(rows) > 100
    for old, new in rows:
        place, *path = new.split(".")
        found = an if place == "an" else getattr(an, place)
        for name in path:
            found = getattr(found, name)
        assert callable(found) and not hasattr(an, old)


def test_hidden_types_of_a_language_model():
    pytest.importorskip("transformers")
    names: dict = {}
    text = block("python", "docs/howto/em-dpo.md", "with_adapters")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(text, "README.md", "exec"), names)
    assert names["fit"].solver == "em" and names["score"].adjusted_rand > 0.8


def test_dpo_on_ones_own_pairs(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: i for i, word in enumerate(["<eos>", *"what is two plus ? four five".split()])}
    table = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    table.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    monkeypatch.chdir(tmp_path)
    transformers.PreTrainedTokenizerFast(tokenizer_object=table, eos_token="<eos>").save_pretrained("my-model")
    shape = {"vocab_size": 8, "n_positions": 8, "n_embd": 16, "n_layer": 1, "n_head": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lm = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, bos_token_id=0, eos_token_id=0))
    lm.save_pretrained("my-model")
    row = '{"prompt": "two plus two ?", "chosen": "four", "rejected": "five five"}\n'
    Path("my-pairs.jsonl").write_text(20 * row)
    names: dict = {}
    text = block("python", "docs/howto/trl-pairs.md", "save_pretrained")
    exec(compile(text.replace("steps=200", "steps=10"), "README.md", "exec"), names)
    again = an.LogPolicy(transformers.GPT2LMHeadModel.from_pretrained("my-dpo"))
    with torch.no_grad():
        found, before = (policy(names["data"].items) for policy in (again, an.LogPolicy(names["lm"])))
        assert torch.allclose(found, names["fit"].population.utility(names["data"].items), atol=1e-5)
    better = (found - before)[0] - (found - before)[1]
    assert float(better if names["data"].items.texts[0] == "four" else -better) > 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["simulate"], "10000 rows"),
        (["identify", "--starts", "2"], "5 of 5 identifiable parameters"),
        (["plan", "--starts", "0"], "cheapest"),
    ],
)
def test_the_scenario_is_read_by_the_commands(words, told, tmp_path, capsys):
    path = tmp_path / "SCENARIO.toml"
    path.write_text(block("toml", "docs/howto/scenario.md"), encoding="utf-8")
    assert cli.main([words[0], str(path), *words[1:]]) == 0
    assert told in capsys.readouterr().out


def test_every_command_of_the_table_exists():
    commands = re.findall(r"`annosim (\w+)", README)
    assert set(commands) == set(cli.GROUPS) and an.__doc__
