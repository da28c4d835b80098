"""The pseudo-inverse weight of a slate, exact with and without repeated items."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.slates.distribution import ListedSlates, slot_item_pairs

LARGEST_MATRIX = 1024


@dataclass(frozen=True)
class PseudoInverseEstimate:
    """Pseudo-inverse weights with their standard errors.

    Args:
        weight: `[n]`, `q_πᵀ Γ⁺ 1_s`.
        error: `[n]`, standard error to first order where a policy was sampled; 0 where both policies were enumerated.
    """

    weight: Float[Tensor, " n"]
    error: Float[Tensor, " n"]


def pseudo_inverse(
    items: Int[Tensor, "n S"], logging: ListedSlates, target: ListedSlates, num_items: int
) -> PseudoInverseEstimate:
    """Return the pseudo-inverse weight of each logged slate, `q_πᵀ Γ⁺ 1_s`.

    `1_s` is the indicator vector of a slate's (slot, item) pairs, `Γ = E_p[1_s 1_sᵀ]`, `q_π = E_π[1_s]`. If `E[r | x,
    s] = Σ_k φ(x, k, s_k)`, the weighted reward is unbiased for any logging policy whose slates span `q_π`, with or
    without repeated items, whatever the dependence between slots; a positive probability of every slate of `π` is
    sufficient, not necessary. With samples of `π` it stays unbiased; with samples of `p` it is consistent as their
    number grows. The cost is one inverse of `S N` rows for each request, or one for all if the logging policy is the
    same for all. Memory grows with as many matrices: pass rows in batches.

    Args:
        items: logged slates, −1 in empty slots.
        logging: distribution of the logging policy.
        target: distribution of the target policy.
        num_items: `N`.

    Raises:
        RequestError: `S N` is above 1,024.

    >>> def both(first: float) -> ListedSlates:
    ...     return ListedSlates(torch.tensor([[[0, 1], [1, 0]]]), torch.tensor([[first, 1 - first]]))
    >>> found = pseudo_inverse(torch.tensor([[0, 1], [1, 0]]), both(0.5), both(0.75), num_items=2)
    >>> found.weight.round(decimals=6), found.error
    (tensor([1.5000, 0.5000], dtype=torch.float64), tensor([0., 0.], dtype=torch.float64))
    """
    size = items.shape[1] * num_items
    if size > LARGEST_MATRIX:
        raise RequestError(
            f"{items.shape[1]} slots of {num_items:,} items make {size:,} pairs; the pseudo-inverse weight is made of "
            f"at most {LARGEST_MATRIX:,}: name fewer items as candidates, or log uniformly, which has a formula"
        )
    inverse = torch.linalg.pinv(logging.joint(num_items), hermitian=True)
    marks = slot_item_pairs(items, num_items)
    by_target = torch.einsum("bd,bde->be", *_together(target.marginals(num_items), inverse))
    weight = _picked(by_target, marks)
    if not (logging.sampled or target.sampled):
        return PseudoInverseEstimate(weight, torch.zeros_like(weight))
    of_slate = _columns(inverse, marks)
    variance = torch.zeros_like(weight)
    if target.sampled:
        variance = variance + _mean_variance(_picked_each(of_slate, target.pairs(num_items)))
    if logging.sampled:
        pairs = logging.pairs(num_items)
        moved = _picked_each(by_target.expand(len(items), -1), pairs) * _picked_each(of_slate, pairs)
        variance = variance + _mean_variance(moved)
    return PseudoInverseEstimate(weight, variance.sqrt())


def uniform_pseudo_inverse(
    items: Int[Tensor, "n S"], at: Float[Tensor, "n S S"], allowed: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Return the pseudo-inverse weight for a log whose slates were ranked uniformly at random without repeats.

    The weight is `1 + (m − 1) (D − L / m) + (m − 1) / (m − L) (C − L² / m)` for `L` slots filled from `m` items. `D` is
    the sum over slots of the probability that `π` puts the item there, `C` that it puts it anywhere in the slate; the
    last term is 0 if `m = L`. It holds for any number of items. (`Γ` splits slots and items into four parts: one is of
    rank 1, two are multiples of the identity, one is 0; the eigenvalues are `L / m`, `(m − L) / (m (m − 1))` and `1 /
    (m − 1)`.)

    Args:
        items: logged slates, −1 in empty slots.
        at: `SlateBatch.target_at`.
        allowed: `m`, number of items that each request allows, at least `L`.

    >>> uniform_pseudo_inverse(torch.tensor([[0], [1]]), torch.tensor([[[0.7]], [[0.3]]]), torch.tensor([2, 2]))
    tensor([1.4000, 0.6000])
    """
    filled = items >= 0
    length, count = filled.sum(-1), allowed.to(at.dtype)
    own = (torch.diagonal(at, dim1=-2, dim2=-1) * filled).sum(-1)
    anywhere = (at * (filled.unsqueeze(1) & filled.unsqueeze(2))).sum((-2, -1))
    spare = torch.where(allowed > length, (count - 1) / (count - length).clamp(min=1), 0.0)
    return 1 + (count - 1) * (own - length / count) + spare * (anywhere - length.square() / count)


def _together(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return two tensors expanded to as many requests as the longer one has."""
    rows = max(len(first), len(second))
    return first.expand(rows, *first.shape[1:]), second.expand(rows, *second.shape[1:])


def _picked(values: Float[Tensor, "b D"], marks: Int[Tensor, "n S"]) -> Float[Tensor, " n"]:
    """Return `vᵀ 1_s` of each request's slate."""
    padded = torch.nn.functional.pad(values, (0, 1)).expand(len(marks), -1)
    return padded.gather(1, marks).sum(-1)


def _picked_each(values: Float[Tensor, "n D"], marks: Int[Tensor, "b M S"]) -> Float[Tensor, "n M"]:
    """Return `vᵀ 1_s` of each listed slate."""
    flat = marks.expand(len(values), -1, -1).flatten(1)
    return torch.nn.functional.pad(values, (0, 1)).gather(1, flat).unflatten(1, marks.shape[1:]).sum(-1)


def _columns(inverse: Float[Tensor, "b D D"], marks: Int[Tensor, "n S"]) -> Float[Tensor, "n D"]:
    """Return `Γ⁺ 1_s` of each request's slate."""
    padded = torch.nn.functional.pad(inverse, (0, 0, 0, 1))
    rows = torch.arange(len(marks), device=marks.device) if len(inverse) > 1 else marks.new_zeros(len(marks))
    return padded[rows.unsqueeze(1), marks].sum(1)


def _mean_variance(values: Float[Tensor, "n M"]) -> Float[Tensor, " n"]:
    """Return the variance of the mean over samples."""
    return values.var(-1) / values.shape[-1]
