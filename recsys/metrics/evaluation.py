"""The recommended lists of held-out requests, and their metrics."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from recsys.metrics.diversity import coverage, exposure, gini, intra_list_distance, novelty
from recsys.metrics.ranking import hit_rate, ndcg, rank_in_list


@dataclass(frozen=True)
class Evaluation:
    """The lists that one policy recommends for `B` requests, each of which has one held-out item.

    Args:
        users: `[B]`, user of each request.
        target: `[B]`, held-out item of each request.
        items: `[B, K]`, recommended items, best first, distinct, padded with −1. `K` is the largest cutoff.
        cutoffs: the cutoffs `k` of the metrics, ascending.
        scores: `[B, K]`, what the items are ranked by, −inf for padding; None if it is not known.

    Raises:
        ValueError: a list holds an item twice or an index below −1, or a target is no item. The message names the
            request.
    """

    users: Int[Tensor, " B"]
    target: Int[Tensor, " B"]
    items: Int[Tensor, "B K"]
    cutoffs: tuple[int, ...]
    scores: Float[Tensor, "B K"] | None = None

    def __post_init__(self) -> None:
        ordered = self.items.sort(1).values
        broken = {
            "holds an item twice, expected each once": (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0),
            "holds an index below -1, expected items, or -1 as padding": ordered < -1,
            "has a target that is no item, expected 0 or above": (self.target < 0).unsqueeze(1),
        }
        for text, mask in broken.items():
            if mask.any():
                row = int(mask.any(1).nonzero()[0])
                raise ValueError(f"request {row} {text}: items {self.items[row].tolist()}, target {self.target[row]}")

    @property
    def rank(self) -> Int[Tensor, " B"]:
        """Rank of each held-out item in its list, `[B]`, from 1; 0 if it is not in the list."""
        return rank_in_list(self.items, self.target)

    def accuracy(self) -> dict[str, Float[Tensor, " B"]]:
        """Return the hit rate `hr@k` and `ndcg@k` of each request, for every cutoff."""
        rank = self.rank
        found = {f"hr@{k}": hit_rate(rank, k) for k in self.cutoffs}
        return found | {f"ndcg@{k}": ndcg(rank, k) for k in self.cutoffs}

    def ties(self) -> dict[str, float]:
        """Return `tied@k`: the share of requests whose items at places `k` and `k + 1` have equal scores.

        The first `k` items of these requests are one choice of several, so metrics at `k` depend on how ties are
        broken. The largest cutoff has no entry if lists end there, and there is none without scores.

        >>> import torch
        >>> lists, scores = torch.tensor([[4, 7], [4, 7]]), torch.tensor([[0.5, 0.5], [0.5, 0.25]])
        >>> Evaluation(torch.tensor([0, 1]), torch.tensor([7, 7]), lists, (1, 2), scores).ties()
        {'tied@1': 0.5}
        """
        if self.scores is None:
            return {}
        equal = (self.scores[:, 1:] == self.scores[:, :-1]) & self.scores[:, 1:].isfinite()
        return {f"tied@{k}": float(equal[:, k - 1].double().mean()) for k in self.cutoffs if k < self.scores.shape[1]}

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
