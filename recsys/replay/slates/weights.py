"""Importance weights of slates, each valid under its own assumption on the reward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.replay.slates.batch import SlateBatch


class SlateWeights(ABC):
    """A number a slot. Kinds are frozen dataclasses, so that equal ones are one."""

    @abstractmethod
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        """At least 0, but for the pseudo-inverse.

        Raises:
            RequestError: a probability is needed that is not there.
        """

    def control(self, rounds: SlateBatch, weight: Float[Tensor, "n S"]) -> Float[Tensor, "n S"]:
        """Numbers of expectation 1 under the logging policy, to normalise by: the weights, unless theirs is another.

        Args:
            rounds: the rounds.
            weight: their weights.
        """
        return weight


@dataclass(frozen=True)
class WholeSlateWeights(SlateWeights):
    """`π(s | x) / p(s | x)`: a slot may earn by everything in the slate."""

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        return rounds.slate_ratio.unsqueeze(1).expand_as(rounds.reward)


@dataclass(frozen=True)
class PrefixWeights(SlateWeights):
    """`Π_{l ≤ k} π(s_l | x, s_1 … s_{l−1}) / p(…)`: a slot earns by its item and those before it, as in a cascade.

    Source: McInerney, Brost, Chandar, Mehrotra, Carterette 2020, "Counterfactual evaluation of slate recommendations
    with sequential reward interactions".
    """

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        rounds.need_rewards_by_slot()
        return rounds.prefix_ratio


@dataclass(frozen=True)
class SlotWeights(SlateWeights):
    """`π(s_k at k | x) / p(s_k at k | x)`: a slot earns by its own item alone, in a way of its own at each slot.

    This is the item-position model, and known as independent importance weighting too. Nothing is pooled over slots:
    an item logged at slot 1 tells nothing of slot 2, which `PositionBasedWeights` lets it do. Source: Li,
    Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay, Wen 2018, "Offline evaluation of ranking policies with click models".
    """

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        rounds.need_rewards_by_slot()
        return rounds.slot_ratio


@dataclass(frozen=True)
class PositionBasedWeights(SlateWeights):
    """`Σ_l e_l π(s_k at l | x) / Σ_l e_l p(s_k at l | x)`: a slot earns `e_k` times what its item is worth anywhere.

    Pools over slots: an item need not have been logged where the policy puts it, only anywhere. All `e` alike is the
    document-based model. Source: the paper of `SlotWeights`.

    Args:
        examination: `e`, `S` numbers of at least 0, of which only the proportions count.
    """

    examination: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "examination", tuple(self.examination))

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        rounds.need_rewards_by_slot()
        examined = self._examined(rounds)
        target, logging = (
            torch.linalg.vecdot(rounds.need(name), examined.unsqueeze(1)) for name in ("target_at", "logging_at")
        )
        return torch.where(rounds.filled, target / logging, 1.0)

    def control(self, rounds: SlateBatch, weight: Float[Tensor, "n S"]) -> Float[Tensor, "n S"]:
        """`Σ_l e_l w_l / Σ_l e_l` at every slot: a slot's own weight is not 1 in expectation."""
        examined = self._examined(rounds)
        mean = torch.linalg.vecdot(weight, examined) / examined.sum(-1)
        return mean.unsqueeze(1).expand_as(weight)

    def _examined(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        return rounds.reward.new_tensor(self.examination) * rounds.filled


@dataclass(frozen=True)
class PseudoInverse(SlateWeights):
    """`q_πᵀ Γ⁺ 1_s`: what a slate earns is a sum over its slots of what its item is worth there, whoever is credited.

    `1_s` marks the slate's (slot, item) pairs, `Γ = E_p[1_s 1_sᵀ]`, `q_π = E_π[1_s]`. Exact with and without repeats:
    see `recsys.replay.slates.pseudo_inverse`. Source: Swaminathan, Krishnamurthy, Agarwal, Dudík, Langford, Jose,
    Zitouni 2017, "Off-policy evaluation for slate recommendation".
    """

    @override
    def __call__(self, rounds: SlateBatch) -> Float[Tensor, "n S"]:
        return rounds.need("pseudo_inverse").unsqueeze(1).expand_as(rounds.reward)
