"""The verb, its statuses and its command."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

import annosim as an
from annosim.checks import CHECKS, adapt, as_estimator, check_estimator, parametrize_with_checks
from annosim.checks.datasets import components, exact_dataset, has_estimate, undefeated_dataset
from annosim.checks.recovery import coverage_p_value
from annosim.checks.run import LEVEL, MODULES
from annosim.checks.statistics import at_least, between, compare_counts
from annosim.cli import main
from annosim.errors import ArgumentError, CheckError, CheckFailedError

WORDS = {"PreferenceData": an.PreferenceData, "Items": an.Items}


def _model(data):
    return an.Annotator(an.Tabular(data.items.n), an.Luce())


OURS = adapt.annosim(_model, tags=["intervals", "device"], name="Bradley-Terry")


@parametrize_with_checks([OURS])
def test_our_bradley_terry_obeys_every_law(estimator, check):
    result = check(estimator)
    assert result.status == "passed", result.evidence


def test_a_fresh_process_knows_every_check():
    """Checks are registered when their module is imported; asking for the list is enough to import them all."""
    written = {name for module in MODULES for name in vars(module) if name.startswith("check_")}
    code = "import annosim as an; print(*an.checks.CHECKS)"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(written) > 30 and set(listed) == written


def _free_ties(rule, start):
    return lambda data: an.Annotator(an.Tabular(data.items.n), rule(an.free(start)))


#: kind -> (model, tags, checks that must have been asked)
KINDS = {
    "choice": (_model, ["intervals"], 20),
    "ranking": (_model, ["intervals"], 18),
    "davidson": (_free_ties(an.Davidson, 0.5), ["davidson"], 15),
    "rao_kupper": (_free_ties(an.rules.RaoKupper, 1.5), ["rao_kupper"], 15),
    "reward": (lambda data: an.Annotator(an.Linear(data.items.dim), an.Luce()), [], 15),
}


@pytest.mark.parametrize("name", KINDS)
def test_our_estimators_of_every_kind_obey_every_law(name):
    model, tags, asked = KINDS[name]
    kind = name if name in ("choice", "ranking", "reward") else "ties"
    report = check_estimator(
        adapt.annosim(model, kind=kind, tags=tags, name=name), statistical=False, raise_on_failure=False
    )
    assert report.passed, report.failed
    assert sum(r.status == "passed" for r in report) >= asked, report


@pytest.mark.gpu
def test_our_estimate_is_the_same_on_the_gpu():
    report = check_estimator(adapt.annosim(_model, tags=["device"]), only=["check_device"], raise_on_failure=False)
    assert report[0].status == "passed", report[0]


@pytest.mark.gpu
def test_an_estimator_that_is_wrong_on_the_gpu_is_caught():
    def wrong_there(data, device="cpu"):
        return np.arange(data.items.n) * (1.0 if device == "cpu" else 2.0)

    assert (
        check_estimator(wrong_there, tags=["device"], only=["check_device"], raise_on_failure=False)[0].status
        == "failed"
    )


def test_the_device_is_not_asked_where_there_is_none(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = check_estimator(
        lambda data, device="cpu": np.arange(data.items.n),
        tags=["device"],
        only=["check_device"],
        raise_on_failure=False,
    )[0]
    assert result.status == "not_applicable" and "CUDA" in result.evidence


def test_our_latent_classes_obey_every_law():
    def two(data):
        return an.Mixture([_model(data) for _ in range(2)]).like(seed=0)

    report = check_estimator(
        adapt.annosim(two, kind="mixture", name="latent classes", starts=8), raise_on_failure=False
    )
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
    report = check_estimator(left, tags={"score"}, expected_failed_checks=wrong, only=only, raise_on_failure=False)
    assert [r.status for r in report] == ["expected_failure", "not_applicable", "passed"]
    assert report.passed and "reads the left column only" in report[0].evidence
    assert "expected failure" in repr(report) and "<table>" in report._repr_html_()


def test_a_model_of_the_annotators_may_look_at_them():
    def by_first_annotator(data):
        return np.bincount(data.menu[data.annotator_ids == 0].ravel(), minlength=data.items.n)

    only = ["check_annotator_ids_ignored"]
    assert check_estimator(by_first_annotator, only=only, raise_on_failure=False)[0].status == "failed"
    assert (
        check_estimator(by_first_annotator, only=only, tags=["annotators"], raise_on_failure=False)[0].status
        == "not_applicable"
    )


def test_an_expected_failure_that_holds_says_so():
    only = ["check_leaves_inputs_alone"]
    report = check_estimator(
        lambda data: np.arange(data.items.n),
        only=only,
        expected_failed_checks={only[0]: "old bug"},
        raise_on_failure=False,
    )
    assert report[0].status == "passed" and "expected to fail, but holds (old bug)" in report[0].evidence


def test_a_tolerance_holds_also_for_an_adapted_estimator():
    rough = as_estimator(lambda data: np.arange(data.items.n) + 1e-3 * np.arange(data.items.n) * data.menu[0, 0])
    for tolerance, status in ((1e-9, "failed"), (10.0, "passed")):
        report = check_estimator(rough, only=["check_relabelling"], tolerance=tolerance, raise_on_failure=False)
        assert report[0].status == status and report.settings["tolerance"] == tolerance


def test_a_kind_that_contradicts_the_estimator_is_refused():
    with pytest.raises(ArgumentError, match="is of kind 'ranking'"):
        check_estimator(
            as_estimator(lambda data: None, kind="ranking", name="mine"), kind="pairwise", raise_on_failure=False
        )


def test_pair_probabilities_are_read_as_utilities():
    def probabilities(data):
        u = an.fit(_model(data), data).population.utility.values.detach().numpy()
        return 1 / (1 + np.exp(u[None, :] - u[:, None]))

    report = check_estimator(
        probabilities, returns="probabilities", statistical=False, tags=["weights"], raise_on_failure=False
    )
    assert report.passed, report.failed


def test_a_counterexample_of_a_likelihood_has_an_estimate():
    """A bug in an estimator that is finite everywhere is shown on data on which the estimate exists."""

    def half_of_the_games(data):
        count = np.full((data.items.n, data.items.n), 1e-6)
        np.add.at(count, (data.menu[:, 0], data.menu[:, 1]), (data.answer == 0) + 0.5)
        return np.log(count.sum(1) / count.sum(0))

    evidence = check_estimator(half_of_the_games, only=["check_swapping_sides"], raise_on_failure=False)[0].evidence
    data = eval(evidence[evidence.index("PreferenceData(") :], WORDS)  # noqa: S307 - our own text
    assert has_estimate(data) and data.rows <= 12
    back = data.with_(menu=data.menu[:, ::-1].copy(), answer=(1 - data.answer).astype(np.int8))
    assert np.abs(np.diff(half_of_the_games(data) - half_of_the_games(back))).max() > 1e-4


def test_the_evidence_of_a_refusal_is_small_and_has_no_estimate():
    """What is printed still lacks an estimate for the same reason: one undefeated item, everybody connected."""

    def blind(data):
        return np.arange(data.items.n)

    for name, shape in (("check_refuses_undefeated", (2, 1)), ("check_refuses_disconnected", (2, 2))):
        evidence = check_estimator(blind, only=[name], raise_on_failure=False)[0].evidence
        data = eval(evidence[evidence.index("PreferenceData(") :], WORDS)  # noqa: S307 - our own text
        assert components(data) == shape and data.rows <= 8


PEERS = [
    ("choix", "choix:ilsr_pairwise", "pairwise", {}),
    ("choix", "choix:ilsr_pairwise_dense", "pairwise", {}),
    ("choix", "choix:ilsr_rankings", "ranking", {}),
    ("choix", "choix:ilsr_top1", "choice", {}),
    ("evalica", "evalica:bradley_terry", "pairwise", {"tolerance": 1e-12, "limit": 10_000}),
    ("sklearn", "sklearn.linear_model:LogisticRegression", "pairwise", {"C": float("inf"), "tol": 1e-10}),
    ("sklearn", "sklearn.linear_model:LogisticRegression", "reward", {"C": float("inf"), "tol": 1e-10}),
]


@pytest.mark.parametrize(("adapter", "path", "kind", "settings"), PEERS, ids=[f"{p[1]}-{p[2]}" for p in PEERS])
def test_adapters_hand_over_winners_as_winners(adapter, path, kind, settings):
    """What another package makes of noiseless data through its adapter is the truth, with its sign and order."""
    pytest.importorskip(path.partition(":")[0], reason="install the extra 'test'")
    data, truth = exact_dataset(kind, (5, 1, 3, 2))
    assert np.abs(adapt.ADAPTERS[adapter](adapt.load(path), kind=kind, **settings)(data) - truth).max() < 1e-5


@pytest.mark.parametrize("name", ["BradleyTerry", "NoisyBradleyTerry"])
def test_scores_of_crowdkit_become_utilities(name):
    pytest.importorskip("crowdkit", reason="install the extra 'peers'")
    data, truth = exact_dataset("pairwise", (5, 1, 3, 2))
    data = data.with_(annotator=np.zeros(data.rows, np.int32))
    u = adapt.crowdkit(adapt.load(f"crowdkit.aggregation:{name}"), n_iter=100)(data)
    assert np.corrcoef(u, truth)[0, 1] > 0.95 and np.ptp(u) > 0.7 * np.ptp(truth)


@pytest.mark.parametrize(
    ("path", "tags"),
    [
        ("lsr_pairwise", {"spectral"}),
        ("ilsr_pairwise", set()),
        ("opt_pairwise", {"regularised"}),
        ("rank_centrality", {"spectral"}),
    ],
)
def test_choix_is_declared_what_it_says_of_itself(path, tags):
    pytest.importorskip("choix", reason="install the extra 'test'")
    assert adapt.choix(adapt.load(f"choix:{path}")).tags == tags


@pytest.mark.parametrize("adapter", ["tuples", "arrays", "frame"])
def test_adapters_for_your_own_functions(adapter):
    def of_counts(count):
        reach = np.linalg.matrix_power((count + np.eye(len(count))) > 0, len(count)) > 0
        if not len(count) or not reach.all():
            raise ValueError("no estimate exists")
        n, u = len(count), np.zeros(len(count))
        for _ in range(60):
            p = 1 / (1 + np.exp(u[None, :] - u[:, None]))
            h = (count + count.T) * p * (1 - p)
            u = u + np.linalg.solve(np.diag(h.sum(1)) - h + 1 / n, (count - (count + count.T) * p).sum(1))
        return u

    def tuples(n_items, data):
        return arrays(*np.array(data, dtype=int).reshape(-1, 2).T, n_items)

    def arrays(winners, losers, n_items, weights=1.0):
        count = np.zeros((n_items, n_items))
        np.add.at(count, (winners, losers), weights)
        return of_counts(count)

    def frame(table):
        lost = np.where(table["winner"] == table["left"], table["right"], table["left"])
        return arrays(table["winner"].to_numpy(), lost, 1 + table[["left", "right"]].to_numpy().max(initial=-1))

    function = {"tuples": tuples, "arrays": arrays, "frame": frame}[adapter]
    tags = {"weights"} if adapter == "arrays" else set()
    wrapped = adapt.ADAPTERS[adapter](function, tags=tags)
    expected = {"check_refuses_nan": "does not look at weights"} if adapter == "arrays" else {}
    report = check_estimator(wrapped, statistical=False, expected_failed_checks=expected, raise_on_failure=False)
    assert report.passed, report.failed


def test_an_exception_on_lawful_data_is_a_finding():
    def broken(data):
        raise KeyError("no such column")

    result = check_estimator(broken, only=["check_relabelling"], raise_on_failure=False)[0]
    assert result.status == "failed" and "KeyError" in result.evidence


def test_a_counterexample_is_small_and_can_be_pasted():
    def left(data):
        return np.bincount(data.menu[:, 0], minlength=data.items.n).astype(float)

    evidence = check_estimator(left, tags={"score"}, only=["check_swapping_sides"], raise_on_failure=False)[0].evidence
    code = evidence[evidence.index("PreferenceData(") :]
    data = eval(code, WORDS)  # noqa: S307 - our own text
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
        check_estimator(lambda data: None, **arguments, raise_on_failure=False)


def test_a_wrong_shape_is_named():
    estimator = as_estimator(lambda data: np.zeros(3), name="three")
    with pytest.raises(CheckError, match=r"shape \(3,\), expected \(5,\)"):
        estimator(an.PreferenceData(an.Items(n=5), [[0, 1]], [0]))


@pytest.mark.parametrize("kind", ["pairwise", "choice", "ranking"])
def test_noiseless_worlds_are_noiseless(kind):
    """The likelihood's gradient vanishes at the truth: counts equal their expectations exactly."""
    data, truth = exact_dataset(kind, (1, 2, 3, 4))
    best = an.fit(_model(data), data).population.utility.values.detach().numpy()
    assert np.abs(best - best.mean() - truth).max() < 1e-9


