"""The first-order Markov chain of items in users' histories."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.policies.baselines.item_to_item import ItemToItem
from recsys.policies.baselines.popularity import interactions
from recsys.types.context import Context
from recsys.types.jagged import Jagged


class MarkovChain(ItemToItem):
    """Counts of item `a` followed by item `b`, with decay over the last items and popularity as back-off.

    `C[a, b] = Σ_{lag=1..window} decay^(lag−1) · #{a followed by b, lag events later}`, and the link from `a` to `b` is
    `C[a, b] / (Σ_c C[a, c])^exponent`. How links become a policy is in `ItemToItem`.

    Exponent 1 makes rows conditional probabilities, 0 leaves counts. The square root between them trusts an item seen
    often more than one seen twice; it was the best of the three on Amazon Beauty, by validation and by test.

    Args:
        train: one row a user, the history being the training events, oldest first.
        num_items: `N`.
        decay: weight of an event against the one after it, in counting and in reading a history, in (0, 1].
        window: largest lag counted, and items of a history that are read; 1 = consecutive events and the last item
            alone.
        exponent: in [0, 1].
        back_off: probability left to popularity, in (0, 1).
    """

    def __init__(
        self,
        train: Context,
        num_items: int,
        decay: float = 0.6,
        window: int = 5,
        exponent: float = 0.5,
        back_off: float = 0.1,
    ) -> None:
        counts = lagged_counts(train.history, num_items, decay, window)
        source = counts.indices()[0]
        leaving = torch.zeros(num_items, dtype=torch.float64).index_add_(0, source, counts.values())
        links = torch.sparse_coo_tensor(
            counts.indices(),
            counts.values() / leaving[source] ** exponent,
            counts.shape,
            is_coalesced=True,
            check_invariants=False,
        )
        super().__init__(links, interactions(train, num_items), decay, window, back_off)


def lagged_counts(sequences: Jagged, num_items: int, decay: float, window: int) -> Float[Tensor, "N N"]:
    """`Σ_{lag=1..window} decay^(lag−1) · #{a followed by b, lag events later}`, coalesced sparse.

    >>> lagged_counts(Jagged.from_rows([[0, 1, 2], [0, 1]]), 3, decay=0.5, window=2).to_dense()
    tensor([[0.0000, 2.0000, 0.5000],
            [0.0000, 0.0000, 1.0000],
            [0.0000, 0.0000, 0.0000]], dtype=torch.float64)
    """
    items, rows = sequences.values, sequences.row_ids()
    total = torch.zeros(num_items, num_items, dtype=torch.float64, layout=torch.sparse_coo)
    for lag in range(1, window + 1):
        together = rows[:-lag] == rows[lag:]
        pairs = torch.stack([items[:-lag][together], items[lag:][together]])
        weights = torch.full((pairs.shape[1],), decay ** (lag - 1), dtype=torch.float64)
        total = (total + torch.sparse_coo_tensor(pairs, weights, total.shape, check_invariants=False)).coalesce()
    return total.coalesce()
