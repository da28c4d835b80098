"""User state models: how clicks change the hidden state of a user (gamma-linear, Markov, recurrent)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.ranges import at_least, between


class UserState(nn.Module, ABC):
    """A model of a user's hidden state `h`, which each click updates, and of the user vector `z`.

    The state at a step depends on earlier clicks only. In the released code of Eide, Leslie, Frigessi 2022 the initial
    state of a user depends on all training clicks of the user (docs/papers.md).
    """

    @abstractmethod
    def move(self, hidden: Float[Tensor, "*K U D"], clicked: Float[Tensor, "U D"]) -> Float[Tensor, "*#K U D"]:
        """Return the hidden states after a click.

        Args:
            hidden: hidden states before the click.
            clicked: vector of the clicked item of each user.
        """

    def position(self, hidden: Float[Tensor, "*U D"]) -> Float[Tensor, "*U D"]:
        """Return the user vector `z` of a hidden state. In this class it is the hidden state."""
        return hidden

    def forward(
        self, start: Float[Tensor, "*K U D"], vectors: Float[Tensor, "U T D"], clicked: Bool[Tensor, "U T"]
    ) -> Float[Tensor, "*K U T1 D"]:
        """Return the user vectors `z` before each of `T` steps and after the last, `[…, U, T + 1, D]`.

        A step without a click does not change the state.

        Args:
            start: hidden states before the first step; with `K` dimensions in front, several for each user.
            vectors: vector of the clicked item of each step; only read at steps with a click.
            clicked: true at steps with a click.
        """
        hidden = [start]
        for vector, moves in zip(vectors.unbind(1), clicked.unbind(1), strict=True):
            hidden.append(torch.where(moves.unsqueeze(1), self.move(hidden[-1], vector), hidden[-1]))
        return self.position(torch.stack(hidden, -2))


class GammaLinearUser(UserState):
    """The gamma-linear user model: a click on an item with vector `v` updates `z ← γ z + (1 − γ) v`.

    `γ = sigmoid(w)` is learned. With `γ = 1` the user never changes; with `γ = 0` the user vector is the item clicked
    last.

    Source: the linear user model of Eide, Leslie, Frigessi 2022, which has a normal posterior over `γ`. Here `γ` is a
    parameter.

    Args:
        gamma: initial value of `γ`, in (0, 1).

    >>> user, one = GammaLinearUser(gamma=0.5), torch.ones(1, 1)
    >>> user(4 * one, torch.zeros(1, 2, 1), torch.tensor([[True, False]])).flatten().tolist()
    [4.0, 2.0, 2.0]
    """

    def __init__(self, gamma: float = 0.8) -> None:
        between(0, 1, gamma=gamma)
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(math.log(gamma / (1 - gamma))))

    @property
    def gamma(self) -> Float[Tensor, ""]:
        """The value of `γ`, in [0, 1]."""
        return self.logit.sigmoid()

    @override
    def move(self, hidden: Float[Tensor, "*K U D"], clicked: Float[Tensor, "U D"]) -> Float[Tensor, "*K U D"]:
        return self.gamma * hidden + (1 - self.gamma) * clicked

    @override
    def forward(
        self, start: Float[Tensor, "*K U D"], vectors: Float[Tensor, "U T D"], clicked: Bool[Tensor, "U T"]
    ) -> Float[Tensor, "*K U T1 D"]:
        # One product and one sum a step: a third of the operations of the method of the base class.
        moves = clicked.unsqueeze(-1)
        kept = torch.where(moves, self.gamma, 1.0)
        gained = ((1 - self.gamma) * vectors).masked_fill(~moves, 0)
        hidden = [start]
        for share, gain in zip(kept.unbind(1), gained.unbind(1), strict=True):
            hidden.append(torch.addcmul(gain, share, hidden[-1]))
        return torch.stack(hidden, -2)


class MarkovUser(UserState):
    """The Markov user model: `z` is the vector of the item clicked last, and the initial state before the first click.

    Source: Eide, Leslie, Frigessi 2022.

    >>> import torch
    >>> clicks = torch.tensor([[[7.0], [8.0]]])
    >>> MarkovUser()(torch.zeros(1, 1), clicks, torch.tensor([[True, False]])).flatten()
    tensor([0., 7., 7.])
    """

    @override
    def move(self, hidden: Float[Tensor, "*K U D"], clicked: Float[Tensor, "U D"]) -> Float[Tensor, "U D"]:
        return clicked


class RecurrentUser(UserState):
    """The recurrent user model: a GRU cell without biases reads the vector of each clicked item, and `z = W h`.

    `W` is initialised with the identity matrix.

    Source: the recurrent user model of Eide, Leslie, Frigessi 2022, which has a normal posterior over the weights. Here
    they are parameters.

    Args:
        width: width `D` of hidden states, user vectors and item vectors.
    """

    def __init__(self, width: int) -> None:
        at_least(1, width=width)
        super().__init__()
        self.cell = nn.GRUCell(width, width, bias=False)
        self.readout = nn.Parameter(torch.eye(width))

    @override
    def move(self, hidden: Float[Tensor, "*K U D"], clicked: Float[Tensor, "U D"]) -> Float[Tensor, "*K U D"]:
        given = clicked.expand_as(hidden).flatten(0, -2)
        return self.cell(given, hidden.flatten(0, -2)).view_as(hidden)

    @override
    def position(self, hidden: Float[Tensor, "*U D"]) -> Float[Tensor, "*U D"]:
        return hidden @ self.readout.T
