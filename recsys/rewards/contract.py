"""The check of what a reward returns against its contract."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from recsys.errors import ContractError
from recsys.types.slates import Slates


def checked_reward(reward: object, slates: Slates, name: str) -> Float[Tensor, "B G *S"]:
    """Return a reward in the precision of the slates' log-probabilities, if it is one number a slate or one a slot.

    Args:
        reward: what a reward returned.
        slates: what was rewarded.
        name: class of the reward, for the message.

    Raises:
        ContractError: it is no tensor of floats, or has another shape.

    >>> import torch
    >>> slates = Slates(torch.tensor([[[4], [5]]]), torch.zeros(1, 2, 1))
    >>> checked_reward(torch.tensor([[1, 0]]), slates, "Hit")
    Traceback (most recent call last):
    recsys.errors.ContractError: the reward Hit returned torch.int64 [1, 2], expected floats [1, 2] or [1, 2, 1]
    """
    slots = slates.items.shape
    if not isinstance(reward, Tensor):
        found = "None" if reward is None else f"a {type(reward).__name__}"
    elif not reward.is_floating_point() or reward.shape not in (slots, slots[:2]):
        found = f"{reward.dtype} {list(reward.shape)}"
    else:
        return reward.to(slates.log_prob.dtype)
    raise ContractError(f"the reward {name} returned {found}, expected floats {list(slots[:2])} or {list(slots)}")
