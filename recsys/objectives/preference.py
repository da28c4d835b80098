"""Preference objectives: DPO and its kin, from pairs of a better and worse slates."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from recsys.errors import ConfigurationError
from recsys.objectives.objective import Loss
from recsys.ranges import above, at_least, below, within
from recsys.types.preference_pairs import ScoredPairs

CERTAIN = -1e-6
"""The largest log-probability of a slot of which odds are taken: the odds of a certain slot are infinite."""


@runtime_checkable
class PreferenceObjective(Protocol):
    """A pure function of scored pairs; its options are bound by configuration (`_partial_: true`).

    The loss is the weighted mean over the pairs, `Σ_p w_p ℓ_p / Σ_p w_p`, and 0 without a weight. Several worse slates
    of a pair share its weight, except in `softmax_dpo`. A pair of weight 0 has no influence, whatever it holds; other
    log-probabilities are finite. Letters: `y⁺` the better slate, `y⁻` a worse one, `π` the policy, `π_ref` the
    reference, `Δ(y) = log π(y) − log π_ref(y)`, all in nats.
    """

    def __call__(self, pairs: ScoredPairs) -> Loss:
        """Return the loss of one batch."""
        ...


def dpo(pairs: ScoredPairs, *, beta: float = 0.1, label_noise: float = 0.0) -> Loss:
    """`−(1 − ε) log σ(h) − ε log σ(−h)` with `h = β (Δ(y⁺) − Δ(y⁻))`: DPO, and cDPO where ε is above 0.

    At equal policies and ε = 0 it is log 2, with the gradient `−β/2 (∇ log π(y⁺) − ∇ log π(y⁻))`. Where preferences
    follow Bradley and Terry's model of a reward `r`, its minimum is `π ∝ π_ref · exp(r / β)`.

    Args:
        pairs: with the reference's log-probabilities.
        beta: β, above 0: how strongly the policy is held to the reference; .1 in the paper.
        label_noise: ε, in [0, .5]: the share of preferences that are believed to be wrong.

    Raises:
        ConfigurationError: the pairs have no reference, or an option is outside its range.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), equation 7; Mitchell 2023, "A note on DPO with noisy preferences",
    for ε.
    """
    above(0, beta=beta)
    within(0, 0.5, label_noise=label_noise)
    margin = beta * _gain(pairs, "dpo")
    each = (1 - label_noise) * -logsigmoid(margin)
    if label_noise:
        each = each - label_noise * logsigmoid(-margin)
    return _loss(pairs, each, margin)


def robust_dpo(pairs: ScoredPairs, *, beta: float = 0.1, label_noise: float = 0.1) -> Loss:
    """`[−(1 − ε) log σ(h) + ε log σ(−h)] / (1 − 2ε)` with `h` of `dpo`: rDPO.

    Its expectation over preferences of which a share ε is flipped is the loss of `dpo` on the right ones.

    Args:
        pairs: with the reference's log-probabilities.
        beta: see `dpo`.
        label_noise: ε, in [0, .5).

    Raises:
        ConfigurationError: the pairs have no reference, or an option is outside its range.

    Source: Chowdhury et al. 2024 (arXiv 2403.00409), equation 12.
    """
    above(0, beta=beta)
    at_least(0, label_noise=label_noise)
    below(0.5, label_noise=label_noise)
    margin = beta * _gain(pairs, "robust_dpo")
    each = ((1 - label_noise) * -logsigmoid(margin) + label_noise * logsigmoid(-margin)) / (1 - 2 * label_noise)
    return _loss(pairs, each, margin)


def ipo(pairs: ScoredPairs, *, beta: float = 0.1) -> Loss:
    """`(Δ(y⁺) − Δ(y⁻) − 1 / (2β))²`: the gap is drawn to a finite size, so that certain preferences do not diverge.

    Args:
        pairs: with the reference's log-probabilities.
        beta: β, above 0 (τ in the paper).

    Raises:
        ConfigurationError: the pairs have no reference, or β is not positive.

    Source: Azar et al. 2023 (arXiv 2310.12036), equation 17.
    """
    above(0, beta=beta)
    gain = _gain(pairs, "ipo")
    return _loss(pairs, (gain - 1 / (2 * beta)).square(), beta * gain)


def softmax_dpo(pairs: ScoredPairs, *, beta: float = 0.1) -> Loss:
    """`−log σ(−log Σ_w exp(β (Δ(y⁻_w) − Δ(y⁺))))`: S-DPO, one better slate against all worse ones; `dpo` for `W = 1`.

    Args:
        pairs: with the reference's log-probabilities.
        beta: see `dpo`.

    Raises:
        ConfigurationError: the pairs have no reference, or β is not positive.

    Source: Chen et al. 2024 (arXiv 2406.09215), equation 12.
    """
    above(0, beta=beta)
    margin = -(-beta * _gain(pairs, "softmax_dpo")).logsumexp(-1, keepdim=True)
    return _loss(pairs, -logsigmoid(margin), margin)


def cpo(pairs: ScoredPairs, *, beta: float = 0.1, likelihood_weight: float = 1.0) -> Loss:
    """`−log σ(β (log π(y⁺) − log π(y⁻))) − λ log π(y⁺)`: CPO, likelihood beside DPO with a uniform reference.

    Args:
        pairs: scored by the policy.
        beta: β, above 0.
        likelihood_weight: λ, at least 0.

    Raises:
        ConfigurationError: an option is outside its range.

    Source: Xu et al. 2024 (arXiv 2401.08417), equations 3 to 5.
    """
    above(0, beta=beta)
    at_least(0, likelihood_weight=likelihood_weight)
    better, worse = pairs.better.sum(-1, keepdim=True), pairs.worse.sum(-1)
    margin = beta * (better - worse)
    return _loss(pairs, -logsigmoid(margin) - likelihood_weight * better, margin)


def simpo(pairs: ScoredPairs, *, beta: float = 2.0, target_margin: float = 1.0) -> Loss:
    """`−log σ(β/S (log π(y⁺) − log π(y⁻)) − γ)`: SimPO, the mean log-probability of a slot as the reward.

    Args:
        pairs: scored by the policy.
        beta: β, above 0; 2 to 2.5 in the paper.
        target_margin: γ, at least 0, nats; .3 to 1.6 in the paper.

    Raises:
        ConfigurationError: an option is outside its range.

    Source: Meng et al. 2024 (arXiv 2405.14734), equation 6.
    """
    above(0, beta=beta)
    at_least(0, target_margin=target_margin)
    margin = beta * (pairs.better.mean(-1, keepdim=True) - pairs.worse.mean(-1)) - target_margin
    return _loss(pairs, -logsigmoid(margin), margin)


def orpo(pairs: ScoredPairs, *, odds_weight: float = 0.1) -> Loss:
    """`−log π(y⁺) − α log σ(z(y⁺) − z(y⁻))` with `z(y) = Σ_s log(π_s / (1 − π_s))`: ORPO over the slots of a slate.

    `π_s` is the probability of slot `s` given the earlier slots. A slot that is certain has the odds of one with the
    log-probability `CERTAIN`, and no gradient there.

    Args:
        pairs: scored by the policy.
        odds_weight: α, at least 0; .1 in HiGR.

    Raises:
        ConfigurationError: α is negative.

    Source: Hong et al. 2024 (arXiv 2403.07691), equations 4 to 7; over slots as in HiGR (arXiv 2512.24787).
    """
    at_least(0, odds_weight=odds_weight)
    margin = _log_odds(pairs.better).unsqueeze(-1) - _log_odds(pairs.worse)
    return _loss(pairs, -pairs.better.sum(-1, keepdim=True) - odds_weight * logsigmoid(margin), margin)


def raft(pairs: ScoredPairs) -> Loss:
    """`−log π(y⁺)`: RAFT, supervised training on the best of a group; worse slates have no influence.

    Source: Dong et al. 2023 (arXiv 2304.06767), algorithm 1.
    """
    margin = pairs.better.sum(-1, keepdim=True) - pairs.worse.sum(-1)
    return _loss(pairs, -pairs.better.sum(-1, keepdim=True).expand_as(margin), margin)


def consistency_weighted(pairs: ScoredPairs, *, objective: PreferenceObjective) -> Loss:
    """`C_p ℓ(y⁺, y⁻) + (1 − C_p) ℓ(y⁻, y⁺)`: CREAM, any objective on preferences that are trusted in part.

    `C_p = 1` is the objective itself, `C_p = 0` the reversed preference, and ½ the mean of both.

    Args:
        pairs: with `consistency` and one worse slate each.
        objective: ℓ, of pairs with one worse slate.

    Raises:
        ConfigurationError: the pairs have no consistency, or several worse slates.

    Source: Wang et al. 2024 (arXiv 2410.12735), equation 9; docs/papers.md#preference-objectives.
    """
    if pairs.consistency is None:
        raise ConfigurationError(
            "consistency_weighted needs the consistency of each pair: let the pairing tell it "
            "(`pairing.consistency={_target_: recsys.systems.pairing.rank_consistency, _partial_: true}`)"
        )
    if pairs.worse.shape[1] != 1:
        raise ConfigurationError(
            f"consistency_weighted reverses pairs of one worse slate, found {pairs.worse.shape[1]}: use worse=1"
        )
    trusted, doubted = pairs.weight * pairs.consistency, pairs.weight * (1 - pairs.consistency)
    forward = objective(pairs.replace(weight=trusted))
    backward = objective(_reversed(pairs).replace(weight=doubted))
    total = pairs.weight.sum()
    total = total.masked_fill(total == 0, 1.0)
    value = (forward.value * trusted.sum() + backward.value * doubted.sum()) / total
    known = {**objective(pairs.detach()).diagnostics, "consistency": (pairs.weight * pairs.consistency).sum() / total}
    return Loss(value, known)


def _reversed(pairs: ScoredPairs) -> ScoredPairs:
    better, worse = pairs.reference_better, pairs.reference_worse
    return pairs.replace(
        better=pairs.worse.squeeze(1),
        worse=pairs.better.unsqueeze(1),
        reference_better=None if worse is None else worse.squeeze(1),
        reference_worse=None if better is None else better.unsqueeze(1),
    )


def _gain(pairs: ScoredPairs, objective: str) -> Float[Tensor, "P W"]:
    """Return `Δ(y⁺) − Δ(y⁻)`."""
    if pairs.reference_better is None or pairs.reference_worse is None:
        raise ConfigurationError(
            f"{objective} compares with a reference policy, but the pairs have no reference log-probabilities: give "
            "the system one (`reference: frozen`)"
        )
    better = (pairs.better - pairs.reference_better).sum(-1, keepdim=True)
    gain = better - (pairs.worse - pairs.reference_worse).sum(-1)
    return gain.masked_fill((pairs.weight == 0).unsqueeze(-1), 0.0)


def _log_odds(log_prob: Float[Tensor, "*slates S"]) -> Float[Tensor, "*slates"]:
    log_prob = log_prob.clamp(max=CERTAIN)
    return (log_prob - torch.log(-torch.expm1(log_prob))).sum(-1)


def _loss(pairs: ScoredPairs, each: Float[Tensor, "P W"], margin: Float[Tensor, "P W"]) -> Loss:
    """Return the weighted mean over the pairs, with what the policy thinks of them.

    - `preference_margin`: what the logistic function of the objective is given, no unit.
    - `preference_accuracy`: share of pairs with a positive margin.
    - `better_log_prob`, `worse_log_prob`: log π, nats. Both may fall while their gap grows (squeezing).
    """
    total = pairs.weight.sum()
    share = pairs.weight / total.masked_fill(total == 0, 1.0)
    fixed = margin.detach()

    def mean(value: Tensor) -> Tensor:
        return (share * value.masked_fill(share == 0, 0.0)).sum()

    diagnostics = {
        "preference_margin": mean(fixed.mean(-1)),
        "preference_accuracy": mean((fixed > 0).to(share.dtype).mean(-1)),
        "better_log_prob": mean(pairs.better.detach().sum(-1)),
        "worse_log_prob": mean(pairs.worse.detach().sum(-1).mean(-1)),
    }
    return Loss(mean(each.mean(-1)), diagnostics)
