"""The rewarded groups that an objective learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.record import TensorRecord


@dataclass(frozen=True)
class Rollout(TensorRecord):
    """`G` candidate slates of `S` slots for each of `P` requests, scored and rewarded.

    A single item is the case `S = 1`. Log-probabilities are natural, over the items that a request allows at a slot.

    Args:
        items: `[P, G, S]`, −1 where there is no item.
        token_log_prob: `[P, G, S, L]`, with gradient: log π_θ of each code of each item given the slots before it;
            their sum is the slate's log-probability (the correction for excluded items sits on an item's last code).
        behaviour_log_prob: `[P, G, S, L]`, without gradient: the same under the policy that sampled the group.
        reward: `[P, G]`, of the whole slate; the sum of `slot_reward` where each slot is rewarded.
        slot_reward: `[P, G, S]`, what each slot earned by itself; None where only slates are rewarded.
        logged_log_prob: `[P, S, L]`, with gradient: log π_θ of the logged answer, whether or not it is in the group;
            None where there is no logged answer.
        is_logged: `[P, G]`, true where the candidate is the logged answer; None where there is none.
        reference_log_prob: `[P, G, S, L]`, without gradient, under the reference policy; None without a KL term.
        log_inclusion: `[P, G]`: log-probability that the candidate is among the group (stochastic beams); None for
            groups that are not drawn without replacement.
        shared_codes: `[P, G]`, integer: how many leading codes the candidate shares with the logged item (`S = 1`).
        value: `[P, S]`, what a critic expected of each slot; None without a critic.
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
        """`[P, G, S]`, true where a slot holds an item."""
        return self.items >= 0

    @property
    def mask(self) -> Bool[Tensor, "P G"]:
        """`[P, G]`, true where the candidate has an item in every slot; everything else is ignored."""
        return self.slot_mask.all(-1)

    @property
    def slot_log_prob(self) -> Float[Tensor, "P G S"]:
        """`[P, G, S]`, with gradient: log π_θ of each slot; 0 where the candidate is masked."""
        return self.token_log_prob.masked_fill(~self.mask[..., None, None], 0.0).sum(-1)

    @property
    def log_prob(self) -> Float[Tensor, "P G"]:
        """`[P, G]`, with gradient: log π_θ of each candidate; 0 where it is masked."""
        return self.slot_log_prob.sum(-1)

    def candidates(self, columns: Int[Tensor, "P C"], keep: Bool[Tensor, "P #C"]) -> Rollout:
        """Return `C` candidates of each request, in the order named; masked where they are not kept.

        `log_inclusion` is left out: some candidates of a group are not sampled as the group was.

        Args:
            columns: `[P, C]`, which candidates, each in `0 .. G − 1`.
            keep: `[P, C]` or `[P, 1]`; the others hold item −1.
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
