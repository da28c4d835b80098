"""A trained policy of a run among the policies of a bench."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.data.slates import Slates
from recsys.errors import RequestError
from recsys.policies.policy import ItemPolicy
from recsys.train.load import load_policy
from recsys.train.run_folder import RunFolder


class Checkpoint(nn.Module):
    """What `recsys train` made of a log of this world, acting in it: world item `i` is the item of raw id `i`.

    Items that the run does not know have probability 0 and are left out of histories. It does not learn here.

    Args:
        policy: of the run.
        world: `[M]`, the world's item that each of the run's `M` items is.
        num_items: `N` of the world.
    """

    def __init__(self, policy: ItemPolicy, world: Int[Tensor, " M"], num_items: int) -> None:
        super().__init__()
        self.policy = policy
        self.world: Tensor
        self.own: Tensor
        self.register_buffer("world", world)
        self.register_buffer("own", torch.full((num_items,), -1).index_put((world,), torch.arange(len(world))))

    @classmethod
    def from_run(cls, run: str, num_items: int, arm: str | None = None) -> Checkpoint:
        """The policy of a run folder.

        Args:
            run: a folder that `recsys train` left, of a log with the world's item ids (`experiment=rere/feedback`).
            num_items: `N` of the world.
            arm: the row of the run's table; None takes the arm that validates best.

        Raises:
            RequestError: no such folder, or the run's items are not the world's.
        """
        folder = RunFolder(Path(run))
        if not folder.config.exists():
            raise RequestError(f"run: {folder.config} is not there; give a folder that `recsys train` left")
        recommender, dataset = load_policy(folder, arm)
        ids = recommender.items.get_column("item_id")
        if not ids.dtype.is_integer() or not ids.is_between(0, num_items - 1).all():
            raise RequestError(
                f"run: the items of {dataset.name} in {run} are {', '.join(map(str, ids.head(3)))}, …; expected those "
                f"of the world, 0 to {num_items - 1}: train on its log (experiment=rere/feedback)"
            )
        return cls(recommender.policy.eval(), torch.from_numpy(ids.to_numpy().astype("int64")), num_items)

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """See `Policy.sample`."""
        slates = self.policy.sample(self._known(context), candidates, slots, generator)
        return replace(slates, items=_through(self.world, slates.items))

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """See `Policy.log_prob`."""
        return self.policy.log_prob(self._known(context), replace(slates, items=_through(self.own, slates.items)))

    def _known(self, context: Context) -> Context:
        """The same requests in the run's items."""
        candidates = context.candidates
        return Context(
            users=context.users,
            history=self._of(context.history),
            excluded=self._of(context.excluded),
            candidates=None if candidates is None else self._of(candidates),
        )

    def _of(self, rows: Jagged) -> Jagged:
        items = self.own[rows.values]
        known = items >= 0
        lengths = torch.zeros_like(rows.lengths).index_add(0, rows.row_ids(), known.long())
        return Jagged.from_lengths(items[known], lengths)


def _through(table: Int[Tensor, " M"], items: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """What each item is by the table; −1 stays."""
    return table[items.clamp(min=0)].where(items >= 0, -1)
