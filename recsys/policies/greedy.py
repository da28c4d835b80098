"""Take the best, all the time or most of it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.data.context import Context
from recsys.data.feedback import Feedback
from recsys.data.slates import Slates
from recsys.policies.scorer import Learner, Posterior, Scorer
from recsys.policies.slot_by_slot import SlotBySlot


class EpsilonGreedy(SlotBySlot[Tensor]):
    """Each slot takes the best item that is left with probability `1 − ε`, else any that is left, all alike.

    Ties go to the lowest index. `ε = 0` is greedy and has no slate but one, `ε = 1` is uniform.

    Args:
        scorer: what ranks the items; learns if it can.
        epsilon: `ε`, in [0, 1].
    """

    def __init__(self, scorer: Scorer, epsilon: float = 0.1) -> None:
        super().__init__()
        self.scorer = scorer
        self.epsilon = epsilon

    @property
    def num_items(self) -> int:
        """`N`."""
        return self.scorer.num_items

    def look(self, context: Context) -> Tensor:
        """Every item's score."""
        return self.scorer.scores(context)

    def slot_prob(self, view: Tensor, left: Bool[Tensor, "B G N"]) -> Float[Tensor, "B G N"]:
        """See `SlotBySlot.slot_prob`."""
        best = view.unsqueeze(1).masked_fill(~left, float("-inf")).argmax(-1, keepdim=True)
        prob = left * (self.epsilon / left.sum(-1, keepdim=True).clamp(min=1))
        return prob.scatter_add(-1, best, torch.full_like(best, 1 - self.epsilon, dtype=prob.dtype))

    def update(self, context: Context, slates: Slates, feedback: Feedback, generator: torch.Generator) -> None:
        """See `Learner.update`; nothing where the scorer does not learn."""
        if isinstance(self.scorer, Learner):
            self.scorer.update(context, slates, feedback, generator)


class Greedy(EpsilonGreedy):
    """The best items, best first.

    Args:
        scorer: what ranks the items; learns if it can.
    """

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer, epsilon=0.0)


class Uniform(EpsilonGreedy):
    """Any item, all alike.

    Args:
        num_items: `N`.
    """

    def __init__(self, num_items: int) -> None:
        super().__init__(_Nothing(num_items), epsilon=1.0)


class UpperBound:
    """`mean + width · deviation`: optimism in the face of what is not known, as in LinUCB.

    Source: Li et al. 2010, "A contextual-bandit approach to personalized news article recommendation", algorithm 1.

    Args:
        posterior: of the scores.
        width: how many deviations.
    """

    def __init__(self, posterior: Posterior, width: float = 1.0) -> None:
        self.posterior = posterior
        self.width = width
        self.num_items = posterior.num_items

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Scorer.scores`."""
        return self.posterior.scores(context) + self.width * self.posterior.deviation(context)

    def update(self, context: Context, slates: Slates, feedback: Feedback, generator: torch.Generator) -> None:
        """See `Learner.update`; nothing where the posterior does not learn."""
        if isinstance(self.posterior, Learner):
            self.posterior.update(context, slates, feedback, generator)


class _Nothing:
    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """All alike."""
        return torch.zeros(len(context), self.num_items, device=context.users.device)
