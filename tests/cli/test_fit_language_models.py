"""``annosim fit`` of language models by path: DPO, EM-DPO on adapters, reward models; written back for others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import annosim as an
from annosim import cli
from annosim.scenario import read_scenario

transformers = pytest.importorskip("transformers", reason="models by path need the extra [hf]")
tokenizers = pytest.importorskip("tokenizers", reason="models by path need the extra [hf]")

POLICY = "[[model.types]]\nutility = { kind = 'log_policy', model = 'tiny'%s }\n"
DPO = "rule = { kind = 'dpo', beta = 0.5, reference = 'start' }\n"
DATA = "[data]\npath = 'pairs.jsonl'\nformat = 'trl'\n"
SHORT = "[fit]\nsteps = 3\nlr = 0.01\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model with its tokenizer, and a file of pairs."""
    place = tmp_path_factory.mktemp("lm")
    letters = {word: i for i, word in enumerate(["<eos>", "<unk>", *"abcdehilnosty? "])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(letters, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    reader = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>", unk_token="<unk>")
    config = transformers.GPT2Config(
        vocab_size=len(letters),
        n_positions=24,
        n_embd=8,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.GPT2LMHeadModel(config).save_pretrained(place / "tiny")
    reader.save_pretrained(place / "tiny")
    rows = [
        {"prompt": "is it? ", "chosen": "yes" + "." * (i % 3), "rejected": "no it is not", "annotator": f"w{i % 4}"}
        for i in range(12)
    ]
    (place / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return place


@pytest.fixture
def fit(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def run(text, *more):
        (folder / "own.toml").write_text(text, encoding="utf-8")
        code = cli.main(["fit", "own.toml", *map(str, more)])
        told = capsys.readouterr()
        return code, told.out, told.err.splitlines()[-1:]

    return run


def test_dpo_from_one_file_and_back_to_a_folder(fit, tmp_path):
    out = tmp_path / "mine"
    code, told, _ = fit(DATA + POLICY % "" + DPO + SHORT, "--save", tmp_path / "fit.pt", "--export", out)
    assert code == 0 and "trained for 3 of 3 steps" in told
    found = an.Fit.load(tmp_path / "fit.pt")
    again = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert transformers.AutoTokenizer.from_pretrained(out).eos_token == "<eos>"
    assert torch.equal(an.LogPolicy(again)(found.problem.items), found.population.utility(found.problem.items))
    begun = an.LogPolicy(transformers.AutoModelForCausalLM.from_pretrained("tiny"))(found.problem.items)
    moved = found.population.utility(found.problem.items) - begun
    assert float(moved.detach().abs().max()) > 1e-3
    implicit = 0.5 * moved.double()  # the index is beta times the log ratio to the model as it began
    assert torch.allclose(found.population.index(found.problem.items), implicit, atol=1e-5)


def test_the_file_of_the_page_on_trl_pairs(fit, folder):
    page = (Path(__file__).parents[2] / "docs" / "howto" / "trl-pairs.md").read_text(encoding="utf-8")
    (text,) = [one for one in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[fit]" in one]
    text = text.replace("my-model", "tiny").replace("my-pairs", "pairs").replace("held_out = 0.1", "held_out = 0.25")
    assert fit(text, "--steps", 3, "--export", folder / "my-dpo")[0] == 0
    assert (folder / "my-dpo" / "config.json").exists() and (folder / "dpo.pt").exists()


def test_types_on_one_trunk(fit, folder, tmp_path):
    text = DATA + (POLICY % ", adapters = 2" + DPO) * 2 + SHORT
    more = (
        "--e-step-every",
        1,
        "--save",
        tmp_path / "fit.pt",
        "--export",
        tmp_path / "mine",
        "--out",
        tmp_path / "s.csv",
    )
    code, told, _ = fit(text, *more)
    assert code == 0 and "solver          em" in told and "text" in (tmp_path / "s.csv").read_text().splitlines()[0]
    found = an.Fit.load(tmp_path / "fit.pt")
    for k, one in enumerate(found.population.types):
        plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "mine" / f"type_{k}")
        assert torch.allclose(an.LogPolicy(plain)(found.problem.items), one.utility(found.problem.items), atol=1e-5)
    raw = {"kind": "log_policy", "model": str(folder / "tiny"), "adapters": {"rank": 2, "layers": ["c_attn"]}}
    items = {"kind": "inline", "tokens": [[2, 3], [2, 4, 5]], "prompt_length": [1, 1]}
    both = read_scenario({"items": items, "model": {"types": [{"utility": raw}, {"utility": raw}]}}).model
    first, second = (dict(one.utility.model.named_parameters()) for one in both.types)
    assert all(first[name].data_ptr() == second[name].data_ptr() for name, p in first.items() if not p.requires_grad)
    assert any(not torch.equal(first[name], second[name]) for name, p in first.items() if p.requires_grad)


@pytest.mark.parametrize("kind", ["log_policy", "sequence_reward"])
def test_types_without_adapters_have_a_whole_model_each(fit, folder, tmp_path, kind):
    raw = {"kind": kind, "model": str(folder / "tiny")}
    items = {"kind": "inline", "tokens": [[2, 3], [2, 4, 5]], "prompt_length": [1, 1]}
    both = read_scenario({"items": items, "model": {"types": [{"utility": raw}, {"utility": raw}]}}).model
    first, second = (dict(one.utility.model.named_parameters()) for one in both.types)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert not {p.data_ptr() for p in first.values()} & {p.data_ptr() for p in second.values()}
    text = DATA + POLICY.replace("log_policy", kind) % "" * 2 + SHORT
    assert fit(text, "--e-step-every", 1, "--perturbation", 0.1, "--save", tmp_path / "fit.pt")[0] == 0
    found = an.Fit.load(tmp_path / "fit.pt")
    one, other = (leaf.utility(found.problem.items).detach() for leaf in found.population.types)
    assert float((one - other).abs().max()) > 1e-3


def test_a_reward_model_begins_at_a_language_model(fit, tmp_path):
    text = DATA + "[[model.types]]\nutility = { kind = 'sequence_reward', model = 'tiny' }\n" + SHORT
    values = []
    for name in ("a", "b"):
        assert fit(text, "--save", tmp_path / f"{name}.pt")[0] == 0
        values.append(an.Fit.load(tmp_path / f"{name}.pt").population.vector().detach())
    assert torch.equal(*values)  # the new head is drawn at an address


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        (DATA + POLICY % ", adapters = 0" + DPO, (), "adapters: with_adapters(rank=0): a whole number"),
        (DATA + POLICY % ", adapters = { rnk = 2 }" + DPO, (), "adapters.rnk: unknown key"),
        (DATA + POLICY % ", adapters = { layers = ['nope'] }" + DPO, (), "no dense layer has such a name"),
        (DATA + POLICY % "" + DPO, ("--tokenizer", "./nowhere"), "'./nowhere': there is no such folder"),
        (DATA + "tokenizer = './nowhere'\n" + POLICY % "" + DPO, (), "'./nowhere': there is no such folder"),
        (
            DATA + "[items]\nkind = 'inline'\nn = 2\n" + POLICY % "" + DPO,
            (),
            "the items have no tokens; leave the table",
        ),
        (
            DATA + POLICY % "" + DPO,
            ("--export", "new", "--out", "new/s.csv"),
            "--out new/s.csv lies inside --export new, which is written too",
        ),
        (DATA + POLICY % "" + DPO, ("--export", "tiny"), "--export tiny: it exists already"),
        (DATA + POLICY.replace("tiny", "pairs.jsonl") % "" + DPO, (), "'pairs.jsonl': there is no such folder"),
    ],
)
def test_mistakes_are_one_line(fit, text, more, words):
    code, _, error = fit(text, *more)
    assert code == 2 and len(error) == 1 and words in error[0]


@pytest.mark.parametrize("option", ["--export", "--save", "--out", "--responsibilities"])
@pytest.mark.parametrize("place", ["pairs.jsonl/new", "/proc/new"])
def test_what_cannot_be_written_is_refused_before_training(option, place, fit, monkeypatch):
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    monkeypatch.setattr(an, "fit", lambda *_, **__: pytest.fail("trained"))
    code, _, error = fit(DATA + (POLICY % "" + DPO) * 2 + SHORT, option, place)
    assert code == 2 and len(error) == 1 and f"{place} cannot be written" in error[0]


def test_a_network_without_forward_derivatives_is_judged_by_reverse_ones(fit, folder, capsys):
    (folder / "sim.toml").write_text(
        "items = { kind = 'inline', tokens = [[2, 3, 4], [2, 5, 6], [2, 7, 8]], prompt_length = [1, 1, 1] }\n"
        + POLICY.replace("model.types", "population.types") % ""
        + "[design]\nannotators = 5\nquestions = 2\n",
        encoding="utf-8",
    )
    assert cli.main(["simulate", "sim.toml"]) == 0
    capsys.readouterr()
    assert cli.main(["identify", "sim.toml", "--starts", "0"]) in (0, 3, 4)
    assert "rank of the law" in capsys.readouterr().out
