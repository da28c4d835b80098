"""Distributions over a whole catalogue, renormalised over what each request allows."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.decode.legal import LegalSet, log_sum_exp, require_legal, require_numbers
from recsys.types.context import Context


def over_legal_set(scores: Float[Tensor, "B N"], context: Context) -> Float[Tensor, "B N"]:
    """Return the log-softmax of scores over the legal set of each request, in nats; −inf outside it.

    If the scores are log-probabilities, this is `log π(y) − log(1 − Σ_excluded π)`.

    Args:
        scores: `[B, N]`, finite or −inf. An item with score −inf has probability 0. Scores outside the legal set are
            not read.
        context: the requests.

    Raises:
        EmptyLegalSetError: no legal item of a request has a finite score.
        NonFiniteError: the score of a legal item is NaN or +inf.

    >>> from recsys.types.jagged import Jagged
    >>> context = Context(torch.tensor([0]), Jagged.empty(1), Jagged.from_rows([[1]]))
    >>> over_legal_set(torch.tensor([[0.25, 0.5, 0.25]]).log(), context).exp()
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    legal = scores.masked_fill(context.illegal(scores.shape[-1]), float("-inf"))
    found = torch.log_softmax(legal, -1)
    if found[:, :1].isnan().any():  # a row that cannot be normalised is NaN everywhere
        require_legal(legal.isneginf().all(-1))
        require_numbers(found)
    return found


def over_live_children(log_prob: Float[Tensor, "B N"], legal: LegalSet) -> Float[Tensor, "B N"]:
    """Return log-probabilities (nats) of items whose codes are normalised over live children; −inf for illegal items.

    `π(y) = Π_l P(node_l) / Σ_live siblings P(node)`, with `P(node)` the sum over the leaves below it. Carries gradient.

    Args:
        log_prob: `[B, N]`, log-probability of every item over the whole catalogue.
        legal: of the requests.

    Raises:
        EmptyLegalSetError: no legal item of a request has a probability above 0.
        NonFiniteError: a probability is NaN.
    """
    trie = legal.trie
    every = torch.arange(trie.num_items, device=log_prob.device)
    paths = trie.path(every)
    value, live = log_prob[:, trie.leaf_item], legal.contains(trie.leaf_item.expand(len(legal), -1))
    total = torch.zeros_like(log_prob)
    for level in reversed(range(trie.depth)):
        children = trie.expand(torch.arange(trie.level_size[level], device=every.device), level)
        below, alive = value[:, children.nodes], live[:, children.nodes] & children.mask
        normaliser = log_sum_exp(below.masked_fill(~alive, float("-inf")))
        own = (below - normaliser.unsqueeze(-1)).masked_fill(~alive | below.isneginf(), float("-inf"))
        parent = paths[:, level - 1] if level else torch.zeros_like(every)
        place = paths[:, level] - children.nodes[parent, 0]
        total = total + own[:, parent, place]
        value, live = log_sum_exp(below.masked_fill(~children.mask, float("-inf"))), alive.any(-1)
    require_numbers(total)
    require_legal(total.isneginf().all(-1))
    return total
