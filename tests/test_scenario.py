"""Scenario files: the design's own example is read, and every mistake is one line that names the key."""

from pathlib import Path

import pytest

import annosim as an
from annosim.errors import FileReadError, ScenarioError
from annosim.scenario import load_scenario, read_scenario
from annosim.scenario.reading import ScenarioTable

GOOD = """
seed = 3
[items]
kind = "normal"
n = 6
dim = 2
[[population.types]]
weight = 0.7
utility = { kind = "linear", weights = [1.0, 0.0] }
rule = { kind = "luce", temperature = 1.0 }
[[population.types]]
weight = 0.3
utility = { kind = "linear", weights = [-1.0, 0.0] }
rule = { kind = "luce", temperature = 0.5 }
habits = [ { kind = "lapse", rate = 0.05 }, { kind = "position_bias", shift = 0.2 } ]
[design]
menu_size = 3
annotators = 50
questions = 2
[plan]
precision = 0.05
compare = [ { menu_size = 2 }, { menu_size = 2, questions = 4 }, { menu_size = 3 } ]
cost = { annotator = 1.0, answer = 0.1 }
"""


@pytest.fixture
def write(tmp_path: Path):
    def save(text: str) -> Path:
        (tmp_path / "scenario.toml").write_text(text)
        return tmp_path / "scenario.toml"

    return save


def test_a_scenario_simulates_and_has_a_law(write):
    scenario = load_scenario(write(GOOD))
    assert scenario.seed == 3 and len(scenario.compare) == 3
    assert scenario.compare[1].num_questions == 4 and scenario.compare[1].menu_size == 2
    assert scenario.population.component_weights().tolist() == [0.7, 0.3]
    data = an.simulate(scenario.population, scenario.design, seed=scenario.seed)
    assert data.rows == 100
    law = an.law(scenario.population, scenario.design)
    assert float(law.probabilities.sum()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("menu_size = 3\nann", "menusize = 3\nann", "design.menusize: unknown key.*did you mean 'menu_size'"),
        ("temperature = 1.0", "temperature = -1.0", r"population.types\[0\].rule.*temperature.*above 0"),
        ("temperature = 1.0", "temprature = 1.0", "unknown key.*did you mean 'temperature'"),
        ("weight = 0.7", "weight = 0.8", r"weight.*sum to 1\.1"),
        ("weight = 0.7\n", "", r"types\[0\].weight: missing"),
        ("weights = [1.0, 0.0]", "weights = [nan, 0.0]", r"types\[0\].utility.*not finite"),
        ("weights = [1.0, 0.0]", "weights = [1.0]", r"types\[0\].utility.*1 weights but the items have 2 feat"),
        ('kind = "lapse"', 'kind = "laps"', r"habits\[0\].kind: 'laps' is unknown; did you mean 'lapse'"),
        ("menu_size = 3\nann", "menu_size = 7\nann", "design.*only 6 items"),
        ('kind = "normal"', 'kind = "gaussian"', "items.*gaussian"),
        ("annotators = 50", "annotators = 0", "design.annotators.*greater than or equal to 1, got 0"),
        ("{ menu_size = 2 }", "{ menu_sise = 2 }", r"plan.compare\[0\].menu_sise: unknown key.*'menu_size'\?"),
        ("seed = 3", "seed = -3", "seed.*greater than or equal to 0"),
        ("n = 6\n", "", "items.n: missing"),
    ],
)
def test_each_mistake_is_one_line_that_names_the_key(write, old, new, words):
    assert old in GOOD
    with pytest.raises(ScenarioError, match=words) as caught:
        load_scenario(write(GOOD.replace(old, new, 1)))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(write, tmp_path):
    with pytest.raises(FileReadError, match="cannot read the scenario"):
        load_scenario(tmp_path / "absent.toml")
    with pytest.raises(FileReadError, match="not valid TOML.*line 1"):
        load_scenario(write("seed = ="))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileReadError, match="not a text file"):
        load_scenario(tmp_path / "binary.toml")


def test_references_and_proposals_are_densities():
    scenario = read_scenario(
        {
            "items": {"kind": "grid", "low": -10, "high": 10, "n": 101},
            "population": {
                "types": [
                    {
                        "utility": {"kind": "truncated_normal", "mean": 0, "sd": 2},
                        "rule": {
                            "kind": "dpo",
                            "beta": 4.0,
                            "reference": {"kind": "truncated_normal", "mean": 0, "sd": 5},
                        },
                    }
                ]
            },
            "design": {"proposal": {"kind": "truncated_normal", "mean": 0, "sd": 5}},
        }
    )
    assert scenario.design.with_replacement
    with pytest.raises(ScenarioError, match=r"design.proposal.kind: 'linear' is not a density"):
        read_scenario(
            {
                "items": {"kind": "grid", "low": 0, "high": 1, "n": 3},
                "design": {"proposal": {"kind": "linear", "weights": [1.0]}},
            }
        )


