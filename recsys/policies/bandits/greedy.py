"""Greedy, epsilon-greedy, uniform and upper-confidence-bound policies."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.decode.legal import require_legal, require_numbers
from recsys.decode.top_k import tie_keys
from recsys.policies.policy import Policy
from recsys.policies.scorer import OnlineLearner, Posterior, Scorer, update
from recsys.ranges import at_least, within
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates
from recsys.types.transition import Transition


class EpsilonGreedy(nn.Module, Policy, OnlineLearner):
    """The ε-greedy policy: each slot takes the best remaining item with probability `1 − ε`, else a uniform one.

    Of several best items, the user and the items fix which one is taken (`recsys.decode.top_k.tie_keys`). `ε = 0` is
    greedy and always gives the same slate; `ε = 1` is uniform. The distribution of a slot is not that of the first slot
    renormalised, as it is for an `ItemPolicy`. Sampling takes memory for `B × G × N` numbers.

    Args:
        scorer: scorer that ranks the items; it is updated if it is an `OnlineLearner`.
        epsilon: probability `ε` of a uniform item, in [0, 1].
    """

    def __init__(self, scorer: Scorer, epsilon: float = 0.1) -> None:
        within(0, 1, epsilon=epsilon)
        super().__init__()
        self.scorer = scorer
        self.epsilon = epsilon

    @override
    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        scores, keys, left = self._scores(context, candidates)
        items, log_prob = [], []
        for _ in range(slots):
            prob = self._slot_prob(scores, keys, left)
            chosen = (prob / torch.empty_like(prob).exponential_(generator=generator)).argmax(-1)
            possible = left.any(-1)
            items.append(chosen.where(possible, -1))
            log_prob.append(_at(prob, chosen).log().where(possible, float("-inf")))
            left = left.scatter(-1, chosen.unsqueeze(-1), False)
        return Slates(torch.stack(items, -1), torch.stack(log_prob, -1), SamplingMethod.SAMPLE)

    @override
    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        slates.check(self.scorer.num_items)
        scores, keys, left = self._scores(context, slates.items.shape[1])
        possible = torch.ones(slates.items.shape[:2], dtype=torch.bool, device=slates.items.device)
        found = []
        for chosen in slates.items.unbind(-1):
            known = chosen.clamp(min=0)
            prob = _at(self._slot_prob(scores, keys, left), known)
            possible = possible & (chosen >= 0) & (prob > 0)
            found.append(prob.log().where(possible, float("-inf")))
            left = left.scatter(-1, known.unsqueeze(-1), False)
        return torch.stack(found, -1)

    @override
    def update(self, transition: Transition, generator: torch.Generator) -> None:
        update(self.scorer, transition, generator)

    def _scores(
        self, context: Context, candidates: int
    ) -> tuple[Float[Tensor, "B 1 N"], Int[Tensor, "B 1 N"], Bool[Tensor, "B G N"]]:
        """Return the score of every item, its rank among equal scores, and the items that the first slot may hold.

        A legal item with score −inf stands behind all others, and is still legal.
        """
        legal = ~context.illegal(self.scorer.num_items)
        require_legal(~legal.any(-1))
        every = torch.arange(self.scorer.num_items, device=legal.device)
        keys = tie_keys(context.users.unsqueeze(1), every)
        scores = self.scorer.scores(context)
        require_numbers(scores.masked_fill(~legal, 0.0))
        scores = scores.clamp(min=torch.finfo(scores.dtype).min)
        return scores.unsqueeze(1), keys.unsqueeze(1), legal.unsqueeze(1).expand(-1, candidates, -1)

    def _slot_prob(
        self, scores: Float[Tensor, "B 1 N"], keys: Int[Tensor, "B 1 N"], left: Bool[Tensor, "B G N"]
    ) -> Float[Tensor, "B G N"]:
        """Return the probability of each item at the next slot; 0 for items that are not left."""
        open_scores = scores.masked_fill(~left, float("-inf"))
        is_best = left & (open_scores == open_scores.amax(-1, keepdim=True))
        best = torch.where(is_best, keys, -1).argmax(-1, keepdim=True)
        prob = left * (self.epsilon / left.sum(-1, keepdim=True).clamp(min=1))
        return prob.scatter_add(-1, best, (1 - self.epsilon) * left.any(-1, keepdim=True).to(prob.dtype))


class Greedy(EpsilonGreedy):
    """The greedy policy: the items with the highest scores, best first.

    Args:
        scorer: scorer that ranks the items; it is updated if it is an `OnlineLearner`.
    """

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer, epsilon=0.0)


class UniformPolicy(EpsilonGreedy):
    """The uniform policy over the legal set.

    Args:
        num_items: number of items `N`.
    """

    def __init__(self, num_items: int) -> None:
        at_least(1, num_items=num_items)
        super().__init__(_ConstantScores(num_items), epsilon=1.0)


class UpperConfidenceBound(nn.Module, Scorer, OnlineLearner):
    """A scorer by the upper confidence bound `mean + width · deviation` of a posterior, as in LinUCB.

    Source: Li et al. 2010, "A contextual-bandit approach to personalized news article recommendation", algorithm 1.

    Args:
        posterior: posterior of the scores; it is updated if it is an `OnlineLearner`.
        width: number of standard deviations.
    """

    def __init__(self, posterior: Posterior, width: float = 1.0) -> None:
        at_least(0, width=width)
        super().__init__()
        self.posterior = posterior
        self.width = width
        self.num_items = posterior.num_items

    @override
    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        return self.posterior.scores(context) + self.width * self.posterior.deviation(context)

    @override
    def update(self, transition: Transition, generator: torch.Generator) -> None:
        update(self.posterior, transition, generator)


class _ConstantScores(Scorer):
    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    @override
    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        return torch.zeros(len(context), self.num_items, device=context.users.device)


def _at(values: Tensor, items: Tensor) -> Tensor:
    return values.gather(-1, items.unsqueeze(-1)).squeeze(-1)
