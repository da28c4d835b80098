"""A slate model trained online on the feedback to its slates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from recsys.data.datasets.user_slates import SlateBuffer, UserSlates
from recsys.errors import ConfigurationError
from recsys.models.slates.slate_model import SlateModel
from recsys.objectives.elbo import draw_starts, slate_negative_elbo
from recsys.policies.slate_posterior import SlatePosterior
from recsys.types.feedback import Feedback
from recsys.types.transition import Transition


class SlateLearner(SlatePosterior):
    """What a slate model believes after every answer so far: a few steps up its bound an update, then a new pool.

    Every slate and answer is kept; they and the optimizer are part of the state, so that a learner that loads it goes
    on as the other would have (`SlateBuffer` says what they take). A step takes the whole past of a batch of users, in
    random order, and their share of the bound, in which an item's KL is dealt out over the slots that have shown it so
    far, so that the prior weighs what it should while the data grow. What no slate has shown is at its prior from the
    beginning, and stays there but for what its group tells: it is unknown, not a known 0. Give items and model
    `deviation=1`, and groups and scores of no click begin at their priors too.

    A request's history says where the user stands, as everywhere. A simulator that cuts histories short (`recent`)
    hides clicks from whoever acts, not from what is learnt: with `γ` of the user model and `H` clicks left, `γ^H` of
    the position is lost.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson sampling"
    (DMKD 36), whose code trains the model on a log.

    Args:
        model: at its prior, on the device where it stays.
        optimizer: makes the optimizer of the parameters, which goes on from update to update; without weight decay.
        steps: of the optimizer an update, at least 1.
        users: of a step at most, at least 1.
        initial_states: draws of each user's initial state in the bound, at least 1; see `SlateElboSystem`.
        pool: draws that policies act on.
        temperature: of the likelihood, above 0; 1 is Bayes' rule, below it the posterior is too sure and acts so.

    Raises:
        ConfigurationError: a number of something is below 1, or the temperature is not above 0.
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
        for name, value in {"steps": steps, "users": users, "initial_states": initial_states, "pool": pool}.items():
            if value < 1:
                raise ConfigurationError(f"{name}={value}: expected at least 1")
        if not temperature > 0:
            raise ConfigurationError(f"temperature={temperature}: expected above 0")
        device = model.no_click.mean.device
        model.items.reset_to_prior(torch.arange(model.items.num_items, device=device))
        super().__init__(model, torch.Generator(device).manual_seed(0), pool)
        self.optimizer = optimizer(model.parameters())
        self.steps = steps
        self.users = users
        self.initial_states = initial_states
        self.temperature = temperature
        self.slots = len(model.no_click.mean)
        self.memory = SlateBuffer(self.num_items, self.slots, device)

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        """See `OnlineLearner.update`; a slot that earned something was clicked.

        Raises:
            ConfigurationError: a slate is longer than the model's, or has two clicks.
        """
        items = transition.slates.items[:, 0]
        if items.shape[1] > self.slots:
            raise ConfigurationError(f"slates of {items.shape[1]} items; the slate model was made for {self.slots}")
        self.memory.add(transition.context.users, items, clicked_slot(transition.feedback))
        if not self.memory.exposure.impressions:
            return
        with torch.enable_grad():
            for batch in islice(self._batches(generator), self.steps):
                self._step(batch, generator)
        self.redraw(generator)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the optimizer's state and all answers so far, in plain values and tensors."""
        return {"optimizer": self.optimizer.state_dict(), "memory": self.memory.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on with the optimizer and the answers of another learner."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.memory.load_state_dict(state["memory"])

    def _batches(self, generator: torch.Generator) -> Iterator[UserSlates]:
        """Epoch after epoch."""
        while True:
            yield from self.memory.epoch(self.users, generator)

    def _step(self, batch: UserSlates, generator: torch.Generator) -> None:
        """One step of the optimizer on the bound, in nats a slate."""
        exposure = self.memory.exposure
        values = draw_starts(self.model, batch.slates, self.initial_states, generator)
        bound = slate_negative_elbo(self.model, values, batch, exposure, self.temperature)
        self.optimizer.zero_grad()
        (bound * (self.memory.num_batches(self.users) / exposure.impressions)).backward()
        self.optimizer.step()


def clicked_slot(feedback: Feedback) -> Int[Tensor, " B"]:
    """The slot of each request's one slate that earned something, −1 where none did.

    >>> clicked_slot(Feedback.of_reward(torch.tensor([[[0.0, 1.0]], [[0.0, 0.0]]])))
    tensor([ 1, -1])

    Raises:
        ConfigurationError: two slots of a slate did.
    """
    earned = feedback.reward[:, 0] > 0
    if (earned.sum(1) > 1).any():
        raise ConfigurationError(
            "a user clicked several items of a slate; a slate model explains one click at most: choose a simulator "
            "or a choice model with one (conf/choice)"
        )
    return earned.long().argmax(1).where(earned.any(1), -1)
