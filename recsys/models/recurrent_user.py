"""Users whose memory is a recurrent cell."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.models.user_state import UserState


class RecurrentUser(UserState):
    """A GRU cell without bias takes in the vector of each click; `z = W h`.

    Source: the recurrent user model of Eide, Leslie, Frigessi 2022, there with a normal posterior over the weights;
    here they are parameters. `W` starts as the identity.

    Args:
        width: `D`, of `h`, `z` and the items.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(width, width, bias=False)
        self.readout = nn.Parameter(torch.eye(width))

    def move(self, hidden: Float[Tensor, "*K U D"], clicked: Float[Tensor, "U D"]) -> Float[Tensor, "*K U D"]:
        """See `UserState.move`."""
        given = clicked.expand_as(hidden).flatten(0, -2)
        return self.cell(given, hidden.flatten(0, -2)).view_as(hidden)

    def position(self, hidden: Float[Tensor, "*U D"]) -> Float[Tensor, "*U D"]:
        """`W h`."""
        return hidden @ self.readout.T
