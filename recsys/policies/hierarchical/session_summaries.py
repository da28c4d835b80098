"""What earlier sessions of a user say of the next one: what was consumed, how new it was, and how much."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.types.session_context import SessionContext


def realised_novelty(vectors: Float[Tensor, "B H D"], known: Bool[Tensor, "B H"], window: int) -> Float[Tensor, "B H"]:
    """Return how new each consumed item was when it was consumed, `1 − max cos` to up to `window` items before it.

    It is 1 for the first item, and 0 where there is none.

    Args:
        vectors: unit vectors of the consumed items, oldest first.
        known: where there is an item; all that are known stand behind all others.
        window: at least 1.
    """
    place = torch.arange(vectors.shape[1], device=vectors.device)
    back = place.unsqueeze(1) - place
    before = (back > 0) & (back <= window) & known.unsqueeze(1)
    cosine = (vectors @ vectors.mT).masked_fill(~before, float("-inf")).amax(-1)
    return (1 - cosine.where(before.any(-1), 0.0)).masked_fill(~known, 0.0)


def session_summaries(
    context: SessionContext, vectors: Float[Tensor, "N D"], sessions: int, window: int
) -> Float[Tensor, "B sessions F"]:
    """Return the last `sessions` sessions of each user before the present one, oldest first, `F = D + 2` numbers each.

    The mean vector of the items consumed, their mean realised novelty, and `log(1 + number of items)`: all 0 for a
    session without one, and for those before the first. What a user came with is session 0.

    Args:
        context: the requests.
        vectors: of all items, unit length.
        sessions: at least 1.
        window: of the novelty.
    """
    count = context.history_sessions.shape[1]
    items, of_session = context.history.latest(count, -1), context.history_sessions
    known = items >= 0
    had = vectors[items.clamp(min=0)] * known.unsqueeze(-1)
    novelty = realised_novelty(had, known, window)
    wanted = context.session.unsqueeze(1) - torch.arange(sessions, 0, -1, device=items.device)
    member = ((of_session.unsqueeze(1) == wanted.unsqueeze(-1)) & known.unsqueeze(1)).to(had.dtype)
    number = member.sum(-1, keepdim=True)
    mean = (member @ torch.cat([had, novelty.unsqueeze(-1)], -1)) / number.clamp(min=1)
    return torch.cat([mean, number.log1p()], -1)


def recent_vectors(
    context: SessionContext, vectors: Float[Tensor, "N D"], window: int
) -> tuple[Float[Tensor, "B W D"], Bool[Tensor, "B W"]]:
    """Return the vectors of the last `window` items of each history, the latest last, and where there is one.

    Args:
        context: the requests.
        vectors: of all items.
        window: `W`.
    """
    items = context.history.latest(window, -1)
    return vectors[items.clamp(min=0)] * (items >= 0).unsqueeze(-1), items >= 0
