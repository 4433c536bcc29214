"""The study of disagreement: closed forms, the two kinds, the table of real votes, and a tiny run of everything."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from annosim.populations import effective_votes
from annosim.study import MissingDataError, Preset, data_path, load_study, run_study

STUDY = load_study(Path(__file__).parents[2] / "studies" / "disagreement")
formulas = sys.modules["annosim_study_disagreement.formulas"]
two_kinds = sys.modules["annosim_study_disagreement.two_kinds"]
real_votes = sys.modules["annosim_study_disagreement.real_votes"]


@pytest.mark.parametrize(("p", "m", "value"), [(0.55, 0.5, 0.2653), (0.7, 1.0, 1.4309)])
def test_unsigned_margins_inflate(p, m, value):
    assert formulas.unsigned_optimum(p, m) == pytest.approx(value, abs=6e-5)
    for row in formulas.one_pair(p, m):
        assert row["gap"] == pytest.approx(row["closed_form"], abs=1e-7)


def test_one_answer_cannot_tell_and_two_can():
    one, two = (two_kinds.laws(5, questions) for questions in (1, 2))
    assert one["distance"] < 1e-12 and one["verdict"] == "not_identified"
    assert two["distance"] > 0.01 and two["verdict"] == "locally_identified"


def test_tf_idf_weighs_rare_words_more_and_has_unit_rows():
    texts = ["common rare rare", "common other", "common other thing"]
    table = real_votes.tf_idf(texts, [0, 1, 2], least=1).toarray()
    length = np.linalg.norm(table, axis=1)
    assert length[0] == pytest.approx(1) and length[1] == pytest.approx(1)
    assert (table[:, 0] == 0).all()  # "common" is in every text: log(3/3) = 0
    unseen = real_votes.tf_idf(["common rare", "never seen"], [0], least=1).toarray()
    assert (unseen[1] == 0).all()


def test_pair_table_of_real_votes():
    import annosim as an

    try:
        votes = an.io.read_ukp(data_path("ukp_convincing_arguments/votes.csv.gz").parent)
    except MissingDataError as error:
        pytest.skip(str(error))
    table = real_votes.pair_table(np.random.default_rng(0), votes)
    assert len(table["pair"]) > 15_000 and set(np.unique(table["vote"])) == {0.0, 1.0}
    assert (table["votes"] >= 2).all() and (table["share"] >= 0).all() and (table["share"] <= 1).all()
    assert (table["pair"][:, 0] < table["pair"][:, 1]).all()


def test_a_missing_file_is_a_skipped_cell_with_a_reason(tmp_path):
    skipped, reason = real_votes.no_data(tmp_path)
    assert skipped and "ukp_convincing_arguments" in reason


def test_a_tiny_run_without_the_real_votes(tmp_path):
    tiny = dict(STUDY.presets["quick"].settings) | {
        "votes": 500,
        "prompts": 4,
        "responses": 6,
        "worlds": 2,
        "replicates": 2,
        "judges": [10, 0],
        "annotators": 50,
        "splits": 1,
    }
    study = dataclasses.replace(STUDY, presets={"tiny": Preset(0.1, tiny)})
    run = run_study(study, "tiny", out=tmp_path, data=tmp_path / "nothing", jobs=1)
    assert not run.failed
    told = {c.id: c for c in run.claims}
    assert told["K1.laws"].verdict == told["K3.laws"].verdict == "supported"
    assert told["R0.linear"].verdict == "inconclusive" and "skipped" in told["R0.linear"].reason
    assert (tmp_path / "report.html").exists()


def test_intervals_over_splits_are_wider_than_over_independent_replicates():
    from annosim.study import t_interval

    claims = sys.modules["annosim_study_disagreement.claims"]
    values = np.array([0.1, 0.3, 0.2, 0.4])
    naive, found = t_interval(values), claims.split_interval(values, 0.25)
    assert found.value == pytest.approx(naive.value)
    assert (found.high - found.value) == pytest.approx(np.sqrt(2) * (naive.high - naive.value))
    assert claims.split_interval(values[:1], 0.25).high == np.inf


def test_draws_of_one_debate_are_averaged_before_debates_are_compared():
    """Two debates, three draws each: the interval is that of two numbers, not of six."""
    from annosim.study import t_interval

    change = {0: [0.1, 0.3, 0.2], 1: [0.5, 0.3, 0.4]}

    class Found:
        settings: ClassVar = {"debates": 2}

        def rows(self, group, debate):
            assert group == "other_debates"
            return [
                {"method": name, "brier": 1.0 + (x if name == "M" else 0.0)}
                for x in change[debate]
                for name in ("none", "M")
            ]

    claims = sys.modules["annosim_study_disagreement.claims"]
    found, expected = claims.debate_gain(Found(), "M", "brier"), t_interval([0.2, 0.4])
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_a_gap_of_ratios_has_the_error_that_the_jackknife_gives_it():
    claims = sys.modules["annosim_study_disagreement.claims"]
    rng = np.random.default_rng(0)
    ceiling = 0.3 + 0.1 * rng.normal(size=(2, 200))
    reached = np.array([[0.8], [0.9]]) * ceiling + 0.05 * rng.normal(size=(2, 200))

    def gap(keep):
        ratio = reached[:, keep].mean(1) / ceiling[:, keep].mean(1)
        return ratio[0] - ratio[1]

    found = claims.ratio_gap(*zip(reached, ceiling, strict=True))
    left_out = np.array([gap(np.arange(200) != i) for i in range(200)])
    error = np.sqrt(199 * left_out.var())
    assert found.value == pytest.approx(gap(np.arange(200)))
    assert found.high - found.value == pytest.approx(1.972 * error, rel=0.02)  # t, 199 degrees of freedom


def test_every_preset_can_be_planned_and_its_claims_stated():
    for preset in STUDY.presets:
        assert STUDY.plan(preset) and STUDY.statements(preset)


def test_paraphrase_twins_have_one_law_of_single_answers_and_one_reward():
    paraphrases = sys.modules["annosim_study_disagreement.paraphrases"]
    few, many = (paraphrases.paraphrase_twins(share, 500, seed=4) for share in (0.1, 0.6))
    for found in (few, many):
        assert found["one_answer"] < 1e-12 and found["rewards_apart"] < 1e-8 and found["variant_weight"] < 1e-8
        assert found["cost_cannot_tell"] < 1e-8 and found["cost_two_minds"] > 0.1
    # two answers are both about paraphrases with probability share^2, up to menus drawn without repetition
    assert few["annotators_needed"] > 10 * many["annotators_needed"]


def test_judges_of_a_kind_say_what_they_should():
    synthetic = sys.modules["annosim_study_disagreement.synthetic"]
    rng, people, data, *_ = synthetic.world(3, 400, 4, 6, 4)
    p = synthetic.share_of_judges(rng, people, "faithful", data, 0)
    sharp = synthetic.share_of_judges(rng, people, "over-confident", data, 0)
    assert (abs(sharp - 0.5) >= abs(p - 0.5) - 1e-12).all()
    assert effective_votes(10, synthetic.TOGETHER) == pytest.approx(10 / 5.5)
    drawn = np.stack([synthetic.share_of_judges(rng, people, "correlated panel", data, 10) for _ in range(400)])
    # the variance of a panel's share is that of so many independent votes; 400 draws, five standard errors
    ratio = (drawn.var(0) / (p * (1 - p))).mean() * effective_votes(10, synthetic.TOGETHER)
    assert abs(ratio - 1) < 5 * np.sqrt(2 / 400 / 40)
    persona = synthetic.share_of_judges(rng, people, "one persona", data, 0)
    assert np.abs(persona - p).max() > 0.2
