"""The studies on a tiny transformer: the grammar's law, the judges' closed forms, and the pipeline at the smallest size."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import annosim as an
from annosim.study import Preset, load_study, run_study

FOLDER = Path(__file__).parents[2] / "studies" / "language_models"
SMALLEST = {
    "designs": [["plain", 2, "pairs", 1], ["plain", 2, "pairs", 8]],
    "kls": [0.1],
    "ks": [4],
    "responses": 4,
    "shape": {"width": 8, "layers": 1, "heads": 2},
    "reference_steps": 4,
    "reference_batch": 8,
    "steps": 4,
    "rate": 1e-2,
    "batch": 16,
    "replicates": 1,
}


@pytest.fixture(scope="module")
def study():
    return load_study(FOLDER)


@pytest.fixture(scope="module")
def language(study):
    return sys.modules["annosim_study_language_models"]


@pytest.mark.parametrize("preset", ["quick", "desk", "paper"])
def test_every_preset_plans_its_cells_and_statements(study, preset):
    assert study.plan(preset)
    assert len(study.statements(preset)) >= 24


def test_the_study_runs_from_the_grammar_to_claims_and_figures(study, tmp_path):
    run = run_study(replace(study, presets={"tiny": Preset(0.1, SMALLEST)}), out=tmp_path)
    assert not run.failed
    rows = run.outcome.rows("hidden_types")
    assert all(r["regret"] >= 0 for r in rows)
    oracle = [r["assigned"] for r in rows if r["method"] == "oracle"]
    assert oracle[1] > oracle[0]  # eight answers tell more than one
    assert all(abs(r["kl"] - 0.1) < 1e-6 for r in run.outcome.rows("combined_rewards") if r["by"] == "tilt")
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {f.__name__ for f in study.figures}
    assert all(c.verdict != "inconclusive" or "one replicate" in c.reason for c in run.claims)
    said = study.finding(run.outcome, run.claims)
    assert "Combined rewards are not judged" in said and "EM-DPO beats one DPO is not decided" in said


def _found(study, slope, correlation):
    """Made-up rows of L2 and L3: LSC a point worse than the raw sum, margins worse than none, in five replicates."""
    from annosim.study.outcome import Outcome
    from annosim.study.store import Record

    records, settings = [], study.presets["desk"].settings
    for r in range(5):
        off = 1e-3 * r
        for world in ("shortcut", "clean"):
            rows = [
                {
                    "scheme": scheme,
                    "by": by,
                    "at": float(at),
                    **dict.fromkeys(("slope_helpful", "slope_polite"), slope + off),
                    **dict.fromkeys(
                        ("both_good", "beat_helpful", "log_good", "flattery"),
                        0.3 - 0.01 * (1 + off) * ("LSC" in scheme),
                    ),
                }
                for scheme in ("raw sum", "LSC sum", "helpful, raw", "helpful, LSC")
                for by, places in (("tilt", settings["kls"]), ("best of n", settings["ks"]))
                for at in places
            ]
            records.append(Record(world, "combined_rewards", r, r, f"{world}{r}", "done", {"world": world}, rows))
        for judge in ("faithful", "persona"):
            rows = [
                {
                    "method": method,
                    "prompts_are": kind,
                    "pearson": correlation + off + 0.1 * (method == "none") + 0.3 * (kind == "agreed"),
                    "brier": 0.02 + off,
                }
                for method in ("none", "M1 unsigned", "M2 signed", "soft label", "majority")
                for kind in ("agreed", "plural", "paraphrase", "all")
            ]
            records.append(Record(judge, "soft_labels", r, r, f"{judge}{r}", "done", {"judge": judge}, rows))
    return Outcome(records, settings, "desk")


@pytest.mark.parametrize(
    ("slope", "correlation", "lsc", "margins"),
    [
        (1.0, 0.5, "contradicted", "contradicted"),
        (0.6, 0.5, "not judged", "contradicted"),
        (1.0, 0.0, "contradicted", "not judged"),
    ],
)
def test_claims_that_rest_on_a_control_are_judged_only_where_it_holds(study, slope, correlation, lsc, margins):
    found = _found(study, slope, correlation)
    claims = {c.id: c.decide(found) for c in study.statements("desk") if c.id[:2] in ("L2", "L3")}
    assert {claims[f"L2.{name}"].verdict for name in ("single", "sum.shortcut", "sum.clean", "log-good")} == {lsc}
    assert {claims[f"L3.pearson.{name}"].verdict for name in ("M1", "M2")} == {margins}
    if lsc == "not judged":
        assert "L2.calibrated, contradicted: helpful: 0.602" in claims["L2.sum.shortcut"].reason
    assert claims["L2.sum.clean"].whose.group == "study" and claims["L2.sum.shortcut"].whose.group == "paper"


def test_the_grammar_says_288_answers_to_every_prompt_and_holds_other_prompts_out(language):
    grammar = sys.modules["annosim_study_language_models.grammar"]
    assert grammar.SHARES.sum() == pytest.approx(1.0) and len(grammar.WORDS) == len(set(grammar.WORDS)) < 60
    asked, held_out = grammar.split(np.random.default_rng(0), answers=5)
    assert (asked.n, held_out.n) == (24 * 5, 12 * 288)
    assert len(np.unique(held_out.tokens.numpy(), axis=0)) == held_out.n
    words = [grammar.WORDS[i] for i in held_out.tokens[0] if i >= 0]
    assert words[2] == "answer" and words[-1] == "end" and len(words) <= grammar.LENGTH
    prompts = [
        set(zip(i.columns["subject"].tolist(), i.columns["situation"].tolist(), strict=True)) for i in (asked, held_out)
    ]
    assert len(prompts[0]) == 24 and len(prompts[1]) == 12 and not prompts[0] & prompts[1]


def test_the_best_policy_of_a_type_has_no_regret_and_the_reference_what_the_closed_form_says(language):
    """``KL(ref || ref e^u / Z) = log Z - E_ref u`` per prompt."""
    judges, items = sys.modules["annosim_study_language_models.hidden_types"], an.Items(n=6, prompts=[0, 0, 0, 1, 1, 1])
    rewards, reference = np.random.default_rng(0).normal(size=(2, 6)), np.full(6, -np.log(3.0))
    judge = judges.Judge(rewards, items, reference)
    assert judge.regrets(np.log(judge.best[1]))[1] == pytest.approx(0.0, abs=1e-12)
    blocks = rewards.reshape(2, 2, 3)
    expected = (np.log(np.exp(blocks).mean(-1)) - blocks.mean(-1)).mean(-1)
    assert judge.regrets(reference) == pytest.approx(expected, abs=1e-9)
    swapped = judge.matched([np.log(judge.best[1]), np.log(judge.best[0])])
    assert swapped["worst_regret"] == pytest.approx(0.0, abs=1e-12)


def test_clusters_of_words_find_types_of_strong_tastes_for_words(language):
    """80 annotators of two types, 20 answers each; a seed is fixed, and all are told apart but for a few."""
    grammar, types = (sys.modules[f"annosim_study_language_models.{name}"] for name in ("grammar", "hidden_types"))
    items, _ = grammar.split(np.random.default_rng(1), answers=6)
    tone = 6 * grammar.TONE[items.columns["adjective"]]
    people = an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in (tone, -tone)])
    data = an.simulate(people, an.Design(items, annotators=80, questions=20), seed=1)
    hidden = np.asarray(data.truth["type"])
    assert an.analysis.clustering_accuracy(hidden, types.k_means(data.for_learner(), 2, seed=0)) > 0.95
    oracle = types.log_likelihoods(data, [tone, -tone]).argmax(1)
    assert an.analysis.clustering_accuracy(hidden, oracle) == 1.0
