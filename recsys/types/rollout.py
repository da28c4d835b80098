"""The rewarded group of candidates of each request that an objective learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """`G` candidates for each of `P` requests. Log-probabilities are natural, over the request's legal set.

    Args:
        token_log_prob: `[P, G, L]`, with gradient: log π_θ of each code of a candidate; the sum over levels is the
            candidate's log-probability (the legal set's correction sits on the last code).
        behaviour_log_prob: `[P, G, L]`, without gradient: the same under the policy that drew the group.
        reward: `[P, G]`.
        is_target: `[P, G]`, true where the candidate is the logged next item.
        alive: `[P, G]`, false where the legal set had fewer than `G` candidates; everything there is ignored.
        target_log_prob: `[P, L]`, with gradient: log π_θ of the logged next item, whether or not it is in the group.
        reference_log_prob: `[P, G, L]`, without gradient, under the reference policy; None where there is no KL term.
        log_inclusion: `[P, G]`: log-probability that the candidate is among the group (stochastic beams); None for
            groups that are not drawn without replacement.
        shared_codes: `[P, G]`, integer: how many leading codes the candidate shares with the target; `L` for itself.
    """

    token_log_prob: Float[Tensor, "P G L"]
    behaviour_log_prob: Float[Tensor, "P G L"]
    reward: Float[Tensor, "P G"]
    is_target: Bool[Tensor, "P G"]
    alive: Bool[Tensor, "P G"]
    target_log_prob: Float[Tensor, "P L"]
    reference_log_prob: Float[Tensor, "P G L"] | None = None
    log_inclusion: Float[Tensor, "P G"] | None = None
    shared_codes: Tensor | None = None

    @property
    def log_prob(self) -> Float[Tensor, "P G"]:
        """`[P, G]`, with gradient: log π_θ of each candidate; 0 where there is none."""
        return self.token_log_prob.masked_fill(~self.alive.unsqueeze(-1), 0.0).sum(-1)


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
    """A pure function of a group; its options are bound by configuration (`_partial_: true`)."""

    def __call__(self, group: Group) -> Loss:
        """The loss of one batch."""
        ...
