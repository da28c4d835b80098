"""The simulator contract: users who answer slates with feedback, and one step of them as a transition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.errors import ContractError
from recsys.types.context import Context
from recsys.types.feedback import Channel, ChannelKind, Feedback
from recsys.types.slates import Slates
from recsys.types.transition import Transition


@runtime_checkable
class State(Protocol):
    """Where `B` users stand: a simulator's own dataclass, never changed in place.

    Every field is a tensor with `B` rows, or None; `done` may be a field or a property.
    """

    @property
    def done(self) -> Bool[Tensor, " B"]:
        """Return whose session is over: they click nothing more."""
        ...


AnyState = TypeVar("AnyState", bound=State)


@runtime_checkable
class Simulator(Protocol[AnyState]):
    """Simulated users who are shown slates.

    Laws, to which `tests/contracts/test_simulator.py` holds every simulator:

    - A step leaves the state it was given as it was. Equal generators give equal answers: all randomness comes from
      the generator.
    - Each user is shown one slate. Several slates a user, or not as many as users, are refused (`one_slate_each`).
    - Every channel of the feedback is `[B, 1, S]`, one number a slot. `reward` is at least 0, and `click` is binary: 1
      where the slot earned more than 0, else 0, so that a click rate can be told from the rewards. A channel of kind
      `SECONDS` has the unit "s", and no other has. The propensity is the probability of the slate (`feedback` makes
      such a feedback).
    - Slots that show no item earn nothing. Users who are done earn nothing, in no channel, and stay done. What a step
      returns as done is `done` of the state that it returns.
    - A context has one request for each user, and so have its features and the fields of its own class; `select`
      keeps all of them, and the class.

    A session need not end. Whoever plays a simulator says how many slates are shown at most.
    """

    num_items: int
    """`N`: slates hold items `0 .. N − 1`."""

    def reset(self, users: int, generator: torch.Generator) -> AnyState:
        """Return `B = users` fresh users, on the generator's device."""
        ...

    def observe(self, state: AnyState) -> Context:
        """Return what a policy may see of the users.

        What a context has no field for is a field of a subclass of the simulator's own (`InterestContext`).
        """
        ...

    def scores(self, state: AnyState) -> Float[Tensor, "B N"]:
        """Return what each item is worth to each user now: hidden from policies, an oracle ranks by it."""
        ...

    def vectors(self, state: AnyState, items: Int[Tensor, "B S"]) -> Float[Tensor, "B S D"]:
        """Return what each shown item is like, for the diversity of a slate; anything where the slot is empty."""
        ...

    def step(
        self, state: AnyState, slates: Slates, generator: torch.Generator
    ) -> tuple[AnyState, Feedback, Bool[Tensor, " B"]]:
        """Show each user one slate (`G = 1`).

        Returns:
            Where the users stand then; their feedback, whose channels are `[B, 1, S]`, among them `click` and `reward`,
            and whose propensity is the probability with which each slate was shown; whose session is over then.

        Raises:
            ValueError: the slates are not one a user; `one_slate_each` raises it.
        """
        ...


@runtime_checkable
class PlantedTruth(Protocol):
    """A simulator that also tells what no policy sees, so that what a policy infers can be compared with it.

    The bench correlates each number with the latent action of the same name, of policies that have one
    (`recsys.policies.latent.LatentPolicy`).
    """

    def truth(self, state: Any) -> Mapping[str, Float[Tensor, " B"]]:
        """Return hidden numbers of each user now, by name: finite, always the same names.

        Args:
            state: where the users stand, before they are shown a slate.
        """
        ...


def one_slate_each(slates: Slates, users: int) -> Int[Tensor, "B S"]:
    """Return `[B, S]`, the items of one slate a user.

    Raises:
        ValueError: there are more, or not as many as users.
    """
    if slates.items.shape[:2] != (users, 1):
        raise ValueError(f"one slate for each of {users} users is expected, slates are {tuple(slates.items.shape)}")
    return slates.items[:, 0]


def feedback(
    slates: Slates, clicks: Bool[Tensor, "B S"], reward: Float[Tensor, "B S"], unit: str = "", **more: Channel
) -> Feedback:
    """Return the feedback to one slate a user, with each slate's probability under the policy that sampled it.

    Args:
        slates: one a user.
        clicks: `[B, S]`, the channel `click` (binary).
        reward: `[B, S]`, the channel `reward` (a number): what each slot earned.
        unit: of the reward; empty where it has none.
        more: further channels by name, `[B, 1, S]`.
    """
    channels = {
        "click": Channel(clicks.unsqueeze(1).to(reward.dtype), ChannelKind.BINARY),
        **more,
        "reward": Channel(reward.unsqueeze(1), ChannelKind.NUMBER, unit),
    }
    return Feedback(channels, slates.slate_log_prob.exp())


def show(
    simulator: Simulator[Any], state: Any, context: Context, slates: Slates, generator: torch.Generator
) -> tuple[Any, Transition]:
    """Show each user one slate; users whose session is over are shown nothing.

    Args:
        simulator: whose users they are.
        state: where they stand.
        context: what is seen of that state.
        slates: one a user.
        generator: the simulator's randomness.

    Returns:
        Where the users stand then, and what happened.

    Raises:
        ContractError: the simulator's step returns anything else than its contract says.
    """
    active = ~state.done
    shown = slates.replace(items=slates.items.masked_fill(state.done.view(-1, 1, 1), -1))
    answered: object = simulator.step(state, shown, generator)
    after, answer, done = _step_of(answered, type(simulator).__name__, slates.items.shape[0])
    return after, Transition(context, shown, answer, simulator.observe(after), done, active)


def _step_of(answered: object, simulator: str, users: int) -> tuple[Any, Feedback, Bool[Tensor, " B"]]:
    """Return what a step answered: where users stand, their feedback, and whose session is over.

    Raises:
        ContractError: it is anything else.
    """
    expected = "expected the state, the Feedback, and done, one boolean a user"
    if not isinstance(answered, tuple) or len(answered) != 3:
        found = f"{len(answered)} values" if isinstance(answered, tuple) else f"a {type(answered).__name__}"
        raise ContractError(f"{simulator}.step returned {found}, {expected}")
    after, answer, done = answered
    if not isinstance(answer, Feedback):
        raise ContractError(f"{simulator}.step returned a {type(answer).__name__} in the place of feedback, {expected}")
    if not isinstance(done, Tensor) or done.dtype != torch.bool or tuple(done.shape) != (users,):
        found = f"{done.dtype} {list(done.shape)}" if isinstance(done, Tensor) else f"a {type(done).__name__}"
        raise ContractError(f"{simulator}.step returned {found} in the place of done, {expected}")
    return after, answer, done


def with_rows(state: Any, other: Any, rows: Bool[Tensor, " B"]) -> Any:
    """Return a state whose named rows are those of another state.

    Args:
        state: a dataclass of tensors with `B` rows; fields may be None.
        other: of the same class.
        rows: `[B]`, true where the other state's row is taken.
    """
    parts: dict[str, Any] = {}
    for field in fields(state):
        kept, taken = getattr(state, field.name), getattr(other, field.name)
        if kept is not None:
            parts[field.name] = torch.where(rows.view(-1, *[1] * (kept.ndim - 1)), taken, kept)
    return replace(state, **parts)


def observed_fields(context: Context) -> dict[str, Tensor]:
    """Return what an observation has beyond users and items: its features and the fields of its own class, by name."""
    plain = {field.name for field in fields(Context)}
    own = {field.name: getattr(context, field.name) for field in fields(context) if field.name not in plain}
    return {**context.features, **own}
