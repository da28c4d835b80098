"""LambdaRank's pairwise loss with NDCG as the reward."""

from __future__ import annotations

from jaxtyping import Float, Num
from torch import Tensor
from torch.nn.functional import softplus

from recsys.objectives.group_terms import masked_mean
from recsys.objectives.objective import Loss, require_is_logged, require_logged_log_prob, require_one_slot
from recsys.ranges import above, at_least
from recsys.types.rollout import Rollout


def gain_at(rank: Num[Tensor, "*shape"], cutoff: int) -> Float[Tensor, "*shape"]:
    """`1 / log2(rank + 1)` for `rank ≤ cutoff`, else 0: NDCG of a single relevant item at that rank (from 1).

    >>> import torch
    >>> gain_at(torch.tensor([1, 3, 11]), 10)
    tensor([1.0000, 0.5000, 0.0000])
    """
    return (1 / (rank + 1).log2()).masked_fill(rank > cutoff, 0.0)


def lambda_ndcg(rollout: Rollout, *, cutoff: int = 10, temperature: float = 1.0) -> Loss:
    """`mean_p Σ_j |ΔNDCG@K(t, j)| · τ · softplus((s_j − s_t) / τ)` with scores `s = log π_θ`.

    `j` runs over the group without the target `t`; `ΔNDCG@K(t, j) = gain(rank_t) − gain(rank_j)` is what exchanging the
    two would change, with ranks taken in the group and the target together, and held constant in the gradient. A pair
    of which neither stands among the first `K` weighs nothing. The group should hold the most probable legal items,
    each once (`SamplingMethod.TOP`; 200 in `rere_lambda`); whether the target is among them makes no difference. A pair
    of equal scores counts as if the target stood first, so that it is told apart; the diagnostic `ndcg` gives the
    target the mean rank of those it ties with, and 0 where a score is NaN.

    Bias: NDCG of a deterministic ranking has no gradient, so that this is no estimate of one: it is a bound whose steps
    move the pairs that NDCG counts. For the hit reward of the oracle test (six items, the four most probable in the
    group) it has cosine .9709 to the exact policy gradient, of which it is 11.87 times the length; it reaches targets
    outside the group, where a policy gradient over the same group is 0.

    Args:
        rollout: of single items, with the logged ones; rewards are not read.
        cutoff: K of NDCG@K; at least that many candidates should be in the group.
        temperature: τ, nats; small values tell only the pairs near the boundary, large ones all pairs alike.

    Raises:
        ConfigurationError: slates have several slots, or the rollout does not know the logged item.

    Source: Burges, "From RankNet to LambdaRank to LambdaMART" (2010), section 4; docs/log.md has its figures.
    """
    at_least(1, cutoff=cutoff)
    above(0, temperature=temperature)
    require_one_slot(rollout, "lambda_ndcg")
    logged = require_logged_log_prob(rollout, "lambda_ndcg").flatten(1)
    legal = logged.isfinite().all(-1)
    target = logged.masked_fill(~legal.unsqueeze(-1), 0.0).sum(-1, keepdim=True)
    rival = rollout.mask & ~require_is_logged(rollout, "lambda_ndcg") & legal.unsqueeze(-1)
    score = rollout.log_prob
    ahead = rival & (score.detach() > target.detach())
    target_rank = 1 + ahead.sum(-1, keepdim=True)
    order = score.detach().masked_fill(~rival, float("-inf")).argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(-1) + 1 + (~ahead).long()
    weight = (gain_at(target_rank, cutoff) - gain_at(rank, cutoff)).abs().to(score.dtype)
    pair = weight * temperature * softplus((score - target) / temperature)
    loss = masked_mean(pair.masked_fill(~rival, 0.0).sum(-1), legal)
    tied = (rival & (score.detach() == target.detach())).sum(-1, keepdim=True)
    broken = (score.isnan() & rival).any(-1, keepdim=True) | target.isnan()
    gain = gain_at(target_rank + tied.to(score.dtype) / 2, cutoff).masked_fill(broken, 0.0)
    return Loss(loss, {"ndcg": masked_mean(gain.squeeze(-1), legal)})
