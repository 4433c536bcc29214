"""The learning benchmark runs, and all its implementations see the same pairs. No test here asserts a time."""

import numpy as np
import pytest

from annosim.bench import learn
from annosim.bench.measure import Benchmark, measure


def test_replicates_at_once_and_one_after_another_do_the_same_steps():
    benchmark = learn._replicates(16, 3, 2, "cpu")
    able = [c for c in benchmark.implementations if "compile" not in c.name]
    assert {c.units for c in able} == {6}
    found = measure(Benchmark(benchmark.title, benchmark.unit, able, benchmark.targets), rounds=1)
    assert set(found.rates) == {"annosim, at once", "one after another"}
    together, alone = (c.run for c in able)
    stacked = together.run.log.losses()
    assert stacked.shape == (4, 3)  # two calls of two steps
    assert np.isfinite(stacked.numpy()).all()


@pytest.mark.slow
def test_the_plain_loop_and_trl_see_our_pairs(tmp_path):
    pytest.importorskip("trl", reason="pip install annosim[hf]")
    from annosim.bench import trl_trainers

    tokens = learn._tokens(1)
    words = trl_trainers._tokenizer()
    for record, (chosen, rejected) in zip(trl_trainers._records(tokens, prompt=True), tokens, strict=True):
        prompt = words(record["prompt"])["input_ids"]
        assert prompt == chosen[: learn.PROMPT].tolist() == rejected[: learn.PROMPT].tolist()
        for name, ids in (("chosen", chosen), ("rejected", rejected)):
            said = words(record[name])["input_ids"]
            assert prompt + said == ids[:-1].tolist()  # TRL puts the end of the sequence in the last place
    data = learn._data(1)
    assert data.items.tokens.reshape(tokens.shape).tolist() == tokens.tolist()
    dpo = learn._dpo(2, "cpu")
    able = [c for c in dpo.implementations if "compile" not in c.name]
    assert set(measure(Benchmark(dpo.title, dpo.unit, able), rounds=1).rates) >= {
        "annosim",
        "plain loop",
        "TRL DPOTrainer",
    }
