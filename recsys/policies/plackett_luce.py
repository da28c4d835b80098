"""Slates filled without replacement from one distribution over items: Plackett and Luce's model."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.decode.legal import log_sum_exp


def draw_slates(
    log_prob: Float[Tensor, "B N"], candidates: int, slots: int, generator: torch.Generator
) -> Int[Tensor, "B G S"]:
    """Draw `G` independent slates of `S` distinct items; −1 in the slots for which no item of probability is left.

    The `S` largest of `log p + Gumbel noise`, in falling order, are a draw without replacement in the order of drawing
    (Gumbel-top-k: Kool et al. 2019, section 3).

    Args:
        log_prob: `[B, N]`, nats; −inf is never drawn.
        candidates: `G`.
        slots: `S`; may exceed `N`.
        generator: randomness, on the device of `log_prob`.
    """
    rows, num_items = log_prob.shape
    noise = log_prob.new_empty(rows, candidates, num_items).exponential_(generator=generator).log_()
    perturbed = (log_prob.unsqueeze(1) - noise).flatten(0, 1)
    values, items = perturbed.topk(min(slots, num_items), dim=-1)
    items = nn.functional.pad(items.masked_fill(values.isneginf(), -1), (0, slots - items.shape[-1]), value=-1)
    return items.unflatten(0, (rows, candidates))


def slot_log_prob(log_prob: Float[Tensor, "B N"], items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S"]:
    """Log-probability (nats) of each slot given the slots before it: `log p(y_s) − log(1 − Σ_{j<s} p(y_j))`.

    The mass that is left is summed, not subtracted from 1, so that it keeps its digits when the first slots hold
    nearly all of it.

    Args:
        log_prob: `[B, N]`, sums to 1 a row.
        items: `[B, G, S]`; −inf from the first slot on that has no item (−1), an item of no probability or one that an
            earlier slot holds.

    >>> half = torch.tensor([[0.5, 0.3, 0.2]]).log()
    >>> slot_log_prob(half, torch.tensor([[[0, 1, 2]]])).exp()
    tensor([[[0.5000, 0.6000, 1.0000]]])
    """
    candidates, slots = items.shape[1:]
    chosen = log_prob.gather(-1, items.clamp(min=0).flatten(1)).unflatten(1, (candidates, slots))
    chosen = chosen.masked_fill(items < 0, float("-inf"))
    if slots == 1:
        return chosen
    same = items.unsqueeze(-1) == items.unsqueeze(-2)
    repeated = same.tril(-1).any(-1)
    chosen = chosen.masked_fill(repeated, float("-inf"))
    impossible = chosen.isneginf().cummax(-1).values
    return (chosen - _log_mass_left(log_prob, items, chosen)).masked_fill(impossible, float("-inf"))


def _log_mass_left(
    log_prob: Float[Tensor, "B N"], items: Int[Tensor, "B G S"], chosen: Float[Tensor, "B G S"]
) -> Float[Tensor, "B G S"]:
    """Log of the mass no earlier slot holds.

    The `S` most probable items hold at least one item more that is still free than the earlier slots hold items from
    outside them, and each of those is at most as probable: what is subtracted is at most `(S − 1) / S` of what it is
    subtracted from.
    """
    slots = items.shape[-1]
    best, best_items = log_prob.topk(min(slots, log_prob.shape[-1]), dim=-1)
    tail = log_sum_exp(log_prob.scatter(-1, best_items, float("-inf")))
    is_best = items.unsqueeze(-1) == best_items[:, None, None]
    taken = is_best.cumsum(2) > is_best.long()
    free = best[:, None, None].masked_fill(taken, float("-inf"))
    largest = free.detach().amax(-1).clamp(min=torch.finfo(best.dtype).min)
    outside = chosen.masked_fill(is_best.any(-1), float("-inf"))
    before = torch.ones(slots, slots, dtype=torch.bool, device=items.device).tril(-1)
    outside = outside.unsqueeze(-2).masked_fill(~before, float("-inf"))
    left = (
        (free - largest.unsqueeze(-1)).exp().sum(-1)
        + (tail[:, None, None] - largest).exp()
        - (outside - largest.unsqueeze(-1)).exp().sum(-1)
    )
    return largest + left.clamp(min=torch.finfo(left.dtype).tiny).log()
