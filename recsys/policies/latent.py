"""Policies with latent actions that outlast a step, such as the intent of a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from recsys.policies.policy import Policy
from recsys.types.context import Context
from recsys.types.slates import Slates

Latents = Mapping[str, Shaped[Tensor, "B ..."]]
"""Latent actions of `B` users and what was known of them, by name."""


@runtime_checkable
class LatentPolicy(Policy, Protocol):
    """A policy that draws a latent action, keeps it for some steps, and lets slates follow from it.

    Whoever plays it hands the latent actions of a step to the next one (`recsys.rollouts.episode.play`), because a
    policy keeps nothing of its users. `sample` and `log_prob` are those of a first step, the latent action summed out.
    """

    def act(
        self, context: Context, latents: Latents | None, slots: int, generator: torch.Generator
    ) -> tuple[Slates, Latents]:
        """Draw one slate for each request, and the latent actions that it follows from.

        The slates' log-probability is that given the latent actions. As a propensity of the slate it is as good as the
        marginal one: the average of a weight over what was drawn with it is the same.

        Args:
            context: `B` requests.
            latents: of the same users' last step; None where there was none. The policy sees from the context for whom
                it draws anew, at least for those who were not there before.
            slots: `S`.
            generator: as in `Policy.sample`.

        Raises:
            EmptyLegalSetError: as in `Policy.sample`.
            NonFiniteError: as in `Policy.sample`.

        Returns:
            The slates, and the latent actions by name, among them `begins`, `[B]`, true where they were drawn now, and
            `log_prob`, `[B]`, nats, the log-probability with which they were drawn. One that bears the name of a hidden
            number of the simulator (`recsys.simulate.PlantedTruth`) is `[B]`, floats, and is compared with it.
        """
        ...

    def log_prob_given(self, context: Context, slates: Slates, latents: Latents) -> Float[Tensor, "B G S"]:
        """Return the log-probability (nats) of each slot given the earlier ones and the latent actions, with gradient.

        Args:
            context: `B` requests.
            slates: of each request.
            latents: that `act` returned.
        """
        ...

    def latent_log_prob(self, context: Context, latents: Latents) -> Float[Tensor, " B"]:
        """Return the log-probability (nats) with which the latent actions are drawn now, with gradient.

        Args:
            context: `B` requests at which they were drawn.
            latents: that `act` returned.
        """
        ...
