"""Any scorer of the catalogue as a policy."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from recsys.data.context import Context
from recsys.policies.policy import ItemPolicy, over_legal_set


class Softmax(ItemPolicy):
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
