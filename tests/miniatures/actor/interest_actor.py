"""An actor and a critic that learn from the slates that the actor shows in a simulator."""

from __future__ import annotations

from typing import ClassVar

import lightning
import torch
from torch import Tensor, nn

from recsys.objectives.actor_critic import policy_gradient_loss, value_loss
from recsys.objectives.returns import generalised_advantages, standardised
from recsys.policies.bandits.posteriors import Features
from recsys.policies.policy import ItemPolicy
from recsys.systems.sequential import OptimizerFactory
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.trajectory import Trajectory


class InterestActor(lightning.LightningModule):
    """Policy gradient with a linear critic of what the candidates of a request are like on average.

    Args:
        policy: what is trained.
        features: of every candidate.
        optimizer: makes the optimizer of actor and critic.
    """

    monitor: ClassVar[str] = "validation/reward"
    mode: ClassVar[str] = "max"
    artifact: ClassVar[ArtifactKind] = ArtifactKind.POLICY

    def __init__(self, policy: ItemPolicy, features: Features, optimizer: OptimizerFactory) -> None:
        super().__init__()
        self.policy, self.features, self.optimizer = policy, features, optimizer
        self.critic = nn.Linear(features.width, 1)

    def value(self, context: Context) -> Tensor:
        """Return what the critic expects of each request."""
        return self.critic(self.features(context).mean(1)).squeeze(-1)

    def training_step(self, batch: Trajectory, batch_index: int) -> Tensor:
        """Return the loss of actor and critic over the steps of sessions that were not over."""
        assert batch.value is not None
        rates = {"discount": 0.95, "trace": 0.9}
        advantage = generalised_advantages(batch.reward, batch.value, batch.done, batch.active, **rates)
        shown = batch.example.select(batch.active.flatten().nonzero().squeeze(1))
        log_prob = self.policy.log_prob(shown.context, shown.slates).sum((1, 2))
        target = (advantage + batch.value[:-1])[batch.active]
        actor = policy_gradient_loss(log_prob, standardised(advantage, batch.active)[batch.active])
        loss = actor + 0.1 * value_loss(self.value(shown.context), target)
        self.log("train/loss", loss.detach(), batch_size=len(batch))
        return loss

    def validation_step(self, batch: Trajectory, batch_index: int) -> None:
        """Log what a user's episode earns."""
        self.log(self.monitor, batch.reward.sum(0).mean(), batch_size=len(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of actor and critic."""
        return self.optimizer(self.parameters())
