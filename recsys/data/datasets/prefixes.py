"""Expand sequences into one next-item request for each of their prefixes."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged


def prefixes(sequences: Context, repeats: bool) -> Example:
    """Return the `T − 1` examples in each sequence of `T` items: history `items[..t]`, answer `items[t + 1]`.

    Examples are in the order of `prefix_rows`. A request excludes the items that its sequence excludes and, unless
    `repeats` is set, the items of its own history. Histories are copied, `ΣT²/2` int64 in all.

    Args:
        sequences: one row a sequence.
        repeats: whether users may interact with an item again.

    >>> sequences = Context(torch.tensor([3]), Jagged.from_rows([[5, 6, 7]]), Jagged.from_rows([[4]]))
    >>> examples = prefixes(sequences, repeats=False)
    >>> examples.context.history.to_padded(-1), examples.item
    (tensor([[ 5, -1],
            [ 5,  6]]), tensor([6, 7]))
    >>> examples.context.excluded.to_padded(-1)
    tensor([[ 4,  5, -1],
            [ 4,  5,  6]])
    """
    history = sequences.history
    positions = prefix_rows(sequences)
    rows = history.row_ids()[positions]
    lengths = history.positions()[positions] + 1
    if repeats:
        excluded = sequences.excluded.select(rows)
    else:
        excluded = sequences.excluded.append(history).head(rows, sequences.excluded.lengths[rows] + lengths)
    nothing = Jagged.empty(len(sequences), rows.device)
    asked = sequences.replace(history=nothing, excluded=nothing).select(rows)
    context = asked.replace(history=history.head(rows, lengths), excluded=excluded)
    return Example.next_item(context, history.values[positions + 1])


def prefix_rows(sequences: Context) -> Int[Tensor, " P"]:
    """Return the index in `sequences.history.values` of the last item of each request's history, `[P]`.

    These are all positions except the last of each sequence. They select rows of a network's states over all positions.

    >>> prefix_rows(Context(torch.tensor([0, 1]), Jagged.from_rows([[5, 6, 7], [8, 9]]), Jagged.empty(2)))
    tensor([0, 1, 3])
    """
    history = sequences.history
    is_last = torch.zeros(history.values.shape[0], dtype=torch.bool, device=history.values.device)
    is_last[history.offsets[1:][history.lengths > 0] - 1] = True
    return (~is_last).nonzero().squeeze(1)
