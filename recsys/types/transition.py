"""One step of users who are shown slates, from which an online learner learns."""

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
    """One step of `B` users, with request, slate, feedback and next request.

    Args:
        context: the requests of the step.
        slates: the slates shown, one for each user (`G = 1`); all slots hold −1 if the session of the user was over.
        feedback: feedback to the slates.
        next_context: the requests of the next step; without meaning for users whose session is over.
        done: `[B]`, true if the session is over after the step.
        active: `[B]`, true if the session was not over before the step.
    """

    context: Context
    slates: Slates
    feedback: Feedback
    next_context: Context
    done: Bool[Tensor, " B"]
    active: Bool[Tensor, " B"]

    @classmethod
    def one_round(cls, context: Context, slates: Slates, feedback: Feedback) -> Transition:
        """Return a step of sessions of one step, as in a bandit.

        Args:
            context: `B` requests.
            slates: one slate for each request.
            feedback: feedback to the slates.
        """
        every = torch.ones(len(context), dtype=torch.bool, device=context.users.device)
        return cls(context, slates, feedback, context, every, every)

    def __len__(self) -> int:
        return len(self.context)
