"""The quick study of the real files, and its numbers against other people's estimators."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an
from annosim.study import data_path, load_named, run_study
from annosim.study.datapath import missing_reason

STUDY = load_named("real_annotators")
missing = missing_reason(STUDY.data)
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))


def test_a_small_run_decides_every_claim(tmp_path):
    run = run_study(STUDY, "smoke", out=tmp_path)
    verdicts = {claim.id: claim.verdict for claim in run.claims}
    assert set(verdicts.values()) == {"supported"}, verdicts


def votes():
    return an.read_csv(data_path("llmfao.csv"), annotator="worker", left="left", right="right", winner="winner")


@pytest.mark.slow
def test_llmfao_by_choix():
    """The same half wins, each vote twice: utilities to 1e-6."""
    choix = pytest.importorskip("choix")
    data = votes().ties("half")
    rows = np.arange(data.rows)
    won = data.menu[rows, data.answer]
    pairs = np.stack([won, data.menu.sum(1) - won], 1)
    twice = np.repeat(pairs, np.rint(2 * data.row_weight).astype(int), 0)
    theirs = choix.opt_pairwise(data.items.n, twice.tolist(), alpha=0.0, method="Newton-CG", tol=1e-14)
    ours = an.fit(an.Annotator(an.Tabular(data.items.n), an.Luce()), data).population.utility.values.numpy(force=True)
    assert np.abs(ours - (theirs - theirs.mean())).max() < 1e-6


def test_llmfao_by_evalica():
    """evalica's Bradley-Terry (ties as half wins; its tolerance is on the step) agrees to 1e-6."""
    evalica = pytest.importorskip("evalica")
    import pandas as pd

    frame = pd.read_csv(data_path("llmfao.csv"))
    word = {"left": evalica.Winner.X, "right": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    theirs = evalica.bradley_terry(
        frame["left"], frame["right"], frame["winner"].map(word), tolerance=1e-12, limit=10_000
    )
    data = votes().ties("half")
    fit = an.fit(an.Annotator(an.Tabular(data.items.n), an.Luce()), data)
    log = np.log(theirs.scores[list(data.items.names)].to_numpy())
    assert np.abs(fit.population.utility.values.numpy(force=True) - (log - log.mean())).max() < 1e-6
