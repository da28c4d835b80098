"""Try an objective on the smallest rollout, so that what it needs and lacks is told before anything is trained."""

from __future__ import annotations

import torch

from recsys.objectives.objective import Objective
from recsys.types.rollout import Rollout


def smallest_rollout(slots: int = 1, reference: bool = True, inclusion: bool = True) -> Rollout:
    """Return one request with three slates, the first of which was logged; items have two codes.

    Args:
        slots: S, of each slate.
        reference: whether there are log-probabilities under a reference policy.
        inclusion: whether the group was sampled without replacement, with known inclusion probabilities.
    """
    tokens = torch.tensor([[0.5, 0.5], [0.5, 0.25], [0.25, 0.5]]).log().view(1, 3, 1, 2).repeat(1, 1, slots, 1)
    tokens.requires_grad_()
    return Rollout(
        items=torch.arange(3 * slots).view(1, 3, slots),
        token_log_prob=tokens,
        behaviour_log_prob=tokens.detach(),
        reward=torch.tensor([[1.0, 0.0, 0.5]]),
        logged_log_prob=tokens[:, 0],
        is_logged=torch.tensor([[True, False, False]]),
        reference_log_prob=tokens.detach() if reference else None,
        log_inclusion=torch.tensor([[-0.5, -0.6, -0.7]]) if inclusion else None,
        shared_codes=torch.tensor([[2, 1, 0]]) if slots == 1 else None,
    )


def try_objective(objective: Objective, slots: int = 1, reference: bool = True, inclusion: bool = True) -> None:
    """Call an objective once.

    Args:
        objective: what is tried.
        slots: see `smallest_rollout`.
        reference: see `smallest_rollout`.
        inclusion: see `smallest_rollout`.

    Raises:
        ConfigurationError: it needs what the rollout does not have, or one of its numbers is out of range.

    >>> from functools import partial
    >>> from recsys.objectives.group_relative import grpo
    >>> try_objective(partial(grpo, kl_weight=0.1), reference=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: a KL term was asked for, but the rollout has no reference log-probabilities: ...
    """
    objective(smallest_rollout(slots, reference, inclusion))
