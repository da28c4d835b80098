"""The reward contract, and rewards for hitting what was logged."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from recsys.types.example import Example
from recsys.types.slates import Slates


@runtime_checkable
class Reward(Protocol):
    """A number for each slate, or one for each of its slots: finite; 0 where there is no slate.

    `GroupPolicyOptimisation` stops where a slate's reward is not finite, or leaves the slate out; a part of another
    reward passes it on.

    A request's rewards do not depend on the other requests of the batch. The two attributes are set on the class where
    they are constant, and in `__init__` where they depend on its arguments.
    """

    order_matters: bool
    """Whether exchanging the slots of a slate, or listing the group's candidates (with their log-probabilities) in
    another order, changes what a slate earns."""

    bounds: tuple[float, float] | None
    """The lowest and the highest value; None where there is no bound."""

    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G *S"]:
        """Return what each slate earned, `[B, G]`, or each of its slots, `[B, G, S]`.

        Args:
            example: the requests, with their logged answers.
            slates: what is rewarded.
        """
        ...


def compares_requests(reward: object) -> bool:
    """Whether rewards of different requests can be compared; not those that are standardised within a request.

    A reward, or a scalariser, says so by an attribute of this name; without it, they can.
    """
    return getattr(reward, "compares_requests", True)


def is_hit(example: Example, slates: Slates) -> Bool[Tensor, "B G"]:
    """Return `[B, G]`, true where a slate holds the logged next item in any slot."""
    return (slates.items == example.item[:, None, None]).any(-1) & slates.mask


class HitReward(Reward):
    """`1[e = target]`: 1 for a slate that holds the logged next item in any slot, else 0.

    Source: ReRe (arXiv 2510.12211), MiniOneRec (arXiv 2510.24431), section 3.4; docs/papers.md#rewards.
    """

    order_matters = False
    bounds = (0.0, 1.0)

    @override
    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        return is_hit(example, slates).to(slates.log_prob.dtype)


class SlotHitReward(Reward):
    """`1[e_s ∈ logged items]` of each slot: 1 where it holds an item of the logged answer, else 0.

    Which slot of the answer held the item does not matter.
    """

    order_matters = True
    bounds = (0.0, 1.0)

    @override
    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G S"]:
        logged = example.slates.items.flatten(1)[:, None, None]
        hit = (slates.items.unsqueeze(-1) == logged).any(-1) & slates.mask.unsqueeze(-1)
        return hit.to(slates.log_prob.dtype)
