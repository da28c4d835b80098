"""Features of requests and items in the simulators."""

from __future__ import annotations

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from recsys.errors import RequestError
from recsys.metrics.diversity import distance_to_history
from recsys.policies.hierarchical.session_summaries import recent_vectors
from recsys.ranges import at_least
from recsys.simulate.interest_evolution import InterestContext
from recsys.simulate.long_term_satisfaction import SatisfactionContext
from recsys.simulate.novelty_seeking import NoveltySeeking
from recsys.simulate.planted_groups import group_of
from recsys.types.context import Context
from recsys.types.session_context import SessionContext

AnyContext = TypeVar("AnyContext", bound=Context)


class TopicFeatures:
    """A video's topic, one-hot, and where asked how much the user likes it (`InterestEvolution`).

    Args:
        topics: `T`.
        personal: whether the user's interest in the topic comes as one number more.
    """

    def __init__(self, topics: int, personal: bool = True) -> None:
        at_least(1, topics=topics)
        self.topics = topics
        self.personal = personal
        self.width = topics + personal

    def __call__(self, context: Context) -> Float[Tensor, "B N F"]:
        """Return `F = topics` numbers an item, or one more."""
        seen = expect(context, InterestContext, "TopicFeatures")
        item = one_hot(seen.topics, self.topics).float()
        if not self.personal:
            return item
        return torch.cat([item, seen.interests.gather(1, seen.topics).unsqueeze(-1)], -1)


class ClickbaitFeatures:
    """1 and how much of clickbait an item is (`LongTermSatisfaction`)."""

    width = 2

    def __call__(self, context: Context) -> Float[Tensor, "B N 2"]:
        """Return two numbers an item."""
        clickbait = expect(context, SatisfactionContext, "ClickbaitFeatures").clickbait
        return torch.stack([torch.ones_like(clickbait), clickbait], -1)


class GroupFeatures:
    """An item's group, one-hot, and where asked the share of that group in the user's history (`PlantedGroups`).

    Args:
        num_items: `N`.
        groups: how many.
        personal: whether the share in the history comes as one number more.
    """

    def __init__(self, num_items: int, groups: int, personal: bool = True) -> None:
        at_least(1, num_items=num_items, groups=groups)
        self.group = group_of(num_items, groups)
        self.groups = groups
        self.personal = personal
        self.width = groups + personal

    def __call__(self, context: Context) -> Float[Tensor, "B N F"]:
        """Return `F = groups` numbers an item, or one more; the share is 0 for an empty history."""
        group = self.group.to(context.users.device)
        item = one_hot(group, self.groups).float().expand(len(context), -1, -1)
        if not self.personal:
            return item
        history = context.history
        had = torch.zeros(len(context), self.groups, device=group.device)
        had.index_put_((history.row_ids(), group[history.values]), torch.ones((), device=group.device), accumulate=True)
        share = had / had.sum(1, keepdim=True).clamp(min=1)
        return torch.cat([item, share[:, group].unsqueeze(-1)], -1)


class NoveltyFeatures:
    """What a linear model may know of an item in `NoveltySeeking`.

    For each item: 1; the cosine of its vector and the mean of those last consumed; its novelty, and that times each
    number of the user's profile. With `personal=false`: 1 and its vector.

    Args:
        simulator: whose items they are.
        personal: whether the numbers are of user and item.
    """

    def __init__(self, simulator: NoveltySeeking, personal: bool = True) -> None:
        self.vectors = simulator.items
        self.window = simulator.window
        self.personal = personal
        self.width = 3 + len(simulator.meaning) if personal else 1 + self.vectors.shape[1]

    def __call__(self, context: Context) -> Float[Tensor, "B N F"]:
        """Return `F` numbers an item; the cosine is 0 and the novelty 1 for an empty history."""
        seen = expect(context, SessionContext, "NoveltyFeatures")
        vectors = self.vectors.to(context.users.device)
        one = vectors.new_ones(len(seen), len(vectors), 1)
        if not self.personal:
            return torch.cat([one, vectors.expand(len(seen), -1, -1)], -1)
        history, known = recent_vectors(seen, vectors, self.window)
        cosine = normalize(history.sum(1), dim=1) @ vectors.T
        novelty = distance_to_history(vectors.unsqueeze(0), history, known).unsqueeze(-1)
        return torch.cat([one, cosine.unsqueeze(-1), novelty, novelty * seen.profile.unsqueeze(1)], -1)


def expect(context: Context, kind: type[AnyContext], reader: str) -> AnyContext:
    """Return the context as what a simulator shows.

    Args:
        context: some requests.
        kind: the class of the simulator's observations.
        reader: who reads it, for the message.

    Raises:
        RequestError: the context is of another class.
    """
    if not isinstance(context, kind):
        raise RequestError(
            f"{reader} reads a {kind.__name__}, found a {type(context).__name__}: choose features of this simulator"
        )
    return context
