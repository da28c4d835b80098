"""The format reward: whether a slate holds what its request allows."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.rewards.reward import Reward
from recsys.types.example import Example
from recsys.types.slates import Slates


class LegalityReward(Reward):
    """`1[every item is in the legal set of the request, and none comes twice]`, else 0.

    The OneRec Technical Report (arXiv 2506.13695) needs it: a policy over all codes loses probability to codes that no
    item bears when its candidates are pushed down, and a reward for legal ones, chosen at random, gives it back.

    **For the policies of this package it changes nothing.** They are distributions over the legal set, so that each of
    their candidates earns 1, a group is all equal, and every objective that compares within a group has the gradient 0
    (`tests/oracles/test_legality.py`). It is for samplers of one's own, and for comparison with the report.
    """

    order_matters = False
    bounds = (0.0, 1.0)

    @override
    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        context, items = example.context, slates.items
        listed = [items, context.excluded.values]
        if context.candidates is not None:
            listed.append(context.candidates.values)
        largest = torch.cat([one.flatten() for one in listed]).max() if items.numel() else -1
        illegal = context.illegal(int(largest) + 1) if largest >= 0 else items.new_ones(len(items), 1).bool()
        outside = illegal.gather(1, items.clamp(min=0).flatten(1)).view_as(items)
        ordered = items.sort(-1).values
        repeated = (ordered[..., 1:] == ordered[..., :-1]).any(-1)
        return (~outside.any(-1) & ~repeated & slates.mask).to(slates.log_prob.dtype)
