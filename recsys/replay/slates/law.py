"""What a policy's distribution over slates says of logged ones, at more than whole slates and prefixes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.slates.rounds import Side, SlateRounds

Abstraction = Callable[[Tensor], Tensor]
"""`φ`: items `[..., S]`, −1 in empty slots, to integers `[...]`, or `[..., D]` of which all `D` must agree."""

Relevance = Callable[[SlateRounds], Tensor]
"""`Φ`: rounds to `[n, S, S]`, true at `(i, k, l)` where what slot `k` earns depends on the item of slot `l`."""


@runtime_checkable
class SlateLaw(Protocol):
    """A policy's distribution over the slates of each of `n` requests."""

    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        """At `(i, k, l)`: the probability that slot `l` holds the item of slot `k`; 1 where slot `k` or `l` is empty.

        Raises:
            RequestError: this distribution cannot say.
        """
        ...

    def agreeing(self, items: Int[Tensor, "n S"], slots: Bool[Tensor, "n K S"]) -> Float[Tensor, "n K"]:
        """Probability of the same items in all the slots that are marked; empty slots do not count.

        Raises:
            RequestError: this distribution cannot say.
        """
        ...

    def abstract(self, items: Int[Tensor, "n S"], abstraction: Abstraction) -> Float[Tensor, " n"]:
        """Probability of a slate with the same abstraction.

        Raises:
            RequestError: this distribution cannot say.
        """
        ...


def with_law(
    rounds: SlateRounds,
    side: Side,
    law: SlateLaw,
    *,
    relevance: Relevance | None = None,
    abstraction: Abstraction | None = None,
) -> SlateRounds:
    """The rounds with what a distribution says of one side; what is there already stays.

    Args:
        rounds: at least the items.
        side: whose distribution it is.
        law: the distribution.
        relevance: `Φ`, for `Relevant` weights; every row has its own slot in it.
        abstraction: `φ`, for `Abstract` weights.

    Raises:
        RequestError: the distribution cannot say what is asked, or the logging policy's gives what was logged no
            chance.
    """
    found: dict[str, Tensor] = {f"{side}_at": law.at(rounds.items)}
    if relevance is not None:
        found[f"{side}_relevant"] = law.agreeing(rounds.items, relevance(rounds))
    if abstraction is not None:
        found[f"{side}_abstract"] = law.abstract(rounds.items, abstraction)
    if side == "logging":
        _require_possible(found)
    return replace(rounds, **{name: value for name, value in found.items() if getattr(rounds, name) is None})


def _require_possible(found: dict[str, Tensor]) -> None:
    chances = [torch.diagonal(found["logging_at"], dim1=-2, dim2=-1)]
    chances += [found[name].unsqueeze(-1).flatten(1) for name in found if name != "logging_at"]
    impossible = (torch.cat(chances, -1) <= 0).any(-1).nonzero().flatten()
    if len(impossible):
        raise RequestError(
            f"the logging policy gives no chance to what was logged in {len(impossible)} rows of the batch, first in "
            f"row {int(impossible[0])}: expected the policy that wrote the log; where it is sampled, take more draws"
        )
