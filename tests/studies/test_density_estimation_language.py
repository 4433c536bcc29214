"""The language study: its exact surrogate, and the pipeline at a tiny size."""

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import annosim as an
from annosim.study import Preset, load_study, run_study
from annosim.study.datapath import missing_reason

FOLDER = Path(__file__).parents[2] / "studies" / "density_estimation_language"


@pytest.fixture(scope="module")
def study():
    return load_study(FOLDER)


@pytest.fixture(scope="module")
def language(study):
    return sys.modules["annosim_study_density_estimation_language"]


@pytest.mark.parametrize("preset", ["quick", "desk", "paper"])
def test_every_preset_plans_its_cells_and_statements(study, preset):
    assert study.plan(preset)
    assert len(study.statements(preset)) >= 14


@pytest.mark.parametrize(
    ("kind", "design", "parameter", "modes"),
    [
        ("density", "peaked", 0.25, "[10, 44]"),
        ("annotators", "peaked", 0.25, "[3]"),
        ("density", "cut", 0.01, "[19, 31]"),
        ("annotators", "cut", 0.01, "[10, 31]"),
        ("density", "soft", 4.0, "[15, 34]"),
        ("annotators", "soft", 4.0, "[13]"),
    ],
)
def test_the_modes_of_the_exact_surrogate_depend_on_the_annotators(language, kind, design, parameter, modes):
    found = language.surrogate.lengths_only(kind, design, parameter, longest=60, beta=4e-5)
    assert found["modes_at"] == modes
    assert found["gradient"] < 1e-9


corpus = pytest.mark.skipif(
    missing_reason("tinyshakespeare.txt") is not None, reason=missing_reason("tinyshakespeare.txt") or ""
)
hf = pytest.mark.skipif(find_spec("transformers") is None, reason='needs transformers: pip install -e ".[hf]"')
SHAPE = {"vocabulary": 50, "width": 16, "layers": 1, "heads": 2, "length": 12}
TINY = {
    "shape": SHAPE,
    "short": 5,
    "long": 9,
    "steps": 6,
    "batch": 8,
    "rate": 1e-2,
    "pairs": 32,
    "adapt_steps": 3,
    "adapt_batch": 8,
    "adapt_rate": 1e-3,
    "beta": 4e-5,
    "samples": 60,
    "bins": [[3, 5], [6, 8], [9, 11]],
}


def _tiny(study, replicates):
    settings = TINY | {"replicates": replicates}
    return replace(study, presets={"tiny": Preset(0.1, settings)})


@hf
@corpus
def test_the_study_runs_from_the_corpus_to_adapted_lengths_in_every_replicate(study, tmp_path):
    run = run_study(_tiny(study, 2), out=tmp_path)
    found = run.outcome
    assert not run.failed
    assert len(found.rows("preferences")) == 36
    assert all(
        r["preference"] > 0.5 for r in found.rows("preferences") if not r["normalised"] and r["first"] == "short"
    )
    assert [count.sum() for count in found.all("adapt", "count")] == [60] * 4
    assert all(r["entropy"] <= min(r["loss_before"], r["loss_after"]) for r in found.rows("adapt"))
    assert {path.name for path in (tmp_path / "figures").glob("*.png")} == {
        "lengths.png",
        "what_decides.png",
        "preferred.png",
    }
    verdicts = {c.id: c for c in run.claims}
    said = study.finding(found, run.claims)
    assert ("is not decided." in said) == (verdicts["E13-two-samples"].verdict not in ("supported", "contradicted"))
    assert "the shape of the paper's figure is there" in said
    assert (
        verdicts["E13-two-samples"].found.startswith("replicate 0: ")
        and "replicate 1: " in verdicts["E13-two-samples"].found
    )
    for name in ("E11-normalised", "E13-density", "E13-annotators", "E13-two-samples"):
        assert "parts supported" in verdicts[name].reason


@corpus
def test_without_transformers_the_cells_say_what_to_install_and_the_exact_surrogate_is_still_judged(
    study, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "transformers", None)
    run = run_study(_tiny(study, 1), out=tmp_path)
    assert all('pip install -e ".[hf]"' in record.error for record in run.failed)
    assert {record.group for record in run.failed} == {"models", "proposals", "preferences", "adapt"}
    verdicts = {c.id: c.verdict for c in run.claims}
    assert verdicts["E13-density"] == "inconclusive"
    names = ("figure", "overlap-cut", "overlap-soft")
    assert {verdicts[f"E12-exact-{name}"] for name in names} == {"supported"}


