"""ReRe: a generator trained with reward on groups found by constrained decoding (Tan et al., arXiv 2510.12211)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.data.context import Context
from recsys.data.prefixes import prefix_rows
from recsys.data.slates import Slates
from recsys.decode.score import score
from recsys.models.generator import PrefixGenerator
from recsys.objectives.group import Group, Objective
from recsys.objectives.health import health
from recsys.objectives.next_item import logged_item
from recsys.rewards.reward import Reward
from recsys.systems.rollout import Rollout
from recsys.systems.sequential import OptimizerFactory, SequentialSystem


class ReRe(SequentialSystem):
    """Draw a group of candidates a request, reward them, move the policy.

    The policy that is drawn from, scored and moved is the one over the request's legal set. A sequence is encoded once:
    rollout and score share its states (dropout included), so the first inner step is exactly on-policy.

    Args:
        network: see `SequentialSystem`; usually what SFT left.
        rollout: draws each request's group.
        reward: of each candidate.
        objective: of the rewarded group.
        optimizer: see `SequentialSystem`.
        request_share: share of a batch's prefixes that are rolled out, in (0, 1].
        ntp_weight: weight of the next-item loss (legal-set cross-entropy) mixed in, ≥ 0.
        reference: keep a frozen copy of the starting network and score the group under it (for KL terms).
        seed: of the draws; a step's draws depend on it and on the step alone, so that a resumed run equals the other.
        warmup_steps: see `SequentialSystem`.
        repeats: see `SequentialSystem`.
    """

    def __init__(
        self,
        network: PrefixGenerator[Any, Any],
        rollout: Rollout,
        reward: Reward,
        objective: Objective,
        optimizer: OptimizerFactory,
        request_share: float = 0.5,
        ntp_weight: float = 0.0,
        reference: bool = False,
        seed: int = 0,
        warmup_steps: int = 20,
        repeats: bool = False,
    ) -> None:
        super().__init__(network, optimizer, warmup_steps, repeats)
        self.rollout = rollout
        self.reward = reward
        self.objective = objective
        self.request_share = request_share
        self.ntp_weight = ntp_weight
        self.seed = seed
        self.reference = copy.deepcopy(network).requires_grad_(False).eval() if reference else None

    def training_step(self, batch: Context, batch_index: int) -> Tensor:
        """One group a request, one step of the objective."""
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + self.global_step)
        memory, requests = self.encode(batch)
        rows = self._share(len(requests), generator)
        memory, requests = self.network.select(memory, rows), requests.select(rows)
        with torch.no_grad():
            slates = self.rollout(self.policy, memory, requests, generator)
            rewards = self.reward(requests, slates)
        group = self.group(memory, requests, slates, rewards, self._reference_memory(batch, rows))
        loss = self.objective(group)
        target_log_prob = group.target_log_prob.sum(-1).mean()
        self.log_training({**health(group), **loss.diagnostics, "loss": loss.value.detach()}, len(requests))
        return loss.value - self.ntp_weight * target_log_prob if self.ntp_weight else loss.value

    def group(
        self, memory: Any, requests: Context, slates: Slates, rewards: Tensor, reference_memory: Any = None
    ) -> Group:
        """The rewarded group as the objective sees it; candidates and target are scored in one call."""
        items = slates.items.squeeze(-1)
        target = logged_item(requests)
        alive = slates.alive
        asked = torch.cat([items.where(alive, target), target], 1)
        scores = score(self.network, memory, requests, asked)
        frozen = None
        if self.reference is not None:
            with torch.no_grad():
                frozen = score(self.reference, reference_memory, requests, asked)[:, :-1]
        paths = self.network.trie.path(asked)
        return Group(
            token_log_prob=scores[:, :-1],
            behaviour_log_prob=scores[:, :-1].detach(),
            reward=rewards,
            is_target=(items == target) & alive,
            alive=alive,
            target_log_prob=scores[:, -1],
            reference_log_prob=frozen,
            log_inclusion=slates.log_inclusion,
            shared_codes=(paths[:, :-1] == paths[:, -1:]).sum(-1),
        )

    def _share(self, requests: int, generator: torch.Generator) -> Int[Tensor, " R"]:
        count = max(1, round(self.request_share * requests))
        order = torch.randperm(requests, generator=generator, device=generator.device)
        return order[:count].sort().values

    def _reference_memory(self, batch: Context, rows: Int[Tensor, " R"]) -> Any:
        if self.reference is None:
            return None
        self.reference.eval()
        with torch.no_grad():
            return self.reference.select(self.reference.encode_prefixes(batch), prefix_rows(batch)[rows])
