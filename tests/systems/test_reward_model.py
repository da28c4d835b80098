"""The training of a reward model in a world whose answer is known, and where there is nothing to learn."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.metrics.discrimination import concordance
from recsys.models.rewards.session import SessionRewardModel
from recsys.rewards.labels import SlotShare
from recsys.systems.reward_model import RewardModelSystem
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Channel, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

ITEMS, GROUPS, SLOTS = 24, 4, 3


def planted(count: int, shuffled: bool = False, seed: int = 0) -> Example:
    """Users who click the items of the group that their history is of."""
    generator = torch.Generator().manual_seed(seed)
    taste = torch.randint(GROUPS, (count,), generator=generator)
    history = taste.unsqueeze(1) + GROUPS * torch.randint(ITEMS // GROUPS, (count, 4), generator=generator)
    items = torch.rand(count, ITEMS, generator=generator).argsort(-1)[:, None, :SLOTS]
    if shuffled:
        taste = taste[torch.randperm(count, generator=generator)]
    click = (items % GROUPS == taste[:, None, None]).float()
    context = Context(
        torch.arange(count), Jagged.from_lengths(history.flatten(), torch.full((count,), 4)), Jagged.empty(count)
    )
    return Example(context, Slates(items, torch.zeros(items.shape)), Feedback({"click": Channel(click)}))


def trained(shuffled: bool) -> float:
    torch.manual_seed(0)
    model = SessionRewardModel(torch.randn(ITEMS, 4), ["click"], width=16, hidden=16, dropout=0.0)
    system = RewardModelSystem(model, {"click": SlotShare("click")}, partial(torch.optim.Adam, lr=1e-2))
    system.log = system.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer, data = system.configure_optimizers(), planted(1500, shuffled)
    for step in range(200):
        rows = torch.arange(step * 128, (step + 1) * 128) % len(data)
        optimizer.zero_grad()
        system.training_step(data.select(rows), step).backward()
        optimizer.step()
    held_out = planted(600, shuffled, seed=1)
    return concordance(model.eval()(held_out.context, held_out.slates.items)[:, 0, 0], SlotShare("click")(held_out))


def test_it_learns_who_likes_what() -> None:
    assert trained(shuffled=False) > 0.9


def test_where_feedback_knows_nothing_of_the_history_it_learns_nothing() -> None:
    assert 0.4 < trained(shuffled=True) < 0.6


def test_heads_and_labels_have_the_same_names() -> None:
    model = SessionRewardModel(torch.randn(ITEMS, 4), ["click", "like"])
    with pytest.raises(ConfigurationError, match="heads click, like, the labels are click"):
        RewardModelSystem(model, {"click": SlotShare("click")}, torch.optim.Adam)
