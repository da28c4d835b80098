"""Where Plackett and Luce's model puts an item, whatever else is in the slate."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

CHUNK_NUMBERS = 2**20
EARLIEST, LATEST = -3.7, 40.0


def slot_marginals(log_prob: Float[Tensor, "B N"], items: Int[Tensor, "B K"], slots: int) -> Float[Tensor, "B K slots"]:
    """Probability of each item at each of the first `slots` slots of a slate filled without replacement; float64.

    Exact but for rounding (errors near 1e-13), in time linear in `N`: let every item arrive at an exponential time of
    rate `p`; the order of arrival is a draw, so an item is at slot `l` if it arrives when `l − 1` others have,
    `∫ p_a e^{−p_a t} P(l − 1 others by t) dt`. The number of others is a sum of independent indicators, its
    distribution a product of polynomials. The integral is a trapezoidal sum over `z` with `t = exp(z − e^{−z})`, which
    makes it fall doubly exponentially at both ends (Takahasi and Mori 1974, "Double exponential formulas for numerical
    integration").

    Args:
        log_prob: nats, sums to 1 a row; −inf is never drawn.
        items: −1 has probability 0 everywhere.
        slots: at least 1.

    >>> slot_marginals(torch.tensor([[0.5, 0.3, 0.2]]).log(), torch.tensor([[2]]), 2).round(decimals=4)
    tensor([[[0.2000, 0.2857]]], dtype=torch.float64)
    """
    if not len(items):
        return log_prob.new_zeros(*items.shape, slots, dtype=torch.float64)
    rate = log_prob.double().exp()
    own = rate.gather(1, items.clamp(min=0)).masked_fill(items < 0, 0.0)
    time, width = _times(rate, slots)
    rows = max(1, CHUNK_NUMBERS // (2 * len(time) * max(rate.shape[1], items.shape[1] ** 2)))
    parts = zip(rate.split(rows), own.split(rows), items.split(rows), strict=True)
    return torch.cat([_integrated(*part, time, width, slots) for part in parts])


def _times(rate: Float[Tensor, "B N"], slots: int) -> tuple[Float[Tensor, " Q"], Float[Tensor, " Q"]]:
    """Nodes and their `dt / t`; past the last one more items than slots have come."""
    last = rate.topk(min(slots + 1, rate.shape[1])).values[:, -1]
    slowest = torch.where(last > 0, last, torch.where(rate > 0, rate, torch.inf).amin(-1)).amin()
    step = min(0.2, 0.5 / math.sqrt(slots))
    count = 2 + int((math.log(LATEST / float(slowest)) - EARLIEST) / step)
    node = EARLIEST + step * torch.arange(count, dtype=rate.dtype, device=rate.device)
    return (node - (-node).exp()).exp(), step * (1 + (-node).exp())


def _integrated(
    rate: Float[Tensor, "B N"],
    own: Float[Tensor, "B K"],
    items: Int[Tensor, "B K"],
    time: Float[Tensor, " Q"],
    width: Float[Tensor, " Q"],
    slots: int,
) -> Float[Tensor, "B K slots"]:
    in_slate = torch.zeros_like(nn.functional.pad(rate, (1, 0)), dtype=torch.bool).scatter_(1, items + 1, True)
    rest = rate.masked_fill(in_slate[:, 1:], 0.0)
    same = items.unsqueeze(1) == items.unsqueeze(2)
    repeated = same.tril(-1).any(-1)
    others = torch.where(same | repeated.unsqueeze(1), 0.0, own.unsqueeze(1))
    count = _multiplied(_arrived(others, time, slots), _arrived(rest, time, slots).unsqueeze(2), slots)
    waited = own.unsqueeze(1) * time.unsqueeze(1)
    arriving = waited * torch.exp(-waited) * width.unsqueeze(1)
    return torch.einsum("bqk,bqks->bks", arriving, nn.functional.pad(count, (0, slots - count.shape[-1])))


def _arrived(rate: Float[Tensor, "B *K N"], time: Float[Tensor, " Q"], slots: int) -> Float[Tensor, "B Q *K counts"]:
    """Probability of 0, 1, … arrivals by each time, below `slots` of them."""
    exponent = -rate.unsqueeze(1) * time.view(-1, *[1] * (rate.dim() - 1))
    count = torch.stack([exponent.exp(), -exponent.expm1()], -1)[..., :slots]
    while count.shape[-2] > 1:
        if count.shape[-2] % 2:
            nobody = torch.zeros_like(count[..., :1, :])
            nobody[..., 0] = 1
            count = torch.cat([count, nobody], -2)
        count = _multiplied(count[..., 0::2, :], count[..., 1::2, :], slots)
    return count.squeeze(-2)


def _multiplied(first: Tensor, second: Tensor, slots: int) -> Tensor:
    """Product of polynomials, coefficients last, short of degree `slots`."""
    degree = min(slots, first.shape[-1] + second.shape[-1] - 1)
    product = first.new_zeros(*torch.broadcast_shapes(first.shape[:-1], second.shape[:-1]), degree)
    for power in range(min(degree, first.shape[-1])):
        width = min(degree - power, second.shape[-1])
        product[..., power : power + width] += first[..., power : power + 1] * second[..., :width]
    return product
