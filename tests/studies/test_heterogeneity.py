"""The study of hidden types: its exact numbers, its theorems, and a tiny run of EM-DPO and of everything."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import annosim as an
from annosim.study import Cell, Preset, load_study, run_study
from annosim.study.outcome import Outcome
from annosim.study.store import Record

FOLDER = Path(__file__).parents[2] / "studies" / "heterogeneity"


@pytest.fixture(scope="module")
def study():
    return load_study(FOLDER)


@pytest.fixture(scope="module")
def rooms(study):
    return sys.modules["annosim_study_heterogeneity"]


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_every_preset_plans_its_cells_and_statements(study, preset):
    cells = study.plan(preset)
    assert len({c.title for c in cells}) == len(cells)
    assert len(study.statements(preset)) >= 40


def test_every_pair_of_worlds_is_a_pair_of_twins(rooms):
    for name in rooms.twins.WITNESSES:
        found = rooms.twins.witness(name, 1.5)
        assert found["pairs"] < 1e-15
        assert min(found[k] for k in ("best_of_three", "two_pairs", "ties", "position_bias", "slate_gap")) > 1e-3


def test_the_slate_with_a_duplicate(rooms):
    assert rooms.twins.duplicated(1.0)["probability"] == pytest.approx(0.365740, abs=1e-6)
    assert rooms.twins.duplicated(2.0)["probability"] == pytest.approx(0.425182, abs=1e-6)


def test_collisions_stop_at_twice_the_number_of_types(rooms):
    assert rooms.theorems.collision(2, 3, "rankings")["law_distance"] < 1e-14
    assert rooms.theorems.collision(2, 3, "rankings")["apart"] > 1
    assert np.isnan(rooms.theorems.collision(2, 4, "rankings")["law_distance"])


def test_bounds_hold_and_are_nearly_met(rooms):
    for b in (1.0, 5.0):
        found = rooms.bounds.lotteries(b, 60, seed=2)
        assert 1 < found["worst"] <= found["bound"]
    found = rooms.bounds.clones(20, 6, seed=2)
    assert found["plain"] > 0 and found["voronoi"] == 0
    found = rooms.bounds.best_of(4, 20, seed=2)
    assert 0.7 * found["bound"] < found["worst"] <= found["bound"]


def test_probit_and_distortion(rooms):
    found = rooms.theorems.probit(0.3)
    assert found["orthant"] == pytest.approx(found["formula"], abs=1e-8)
    assert rooms.theorems.distortion(2.0)["bound"] == pytest.approx(rooms.theorems.distortion(2.0)["other"], abs=1e-12)


def test_em_and_its_baselines_are_scored(rooms):
    rows = {r["method"]: r for r in rooms.em.em_dpo("linear", "general", "best of three", 5, 400, seed=1)}
    assert {"em", "k-means", "hard", "pooled", *rooms.regret.SINGLE} <= set(rows)
    assert rows["em"]["accuracy"] > 0.9 and rows["em"]["error"] < 0.3
    assert rows["min-max regret"]["worst_regret"] < rows["pooled DPO"]["worst_regret"]
    assert all(r["mean_regret"] >= 0 for r in rows.values() if "mean_regret" in r)


def test_networks_are_fitted_by_em_and_scored_prompt_by_prompt(rooms):
    rows = {r["method"]: r for r in rooms.em.em_dpo("network", "general", "best of three", 5, 120, seed=1)}
    assert rows["em"]["accuracy"] > 0.85 and rows["em"]["error"] < rows["pooled"]["error"]
    assert rows["min-max regret"]["worst_regret"] < rows["largest group's own"]["worst_regret"]


def test_rewards_are_centred_in_each_prompt_and_twins_are_worlds_apart(rooms):
    for kind in ("linear", "tabular", "network"):
        here, other = (rooms.worlds.world(kind, tastes) for tastes in ("antipodal", "indifferent"))
        assert float(rooms.worlds.centred(here.rewards, here.items).sub(here.rewards).abs().max()) < 1e-14
        assert torch.equal(here.rewards[0], -here.rewards[1]) and not other.rewards.any()
        for size in (2, 3):
            design = an.Design(here.items, menu_size=size)
            assert (an.information.law_distance(here.truth, other.truth, design) < 1e-14) == (size == 2)


def test_twin_worlds_measures_against_the_worlds_distance(rooms):
    found = rooms.em.twin_worlds("linear", "pairs", 2, 3000, seed=1)
    assert found["share"] == pytest.approx((found["antipodal"] + found["indifferent"]) / (2 * found["distance"]))
    assert found["share"] < 0.5


def test_answers_are_counted_without_loss(rooms):
    here = rooms.worlds.world("linear", "general")
    data = rooms.em.asked(here, "best of three", 2, 50, seed=3).for_learner()
    seen = rooms.baselines.Answers(data)
    whole = an.PreferenceData(here.items, menu=data.menu, answer=data.answer, annotator=data.annotator_ids)
    direct = sum(
        float(here.rewards[0][row][a] - torch.logsumexp(here.rewards[0][row], 0))
        for row, a in zip(np.asarray(whole.menu), np.asarray(whole.answer), strict=True)
    )
    assert seen.log_likelihood(list(here.rewards))[:, 0].sum() == pytest.approx(direct, abs=1e-9)
    assert float(seen.of().row_weight.sum()) == data.rows == 100
    assert float(seen.blocks().annotator_weight.sum()) == 50
    half = np.arange(50) < 20
    assert float(seen.of(half).row_weight.sum()) == 40 and seen.of(half & ~half) is None


def test_k_means_finds_groups_that_are_far_apart(rooms):
    from annosim.analysis import clustering_accuracy

    here = rooms.worlds.world("linear", "antipodal")
    data = rooms.em.asked(here, "pairs", 20, 150, seed=0)
    seen = rooms.baselines.Answers(data.for_learner())
    assert clustering_accuracy(data.truth["type"], rooms.baselines.k_means(seen, 0)) > 0.95


def test_laws_of_em_and_of_min_max_regret(rooms):
    laws = rooms.em.likelihood_laws(seed=4)
    assert laws["smallest_step"] > -1e-8
    assert max(laws[name] for name in ("one_type", "naming", "known_types", "network_fall")) < 1e-6
    found = rooms.regret.regret_laws(3, 2, seed=4)
    assert -1e-9 < found["game_apart"] < found["game_bound"]
    assert found["convex"] == pytest.approx(found["kl"], abs=1e-6) and found["kl_gap"] < 1e-10


def price(rooms):
    return sys.modules[f"{rooms.__name__}.price"]


def test_what_a_twin_costs_a_fair_policy_and_what_ends_the_ambiguity(rooms):
    costs = {r["truth"]: r for r in price(rooms).fairness_of_twins("unequal antipodes", 1.0, 1, seed=0)}
    assert costs[0]["ratio"] == pytest.approx(2.23, abs=0.01) and costs[1]["ratio"] == pytest.approx(4.37, abs=0.01)
    witness = price(rooms).fairness_of_twins("indifferent", 1.0, 1, seed=0)
    assert witness[0]["ratio"] == pytest.approx(1.03, abs=0.01) and witness[1]["twin_world"] < 1e-3
    needed = {r["way"]: r["annotators"] for r in price(rooms).answers_needed("indifferent", 1.0, 1, seed=0)}
    expected = {"best of three": 436, "two pairs": 133, "ranking of three": 105, "three pairs": 49}
    assert {way: round(n) for way, n in needed.items()} == expected


def test_it_takes_nearly_as_many_annotators_to_tell_when_nobody_prefers_anything(rooms):
    """The divergence has a direction: KL(antipodes || nobody) is what the study reports, the other is a few percent off."""
    antipodes, nobody = rooms.twins.pair_of_worlds("indifferent", 1.0)
    found = {}
    for way, design in price(rooms).WAYS.items():
        asked = an.Design(rooms.twins.PLANE, **design)
        both = (antipodes, nobody), (nobody, antipodes)
        found[way] = [
            float(np.log(20.0) / an.analysis.law_divergence(*pair, asked, max_outcomes=price(rooms).ENUMERATED).kl)
            for pair in both
        ]
    expected = [(436.19, 435.04), (133.05, 126.73), (104.88, 98.78), (48.92, 49.96)]
    assert np.allclose([found[way] for way in price(rooms).WAYS], expected, atol=0.01)
    claimed = sys.modules[f"{rooms.__name__}.claims_price"].NEEDED
    assert [found[way][0] for way in claimed] == pytest.approx(list(claimed.values()), abs=0.1)


def test_gains_of_opposite_tastes_start_small_and_are_steep(rooms):
    """What the docstring of ``similar_types`` says of b and -b: the numbers of another set-up, by the library's own solver."""
    for scale, expected in ((1.5, [0.052, 0.325, 0.510]), (2.0, [0.094, 0.521, 0.798])):
        one = rooms.twins.PLANE.features @ torch.tensor([1.0, 0.3], dtype=torch.float64) * scale
        gains = []
        for types in (2, 3, 4):
            own = [rooms.regret.gibbs(u, rooms.twins.PLANE) for u in [one] * (types - 1) + [-one]]
            ways = an.policies.linear_pool(own), an.policies.min_max_kl_regret(own, rooms.twins.PLANE, beta=1.0)
            worst = [max(an.analysis.kl_divergence(p, q, rooms.twins.PLANE) for q in own) for p in ways]
            gains.append(worst[0] - worst[1])
        assert gains == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("observed", "count"), [(0.0, 5), (2.0, 2), (-2.0, 2), (2.1, 0)])
