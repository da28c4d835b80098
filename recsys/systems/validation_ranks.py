"""Ranks of logged items under a policy, by which a training is validated: over the whole catalogue, or by a search."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.metrics.ranking import rank_in_scores
from recsys.policies.network_policy import NetworkPolicy
from recsys.ranges import at_least
from recsys.types.context import Context


@runtime_checkable
class RankFunction(Protocol):
    """Ranks logged items among what each request allows."""

    def __call__(self, policy: NetworkPolicy, context: Context, items: Int[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        """Return the rank of each item as the only one of its slate, from 1; items of equal probability share ranks.

        Args:
            policy: what ranks.
            context: the requests.
            items: `[B, S]`, items whose ranks are asked for.
        """
        ...


def ranks_in_catalogue(policy: NetworkPolicy, context: Context, items: Int[Tensor, "B S"]) -> Float[Tensor, "B S"]:
    """Rank each item exactly, by the probability of every item; 0 for one that the request does not allow.

    A generator walks its whole trie for this, in memory that grows with requests times items.
    """
    scores = policy.catalogue_log_prob(context)
    return torch.stack([rank_in_scores(scores, item) for item in items.unbind(1)], 1)


def ranks_by_search(
    policy: NetworkPolicy, context: Context, items: Int[Tensor, "B S"], *, depth: int = 10
) -> Float[Tensor, "B S"]:
    """Rank each item among the best that a beam search finds; 0 for one that it does not find.

    What is served is found by the same search. A metric at `k ≤ depth` differs from the exact one only where the search
    misses an item; on a catalogue of 7,432 items it takes a fortieth of the time (docs/log.md, "Sessions").

    Args:
        policy: what ranks.
        context: the requests.
        items: `[B, S]`, items whose ranks are asked for; −1 has rank 0.
        depth: items that are searched for, at least 1.

    Raises:
        ConfigurationError: `depth` is below 1.
    """
    at_least(1, depth=depth)
    found = policy.top(context, min(depth, policy.network.trie.num_items))
    listed, log_prob = found.items[:, :, 0].unsqueeze(1), found.log_prob[:, :, 0].unsqueeze(1)
    same = (listed == items.unsqueeze(-1)) & (listed >= 0)
    own = log_prob.masked_fill(~same, float("-inf")).amax(-1, keepdim=True)
    higher, equal = (log_prob > own).sum(-1), (log_prob == own).sum(-1)
    rank = 1 + higher + (equal - 1) / 2
    return torch.where(same.any(-1), rank, 0.0)
