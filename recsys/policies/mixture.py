"""Mixtures of policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError, NonFiniteError, RequestError
from recsys.metrics.ranking import ndcg, rank_in_scores
from recsys.policies.policy import ItemPolicy
from recsys.types.context import Context
from recsys.types.example import Example


class Mixture(ItemPolicy):
    """A mixture of policies: `π(i) = Σ_p w_p π_p(i)`.

    Every part is a distribution over the legal set of the request, and so is the mixture.

    Args:
        policies: the parts, over the same catalogue.
        weights: one weight for each part, at least 0; they sum to 1.

    Raises:
        ConfigurationError: the weights do not meet these conditions.
    """

    log_weights: Tensor

    def __init__(self, policies: Sequence[ItemPolicy], weights: Sequence[float]) -> None:
        super().__init__()
        if len(policies) != len(weights) or min(weights, default=-1) < 0 or abs(sum(weights) - 1) > 1e-6:
            raise ConfigurationError(
                f"weights={list(weights)} of {len(policies)} policies: expected one for each, at least 0, with sum 1"
            )
        self.policies = nn.ModuleList(policies)
        self.register_buffer("log_weights", torch.tensor(list(weights)).log())

    @override
    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        parts = torch.stack([cast(ItemPolicy, policy).catalogue_log_prob(context) for policy in self.policies])
        weighted = parts + self.log_weights.view(-1, 1, 1)
        impossible = weighted.isneginf().all(0)
        # The gradient of logsumexp is NaN if all its inputs are −inf.
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
    """Return the weight `w` of `second` for which `(1 − w) π_first + w π_second` has the highest mean NDCG@k.

    Ties go to the smaller weight; items of equal probability share their mean rank. Each policy is evaluated once.
    Memory is bounded by `batch_size × N` numbers.

    Args:
        first: a policy.
        second: another policy over the same catalogue.
        examples: validation examples, never test examples.
        candidates: weights to try, in [0, 1].
        k: cutoff of the metric.
        batch_size: number of requests that are evaluated at once.

    Raises:
        RequestError: there are no examples.
        NonFiniteError: a policy gives an item the log-probability NaN.
    """
    if len(examples) == 0:
        raise RequestError("there are no examples to choose the weight of a mixture by. Pass validation examples")
    total = torch.zeros(len(candidates), dtype=torch.float64)
    for rows in torch.arange(len(examples), device=examples.item.device).split(batch_size):
        batch = examples.select(rows)
        ours, theirs = (_probabilities(policy, batch.context) for policy in (first, second))
        shares = (ours.lerp(theirs, weight) for weight in candidates)
        total += torch.stack([ndcg(rank_in_scores(share.log(), batch.item), k).sum().cpu() for share in shares])
    return float(candidates[int(total.argmax())])


def _probabilities(policy: ItemPolicy, context: Context) -> Float[Tensor, "B N"]:
    """Return the probability of every item; a broken policy would win or lose by accident, and is refused."""
    found = policy.catalogue_log_prob(context).exp()
    if found.isnan().any():
        raise NonFiniteError(
            f"{type(policy).__name__}: a log-probability is NaN, so no weight of a mixture can be chosen: its training "
            "has diverged; train it again, for instance with a smaller learning rate"
        )
    return found