def test_simulated_data_sets_are_counted_by_their_distance_from_the_mean(rooms, observed, count):
    assert rooms.real.as_far(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), observed) == count


@pytest.mark.parametrize(
    ("far", "twins", "verdict"),
    [(20, 39, "supported"), (2, 39, "inconclusive"), (3, 399, "contradicted"), (0, 39, "inconclusive")],
)
def test_the_edge_of_a_few_simulations_decides_nothing(study, far, twins, verdict):
    row = {"ties_as_far": far, "agreement_as_far": far, "twins": twins}
    which = {"file": "ukp_convincing_arguments/votes.csv.gz", "topic": 0, "items": 0, "people": 0}
    found = Outcome([Record("one_type_twin", "one_type_twin", 0, 0, "a", "done", which, [row])])
    claims = {c.id: c.decide(found) for c in study.statements("paper")}
    assert claims["real.ukp.0.ties"].verdict == claims["real.ukp.0.agreement"].verdict == verdict


def test_the_sign_loss_finds_the_mean_taste_and_the_likelihood_does_not(rooms):
    rows = {r["loss"]: r for r in price(rooms).mean_direction(30, [], seed=1)}
    assert rows["sign loss"]["angle"] < 1 and rows["sign loss"]["wrong"] == 0
    assert rows["likelihood"]["angle"] > 1 and rows["likelihood"]["wrong"] > 0


