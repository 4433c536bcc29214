"""How often a step of training waits for its device: once, for the loss, which must be looked at before it is used.

Counted are the waits of steps in the middle of a run; setting a run up and ending it may wait as often as it likes.
Minibatches are put together on the CPU, and what is sent to the device is sent without waiting.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import annosim as an

GRID = an.Items.grid(-3.0, 3.0, 21)
POINTS = an.Items.normal(40, 2, seed=3)
TOKENS = an.Items(tokens=np.random.default_rng(0).integers(0, 9, (30, 5)), columns={"prompt_length": np.full(30, 2)})


def answers(items, questions=1, **design):
    truth = an.Annotator(an.Tabular(np.linspace(-1.0, 1.0, items.n)), an.Luce())
    return an.simulate(truth, an.Design(items, annotators=30, questions=questions, **design), seed=0)


def network(seed=0, dim=2):
    return an.Network([4], dim=dim, seed=seed)


def reward(rule=an.Luce):
    return lambda: an.Annotator(network(), rule())


def dpo():
    return an.Annotator(an.LogDensity(network(0, 1)), an.PBDE.dpo(1.0, an.utilities.truncated_normal(0.0, 1.0)))


def heads():
    both = an.utilities.Heads([4], dim=2, outputs=2)
    return an.Annotator(both.column(0), an.rules.MeanVariance(both.column(1)))


def policy():
    models = [nn.Sequential(nn.Embedding(9, 3), nn.Linear(3, 9)) for _ in range(2)]
    return an.Annotator(an.LogPolicy(models[0]), an.PBDE.dpo(0.5, an.LogPolicy(models[1])))


def two():
    return an.Mixture([an.Annotator(network(k), an.Luce()) for k in range(2)])


def kl(**how):
    return {
        "regulariser": an.objectives.ForwardKL(an.LogDensity(network(3, 1)), 0.5, **how),
        "objective": an.objectives.SLiC(1.0),
    }


SOME = {"solver": an.Adam(batch=8)}
RARE = {"solver": an.EM(e_step_every=1000)}
#: model, data, options, copies to the device in a step at most
CASES = {
    "reward": (reward(), answers(POINTS), {}, 0),
    "reward, minibatches": (reward(), answers(POINTS), SOME, 3),
    "reward, copies": (reward(), answers(POINTS), {"starts": 3}, 0),
    "reward, copies, minibatches": (reward(), answers(POINTS), SOME | {"starts": 3}, 3),
    "several answers each": (reward(), answers(POINTS, 3), SOME, 9),
    "rankings": (reward(), answers(POINTS, 2, menu_size=3, feedback="ranking"), SOME, 9),
    "a lapse rate": (reward(lambda: an.Lapse(an.Luce(), an.free(0.1))), answers(POINTS), {}, 0),
    "a lapse rate, copies": (reward(lambda: an.Lapse(an.Luce(), an.free(0.1))), answers(POINTS), {"starts": 2}, 0),
    "DPO": (dpo, answers(GRID), {}, 0),
    "DPO, minibatches": (dpo, answers(GRID), SOME, 3),
    "SLiC and forward KL": (dpo, answers(GRID), kl(), 0),
    "SLiC and forward KL, draws": (dpo, answers(GRID), kl(draws=9), 1),
    "SLiC and forward KL, shown": (dpo, answers(GRID), SOME | kl(shown=True), 4),
    "SLiC on blocks": (dpo, answers(GRID, 2), SOME | {"objective": an.objectives.SLiC(1.0)}, 9),
    "heads": (heads, answers(POINTS), {}, 0),
    "heads, minibatches": (heads, answers(POINTS), SOME, 9),
    "policy": (policy, answers(TOKENS, 2), {}, 2),
    "policy, minibatches": (policy, answers(TOKENS, 2), SOME, 10),
    "two types": (two, answers(POINTS), {}, 0),
    "EM, M-steps": (two, answers(POINTS, 3), RARE, 0),
    "EM, M-steps on minibatches": (two, answers(POINTS, 3), {"solver": an.EM(e_step_every=1000, batch=8)}, 10),
}


def crossings(seen, model, data, options, steps):
    seen.clear()
    options = dict(options)
    solver = replace(options.pop("solver", an.Adam()), lr=1e-3, steps=steps, final=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        an.fit(model(), data, device="pretend", **options, solver=solver)
    return Counter(seen.waits), len(seen.sends)


@pytest.mark.parametrize("name", CASES)
def test_a_step_waits_once(name, far):
    model, data, options, most = CASES[name]
    with far() as seen:
        few, many = (crossings(seen, model, data, options, steps) for steps in (2, 6))
    more = {where: (count - few[0][where]) / 4 for where, count in many[0].items() if count != few[0][where]}
    assert [(where.split()[-1], count) for (_, where), count in more.items()] == [("one_step", 1.0)]
    assert (many[1] - few[1]) / 4 <= most


def test_an_accumulated_step_waits_once(far):
    with far() as seen:
        options = {"solver": an.Adam(batch=6, accumulate=3)}
        few, many = (crossings(seen, reward(), answers(POINTS), options, steps) for steps in (2, 6))
    assert (many[0].total() - few[0].total()) / 4 == 1


def test_an_e_step_waits_five_times_more(far):
    """Is the likelihood finite, and what is it; which types ran empty; the shares; is the run at rest."""
    with far() as seen:
        options = {"solver": an.EM(e_step_every=1)}
        few, many = (crossings(seen, two, answers(POINTS, 3), options, steps) for steps in (2, 6))
    assert (many[0].total() - few[0].total()) / 4 == 6


def test_setting_up_does_not_grow_with_the_data(far):
    with far() as seen:
        model = reward()
        waits = []
        for annotators in (20, 200):
            truth = an.Annotator(an.Linear([1.0, 0.0]), an.Luce())
            data = an.simulate(truth, an.Design(POINTS, annotators=annotators, questions=2), seed=0)
            waits.append(crossings(seen, model, data, SOME, 3)[0].total())
    assert waits[0] == waits[1]


def test_torch_waits_where_we_count(far):
    """A wait that is put into a step is seen: the count is not blind."""

    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 1)

        def forward(self, x):
            out = self.inner(x)
            return out if bool((out.detach() > -1e9).all()) else -out

    model = lambda: an.Annotator(an.Network(Looks()), an.Luce())  # noqa: E731
    with far() as seen, torch.random.fork_rng():
        few, many = (crossings(seen, model, answers(POINTS), {}, steps) for steps in (2, 6))
    assert (many[0].total() - few[0].total()) / 4 == 2
