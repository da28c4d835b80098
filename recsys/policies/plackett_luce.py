"""The Plackett–Luce model of slates: sampling, log-probabilities, and marginal probabilities of each slot."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.decode.legal import log_sum_exp, require_numbers

LEAST_EXACT = -1000.0
"""Log-probability in nats below which float32 would round the noise of a draw by more than 1e-4. Such draws are made in
float64, which keeps noise to 1e-4 down to −1e11."""


def draw_slates(
    log_prob: Float[Tensor, "B N"], candidates: int, slots: int, generator: torch.Generator
) -> Int[Tensor, "B G S"]:
    """Draw `G` independent slates of `S` distinct items for each row; slots hold −1 if no possible item is left.

    The `S` largest values of `log p + Gumbel noise`, in descending order, are a sample without replacement in the order
    of drawing (Gumbel-top-k; Kool et al. 2019, section 3).

    Args:
        log_prob: `[B, N]`, log-probabilities in nats. Items at −inf are never drawn.
        candidates: number of slates `G`.
        slots: number of slots `S`; it may exceed `N`.
        generator: random generator on the device of `log_prob`.

    Raises:
        NonFiniteError: a log-probability is NaN.
    """
    rows, num_items = log_prob.shape
    noise = log_prob.new_empty(rows, candidates, num_items).exponential_(generator=generator).log_()
    perturbed = (log_prob.unsqueeze(1) - noise).flatten(0, 1)
    values, items = perturbed.topk(min(slots, num_items), dim=-1)
    if ((values < LEAST_EXACT) & values.isfinite()).any():
        perturbed = (log_prob.double().unsqueeze(1) - noise).flatten(0, 1)
        values, items = perturbed.topk(min(slots, num_items), dim=-1)
    require_numbers(values[:, :1].unflatten(0, (rows, candidates)))  # topk takes NaN for the largest
    items = nn.functional.pad(items.masked_fill(values.isneginf(), -1), (0, slots - items.shape[-1]), value=-1)
    return items.unflatten(0, (rows, candidates))


def slot_log_prob(log_prob: Float[Tensor, "B N"], items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S"]:
    """Return the log-probability, in nats, of each slot given the earlier ones: `log p(y_s) − log(1 − Σ_{j<s} p(y_j))`.

    The remaining mass is computed as a sum instead of a difference from 1, which keeps it accurate if the first slots
    hold nearly all of it. The result is −inf from the first impossible slot on: one without an item (−1), with an item
    of probability 0, or with an item of an earlier slot.

    Args:
        log_prob: `[B, N]`, log-probabilities of a distribution over items.
        items: `[B, G, S]`, items of the slates.

    Raises:
        NonFiniteError: a log-probability that it reads is NaN.

    >>> half = torch.tensor([[0.5, 0.3, 0.2]]).log()
    >>> slot_log_prob(half, torch.tensor([[[0, 1, 2]]])).exp()
    tensor([[[0.5000, 0.6000, 1.0000]]])
    """
    candidates, slots = items.shape[1:]
    chosen = log_prob.gather(-1, items.clamp(min=0).flatten(1)).unflatten(1, (candidates, slots))
    chosen = chosen.masked_fill(items < 0, float("-inf"))
    if slots == 1:
        require_numbers(chosen)
        return chosen
    same = items.unsqueeze(-1) == items.unsqueeze(-2)
    repeated = same.tril(-1).any(-1)
    chosen = chosen.masked_fill(repeated, float("-inf"))
    impossible = chosen.isneginf().cummax(-1).values
    largest, left = _log_mass_left(log_prob, items, chosen)
    require_numbers(left)
    return (chosen - largest - left).masked_fill(impossible, float("-inf"))


def _log_mass_left(
    log_prob: Float[Tensor, "B N"], items: Int[Tensor, "B G S"], chosen: Float[Tensor, "B G S"]
) -> tuple[Float[Tensor, "B G S"], Float[Tensor, "B G S"]]:
    """Return the log of the probability mass that no earlier slot holds, in two parts that add up to it.

    The first is the log-probability of the most probable free item of the top `S`, the second what the others add to
    it. Their sum would lose the second where the first is in the millions; the difference of an item from the first
    is exact.

    The mass is computed as free mass of the `S` most probable items, plus the mass of the others, minus the mass of
    earlier slots among the others. At each slot, the free items among the top `S` outnumber the earlier items from
    outside by at least one, and each of those is at most as probable. The subtracted part is therefore at most
    `(S − 1) / S` of the sum, and no accuracy is lost.
    """
    slots, lowest = items.shape[-1], torch.finfo(log_prob.dtype).min
    best, best_items = log_prob.topk(min(slots + 1, log_prob.shape[-1]), dim=-1)
    next_best = best[:, slots:].detach().sum(-1, keepdim=True).clamp(min=lowest)  # of the others; 0 if there are none
    best, best_items = best[:, :slots], best_items[:, :slots]
    tail = log_sum_exp(log_prob.scatter(-1, best_items, float("-inf")) - next_best)
    is_best = items.unsqueeze(-1) == best_items[:, None, None]
    taken = is_best.cumsum(2) > is_best.long()
    free = best[:, None, None].masked_fill(taken, float("-inf"))
    largest = free.detach().amax(-1).clamp(min=lowest)
    outside = chosen.masked_fill(is_best.any(-1), float("-inf"))
    before = torch.ones(slots, slots, dtype=torch.bool, device=items.device).tril(-1)
    outside = outside.unsqueeze(-2).masked_fill(~before, float("-inf"))
    left = (
        (free - largest.unsqueeze(-1)).exp().sum(-1)
        + (tail[:, None, None] + (next_best.unsqueeze(-1) - largest)).exp()
        - (outside - largest.unsqueeze(-1)).exp().sum(-1)
    )
    return largest, left.clamp(min=torch.finfo(left.dtype).tiny).log()


CHUNK_NUMBERS = 2**20
EARLIEST, LATEST = -3.7, 40.0


def slot_marginals(log_prob: Float[Tensor, "B N"], items: Int[Tensor, "B K"], slots: int) -> Float[Tensor, "B K slots"]:
    """Return the marginal probability of each item at each of the first `slots` slots, in float64.

    The result is exact up to rounding (errors near 1e-13), in time linear in `N`. Let every item `a` arrive at an
    exponential time with rate `p_a`. The order of arrival is a Plackett–Luce sample, so item `a` is at slot `l` with
    probability

        ∫ p_a e^{−p_a t} P(l − 1 others arrived by t) dt

    The number of other arrivals is a sum of independent indicators, whose distribution is a product of polynomials. The
    integral is a trapezoidal sum over `z` with `t = exp(z − e^{−z})`, which makes the integrand decrease doubly
    exponentially at both ends (Takahasi and Mori 1974, "Double exponential formulas for numerical integration").

    Args:
        log_prob: log-probabilities of a distribution over items, in nats. Items at −inf are never drawn.
        items: the items; −1 has probability 0 at every slot.
        slots: number of slots, at least 1.

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
    """Return the nodes of the integral and their `dt / t`. After the last node, more items than slots have arrived."""
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
    """Return the probability of 0, 1, … arrivals by each time, for fewer than `slots` arrivals."""
    exponent = -rate.unsqueeze(1) * time.view(-1, *[1] * (rate.dim() - 1))
    count = torch.stack([exponent.exp(), -exponent.expm1()], -1)[..., :slots]
    while count.shape[-2] > 1:
        if count.shape[-2] % 2:
            no_arrival = torch.zeros_like(count[..., :1, :])
            no_arrival[..., 0] = 1
            count = torch.cat([count, no_arrival], -2)
        count = _multiplied(count[..., 0::2, :], count[..., 1::2, :], slots)
    return count.squeeze(-2)


def _multiplied(first: Tensor, second: Tensor, slots: int) -> Tensor:
    """Return the product of polynomials, with coefficients in the last dimension, cut below degree `slots`."""
    degree = min(slots, first.shape[-1] + second.shape[-1] - 1)
    product = first.new_zeros(*torch.broadcast_shapes(first.shape[:-1], second.shape[:-1]), degree)
    for power in range(min(degree, first.shape[-1])):
        width = min(degree - power, second.shape[-1])
        product[..., power : power + width] += first[..., power : power + 1] * second[..., :width]
    return product
