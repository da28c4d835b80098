"""Actor-critic learning: a policy and a critic that learn from what the policy does in a simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import lightning
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.errors import ConfigurationError, NonFiniteError
from recsys.nn.optimizer import make_optimizer
from recsys.objectives.actor_critic import ActorCriticSteps, proximal_policy_optimisation
from recsys.objectives.latent_class import conditional_log_prob, session_log_likelihood
from recsys.objectives.objective import Loss
from recsys.objectives.returns import generalised_advantages, standardised
from recsys.policies.hierarchical.choices import SessionChoices
from recsys.policies.latent import LatentPolicy, Latents
from recsys.policies.policy import ItemPolicy
from recsys.ranges import at_least, within
from recsys.rewards.combined import with_parts
from recsys.rewards.contract import checked_reward
from recsys.rewards.novelty import IntrinsicReward
from recsys.rewards.reward import Reward
from recsys.systems.sequential import OptimizerFactory
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.feedback import REWARD, Channel
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
        stride: of the steps from which slates and critic learn: each minibatch takes every so many-th, the first one in
            turn. Scoring catalogues costs many times what choices and latent actions cost, which learn from all steps.

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
        self.choice_weight = choice_weight
        self.reward = reward
        self.stride = stride

    def value(self, context: Context) -> Float[Tensor, " B"]:
        """Return what the critic expects of each request from now on, in the reward's unit."""
        return self.critic(context)

    def training_step(self, batch: Trajectory, batch_index: int) -> Tensor:
        """Return the objective of the active steps of some users' trajectories."""
        batch, parts = self.rewarded(batch)
        loss = self.objective(self.steps(batch, batch_index % self.stride))
        total, watched = loss.value, {**loss.diagnostics, **parts, "reward": batch.reward.sum(0).mean()}
        if self.latent is not None:
            high = self.objective(self.latent_steps(batch))
            total = total + self.latent.weight * high.value
            watched |= {f"latent/{name}": value for name, value in high.diagnostics.items()}
        if self.choice_weight:
            choices = self.choice_loss(batch)
            total = total + self.choice_weight * choices
            watched["choice_loss"] = choices.detach()
        watched["loss"] = total.detach()
        self.log_dict({f"train/{name}": value for name, value in watched.items()}, batch_size=batch.users)
        return total

    def rewarded(self, batch: Trajectory) -> tuple[Trajectory, dict[str, Tensor]]:
        """Return some users' trajectories with the rewards to learn from, and what each part earned an episode.

        Args:
            batch: as the users answered.

        Raises:
            ContractError: the reward returned anything else than its contract says.
        """
        if self.reward is None:
            return batch, {}
        example = batch.example
        found, parts = with_parts(self.reward, example, example.slates)
        earned = checked_reward(found, example.slates, type(self.reward).__name__)
        channels = {**example.feedback.channels, REWARD: Channel(earned)}
        feedback = example.feedback.replace(channels=channels)
        active = batch.active.view(-1, 1)
        means = {f"reward/{name}": (value * active).sum() / batch.users for name, value in parts.items()}
        return batch.replace(example=example.replace(feedback=feedback)), means

    def steps(self, batch: Trajectory, first: int = 0) -> ActorCriticSteps:
        """Return what the objective sees of some users' trajectories.

        Args:
            batch: with the critic's values.
            first: of the steps that count; every `stride`-th from it on does.

        Raises:
            NonFiniteError: a reward of a session, or what the critic expects of one, is NaN or infinite.
        """
        value = _checked_value(batch)
        rates = {"discount": self.discount, "trace": self.trace}
        advantage = generalised_advantages(batch.reward, value, batch.done, batch.active, **rates)
        target = advantage + value[:-1]
        if self.latent is not None and self.latent.intrinsic is not None:
            latents = _of_rows(batch, torch.arange(batch.active.numel(), device=batch.active.device))
            advantage = advantage + self.latent.intrinsic(batch.example, latents).view_as(advantage)
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
        value, begins = _checked_value(batch), batch.latents["begins"]
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

    def choice_loss(self, batch: Trajectory) -> Tensor:
        """Return `−log p(choices)` of some users' sessions, nats a choice; 0 without one.

        Args:
            batch: with the channel `click`, which says what was chosen.
        """
        assert isinstance(self.policy, SessionChoices)
        steps, users = batch.active.shape
        context, items = batch.example.context, batch.example.slates.items[:, 0]
        shown = (items >= 0) & batch.active.view(-1, 1)
        chosen = (batch.example.feedback["click"][:, 0] > 0) & shown
        scores = self.policy.choice_scores(context, items)
        log_prob = conditional_log_prob(scores, *(one.unsqueeze(1).expand_as(scores) for one in (shown, chosen)))
        begins = self.policy.begins(context)
        belief = log_prob.new_zeros(log_prob.shape)
        belief[begins] = self.policy.belief(context.select(begins.nonzero().squeeze(1)))
        grid = (steps, users, -1)
        total = session_log_likelihood(log_prob.view(grid), belief.view(grid), begins.view(steps, users))
        return -total / chosen.sum().clamp(min=1)

    def validation_step(self, batch: Trajectory, batch_index: int) -> None:
        """Log `validation/reward`: what a user's episode earns on average."""
        batch, _ = self.rewarded(batch)
        self.log("validation/reward", batch.reward.sum(0).mean(), batch_size=batch.users, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of policy and critic."""
        return make_optimizer(self.optimizer, self.parameters())


def _checked_value(batch: Trajectory) -> Float[Tensor, "T1 B"]:
    """Return the critic's values, once they and the rewards are known to be finite."""
    assert batch.value is not None, "trajectories are collected with a critic"
    require_finite_steps(batch.reward, batch.active, "the reward")
    require_finite_steps(batch.value[:-1], batch.active, "the critic's value")
    return batch.value


def _of_rows(batch: Trajectory, rows: Int[Tensor, " R"]) -> Latents:
    """Return the latent actions of some rows of the trajectory's examples."""
    return {name: value.flatten(0, 1)[rows] for name, value in batch.latents.items()}


def require_finite_steps(values: Float[Tensor, "T B"], active: Bool[Tensor, "T B"], name: str) -> None:
    """Refuse numbers of sessions that are not finite.

    Args:
        values: `[T, B]`.
        active: `[T, B]`, true where a number counts.
        name: what they are, for the message.

    Raises:
        NonFiniteError: it names the first step and user, and how many steps are wrong.
    """
    broken = ~values.isfinite() & active
    if broken.any():
        step, user = broken.nonzero()[0].tolist()
        raise NonFiniteError(
            f"{name} is {float(values[step, user])} in step {step} of the session of user {user} of the batch, and not "
            f"finite in {int(broken.sum())} of {int(active.sum())} steps: look at the simulator's feedback, or train "
            "with a smaller learning rate"
        )


def _flat(values: Float[Tensor, "T B"], active: Bool[Tensor, "T B"]) -> Float[Tensor, " R"]:
    return values[active]