@corpus
def test_ids_are_as_many_as_the_words_of_the_corpus_at_most(language):
    text = language.sentences.data_path("tinyshakespeare.txt").read_text(encoding="utf-8")
    rows, vocabulary = language.sentences.sentences(text, 30000, 50)
    assert (len(rows), vocabulary, int(rows.max())) == (11440, 10608, 10607)


@hf
def test_drawn_sentences_occur_as_often_as_the_model_says(language):
    """84 sentences of at most three words of four, 20,000 draws: exact binomial, Bonferroni, false alarm 1e-9."""
    decoder, n = language.decoder, 20_000
    model = decoder.policy({**SHAPE, "vocabulary": 6, "length": 4}, seed=3).model
    drawn = decoder.say(model, n, 4, seed=5)
    assert torch.equal(drawn, decoder.say(model, n, 4, seed=5))
    rows, counts = torch.unique(drawn, dim=0, return_counts=True)
    assert len(rows) == 84
    chances = [_chance(decoder, model, row[row >= 0]) for row in rows]
    assert sum(chances) == pytest.approx(1.0, abs=1e-5)
    for count, chance in zip(counts.tolist(), chances, strict=True):
        assert binomtest(count, n, chance).pvalue > 1e-9 / 84


def _chance(decoder, model, sentence):
    """Of a sentence that is drawn word by word: BEGIN never, END not first, and surely in the last place."""
    with torch.no_grad():
        logits = model(torch.cat([torch.tensor([decoder.BEGIN]), sentence[:-1]])[None]).logits[0].double()
    logits[:, decoder.BEGIN] = logits[0, decoder.END] = -torch.inf
    each = logits.log_softmax(-1).gather(1, sentence[:, None])[:3, 0]
    return float(each.sum().exp())


@hf
def test_scores_do_not_depend_on_the_order_in_which_sentences_are_scored(language):
    tokens = torch.full((7, SHAPE["length"]), -1)
    for row in range(7):
        tokens[row, : row + 2] = torch.arange(3, row + 5)
    made = language.decoder.policy(SHAPE, seed=1)
    scored = language.decoder.log_probabilities(made.vector().numpy(), SHAPE, tokens.flip(0), "cpu")
    with torch.no_grad():
        expected = made(an.Items(tokens=tokens)).double().numpy()
    assert np.allclose(scored[::-1], expected, atol=1e-5)


@hf
def test_the_loss_of_a_minibatch_in_parts_is_minus_the_log_likelihood_per_token(language):
    tokens = torch.full((16, SHAPE["length"]), -1)
    for row in range(16):
        size = 2 + row % 9
        tokens[row, :size] = torch.randint(3, 50, (size,), generator=torch.Generator().manual_seed(row))
    made = language.decoder.policy(SHAPE, seed=1)
    parts = language.sentences._Batches(tokens, 3, 8, torch.Generator().manual_seed(0), "cpu")
    with torch.no_grad():
        for part, total in parts.at(2):
            expected = -made(an.Items(tokens=part)).sum() / total
            assert torch.allclose(language.sentences._loss(made.model, part) / total, expected, atol=1e-5)
        assert sum(int((part >= 0).sum()) for part, _ in parts.at(2)) == parts.tokens[2]


def test_every_pair_is_answered_once_and_by_the_two_annotators_in_turn(language):
    log_p = np.arange(8.0), -np.arange(8.0)  # the first prefers later items, the second earlier ones, by 50 a step
    items = an.Items(n=8, columns={"length": np.ones(8, dtype=int)})
    data = language.mixtures._answers(language.mixtures.people("annotators", *log_p), items, seed=0)
    assert data.menu.tolist() == [[0, 1], [4, 5], [2, 3], [6, 7]]
    assert np.asarray(data.answer).ravel().tolist() == [1, 1, 0, 0]
    assert len(set(data.annotator_ids.tolist())) == 4
