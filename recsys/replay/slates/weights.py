"""Importance weights of slates, each valid under its own assumption on the reward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.ranges import at_least
from recsys.replay.slates.batch import SlateBatch


class SlateWeights(ABC):
    """A weight for each slot of a slate; subclasses are frozen dataclasses, so that equal weights are shared."""

    @abstractmethod
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        """Return the weights `[n, S]`, at least 0, except for the pseudo-inverse.

        Raises:
            RequestError: a probability that they need is missing.
        """

    def control(self, rounds: SlateBatch, weight: Float[Tensor, "n S"]) -> Float[Tensor, "n S"]:
        """Return numbers with expectation 1 under the logging policy, to normalise by; usually the weights themselves.

        Args:
            rounds: the batch.
            weight: its weights.
        """
        return weight


@dataclass(frozen=True)
class WholeSlateWeights(SlateWeights):
    """Importance weights of whole slates, `π(s | x) / p(s | x)`.

    A slot's reward may depend on everything in the slate.
    """

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        return rounds.slate_ratio.unsqueeze(1).expand_as(rounds.reward)


@dataclass(frozen=True)
class PrefixWeights(SlateWeights):
    """Importance weights of prefixes, `Π_{l ≤ k} π(s_l | x, s_1 … s_{l−1}) / p(s_l | x, s_1 … s_{l−1})`.

    A slot's reward may depend on its item and the items before it, as in a cascade. Source: McInerney, Brost, Chandar,
    Mehrotra, Carterette 2020, "Counterfactual evaluation of slate recommendations with sequential reward interactions".
    """

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        rounds.need_rewards_by_slot()
        return rounds.prefix_ratio


@dataclass(frozen=True)
class SlotWeights(SlateWeights):
    """Importance weights of items at their slots, `π(s_k at k | x) / p(s_k at k | x)`.

    A slot's reward may depend on its own item only, in a different way at each slot: the item-position model, also
    known as independent importance weighting. Slots are not pooled: an item logged in slot 1 tells nothing about slot
    2; for that see `PositionBasedWeights`. Source: Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay, Wen 2018, "Offline
    evaluation of ranking policies with click models".
    """

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        rounds.need_rewards_by_slot()
        return rounds.slot_ratio


@dataclass(frozen=True)
class PositionBasedWeights(SlateWeights):
    """Importance weights of the position-based model, `Σ_l e_l π(s_k at l | x) / Σ_l e_l p(s_k at l | x)`.

    The reward of slot `k` is `e_k` times the worth of its item, the same at every slot. Slots are pooled: an item need
    not have been logged in the slot where the target policy puts it. Equal `e` is the document-based model. Source: the
    paper of `SlotWeights`.

    Args:
        examination: `e`, `S` numbers of at least 0; only their proportions matter.
    """

    examination: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "examination", tuple(self.examination))
        at_least(0, **{f"examination[{place}]": value for place, value in enumerate(self.examination)})

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        rounds.need_rewards_by_slot()
        examined = self._examined(rounds)
        target, logging = (
            torch.linalg.vecdot(rounds.need(name), examined.unsqueeze(1)) for name in ("target_at", "logging_at")
        )
        return torch.where(rounds.filled, target / logging, 1.0)

    def control(self, rounds: SlateBatch, weight: Float[Tensor, "n S"]) -> Float[Tensor, "n S"]:
        """Return `Σ_l e_l w_l / Σ_l e_l` for every slot, since a single slot's weight does not have expectation 1."""
        examined = self._examined(rounds)
        mean = torch.linalg.vecdot(weight, examined) / examined.sum(-1)
        return mean.unsqueeze(1).expand_as(weight)

    def _examined(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        return rounds.reward.new_tensor(self.examination) * rounds.filled


@dataclass(frozen=True)
class PseudoInverse(SlateWeights):
    """Pseudo-inverse weights, `q_πᵀ Γ⁺ 1_s`.

    The reward of a slate is a sum over its slots of what each item is worth there; it does not matter which slot is
    credited. `1_s` is the indicator vector of the slate's (slot, item) pairs, `Γ = E_p[1_s 1_sᵀ]`, `q_π = E_π[1_s]`.
    Exact with and without repeated items: see `recsys.replay.slates.pseudo_inverse`. Source: Swaminathan,
    Krishnamurthy, Agarwal, Dudík, Langford, Jose, Zitouni 2017, "Off-policy evaluation for slate recommendation".
    """

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        return rounds.need("pseudo_inverse").unsqueeze(1).expand_as(rounds.reward)
