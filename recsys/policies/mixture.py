"""A mixture of policies, which is a policy again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.errors import ConfigurationError, RequestError
from recsys.metrics.ranking import ndcg, rank_in_scores
from recsys.policies.policy import ItemPolicy
from recsys.types.context import Context
from recsys.types.example import Example


class Mixture(ItemPolicy):
    """`π(i) = Σ_p w_p π_p(i)`: with probability `w_p` the choice is policy `p`'s.

    Every part is a distribution over the request's legal set, so the mixture is one too.

    Args:
        policies: the parts, all over one catalogue.
        weights: one a part, at least 0, summing to 1.

    Raises:
        ConfigurationError: weights that are not such.
    """

    log_weights: Tensor

    def __init__(self, policies: Sequence[ItemPolicy], weights: Sequence[float]) -> None:
        super().__init__()
        if len(policies) != len(weights) or min(weights, default=-1) < 0 or abs(sum(weights) - 1) > 1e-6:
            raise ConfigurationError(
                f"weights={list(weights)} of {len(policies)} policies: one a policy, at least 0, summing to 1, expected"
            )
        self.policies = nn.ModuleList(policies)
        self.register_buffer("log_weights", torch.tensor(list(weights)).log())

    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item; −inf outside the legal set."""
        parts = torch.stack([cast(ItemPolicy, policy).catalogue_log_prob(context) for policy in self.policies])
        weighted = parts + self.log_weights.view(-1, 1, 1)
        impossible = weighted.isneginf().all(0)
        # logsumexp of nothing but −inf has no gradient but NaN.
        return weighted.masked_fill(impossible, 0).logsumexp(0).masked_fill(impossible, float("-inf"))


@torch.no_grad()
def best_weight(
    first: ItemPolicy,
    second: ItemPolicy,
    examples: Example,
    *,
    candidates: Sequence[float] = tuple(step / 20 for step in range(21)),
    k: int = 10,
    batch_size: int = 256,
) -> float:
    """The weight `w` of `second` in `(1 − w) π_first + w π_second` with the highest mean NDCG@k; the lowest of equals.

    Each policy is asked once, whatever the number of candidates; memory is bounded by `batch_size × N`.

    Args:
        first: a policy.
        second: another over the same catalogue.
        examples: those of validation, never of test.
        candidates: weights tried, in [0, 1].
        k: cutoff.
        batch_size: requests at once.

    Raises:
        RequestError: there are no examples.
    """
    if len(examples) == 0:
        raise RequestError("a mixture's weight is chosen on held-out requests: give it those of validation")
    total = torch.zeros(len(candidates), dtype=torch.float64)
    for rows in torch.arange(len(examples), device=examples.item.device).split(batch_size):
        batch = examples.select(rows)
        ours, theirs = (policy.catalogue_log_prob(batch.context).exp() for policy in (first, second))
        shares = (ours.lerp(theirs, weight) for weight in candidates)
        total += torch.stack([ndcg(rank_in_scores(share.log(), batch.item), k).sum().cpu() for share in shares])
    return float(candidates[int(total.argmax())])
