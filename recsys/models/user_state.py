"""Where a user stands before each slate, from what was clicked before."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class UserState(nn.Module, ABC):
    """A hidden state that each click moves, and the position `z` that items are compared with.

    States are made one step after the other, so that none knows of a click that comes later: the released code of Eide,
    Leslie, Frigessi 2022 lets a user's start know of all the user's training clicks (docs/papers.md).
    """

    @abstractmethod
    def move(self, hidden: Float[Tensor, "*K U D"], clicked: Float[Tensor, "U D"]) -> Float[Tensor, "*#K U D"]:
        """The hidden state after a click on an item of the given vector, wherever the user may have been before."""

    def position(self, hidden: Float[Tensor, "*U D"]) -> Float[Tensor, "*U D"]:
        """`z`; the state itself unless a subclass says otherwise."""
        return hidden

    def forward(
        self, start: Float[Tensor, "*K U D"], vectors: Float[Tensor, "U T D"], clicked: Bool[Tensor, "U T"]
    ) -> Float[Tensor, "*K U T1 D"]:
        """`[…, U, T + 1, D]`: `z` before each of `T` steps, and after the last. A step without a click moves nobody.

        Args:
            start: the hidden state before the first step; several of each user where it has more dimensions.
            vectors: of the item clicked at each step; read only where one was.
            clicked: true where one was.
        """
        hidden = [start]
        for vector, moves in zip(vectors.unbind(1), clicked.unbind(1), strict=True):
            hidden.append(torch.where(moves.unsqueeze(1), self.move(hidden[-1], vector), hidden[-1]))
        return self.position(torch.stack(hidden, -2))
