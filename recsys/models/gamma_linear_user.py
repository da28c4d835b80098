"""Users who move a part of the way to what they click."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recsys.models.user_state import UserState


class GammaLinearUser(UserState):
    """`z ← γ z + (1 − γ) v` on a click of `v`, with `γ = sigmoid(w)` learnt.

    `γ = 1` is a user who never changes, `γ = 0` one who likes what was clicked last. Source: the linear user model of
    Eide, Leslie, Frigessi 2022, there with a normal posterior over `γ`; here `γ` is a parameter.

    Args:
        gamma: `γ` at the start, in (0, 1).

    >>> user, one = GammaLinearUser(gamma=0.5), torch.ones(1, 1)
    >>> user(4 * one, torch.zeros(1, 2, 1), torch.tensor([[True, False]])).flatten().tolist()
    [4.0, 2.0, 2.0]
    """

    def __init__(self, gamma: float = 0.8) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(math.log(gamma / (1 - gamma))))

    @property
    def gamma(self) -> Float[Tensor, ""]:
        """`γ`, in [0, 1]."""
        return self.logit.sigmoid()

    def move(self, hidden: Float[Tensor, "*K U D"], clicked: Float[Tensor, "U D"]) -> Float[Tensor, "*K U D"]:
        """See `UserState.move`."""
        return self.gamma * hidden + (1 - self.gamma) * clicked

    def forward(
        self, start: Float[Tensor, "*K U D"], vectors: Float[Tensor, "U T D"], clicked: Bool[Tensor, "U T"]
    ) -> Float[Tensor, "*K U T1 D"]:
        """See `UserState.forward`; a third of its operations, as each step is one product and one sum."""
        moves = clicked.unsqueeze(-1)
        kept = torch.where(moves, self.gamma, 1.0)
        gained = ((1 - self.gamma) * vectors).masked_fill(~moves, 0)
        hidden = [start]
        for share, gain in zip(kept.unbind(1), gained.unbind(1), strict=True):
            hidden.append(torch.addcmul(gain, share, hidden[-1]))
        return torch.stack(hidden, -2)
