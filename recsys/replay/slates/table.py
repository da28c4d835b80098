"""A table of a policy's probabilities put beside a log of slates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.logged_slates import LoggedSlates
from recsys.data.slate_policy_table import SlatePolicyTable
from recsys.replay.slates.rounds import SlateRounds
from recsys.replay.slates.target import SlateTarget


@dataclass(frozen=True)
class TableBeside:
    """What a table says of the logged slates: whichever probabilities it has.

    Args:
        table: of the policy to be judged, for the log.
        logging: the policy that wrote the log, where more is needed than the log says of it; None otherwise.
    """

    table: SlatePolicyTable
    logging: SlateTarget | None = None

    def written_by(self, other: SlateTarget) -> TableBeside:
        """The same, of a log that another policy wrote."""
        return replace(self, logging=other)

    def next_probability(self, logged: LoggedSlates) -> Float[Tensor, "n S N"]:
        """Of every item at every slot, whatever stands before it.

        Raises:
            RequestError: the table has logged slates only.
        """
        return self.table.every_slot(logged)

    def __call__(self, logged: LoggedSlates) -> SlateRounds:
        """The log beside the policy."""
        table, rows = self.table, logged.request
        rounds = SlateRounds(
            logged.items,
            logged.reward.double(),
            logging=_double(logged.propensity),
            target=None if table.propensity is None else table.propensity[rows],
            logging_prefix=_double(logged.prefix),
            target_prefix=None if table.prefix is None else table.prefix[rows],
            logging_slot=_double(logged.slot),
            target_slot=None if table.slot is None else table.slot[rows],
            target_at=None if table.place is None else _at(table, logged),
            user=logged.user,
            by_slot=logged.by_slot,
        )
        return rounds if self.logging is None else self.logging.wrote(rounds, logged)


def _at(table: SlatePolicyTable, logged: LoggedSlates) -> Float[Tensor, "n S S"]:
    """At `(i, k, l)`, of slot `l` holding the item that slot `k` holds; 1 where a slot is empty."""
    everywhere = table.every_slot(logged).transpose(1, 2)
    slots = logged.items.shape[1]
    index = logged.items.clamp(min=0).unsqueeze(2).expand(-1, -1, slots)
    empty = logged.items < 0
    return everywhere.gather(1, index).masked_fill(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0)


def _double(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.to(torch.float64)
