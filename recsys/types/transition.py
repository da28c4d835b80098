"""One step of users who are shown slates: what an online learner learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.record import TensorRecord
from recsys.types.slates import Slates


@dataclass(frozen=True)
class Transition(TensorRecord):
    """One step of `B` users.

    Args:
        context: what the policy saw.
        slates: what it showed, one slate a user (`G = 1`); −1 in every slot of a user whose session was over.
        feedback: what the users did.
        next_context: what the policy sees then; of no meaning for a user whose session is over.
        done: `[B]`, true where the session is over after the step.
        active: `[B]`, true where it was not over before the step.
    """

    context: Context
    slates: Slates
    feedback: Feedback
    next_context: Context
    done: Bool[Tensor, " B"]
    active: Bool[Tensor, " B"]

    @classmethod
    def one_round(cls, context: Context, slates: Slates, feedback: Feedback) -> Transition:
        """Return the only step of sessions that are over after it: a round of a bandit.

        Args:
            context: `B` requests.
            slates: one a request.
            feedback: to them.
        """
        every = torch.ones(len(context), dtype=torch.bool, device=context.users.device)
        return cls(context, slates, feedback, context, every, every)

    def __len__(self) -> int:
        return len(self.context)
