"""Item-to-item baselines: scores that follow links from the items of a history."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from recsys.policies.baselines.popularity import popularity_share
from recsys.policies.policy import ItemPolicy, over_legal_set
from recsys.types.context import Context
from recsys.types.jagged import Jagged


class ItemLinks(nn.Module):
    """A sparse matrix of link weights, `[N, N]`, whose parts move with `.to` and travel in a state dict.

    Args:
        links: coalesced sparse COO matrix; row = the item a link leaves from.
    """

    ends: Tensor
    weight: Tensor

    def __init__(self, links: Float[Tensor, "N N"]) -> None:
        super().__init__()
        self.num_items = links.shape[0]
        self.register_buffer("ends", links.indices())
        self.register_buffer("weight", links.values().float())

    def follow(self, items: Jagged, weights: Float[Tensor, " total"]) -> Float[Tensor, "B N"]:
        """`score[b, j] = Σ_t weights[t] · links[items[t], j]` over the items `t` of row `b`.

        Touches only the links that leave from the items named.
        """
        start = torch.stack([items.row_ids(), items.values])
        from_rows = torch.sparse_coo_tensor(start, weights, (len(items), self.num_items), check_invariants=False)
        links = torch.sparse_coo_tensor(
            self.ends, self.weight, (self.num_items, self.num_items), is_coalesced=True, check_invariants=False
        )
        return sparse_product(from_rows, links).to_dense()


def sparse_product(left: Float[Tensor, "B N"], right: Float[Tensor, "N M"]) -> Float[Tensor, "B M"]:
    """Product of two sparse COO matrices, sparse; costs one multiplication a pair of entries that meet."""
    with warnings.catch_warnings():
        # Torch says once a process that the compressed form it uses inside is in beta; callers can do nothing about it.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse.mm(left, right)


class ItemToItem(ItemPolicy):
    """Recency-weighted links from the last items of a history, mixed with popularity.

    With `a_0` the last item, `a_1` the one before, …, and `s_b = Σ_{j<window} decay^j · links[a_j, b]`:

        π(b) ∝ (1 − back_off) · s_b / Σ_c s_c + back_off · popularity_b      over the request's legal set

    and popularity alone where no link leaves from the history. Repeated items count each time they occur.

    Args:
        links: `[N, N]`, coalesced sparse COO, values above 0.
        counts: `[N]`, training interactions of each item, which popularity (smoothed by one interaction) is made of.
        decay: weight of an item against the one after it, in (0, 1]; 1 = order does not matter.
        window: items of the history that are read, the latest ones; None reads all.
        back_off: probability left to popularity, in (0, 1): every item stays possible.
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

    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item; −inf outside the legal set."""
        recent = context.history if self.window is None else context.history.last(self.window)
        score = self.links.follow(recent, float(self.decay) ** recency(recent))
        total = score.sum(1)
        linked = torch.where(total > 0, (1 - self.back_off) / total, 0.0)
        backed_off = torch.where(total > 0, self.back_off, 1.0)
        share = score.mul_(linked.unsqueeze(1)).addcmul_(backed_off.unsqueeze(1), self.popularity)
        return over_legal_set(share.log_(), context)


def recency(items: Jagged) -> Int[Tensor, " total"]:
    """Each value's distance from the end of its row: 0 for the last.

    >>> recency(Jagged.from_rows([[7, 8, 9], [4]]))
    tensor([2, 1, 0, 0])
    """
    return items.lengths[items.row_ids()] - 1 - items.positions()
