"""The study of reward transforms: its exact worlds give the page's numbers, and a tiny run decides every claim."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.stats import binom, norm

from annosim.study import Preset, load_study, run_study

STUDY = load_study(Path(__file__).parents[2] / "studies" / "reward_transforms")
exact = sys.modules["annosim_study_reward_transforms.exact"]
pipeline = sys.modules["annosim_study_reward_transforms.pipeline"]


@pytest.mark.parametrize(("gamma", "raw", "lsc"), [(2.0, 0.1159, 0.0019), (1.0, 0.9304, 0.0034)])
def test_amplification_of_a_shortcut(gamma, raw, lsc):
    found = exact.shortcut(gamma)
    assert found["raw"] == pytest.approx(raw, abs=6e-5)
    assert found["lsc"] == pytest.approx(lsc, abs=6e-5)
    assert found["lsc"] <= found["bound"]


def test_underfitting_at_matched_kl():
    raw, lsc = exact.spread_of_prompts(1.0, [0.5, 1.0, 2.0, 4.0], points=4001)
    assert raw["beaten"] == pytest.approx(0.517, abs=1e-3)
    assert lsc["beaten"] == pytest.approx(0.652, abs=2e-3)
    assert raw["spent"].mean() == pytest.approx(1.0) and lsc["spent"].mean() == pytest.approx(1.0)


def test_targets_of_best_of_64_are_the_integrals():
    """Laws of the scores by quadrature, integrated over the pairs that are good in both."""
    shares = sys.modules["annosim_study_reward_transforms"].SHARES
    z, k = exact.Z85, 64
    x = np.linspace(-9, 9, 4001)

    def law_of_lsc(u):
        rest = np.expm1(-u[:, None] - np.logaddexp(0, z - x))  # e^(z - y) of the y that reaches the score u with x
        y = np.where(rest > 0, z - np.log(np.where(rest > 0, rest, 1)), np.inf)
        return np.trapezoid(norm.pdf(x) * norm.cdf(y), x, axis=1)

    nodes, weights = np.polynomial.legendre.leggauss(200)
    good = z + (9 - z) * (nodes + 1) / 2
    a, b = np.meshgrid(good, good)
    mass = np.multiply.outer(*[weights * (9 - z) / 2 * norm.pdf(good)] * 2)
    u = -np.logaddexp(0, z - a) - np.logaddexp(0, z - b)
    at = np.linspace(u.min(), u.max(), 400)
    laws = {
        "raw sum": norm.cdf((a + b) / np.sqrt(2)),
        "lsc sum": CubicSpline(at, law_of_lsc(at))(u),
        "minimum": 1 - norm.sf(np.minimum(a, b)) ** 2,
    }
    for name, law in laws.items():
        assert k * (mass * law ** (k - 1)).sum() == pytest.approx(shares[name], abs=6e-5)


def test_best_of_k_knows_only_the_order():
    assert exact.best_of_k_invariance(seed=1, worlds=30)["difference"] < 1e-12


def test_a_matched_kl_is_matched_in_the_pipeline():
    rows = pipeline.frontier(seed=3, world="shortcut", prompts=4, responses=16, pairs=200, kls=[0.4])
    assert all(row["kl"] == pytest.approx(0.4, abs=1e-8) for row in rows)
    assert len({row["scheme"] for row in rows}) == 9


def test_extremes_of_noise_are_no_difference():
    """Three equal references, 400 times: called different at most as often as stated (exact binomial, 1e-9)."""
    widest = sys.modules["annosim_study_reward_transforms.claims"].widest_difference
    rng = np.random.default_rng(0)
    wrong = sum(widest(rng.normal(size=(3, 8))).low > 0 for _ in range(400))
    assert wrong <= binom.isf(1e-9, 400, 0.05)
    apart = widest(rng.normal(size=(3, 8)) + np.array([[0.0], [9.0], [4.0]]))
    assert apart.low > 0 and 5 < apart.value < 13


def test_a_tiny_run_finishes_every_cell_and_decides_every_claim(tmp_path):
    tiny = dict(STUDY.presets["quick"].settings) | {
        "prompts": 3,
        "responses": 24,
        "pairs": 200,
        "few_pairs": 100,
        "replicates": 2,
        "kls": [0.5, 1.0],
        "ks": [1, 4],
        "draws": 2000,
        "worlds": 5,
        "steps": 20,
        "members": 2,
    }
    study = dataclasses.replace(STUDY, presets={"tiny": Preset(0.1, tiny)})
    run = run_study(study, "tiny", out=tmp_path, jobs=1)
    assert not run.failed
    assert all("match" not in claim.reason for claim in run.claims)  # no judge asked for a cell that is not there
    exact_ones = [c for c in run.claims if c.id.startswith(("S1", "S2", "S3", "S5", "S8", "BoN", "LSC", "AND"))]
    assert len(exact_ones) >= 15 and all(c.verdict == "supported" for c in exact_ones)
    text = STUDY.finding(run.outcome, run.claims)
    for claim, words in (
        ("supported", "LSC is ahead"),
        ("contradicted", "LSC is behind"),
        ("not judged", "LSC is neither"),
    ):
        told = [dataclasses.replace(c, verdict=claim) if c.id == "P1.helpful.shortcut" else c for c in run.claims]
        assert words in STUDY.finding(run.outcome, told) and "points" in text


def test_every_preset_can_be_planned_and_its_claims_stated():
    for preset in STUDY.presets:
        assert STUDY.plan(preset) and STUDY.statements(preset)


def test_the_sum_of_true_lsc_rewards_has_the_largest_log_probability_of_being_good_in_both():
    """What a theorem forces: with the truth as reward no policy of the same KL has a larger E log P(good in both)."""
    items, shortcut, pi0, truth, _, _ = pipeline.make_world(5, "clean", prompts=3, responses=20, pairs=50)
    made = pipeline.schemes(truth, pi0)
    for kl in (0.2, 1.0, 2.0):
        scores = {
            name: pipeline.measure(
                pipeline.an.policies.gibbs_at_kl(pi0, made[name], kl, items), items, shortcut, pi0, truth
            )
            for name in ("LSC sum", "raw sum", "minimum", "weighted sum 3:1")
        }
        assert scores["LSC sum"]["log_good"] == max(s["log_good"] for s in scores.values())


def test_policies_over_hidden_types_spend_the_same_kl_and_the_mean_has_the_highest_mean():
    fair = sys.modules["annosim_study_reward_transforms.fair"]
    rows = fair.aggregate_types(seed=2, prompts=4, responses=30, kls=[0.5, 2.0])
    assert len(rows) == 6 and all(r["worst"] <= r["average"] for r in rows)
    for kl in (0.5, 2.0):
        utility = {r["way"]: r["utility"] for r in rows if r["at"] == kl}
        assert utility["mean utility"] == max(utility.values())