def test_the_undefeated_world_has_an_undefeated_item():
    for kind in ("pairwise", "choice", "ranking", "ties"):
        data = undefeated_dataset(kind)
        with pytest.raises(an.errors.NotIdentifiedError):
            an.fit(_model(data), data.ties("half") if kind == "ties" else data)


#: name -> (p-value of a count, number of trials, true probabilities at and inside the edges of the null)
P_VALUES = {
    "consistency": (lambda x: at_least(x, 48, 0.7), 48, (0.7, 0.9)),
    "types": (lambda x: at_least(x, 30, 0.8), 30, (0.8, 1.0)),
    "wide intervals": (lambda x: between(x, 160, 0.90, 0.99), 160, (0.90, 0.95, 0.99)),
    "narrow intervals": (lambda x: between(x, 160, 0.42, 0.58), 160, (0.42, 0.50, 0.58)),
    "cells": (lambda x: compare_counts(np.array([x, 200 - x]), np.array([0.3, 0.7])).p_value, 200, (0.3,)),
}


@pytest.mark.parametrize("name", P_VALUES)
def test_p_values_are_super_uniform(name):
    """Of a thousand p-values under the null, at its edges and inside it, no more lie below t than t allows.

    One-sided DKW: P(sup_t F_n(t) - t > e) <= exp(-2 n e^2); e at 1e-9, eleven cases.
    """
    p_value, trials, probabilities = P_VALUES[name]
    rng = np.random.default_rng(0)
    for probability in probabilities:
        p = np.sort([p_value(int(x)) for x in rng.binomial(trials, probability, 1000)])
        # between equal p-values the empirical distribution jumps: compare at the last of each
        below = np.searchsorted(p, p, side="right") / 1000
        assert (below - p).max() < np.sqrt(np.log(1e9) / 2000)


