"""Collision policies: make the codes of items distinct where a quantizer gave several items the same codes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.items.quantizer import Quantizer, bucket_of, rank_in_bucket


@runtime_checkable
class CollisionPolicy(Protocol):
    """Turns a quantizer's codes into codes that no two items share."""

    def resolve(
        self,
        codes: Int[Tensor, "N L"],
        quantizer: Quantizer,
        x: Float[Tensor, "N D"],
        taken: Int[Tensor, "M depth"] | None = None,
    ) -> tuple[Int[Tensor, "N depth"], tuple[int, ...]]:
        """The distinct codes and how many codes each of their levels has room for.

        Args:
            codes: `[N, L]`, as the quantizer gave them.
            quantizer: what gave them.
            x: `[N, D]`, the vectors it gave them for.
            taken: `[M, depth]`, distinct codes that other items have and keep.
        """
        ...


class ExtraCode:
    """Appends a level that counts the items of each bucket, in item order.

    The level is appended even where nothing collides, so that every item has the same depth.

    Args:
        size: codes of the new level; None means as many as the fullest bucket has items. A larger number leaves room
            for items that join later in networks whose tables have a fixed size.

    Source: TIGER (arXiv 2305.05065), section 3.1.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size

    def resolve(
        self,
        codes: Int[Tensor, "N L"],
        quantizer: Quantizer,
        x: Float[Tensor, "N D"],
        taken: Int[Tensor, "M depth"] | None = None,
    ) -> tuple[Int[Tensor, "N depth"], tuple[int, ...]]:
        """See `CollisionPolicy`; the vectors are not looked at.

        Raises:
            ConfigurationError: a bucket holds more items than the new level has codes, or the codes taken have
                another depth.
        """
        distinct = with_place_in_bucket(codes, taken)
        needed = 1 + max(int(every[:, -1].max()) for every in (distinct, taken) if every is not None)
        if self.size is not None and needed > self.size:
            raise ConfigurationError(
                f"{needed} items share their codes, more than the extra level's size={self.size}: raise it"
            )
        return distinct, (*quantizer.codes_per_level, self.size or needed)


class NextBest:
    """Keeps the depth: items that collide move to the nearest last-level code that is free beside their other codes.

    Of the items that want a code the nearest gets it, the others try their next nearest. "Near" is the squared error of
    the decoded vector. The items that kept their codes are never moved.
    """

    def resolve(
        self,
        codes: Int[Tensor, "N L"],
        quantizer: Quantizer,
        x: Float[Tensor, "N D"],
        taken: Int[Tensor, "M depth"] | None = None,
    ) -> tuple[Int[Tensor, "N depth"], tuple[int, ...]]:
        """See `CollisionPolicy`.

        Raises:
            ConfigurationError: more items share all codes but the last than the last level has codes, or the codes
                taken have another depth.
        """
        size = quantizer.codes_per_level[-1]
        held = codes[:0] if taken is None else taken
        _check_depth(codes.shape[1], held)
        every = torch.cat([held, codes])
        prefix = bucket_of(every[:, :-1])
        crowd = int(prefix.bincount().max())
        if crowd > size:
            raise ConfigurationError(
                f"{crowd} items share all codes but the last, which has only {size}: "
                "use more codes or levels, or the ExtraCode policy"
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
    """`[N, L + 1]`: codes followed by each item's place among the items of its bucket, in item order.

    Args:
        codes: `[N, L]`.
        taken: `[M, L + 1]`, items that come before in every bucket; counting starts behind the last of them.

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
            f"new items would have codes of {depth} levels beside items of {taken.shape[1]}: "
            "use the quantizer and the collision policy that made those"
        )


def _last_level_errors(
    codes: Int[Tensor, "N L"], quantizer: Quantizer, x: Float[Tensor, "N D"]
) -> Float[Tensor, "N K"]:
    """`[N, K]`: squared error of each vector with each last-level code in the place of its own."""
    errors = []
    for code in range(quantizer.codes_per_level[-1]):
        tried = torch.cat([codes[:, :-1], torch.full_like(codes[:, -1:], code)], -1)
        errors.append((x - quantizer.decode(tried)).square().sum(-1))
    return torch.stack(errors, -1)


def _nearest_of_each(want: Int[Tensor, " n"], error: Float[Tensor, " n"]) -> Tensor:
    """`[n]`, true for the row of least error among the rows that want the same; the first of equals."""
    order = error.argsort(stable=True)
    order = order[want[order].argsort(stable=True)]
    ordered = want[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return torch.zeros_like(first).scatter_(0, order, first)
