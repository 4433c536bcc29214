"""The defects that the study names are there, in these versions; its rows have names of their own."""

import sys
from pathlib import Path

import numpy as np
import pytest

from annosim.checks import adapt
from annosim.cli.check import _setting
from annosim.study import load_study

STUDY = load_study(Path(__file__).parents[2] / "studies" / "peers")
defects = sys.modules["annosim_study_peers.defects"]
asked = sys.modules["annosim_study_peers.estimators"]


def test_crowdkit():
    pytest.importorskip("crowdkit", reason="crowd-kit is not installed; pip install '.[peers]'")
    assert defects.noisy_gradient()["gap"] > 1e-3
    found = defects.iterations_do_nothing()
    assert found["moved"] == 0 and found["error"] > 0.01


def test_evalica():
    pytest.importorskip("evalica", reason="evalica is not installed; pip install '.[test]'")
    best = defects.losers_first()["best"]
    assert best.pop("eigen") == 2 and set(best.values()) == {0}
    assert defects.two_items()["difference"] == 0
    found = defects.undefeated("evalica")
    assert found["outcome"] == "returned" and found["spread"] < 1e-6


def test_choix_and_annosim():
    pytest.importorskip("choix", reason="choix is not installed; pip install '.[test]'")
    for ask in (defects.undefeated, defects.disconnected):
        assert ask("choix")["outcome"] == "returned" and np.isfinite(ask("choix")["utilities"]).all()
        assert ask("annosim")["outcome"] == "raised" and ask("annosim")["says"]


def test_every_row_has_a_name_of_its_own():
    for package, (module, peers) in asked.PEERS.items():
        pytest.importorskip(module)
        made = [
            adapt.ADAPTERS[package](adapt.load(f"{module}:{p.name}"), kind=p.kind, tags=p.tags, **p.settings)
            for p in peers
        ]
        assert len({asked.label(package, one) for one in made}) == len(peers)


def test_the_command_of_a_row_says_the_same():
    peer = asked.Peer("LogisticRegression", "reward", ("regularised",), {"C": float("inf"), "max_iter": 10}, 1e-2)
    words = asked.command("sklearn", peer).split()
    assert words[:3] == ["annosim", "check", "sklearn.linear_model:LogisticRegression"]
    assert dict(_setting(w) for w in words if "=" in w) == {"C": float("inf"), "max_iter": 10}
    assert words[-2:] == ["--tolerance", "0.01"]


def test_a_row_of_ours_holds():
    rows = asked.laws("annosim", list(asked.OURS).index("Rao-Kupper"), True, 0)
    assert not [r for r in rows if r["verdict"] == "failed"]
    assert sum(r["verdict"] == "passed" for r in rows) >= 15
    assert STUDY.name == "peers"
