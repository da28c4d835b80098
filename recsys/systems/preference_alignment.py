"""Iterative preference alignment: a policy learns which of its own slates a reward prefers (arXiv 2502.18965)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from recsys.data.datasets.training_data import TrainingData
from recsys.errors import ConfigurationError
from recsys.instantiation import PartError, make
from recsys.models.generators.generator import Generator
from recsys.objectives.likelihood import NextItemObjective
from recsys.objectives.preference import PreferenceObjective
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.policies.network_policy import NetworkPolicy
from recsys.ranges import at_least, is_seed, within
from recsys.rewards.contract import checked_reward
from recsys.rewards.finite import require_finite
from recsys.rewards.reward import Reward, compares_requests
from recsys.systems.group_sampling import GroupSampler
from recsys.systems.judged_validation import JudgedValidation
from recsys.systems.pairing import Candidates, Pairing, RewardedSlates
from recsys.systems.reference_policy import ReferencePolicy
from recsys.systems.seeds import step_generator
from recsys.systems.sequential import OptimizerFactory, PolicyFactory, SequentialSystem
from recsys.types.example import Example
from recsys.types.preference_pairs import PreferencePairs, ScoredPairs
from recsys.types.slates import without_repeats


class PreferenceAlignment(SequentialSystem):
    """`L = L_NTP + λ L_preference`, the second for a small random share of the requests.

    Each request is chosen with probability `pair_share`. For a chosen one, candidates come from the reference policy,
    which is the policy as it was when the epoch began (`EpochReference`); candidates that hold the same items in
    another order count once. The reward ranks them, and `pairing` takes a better and worse slates. Every request,
    chosen or not, also teaches the likelihood of its logged slate, which keeps the policy from forgetting.

    Validation is `JudgedValidation`: the model that rewards is never the judge. Logged in training, besides what the
    objective reports: `likelihood`, and `pairs`, their number.

    Source: Deng et al. 2025 (OneRec, arXiv 2502.18965), §3.4 and algorithm 2.

    Args:
        network: see `SequentialSystem`; usually what SFT left.
        sampler: candidates of a request.
        reward: of candidates, one number a slate.
        preference: the objective over the pairs.
        likelihood: `L_NTP`.
        reference: makes the reference policy of the starting network.
        pairing: takes pairs from candidates.
        validation: the judge of the slates that the policy finds.
        optimizer: see `SequentialSystem`.
        slots: S, items of a slate, at least 1; that of the logged slates.
        pair_share: probability that a request gets a pair, in [0, 1].
        preference_weight: λ, at least 0.
        seed: of the choice of requests and of samples.
        warmup_steps: see `SequentialSystem`.
        repeats: see `SequentialSystem`.
        policy: see `SequentialSystem`.

    Raises:
        ConfigurationError: a number is out of range, or the pairing compares rewards that the reward gives no common
            unit.
        NonFiniteError: by `training_step`, if a reward is NaN or infinite.
    """

    monitor: str = JudgedValidation.monitor

    def __init__(
        self,
        network: Generator[Any, Any],
        sampler: GroupSampler,
        reward: Reward,
        preference: PreferenceObjective,
        likelihood: NextItemObjective,
        reference: Callable[[Generator[Any, Any]], ReferencePolicy],
        pairing: Pairing,
        validation: JudgedValidation,
        optimizer: OptimizerFactory,
        slots: int = 5,
        pair_share: float = 0.01,
        preference_weight: float = 1.0,
        seed: int = 0,
        warmup_steps: int = 20,
        repeats: bool = False,
        policy: PolicyFactory = AutoregressiveSlatePolicy,
    ) -> None:
        at_least(1, slots=slots)
        within(0, 1, pair_share=pair_share)
        at_least(0, preference_weight=preference_weight)
        is_seed(seed=seed)
        super().__init__(network, optimizer, warmup_steps, repeats, policy)
        problem = _no_common_unit(pairing, reward)
        if problem is not None:
            raise ConfigurationError(f"pairing={type(pairing).__name__}: {problem}")
        self.sampler = sampler
        self.reward = reward
        self.preference = preference
        self.likelihood = likelihood
        self.reference = reference(network)
        self.pairing = pairing
        self.validation = validation
        self.slots = slots
        self.pair_share = pair_share
        self.preference_weight = preference_weight
        self.seed = seed
        self._batches = 0

    @staticmethod
    def check_data(node: DictConfig, batches: TrainingData, key: str) -> None:
        """Refuse a pairing that compares what the scalar of the reward does not, before anything is trained.

        Args:
            node: configuration of the system.
            batches: data module of the training.
            key: of the system, for the message.
        """
        scalariser = node.reward.get("scalariser")
        if scalariser is None:
            return
        problem = _no_common_unit(make(node.pairing, key=f"{key}.pairing"), make(scalariser, key=f"{key}.reward"))
        if problem is not None:
            raise PartError(f"{key}.pairing", f"{problem} ({key}.reward.scalariser)")

    def training_step(self, batch: Example, batch_index: int) -> Tensor:
        """Return the likelihood of the logged slates, and the preference of the pairs of the chosen requests."""
        self.reference.follow(self.network, self.current_epoch, self.global_step)
        memory, examples = self.encode(batch)
        loss = self.likelihood(self.network, memory, examples)
        logged = {"likelihood": loss.detach()}
        generator = step_generator(self.seed, self.global_rank, self._batches, self.device)
        self._batches += 1
        drawn = torch.rand(len(examples), generator=generator, device=self.device) < self.pair_share
        rows = drawn.nonzero().squeeze(-1)
        if len(rows) and self.preference_weight:
            chosen = examples.select(rows)
            paired, pairs = self._pairs(chosen, generator)
            logged["pairs"] = loss.new_tensor(len(pairs))
            if len(pairs):
                scored = self._scored(pairs, self.network.select(memory, rows[paired]))
                preferred = self.preference(scored)
                loss = loss + self.preference_weight * preferred.value
                logged |= {**preferred.diagnostics, "preference_loss": preferred.value.detach()}
        self.log_training({**logged, "loss": loss.detach()}, len(examples))
        return loss

    def validation_step(self, batch: Example, batch_index: int) -> None:
        """Log what the judge thinks of the slates that the policy finds now, and how they differ."""
        self.log_dict(self.validation.figures(self.policy, batch, self.slots), batch_size=len(batch))

    def on_validation_epoch_end(self) -> None:
        """Log which share of the catalogue any candidate held."""
        self.log_dict(self.validation.epoch_figures(self.network.trie.num_items))

    @torch.no_grad()
    def _pairs(self, examples: Example, generator: torch.Generator) -> tuple[Tensor, PreferencePairs]:
        """Return which of the requests have a pair, and the pairs."""
        older, now = self.make_policy(self.reference.network), self.policy
        found = Candidates(
            lambda: self._rewarded(older, examples, generator), lambda: self._rewarded(now, examples, generator)
        )
        return self.pairing(found, examples.context)

    def _rewarded(self, policy: NetworkPolicy, examples: Example, generator: torch.Generator) -> RewardedSlates:
        memory = policy.network.encode(examples.context)
        slates, _ = without_repeats(self.sampler(policy, memory, examples, self.slots, generator))
        name = type(self.reward).__name__
        reward = checked_reward(self.reward(examples, slates), slates, name)
        require_finite(reward, slates, name)
        return RewardedSlates(slates, reward.sum(-1) if reward.ndim == 3 else reward)

    def _scored(self, pairs: PreferencePairs, memory: Any) -> ScoredPairs:
        """Score the pairs under the policy, with gradient, and under the reference."""
        items = torch.cat([pairs.better.items, pairs.worse.items], 1)
        policy = self.policy.log_prob_from(memory, pairs.context, items).sum(-1)
        with torch.no_grad():
            older = self.make_policy(self.reference.network)
            encoded = older.network.encode(pairs.context)
            reference = older.log_prob_from(encoded, pairs.context, items).sum(-1)
        return ScoredPairs(
            policy[:, 0], policy[:, 1:], pairs.weight, reference[:, 0], reference[:, 1:], pairs.consistency
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep how many batches were drawn from."""
        checkpoint["preference_batches"] = self._batches

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the next batch's draws."""
        self._batches = checkpoint["preference_batches"]


def _no_common_unit(pairing: Pairing, reward: object) -> str | None:
    """Return what is wrong with a reward, or its scalariser, for a pairing; None where nothing is."""
    if not pairing.compares_groups or compares_requests(reward):
        return None
    return (
        f"it compares rewards of two groups of candidates, and {type(reward).__name__} those of one group only: set "
        "its scalariser to one with one unit for all, such as {_target_: recsys.rewards.learned.ProbabilitySum}"
    )
