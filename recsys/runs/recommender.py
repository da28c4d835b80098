"""A policy that answers users by raw id: with the best items, or with a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.datasets.preparation import ServedData
from recsys.errors import RequestError
from recsys.policies.allocation import Allocation, UniformAllocation
from recsys.policies.best_of import BestOf, BestSlates, best_of_kl_bound, most_probable_slate
from recsys.policies.network_policy import NetworkPolicy
from recsys.policies.policy import ItemPolicy
from recsys.report.formats import number
from recsys.rewards.learned import LearnedReward
from recsys.types.context import Context
from recsys.types.example import Example

ServedItem = tuple[Any, str, float]
"""Raw id, title (raw id without one), and probability."""


@dataclass(frozen=True)
class ServedSession:
    """The session that a user is answered with.

    Args:
        items: one for each slot, in order, fewer where the user may get no more; the probability is that of the item at
            its slot, given the earlier ones.
        log_prob: of these items under the policy, nats.
        heads: of the reward model, the probability of each label, σ of its log-odds; empty without a reward model.
        reward: the scalar of the heads that candidates are compared by; None where a slot is empty, and where it only
            compares candidates of one request and there are none.
        sampled: number of candidates that were sampled; 0 where the session was searched.
        distinct: number of different ones among them.
        divergence: nats, the most that the choice diverges from the policy (`best_of_kl_bound`); None where the number
            of candidates depended on their rewards, or none were sampled.
    """

    items: Sequence[ServedItem]
    log_prob: float
    heads: Mapping[str, float] = field(default_factory=dict)
    reward: float | None = None
    sampled: int = 0
    distinct: int = 0
    divergence: float | None = None

    def describe(self) -> str:
        """Describe probability, candidates and reward in one line of text."""
        told = [f"log-probability {number(self.log_prob, 2)}"]
        if self.sampled:
            told.append(f"best of {self.sampled} samples, {self.distinct} different")
        if self.divergence is not None:
            told.append(f"divergence from the policy at most {number(self.divergence, 2)}")
        if self.reward is not None:
            told.append(f"reward {number(self.reward, 2)}")
        told += [f"{name} {number(value, 3)}" for name, value in self.heads.items()]
        return ", ".join(told)


@dataclass(frozen=True)
class TrainedRecommender:
    """A policy that answers in raw ids.

    Args:
        policy: what answers; it finds the best slates (`top`).
        dataset: whose users are asked about.
        items: the item table, items that joined after training included.
        row: the row of the run's table that the policy is.
        slots: items of a session; None where answers are lists of single items.
        reward: chooses the best of several sessions; None where the run has no reward model.
        allocation: how candidates are divided between users that are asked about together.
    """

    policy: ItemPolicy | NetworkPolicy
    dataset: ServedData
    items: pl.DataFrame
    row: str = ""
    slots: int | None = None
    reward: LearnedReward | None = None
    allocation: Allocation = field(default_factory=UniformAllocation)

    @torch.no_grad()
    def recommend(self, user_id: int | str, k: int) -> list[ServedItem]:
        """Return the `k` most probable items the user may get, best first."""
        slates = self.policy.top(self.dataset.recommend_context([user_id]), k)
        return self._named(slates.items[0, :, 0], slates.log_prob[0, :, 0])

    @torch.no_grad()
    def sessions(
        self, user_ids: Sequence[int | str], slots: int | None = None, best_of: int | None = None
    ) -> list[ServedSession]:
        """Return a session for each user.

        Without `best_of` it is the most probable one that a search finds. With it, the reward chooses among so many
        samples of the policy (`BestOf`). Equal questions get equal answers. A user's answer does not depend on who else
        is asked about, unless the allocation compares requests.

        Args:
            user_ids: raw ids.
            slots: items of a session, at least 1; None means as many as the run was trained on.
            best_of: number of candidates of each user, at least 1; None for none.

        Raises:
            RequestError: the run answers with single items, has fewer items than slots, or has no reward model to
                choose by.
            DataError: a user is not in the data.
        """
        if self.slots is None:
            raise RequestError(f"{self.row} ranks single items: ask for k of them, not for a session")
        if slots is not None and slots > len(self.items):
            raise RequestError(f"slots={slots}: the run has {len(self.items):,} items; ask for at most so many")
        if best_of is not None and self.reward is None:
            raise RequestError(f"best_of={best_of}: the run has no reward model to choose by; leave best_of out")
        together = best_of is not None and len(user_ids) > 0 and self.allocation.compares_requests
        asked = [list(user_ids)] if together else [[one] for one in user_ids]
        return [
            session
            for group in asked
            for session in self._answered(self.dataset.recommend_context(group), slots or self.slots, best_of)
        ]

    def _answered(self, context: Context, slots: int, best_of: int | None) -> list[ServedSession]:
        none, divergence = torch.zeros_like(context.users), None
        found = BestSlates(most_probable_slate(self.policy, context, slots), none * torch.nan, none, none)
        if best_of is not None and self.reward is not None:
            generator = torch.Generator(context.users.device).manual_seed(int(context.users[0]))
            found = BestOf(self.policy, self.reward, best_of, self.allocation).best(context, slots, generator)
            divergence = None if self.allocation.compares_requests else best_of_kl_bound(best_of)
        heads: Mapping[str, Tensor] = {}
        if self.reward is not None:
            examples = Example(context, found.slates)
            heads = self.reward.log_odds(examples, found.slates)
            if self.reward.compares_requests:
                found = found.replace(reward=self.reward(examples, found.slates)[:, 0])
        return [self._session(found, heads, divergence, row) for row in range(len(context))]

    def _session(
        self, found: BestSlates, heads: Mapping[str, Float[Tensor, "B 1"]], divergence: float | None, row: int
    ) -> ServedSession:
        items, log_prob = found.slates.items[row, 0], found.slates.log_prob[row, 0]
        known = bool(found.slates.mask[row, 0]) and bool(found.reward[row].isfinite())
        return ServedSession(
            self._named(items, log_prob),
            float(log_prob[items >= 0].sum()),
            {name: float(value[row, 0].sigmoid()) for name, value in heads.items()},
            float(found.reward[row]) if known else None,
            int(found.sampled[row]),
            int(found.distinct[row]),
            divergence,
        )

    def _named(self, items: Int[Tensor, " S"], log_prob: Float[Tensor, " S"]) -> list[ServedItem]:
        """Return items with ids, titles and probabilities, without the empty slots."""
        rows = self.items[items[items >= 0].tolist()]
        raw = rows["item_id"].cast(pl.String)
        titles = rows["title"].cast(pl.String).fill_null(raw) if "title" in rows.columns else raw
        return list(zip(rows["item_id"].to_list(), titles.to_list(), log_prob[items >= 0].exp().tolist(), strict=True))
