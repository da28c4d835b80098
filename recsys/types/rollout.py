"""Groups of rewarded slates, from which objectives learn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.record import TensorRecord


@dataclass(frozen=True)
class Rollout(TensorRecord):
    """`G` candidate slates of `S` slots for each of `P` requests, with log-probabilities and rewards.

    A single item is a slate with `S = 1`. Log-probabilities are in nats, over the legal items of each slot.

    Args:
        items: `[P, G, S]`, items of the slates, −1 for no item.
        token_log_prob: `[P, G, S, L]`, log π_θ of each code of each item given the earlier slots, with gradient. The
            sum is the log-probability of the slate. The last code of an item includes the correction for excluded
            items.
        behaviour_log_prob: `[P, G, S, L]`, the same under the policy that sampled the group, without gradient.
        reward: `[P, G]`, reward of the slate; the sum of `slot_reward` if slots are rewarded. Finite where there is a
            candidate.
        slot_reward: `[P, G, S]`, reward of each slot; None if only slates are rewarded.
        logged_log_prob: `[P, S, L]`, log π_θ of the logged answer, with gradient, whether or not it is in the group;
            None if there is no logged answer.
        is_logged: `[P, G]`, true for the candidate that is the logged answer; None if there is no logged answer.
        reference_log_prob: `[P, G, S, L]`, the same as `token_log_prob` under the reference policy, without gradient;
            None without a KL term.
        log_inclusion: `[P, G]`, log-probability that the candidate is in the group (stochastic beams); None for groups
            that are not sampled without replacement.
        shared_codes: `[P, G]`, number of leading codes that the candidate shares with the logged item (`S = 1`).
        value: `[P, S]`, value of each slot by a critic; None without a critic.
    """

    items: Int[Tensor, "P G S"]
    token_log_prob: Float[Tensor, "P G S L"]
    behaviour_log_prob: Float[Tensor, "P G S L"]
    reward: Float[Tensor, "P G"]
    slot_reward: Float[Tensor, "P G S"] | None = None
    logged_log_prob: Float[Tensor, "P S L"] | None = None
    is_logged: Bool[Tensor, "P G"] | None = None
    reference_log_prob: Float[Tensor, "P G S L"] | None = None
    log_inclusion: Float[Tensor, "P G"] | None = None
    shared_codes: Int[Tensor, "P G"] | None = None
    value: Float[Tensor, "P S"] | None = None

    def __len__(self) -> int:
        return self.items.shape[0]

    @property
    def slot_mask(self) -> Bool[Tensor, "P G S"]:
        """Mask of the slots that hold an item, `[P, G, S]`."""
        return self.items >= 0

    @property
    def mask(self) -> Bool[Tensor, "P G"]:
        """Mask of the candidates with an item in every slot, `[P, G]`. Other candidates are ignored."""
        return self.slot_mask.all(-1)

    @property
    def slot_log_prob(self) -> Float[Tensor, "P G S"]:
        """Log π_θ of each slot, `[P, G, S]`, with gradient; 0 for candidates outside the mask."""
        return self.token_log_prob.masked_fill(~self.mask[..., None, None], 0.0).sum(-1)

    @property
    def log_prob(self) -> Float[Tensor, "P G"]:
        """Log π_θ of each candidate, `[P, G]`, with gradient; 0 for candidates outside the mask."""
        return self.slot_log_prob.sum(-1)

    def candidates(self, columns: Int[Tensor, "P C"], keep: Bool[Tensor, "P #C"]) -> Rollout:
        """Return `C` candidates of each request, in the given order.

        `log_inclusion` is dropped: a part of a group is not sampled as the group was.

        Args:
            columns: `[P, C]`, indices of candidates, from `0 .. G − 1`.
            keep: `[P, C]` or `[P, 1]`, false for candidates that are masked: they hold item −1.
        """
        rows = torch.arange(len(self), device=columns.device).unsqueeze(-1)

        def picked(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[rows, columns]

        return self.replace(
            items=self.items[rows, columns].masked_fill(~keep.unsqueeze(-1), -1),
            token_log_prob=picked(self.token_log_prob),
            behaviour_log_prob=picked(self.behaviour_log_prob),
            reward=picked(self.reward),
            slot_reward=picked(self.slot_reward),
            is_logged=picked(self.is_logged),
            reference_log_prob=picked(self.reference_log_prob),
            log_inclusion=None,
            shared_codes=picked(self.shared_codes),
        )
