"""Actor-critic learning: a policy and a critic that learn from what the policy does in a simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import lightning
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recsys.errors import NonFiniteError
from recsys.nn.optimizer import make_optimizer
from recsys.objectives.actor_critic import ActorCriticSteps, proximal_policy_optimisation
from recsys.objectives.objective import Loss
from recsys.objectives.returns import generalised_advantages, standardised
from recsys.policies.policy import ItemPolicy
from recsys.ranges import within
from recsys.systems.sequential import OptimizerFactory
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.trajectory import Trajectory


class ActorCritic(lightning.LightningModule):
    """Move a slate policy towards slates that were worth more than a critic expected.

    It learns from minibatches of trajectories (`recsys.rollouts.data.SimulatorData`): advantages by the critic's values
    at collection, log-probabilities of whole slates, steps after a session left out. Validation is the mean reward of
    an episode on fixed users.

    Args:
        policy: shows slates; its `log_prob` carries gradient.
        critic: maps `B` requests to what is expected of them, `[B]`, in the reward's unit.
        optimizer: makes the optimizer of the parameters of both.
        objective: the loss of a minibatch's steps; options are bound by configuration.
        discount: `γ`, in [0, 1]: what a reward one step later is worth.
        trace: `λ` of generalised advantages, in [0, 1].
        scale_advantages: of a minibatch, given advantages and which steps count; `as_they_are` leaves them.

    Raises:
        ConfigurationError: `discount` or `trace` is outside [0, 1].
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
    ) -> None:
        super().__init__()
        within(0, 1, discount=discount, trace=trace)
        self.policy = policy
        self.critic = critic
        self.optimizer = optimizer
        self.objective = objective
        self.discount = discount
        self.trace = trace
        self.scale_advantages = scale_advantages

    def value(self, context: Context) -> Float[Tensor, " B"]:
        """Return what the critic expects of each request from now on, in the reward's unit."""
        return self.critic(context)

    def training_step(self, batch: Trajectory, batch_index: int) -> Tensor:
        """Return the objective of the active steps of some users' trajectories."""
        steps = self.steps(batch)
        loss = self.objective(steps)
        watched = {**loss.diagnostics, "loss": loss.value.detach(), "reward": batch.reward.sum(0).mean()}
        self.log_dict({f"train/{name}": value for name, value in watched.items()}, batch_size=batch.users)
        return loss.value

    def steps(self, batch: Trajectory) -> ActorCriticSteps:
        """Return what the objective sees of some users' trajectories.

        Args:
            batch: with the critic's values.

        Raises:
            NonFiniteError: a reward of a session, or what the critic expects of one, is NaN or infinite.
        """
        assert batch.value is not None, "trajectories are collected with a critic"
        _require_finite(batch.reward, batch.active, "the reward")
        _require_finite(batch.value[:-1], batch.active, "the critic's value")
        rates = {"discount": self.discount, "trace": self.trace}
        advantage = generalised_advantages(batch.reward, batch.value, batch.done, batch.active, **rates)
        rows = batch.active.flatten().nonzero().squeeze(1)
        shown = batch.example.select(rows)
        empty = shown.slates.items < 0
        log_prob, behaviour = (
            slots.masked_fill(empty, 0.0).sum((1, 2))
            for slots in (self.policy.log_prob(shown.context, shown.slates), shown.slates.log_prob)
        )
        return ActorCriticSteps(
            log_prob=log_prob,
            behaviour_log_prob=behaviour,
            advantage=_flat(self.scale_advantages(advantage, batch.active), batch.active),
            value=self.value(shown.context),
            target=_flat(advantage + batch.value[:-1], batch.active),
        )

    def validation_step(self, batch: Trajectory, batch_index: int) -> None:
        """Log `validation/reward`: what a user's episode earns on average."""
        self.log("validation/reward", batch.reward.sum(0).mean(), batch_size=batch.users, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of policy and critic."""
        return make_optimizer(self.optimizer, self.parameters())


def _require_finite(values: Float[Tensor, "T B"], active: Bool[Tensor, "T B"], name: str) -> None:
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
