"""REINFORCE with the top-K off-policy correction: a policy learns from the items that users consumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import lightning
import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.nn.optimizer import make_optimizer
from recsys.objectives.actor_critic import value_loss
from recsys.objectives.objective import Loss
from recsys.objectives.reinforce import ConsumedItems, top_k_reinforce
from recsys.objectives.returns import discounted_returns, standardised
from recsys.policies.behaviour import Behaviour, SlatePropensities
from recsys.policies.latent import LatentPolicy
from recsys.policies.policy import ItemPolicy
from recsys.ranges import at_least, within
from recsys.systems.sequential import OptimizerFactory
from recsys.systems.trajectories import require_finite_steps
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.trajectory import Trajectory


class Reinforce(lightning.LightningModule):
    """Move a policy towards items whose consumption was followed by more reward than a baseline expected.

    It learns from minibatches of trajectories (`recsys.rollouts.data.SimulatorData`), also from those of earlier
    policies (`capacity` above `users`). An item counts where its slot earned more than 0. Slates without a consumed
    item, empty slots and steps after a session move the policy nowhere. The return of an item is the discounted sum of
    all rewards from its step on, those of the other slots included; a session that goes on after the last step is
    worth there what the baseline expected. Off-policy weights are those of the item alone, as in the paper: which
    requests come and what follows an item stay those of the policy that showed it.

    Beside the policy learn the baseline, by squared error on every step, and a behaviour policy that has parameters,
    by the likelihood of every slot. Validation is the mean reward of an episode on fixed users.

    Source: Chen, Beutel, Covington, Jain, Belletti, Chi 2019, "Top-K off-policy correction for a REINFORCE recommender
    system" (arXiv 1812.02353).

    Args:
        policy: shows slates; its `catalogue_log_prob` carries gradient.
        optimizer: makes the optimizer of all parameters.
        critic: the baseline, which maps `B` requests to what is expected of them, `[B]`, in the reward's unit; None for
            a baseline of 0.
        behaviour: makes, of the policy, what is known of the one that showed the slates.
        objective: the loss of the consumed items; options are bound by configuration.
        discount: `γ`, in [0, 1]: what a reward one step later is worth.
        value_weight: of the baseline's squared error beside the objective, at least 0.
        scale_advantages: of a minibatch, given `R − b` of all steps and which of them count; `as_they_are` leaves them.

    Raises:
        ConfigurationError: a number is out of range, or the policy has latent actions, which this does not learn.
    """

    monitor: ClassVar[str] = "validation/reward"
    mode: ClassVar[Literal["min", "max"]] = "max"
    artifact: ClassVar[ArtifactKind] = ArtifactKind.POLICY

    def __init__(
        self,
        policy: ItemPolicy,
        optimizer: OptimizerFactory,
        critic: nn.Module | None = None,
        behaviour: Callable[[ItemPolicy], Behaviour] = SlatePropensities,
        objective: Callable[[ConsumedItems], Loss] = top_k_reinforce,
        discount: float = 0.99,
        value_weight: float = 0.5,
        scale_advantages: Callable[[Tensor, Tensor], Tensor] = standardised,
    ) -> None:
        super().__init__()
        within(0, 1, discount=discount)
        at_least(0, value_weight=value_weight)
        if isinstance(policy, LatentPolicy):
            raise ConfigurationError(
                f"{type(policy).__name__} has latent actions, of which REINFORCE learns nothing: choose system "
                "recsys.systems.actor_critic.ActorCritic"
            )
        self.policy = policy
        self.critic = critic
        self.behaviour = behaviour(policy)
        self.optimizer = optimizer
        self.objective = objective
        self.discount = discount
        self.value_weight = value_weight
        self.scale_advantages = scale_advantages

    def value(self, context: Context) -> Float[Tensor, " B"]:
        """Return what the baseline expects of each request from now on, in the reward's unit; 0 without a critic."""
        if self.critic is None:
            return torch.zeros(len(context), device=context.users.device)
        return self.critic(context)

    def training_step(self, batch: Trajectory, batch_index: int) -> Tensor:
        """Return the loss of some users' trajectories: objective, baseline and behaviour policy."""
        loss, beside = self.losses(batch)
        total = loss.value + torch.stack([*beside.values()]).sum() if beside else loss.value
        watched = {**loss.diagnostics, "reward": batch.reward.sum(0).mean(), "loss": total.detach()}
        watched |= {name: value.detach() for name, value in beside.items()}
        self.log_dict({f"train/{name}": value for name, value in watched.items()}, batch_size=batch.users)
        return total

    def losses(self, batch: Trajectory) -> tuple[Loss, Mapping[str, Tensor]]:
        """Return the objective of some users' trajectories, and the losses of what learns beside the policy, by name.

        `value` is the weighted squared error of the baseline, `behaviour` the negative log-likelihood of a shown item,
        in nats.

        Args:
            batch: with the values of the baseline at collection.

        Raises:
            NonFiniteError: a reward of a session is NaN or infinite, or what the baseline expects after it.
        """
        assert batch.value is not None, "trajectories are collected with a baseline"
        require_finite_steps(batch.reward, batch.active, "the reward")
        ends, goes_on = batch.value[-1:], batch.active[-1:] & ~batch.done[-1:]
        require_finite_steps(ends, goes_on, "the baseline after the last step")
        earned = discounted_returns(batch.reward, batch.done, ends[0], discount=self.discount)
        shown = batch.example.select(batch.active.flatten().nonzero().squeeze(1))
        items = shown.slates.items
        value = self.value(shown.context)
        expected = torch.zeros_like(earned).masked_scatter(batch.active, value.detach())
        advantage = self.scale_advantages((earned - expected).masked_fill(~batch.active, 0.0), batch.active)
        behaviour = self.behaviour.item_log_prob(shown.context, shown.slates)
        row, candidate, slot = ((shown.feedback.reward > 0) & (items >= 0)).nonzero(as_tuple=True)
        consumed = ConsumedItems(
            log_prob=self.policy.catalogue_log_prob(shown.context)[row, items[row, candidate, slot]],
            behaviour_log_prob=behaviour[row, candidate, slot].detach(),
            slots=(items >= 0).sum(-1)[row, candidate],
            advantage=advantage[batch.active][row],
        )
        beside: dict[str, Tensor] = {}
        if self.critic is not None:
            beside["value"] = self.value_weight * value_loss(value, earned[batch.active])
        if self.behaviour.learned:
            beside["behaviour"] = -behaviour[items >= 0].sum() / max(int((items >= 0).sum()), 1)
        return self.objective(consumed), beside

    def validation_step(self, batch: Trajectory, batch_index: int) -> None:
        """Log `validation/reward`: what a user's episode earns on average."""
        self.log("validation/reward", batch.reward.sum(0).mean(), batch_size=batch.users, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of policy, baseline and behaviour policy."""
        return make_optimizer(self.optimizer, self.parameters())