def test_a_min_max_policy_is_never_worse_for_the_worst_type_than_the_uniform_mixture(rooms):
    for seed in range(5):
        for types in (2, 4):
            assert price(rooms).similar_types(types, 2, seed)["gain"] > -1e-9


def test_ballots_are_one_a_person(rooms):
    counted = an.PreferenceData(
        an.Items(n=3),
        menu=[[0, 1, 2]] * 2,
        answer=[[0, 1, 2], [2, 1, 0]],
        feedback="ranking",
        annotator=[0, 1],
        weight=[3.0, 1.0],
    )
    people = rooms.real.one_a_person(counted)
    assert people.num_annotators == 4 and float(people.annotator_weight.sum()) == 4
    assert sorted(np.asarray(people.answer)[:, 0].tolist()) == [0, 0, 0, 2]
    assert rooms.real.one_a_person(counted, 2).num_annotators == 2


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_figures_and_tables_of_em_read_what_the_cells_write(study, rooms, preset):
    """Made-up results in the place of every cell of the EM experiment: nothing is drawn from a column that is not."""
    scores = ("error", "weight_error", "accuracy", "rand", "group_accuracy", "log_likelihood")
    regrets = ("regret_1", "regret_2", "worst_regret", "mean_regret", "worst_loss")
    rows = [{"method": m, **dict.fromkeys(scores, 0.5)} for m in ("em", "k-means", "hard", "pooled")]
    rows += [{"method": m, **dict.fromkeys(regrets, 0.5)} for m in rooms.regret.SINGLE]
    made = {"em_dpo": rows, "twin_worlds": [dict.fromkeys(("antipodal", "indifferent", "distance", "share"), 0.5)]}
    records = [
        Record(c.title, c.group, r, r, f"{c.title}{r}", "done", dict(c.parameters), made[c.group])
        for c in study.plan(preset)
        if c.group in made
        for r in range(2)
    ]
    found = Outcome(records, study.presets[preset].settings, preset)
    figures = {f.__name__: f for f in study.figures}
    for name in ("what_em_can_tell", "em_by_answers", "regret_of_policies"):
        figures[name](found).clf()
    for make in (rooms.twin_worlds, rooms.em_table, rooms.regret_table):
        assert len(make(found)) and not make(found).isna().any().any()
    claims = [c.decide(found) for c in study.statements(preset) if c.id.startswith(("EM.linear", "min-max-"))]
    assert len(claims) >= 10 and all(c.value == 0.5 or c.value == 0 for c in claims)


