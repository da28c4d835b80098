from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from recsys.nn import biased_attention
from recsys.nn.attention import SelfAttention
from recsys.nn.biased_attention import BiasedAttentionFunction


@pytest.mark.parametrize("block", [1, 150, 1 << 18], ids=["row by row", "an uneven last block", "at once"])
@pytest.mark.parametrize("bias_heads", [1, 2])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_it_is_torch_s_attention_with_its_gradients(
    monkeypatch: pytest.MonkeyPatch, block: int, bias_heads: int, scale: float
) -> None:
    monkeypatch.setattr(biased_attention, "BLOCK", block)
    queries, keys, of_rows = (torch.randn(7, 2, 4, 3), torch.randn(7, 2, 5, 3), torch.randn(7, 2, 5, 3))
    bias = torch.randn(1, bias_heads, 4, 5).index_put((torch.tensor(0), torch.tensor(0)), torch.tensor(-torch.inf))
    bias[..., 0] = 0.3
    inputs = [part.requires_grad_() for part in (queries, keys, of_rows, bias)]
    weight = torch.randn(7, 2, 4, 3)

    def with_gradients(output: torch.Tensor) -> list[torch.Tensor]:
        return [output, *torch.autograd.grad((output * weight).sum(), inputs)]

    found = with_gradients(BiasedAttentionFunction.apply(*inputs, scale))
    expected = with_gradients(F.scaled_dot_product_attention(queries, keys, of_rows, bias, scale=scale))
    for own, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(own, theirs, atol=1e-6, rtol=1e-5)


def test_its_gradients_are_those_of_finite_differences() -> None:
    inputs = [torch.randn(*shape, dtype=torch.float64) for shape in [(3, 2, 4, 3)] * 3 + [(1, 2, 4, 4)]]
    inputs = [part.requires_grad_() for part in inputs]
    assert torch.autograd.gradcheck(lambda *parts: BiasedAttentionFunction.apply(*parts, 0.5), inputs)


@pytest.mark.parametrize(("rows", "queries"), [(0, 4), (3, 0)])
def test_no_rows_and_no_queries_have_no_output_and_no_gradient(rows: int, queries: int) -> None:
    shapes = [(rows, 2, queries, 3), (rows, 2, 4, 3), (rows, 2, 4, 3), (1, 2, queries, 4)]
    inputs = [torch.randn(*shape, requires_grad=True) for shape in shapes]
    output = BiasedAttentionFunction.apply(*inputs, 1.0)
    assert output.shape == (rows, 2, queries, 3)
    output.sum().backward()
    assert inputs[3].grad is not None and not inputs[3].grad.any()


def test_attention_answers_alike_with_and_without_a_gradient_of_its_bias() -> None:
    attention = SelfAttention(width=8, heads=2, scale=1.0)
    x, bias = torch.randn(3, 5, 8), torch.randn(1, 2, 5, 5)
    learned = attention(x, bias.clone().requires_grad_())
    torch.testing.assert_close(learned, attention(x, bias))
