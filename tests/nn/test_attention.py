from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from recsys.errors import ConfigurationError
from recsys.nn.attention import CrossAttention, GroupedCrossAttention, PackedSelfAttention, SelfAttention
from recsys.nn.packing import Packing
from recsys.types.jagged import Jagged


def by_hand(maps: SelfAttention | PackedSelfAttention, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Attention of one row, head by head, with a softmax written out."""
    query, key, value = maps.query_key_value(x).chunk(3, -1)
    width = query.shape[-1] // maps.heads
    scale = maps.scale if maps.scale is not None else 1 / math.sqrt(width)
    heads = []
    for head in range(maps.heads):
        part = slice(head * width, (head + 1) * width)
        logits = (query[:, part] @ key[:, part].T * scale).masked_fill(~allowed, float("-inf"))
        weights = logits.exp() / logits.exp().sum(-1, keepdim=True)
        heads.append(weights @ value[:, part])
    return maps.out(torch.cat(heads, -1))


@pytest.mark.parametrize(("head_width", "scale"), [(None, None), (8, 1.0)])
def test_causal_attention_by_hand(head_width: int | None, scale: float | None) -> None:
    attention = SelfAttention(width=8, heads=2, head_width=head_width, scale=scale)
    x = torch.randn(3, 5, 8)
    allowed = torch.ones(5, 5, dtype=torch.bool).tril()
    for row in range(3):
        torch.testing.assert_close(attention(x)[row], by_hand(attention, x[row], allowed))


def test_a_bias_takes_the_causal_mask_s_place() -> None:
    attention = SelfAttention(width=8, heads=2)
    x = torch.randn(1, 4, 8)
    everything = torch.ones(4, 4, dtype=torch.bool)
    torch.testing.assert_close(attention(x, torch.zeros(1, 1, 4, 4))[0], by_hand(attention, x[0], everything))


def test_padding_behind_a_row_is_not_seen() -> None:
    attention = SelfAttention(width=8, heads=2, rotary=True)
    x = torch.randn(1, 6, 8)
    padded = torch.cat([x, torch.full((1, 3, 8), 1e3)], 1)
    torch.testing.assert_close(attention(padded)[:, :6], attention(x))


def test_rotary_attention_depends_on_distances_only() -> None:
    attention = SelfAttention(width=8, heads=2, rotary=True)
    x = torch.randn(1, 4, 8)
    shifted = attention.attend(*attention.project(x, start=7), causal=True)
    torch.testing.assert_close(shifted, attention.attend(*attention.project(x), causal=True))
    turned = attention(x[:, [1, 0, 2, 3]])
    assert (turned[:, 3] - attention(x)[:, 3]).abs().max() > 1e-4


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 0, 3, 2, 1]])
def test_packed_rows_attend_as_each_alone(order: list[int]) -> None:
    attention = PackedSelfAttention(width=8, heads=2, scale=1.0)
    rows = Jagged.from_lengths(torch.randn(11, 8), torch.tensor([4, 0, 1, 2, 4]))
    packed = rows.select(torch.tensor(order))
    found = attention(packed.values, Packing.of(rows, torch.tensor(order)), torch.zeros(1, 1, 4, 4))
    for row, (low, high) in enumerate(zip(packed.offsets[:-1], packed.offsets[1:], strict=True)):
        size = int(packed.lengths[row])
        allowed = torch.ones(size, size, dtype=torch.bool)
        torch.testing.assert_close(found[low:high], by_hand(attention, packed.values[low:high], allowed))


def test_packed_rows_share_the_bias_as_far_as_they_reach() -> None:
    attention = PackedSelfAttention(width=8, heads=2, scale=1.0)
    rows = Jagged.from_lengths(torch.randn(5, 8), torch.tensor([3, 2]))
    causal = torch.zeros(1, 1, 3, 3).masked_fill(torch.ones(3, 3).triu(1).bool(), float("-inf"))
    found = attention(rows.values, Packing.of(rows, torch.arange(2)), causal)
    for part in (slice(0, 3), slice(3, 5)):
        size = part.stop - part.start
        allowed = torch.ones(size, size, dtype=torch.bool).tril()
        torch.testing.assert_close(found[part], by_hand(attention, rows.values[part], allowed))


def test_nothing_is_packed() -> None:
    attention = PackedSelfAttention(width=8, heads=2)
    packing = Packing.of(Jagged.empty(2), torch.arange(2))
    assert attention(torch.zeros(0, 8), packing, torch.zeros(1, 1, 1, 1)).shape == (0, 8)


def test_cross_attention_treats_every_query_alone() -> None:
    attention = CrossAttention(width=8, heads=2, head_width=6)
    memory = Jagged.from_lengths(torch.randn(5, 8), torch.tensor([3, 2]))
    packing = Packing.of(memory, torch.arange(2))
    key, value = attention.project(memory.values, packing)
    mask = packing.mask()[:, None, None]
    queries = torch.randn(2, 4, 8)
    together = attention(queries, key, value, mask)
    for index in range(4):
        alone = attention(queries[:, index : index + 1], key, value, mask)
        torch.testing.assert_close(alone[:, 0], together[:, index])
    short = Packing.of(Jagged.from_lengths(memory.values[3:], torch.tensor([2])), torch.arange(1))
    own = attention(queries[1:], *attention.project(memory.values[3:], short))
    torch.testing.assert_close(own[0], together[1])


def test_dropout_is_on_the_output() -> None:
    attention = SelfAttention(width=8, heads=2, dropout=0.5)
    out = attention(torch.randn(4, 50, 8))
    assert 0.4 < (out == 0).float().mean().item() < 0.6


def test_a_width_the_heads_do_not_divide() -> None:
    with pytest.raises(ValueError, match="not a multiple"):
        SelfAttention(width=10, heads=3)


@pytest.mark.parametrize("scale", [None, 1.0])
def test_shared_keys_are_attended_as_if_each_beam_had_them(scale: float | None) -> None:
    attention = SelfAttention(8, 2, scale=scale).double()
    query, key, value = torch.randn(3, 6, 2, 4, 4, dtype=torch.float64)
    shared_key, shared_value = torch.randn(2, 3, 2, 5, 4, dtype=torch.float64)
    bias = torch.randn(1, 2, 4, 9, dtype=torch.float64)
    bias[..., 0, 6:] = -torch.inf
    found = attention.attend_behind(query, (key, value), (shared_key, shared_value), bias)
    rows = torch.arange(3).repeat_interleave(2)
    copied = (torch.cat([shared[rows], own], 2) for shared, own in ((shared_key, key), (shared_value, value)))
    torch.testing.assert_close(found, attention.attend(query, *copied, bias))


def test_grouped_cross_attention_is_attention_with_repeated_heads() -> None:
    torch.manual_seed(0)
    attention = GroupedCrossAttention(8, heads=6, memory_heads=2, head_width=4)
    x, key, value = torch.randn(2, 5, 8), torch.randn(2, 2, 7, 4), torch.randn(2, 2, 7, 4)
    mask = (torch.arange(7) < torch.tensor([[4], [7]]))[:, None, None]
    query = attention.query(x).unflatten(-1, (6, 4)).transpose(1, 2)
    many = (one.repeat_interleave(3, 1) for one in (key, value))
    expected = attention.out(F.scaled_dot_product_attention(query, *many, mask).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, key, value, mask), expected)


def test_groups_divide_the_heads() -> None:
    with pytest.raises(ConfigurationError, match="heads=4: expected a multiple of the memory's 3 heads"):
        GroupedCrossAttention(8, heads=4, memory_heads=3, head_width=4)
