"""Users who like what they clicked last."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from recsys.models.user_state import UserState


class MarkovUser(UserState):
    """`z = v` of the last click; the start before the first. Source: Eide, Leslie, Frigessi 2022.

    >>> import torch
    >>> clicks = torch.tensor([[[7.0], [8.0]]])
    >>> MarkovUser()(torch.zeros(1, 1), clicks, torch.tensor([[True, False]])).flatten()
    tensor([0., 7., 7.])
    """

    def move(self, hidden: Float[Tensor, "*K U D"], clicked: Float[Tensor, "U D"]) -> Float[Tensor, "U D"]:
        """See `UserState.move`."""
        return clicked
