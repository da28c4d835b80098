"""Attention with a learned bias: forward and backward pass in blocks that stay in a processor's cache."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

BLOCK = 1 << 18
"""Logits of a block: 1 MiB in float32, about what one core keeps in its second cache."""


class BiasedAttentionFunction(torch.autograd.Function):
    """The function `softmax(scale · Q Kᵀ + bias) V`, with gradients of queries, keys, values and bias.

    torch's fused kernels give no gradient to a bias, and its fallback moves the logits of all rows through memory again
    and again. Here a few rows at a time are computed to the end, which takes three fifths of the time on a CPU. The
    numbers are the same, but for the order in which the gradient of the bias is summed.

    Every query needs a key with a finite bias, otherwise its output is NaN.
    """

    @override
    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "R H T d"],
        key: Float[Tensor, "R H S d"],
        value: Float[Tensor, "R H S d"],
        bias: Float[Tensor, "1 #H T S"],
        scale: float,
    ) -> Float[Tensor, "R H T d"]:
        rows, heads, queries, width = query.shape
        shape = (heads, queries, key.shape[2])
        count = max(1, BLOCK // max(heads * queries * key.shape[2], 1))
        added = bias.expand(min(count, rows), *shape).flatten(0, 1)
        weights = query.new_empty(rows, *shape)
        output = query.new_empty(rows, queries, heads, width).transpose(1, 2)
        for first in range(0, rows, count):
            block = slice(first, first + count)
            q, k, v, w = (part[block].flatten(0, 1) for part in (query, key, value, weights))
            torch.softmax(torch.baddbmm(added[: len(q)], q, k.mT, alpha=scale), -1, out=w)
            output[block] = torch.bmm(w, v).unflatten(0, (-1, heads))
        ctx.save_for_backward(query, key, value, weights)
        ctx.scale, ctx.count, ctx.bias_shape = scale, count, bias.shape
        return output

    @override
    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        (grad,) = grad_outputs
        query, key, value, weights = ctx.saved_tensors
        heads = query.shape[1]
        of_query, of_key, of_value = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        of_bias = weights.new_zeros(weights.shape[1:])
        for first in range(0, len(query), ctx.count):
            block = slice(first, first + ctx.count)
            q, k, v, w, g = (part[block].flatten(0, 1) for part in (query, key, value, weights, grad))
            of_value[block] = torch.bmm(w.mT, g).unflatten(0, (-1, heads))
            of_logits = torch.bmm(g, v.mT)
            torch.ops.aten._softmax_backward_data.out(of_logits, w, -1, w.dtype, grad_input=of_logits)
            of_bias += of_logits if len(of_logits) == heads else of_logits.unflatten(0, (-1, heads)).sum(0)
            of_query[block] = torch.bmm(of_logits, k).unflatten(0, (-1, heads))
            of_key[block] = torch.bmm(of_logits.mT, q).unflatten(0, (-1, heads))
        of_bias = of_bias.sum_to_size(ctx.bias_shape[1:]).unsqueeze(0)
        return of_query.mul_(ctx.scale), of_key.mul_(ctx.scale), of_value, of_bias, None
