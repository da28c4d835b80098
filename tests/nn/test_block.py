from __future__ import annotations

import torch
from torch import nn

from recsys.nn.attention import SelfAttention
from recsys.nn.block import Block


def test_the_residual_stream_passes_through() -> None:
    attention = SelfAttention(8, 2)
    block = Block(8, attention)
    nn.init.zeros_(attention.out.weight)
    nn.init.zeros_(block.feed_forward.out.weight)
    x = torch.randn(2, 3, 8)
    assert torch.equal(block(x), x)


def test_norms_stand_before_the_halves() -> None:
    block = Block(8, nn.Identity(), hidden=16)
    x = torch.randn(3, 8)
    middle = x + x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    expected = middle + block.feed_forward(block.feed_forward_norm(middle))
    torch.testing.assert_close(block(x), expected)


def test_the_layout_reaches_the_attention() -> None:
    block = Block(8, SelfAttention(8, 2)).eval()
    x = torch.randn(1, 3, 8)
    changed = x.clone()
    changed[0, 2] += 1
    everything = torch.zeros(1, 1, 3, 3)
    assert torch.equal(block(x)[0, 0], block(changed)[0, 0])
    assert not torch.equal(block(x, everything)[0, 0], block(changed, everything)[0, 0])


def test_dropout_acts_while_training() -> None:
    block = Block(8, SelfAttention(8, 2, 0.5), dropout=0.5)
    x = torch.randn(1, 3, 8)
    assert not torch.equal(block(x), block(x))
    assert torch.equal(block.eval()(x), block(x))
