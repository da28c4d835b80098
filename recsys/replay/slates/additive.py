"""Weights for slates that earn a sum over their slots, whichever slot is credited."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from recsys.replay.slates.rounds import SlateRounds
from recsys.replay.slates.weights import SlateWeights


@dataclass(frozen=True)
class PseudoInverse(SlateWeights):
    """`q_πᵀ Γ⁺ 1_s`: what a slate earns is a sum over its slots of what its item is worth there, whoever is credited.

    `1_s` marks the slate's (slot, item) pairs, `Γ = E_p[1_s 1_sᵀ]`, `q_π = E_π[1_s]`. Exact with and without repeats:
    see `recsys.replay.slates.pseudo_inverse`. Source: Swaminathan, Krishnamurthy, Agarwal, Dudík, Langford, Jose,
    Zitouni 2017, "Off-policy evaluation for slate recommendation".
    """

    def __call__(self, rounds: SlateRounds) -> Float[Tensor, "n S"]:
        """See `SlateWeights`."""
        return rounds.need("pseudo_inverse").unsqueeze(1).expand_as(rounds.reward)


@dataclass(frozen=True)
class FactorisedPseudoInverse(SlateWeights):
    """`Σ_k w_k − S + 1`, what `PseudoInverse` is where the logging policy draws each slot on its own, repeats allowed.

    `w` as in `Slot`. Biased for slates without repeats. Source: that of `PseudoInverse`.

    >>> import torch
    >>> chances = torch.tensor([[0.5, 0.25]])
    >>> rounds = SlateRounds(torch.tensor([[0, 1]]), torch.ones(1, 2), logging_slot=chances, target_slot=1.5 * chances)
    >>> FactorisedPseudoInverse()(rounds)  # 1.5 + 1.5 − 2 + 1
    tensor([[2., 2.]])
    """

    def __call__(self, rounds: SlateRounds) -> Float[Tensor, "n S"]:
        """See `SlateWeights`."""
        weight = 1 + (rounds.slot - 1).sum(-1, keepdim=True)
        return weight.expand_as(rounds.reward)