def test_a_p_value_can_fall_below_the_level_of_its_check():
    """Power: the worst count of each statistical check is rejected at the level that the union bound allots to it."""
    level = LEVEL / sum(c.statistical for c in CHECKS.values())
    assert P_VALUES["consistency"][0](0) < level and P_VALUES["types"][0](0) < level
    assert coverage_p_value(100, 40, 160) < level and coverage_p_value(160, 140, 160) < level


def test_exact_levels_of_the_run_add_up():
    """The probability of a false alarm, summed exactly over the counts that a run rejects: below 1e-6 in all."""
    level = LEVEL / sum(c.statistical for c in CHECKS.values())
    total = 0.0
    for name, share in (("consistency", 1), ("types", 1), ("wide intervals", 2), ("narrow intervals", 2)):
        p_value, trials, probabilities = P_VALUES[name]
        rejected = [x for x in range(trials + 1) if share * p_value(x) < level]
        total += max(float(stats.binom.pmf(rejected, trials, q).sum()) for q in probabilities)
    assert 0 < total <= LEVEL


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
        (["shutil:copy", "--set", "alpha=1"], "shutil:copy has no such parameter"),
        (["math:sqrt", "--html", "/no/such/folder/report.html"], "there is no folder"),
        (["math:sqrt", "--returns", "ranks"], "utilities, population or probabilities"),
        (["math:sqrt", "--adapter", "arrays", "--kind", "ties"], "is for kind 'pairwise'"),
        ([], "name an estimator"),
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


