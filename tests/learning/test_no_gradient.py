"""A module whose free numbers get no gradient: one line, instead of a run that trains nothing."""

import types

import pytest
import torch

import annosim as an
from annosim import fixed
from annosim.errors import TrainingError


class Detached(torch.nn.Module):
    """Its weights are free and its output does not know them."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x).detach()


def elsewhere():
    """A layer that computes with another one's weights, as a deep copy of a patched module does."""
    layer, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    layer.forward = types.MethodType(lambda self, x: other(x), layer)
    return layer


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("solver", [an.Adam(steps=2), "auto", an.Adam(steps=2, final=False)])
@pytest.mark.parametrize("module", [Detached, elsewhere])
def test_a_network_without_gradients_is_refused_in_one_line(module, solver, count):
    items = an.Items.normal(6, 2, seed=0)
    data = an.simulate(an.Annotator(an.Linear([1.0, 0.0]), an.Luce()), an.Design(items, annotators=9), seed=0)
    each = [an.Annotator(an.Network(module()), an.Luce()) for _ in range(count)]
    model = each[0] if count == 1 else an.Mixture(each, weights=fixed([0.5, 0.5]))
    with pytest.raises(TrainingError, match="no free number of the model gets a gradient") as caught:
        an.fit(model, data, solver=solver)
    assert "\n" not in str(caught.value)
