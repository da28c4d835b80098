"""Steps of episodes, one after the other: what a model of the value learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.episodes.episodes import Episodes


@dataclass(frozen=True)
class Transitions:
    """`m` steps of which it is known what came after.

    Args:
        context: `[m, F]`, `s`.
        action: `[m]`, `a`.
        reward: `[m]`, `r`.
        next_context: `[m, F]`, `s'`; 0 where the episode ended.
        next_target: `[m, A]`, `π(· | s')`; 0 where the episode ended, so that nothing is expected there.
    """

    context: Float[Tensor, "m F"]
    action: Int[Tensor, " m"]
    reward: Float[Tensor, " m"]
    next_context: Float[Tensor, "m F"]
    next_target: Float[Tensor, "m A"]

    @classmethod
    def of(cls, episodes: Episodes) -> Transitions:
        """Of all episodes.

        The last action of an episode that was cut off is left out; its state is what the one before it led to.

        Raises:
            RequestError: episodes lack actions, features or probabilities, or no step is left.
        """
        context, action, target = (episodes.need(name) for name in ("context", "action", "target_all"))
        closed, goes_on = episodes.closed, _shift(episodes.there)
        if not closed.any():
            raise RequestError("no step is known by what came after it: every episode has one step and was cut off")
        next_context, next_target = (torch.where(goes_on.unsqueeze(2), _shift(part), 0) for part in (context, target))
        parts = (context, action, episodes.reward, next_context, next_target)
        return cls(*(part[closed] for part in parts))


def _shift(part: Tensor) -> Tensor:
    return torch.cat([part[:, 1:], torch.zeros_like(part[:, :1])], 1)