def test_a_counterexample_shrinks_also_where_the_law_adds_a_row():
    """The law of monotonicity adds a win to the data; parts of rows without annotators must take one."""
    from annosim.checks.shrinking import smallest

    data = an.simulate(an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce()), an.Design(an.Items(n=3), annotators=40))

    def fails(part):
        more = part.with_(menu=np.r_[part.menu, part.menu[:1]], answer=np.r_[part.answer, part.answer[:1]])
        return more.rows == part.rows + 1 and bool((part.menu == 2).any())

    plain = data.with_(annotator=None, truth={})
    assert smallest(plain, fails).rows == 1


def test_a_failed_check_raises_unless_asked_not_to():
    with pytest.raises(CheckFailedError, match="<lambda>: .* checks failed: ") as caught:
        check_estimator(lambda data: None, statistical=False)
    assert caught.value.report.failed and "\n" not in str(caught.value)
    assert not check_estimator(lambda data: None, statistical=False, raise_on_failure=False).passed


def test_the_decorator_fails_on_its_own():
    @parametrize_with_checks([as_estimator(lambda data: None, name="nothing")])
    def test_mine(estimator, check):
        check(estimator)

    (mark,) = test_mine.pytestmark
    assert all(_fails(test_mine, *case.values) for case in mark.args[1])


