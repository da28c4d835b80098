"""How the logits of a node's children become log-probabilities."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def over_siblings(logits: Float[Tensor, "*nodes C"], mask: Bool[Tensor, "*nodes C"]) -> Float[Tensor, "*nodes C"]:
    """Log-softmax (nats) over the children that exist: the only log-probability of a generative policy.

    Args:
        logits: `[..., C]`; arbitrary where there is no child.
        mask: `[..., C]`, true where the child exists, at least once a node; −inf comes out elsewhere.

    >>> over_siblings(torch.tensor([1.0, 1.0, 9.0]), torch.tensor([True, True, False])).exp()
    tensor([0.5000, 0.5000, 0.0000])
    """
    return torch.log_softmax(logits.masked_fill(~mask, float("-inf")), -1)


def over_vocabulary(
    logits: Float[Tensor, "*nodes V"], columns: Int[Tensor, "*nodes C"], mask: Bool[Tensor, "*nodes C"]
) -> Float[Tensor, "*nodes C"]:
    """Log-softmax (nats) over a whole vocabulary, the mask after it: what released ReRe and MiniOneRec code does.

    Not a distribution over the catalogue: what falls on codes that lead nowhere is lost, more for some items than for
    others.

    Args:
        logits: `[..., V]`.
        columns: `[..., C]`, where in the vocabulary each child's code is; arbitrary where there is no child.
        mask: `[..., C]`, true where the child exists; −inf comes out elsewhere.

    >>> over_vocabulary(torch.zeros(4), torch.tensor([2, 3]), torch.tensor([True, False])).exp()
    tensor([0.2500, 0.0000])
    """
    chosen = logits.gather(-1, columns) - logits.logsumexp(-1, keepdim=True)
    return chosen.masked_fill(~mask, float("-inf"))
