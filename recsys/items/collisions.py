"""Collision policies, which make codes distinct if a quantizer gives several items the same codes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.items.quantizer import Quantizer, bucket_of, rank_in_bucket
from recsys.ranges import at_least


@runtime_checkable
class CollisionPolicy(Protocol):
    """A rule that turns the codes of a quantizer into codes that no two items share."""

    def resolve(
        self,
        codes: Int[Tensor, "N L"],
        quantizer: Quantizer,
        x: Float[Tensor, "N D"],
        taken: Int[Tensor, "M depth"] | None = None,
    ) -> tuple[Int[Tensor, "N depth"], tuple[int, ...]]:
        """Return distinct codes `[N, depth]` and the size of each of their levels.

        Args:
            codes: `[N, L]`, codes from the quantizer.
            quantizer: the fitted quantizer.
            x: `[N, D]`, the vectors of the items.
            taken: `[M, depth]`, distinct codes of other items, which keep them; None means there are no others.

        Raises:
            ConfigurationError: the codes do not fit into the levels, or `taken` has another depth.
        """
        ...


class ExtraCode(CollisionPolicy):
    """A collision policy that appends a level, which counts the items of each bucket in item order.

    A bucket is the set of items that share all codes. Every item gets the extra code, so all have the same depth.

    Args:
        size: number of codes of the new level; None means the number of items of the largest bucket. A larger number
            leaves room for items that are added later, in networks whose embedding tables have a fixed size.

    Source: TIGER (arXiv 2305.05065), section 3.1.
    """

    def __init__(self, size: int | None = None) -> None:
        at_least(1, size=size)
        self.size = size

    @override
    def resolve(
        self,
        codes: Int[Tensor, "N L"],
        quantizer: Quantizer,
        x: Float[Tensor, "N D"],
        taken: Int[Tensor, "M depth"] | None = None,
    ) -> tuple[Int[Tensor, "N depth"], tuple[int, ...]]:
        distinct = with_place_in_bucket(codes, taken)
        needed = 1 + max(int(every[:, -1].max()) for every in (distinct, taken) if every is not None)
        if self.size is not None and needed > self.size:
            raise ConfigurationError(
                f"{needed} items share all their codes, more than the extra level's size={self.size}. Raise size"
            )
        return distinct, (*quantizer.codes_per_level, self.size or needed)


class NextBest(CollisionPolicy):
    """A collision policy that keeps the depth and moves colliding items to the nearest free last-level code.

    If several items want the same code, the nearest gets it and the others try their next nearest code. The distance is
    the squared error of the decoded vector. Items in `taken` are never moved.
    """

    @override
    def resolve(
        self,
        codes: Int[Tensor, "N L"],
        quantizer: Quantizer,
        x: Float[Tensor, "N D"],
        taken: Int[Tensor, "M depth"] | None = None,
    ) -> tuple[Int[Tensor, "N depth"], tuple[int, ...]]:
        size = quantizer.codes_per_level[-1]
        held = codes[:0] if taken is None else taken
        _check_depth(codes.shape[1], held)
        every = torch.cat([held, codes])
        prefix = bucket_of(every[:, :-1])
        crowd = int(prefix.bincount().max())
        if crowd > size:
            raise ConfigurationError(
                f"{crowd} items share all codes but the last, which has only {size} values. "
                "Use more codes or levels, or the policy ExtraCode"
            )
        free = torch.ones(int(prefix.max()) + 1, size, dtype=torch.bool, device=codes.device)
        free[prefix[: len(held)], held[:, -1]] = False
        prefix, last = prefix[len(held) :], codes[:, -1].clone()
        error = _last_level_errors(codes, quantizer, x)
        waiting = torch.arange(codes.shape[0], device=codes.device)
        wanted = last
        while waiting.numel():
            possible = free[prefix[waiting], wanted]
            won = _nearest_of_each(prefix[waiting] * size + wanted, error[waiting, wanted]) & possible
            last[waiting[won]] = wanted[won]
            free[prefix[waiting[won]], wanted[won]] = False
            waiting = waiting[~won]
            wanted = error[waiting].masked_fill(~free[prefix[waiting]], float("inf")).argmin(-1)
        return torch.cat([codes[:, :-1], last.unsqueeze(-1)], -1), tuple(quantizer.codes_per_level)


def with_place_in_bucket(
    codes: Int[Tensor, "N L"], taken: Int[Tensor, "M depth"] | None = None
) -> Int[Tensor, "N depth"]:
    """Return the codes followed by the place of each item in its bucket, `[N, L + 1]`, in item order.

    Args:
        codes: `[N, L]`, codes of the items.
        taken: `[M, L + 1]`, codes of items that precede in every bucket. Counting continues after the last of them.

    >>> with_place_in_bucket(torch.tensor([[3], [1], [3]]))
    tensor([[3, 0],
            [1, 0],
            [3, 1]])
    """
    if taken is None:
        return torch.cat([codes, rank_in_bucket(bucket_of(codes)).unsqueeze(-1)], -1)
    _check_depth(codes.shape[1] + 1, taken)
    bucket = bucket_of(torch.cat([taken[:, :-1], codes]))
    held, new = bucket[: len(taken)], bucket[len(taken) :]
    first_free = taken.new_zeros(int(bucket.max()) + 1).scatter_reduce_(0, held, taken[:, -1] + 1, "amax")
    return torch.cat([codes, (first_free[new] + rank_in_bucket(new)).unsqueeze(-1)], -1)


def _check_depth(depth: int, taken: Int[Tensor, "M depth"]) -> None:
    if taken.shape[1] != depth:
        raise ConfigurationError(
            f"new items would have codes of {depth} levels beside items of {taken.shape[1]}. "
            "Use the quantizer and the collision policy of the existing items"
        )


def _last_level_errors(
    codes: Int[Tensor, "N L"], quantizer: Quantizer, x: Float[Tensor, "N D"]
) -> Float[Tensor, "N K"]:
    """Return the squared error `[N, K]` of each decoded vector with its last code replaced by each code."""
    errors = []
    for code in range(quantizer.codes_per_level[-1]):
        tried = torch.cat([codes[:, :-1], torch.full_like(codes[:, -1:], code)], -1)
        errors.append((x - quantizer.decode(tried)).square().sum(-1))
    return torch.stack(errors, -1)


def _nearest_of_each(want: Int[Tensor, " n"], error: Float[Tensor, " n"]) -> Tensor:
    """Return a mask `[n]` of the row with the least error among those that want the same code; ties go to the first."""
    order = error.argsort(stable=True)
    order = order[want[order].argsort(stable=True)]
    ordered = want[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return torch.zeros_like(first).scatter_(0, order, first)
