"""The protocol of policies, policies given by one distribution over items, and the softmax policy of a scorer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.decode.catalogue import over_legal_set
from recsys.decode.legal import require_numbers
from recsys.decode.top_k import top_k
from recsys.policies.plackett_luce import draw_slates, slot_log_prob
from recsys.ranges import above
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates


@runtime_checkable
class Policy(Protocol):
    """A distribution over the slates of each request.

    `tests/contracts` checks that `Σ exp log_prob = 1` over the slates that a request allows, and that `sample` draws
    from this distribution.
    """

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """Draw `G = candidates` independent slates of `S = slots` distinct items for each request.

        If fewer than `S` items are legal, the last slots hold item −1 with log-probability −inf.

        Args:
            context: `B` requests.
            candidates: number of slates `G` of a request, at least 1.
            slots: number of slots `S` of a slate, at least 1.
            generator: random generator on the device of the policy. Equal states give equal slates.

        Raises:
            EmptyLegalSetError: the legal set of a request is empty, or no item of it has a probability above 0.
            NonFiniteError: a probability is NaN.
        """
        ...

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """Return the log-probability, in nats, of each slot given the earlier slots.

        It is −inf from the first slot on that is impossible: a slot without an item, an item outside the legal set, or
        an item of an earlier slot.

        Args:
            context: `B` requests.
            slates: `G` slates of each request.

        Raises:
            EmptyLegalSetError: the legal set of a request is empty, or no item of it has a probability above 0.
            NonFiniteError: a probability is NaN.
            RequestError: a slate holds an index outside `−1 .. N − 1` (`Slates.check`).
        """
        ...


class ItemPolicy(nn.Module, Policy, ABC):
    """A policy that fills slots from one distribution over items, one after the other, without replacement.

    The probability of a slate is that of the Plackett–Luce model: slot `s` follows the item distribution, renormalised
    over the legal items that no earlier slot holds. Subclasses define the distribution. Sampling takes memory for
    `B × G × N` numbers.
    """

    @abstractmethod
    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the log-probability, in nats, of every item as the only item of a slate; −inf outside the legal set.

        Raises:
            EmptyLegalSetError: the legal set of a request is empty, or no item of it has a probability above 0.
            NonFiniteError: a probability is NaN.
        """

    @override
    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        catalogue = self.catalogue_log_prob(context)
        items = draw_slates(catalogue, candidates, slots, generator)
        return Slates(items, slot_log_prob(catalogue, items), SamplingMethod.SAMPLE)

    @override
    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        catalogue = self.catalogue_log_prob(context)
        slates.check(catalogue.shape[-1])
        return slot_log_prob(catalogue, slates.items)

    def top(self, context: Context, k: int) -> Slates:
        """Return the `k` most probable legal items of each request, best first, as slates of one slot.

        Items of equal probability stand in a pseudo-random order that the user and the item fix
        (`recsys.decode.top_k`): requests of one user get equal lists, and no item is preferred for its name. If fewer
        than `k` items are legal, the last slates hold item −1 with log-probability −inf.

        Raises:
            EmptyLegalSetError: the legal set of a request is empty, or no item of it has a probability above 0.
            NonFiniteError: a probability is NaN.
        """
        catalogue = self.catalogue_log_prob(context)
        log_prob, items = top_k(catalogue, min(k, catalogue.shape[-1]), context.users)
        require_numbers(log_prob[:, :1])
        items = items.masked_fill(log_prob.isneginf(), -1)
        missing = (0, k - items.shape[-1])
        items = nn.functional.pad(items, missing, value=-1)
        log_prob = nn.functional.pad(log_prob, missing, value=float("-inf"))
        return Slates(items.unsqueeze(-1), log_prob.unsqueeze(-1), SamplingMethod.TOP)


class SoftmaxPolicy(ItemPolicy):
    """The softmax policy of a scorer: `π(i) ∝ exp(score_i / temperature)` over the legal set of the request.

    Args:
        scorer: function from `B` requests to scores `[B, N]`. The parameters of a module become those of the policy.
        temperature: above 0, in units of the scores. Small values give nearly all probability to the best item, large
            ones make the policy uniform. The order of items does not depend on it.
    """

    def __init__(self, scorer: Callable[[Context], Tensor], temperature: float = 1.0) -> None:
        above(0, temperature=temperature)
        super().__init__()
        self.scorer = scorer
        self.temperature = temperature

    @override
    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        return over_legal_set(self.scorer(context) / self.temperature, context)