def test_a_model_table_writes_down_misspecification():
    raw = {
        "items": {"kind": "inline", "n": 3},
        "population": {"types": [{"utility": {"kind": "tabular", "values": [0.0, 1.0, 2.0]}}]},
        "model": {"types": [{"utility": {"kind": "tabular", "values": [0.0, 0.0, 0.0]}} for _ in range(2)]},
    }
    scenario = read_scenario(raw)
    assert len(scenario.model.components()) == 2 and len(scenario.population.components()) == 1
    with pytest.raises(ScenarioError, match=r"no \[design\] table"):
        scenario.need("design")


def test_random_coefficients_and_spammers():
    raw = {
        "items": {"kind": "normal", "n": 4, "dim": 2},
        "population": {
            "types": [{"utility": {"kind": "random_linear", "mean": [1.0, 0.0], "scale": [0.5, 0.5]}}],
            "spammers": {"share": 0.1},
        },
        "design": {"annotators": 20},
    }
    scenario = read_scenario(raw)
    assert scenario.population.component_weights().tolist() == pytest.approx([0.9, 0.1])
    assert float(an.law(scenario.population, scenario.design).probabilities.sum()) == pytest.approx(1.0)
    with pytest.raises(ScenarioError, match=r"population.spammers.*'sideways'"):
        read_scenario(raw | {"population": raw["population"] | {"spammers": {"share": 0.1, "how": "sideways"}}})


def small(**tables):
    population = {"types": [{"utility": {"kind": "tabular", "values": [0.0, 1.0, 2.0]}}]}
    return {"items": {"kind": "inline", "n": 3}, "population": population, "design": {"annotators": 10}} | tables


@pytest.mark.parametrize(
    "utility",
    [
        {"kind": "low_rank", "loadings": [[1.0], [0.0], [-1.0]]},
        {"kind": "judge_panels", "mean": [0.0, 0.5, 1.0], "spread": 0.5},
        {"kind": "dirichlet", "prototypes": [{"kind": "tabular", "values": [0, 1, 2]}] * 2, "concentration": 0.5},
    ],
    ids=lambda u: u["kind"],
)
def test_tastes_by_name(utility):
    made = read_scenario(small(population={"types": [{"utility": utility}]}))
    assert an.law(made.population, made.design).probabilities.sum().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    "menus, count",
    [("round_robin", 3), ("star", 2), ("chain", 2), ({"kind": "sparse_graph", "pairs": 3}, 3), ([[0, 1]], 1)],
    ids=str,
)
def test_lists_of_menus_by_name(menus, count):
    made = read_scenario(small(design={"menus": menus, "questions": "all"}))
    assert len(made.design.menus) == count == made.design.num_questions


@pytest.mark.parametrize(
    "tables, message",
    [
        ({"design": {"menus": "round_robbin"}}, "design.menus.kind: 'round_robbin' is unknown; did you mean"),
        ({"design": {"menus": {"kind": "sparse_graph"}}}, "design.menus.pairs: missing"),
        ({"design": {"menus": {"kind": "sparse_graph", "pairs": 9}}}, "design.menus: sparse_graph"),
        ({"design": {"menus": [["a"]]}}, "design.menus"),
        ({"population": {"types": [{"utility": {"kind": "low_rank", "loadings": [[1.0]]}}]}}, "has 1 items"),
        ({"population": {"types": [{"utility": {"kind": "dirichlet", "prototypes": []}}]}}, "at least two"),
        (
            {"population": {"types": [{"utility": {"kind": "random_linear", "mean": [1.0], "scale": 1.0}}]}},
            "population.types.0..utility",
        ),
    ],
)
def test_names_that_do_not_fit_are_refused_in_one_line(tables, message):
    with pytest.raises(ScenarioError, match=message) as caught:
        read_scenario(small(**tables))
    assert "\n" not in str(caught.value)


def test_a_hierarchy_and_a_gate():
    """Groups of annotators, and types whose shares depend on who one is."""
    features = {"kind": "inline", "features": [[0.0], [1.0], [2.0]]}
    groups = {"kind": "hierarchy", "means": [[1.0], [-1.0]], "spread": 0.3, "weights": [0.6, 0.4]}
    made = read_scenario({"items": features, "population": {"types": [{"utility": groups}]}, "design": {}})
    assert [type(leaf).__name__ for leaf in made.population.components()] == ["RandomCoefficients"] * 2
    assert made.population.component_weights().tolist() == pytest.approx([0.6, 0.4])

    kinds = [{"utility": {"kind": "linear", "weights": [w]}} for w in (1.0, -1.0)]
    gate = {"covariates": [[1.0], [-1.0]], "coefficients": [[3.0]]}
    made = read_scenario({"items": features, "population": {"types": kinds, "gate": gate}, "design": {}})
    assert type(made.population) is an.Gated
    assert made.population.annotator_weights([0, 1])[:, 0].tolist() == pytest.approx([0.9526, 0.0474], abs=1e-4)


