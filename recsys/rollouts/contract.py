"""Check what a policy and a simulator answer against their contracts, for all users of a step at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from recsys.errors import ContractError
from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.slates import Slates

ROUNDING = 1e-4
"""Nats by which a log-probability may exceed 0, the rounding of float32."""

Faults = Mapping[str, NDArray[np.bool_]]
"""What can be wrong → mask of the users of whom it is, `[B]`, or of their slots, `[B, S]`."""


def check_slates(
    slates: Slates, context: Context, slots: int, num_items: int, active: Bool[Tensor, " B"], step: int
) -> None:
    """Refuse slates that the contract of `Policy.sample` excludes.

    Slates are `[B, 1, S]`. They hold distinct items of each request's legal set, empty slots (−1) behind the others,
    and for each item a log-probability above −inf and at most 0. What users whose session is over are given does not
    count.

    Args:
        slates: one for each request.
        context: the requests.
        slots: number of slots `S` that was asked for.
        num_items: number of items `N` of the simulator.
        active: users whose session goes on.
        step: number of the step, for the message.

    Raises:
        ContractError: a slate is excluded; it names the step, the first such user, and what is wrong.
    """
    expected = (len(context), 1, slots)
    for name, found in (("items", slates.items), ("log_prob", slates.log_prob)):
        if tuple(found.shape) != expected:
            raise ContractError(
                f"step {step}: the policy's slates.{name} has the shape {list(found.shape)}, expected "
                f"{list(expected)}: one slate of all slots for each user"
            )
    if slates.items.is_floating_point() or slates.items.dtype == torch.bool:
        raise ContractError(f"step {step}: the policy's slates.items are {slates.items.dtype}, expected integers")
    if not slates.log_prob.is_floating_point():
        raise ContractError(f"step {step}: the policy's slates.log_prob is {slates.log_prob.dtype}, expected floats")
    items, log_prob = _array(slates.items[:, 0]), _array(slates.log_prob[:, 0])
    shown = items >= 0
    outside = (items < -1) | (items >= num_items)
    ordered = np.sort(items, -1)
    faults: dict[str, NDArray[np.bool_]] = {
        f"the slate {{items}} holds an item outside 0 … {num_items - 1} (−1 for no item)": outside,
        "the slate {items} holds an item twice": (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0),
        "the slate {items} has an item behind an empty slot (−1); empty slots are the last ones": (
            shown[:, 1:] & ~shown[:, :-1]
        ),
        "the log-probabilities {log_prob} of the slate {items} are not all in (−inf, 0]": (
            shown & ~((log_prob <= ROUNDING) & (log_prob > -np.inf))
        ),
    }
    if context.restricts:
        illegal = context.illegal(num_items).gather(1, slates.items[:, 0].clamp(0, num_items - 1))
        faults["the slate {items} holds an item outside the user's legal set"] = _array(illegal) & shown
    _refuse("the policy", faults, active, step, items=items, log_prob=log_prob)


def sampled(slates: object, policy: str) -> Slates:
    """Return what a policy sampled, if it is slates.

    Args:
        slates: what its `sample` returned.
        policy: its class, for the message.

    Raises:
        ContractError: it is anything else.
    """
    if not isinstance(slates, Slates):
        raise ContractError(f"{policy}.sample returned {_kind(slates)}, expected Slates")
    return slates


def check_observation(context: object, users: int, simulator: str) -> None:
    """Refuse what a simulator observes unless it is one request for each user.

    Args:
        context: what its `observe` returned.
        users: number of users.
        simulator: its class, for the message.

    Raises:
        ContractError: it is no context, or not of so many requests.
    """
    if not isinstance(context, Context):
        raise ContractError(f"{simulator}.observe returned {_kind(context)}, expected a Context")
    if len(context) != users:
        raise ContractError(f"{simulator}.observe returned {len(context)} requests, expected {users}, one a user")


def check_shape(values: object, expected: tuple[int, ...], name: str, step: int) -> None:
    """Refuse what is no tensor of floats of a shape.

    Args:
        values: what was returned.
        expected: the shape; −1 for a dimension of any size.
        name: of the method that returned it, for the message.
        step: number of the step, for the message.

    Raises:
        ContractError: it names the method, the shape that was expected, and what was found.
    """
    shape = tuple(values.shape) if isinstance(values, Tensor) and values.is_floating_point() else None
    if shape is not None and len(shape) == len(expected) and all(map(_same_size, expected, shape)):
        return
    wanted = ["any" if size == -1 else size for size in expected]
    raise ContractError(f"step {step}: {name} returned {_kind(values)}, expected floats {wanted}".replace("'", ""))


def check_feedback(
    feedback: Feedback, slates: Slates, active: Bool[Tensor, " B"], done: Bool[Tensor, " B"], step: int
) -> None:
    """Refuse feedback that the laws of `Simulator` exclude.

    Every channel is `[B, 1, S]`, and one is `reward`; rewards are finite and at least 0, a click is 1 where the reward
    is above 0 and otherwise 0. Empty slots earn nothing, and a session that is over stays so.

    Args:
        feedback: to the slates.
        slates: that were shown, one for each user.
        active: users whose session was not over before the step.
        done: users whose session is over after it.
        step: number of the step, for the message.

    Raises:
        ContractError: a law is broken; it names the step, the first such user, and what is wrong.
    """
    if "reward" not in feedback.channels:
        there = ", ".join(feedback.channels) or "none"
        raise ContractError(f"step {step}: the simulator's feedback has no channel 'reward', only {there}")
    for name, channel in feedback.channels.items():
        found = channel.value
        if found.shape != slates.items.shape:
            raise ContractError(
                f"step {step}: the simulator's channel '{name}' has the shape {list(found.shape)}, expected "
                f"{list(slates.items.shape)}: one number for each slot"
            )
        if not found.is_floating_point():
            raise ContractError(f"step {step}: the simulator's channel '{name}' is {found.dtype}, expected floats")
    reward = _array(feedback.reward[:, 0])
    click = _array(feedback["click"][:, 0]) if "click" in feedback.channels else reward > 0
    empty = _array(slates.items[:, 0]) < 0
    faults = {
        "the rewards {reward} are not all finite and at least 0": ~((reward >= 0) & (reward < np.inf)),
        "the clicks {click} are not 1 where the rewards {reward} are above 0 and else 0": click != (reward > 0),
        "the rewards {reward} of empty slots are not 0": empty & (reward != 0),
        "the session was over and goes on": ~_array(active | done),
    }
    _refuse("the simulator", faults, torch.ones_like(active), step, reward=reward, click=click)


def check_finite(
    name: str, values: Float[Tensor, "B *rest"], active: Bool[Tensor, " B"], step: int, who: str = "the simulator"
) -> None:
    """Refuse numbers that are not finite.

    Args:
        name: what they are, for the message.
        values: `[B, …]`.
        active: users that count.
        step: number of the step, for the message.
        who: whose numbers they are, for the message.

    Raises:
        ContractError: one of a user that counts is NaN or infinite.
    """
    wrong = ~np.isfinite(_array(values)).reshape(len(values), -1)
    _refuse(who, {f"the {name} are not all finite": wrong}, active, step)


def _same_size(expected: int, found: int) -> bool:
    return expected in (-1, found)


def _kind(value: object) -> str:
    """Return what something is, for messages."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {list(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _refuse(who: str, faults: Faults, counted: Bool[Tensor, " B"], step: int, **shown: NDArray[Any]) -> None:
    """Raise a `ContractError` if a mask holds for a user that counts."""
    if not any(mask.any() for mask in faults.values()):
        return
    masks = [mask.any(1) if mask.ndim > 1 else mask for mask in faults.values()]
    found = np.stack(masks) & _array(counted)
    if not found.any():
        return
    user = int(found.any(0).argmax())
    problem = list(faults)[int(found[:, user].argmax())]
    words = problem.format(**{name: _written(values[user]) for name, values in shown.items()})
    raise ContractError(f"step {step}, user {user}: {who} breaks its contract: {words}")


def _array(values: Tensor) -> NDArray[Any]:
    """Return small numbers as an array: its operations on a few hundred of them take a tenth of the time of torch's."""
    values = values.detach().cpu()
    return (values.float() if values.dtype in (torch.bfloat16, torch.float16) else values).numpy()


def _written(values: NDArray[Any]) -> str:
    return f"[{', '.join(f'{value:.4g}' if isinstance(value, float) else str(value) for value in values.tolist())}]"
