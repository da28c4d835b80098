"""The Markov chain baseline: transitions between items of users' histories."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.policies.baselines.item_to_item import ItemToItem
from recsys.policies.baselines.popularity import interactions
from recsys.ranges import at_least, within
from recsys.types.context import Context
from recsys.types.jagged import Jagged


class MarkovChain(ItemToItem):
    """A Markov chain of items with decay over the last items, and popularity as back-off.

    `C[a, b] = Σ_{lag=1..window} decay^(lag−1) · #{a followed by b, lag events later}`. The link from `a` to `b` is
    `C[a, b] / (Σ_c C[a, c])^exponent`. `ItemToItem` turns links into a policy.

    With exponent 1 the rows are conditional probabilities, with 0 counts. The square root, 0.5, gives frequent items
    more weight than rare ones. It was the best of the three on Amazon Beauty, by validation and by test.

    Args:
        train: one row a user, with the training events as history, oldest first.
        num_items: number of items `N`.
        decay: weight of an event relative to the next one, in counting and in reading a history, in (0, 1].
        window: largest lag that is counted, and number of latest items of a history that are read. With 1, only
            consecutive events are counted and only the last item is read.
        exponent: exponent of the normalisation, in [0, 1].
        back_off: probability of the popularity part, in (0, 1).
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
        at_least(1, num_items=num_items, window=window)
        at_least(0, exponent=exponent)
        within(0, 1, decay=decay, back_off=back_off)
        train.check(num_items, ["history"])
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
    """Return `Σ_{lag=1..window} decay^(lag−1) · #{a followed by b, lag events later}`, as a coalesced sparse matrix.

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
