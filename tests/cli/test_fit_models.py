"""Models that only a scenario can name: reliabilities, normal and categorical rewards, fitted to a file of votes."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an
from annosim import cli

FREE = "utility = { kind = 'tabular', values = { free = [0.0, 0.0, 0.0, 0.0] } }"
MODELS = {
    "rule.skill": f"{FREE}\nhabits = [{{ kind = 'reliability', skill = {{ free = {[1.0] * 10} }} }}]",
    "rule.log_sd": f"{FREE}\nrule = {{ kind = 'mean_variance', log_sd = {{ free = {[0.0] * 4} }} }}",
    "rule.logits": "utility = { kind = 'indifferent' }\n"
    f"rule = {{ kind = 'categorical_reward', logits = {{ free = {[[0.0, 0.1, 0.2]] * 4} }} }}",
}


@pytest.fixture
def votes(tmp_path):
    truth = an.Annotator(an.Tabular([0.0, 0.7, 1.4, 2.1]), an.Luce())
    data = an.simulate(truth, an.Design(an.Items(n=4), annotators=10, questions=30), seed=0)
    rows = [f"w{w},{i},{j},{'AB'[a]}" for w, (i, j), a in zip(data.annotator, data.menu, data.answer, strict=True)]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(["worker,a,b,said", *rows]), encoding="utf-8")
    return path


@pytest.mark.parametrize("number", MODELS)
def test_a_model_from_a_scenario_is_fitted(number, votes, tmp_path, capsys):
    model, saved = tmp_path / "model.toml", tmp_path / "fit.pt"
    head = "[items]\nkind = 'inline'\nn = 4\n[[population.types]]\n"
    model.write_text(head + MODELS[number], encoding="utf-8")
    read = "--format pairs --annotator worker --left a --right b --winner said --words A=left,B=right".split()
    more = ["--model", str(model), "--prior", "gaussian=1.5", "--save", str(saved)]
    assert cli.main(["fit", str(votes), *read, *more]) == 0
    assert "the estimate is a posterior mode" in capsys.readouterr().out
    fit = an.Fit.load(saved)
    value = fit.population.free_parameters()[number].numpy(force=True)
    assert fit.converged and np.isfinite(value).all() and value.std() > 0
