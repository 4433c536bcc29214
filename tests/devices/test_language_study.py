"""The study on a tiny transformer, whose largest preset is for a GPU, on the pretend device."""

import sys
from pathlib import Path

import pytest

from annosim.study import load_study

SMALLEST = {"responses": 3, "shape": {"width": 8, "layers": 1, "heads": 2}, "steps": 2, "rate": 1e-2, "batch": 8}
TYPES = {"kind": "plain", "types": 2, "answers": "pairs", "questions": 2}


@pytest.mark.slow
def test_every_cell_of_the_language_models_runs_there_and_finds_the_same(far):
    load_study(Path(__file__).parents[2] / "studies" / "language_models")
    study = sys.modules["annosim_study_language_models"]
    how = {"seed": 3, **SMALLEST}
    base = study.reference(**{name: value for name, value in how.items() if name != "responses"})

    def cells(device):
        known = {**how, "device": device}
        yield from study.hidden_types(**TYPES, **known, reference=base)
        yield from study.combined_rewards(world="clean", kls=[0.1], ks=[2], **known, reference=base)
        yield from study.soft_labels(judge="faithful", **known)

    here = list(cells("cpu"))
    with far():
        there = list(cells("pretend"))
        again = study.reference(**{n: v for n, v in how.items() if n != "responses"}, device="pretend")
    assert again["nats"] == pytest.approx(base["nats"], abs=1e-4)
    for one, other in zip(here, there, strict=True):
        assert other == pytest.approx(one, abs=1e-3)