@pytest.mark.parametrize(
    "gate, weight, message",
    [
        ({"covariates": [[1.0]]}, 0.5, r"types\[0\].weight: the gate sets the weights; leave it out"),
        ({"covariates": [[1.0]], "coefficients": [[1.0, 2.0]]}, None, "population.gate: .*expected"),
        ({"covariates": [[1.0]], "coeficients": [[1.0]]}, None, "did you mean 'coefficients'"),
        ({}, None, "population.gate.covariates: missing"),
    ],
)
def test_a_gate_that_does_not_fit(gate, weight, message):
    kind = {"utility": {"kind": "tabular", "values": [0.0, 1.0]}} | ({} if weight is None else {"weight": weight})
    with pytest.raises(ScenarioError, match=message):
        read_scenario({"items": {"kind": "inline", "n": 2}, "population": {"types": [kind] * 2, "gate": gate}})


# ---- networks -------------------------------------------------------------------------------------------------------

HEADS = {"kind": "heads", "widths": [4], "dim": 2, "outputs": 2, "column": 0}
PAIR = {"kind": "normal", "n": 5, "dim": 2}


def one_type(utility, rule=None, **more):
    table = {"utility": utility} | ({} if rule is None else {"rule": rule})
    return {"items": PAIR, "model": {"types": [table]}} | more


def test_heads_share_one_network():
    both = read_scenario(one_type(HEADS, {"kind": "mean_variance", "log_sd": {"column": 1}})).model
    assert both.utility.source is both.rule.log_sd.source and both.rule.log_sd.number == 1
    apart = read_scenario(one_type(HEADS, {"kind": "mean_variance", "log_sd": HEADS | {"seed": 1}})).model
    assert apart.utility.source is not apart.rule.log_sd.source
    levels = {"kind": "categorical_reward", "logits": {"kind": "heads", "widths": [], "dim": 2, "outputs": 4}}
    assert read_scenario(one_type({"kind": "indifferent"}, levels)).model.rule.logits.outputs == 4
    members = [{"kind": "network", "widths": [3], "dim": 2, "seed": s} for s in (0, 1)]
    assert len(read_scenario(one_type({"kind": "ensemble", "members": members})).model.utility.members) == 2


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (one_type(HEADS | {"column": 2}), r"types\[0\].utility: Heads.column\(2\): there are 2 outputs"),
        (one_type({k: v for k, v in HEADS.items() if k != "column"}), r"utility: 2 outputs.*column = 0"),
        (one_type(HEADS | {"colum": 1}), r"utility.colum: unknown key.*did you mean 'column'"),
        (
            one_type({"kind": "network", "widths": [3], "dim": 2}, {"kind": "mean_variance", "log_sd": {"column": 1}}),
            r"rule.log_sd: the type's utility is no column of several outputs; give it column = 0",
        ),
        (
            one_type({"kind": "network", "widths": [3], "dim": 2}, {"kind": "dpo", "beta": 1, "reference": "start"}),
            r"rule.reference: 'start' is the utility as it begins, and Network is no density",
        ),
        pytest.param(
            one_type({"kind": "log_policy", "model": "./nowhere"}),
            r"model './nowhere': there is no such folder",
            marks=pytest.mark.hf,
        ),
        (one_type({"kind": "log_policy", "modl": "x"}), r"utility.modl: unknown key.*did you mean 'model'"),
        (one_type({"kind": "log_policy", "model": 3}), r"utility.model: 3; give the folder of a model"),
        (one_type(HEADS, fit={"stepz": 3}), r"fit.stepz: unknown key.*did you mean 'steps'"),
        (one_type(HEADS, fit={"steps": 0}), r"fit.steps 0: a whole number of at least 1"),
        (one_type(HEADS, fit={"steps": "many"}), r"fit.steps: input should be a valid integer.*got 'many'"),
        (one_type(HEADS, fit={"objective": {"kind": "ipoo"}}), r"fit.objective.kind: 'ipoo'.*did you mean 'ipo'"),
        (one_type(HEADS, fit={"objective": {"kind": "ipo", "tua": 1}}), r"fit.objective.tua: .*did you mean 'tau'"),
        (one_type(HEADS, fit={"prior": {"kind": "ridge", "penalty": -1}}), r"fit.prior: Ridge\(penalty=\)"),
    ],
)
def test_mistakes_with_networks(raw, words):
    with pytest.raises((ScenarioError, FileReadError), match=words) as caught:
        read_scenario(raw)
    assert "\n" not in str(caught.value)


def test_every_key_of_a_scenario_says_what_it_means():
    """The reference's page of scenario files, and editors that complete TOML, show these words."""
    schema = ScenarioTable.model_json_schema()
    tables = {"ScenarioTable": schema, **schema["$defs"]}
    assert len(tables) > 15 and "FitTable" in tables
    for name, table in tables.items():
        assert table.get("description"), name
        for key, field in table["properties"].items():
            assert field.get("description"), f"{name}.{key}"
