"""Which leaves of the trie each request allows, and how much of a distribution lies on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.errors import EmptyLegalSetError, NonFiniteError
from recsys.items.trie import Trie
from recsys.types.context import LEGAL_LISTS, Context
from recsys.types.jagged import Jagged
from recsys.types.record import TensorRecord


@dataclass(frozen=True)
class LegalSet(TensorRecord):
    """The legal leaves of `B` requests, kept as whichever list the requests came with.

    Args:
        trie: the catalogue.
        leaves: rising and distinct in each row. The leaves that are illegal; where `inclusive`, those that are legal.
        inclusive: whether the leaves are the legal ones.
    """

    trie: Trie
    leaves: Jagged
    inclusive: bool

    @classmethod
    def of(cls, trie: Trie, context: Context) -> LegalSet:
        """Return what the requests allow: the candidates where there are any, without the excluded items.

        Raises:
            EmptyLegalSetError: a request allows no item.
            RequestError: `excluded` or `candidates` hold something else than items.

        >>> trie = Trie.from_codes(torch.tensor([[0, 0], [0, 1], [1, 0]]))
        >>> context = Context(torch.tensor([7]), Jagged.empty(1), Jagged.from_rows([[2, 0, 2]]))
        >>> LegalSet.of(trie, context).leaves.values
        tensor([0, 2])
        """
        context.check(trie.num_items, LEGAL_LISTS)
        keys = _keys(trie, context.excluded)
        inclusive = context.candidates is not None
        if context.candidates is not None:
            allowed = _keys(trie, context.candidates)
            keys = allowed[~torch.isin(allowed, keys, assume_unique=True)]
        rows = keys // trie.num_items
        counts = torch.bincount(rows, minlength=len(context))
        require_legal(counts == 0 if inclusive else counts == trie.num_items)
        return cls(trie, Jagged.from_lengths(keys - rows * trie.num_items, counts), inclusive)

    def __len__(self) -> int:
        return len(self.leaves)

    @property
    def counts(self) -> Int[Tensor, " B"]:
        """`[B]`, how many items each request allows."""
        return self.leaves.lengths if self.inclusive else self.trie.num_items - self.leaves.lengths

    def without(self, items: Int[Tensor, " B"]) -> LegalSet:
        """Return what is left when each request's item is placed; a request that allows nothing else stays as it is.

        Args:
            items: `[B]`, of each request's legal set; −1 takes nothing away.

        >>> trie = Trie.from_codes(torch.tensor([[0, 0], [0, 1], [1, 0]]))
        >>> legal = LegalSet(trie, Jagged.from_rows([[2], [0, 1]]), inclusive=False)
        >>> legal.without(torch.tensor([0, 2])).leaves.to_padded(-1)
        tensor([[0, 2],
                [0, 1]])
        """
        size = self.trie.num_items
        listed = self.leaves.row_ids() * size + self.leaves.values
        placed = torch.arange(len(self), device=items.device) * size + self.trie.item_leaf[items.clamp(min=0)]
        placed = placed[(items >= 0) & (self.counts > 1)]
        if self.inclusive:
            keys = listed[~torch.isin(listed, placed, assume_unique=True)]
        else:
            keys = torch.cat([listed, placed]).sort().values
        rows = keys // size
        counts = torch.bincount(rows, minlength=len(self))
        return LegalSet(self.trie, Jagged.from_lengths(keys - rows * size, counts), self.inclusive)

    def contains(self, items: Int[Tensor, "B G"]) -> Bool[Tensor, "B G"]:
        """`[B, G]`, true where the request allows the item; −1 is no item."""
        listed = self.leaves.row_ids() * self.trie.num_items + self.leaves.values
        rows = torch.arange(len(self), device=items.device).unsqueeze(1)
        keys = rows * self.trie.num_items + self.trie.item_leaf[items.clamp(min=0)]
        is_listed = torch.searchsorted(listed, keys, right=True) > torch.searchsorted(listed, keys)
        return (is_listed == self.inclusive) & (items >= 0)

    def padded_items(self) -> tuple[Int[Tensor, "B E"], Bool[Tensor, "B E"]]:
        """Return the listed leaves as items, and which of them are there; padding repeats some item."""
        leaves = self.leaves.to_padded(-1)
        return self.trie.leaf_item[leaves.clamp(min=0)], leaves >= 0


def _keys(trie: Trie, items: Jagged) -> Int[Tensor, " total"]:
    """Row and leaf of each distinct item as one rising number, `row × N + leaf`."""
    keys = items.row_ids() * trie.num_items + trie.item_leaf[items.values]
    if len(items) * trie.num_items < 1 << 31:  # half the bytes: a sort takes a ninth of the time
        keys = keys.int()
    keys = keys.sort().values
    first = torch.ones_like(keys, dtype=torch.bool)
    first[1:] = keys[1:] != keys[:-1]
    return keys[first].long()


def require_legal(empty: Bool[Tensor, " B"]) -> None:
    """Refuse requests that leave nothing to choose from.

    Args:
        empty: `[B]`, true where a request's legal set is empty.

    Raises:
        EmptyLegalSetError: names the first such request.
    """
    if empty.any():
        row = int(empty.nonzero()[0])
        raise EmptyLegalSetError(
            f"request {row} of {empty.shape[0]} allows no item: its excluded items, or its candidates, leave an empty "
            "legal set. Exclude fewer items or widen the candidates."
        )


def require_numbers(scores: Float[Tensor, "B *rest"]) -> None:
    """Refuse scores that are NaN: what a network says of items then has no order and no probabilities.

    Args:
        scores: of `B` requests: log-probabilities, or what follows from them.

    Raises:
        NonFiniteError: says how many requests have one.
    """
    broken = scores.isnan()
    if broken.any():
        count = int(broken.reshape(len(broken), -1).any(1).sum())
        raise NonFiniteError(
            f"scores of items are NaN for {count} of {len(broken)} requests: logits are NaN, infinite, or -inf for "
            "every child of a node. The weights, or what the network reads, are not finite; load an earlier "
            "checkpoint, or train again with a smaller learning rate"
        )


def require_possible(log_prob: Float[Tensor, " B"]) -> None:
    """Refuse requests whose items all have probability 0, and scores that are NaN.

    Args:
        log_prob: `[B]`, log-probability of a request's legal set, or of the best item that was found; nats.

    Raises:
        EmptyLegalSetError: a log-probability is −inf.
        NonFiniteError: one is NaN.
    """
    if (log_prob > float("-inf")).all():
        return
    require_numbers(log_prob)
    raise EmptyLegalSetError(
        f"{int(log_prob.isneginf().sum())} of {len(log_prob)} requests have no item left with a probability above 0: "
        "the logits of all items that they allow, and that earlier slots do not hold, are -inf. Exclude fewer items, "
        "widen the candidates, ask for fewer slots, or look for what sets the logits"
    )


LEAST_LOG_MASS = -1000.0
"""Least log-probability of a legal set, nats. Log-probabilities over a legal set are differences from its own: near
−1000 float32 keeps them to 1e-4, near −10000 to 1e-3, and the probabilities of its items sum to 1 as nearly."""


def require_mass(log_mass: Float[Tensor, "*B"]) -> None:
    """Refuse legal sets that are so improbable that nothing exact can be said of their items; see `require_possible`.

    Args:
        log_mass: log-probability that an item drawn from the whole catalogue is legal, nats; −inf counts as
            impossible.

    Raises:
        EmptyLegalSetError: a log-probability is −inf.
        NonFiniteError: one is NaN, or below `LEAST_LOG_MASS`.
    """
    if (log_mass >= LEAST_LOG_MASS).all():
        return
    require_possible(log_mass)
    rows = (log_mass < LEAST_LOG_MASS).reshape(len(log_mass), -1).any(1)
    raise NonFiniteError(
        f"{int(rows.sum())} of {len(rows)} requests allow only items of a log-probability of "
        f"{float(log_mass.min()):.4g} nats together, expected {LEAST_LOG_MASS:.0f} at least: float32 does not tell "
        "them apart to four digits. Logits of siblings in the trie differ by thousands, as after a diverged training; "
        "train with a smaller learning rate, divide the logits by a temperature, or widen the candidates"
    )


def log1mexp(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`log(1 − exp(x))` for `x ≤ 0`, to an absolute error of one rounding of 1; −inf at 0.

    >>> log1mexp(torch.tensor([0.5, 1e-9]).log()).exp()
    tensor([0.5000, 1.0000])
    """
    return x.expm1().neg().log()


def log_sum_exp(values: Float[Tensor, "*rows X"]) -> Float[Tensor, "*rows"]:
    """`log Σ exp` over the last dimension, with gradient 0 instead of NaN where everything is −inf."""
    nothing = values.isneginf().all(-1)
    return values.masked_fill(nothing.unsqueeze(-1), 0.0).logsumexp(-1).masked_fill(nothing, float("-inf"))
