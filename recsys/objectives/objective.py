"""What an objective is given and returns, and what it may refuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.types.rollout import Rollout


@dataclass(frozen=True)
class Loss:
    """A scalar to minimise and what one would plot beside it.

    Args:
        value: scalar, with gradient.
        diagnostics: scalars without gradient by name (`clip_fraction`, `kl`, …).
    """

    value: Float[Tensor, ""]
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Objective(Protocol):
    """A pure function of a rollout; its options are bound by configuration (`_partial_: true`).

    Rewards and log-probabilities of candidates outside `rollout.mask` may be NaN or infinite: neither value, gradient
    nor diagnostics read them. Rewards of the others are finite, which the system that rewards them sees to
    (`GroupPolicyOptimisation`); an objective does not look again.
    """

    def __call__(self, rollout: Rollout) -> Loss:
        """Return the loss of one batch."""
        ...


def require_slate_rewards(rollout: Rollout, objective: str) -> None:
    """Refuse a rollout whose slots are rewarded one by one.

    Args:
        rollout: what the objective was given.
        objective: its name, for the message.

    Raises:
        ConfigurationError: the rollout has `slot_reward`.
    """
    if rollout.slot_reward is not None:
        raise ConfigurationError(
            f"{objective} learns from one reward a slate, but the reward gives one a slot: choose a reward of whole "
            "slates `[B, G]`, or an objective over slots (grpo, released_grpo, dapo, dr_grpo, gspo, ecpo, gbpo)"
        )


def require_one_slot(rollout: Rollout, objective: str) -> None:
    """Refuse slates of several slots.

    Args:
        rollout: what the objective was given.
        objective: its name, for the message.

    Raises:
        ConfigurationError: the slates have more than one slot.
    """
    if rollout.items.shape[-1] != 1:
        raise ConfigurationError(
            f"{objective} compares single items, but the slates have {rollout.items.shape[-1]} slots: sample slates of "
            "one slot (`slots: 1`), or choose an objective over slates"
        )


def require_logged_log_prob(rollout: Rollout, objective: str) -> Float[Tensor, "P S L"]:
    """Return the log-probabilities of the logged answers.

    Args:
        rollout: what the objective was given.
        objective: its name, for the message.

    Raises:
        ConfigurationError: the rollout has no logged answers.
    """
    if rollout.logged_log_prob is None:
        raise ConfigurationError(
            f"{objective} learns from the logged answer, but the rollout has none: give examples whose logged slates "
            "have as many slots as the sampled ones"
        )
    return rollout.logged_log_prob


def require_is_logged(rollout: Rollout, objective: str) -> Bool[Tensor, "P G"]:
    """Return which candidates are the logged answer.

    Args:
        rollout: what the objective was given.
        objective: its name, for the message.

    Raises:
        ConfigurationError: the rollout has no logged answers.
    """
    if rollout.is_logged is None:
        raise ConfigurationError(
            f"{objective} needs to know which candidate is the logged answer, but the rollout has none: give examples "
            "whose logged slates have as many slots as the sampled ones"
        )
    return rollout.is_logged
