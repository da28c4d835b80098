"""How much better a candidate did than its group."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def centred(reward: Float[Tensor, "P G"], alive: Bool[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """`A_i = r_i − mean r`, over the candidates that exist; 0 where there is none. Reward's own unit.

    >>> import torch
    >>> centred(torch.tensor([[1.0, 0.0, 0.0, 7.0]]), torch.tensor([[True, True, True, False]]))
    tensor([[ 0.6667, -0.3333, -0.3333,  0.0000]])
    """
    reward = reward.masked_fill(~alive, 0.0)
    mean = reward.sum(-1, keepdim=True) / alive.sum(-1, keepdim=True).clamp(min=1)
    return (reward - mean).masked_fill(~alive, 0.0)


def group_normalised(
    reward: Float[Tensor, "P G"], alive: Bool[Tensor, "P G"], *, epsilon: float = 1e-4
) -> Float[Tensor, "P G"]:
    """`A_i = (r_i − mean r) / (std r + ε)` with the unbiased standard deviation (divisor `n − 1`), no unit.

    Groups whose rewards are all equal, and groups of one candidate, get zeros.

    Args:
        reward: `[P, G]`.
        alive: `[P, G]`; rewards elsewhere are ignored, and their advantage is 0.
        epsilon: ε, keeps nearly equal rewards from becoming large advantages; 1e-4 in ReRe's released code.

    >>> import torch
    >>> group_normalised(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.ones(1, 4, dtype=torch.bool))
    tensor([[ 1.4997, -0.4999, -0.4999, -0.4999]])
    """
    advantage = centred(reward, alive)
    variance = advantage.square().sum(-1, keepdim=True) / (alive.sum(-1, keepdim=True) - 1).clamp(min=1)
    return advantage / (variance.sqrt() + epsilon)
