"""SlateQ: the value of a slate from the values of its items and a model of which of them a user chooses."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.models.slates.choice import choice_log_prob, click_log_prob


def slate_value(
    choice: Float[Tensor, "*B S"],
    value: Float[Tensor, "*B S"],
    shown: Bool[Tensor, "*B S"],
    no_choice: Float[Tensor, "*B"],
) -> Float[Tensor, "*B"]:
    """Return `Q(s, A) = Σ_{i∈A} P(i|s,A) Q(s,i) + P(⊥|s,A) Q(s,⊥)`, in the reward's unit.

    `P(i|s,A) = v(s,i) / (1 + Σ_{j∈A} v(s,j))` is the conditional logit with `v = exp(choice)` and an outside option ⊥
    of score 0, which loses no generality. It is exact where a user chooses at most one item, and reward and next state
    depend on the slate by the chosen item alone. Choosing nothing is an item of every slate with a value of its own:
    it earns nothing, and the session goes on from the next request. A slate without items is worth `Q(s,⊥)`.

    Source: Ie et al. 2019, "Reinforcement learning for slate-based recommender systems: a tractable decomposition and
    practical methodology" (arXiv 1905.12767), section 4.

    Args:
        choice: score of each slot, in nats, finite if the slot shows an item.
        value: `Q(s,i)` of each slot; not read where the slot is empty.
        shown: true for slots that show an item.
        no_choice: `Q(s,⊥)`.

    >>> two = torch.tensor([True, True])
    >>> slate_value(torch.tensor([0.0, 0.6931472]), torch.tensor([4.0, 8.0]), two, torch.tensor(2.0))  # (4 + 16 + 2)/4
    tensor(5.5000)
    """
    probability = choice_log_prob(choice, shown, torch.zeros_like(no_choice)).exp()
    return (probability * torch.cat([value.masked_fill(~shown, 0.0), no_choice.unsqueeze(-1)], -1)).sum(-1)


def chosen_value(
    value: Float[Tensor, "*B S"], no_choice: Float[Tensor, "*B"], chosen: Int[Tensor, "*B"]
) -> Float[Tensor, "*B"]:
    """Return `Q(s,i)` of the chosen slot, and `Q(s,⊥)` where nothing was chosen (−1)."""
    slot = chosen.where(chosen >= 0, value.shape[-1]).unsqueeze(-1)
    return torch.cat([value, no_choice.unsqueeze(-1)], -1).gather(-1, slot).squeeze(-1)


def item_worth(
    choice: Float[Tensor, "*B N"], value: Float[Tensor, "*B N"], no_choice: Float[Tensor, "*B"]
) -> Float[Tensor, "*B N"]:
    """Return `v(s,i) (Q(s,i) − Q(s,⊥))` of every item, up to a positive factor of the request.

    The `S` largest are the slate of the paper's top-k rule. There the value of no choice is 0; where it is not, values
    are counted from it, since `Q(s,A) − Q(s,⊥) = Σ v (Q − Q⊥) / (1 + Σ v)`. The rule is exact for slates of one item
    with equal `v`, and otherwise a heuristic: the best slate can be another one. The factor makes the largest `v` 1.

    Source: Ie et al. 2019, section 5.

    Args:
        choice: score of each item, in nats, finite.
        value: `Q(s,i)`.
        no_choice: `Q(s,⊥)`.

    >>> item_worth(torch.tensor([0.0, 0.6931472]), torch.tensor([4.0, 3.0]), torch.tensor(2.0))  # 2 and 2 · 1
    tensor([1., 1.])
    """
    relative = (choice - choice.amax(-1, keepdim=True)).exp()
    return relative * (value - no_choice.unsqueeze(-1))


def temporal_difference_target(
    reward: Float[Tensor, "T B"], following: Float[Tensor, "T B"], done: Bool[Tensor, "T B"], discount: float
) -> Float[Tensor, "T B"]:
    """Return `r + γ (1 − d) Q(s', A')`, in the reward's unit: what the chosen item, or no choice, should be worth.

    With the next slate that was shown as `A'` it is the target of SARSA, with the best one that of Q-learning.

    Source: Ie et al. 2019, section 4.

    Args:
        reward: `[T, B]`, what each step earned.
        following: `[T, B]`, `Q(s', A')` of the next request, without gradient; not read where the session is over.
        done: `[T, B]`, true where the session is over after the step.
        discount: `γ`, in [0, 1].
    """
    return reward + discount * following.masked_fill(done, 0.0)


def temporal_difference_loss(value: Float[Tensor, " R"], target: Float[Tensor, " R"]) -> Float[Tensor, ""]:
    """Return `½ mean (Q − target)²`, in the square of the reward's unit; 0 where there are no steps."""
    return 0.5 * (value - target).square().sum() / max(len(value), 1)


def choice_loss(
    choice: Float[Tensor, "R S"], shown: Bool[Tensor, "R S"], chosen: Int[Tensor, " R"]
) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood (nats) of what was chosen; 0 where there are no slates with items.

    Args:
        choice: score of each slot, finite if the slot shows an item.
        shown: true for slots that show an item.
        chosen: the chosen slot, or −1 for none.
    """
    informative = shown.any(-1)
    found = click_log_prob(choice, shown, choice.new_zeros(len(choice)), chosen)
    return -found[informative].sum() / max(int(informative.sum()), 1)
