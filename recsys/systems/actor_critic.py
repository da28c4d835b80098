"""Actor-critic learning: a policy and a critic that learn from what the policy does in a simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import lightning
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.nn.optimizer import make_optimizer
from recsys.objectives.actor_critic import ActorCriticSteps, proximal_policy_optimisation
from recsys.objectives.objective import Loss
from recsys.objectives.returns import generalised_advantages, standardised
from recsys.policies.hierarchical.choices import SessionChoices
from recsys.policies.latent import LatentPolicy, Latents
from recsys.policies.policy import ItemPolicy
from recsys.ranges import at_least, within
from recsys.rewards.novelty import IntrinsicReward
from recsys.rewards.reward import Reward
from recsys.systems.sequential import OptimizerFactory
from recsys.systems.trajectories import checked_value, choice_loss, rewarded
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.trajectory import Trajectory


@dataclass(frozen=True)
class LatentLevel:
    """How the latent actions of a policy are learned, each of which lasts until the next one is drawn.

    A latent action is worth the discounted rewards until the next one, and from there on what generalised advantages
    make of it: with `R` the rewards of its steps, `A = R + γ_h (…) − V`, the critic's value where it was drawn.

    Args:
        discount: `γ_h`, in [0, 1]: what a reward behind the next latent action is worth, beside the `γ` of steps.
        trace: `λ_h`, in [0, 1]: how far the rewards behind it count instead of the critic.
        weight: of its loss beside that of the slates, at least 0.
        intrinsic: what slates earn beside the reward for following the latent actions, in its step alone; neither the
            critic nor the latent actions see it. None for nothing.

    Raises:
        ConfigurationError: a number is out of range.
    """

    discount: float = 0.99
    trace: float = 0.95
    weight: float = 1.0
    intrinsic: IntrinsicReward | None = None

    def __post_init__(self) -> None:
        within(0, 1, discount=self.discount, trace=self.trace)
        at_least(0, weight=self.weight)


class ActorCritic(lightning.LightningModule):
    """Move a slate policy towards slates that were worth more than a critic expected.

    It learns from minibatches of trajectories (`recsys.rollouts.data.SimulatorData`): advantages by the critic's values
    at collection, log-probabilities of whole slates, steps after a session left out. Validation is the mean reward of
    an episode on fixed users.

    A `LatentPolicy` learns on two levels from the same critic: slates given the latent actions, step by step, and the
    latent actions where they were drawn (`LatentLevel`).

    Args:
        policy: shows slates; its `log_prob`, or those of its two levels, carry gradient.
        critic: maps `B` requests to what is expected of them, `[B]`, in the reward's unit.
        optimizer: makes the optimizer of the parameters of both.
        objective: the loss of a minibatch's steps; options are bound by configuration.
        discount: `γ`, in [0, 1]: what a reward one step later is worth.
        trace: `λ` of generalised advantages, in [0, 1].
        scale_advantages: of a minibatch, given advantages and which steps count; `as_they_are` leaves them.
        latent: how the latent actions of a `LatentPolicy` are learned; None for any other policy.
        choice_weight: of `−log p(choices)` a choice, in reward a nat, of a policy that says what users choose
            (`SessionChoices`); 0 learns from rewards alone.
        reward: what steps are worth, from the requests, slates and feedback of the trajectory; parts of a weighted sum
            are logged one by one. None takes the channel `reward` of the feedback.
        stride: of the steps from which slates and critic learn: each optimizer step takes every so many-th, beginning
            one later than the one before. Scoring catalogues costs many times what choices and latent actions cost,
            which learn from all steps.

    Raises:
        ConfigurationError: a number is out of range; `latent` is given for a policy without latent actions, or missing
            for one that has them; choices count for a policy that says nothing of them.
    """

    monitor: ClassVar[str] = "validation/reward"
    mode: ClassVar[Literal["min", "max"]] = "max"
    artifact: ClassVar[ArtifactKind] = ArtifactKind.POLICY

    def __init__(
        self,
        policy: ItemPolicy,
        critic: nn.Module,
        optimizer: OptimizerFactory,
        objective: Callable[[ActorCriticSteps], Loss] = proximal_policy_optimisation,
        discount: float = 0.99,
        trace: float = 0.95,
        scale_advantages: Callable[[Tensor, Tensor], Tensor] = standardised,
        latent: LatentLevel | None = None,
        choice_weight: float = 0.0,
        reward: Reward | None = None,
        stride: int = 1,
    ) -> None:
        super().__init__()
        within(0, 1, discount=discount, trace=trace)
        at_least(0, choice_weight=choice_weight)
        at_least(1, stride=stride)
        if choice_weight and not isinstance(policy, SessionChoices):
            raise ConfigurationError(
                f"choice_weight: {type(policy).__name__} does not say what users choose: leave system.choice_weight out"
            )
        if (latent is not None) != isinstance(policy, LatentPolicy):
            has = (
                "has no latent actions: leave system.latent out" if latent else "has latent actions: set system.latent"
            )
            raise ConfigurationError(f"latent: {type(policy).__name__} {has}")
        self.policy = policy
        self.critic = critic
        self.optimizer = optimizer
        self.objective = objective
        self.discount = discount
        self.trace = trace
        self.scale_advantages = scale_advantages
        self.latent = latent
        self.intrinsic = None if latent is None else latent.intrinsic  # here, so that it moves to the device
        self.choice_weight = choice_weight
        self.reward = reward
        self.stride = stride

    def value(self, context: Context) -> Float[Tensor, " B"]:
        """Return what the critic expects of each request from now on, in the reward's unit."""
        return self.critic(context)

    def training_step(self, batch: Trajectory, batch_index: int) -> Tensor:
        """Return the objective of the active steps of some users' trajectories."""
        batch, parts = rewarded(batch, self.reward)
        loss = self._loss(self.steps(batch, self.global_step % self.stride))
        total, watched = loss.value, {**loss.diagnostics, **parts, "reward": batch.reward.sum(0).mean()}
        if self.latent is not None:
            high = self._loss(self.latent_steps(batch))
            total = total + self.latent.weight * high.value
            watched |= {f"latent/{name}": value for name, value in high.diagnostics.items()}
        if self.choice_weight:
            assert isinstance(self.policy, SessionChoices)
            choices = choice_loss(self.policy, batch)
            total = total + self.choice_weight * choices
            watched["choice_loss"] = choices.detach()
        watched["loss"] = total.detach()
        self.log_dict({f"train/{name}": value for name, value in watched.items()}, batch_size=batch.users)
        return total

    def _loss(self, steps: ActorCriticSteps) -> Loss:
        """Return the objective; 0, and nothing to watch, where no step counts."""
        if not len(steps.log_prob):
            return Loss(steps.log_prob.sum() + steps.value.sum(), {})
        return self.objective(steps)

    def steps(self, batch: Trajectory, first: int = 0) -> ActorCriticSteps:
        """Return what the objective sees of some users' trajectories.

        Args:
            batch: with the critic's values.
            first: of the steps that count; every `stride`-th from it on does.

        Raises:
            NonFiniteError: a reward of a session, or what the critic expects of one, is NaN or infinite.
        """
        value = checked_value(batch)
        rates = {"discount": self.discount, "trace": self.trace}
        advantage = generalised_advantages(batch.reward, value, batch.done, batch.active, **rates)
        target = advantage + value[:-1]
        if self.intrinsic is not None:
            latents = _of_rows(batch, torch.arange(batch.active.numel(), device=batch.active.device))
            advantage = advantage + self.intrinsic(batch.example, latents).view_as(advantage)
        counts = torch.zeros_like(batch.active)
        counts[first :: self.stride] = batch.active[first :: self.stride]
        rows = counts.flatten().nonzero().squeeze(1)
        shown = batch.example.select(rows)
        empty = shown.slates.items < 0
        if isinstance(self.policy, LatentPolicy):
            found = self.policy.log_prob_given(shown.context, shown.slates, _of_rows(batch, rows))
        else:
            found = self.policy.log_prob(shown.context, shown.slates)
        log_prob, behaviour = (slots.masked_fill(empty, 0.0).sum((1, 2)) for slots in (found, shown.slates.log_prob))
        return ActorCriticSteps(
            log_prob=log_prob,
            behaviour_log_prob=behaviour,
            advantage=_flat(self.scale_advantages(advantage, batch.active), counts),
            value=self.value(shown.context),
            target=_flat(target, counts),
        )

    def latent_steps(self, batch: Trajectory) -> ActorCriticSteps:
        """Return what the objective sees of the latent actions that were drawn in some users' trajectories.

        The critic learns from the steps alone: value and target are equal here. One that was drawn before the first
        step is left out.

        Args:
            batch: with the critic's values and the policy's latent actions.

        Raises:
            NonFiniteError: see `steps`.
        """
        assert self.latent is not None and isinstance(self.policy, LatentPolicy)
        value, begins = checked_value(batch), batch.latents["begins"]
        ends = torch.cat([begins[1:], torch.zeros_like(begins[:1])])
        discount = batch.reward.new_full(ends.shape, self.discount).masked_fill(ends, self.latent.discount)
        trace = torch.ones_like(discount).masked_fill(ends, self.latent.trace)
        drawn = begins & batch.active
        advantage = generalised_advantages(batch.reward, value, batch.done, drawn, discount=discount, trace=trace)
        rows = drawn.flatten().nonzero().squeeze(1)
        latents, context = _of_rows(batch, rows), batch.example.context.select(rows)
        known = _flat(value[:-1], drawn)
        return ActorCriticSteps(
            log_prob=self.policy.latent_log_prob(context, latents),
            behaviour_log_prob=latents["log_prob"],
            advantage=_flat(self.scale_advantages(advantage, drawn), drawn),
            value=known,
            target=known,
        )

    def validation_step(self, batch: Trajectory, batch_index: int) -> None:
        """Log `validation/reward`: what a user's episode earns on average."""
        batch, _ = rewarded(batch, self.reward)
        self.log("validation/reward", batch.reward.sum(0).mean(), batch_size=batch.users, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of policy and critic."""
        return make_optimizer(self.optimizer, self.parameters())


def _of_rows(batch: Trajectory, rows: Int[Tensor, " R"]) -> Latents:
    """Return the latent actions of some rows of the trajectory's examples."""
    return {name: value.flatten(0, 1)[rows] for name, value in batch.latents.items()}


def _flat(values: Float[Tensor, "T B"], active: Bool[Tensor, "T B"]) -> Float[Tensor, " R"]:
    return values[active]
