from __future__ import annotations

from functools import partial

import torch
from torch import nn

from recsys.nn.attention import CrossAttention, SelfAttention
from recsys.nn.feed_forward import SwiGLU
from recsys.nn.packing import Packing
from recsys.nn.positions import RelativePositionBias
from recsys.nn.transformer import DecoderBlock, TransformerBlock
from recsys.types.jagged import Jagged


def test_the_residual_stream_passes_through() -> None:
    attention = SelfAttention(8, 2)
    block = TransformerBlock(8, attention)
    nn.init.zeros_(attention.out.weight)
    nn.init.zeros_(block.feed_forward.out.weight)
    x = torch.randn(2, 3, 8)
    assert torch.equal(block(x), x)


def test_norms_stand_before_the_halves() -> None:
    block = TransformerBlock(8, nn.Identity(), partial(SwiGLU, hidden=16))
    x = torch.randn(3, 8)
    middle = x + x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    expected = middle + block.feed_forward(block.feed_forward_norm(middle))
    torch.testing.assert_close(block(x), expected)


def test_the_layout_reaches_the_attention() -> None:
    block = TransformerBlock(8, SelfAttention(8, 2)).eval()
    x = torch.randn(1, 3, 8)
    changed = x.clone()
    changed[0, 2] += 1
    everything = torch.zeros(1, 1, 3, 3)
    assert torch.equal(block(x)[0, 0], block(changed)[0, 0])
    assert not torch.equal(block(x, everything)[0, 0], block(changed, everything)[0, 0])


def test_dropout_acts_while_training() -> None:
    block = TransformerBlock(8, SelfAttention(8, 2, 0.5), dropout=0.5)
    x = torch.randn(1, 3, 8)
    assert not torch.equal(block(x), block(x))
    assert torch.equal(block.eval()(x), block(x))


MEMORY = Jagged.from_lengths(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 2]))


def decoder() -> tuple[DecoderBlock, RelativePositionBias]:
    return DecoderBlock(8, SelfAttention(8, 2), CrossAttention(8, 2), partial(SwiGLU, hidden=16)), RelativePositionBias(
        2, causal=True
    )


def nothing(beams: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(2, beams, 2, 0, 4), torch.zeros(2, beams, 2, 0, 4)


def test_position_by_position_equals_all_at_once() -> None:
    block, bias = decoder()
    packing = Packing.of(MEMORY, torch.arange(2))
    memory, mask = block.cross_attention.project(MEMORY.values, packing), packing.mask()[:, None, None]
    x = torch.randn(2, 3, 4, 8)
    together, past = block(x, nothing(3), bias(4, 4), memory, mask)
    grown, stepwise = nothing(3), []
    for step in range(4):
        out, grown = block(x[:, :, step : step + 1], grown, bias(1, step + 1), memory, mask)
        stepwise.append(out)
    torch.testing.assert_close(torch.cat(stepwise, 2), together)
    torch.testing.assert_close(grown, past)


def test_beams_do_not_see_each_other() -> None:
    block, bias = decoder()
    packing = Packing.of(MEMORY, torch.arange(2))
    memory, mask = block.cross_attention.project(MEMORY.values, packing), packing.mask()[:, None, None]
    x = torch.randn(2, 3, 2, 8)
    together, _ = block(x, nothing(3), bias(2, 2), memory, mask)
    alone, _ = block(x[:, 1:2], nothing(1), bias(2, 2), memory, mask)
    torch.testing.assert_close(alone, together[:, 1:2])


def test_the_memory_is_read() -> None:
    block, bias = decoder()
    packing = Packing.of(MEMORY, torch.arange(2))
    x = torch.randn(2, 1, 1, 8)
    first, _ = block(x, nothing(1), bias(1, 1), block.cross_attention.project(MEMORY.values, packing), None)
    other, _ = block(x, nothing(1), bias(1, 1), block.cross_attention.project(-MEMORY.values, packing), None)
    assert (first - other).abs().max() > 1e-4
