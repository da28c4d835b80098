from __future__ import annotations

import torch

from recsys.nn.feed_forward import SwiGLU


def test_formula() -> None:
    network = SwiGLU(width=4, hidden=6)
    x = torch.randn(2, 3, 4)
    gate, up = network.gate_up.weight[:6], network.gate_up.weight[6:]
    gated = x @ gate.T
    expected = (gated * torch.sigmoid(gated) * (x @ up.T)) @ network.out.weight.T
    torch.testing.assert_close(network(x), expected)


def test_hidden_width_keeps_the_parameters_of_an_ungated_network() -> None:
    assert SwiGLU(64).out.weight.shape == (64, 176)
    assert SwiGLU(96).out.weight.shape == (96, 256)


def test_dropout_is_on_the_hidden_values() -> None:
    torch.manual_seed(0)
    network = SwiGLU(width=4, hidden=500, dropout=0.9)
    x = torch.randn(1, 4)
    assert (network(x) != 0).all()
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))
