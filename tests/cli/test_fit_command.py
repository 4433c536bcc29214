"""``annosim fit``: what it prints, and its exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

import annosim as an
from annosim.cli import main
from annosim.study import MissingDataError, data_path

VOTES = "who,left,right,winner\nann,tea,milk,left\nbob,milk,tea,tie\nann,milk,tea,left\nbob,tea,milk,left\n"
COLUMNS = ["--format", "pairs", "--annotator", "who", "--left", "left", "--right", "right", "--winner", "winner"]


@pytest.fixture
def votes(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text(VOTES)
    return path


def test_half_wins_are_announced_and_items_ranked(votes, capsys):
    assert main(["fit", str(votes), *COLUMNS]) == 0
    out = capsys.readouterr().out
    assert "1 of 4 answers are tied" in out and "half a win" in out
    assert out.index("tea  ") < out.index("milk  ") and "utilities sum to zero" in out


@pytest.mark.parametrize("ties", ["davidson", "rao-kupper", "drop"])
def test_other_ways_with_ties(votes, capsys, ties):
    assert main(["fit", str(votes), *COLUMNS, "--ties", ties]) == 0
    assert ties.removesuffix("drop") in capsys.readouterr().out


def test_table_and_fit_are_written(votes, tmp_path, capsys):
    import annosim as an

    assert main(["fit", str(votes), *COLUMNS, "--out", str(tmp_path / "t.csv"), "--save", str(tmp_path / "f.pt")]) == 0
    assert "standard_error" in (tmp_path / "t.csv").read_text()
    assert an.Fit.load(tmp_path / "f.pt").converged


def test_an_estimate_that_does_not_exist_exits_3_and_a_prior_mends_it(tmp_path, capsys):
    path = tmp_path / "votes.csv"
    path.write_text("who,left,right,winner\nann,tea,milk,left\n")
    assert main(["fit", str(path), *COLUMNS]) == 3
    error = capsys.readouterr().err
    assert "'tea'" in error and "--prior dirichlet=1" in error and error.count("\n") == 1
    assert main(["fit", str(path), *COLUMNS, "--prior", "dirichlet=1"]) == 0
    assert "decided" in capsys.readouterr().out


def test_unknown_words_are_named_together_and_the_remedy_is_an_option(tmp_path, capsys):
    path = tmp_path / "votes.csv"
    path.write_text("who,left,right,winner\n" + "ann,tea,milk,won\nann,tea,milk,lost\n" * 40)
    assert main(["fit", str(path), *COLUMNS]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.count("'won' is unknown") == 1 and "--words won=...,lost=..." in error
    assert main(["fit", str(path)]) == 2
    assert "say --words won=left,lost=right" in capsys.readouterr().err
    assert main(["fit", str(path), "--words", "won=left,lost=right"]) == 0


def test_a_scenario_without_a_model_is_refused_not_ignored(votes, tmp_path, capsys):
    (tmp_path / "other.toml").write_text("seed = 0")
    assert main(["fit", str(votes), *COLUMNS, "--model", str(tmp_path / "other.toml")]) == 2
    error = capsys.readouterr().err
    assert "no [model] and no [population] table" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("extra", "word"),
    [(["--prior", "wish=1"], "dirichlet"), (["--prior", "gaussian=-1"], "above 0"), (["--ties", "no"], "davidson")],
)
def test_bad_options_are_one_line_and_exit_2(votes, capsys, extra, word):
    assert main(["fit", str(votes), *COLUMNS, *extra]) == 2
    error = capsys.readouterr().err
    assert word in error and error.count("\n") == 1


def test_the_main_job(capsys):
    try:
        path = data_path("llmfao.csv")
    except MissingDataError as reason:
        pytest.skip(str(reason))
    assert main(["fit", str(path), "--format", "pairs", "--annotator", "worker", *COLUMNS[4:]]) == 0
    out = capsys.readouterr().out
    assert "8931 rows" in out and "3471 of 8931" in out and "GPT 4" in out


def test_words_and_other_options_of_the_reader(tmp_path, capsys):
    path = tmp_path / "votes.csv"
    path.write_text("w,a,b,res\nx,tea,milk,A\nx,milk,tea,A\ny,tea,milk,draw\ny,tea,milk,B\n")
    command = ["fit", str(path), "--format", "pairs", "--left", "a", "--right", "b", "--winner", "res"]
    assert main([*command, "--words", "A=left,B=right,draw=tie"]) == 0
    out = capsys.readouterr().out
    assert "1 of 4 answers are tied" in out
    assert out.index("milk  ") < out.index("tea  ")  # milk won two and a half of four
    wrong = {
        "WORD=MEANING": ["--words", "A"],
        "NAME=VALUE": ["--set", "expand"],
        "no option 'foo'": ["--set", "foo=1"],
        "no option 'feedback'": ["--feedback", "ranking"],
    }
    for word, extra in wrong.items():
        assert main([*command, *extra]) == 2
        error = capsys.readouterr().err
        assert word in error and error.count("\n") == 1


def test_ratings_by_their_kind_of_feedback(tmp_path, capsys):
    path = tmp_path / "ratings.csv"
    rows = ["item_0,answer_0"] + [f"{name},{grade}" for name in ("tea", "milk") for grade in (0, 1, 1, 2)] + ["tea,2"]
    path.write_text("\n".join(rows) + "\n")
    assert main(["fit", str(path), "--format", "wide", "--feedback", "rating 3"]) == 0
    out = capsys.readouterr().out
    assert "ordered logit with 2 free cuts" in out and "rule.cuts[1]" in out


def test_lists_and_flags_reach_the_reader(tmp_path, capsys):
    path = tmp_path / "long.csv"
    rows = ["id,alt,choice,price"]
    for i, (chosen, p) in enumerate([(0, 1.0), (1, 2.0), (0, 3.0), (1, 0.5)]):
        rows += [f"{i},tea,{int(chosen == 0)},{p}", f"{i},milk,{int(chosen == 1)},{p}"]
    path.write_text("\n".join(rows) + "\n")
    given = ["--set", "situation=id", "--set", "alternative=alt", "--set", "sep=,"]
    assert main(["fit", str(path), "--format", "long", *given, "--prior", "gaussian=1"]) == 0
    assert "solver" in capsys.readouterr().out


def test_one_worker_has_hessian_errors_and_names_in_the_winners_column_are_recognised(tmp_path, capsys):
    path = tmp_path / "votes.csv"
    path.write_text("who,left,right,winner\nann,tea,milk,tea\nann,milk,tea,milk\nann,milk,tea,tea\n")
    assert main(["fit", str(path), *COLUMNS]) == 2
    assert "winner_is=item" in capsys.readouterr().err
    assert main(["fit", str(path), *COLUMNS, "--set", "winner_is=item"]) == 0
    assert "standard errors (hessian)" in capsys.readouterr().out


def test_types_at_infinity_are_no_success(tmp_path, capsys):
    rows = ["Alpha,Beta,left", "Beta,Gamma,right", "Gamma,Alpha,right", "Beta,Alpha,left", "Gamma,Beta,left"]
    path = tmp_path / "six.csv"
    path.write_text("\n".join(["left,right,winner", *rows, "Beta,Gamma,left"]) + "\n")
    assert main(["fit", str(path), "--format", "pairs", "--types", "2"]) == 4
    assert "at least one type's utilities have no finite maximum" in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["--prior", "dirichlet=1"]])
def test_no_remedy_is_named_that_cannot_help(given, tmp_path, capsys):
    path = tmp_path / "ties.csv"
    path.write_text("left,right,winner\na,b,tie\nb,c,tie\na,c,tie\n")
    assert main(["fit", str(path), "--format", "pairs", "--ties", "davidson", *given]) == 3
    said = capsys.readouterr().err
    assert "delta has no finite estimate" in said and "--prior" not in said


def test_davidson_has_a_number_for_each_size_of_a_tie_that_occurs(tmp_path, capsys):
    """Three of four tied once, two of them elsewhere (R's PlackettLuce: tie2, tie3): as in Python with two numbers."""
    path = tmp_path / "three.toi"
    orders = "1: {1,2,3}\n3: {1,2},3\n2: 3,1,2,4\n2: 2,1,3\n2: 4,2,1\n1: 1,{2,3}\n"
    path.write_text("".join(f"# ALTERNATIVE NAME {i}: {name}\n" for i, name in enumerate("abcd", 1)) + orders)
    assert main(["fit", str(path), "--format", "preflib", "--ties", "davidson"]) == 0
    shown = capsys.readouterr().out
    right = an.fit(an.Annotator(an.Tabular(4), an.Davidson(an.free([1.0, 1.0]))), an.io.read_preflib(path))
    for number, delta in enumerate(right.population.rule.delta.tolist()):
        assert f"rule.delta[{number}]" in shown and f"{delta:.3f}" in shown
    with pytest.raises(an.errors.TiesError, match="a tie of 3, and the rule knows ties of 2"):
        an.fit(an.Annotator(an.Tabular(4), an.Davidson(an.free(1.0))), an.io.read_preflib(path))


def test_the_first_leaderboard_waits_for_no_compiler(votes):
    """A process of its own, two seconds: torch's compiler, sympy or numba would cost a user more than everything else."""
    code = (
        "import sys; from annosim.cli import main; code = main(sys.argv[1:]); "
        "print(code, [m for m in ('torch._dynamo', 'sympy', 'numba') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, "fit", str(votes), *COLUMNS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr[-600:]


@pytest.mark.parametrize(
    ("option", "more"),
    [("--out", []), ("--responsibilities", []), ("--out", ["--posterior"]), ("--out", ["--judge", "gpt"])],
)
def test_no_table_is_written_under_the_name_of_another_format(option, more, votes, tmp_path, capsys):
    for name in ("board.pdf", "s.xlsx"):
        assert main(["fit", str(votes), *COLUMNS, *more, option, str(tmp_path / name)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"annosim: {option} {tmp_path / name}: not written; give a name that ends in .csv"
        assert not (tmp_path / name).exists()


def test_each_convention_is_said_once_and_the_prior_is_a_sentence_of_its_own(votes, capsys):
    assert main(["fit", str(votes), *COLUMNS, "--ties", "davidson"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fixed by convention: ")]
    assert said and len(said) == len(set(said))
    assert main(["fit", str(votes), *COLUMNS, "--types", "70"]) == 3
    assert "or pass prior=; on the command line: --prior dirichlet=1." in capsys.readouterr().err
