"""User state models: how each click moves a user's hidden state (gamma-linear, Markov, recurrent)."""

from __future__ import annotations

import math
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
