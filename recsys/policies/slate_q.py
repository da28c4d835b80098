"""The policy of SlateQ: slates of the items that are likely to be chosen and worth choosing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.decode.top_k import top_k
from recsys.objectives.slate_q import item_worth, slate_value
from recsys.policies.bandits.greedy import EpsilonGreedy
from recsys.policies.bandits.posteriors import Features
from recsys.policies.feature_network import FeatureCritic, FeatureScorer
from recsys.policies.scorer import Scorer
from recsys.ranges import at_least, within
from recsys.types.context import Context


@dataclass(frozen=True)
class SlateQValues:
    """What SlateQ knows of `B` requests.

    Args:
        choice: `[B, N]`, score of choosing each item in nats, against 0 for choosing nothing.
        value: `[B, N]`, `Q(s,i)`, what is earned from now on if the item is chosen, in the reward's unit.
        no_choice: `[B]`, `Q(s,⊥)`, the same if nothing is chosen.
    """

    choice: Float[Tensor, "B N"]
    value: Float[Tensor, "B N"]
    no_choice: Float[Tensor, " B"]

    def of_slates(self, items: Int[Tensor, "B S"]) -> Float[Tensor, " B"]:
        """Return the value of one slate a request, `[B]`; slots with −1 are empty."""
        place = items.clamp(min=0)
        return slate_value(self.choice.gather(1, place), self.value.gather(1, place), items >= 0, self.no_choice)

    def best_slates(self, users: Int[Tensor, " B"], illegal: Bool[Tensor, "B N"], slots: int) -> Int[Tensor, "B S"]:
        """Return the slate of the top-k rule for each request, `[B, S]`, −1 where no legal item is left.

        Args:
            users: of the requests; the user and the items fix the order of equal items (`recsys.decode.top_k`).
            illegal: items outside the legal set.
            slots: `S`; above `N`, only `N` are returned.
        """
        worth = item_worth(self.choice, self.value, self.no_choice).clamp(min=torch.finfo(self.value.dtype).min)
        found, items = top_k(worth.masked_fill(illegal, float("-inf")), min(slots, worth.shape[1]), users)
        return items.masked_fill(found.isneginf(), -1)


class SlateQNetwork(nn.Module):
    """Networks over features of items: choice scores, and values as advantages over choosing nothing.

    `Q(s,i) = Q(s,⊥) + A(φ_i)`: what a state is worth is learned once for all of its items.

    Args:
        features: features of every item for each request.
        hidden: number of units of each hidden layer.
    """

    def __init__(self, features: Features, hidden: int = 64) -> None:
        at_least(1, hidden=hidden)
        super().__init__()
        self.choice = FeatureScorer(features, hidden)
        self.advantage = FeatureScorer(features, hidden)
        self.no_choice = FeatureCritic(features, hidden)

    def forward(self, context: Context) -> SlateQValues:
        """Return scores and values of every item, legal or not."""
        no_choice = self.no_choice(context)
        return SlateQValues(self.choice(context), no_choice.unsqueeze(1) + self.advantage(context), no_choice)


class SlateQPolicy(EpsilonGreedy):
    """Slates of the items with the largest `v(s,i) (Q(s,i) − Q(s,⊥))`, with ε-greedy exploration slot by slot.

    Slates have the exact log-probabilities of `EpsilonGreedy`: each slot holds the best item that is left with
    probability `1 − ε`, else a uniform one. The user and the items fix which of several best items it is.

    Args:
        network: maps `B` requests to `SlateQValues`.
        num_items: number of items `N`.
        epsilon: probability `ε` of a uniform item, in [0, 1]; 0 is greedy.
    """

    def __init__(self, network: nn.Module, num_items: int, epsilon: float = 0.0) -> None:
        at_least(1, num_items=num_items)
        super().__init__(_Worth(network, num_items), epsilon)

    @property
    def network(self) -> nn.Module:
        """The network of the values."""
        assert isinstance(self.scorer, _Worth)
        return self.scorer.network

    @property
    def num_items(self) -> int:
        """Number of items `N`."""
        return self.scorer.num_items

    @classmethod
    def for_run(
        cls, materials: object, features: Features, num_items: int, hidden: int = 64, epsilon: float = 0.0
    ) -> SlateQPolicy:
        """Return a policy over a `SlateQNetwork` for a run, which needs nothing of what the run prepared.

        Args:
            materials: what the run prepared.
            features: see `SlateQNetwork`.
            num_items: see the class.
            hidden: see `SlateQNetwork`.
            epsilon: see the class; a training explores by itself (`recsys.systems.slate_q.SlateQ`).
        """
        at_least(1, num_items=num_items, hidden=hidden)
        within(0, 1, epsilon=epsilon)
        return cls(SlateQNetwork(features, hidden), num_items, epsilon)


class _Worth(nn.Module, Scorer):
    """Scores items by what they add to a slate."""

    def __init__(self, network: nn.Module, num_items: int) -> None:
        super().__init__()
        self.network = network
        self.num_items = num_items

    @override
    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        values: SlateQValues = self.network(context)
        return item_worth(values.choice, values.value, values.no_choice)
