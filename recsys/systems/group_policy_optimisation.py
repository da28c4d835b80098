"""Group policy optimisation: reward groups of candidates, move the policy (ReRe: Tan et al., arXiv 2510.12211)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.models.generators.generator import Generator
from recsys.objectives.group_terms import group_mean
from recsys.objectives.group_transforms import shared_codes
from recsys.objectives.likelihood import NextItemObjective, cross_entropy
from recsys.objectives.objective import Objective
from recsys.objectives.rl_diagnostics import rl_diagnostics, unique_share
from recsys.policies.generative import GenerativePolicy
from recsys.ranges import above, at_least, is_seed, within
from recsys.rewards.combined import with_parts
from recsys.rewards.contract import checked_reward
from recsys.rewards.finite import not_finite, require_finite, without
from recsys.rewards.reward import Reward
from recsys.systems.group_sampling import GroupSampler
from recsys.systems.judged_validation import JudgedValidation
from recsys.systems.reference_policy import ReferencePolicy
from recsys.systems.seeds import step_generator
from recsys.systems.sequential import OptimizerFactory, PolicyFactory, SequentialSystem, encode_examples
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.rollout import Rollout
from recsys.types.slates import SamplingMethod, Slates


class GroupPolicyOptimisation(SequentialSystem):
    """Sample a group of candidate slates a request, reward them, move the policy.

    The policy that is sampled, scored and moved is one and the same, by default that over the request's legal set. A
    sequence is encoded once: sampling and first score share its states (dropout included), so that the first inner step
    is exactly on-policy.

    The parts of a weighted sum of rewards are logged one by one, as `train/reward/<name>`.

    With a `likelihood`, all requests of a batch teach the likelihood of their logged answers, and a few of them are
    rolled out besides: the stream of the log with reward mixed in (OneRec Technical Report, arXiv 2506.13695). With a
    `validation`, a judge decides which weights are kept, instead of the rank of the logged items.

    A candidate whose reward is NaN or infinite stops the training, unless `mask_non_finite_rewards` leaves it out of
    its group; `train/reward/masked_candidates` then counts those of a batch. The rest of such a group is no sample of
    the policy any more: estimates that rely on its sampling are biased.

    Args:
        network: see `SequentialSystem`; usually what SFT left.
        sampler: samples each request's group.
        reward: of each candidate: one number a slate, or one a slot.
        objective: of the rewarded group.
        optimizer: see `SequentialSystem`.
        slots: S, items of a candidate, at least 1. Logged answers with as many are compared with and learned from.
        request_share: share of a batch's requests that are rolled out, in (0, 1].
        inner_steps: training steps on each group; `fit` gives each batch so often in a row
            (`recsys.data.datasets.loader.RepeatBatches`).
        group_filter: chooses the groups that are learned from (`recsys.objectives.group_transforms.informative`); None
            keeps all.
        ntp_weight: weight of the likelihood of the log that is mixed in, at least 0.
        likelihood: over all requests of a batch, whether rolled out or not; None takes that over the legal set of the
            requests that are rolled out, which are scored anyway.
        reference: makes the reference policy of the starting network, under which each group is scored (KL terms,
            preferences): `FrozenReference`, `EpochReference`, `MovingAverageReference`; None for no reference.
        seed: of the samples; they depend on it, the process and the number of groups before, so that a resumed run
            equals the other.
        warmup_steps: see `SequentialSystem`.
        repeats: see `SequentialSystem`.
        policy: see `SequentialSystem`; `AutoregressiveSlatePolicy` for slots that depend on each other.
        mask_non_finite_rewards: whether candidates with a reward of NaN or infinity are left out and counted, instead
            of stopping the training.
        validation: the judge of the slates that the policy finds; None ranks the logged items (`SequentialSystem`).

    Raises:
        ConfigurationError: `slots` is below 1, or `request_share` outside (0, 1].
        NonFiniteError: by `training_step`, if a reward is NaN or infinite; names the part and the candidate.
    """

    def __init__(
        self,
        network: Generator[Any, Any],
        sampler: GroupSampler,
        reward: Reward,
        objective: Objective,
        optimizer: OptimizerFactory,
        slots: int = 1,
        request_share: float = 0.5,
        inner_steps: int = 1,
        group_filter: Callable[[Rollout], Rollout] | None = None,
        ntp_weight: float = 0.0,
        likelihood: NextItemObjective | None = None,
        reference: Callable[[Generator[Any, Any]], ReferencePolicy] | None = None,
        seed: int = 0,
        warmup_steps: int = 20,
        repeats: bool = False,
        policy: PolicyFactory = GenerativePolicy,
        mask_non_finite_rewards: bool = False,
        validation: JudgedValidation | None = None,
    ) -> None:
        at_least(1, inner_steps=inner_steps)
        at_least(0, ntp_weight=ntp_weight)
        is_seed(seed=seed)
        at_least(1, slots=slots)
        above(0, request_share=request_share)
        within(0, 1, request_share=request_share)
        super().__init__(network, optimizer, warmup_steps, repeats, policy)
        self.sampler = sampler
        self.reward = reward
        self.objective = objective
        self.slots = slots
        self.request_share = request_share
        self.inner_steps = inner_steps
        self.group_filter = group_filter
        self.ntp_weight = ntp_weight
        self.likelihood = likelihood
        self.validation = validation
        if validation is not None:
            self.monitor = validation.monitor
        self.mask_non_finite_rewards = mask_non_finite_rewards
        self.seed = seed
        self.reference = None if reference is None else reference(network)
        self._rows: Tensor | None = None
        self._rollout: Rollout | None = None
        self._reward_parts: dict[str, Tensor] = {}
        self._groups = 0

    def training_step(self, batch: Context | Example, batch_index: int) -> Tensor:
        """Return the objective of one group a request."""
        if self.reference is not None:
            self.reference.follow(self.network, self.current_epoch, self.global_step)
        memory, examples = self.encode(batch)
        if self._rollout is None or self._rows is None or batch_index % self.inner_steps == 0:
            rollout = self._roll_out(batch, memory, examples)
        else:
            rollout = self._scored_again(self._rollout, self._rows, memory, examples)
        self._rollout = rollout.detach()
        loss = self.objective(rollout if self.group_filter is None else self.group_filter(rollout))
        logged = {**rl_diagnostics(rollout), **loss.diagnostics, "unique_share": unique_share(rollout.items)}
        logged |= {f"reward/{name}": value for name, value in self._reward_parts.items()}
        total = loss.value
        if self.ntp_weight:
            likelihood = self._likelihood(rollout, memory, examples)
            logged["likelihood"] = likelihood.detach()
            total = total + self.ntp_weight * likelihood
        self.log_training({**logged, "loss": loss.value.detach()}, len(rollout))
        return total

    def validation_step(self, batch: Example, batch_index: int) -> None:
        """Log what the judge thinks of the slates that the policy finds now; without one, as `SequentialSystem`."""
        if self.validation is None:
            super().validation_step(batch, batch_index)
        else:
            self.log_dict(self.validation.figures(self.policy, batch, self.slots), batch_size=len(batch))

    def on_validation_epoch_end(self) -> None:
        """Log which share of the catalogue any candidate held, where there is a judge."""
        if self.validation is not None:
            self.log_dict(self.validation.epoch_figures(self.network.trie.num_items))

    def _likelihood(self, rollout: Rollout, memory: Any, examples: Example) -> Tensor:
        """Return the loss of the log that is mixed in."""
        if self.likelihood is None:
            return cross_entropy(rollout).value
        return self.likelihood(self.network, memory, examples)

    def _roll_out(self, batch: Context | Example, memory: Any, examples: Example) -> Rollout:
        """Sample, reward and score a group for some of the requests; the first inner step is on-policy."""
        generator = step_generator(self.seed, self.global_rank, self._groups, self.device)
        self._groups += 1
        count = max(1, round(self.request_share * len(examples)))
        order = torch.randperm(len(examples), generator=generator, device=generator.device)
        self._rows = rows = order[:count].sort().values
        reference_memory = self._reference_memory(batch, examples, rows)
        memory, examples = self.network.select(memory, rows), examples.select(rows)
        with torch.no_grad():
            slates = self.sampler(self.policy, memory, examples, self.slots, generator)
            reward, slates = self._rewarded(examples, slates)
        asked, logged = self._asked(slates.items, examples)
        scores = self.policy.log_prob_from(memory, examples.context, asked)
        candidates = slates.items.shape[1]
        paths = self.network.trie.path(asked)
        return Rollout(
            items=slates.items,
            token_log_prob=scores[:, :candidates],
            behaviour_log_prob=scores[:, :candidates].detach(),
            reward=reward.sum(-1) if reward.ndim == 3 else reward,
            slot_reward=reward if reward.ndim == 3 else None,
            logged_log_prob=None if logged is None else scores[:, -1],
            is_logged=None if logged is None else (slates.items == logged).all(-1),
            reference_log_prob=self._reference_log_prob(reference_memory, examples, asked, candidates),
            log_inclusion=slates.log_inclusion
            if slates.sampling_method is SamplingMethod.WITHOUT_REPLACEMENT
            else None,
            shared_codes=None if logged is None else shared_codes(paths[:, :-1], paths[:, -1]),
        )

    def _rewarded(self, examples: Example, slates: Slates) -> tuple[Float[Tensor, "P G *S"], Slates]:
        """Return what candidates earn, all of it finite, and the candidates that are left; notes the parts."""
        found, parts = with_parts(self.reward, examples, slates)
        reward = checked_reward(found, slates, type(self.reward).__name__)
        counted: dict[str, Tensor] = {}
        if self.mask_non_finite_rewards:
            broken = not_finite(reward, slates)
            slates = without(slates, broken)
            reward = reward.masked_fill(broken.view(*broken.shape, *[1] * (reward.ndim - 2)), 0.0)
            counted["masked_candidates"] = broken.sum().to(reward.dtype)
        else:
            otherwise = ", or leave them out (system.mask_non_finite_rewards=true)"
            require_finite(reward, slates, type(self.reward).__name__, parts, otherwise)
        self._reward_parts = {name: group_mean(value, slates.mask) for name, value in parts.items()} | counted
        return reward, slates

    def _scored_again(self, rollout: Rollout, rows: Tensor, memory: Any, examples: Example) -> Rollout:
        """Return the same group under the policy of a later inner step."""
        memory, examples = self.network.select(memory, rows), examples.select(rows)
        asked, logged = self._asked(rollout.items, examples)
        scores = self.policy.log_prob_from(memory, examples.context, asked)
        return rollout.replace(
            token_log_prob=scores[:, : rollout.items.shape[1]],
            logged_log_prob=None if logged is None else scores[:, -1],
        )

    def _asked(self, items: Int[Tensor, "P G S"], examples: Example) -> tuple[Tensor, Tensor | None]:
        """Return what is scored in one call: the candidates, and behind them the logged answer."""
        logged = examples.slates.items
        if logged.shape[1:] != (1, self.slots):
            return items, None
        return torch.cat([items, logged], 1), logged

    @torch.no_grad()
    def _reference_memory(self, batch: Context | Example, examples: Example, rows: Int[Tensor, " R"]) -> Any:
        if self.reference is None:
            return None
        network = self.reference.network
        return network.select(encode_examples(network, batch, examples), rows)

    @torch.no_grad()
    def _reference_log_prob(
        self, memory: Any, examples: Example, asked: Tensor, candidates: int
    ) -> Float[Tensor, "P G S L"] | None:
        if self.reference is None:
            return None
        policy = self.make_policy(self.reference.network)
        return policy.log_prob_from(memory, examples.context, asked)[:, :candidates]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep how many groups were sampled, and the rollout that later inner steps learn from."""
        checkpoint["rollout"] = {"groups": self._groups, "last": None}
        if self.inner_steps > 1 and self._rollout is not None:
            named = {field.name: getattr(self._rollout, field.name) for field in fields(self._rollout)}
            checkpoint["rollout"]["last"] = {"rows": self._rows, "rollout": named, "reward_parts": self._reward_parts}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the rollout of the checkpoint."""
        self._groups, last = checkpoint["rollout"]["groups"], checkpoint["rollout"]["last"]
        if last is not None:
            self._rows, self._rollout = last["rows"], Rollout(**last["rollout"])
            self._reward_parts = last["reward_parts"]

    def on_train_start(self) -> None:
        """Move a rollout that came with a checkpoint to where training takes place."""
        if self._rollout is not None and self._rows is not None:
            self._rollout, self._rows = self._rollout.to(self.device), self._rows.to(self.device)
            self._reward_parts = {name: value.to(self.device) for name, value in self._reward_parts.items()}
