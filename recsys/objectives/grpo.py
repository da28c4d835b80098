"""Group relative policy optimisation, as ReRe trains with it."""

from __future__ import annotations

from torch import Tensor

from recsys.objectives.advantages import group_normalised
from recsys.objectives.group import Group, Loss
from recsys.objectives.kl import kl_penalty
from recsys.objectives.ratio import clipped, clipped_surrogate, token_log_ratio
from recsys.objectives.reduce import mean_in_groups, mean_of


def grpo(group: Group, *, clip: float = 0.2, kl_weight: float = 0.0, epsilon: float = 1e-4) -> Loss:
    """`−mean_p mean_i mean_l [ min(ρ_il A_i, clip(ρ_il) A_i) − β · k3_il ]`.

    `ρ_il = π_θ(code l of y_i) / π_old(…)`, and `A_i = (r_i − mean r) / (std r + ε)` within the request's group. The
    mean over codes makes gradients `1 / L` as long as the policy gradient's. Groups whose rewards are all equal add
    nothing but stay in the mean; `recsys.objectives.repair.informative` drops them.

    Bias: the division by std gives requests different weights and couples a candidate's advantage to its own draw. In
    the oracle test (six items, G = 3 draws with replacement, first inner step, `1 / L` undone) a hit reward leaves the
    direction exact and makes the gradient 1.1545 times as long; graded rewards of both signs have cosine .9881 to the
    exact policy gradient and 1.0775 times its length. On the four most probable items instead of draws (`Drawn.TOP`)
    the cosine is .8449; see `truncated_expectation`.

    Args:
        group: with `reference_log_prob` where there is a KL term.
        clip: ε of PPO, half-width of the window of ρ outside which a candidate gets no more gradient; no effect at the
            first inner step, where ρ = 1.
        kl_weight: β; 1e-3 in ReRe. 0 needs no reference.
        epsilon: added to the standard deviation.

    Source: Shao et al., "DeepSeekMath" (arXiv 2402.03300), section 4.1; docs/papers.md#objectives.
    """
    advantage = group_normalised(group.reward, group.alive, epsilon=epsilon).unsqueeze(-1)
    log_ratio = token_log_ratio(group)
    surrogate = clipped_surrogate(log_ratio, advantage, clip, clip)
    held = clipped(log_ratio, advantage, clip, clip)
    return _with_kl(group, -mean_in_groups(surrogate.mean(-1), group.alive), kl_weight, held)


def released_grpo(group: Group, *, kl_weight: float = 1e-3, epsilon: float = 1e-4) -> Loss:
    """ReRe's and MiniOneRec's released form: `ρ = π_θ / sg(π_θ)`, so that it is 1 at every step and never clipped.

    Bias: that of `grpo`. Equal to it at the first inner step; at later ones it ignores that the group was drawn by an
        older policy.

    Args:
        group: `behaviour_log_prob` is not read.
        kl_weight: β; 1e-3 in the released scripts.
        epsilon: added to the standard deviation; 1e-4 in the released code.

    Source: `rere_trainer.py` of ReRe's released code; docs/papers.md#paper-and-released-code.
    """
    advantage = group_normalised(group.reward, group.alive, epsilon=epsilon)
    log_prob = group.token_log_prob.masked_fill(~group.alive.unsqueeze(-1), 0.0).mean(-1)
    surrogate = (log_prob - log_prob.detach()).exp() * advantage
    return _with_kl(group, -mean_in_groups(surrogate, group.alive), kl_weight, None)


def _with_kl(group: Group, loss: Tensor, kl_weight: float, held: Tensor | None) -> Loss:
    penalty = kl_penalty(group, kl_weight)
    alive = group.alive.unsqueeze(-1).expand_as(group.token_log_prob)
    share = loss.new_zeros(()) if held is None else mean_of(held.to(loss.dtype), alive)
    return Loss(loss + penalty, {"clip_fraction": share, "kl_penalty": penalty.detach()})