def _fails(test, estimator, check):
    try:
        test(estimator, check)
    except CheckFailedError:
        return True
    return False


@pytest.mark.parametrize("error", [AttributeError, TypeError, IndexError, ValueError])
def test_crashing_on_everything_refuses_nothing(error):
    def broken(data):
        raise error("always")

    for name in ("check_refuses_nan", "check_refuses_undefeated", "check_refuses_disconnected"):
        result = check_estimator(broken, only=[name], raise_on_failure=False)[0]
        assert result.status == "failed", result


def test_a_crash_on_data_without_rows_is_no_refusal():
    def left(data):
        return np.full(data.items.n, float(data.menu[0, 0]))

    result = check_estimator(left, only=["check_refuses_nan"], raise_on_failure=False)[0]
    assert result.status == "failed" and "IndexError" in result.evidence


@pytest.mark.parametrize(
    ("source", "words"),
    [("def f(data:\n", "line 1: SyntaxError"), ("raise ValueError('a\\nb')", "unreadable.py, line 1: ValueError: a")],
)
def test_a_module_that_cannot_be_read_is_one_line(source, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "unreadable.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["check", "unreadable:f"]) == 2
    said = capsys.readouterr().err
    assert f"'unreadable' fails on import: {words}" in said and said.count("\n") == 1


def test_a_fault_of_the_users_file_is_said_with_its_line_and_a_missing_module_by_its_name(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "zero_of.py").write_text("def f(data):\n    return 1 / 0\n")
    (tmp_path / "imports_of.py").write_text("import nothing_here\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["check", "zero_of:f", "--fast", "--only", "check_deterministic"]) == 1
    assert "zero_of.py, line 2: division by zero" in capsys.readouterr().out
    assert main(["check", "imports_of:f"]) == 2
    assert "'imports_of' imports 'nothing_here', which is not found" in capsys.readouterr().err
