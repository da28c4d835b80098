"""What earlier sessions of a user say of the next one: how new what they consumed was, and how much it was."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.types.context import Context
from recsys.types.session_context import SessionContext


def session_requests(context: Context, num_items: int, reader: str) -> SessionContext:
    """Return requests that say which session it is, and whose histories hold items of the catalogue only.

    Args:
        context: some requests.
        num_items: `N`.
        reader: who reads them, for the message.

    Raises:
        RequestError: they say nothing of sessions, or a history holds an index outside `0 .. N − 1`.
    """
    if not isinstance(context, SessionContext):
        raise RequestError(f"{reader} reads a SessionContext, found a {type(context).__name__}")
    context.check(num_items, ["history"])
    return context


def realised_novelty(vectors: Float[Tensor, "B H D"], known: Bool[Tensor, "B H"], window: int) -> Float[Tensor, "B H"]:
    """Return how new each consumed item was when it was consumed, `1 − max cos` to up to `window` items before it.

    It is 1 for the first item that the history holds, whatever was before it, and 0 where there is none.

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
) -> Float[Tensor, "B sessions 3"]:
    """Return the last `sessions` sessions of each user before the present one, oldest first, three numbers each.

    With `ν` the mean realised novelty of the items consumed and `n` their number: `4 ν − 2`, `log(1 + n) − 1`, and the
    product of both, about centred, so that a network tells few new items from many at once. The first and the third are
    0 for a session without an item, as are all of one before the first. What a user came with is session 0.

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
    number = member.sum(-1)
    mean = (member @ novelty.unsqueeze(-1)).squeeze(-1) / number.clamp(min=1)
    tone = (4 * mean - 2).masked_fill(number == 0, 0.0)
    amount = (number.log1p() - 1).masked_fill(wanted < 0, 0.0)
    return torch.stack([tone, amount, tone * amount], -1)


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
