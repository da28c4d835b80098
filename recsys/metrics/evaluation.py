"""The recommended lists of held-out requests, and every metric of them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from recsys.metrics.diversity import coverage, exposure, gini, intra_list_distance, novelty
from recsys.metrics.ranking import hit_rate, ndcg, rank_in_list


@dataclass(frozen=True)
class Evaluation:
    """Lists of one policy for `B` requests with one held-out item each.

    Args:
        users: `[B]`, who asks.
        target: `[B]`, the held-out item.
        items: `[B, K]`, the recommended ones, best first; −1 where a request has fewer. `K` is the largest cutoff.
        cutoffs: rising.
    """

    users: Int[Tensor, " B"]
    target: Int[Tensor, " B"]
    items: Int[Tensor, "B K"]
    cutoffs: tuple[int, ...]

    @property
    def rank(self) -> Int[Tensor, " B"]:
        """`[B]`, the place of the held-out item, from 1; 0 where it is not among the `K`."""
        return rank_in_list(self.items, self.target)

    def accuracy(self) -> dict[str, Float[Tensor, " B"]]:
        """`hr@k` and `ndcg@k` of each request, for every cutoff."""
        rank = self.rank
        found = {f"hr@{k}": hit_rate(rank, k) for k in self.cutoffs}
        return found | {f"ndcg@{k}": ndcg(rank, k) for k in self.cutoffs}

    def novelty(self, information: Float[Tensor, " N"]) -> dict[str, Float[Tensor, " B"]]:
        """`novelty@k` of each request in bits.

        Args:
            information: of each item, see `recsys.metrics.diversity.self_information`.
        """
        return {f"novelty@{k}": novelty(self.items[:, :k], information) for k in self.cutoffs}

    def diversity(self, vectors: Float[Tensor, "N D"]) -> dict[str, Float[Tensor, " B"]]:
        """`diversity@k` of each request, the mean cosine distance in its list, for cutoffs from 2 on.

        Args:
            vectors: of each item; not those the policy was trained on, or the policy judges itself.
        """
        return {f"diversity@{k}": intra_list_distance(self.items[:, :k], vectors) for k in self.cutoffs if k > 1}

    def reach(self, num_items: int) -> dict[str, float]:
        """`coverage@k` and `gini@k`: of all requests together, so that there is no value of one request.

        Args:
            num_items: `N`, size of the catalogue.
        """
        covered = {f"coverage@{k}": coverage(self.items[:, :k], num_items) for k in self.cutoffs}
        return covered | {f"gini@{k}": gini(exposure(self.items[:, :k], num_items)) for k in self.cutoffs}