@pytest.fixture(scope="module")
def exact_records(study):
    """The exact cells that the finding reads, on few sets of responses."""
    records = []
    for c in study.plan("quick"):
        if c.group in ("fairness_of_twins", "answers_needed", "witness"):
            few = {**c.parameters, "sets": 5, "seed": 0} if "sets" in c.parameters else c.parameters
            found = c.function(**few)
            rows = found if isinstance(found, list) else [found]
            records.append(Record(c.title, c.group, 0, 0, c.title, "done", dict(c.parameters), rows))
    return records


@pytest.mark.parametrize(
    ("pairs", "three", "words"),
    [
        (
            [0.9, 0.91],
            [0.22, 0.23],
            ("Pairs fail", "(one half is the best any method can do)", "tells them apart (0.2"),
        ),
        ([0.9, 0.91], [0.72, 0.73], ("Pairs fail", "does not tell them apart (0.7")),
        ([0.2, 0.21], [0.2, 0.9], ("equal laws forbid", "leaves it open (0.55)")),
    ],
)
def test_the_finding_says_what_the_verdicts_say(study, rooms, exact_records, pairs, three, words):
    """Exact cells as they are, and EM's errors made up: the sentence follows the verdicts, whatever they are."""
    errors = {("pairs", 1): pairs, ("best of three", 1): three, ("pairs", 2): [0.1, 0.12]}
    records = list(exact_records)
    for c in study.plan("quick"):
        if c.group == "twin_worlds":
            rows = [[{"share": e}] for e in errors[c.parameters["answers"], c.parameters["questions"]]]
        elif c.group == "em_dpo":
            other = {m: 0.5 + 0.1 * k for k, m in enumerate(rooms.regret.SINGLE[::-1])}
            rows = [[{"method": m, "worst_regret": r * x} for m, r in other.items()] for x in (1.0, 1.1)]
        else:
            continue
        parameters = dict(c.parameters)
        records += [Record(c.title, c.group, r, r, f"{c.title}{r}", "done", parameters, x) for r, x in enumerate(rows)]
    found = Outcome(records, study.presets["quick"].settings, "quick")
    said = study.finding(found, [c.decide(found, False) for c in study.statements("quick")])
    for word in (*words, "Of four ways out best of three is the weakest: 436", "times the regret (unequal antipodes)"):
        assert word in said, said
    assert "spares the worst-off type 0.5" in said


def test_a_tiny_run_judges_what_it_can(study, rooms, tmp_path):
    cells = [Cell(rooms.twins.witness, {"name": n, "scale": 1.0}) for n in rooms.twins.WITNESSES]
    tiny = dataclasses.replace(
        study,
        presets={"tiny": Preset(0.1, {})},
        cells=lambda: cells,
        claims=lambda: [s for s in rooms.twin_statements() if s.id in ("T1.witnesses", "T3.two_pairs", "slogan")],
        figures=[study.figures[0]],
        tables=[],
        finding=None,
    )
    run = run_study(tiny, "tiny", out=tmp_path)
    assert [c.verdict for c in run.claims] == ["supported"] * 3
