"""The check of rewards before anything is learnt from them."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Bool, Float
from torch import Tensor

from recsys.errors import NonFiniteError
from recsys.types.slates import Slates


def not_finite(reward: Float[Tensor, "B G *S"], slates: Slates) -> Bool[Tensor, "B G"]:
    """Return which slates have a reward that is NaN or infinite; of rewards of slots, one such slot is enough.

    Args:
        reward: one number a slate, or one a slot.
        slates: what is rewarded; missing slates are never marked.

    >>> import torch
    >>> slates = Slates(torch.tensor([[[4], [5], [-1]]]), torch.zeros(1, 3, 1))
    >>> not_finite(torch.tensor([[1.0, float("nan"), float("inf")]]), slates)
    tensor([[False,  True, False]])
    """
    broken = ~reward.isfinite()
    return (broken.any(-1) if broken.ndim == 3 else broken) & slates.mask


def require_finite(
    reward: Float[Tensor, "B G *S"],
    slates: Slates,
    name: str,
    parts: Mapping[str, Tensor] | None = None,
    otherwise: str = "",
) -> None:
    """Refuse rewards of which one is NaN or infinite.

    Args:
        reward: one number a slate, or one a slot.
        slates: what is rewarded; rewards of missing slates are not looked at.
        name: of the reward, for the message.
        parts: of the reward, by name; the message names those that are not finite.
        otherwise: what else can be done, as the end of the message.

    Raises:
        NonFiniteError: names the part, the first slate and its reward, and says how many there are.
    """
    broken = not_finite(reward, slates)
    if not broken.any():
        return
    guilty = [part for part, value in (parts or {}).items() if not_finite(value, slates).any()]
    row, candidate = broken.nonzero()[0].tolist()
    values, items = reward[row, candidate].reshape(-1), slates.items[row, candidate].tolist()
    value = float(values[~values.isfinite()][0])
    part = f"the reward {name}" + (f", in its part {' and '.join(guilty)}," if guilty else "")
    raise NonFiniteError(
        f"{part} is {value} for items {items} of request {row}, and not finite for {int(broken.sum())} of "
        f"{int(slates.mask.sum())} candidates: give them a finite reward"
        f"{otherwise}"
    )


def without(slates: Slates, broken: Bool[Tensor, "B G"]) -> Slates:
    """Return the slates, those that are marked being missing: their slots hold −1.

    Args:
        slates: `G` slates of each request.
        broken: which to take away.
    """
    items = slates.items.masked_fill(broken.unsqueeze(-1), -1)
    return slates.replace(items=items)
