"""The simulator contract: users who answer slates with feedback."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.slates import Slates


@runtime_checkable
class State(Protocol):
    """Where `B` users stand; a world's own dataclass of tensors, never changed in place."""

    @property
    def done(self) -> Bool[Tensor, " B"]:
        """Whose session is over: they click nothing more."""
        ...


AnyState = TypeVar("AnyState", bound=State)


@runtime_checkable
class Simulator(Protocol[AnyState]):
    """A world of users who are shown slates.

    Law, held by `tests/contracts`: a step leaves the state it was given as it was; equal generators give equal answers;
    only slots that show an item earn, and users who are done earn nothing and stay done.
    """

    @property
    def num_items(self) -> int:
        """`N`: slates hold items `0 .. N − 1`."""
        ...

    def reset(self, users: int, generator: torch.Generator) -> AnyState:
        """`B = users` fresh users, on the generator's device."""
        ...

    def observe(self, state: AnyState) -> Context:
        """What a policy may see of them."""
        ...

    def scores(self, state: AnyState) -> Float[Tensor, "B N"]:
        """What each item is worth to each user now: hidden from policies, an oracle ranks by it."""
        ...

    def vectors(self, state: AnyState, items: Int[Tensor, "B S"]) -> Float[Tensor, "B S D"]:
        """What each shown item is like, for the diversity of a slate; anything where the slot is empty."""
        ...

    def step(self, state: AnyState, slates: Slates, generator: torch.Generator) -> tuple[AnyState, Feedback]:
        """Show each user one slate (`G = 1`).

        Returns:
            Where the users stand then, and what each slot earned, with the probability with which the slate was shown.

        Raises:
            ValueError: the slates are not one a user.
        """
        ...


def one_slate_each(slates: Slates, users: int) -> Tensor:
    """`[B, S]`, the items of one slate a user.

    Raises:
        ValueError: there are more, or not as many as users.
    """
    if slates.items.shape[:2] != (users, 1):
        raise ValueError(f"one slate for each of {users} users is expected, slates are {tuple(slates.items.shape)}")
    return slates.items[:, 0]


def feedback(reward: Tensor, slates: Slates) -> Feedback:
    """What a step's slots earned (`[B, S]`), with each slate's probability under the policy that drew it."""
    return Feedback.of_reward(reward.unsqueeze(1), slates.slate_log_prob.exp())
