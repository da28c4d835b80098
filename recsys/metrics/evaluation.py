"""The recommended lists of held-out requests, and their metrics."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from recsys.metrics.diversity import coverage, exposure, gini, intra_list_distance, novelty
from recsys.metrics.lists import require_distinct
from recsys.metrics.ranking import hit_rate, ndcg, rank_in_list


@dataclass(frozen=True)
class Evaluation:
    """The lists that one policy recommends for `B` requests, each of which has one held-out item.

    Args:
        users: `[B]`, user of each request.
        target: `[B]`, held-out item of each request.
        items: `[B, K]`, recommended items, best first, distinct, padded with −1. `K` is the largest cutoff.
        cutoffs: the cutoffs `k` of the metrics, ascending.

    Raises:
        ValueError: a list holds an item twice.
    """

    users: Int[Tensor, " B"]
    target: Int[Tensor, " B"]
    items: Int[Tensor, "B K"]
    cutoffs: tuple[int, ...]

    def __post_init__(self) -> None:
        require_distinct(self.items)

    @property
    def rank(self) -> Int[Tensor, " B"]:
        """Rank of each held-out item in its list, `[B]`, from 1; 0 if it is not in the list."""
        return rank_in_list(self.items, self.target)

    def accuracy(self) -> dict[str, Float[Tensor, " B"]]:
        """Return the hit rate `hr@k` and `ndcg@k` of each request, for every cutoff."""
        rank = self.rank
        found = {f"hr@{k}": hit_rate(rank, k) for k in self.cutoffs}
        return found | {f"ndcg@{k}": ndcg(rank, k) for k in self.cutoffs}

    def novelty(self, information: Float[Tensor, " N"]) -> dict[str, Float[Tensor, " B"]]:
        """Return `novelty@k` of each request, in bits: the mean self-information of the items of its list.

        Args:
            information: self-information of each item, from `recsys.metrics.self_information`.
        """
        return {f"novelty@{k}": novelty(self.items[:, :k], information) for k in self.cutoffs}

    def diversity(self, vectors: Float[Tensor, "N D"]) -> dict[str, Float[Tensor, " B"]]:
        """Return `diversity@k` of each request: the mean cosine distance of the pairs of its list, for `k ≥ 2`.

        Args:
            vectors: vector of each item. Vectors that the policy was trained on would favour that policy.
        """
        return {f"diversity@{k}": intra_list_distance(self.items[:, :k], vectors) for k in self.cutoffs if k > 1}

    def reach(self, num_items: int) -> dict[str, float]:
        """Return `coverage@k` and `gini@k` of all requests together. Single requests have no such value.

        Args:
            num_items: number of items `N` of the catalogue.
        """
        covered = {f"coverage@{k}": coverage(self.items[:, :k], num_items) for k in self.cutoffs}
        return covered | {f"gini@{k}": gini(exposure(self.items[:, :k], num_items)) for k in self.cutoffs}
