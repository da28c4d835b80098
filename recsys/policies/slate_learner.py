"""A slate model trained online on the feedback to its slates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.data.datasets.user_slates import SlateBuffer, UserSlates
from recsys.errors import ConfigurationError, NonFiniteError
from recsys.models.slates.slate_model import SlateModel
from recsys.nn.optimizer import make_optimizer
from recsys.objectives.elbo import sample_initial_states, slate_negative_elbo
from recsys.policies.scorer import OnlineLearner, require_finite_rewards
from recsys.policies.slate_posterior import SlatePosterior
from recsys.ranges import above, at_least
from recsys.types.feedback import Feedback
from recsys.types.transition import Transition


class SlateLearner(SlatePosterior, OnlineLearner):
    """The posterior of a slate model that is trained online: each update takes a few optimizer steps and a new pool.

    - Data: all slates and clicks are kept. They and the optimizer are part of the state, so a learner that loads it
      continues as the other would. `SlateBuffer` gives the memory they take.
    - Step: one step uses all slates of a batch of users, in random order, and their share of the bound. The KL
      divergence of an item is divided among the slots that have shown it so far, so the weight of the prior stays
      correct while the data grow.
    - Prior: items that no slate has shown keep their prior, apart from what their group says. With `deviation=1` of
      items and model, groups and scores of no click start at their priors too.

    The history of a request determines the user vector. A simulator that cuts histories (`recent`) hides clicks from
    the policy, not from the training: with the `γ` of the user model and `H` clicks left, the share `γ^H` of the user
    vector is lost.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson sampling"
    (DMKD 36), whose code trains the model on a log.

    Args:
        model: a slate model at its prior, on its final device.
        optimizer: function from parameters to the optimizer, which is kept over updates. It has no weight decay.
        steps: optimizer steps of an update, at least 1.
        users: the most users of a step, at least 1.
        initial_states: samples of each user's initial state in the bound, at least 1; see `SlateElboSystem`.
        pool: number of samples that policies act on.
        temperature: temperature of the likelihood, above 0. 1 is Bayes' rule; smaller values make the posterior too
            narrow.

    Raises:
        ConfigurationError: a number is below 1, or the temperature is not above 0; by `update`, if a slate is longer
            than those of the model or has two clicks.
        NonFiniteError: by `update`, if a reward or the bound is NaN or infinite.
    """

    def __init__(
        self,
        model: SlateModel,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        steps: int = 10,
        users: int = 64,
        initial_states: int = 8,
        pool: int = 128,
        temperature: float = 1.0,
    ) -> None:
        at_least(1, steps=steps, users=users, initial_states=initial_states, pool=pool)
        above(0, temperature=temperature)
        device = model.no_click.mean.device
        model.items.reset_to_prior(torch.arange(model.items.num_items, device=device))
        super().__init__(model, torch.Generator(device).manual_seed(0), pool)
        self.optimizer = make_optimizer(optimizer, model.parameters())
        self.steps = steps
        self.users = users
        self.initial_states = initial_states
        self.temperature = temperature
        self.slots = len(model.no_click.mean)
        self.memory = SlateBuffer(self.num_items, self.slots, device)

    @override
    def update(self, transition: Transition, generator: torch.Generator) -> None:
        # A slot with a positive reward was clicked.
        require_finite_rewards(transition)
        transition.slates.check(self.num_items)
        items = transition.slates.items[:, 0]
        if items.shape[1] > self.slots:
            raise ConfigurationError(
                f"found slates of {items.shape[1]} items, expected at most {self.slots}, as the slate model has"
            )
        self.memory.add(transition.context.users, items, clicked_slot(transition.feedback))
        if not self.memory.exposure.impressions:
            return
        with torch.enable_grad():
            for batch in islice(self._batches(generator), self.steps):
                self._step(batch, generator)
        self.redraw(generator)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of the optimizer and all slates and clicks, as plain values and tensors."""
        return {"optimizer": self.optimizer.state_dict(), "memory": self.memory.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Load the optimizer, slates and clicks of another learner."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.memory.load_state_dict(state["memory"])

    def _batches(self, generator: torch.Generator) -> Iterator[UserSlates]:
        """Yield batches of users, epoch after epoch."""
        while True:
            yield from self.memory.epoch(self.users, generator)

    def _step(self, batch: UserSlates, generator: torch.Generator) -> None:
        """Take one optimizer step on the bound, in nats a slate."""
        exposure = self.memory.exposure
        values = sample_initial_states(self.model, batch.slates, self.initial_states, generator)
        bound = slate_negative_elbo(self.model, values, batch, exposure, self.temperature)
        if not bound.isfinite():
            raise NonFiniteError(
                f"SlateLearner: the bound is {float(bound)} for {len(batch)} users; its optimizer's learning rate is "
                "too large, or a parameter of the model is not finite"
            )
        self.optimizer.zero_grad()
        (bound * (self.memory.num_batches(self.users) / exposure.impressions)).backward()
        self.optimizer.step()


def clicked_slot(feedback: Feedback) -> Int[Tensor, " B"]:
    """Return the slot with a positive reward of each request's slate, or −1 if there is none.

    >>> clicked_slot(Feedback.of_reward(torch.tensor([[[0.0, 1.0]], [[0.0, 0.0]]])))
    tensor([ 1, -1])

    Raises:
        ConfigurationError: two slots of a slate have a positive reward.
    """
    earned = feedback.reward[:, 0] > 0
    if (earned.sum(1) > 1).any():
        raise ConfigurationError(
            "a user clicked several items of a slate; a slate model allows one click at most. Choose a simulator or a "
            "choice model with one click"
        )
    return earned.long().argmax(1).where(earned.any(1), -1)
