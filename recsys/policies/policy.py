"""The policy contract, policies over one distribution of items, and the softmax policy of a scorer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.decode.beam import top_k
from recsys.decode.legal import require_legal
from recsys.policies.plackett_luce import draw_slates, slot_log_prob
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates


@runtime_checkable
class Policy(Protocol):
    """Law, held by `tests/contracts`: `Σ exp log_prob = 1` over the slates a request allows; `sample` draws by it."""

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """Draw `G = candidates` slates of `S = slots` distinct items for each request."""
        ...

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """Log-probability (nats) of each slot given the slots before it, over what the request allows there."""
        ...


class ItemPolicy(nn.Module, ABC):
    """A policy made of one distribution over items: slots are filled one after the other without replacement.

    A slate's probability is Plackett and Luce's: slot `s` follows the item distribution renormalised over what the
    request allows and no earlier slot took. Subclasses give the distribution; sampling, scoring and ranking follow.
    """

    @abstractmethod
    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item as a request's only slot; −inf outside the legal set; sums to 1.

        Raises:
            EmptyLegalSetError: a request allows no item.
        """

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """Draw `G = candidates` independent slates of `S = slots` distinct items for each request.

        Needs memory for `B × G × N` numbers. Where fewer than `S` items are legal, the last slots hold item −1 with
        log-probability −inf.

        Args:
            context: `B` requests.
            candidates: `G`, at least 1.
            slots: `S`, at least 1.
            generator: on the device of the policy; equal states give equal slates.
        """
        catalogue = self.catalogue_log_prob(context)
        items = draw_slates(catalogue, candidates, slots, generator)
        return Slates(items, slot_log_prob(catalogue, items), SamplingMethod.SAMPLE)

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """Log-probability (nats) of each slot given the slots before it, over what the request allows there.

        −inf from the first slot on that holds no item, an item outside the legal set or one that an earlier slot holds.
        """
        return slot_log_prob(self.catalogue_log_prob(context), slates.items)

    def top(self, context: Context, k: int) -> Slates:
        """The `k` most probable legal items as slates of one slot, falling; ties go to the lowest item index.

        Where fewer than `k` items are legal, the rest holds item −1 with log-probability −inf.
        """
        catalogue = self.catalogue_log_prob(context)
        log_prob, items = top_k(catalogue, min(k, catalogue.shape[-1]))
        items = items.masked_fill(log_prob.isneginf(), -1)
        missing = (0, k - items.shape[-1])
        items = nn.functional.pad(items, missing, value=-1)
        log_prob = nn.functional.pad(log_prob, missing, value=float("-inf"))
        return Slates(items.unsqueeze(-1), log_prob.unsqueeze(-1), SamplingMethod.TOP)


def over_legal_set(scores: Float[Tensor, "B N"], context: Context) -> Float[Tensor, "B N"]:
    """Log-softmax (nats) of scores over each request's legal set; −inf outside it.

    With scores that are log-probabilities this is `log π(y) − log(1 − Σ_excluded π)`.

    Args:
        scores: `[B, N]`, finite or −inf; an item at −inf is as good as illegal.
        context: the requests.

    Raises:
        EmptyLegalSetError: a request allows no item of finite score.

    >>> from recsys.types.jagged import Jagged
    >>> context = Context(torch.tensor([0]), Jagged.empty(1), Jagged.from_rows([[1]]))
    >>> over_legal_set(torch.tensor([[0.25, 0.5, 0.25]]).log(), context).exp()
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    legal = scores.masked_fill(context.illegal(scores.shape[-1]), float("-inf"))
    require_legal(legal.isneginf().all(-1))
    return torch.log_softmax(legal, -1)


class SoftmaxPolicy(ItemPolicy):
    """`π(i) ∝ exp(score_i / temperature)` over the request's legal set.

    Args:
        scorer: maps `B` requests to `[B, N]` scores; a module's parameters become the policy's.
        temperature: above 0, in units of the scores. It moves probability, never the order of items: towards 0 all of
            it goes to the best item, towards infinity the policy becomes uniform.
    """

    def __init__(self, scorer: Callable[[Context], Tensor], temperature: float = 1.0) -> None:
        super().__init__()
        self.scorer = scorer
        self.temperature = temperature

    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item; −inf outside the legal set."""
        return over_legal_set(self.scorer(context) / self.temperature, context)
