"""Logs of slates, made by hand or by users of a planted world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import torch

from recsys.data.datasets.slate_log import SlateLog
from recsys.simulate.choice_models import MultinomialLogit
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates


def slate_log(
    slates: Sequence[Sequence[Sequence[int]]], clicks: Sequence[Sequence[int]], group: Sequence[int]
) -> SlateLog:
    """For each user a slate and a click (−1 for none) at each step; as many items as groups are given for."""
    flat = [slate for user in slates for slate in user]
    return SlateLog(
        name="hand-made",
        items=pl.DataFrame({"item": range(len(group)), "item_id": range(len(group)), "group": group}),
        users=pl.DataFrame({"user": range(len(slates))}),
        requests=pl.DataFrame({"timestamp": [step for user in slates for step in range(len(user))]}),
        user_offsets=Jagged.from_rows([range(len(user)) for user in slates]).offsets,
        slates=Jagged.from_rows(flat),
        clicks=Jagged.from_rows([[click] if click >= 0 else [] for user in clicks for click in user]),
        timed=False,
        displayed=True,
        fingerprint="f",
        summary={},
    )


def tiny_log() -> SlateLog:
    """Four users with one to four slates of one to three of six items, the last of which no slate shows."""
    return slate_log(
        [[[0, 1, 2], [3, 1], [2]], [[4, 0]], [[1, 2, 3], [0, 4, 2], [3], [1, 0]], [[2, 4], [2, 1, 0]]],
        [[1, 0, -1], [-1], [2, -1, 0, 1], [1, 2]],
        [0, 0, 0, 1, 1, 1],
    )


@dataclass(frozen=True)
class PlantedLog:
    """What users of a planted world answered to random slates.

    Args:
        log: their answers, `T` slates each.
        truth: `[R]`, log-probability of each answer under the world.
    """

    log: SlateLog
    truth: torch.Tensor


def planted_log(world: PlantedGroups, users: int, slots: int, popular: float = 0.0, seed: int = 0) -> PlantedLog:
    """Slates of distinct items, item `i` with weight `(1 + i) ** −popular`."""
    assert isinstance(world.choice, MultinomialLogit)
    generator = torch.Generator().manual_seed(seed)
    state = world.reset(users, generator)
    weight = -popular * torch.arange(1, world.num_items + 1).log()
    slates, clicks, truth = [], [], []
    for _ in range(world.steps):
        gumbel = -torch.empty(users, world.num_items).exponential_(generator=generator).log()
        shown = (weight + gumbel).topk(slots).indices
        scores = world.scores(state).gather(1, shown)
        state, answer, _ = world.step(state, Slates(shown.unsqueeze(1), torch.zeros(users, 1, slots)), generator)
        clicked = answer.reward[:, 0] > 0
        truth.append(world.choice.log_prob(scores, torch.ones_like(clicked), clicked))
        clicks.append(torch.where(clicked.any(1), clicked.long().argmax(1), -1))
        slates.append(shown)
    made = slate_log(torch.stack(slates, 1).tolist(), torch.stack(clicks, 1).tolist(), world.group.tolist())
    return PlantedLog(made, torch.stack(truth, 1).flatten())
