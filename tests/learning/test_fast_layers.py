"""Faster kernels for the same network: values and gradients agree with torch's own layers to rounding."""

import copy

import pytest
import torch
from torch import nn

from annosim.learning.training import fast_layers
from annosim.learning.training.fast_layers import faster, onednn_pays, product

CPU = torch.device("cpu")


def has_operator():
    try:
        product(torch.eye(2), torch.eye(2))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


@pytest.fixture
def onednn(monkeypatch):
    if not has_operator():
        pytest.skip("this torch has no oneDNN operator for dense layers")
    monkeypatch.setattr(fast_layers, "onednn_pays", lambda: True)


def gradients(net, x):
    value = net(x)
    (value * torch.linspace(-1, 1, value.numel()).view_as(value)).sum().backward()
    return value.detach(), [p.grad for p in net.parameters()]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (2, 7, 3)])
def test_dense_layers_by_onednn_have_torchs_values_and_gradients(onednn, bias, shape):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 16, bias=bias), nn.Tanh(), nn.Linear(16, 2, bias=bias))
    fast = faster(copy.deepcopy(plain), CPU)
    assert type(fast[0]) is not nn.Linear
    x, y = (torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    (one, ours), (two, theirs) = gradients(fast, x), gradients(plain, y)
    assert torch.allclose(one, two, atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, theirs, strict=True))
    assert torch.allclose(x.grad, y.grad, atol=1e-6)
    assert list(fast.state_dict()) == list(plain.state_dict())


def test_other_types_and_transforms_take_torchs_own_path(onednn):
    plain = nn.Linear(3, 2)
    fast = faster(nn.Sequential(copy.deepcopy(plain)), CPU)[0]
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.vmap(fast)(x), torch.vmap(plain)(x))
    assert torch.equal(copy.deepcopy(fast).double()(x.double()), copy.deepcopy(plain).double()(x.double()))
    with torch.autocast("cpu", torch.bfloat16):
        assert fast(x).dtype == torch.bfloat16


def test_gpt2_computes_the_same_with_tied_weights_and_its_own_activation(onednn):
    transformers = pytest.importorskip("transformers")
    shape = {"vocab_size": 17, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}
    config = transformers.GPT2Config(**shape, bos_token_id=1, eos_token_id=1)
    torch.manual_seed(0)
    plain = transformers.GPT2LMHeadModel(config).eval()
    fast = faster(copy.deepcopy(plain), CPU)
    assert isinstance(fast.transformer.h[0].mlp.act, nn.GELU)
    assert fast.lm_head.weight is fast.transformer.wte.weight
    ids = torch.randint(0, 17, (3, 8), generator=torch.Generator().manual_seed(0))
    one, two = fast(ids).logits, plain(ids).logits
    assert torch.allclose(one, two, atol=1e-6)
    for value in (one, two):
        value.logsumexp(-1).sum().backward()
    pairs = zip(fast.parameters(), plain.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, atol=1e-4) for a, b in pairs)


def test_an_activation_that_only_has_the_name_stays():
    class NewGELUActivation(nn.Module):
        def forward(self, x):
            return x.relu()

    net = faster(nn.Sequential(NewGELUActivation()), CPU)
    assert type(net[0]).__name__ == "NewGELUActivation"
    assert onednn_pays() in (True, False)
