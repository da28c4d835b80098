"""Group policy optimisation: reward groups of candidates, move the policy (ReRe: Tan et al., arXiv 2510.12211)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.models.generators.generator import Generator
from recsys.objectives.group_transforms import shared_codes
from recsys.objectives.likelihood import cross_entropy
from recsys.objectives.objective import Objective
from recsys.objectives.rl_diagnostics import rl_diagnostics, unique_share
from recsys.policies.generative import GenerativePolicy
from recsys.rewards.reward import Reward
from recsys.systems.group_sampling import GroupSampler
from recsys.systems.sequential import OptimizerFactory, SequentialSystem, encode_prefixes
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.rollout import Rollout
from recsys.types.slates import SamplingMethod, Slates


@dataclass
class Held:
    """What a rollout leaves for the optimizer steps that learn from it.

    Args:
        rows: `[P]`, which prefixes of the batch were rolled out.
        items: `[P, G, S]`, −1 where there is no item.
        reward: `[P, G]`.
        behaviour: `[P, G, S, L]`, log-probabilities when sampled.
        log_inclusion: `[P, G]` or None.
    """

    rows: Int[Tensor, " P"]
    items: Int[Tensor, "P G S"]
    reward: Float[Tensor, "P G"]
    behaviour: Float[Tensor, "P G S L"] | None = None
    log_inclusion: Float[Tensor, "P G"] | None = None

    def plain(self) -> dict[str, Any]:
        """The fields by name, as a checkpoint keeps them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to(self, device: torch.device) -> Held:
        """The same on another device."""
        return Held(**{name: value.to(device) for name, value in self.plain().items() if value is not None})


class GroupPolicyOptimisation(SequentialSystem):
    """Draw a group of candidates a request, reward them, move the policy.

    The policy that is drawn from, scored and moved is one and the same, by default that over the request's legal set.
    A sequence is encoded once: rollout and first score share its states (dropout included), so that the first inner
    step is exactly on-policy.

    Args:
        network: see `SequentialSystem`; usually what SFT left.
        rollout: draws each request's group.
        reward: of each candidate.
        objective: of the rewarded group.
        optimizer: see `SequentialSystem`.
        policy: makes the policy of the network; `UnmaskedPolicy` reproduces released code.
        request_share: share of a batch's prefixes that are rolled out, in (0, 1].
        inner_steps: training steps on each group; `fit` gives each batch so often in a row
            (`recsys.data.datasets.loader.RepeatBatches`).
        keep: chooses the groups that are learnt from (`recsys.objectives.group_transforms.informative`); None keeps
            all.
        ntp_weight: weight of the next-item loss (cross-entropy over the legal set) mixed in, at least 0.
        reference: keep a frozen copy of the starting network and score the group under it (for KL terms).
        seed: of the draws; they depend on it, the process and the number of groups before, so that a resumed run equals
            the other.
        warmup_steps: see `SequentialSystem`.
        repeats: see `SequentialSystem`.
    """

    def __init__(
        self,
        network: Generator[Any, Any],
        rollout: GroupSampler,
        reward: Reward,
        objective: Objective,
        optimizer: OptimizerFactory,
        policy: Callable[[Generator[Any, Any]], GenerativePolicy] = GenerativePolicy,
        request_share: float = 0.5,
        inner_steps: int = 1,
        keep: Callable[[Rollout], Rollout] | None = None,
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
        self.make_policy = policy
        self.request_share = request_share
        self.inner_steps = inner_steps
        self.keep = keep
        self.ntp_weight = ntp_weight
        self.seed = seed
        self.reference = copy.deepcopy(network).requires_grad_(False).eval() if reference else None
        self._held: Held | None = None
        self._groups = 0

    @property
    def policy(self) -> GenerativePolicy:
        """The network as the policy that is drawn from, scored and moved."""
        return self.make_policy(self.network)

    def training_step(self, batch: Context, batch_index: int) -> Tensor:
        """One group a request, one step of the objective."""
        memory, examples = self.encode(batch)
        if self._held is None or batch_index % self.inner_steps == 0:
            self._held = self._roll_out(memory, examples)
        held = self._held
        frozen = self._reference_memory(batch, examples.context, held.rows)
        memory, examples = self.network.select(memory, held.rows), examples.select(held.rows)
        group = self.group(memory, examples, held, frozen)
        held.behaviour = group.behaviour_log_prob
        loss = self.objective(group if self.keep is None else self.keep(group))
        watched = {**rl_diagnostics(group), **loss.diagnostics, "unique_share": unique_share(held.items)}
        self.log_training({**watched, "loss": loss.value.detach()}, len(examples))
        return loss.value + self.ntp_weight * cross_entropy(group).value if self.ntp_weight else loss.value

    def group(self, memory: Any, examples: Example, held: Held, reference_memory: Any = None) -> Rollout:
        """The rewarded group as the objective sees it; candidates and logged item are scored in one call."""
        context, logged = examples.context, examples.slates.items
        asked = torch.cat([held.items.where((held.items >= 0).all(-1, keepdim=True), logged), logged], 1)
        scores = self.policy.log_prob_from(memory, context, asked)
        frozen = None
        if self.reference is not None:
            with torch.no_grad():
                policy = self.make_policy(self.reference)
                frozen = policy.log_prob_from(reference_memory, context, asked)[:, :-1]
        paths = self.network.trie.path(asked)
        return Rollout(
            items=held.items,
            token_log_prob=scores[:, :-1],
            behaviour_log_prob=scores[:, :-1].detach() if held.behaviour is None else held.behaviour,
            reward=held.reward,
            logged_log_prob=scores[:, -1],
            is_logged=(held.items == logged).all(-1),
            reference_log_prob=frozen,
            log_inclusion=held.log_inclusion,
            shared_codes=shared_codes(paths[:, :-1], paths[:, -1]),
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep how many groups were drawn, and the rollout that later inner steps learn from."""
        held = self._held if self.inner_steps > 1 else None
        checkpoint["rollout"] = {"groups": self._groups, "held": None if held is None else held.plain()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the rollout of the checkpoint."""
        rollout = checkpoint["rollout"]
        self._groups = rollout["groups"]
        self._held = None if rollout["held"] is None else Held(**rollout["held"])

    def on_train_start(self) -> None:
        """A rollout that came with a checkpoint moves to where training takes place."""
        if self._held is not None:
            self._held = self._held.to(self.device)

    @torch.no_grad()
    def _roll_out(self, memory: Any, examples: Example) -> Held:
        draw = self.seed * 1_000_003 + self._groups + (self.global_rank << 40)
        generator = torch.Generator(self.device).manual_seed(draw)
        self._groups += 1
        count = max(1, round(self.request_share * len(examples)))
        order = torch.randperm(len(examples), generator=generator, device=generator.device)
        rows = order[:count].sort().values
        asked = examples.select(rows)
        slates: Slates = self.rollout(self.policy, self.network.select(memory, rows), asked, generator)
        inclusion = slates.log_inclusion if slates.sampling_method is SamplingMethod.WITHOUT_REPLACEMENT else None
        return Held(rows, slates.items, self.reward(asked, slates), None, inclusion)

    def _reference_memory(self, batch: Context, requests: Context, rows: Int[Tensor, " R"]) -> Any:
        if self.reference is None:
            return None
        self.reference.eval()
        with torch.no_grad():
            return self.reference.select(encode_prefixes(self.reference, batch, requests), rows)
