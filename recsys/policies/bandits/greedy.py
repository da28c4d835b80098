"""Greedy, epsilon-greedy, uniform and upper-confidence-bound policies."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recsys.decode.legal import require_legal
from recsys.policies.scorer import Posterior, Scorer, update
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates
from recsys.types.transition import Transition


class EpsilonGreedy(nn.Module):
    """Each slot takes the best item that is left with probability `1 − ε`, else any that is left, all alike.

    Ties go to the lowest index. `ε = 0` is greedy and has no slate but one, `ε = 1` is uniform. Unlike an
    `ItemPolicy`'s, a slot's distribution is not the first one's renormalised. Needs memory for `B × G × N` numbers.

    Args:
        scorer: what ranks the items; learns if it can.
        epsilon: `ε`, in [0, 1].
    """

    def __init__(self, scorer: Scorer, epsilon: float = 0.1) -> None:
        super().__init__()
        self.scorer = scorer
        self.epsilon = epsilon

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """See `Policy.sample`; where fewer than `S` items are legal, the last slots hold −1, log-probability −inf."""
        scores, left = self._scores(context, candidates)
        items, log_prob = [], []
        for _ in range(slots):
            prob = self._slot_prob(scores, left)
            chosen = (prob / torch.empty_like(prob).exponential_(generator=generator)).argmax(-1)
            alive = left.any(-1)
            items.append(chosen.where(alive, -1))
            log_prob.append(_at(prob, chosen).log().where(alive, float("-inf")))
            left = left.scatter(-1, chosen.unsqueeze(-1), False)
        return Slates(torch.stack(items, -1), torch.stack(log_prob, -1), SamplingMethod.SAMPLE)

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """See `Policy.log_prob`; −inf from the first slot on that cannot be so."""
        scores, left = self._scores(context, slates.items.shape[1])
        possible = torch.ones(slates.items.shape[:2], dtype=torch.bool, device=slates.items.device)
        found = []
        for chosen in slates.items.unbind(-1):
            known = chosen.clamp(min=0)
            prob = _at(self._slot_prob(scores, left), known)
            possible = possible & (chosen >= 0) & (prob > 0)
            found.append(prob.log().where(possible, float("-inf")))
            left = left.scatter(-1, known.unsqueeze(-1), False)
        return torch.stack(found, -1)

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        """See `OnlineLearner.update`."""
        update(self.scorer, transition, generator)

    def _scores(self, context: Context, candidates: int) -> tuple[Float[Tensor, "B 1 N"], Bool[Tensor, "B G N"]]:
        """Every item's score, and the items that each slate may begin with."""
        legal = ~context.illegal(self.scorer.num_items)
        require_legal(~legal.any(-1))
        return self.scorer.scores(context).unsqueeze(1), legal.unsqueeze(1).expand(-1, candidates, -1)

    def _slot_prob(self, scores: Float[Tensor, "B 1 N"], left: Bool[Tensor, "B G N"]) -> Float[Tensor, "B G N"]:
        """Probability of each item for the next slot, 0 for those that are not left."""
        best = scores.masked_fill(~left, float("-inf")).argmax(-1, keepdim=True)
        prob = left * (self.epsilon / left.sum(-1, keepdim=True).clamp(min=1))
        return prob.scatter_add(-1, best, (1 - self.epsilon) * left.any(-1, keepdim=True).to(prob.dtype))


class Greedy(EpsilonGreedy):
    """The best items, best first.

    Args:
        scorer: what ranks the items; learns if it can.
    """

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer, epsilon=0.0)


class UniformPolicy(EpsilonGreedy):
    """Any item, all alike.

    Args:
        num_items: `N`.
    """

    def __init__(self, num_items: int) -> None:
        super().__init__(_Nothing(num_items), epsilon=1.0)


class UpperConfidenceBound(nn.Module):
    """`mean + width · deviation`: optimism in the face of what is not known, as in LinUCB.

    Source: Li et al. 2010, "A contextual-bandit approach to personalized news article recommendation", algorithm 1.

    Args:
        posterior: of the scores.
        width: how many deviations.
    """

    def __init__(self, posterior: Posterior, width: float = 1.0) -> None:
        super().__init__()
        self.posterior = posterior
        self.width = width
        self.num_items = posterior.num_items

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Scorer.scores`."""
        return self.posterior.scores(context) + self.width * self.posterior.deviation(context)

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        """See `OnlineLearner.update`."""
        update(self.posterior, transition, generator)


class _Nothing:
    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """All alike."""
        return torch.zeros(len(context), self.num_items, device=context.users.device)


def _at(values: Tensor, items: Tensor) -> Tensor:
    return values.gather(-1, items.unsqueeze(-1)).squeeze(-1)
