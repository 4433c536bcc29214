"""The verb, its statuses and its command."""

import json

import numpy as np
import pytest
from scipy import stats

import annosim as an
from annosim.checks import CHECKS, adapt, as_estimator, check_estimator, parametrize_with_checks
from annosim.checks.run import LEVEL
from annosim.checks.worlds import exact_world, undefeated_world
from annosim.cli import main
from annosim.errors import ArgumentError, CheckError


def _model(data):
    return an.Annotator(an.Tabular(data.items.n), an.Luce())


OURS = adapt.annosim(_model, tags=["intervals"], name="Bradley-Terry")


@parametrize_with_checks([OURS])
def test_our_bradley_terry_obeys_every_law(estimator, check):
    result = check(estimator)
    assert result.status == "passed", result.evidence


@pytest.mark.parametrize("kind", ["choice", "ranking"])
def test_our_luce_estimators_obey_every_law(kind):
    report = check_estimator(adapt.annosim(_model, kind=kind, name=kind), statistical=False)
    assert report.passed, report.failed


def test_our_latent_classes_obey_every_law():
    def two(data):
        return an.Mixture([_model(data) for _ in range(2)]).like(seed=0)

    report = check_estimator(adapt.annosim(two, kind="mixture", name="latent classes", starts=8))
    assert report.passed, report.failed


def test_every_check_states_its_law():
    for check in CHECKS.values():
        assert check.name.startswith("check_") and len(check.law) > 30, check.name
        assert "eterministic" in check.run.__doc__ or "p-value" in check.run.__doc__, check.name


def test_statuses():
    def left(data):
        return np.bincount(data.menu[:, 0], minlength=data.items.n).astype(float)

    wrong = {"check_swapping_sides": "reads the left column only"}
    only = ["check_swapping_sides", "check_gradient", "check_leaves_inputs_alone"]
    report = check_estimator(left, tags={"score"}, expected_failed_checks=wrong, only=only)
    assert [r.status for r in report] == ["expected_failure", "not_applicable", "passed"]
    assert report.passed and "reads the left column only" in report[0].evidence
    assert "expected failure" in repr(report) and "<table>" in report._repr_html_()


def test_an_exception_on_lawful_data_is_a_finding():
    def broken(data):
        raise KeyError("no such column")

    result = check_estimator(broken, only=["check_relabelling"])[0]
    assert result.status == "failed" and "KeyError" in result.evidence


def test_a_counterexample_is_small_and_can_be_pasted():
    def left(data):
        return np.bincount(data.menu[:, 0], minlength=data.items.n).astype(float)

    evidence = check_estimator(left, tags={"score"}, only=["check_swapping_sides"])[0].evidence
    code = evidence[evidence.index("PreferenceData(") :]
    data = eval(code, {"PreferenceData": an.PreferenceData, "Items": an.Items})  # noqa: S307 - our own text
    assert data.rows == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "pairs"}, "the kinds are"),
        ({"tags": {"weight"}}, "'weight' is unknown"),
        ({"only": ["check_nothing"]}, "'check_nothing' is unknown"),
        ({"expected_failed_checks": {"check_all": "x"}}, "'check_all' is unknown"),
        ({"returns": "scores"}, "utilities, population or probabilities"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        check_estimator(lambda data: None, **arguments)


def test_a_wrong_shape_is_named():
    estimator = as_estimator(lambda data: np.zeros(3), name="three")
    with pytest.raises(CheckError, match=r"shape \(3,\), expected \(5,\)"):
        estimator(an.PreferenceData(an.Items(n=5), [[0, 1]], [0]))


@pytest.mark.parametrize("kind", ["pairwise", "choice", "ranking"])
def test_noiseless_worlds_are_noiseless(kind):
    """The likelihood's gradient vanishes at the truth: counts equal their expectations exactly."""
    data, truth = exact_world(kind, (1, 2, 3, 4))
    best = an.fit(_model(data), data).population.utility.values.detach().numpy()
    assert np.abs(best - best.mean() - truth).max() < 1e-9


def test_the_undefeated_world_has_an_undefeated_item():
    for kind in ("pairwise", "choice", "ranking", "ties"):
        data = undefeated_world(kind)
        with pytest.raises(an.NotIdentifiedError):
            an.fit(_model(data), data.ties("half") if kind == "ties" else data)


def test_p_values_are_super_uniform():
    """Of a thousand p-values under the extreme null (a fair coin), no more lie below t than t allows.

    One-sided DKW: P(sup_t F_n(t) - t > e) <= exp(-2 n e^2); e at 1e-9.
    """
    rng = np.random.default_rng(0)
    p = np.sort(stats.binom.cdf(rng.binomial(40, 0.5, 1000), 40, 0.5))
    excess = np.arange(1, 1001) / 1000 - p
    assert excess.max() < np.sqrt(np.log(1e9) / 2000)
    assert sum(c.statistical for c in CHECKS.values()) * (LEVEL / 3) <= LEVEL


def test_the_command_prints_a_table_and_exits_by_the_verdict(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef left(data):\n    return np.bincount(data.menu[:, 0], minlength=data.items.n) * 1.0\n"
    )
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "report.html"
    assert main(["check", "mine:left", "--tag", "score", "--fast", "--html", str(page)]) == 1
    assert "check_swapping_sides" in page.read_text() and "failed" in capsys.readouterr().out
    expect = [
        f"--expect=check_{law}=counts the left"
        for law in ("swapping_sides", "order_recovery", "reversal", "refuses_nan")
    ]
    code = main(["check", "mine:left", "--tag", "score", "--fast", *expect])
    shown = capsys.readouterr().out
    assert code == 0, shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "write module:callable"),
        (["nowhere:f"], "cannot import 'nowhere'"),
        (["math:nothing"], "'math' has no 'nothing'"),
        (["math:sqrt", "--adapter", "pandas"], "the adapters are"),
        (["math:sqrt", "--set", "alpha"], "write name=value"),
    ],
)
def test_bad_commands_are_one_line(arguments, words, capsys):
    assert main(["check", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_settings_are_read_as_values():
    from annosim.cli.check import _setting

    assert [_setting(t)[1] for t in ("a=0.5", "a=true", "a=inf", "a=newton")] == [0.5, True, float("inf"), "newton"]
    assert json.loads("0.5") == 0.5
