"""SlateQ: values of items, and a model of the user's choice among them, learned from slates that were shown."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import lightning
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.nn.optimizer import make_optimizer
from recsys.objectives.slate_q import choice_loss, chosen_value, temporal_difference_loss, temporal_difference_target
from recsys.policies.bandits.greedy import EpsilonGreedy
from recsys.policies.slate_learner import clicked_slot
from recsys.policies.slate_q import SlateQPolicy, SlateQValues
from recsys.ranges import above, at_least, within
from recsys.systems.reference_policy import move_towards
from recsys.systems.sequential import OptimizerFactory
from recsys.systems.trajectories import require_finite_steps
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.trajectory import Trajectory


def best_slates(values: SlateQValues, shown: Int[Tensor, "B S"], best: Int[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """Return the values of the best slates, as Q-learning has them: those of the policy that always shows them."""
    return values.of_slates(best)


def shown_slates(values: SlateQValues, shown: Int[Tensor, "B S"], best: Int[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """Return the values of the slates that were shown, as SARSA has them: those of the policies that showed them."""
    return values.of_slates(shown)


class SlateQ(lightning.LightningModule):
    """Learn what each item is worth if it is chosen, by temporal differences, and which item is chosen, by likelihood.

        loss = ½ mean (Q(s,i) − target)² + choice_weight · mean −log P(i|s,A)
        target = r + γ (1 − d) Q̄(s', A')

    `i` is the item of the slate that the user consumed, or no choice ⊥, which is learned as any item is: it earns
    nothing, and its value is what goes on from the next request. (RecSim's agent takes it for 0, which rates slates
    that keep a user without a click as worthless.) `Q̄` is a target network, a moving average of the one that is
    trained. `A'` is the best next slate by the target network, as in Q-learning (`best_slates`), or the one that was
    shown, as in SARSA (`shown_slates`), which gives the value of the policies that showed the slates. After the last
    step of a trajectory it is in both cases the best slate, valued by the target network when it was collected.

    It learns from minibatches of trajectories (`recsys.rollouts.data.SimulatorData`) of any policies. While it trains
    it shows slates with ε-greedy exploration; it is validated and served as the policy is configured, which is greedy
    by default. Validation is the mean reward of an episode on fixed users.

    Source: Ie et al. 2019, "SlateQ: a tractable decomposition for reinforcement learning with recommendation sets"
    (IJCAI), and the longer arXiv 1905.12767.

    Args:
        policy: whose network is trained.
        optimizer: makes the optimizer of the network.
        slots: of a slate.
        following: what the next slate is worth, given the values, the slates that were shown and the best ones.
        exploration: `ε` of training, in [0, 1].
        discount: `γ`, in [0, 1]: what a reward one step later is worth.
        target_rate: how far the target network moves towards the other at an optimizer step, above 0 and at most 1.
        choice_weight: of the choice model's loss beside that of the values, at least 0.

    Raises:
        ConfigurationError: a number is out of range.
    """

    monitor: ClassVar[str] = "validation/reward"
    mode: ClassVar[Literal["min", "max"]] = "max"
    artifact: ClassVar[ArtifactKind] = ArtifactKind.POLICY
    moved: Tensor

    def __init__(
        self,
        policy: SlateQPolicy,
        optimizer: OptimizerFactory,
        slots: int,
        following: Callable[[SlateQValues, Tensor, Tensor], Tensor] = best_slates,
        exploration: float = 0.1,
        discount: float = 0.99,
        target_rate: float = 0.05,
        choice_weight: float = 1.0,
    ) -> None:
        at_least(1, slots=slots)
        within(0, 1, exploration=exploration, discount=discount, target_rate=target_rate)
        above(0, target_rate=target_rate)
        at_least(0, choice_weight=choice_weight)
        super().__init__()
        self.served = policy
        self.target = copy.deepcopy(policy.network).requires_grad_(False)
        self.register_buffer("moved", torch.tensor(0))
        self.optimizer = optimizer
        self.slots = slots
        self.following = following
        self.exploration = exploration
        self.discount = discount
        self.target_rate = target_rate
        self.choice_weight = choice_weight

    @property
    def policy(self) -> EpsilonGreedy:
        """The policy that shows slates: in training with exploration, otherwise the one that is served."""
        return EpsilonGreedy(self.served.scorer, self.exploration) if self.training else self.served

    @torch.no_grad()
    def value(self, context: Context) -> Float[Tensor, " B"]:
        """Return what the target network takes each request's best slate for, in the reward's unit."""
        values: SlateQValues = self.target(context)
        return values.of_slates(self._best_slates(values, context))

    def training_step(self, batch: Trajectory, batch_index: int) -> Tensor:
        """Return the loss of some users' trajectories."""
        self._follow()
        losses = self.losses(batch)
        total = losses["temporal_difference"] + self.choice_weight * losses["choice"]
        watched = {name: value.detach() for name, value in losses.items()}
        watched |= {"reward": batch.reward.sum(0).mean(), "loss": total.detach()}
        self.log_dict({f"train/{name}": value for name, value in watched.items()}, batch_size=batch.users)
        return total

    def losses(self, batch: Trajectory) -> Mapping[str, Tensor]:
        """Return the losses of the values (`temporal_difference`) and of the choice model (`choice`, nats).

        Steps after a session count in neither; slates without items count in the first alone.

        Args:
            batch: with the values at collection.

        Raises:
            ConfigurationError: a user chose several items of a slate.
            NonFiniteError: a reward of a session is NaN or infinite.
        """
        require_finite_steps(batch.reward, batch.active, "the reward")
        target = temporal_difference_target(batch.reward, self._following(batch), batch.done, self.discount)
        require_finite_steps(target, batch.active, "the target of the values")
        rows = batch.active.flatten().nonzero().squeeze(1)
        shown = batch.example.select(rows)
        items, chosen = shown.slates.items[:, 0], clicked_slot(shown.feedback)
        place = items.clamp(min=0)
        values: SlateQValues = self.served.network(shown.context)
        found = chosen_value(values.value.gather(1, place), values.no_choice, chosen)
        return {
            "temporal_difference": temporal_difference_loss(found, target[batch.active]),
            "choice": choice_loss(values.choice.gather(1, place), items >= 0, chosen),
        }

    def validation_step(self, batch: Trajectory, batch_index: int) -> None:
        """Log `validation/reward`: what a user's episode earns on average."""
        self.log("validation/reward", batch.reward.sum(0).mean(), batch_size=batch.users, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of the network."""
        return make_optimizer(self.optimizer, self.served.parameters())

    @torch.no_grad()
    def _following(self, batch: Trajectory) -> Float[Tensor, "T B"]:
        """Return what the target network takes the slate after each step for."""
        assert batch.value is not None, "trajectories are collected with values"
        context = batch.example.context
        values: SlateQValues = self.target(context)
        found = self.following(values, batch.example.slates.items[:, 0], self._best_slates(values, context))
        return torch.cat([found.view(batch.steps, batch.users)[1:], batch.value[-1:]])

    def _best_slates(self, values: SlateQValues, context: Context) -> Int[Tensor, "B S"]:
        """Return the slate of the top-k rule for each request."""
        return values.best_slates(context.users, context.illegal(self.served.num_items), self.slots)

    def _follow(self) -> None:
        """Move the target network once where the other took a step since the last call."""
        if self.global_step > int(self.moved):
            move_towards(self.target, self.served.network, self.target_rate)
            self.moved.fill_(self.global_step)
