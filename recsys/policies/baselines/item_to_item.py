"""Item-to-item baselines: scores follow weighted links from the items of a history."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn
from typing_extensions import override

from recsys.decode.catalogue import over_legal_set
from recsys.policies.baselines.popularity import popularity_share
from recsys.policies.policy import ItemPolicy
from recsys.types.context import Context
from recsys.types.jagged import Jagged


class ItemLinks(nn.Module):
    """A sparse matrix of link weights `[N, N]` as buffers, which move with `.to` and are part of the state dict.

    Args:
        links: coalesced sparse COO matrix; the row is the source item of a link.
    """

    ends: Tensor
    weight: Tensor

    def __init__(self, links: Float[Tensor, "N N"]) -> None:
        super().__init__()
        self.num_items = links.shape[0]
        self.register_buffer("ends", links.indices())
        self.register_buffer("weight", links.values().float())

    def follow(self, items: Jagged, weights: Float[Tensor, " total"]) -> Float[Tensor, "B N"]:
        """Return `score[b, j] = Σ_t weights[t] · links[items[t], j]` over the items `t` of row `b`.

        Only the links of these items are read.
        """
        start = torch.stack([items.row_ids(), items.values])
        from_rows = torch.sparse_coo_tensor(start, weights, (len(items), self.num_items), check_invariants=False)
        links = torch.sparse_coo_tensor(
            self.ends, self.weight, (self.num_items, self.num_items), is_coalesced=True, check_invariants=False
        )
        return sparse_product(from_rows, links).to_dense()


def sparse_product(left: Float[Tensor, "B N"], right: Float[Tensor, "N M"]) -> Float[Tensor, "B M"]:
    """Return the sparse product of two sparse COO matrices."""
    with warnings.catch_warnings():
        # torch warns once a process that its compressed sparse format is in beta, which callers cannot change.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse.mm(left, right)


class ItemToItem(ItemPolicy):
    """A policy from recency-weighted links of the last items of a history, mixed with popularity.

    Let `a_0` be the last item, `a_1` the one before, and so on, and `s_b = Σ_{j<window} decay^j · links[a_j, b]`. Then

        π(b) ∝ (1 − back_off) · s_b / Σ_c s_c + back_off · popularity_b      over the legal set of the request

    If the history has no links, `π` is popularity. Repeated items of a history count each time.

    Args:
        links: `[N, N]`, coalesced sparse COO matrix of positive values.
        counts: `[N]`, training interactions of each item. Popularity is computed from them, smoothed by one
            interaction.
        decay: weight of an item relative to the next one, in (0, 1]. With 1 the order does not matter.
        window: number of latest items of the history that are read; None reads all.
        back_off: probability of the popularity part, in (0, 1), which keeps every item possible.
    """

    popularity: Tensor

    def __init__(
        self,
        links: Float[Tensor, "N N"],
        counts: Num[Tensor, " N"],
        decay: float,
        window: int | None,
        back_off: float,
    ) -> None:
        super().__init__()
        self.links = ItemLinks(links)
        self.register_buffer("popularity", popularity_share(counts, smoothing=1.0))
        self.decay = decay
        self.window = window
        self.back_off = back_off

    @override
    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        context.check(self.links.num_items, ["history"])
        recent = context.history if self.window is None else context.history.last(self.window)
        score = self.links.follow(recent, float(self.decay) ** recency(recent))
        total = score.sum(1)
        linked = torch.where(total > 0, (1 - self.back_off) / total, 0.0)
        backed_off = torch.where(total > 0, self.back_off, 1.0)
        share = score.mul_(linked.unsqueeze(1)).addcmul_(backed_off.unsqueeze(1), self.popularity)
        return over_legal_set(share.log_(), context)


def recency(items: Jagged) -> Int[Tensor, " total"]:
    """Return the distance of each value from the end of its row, 0 for the last.

    >>> recency(Jagged.from_rows([[7, 8, 9], [4]]))
    tensor([2, 1, 0, 0])
    """
    return items.lengths[items.row_ids()] - 1 - items.positions()
