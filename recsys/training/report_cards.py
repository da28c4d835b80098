"""Sections of a run's report that show what a few real users would have seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.data.datasets.slate_loader import SlateTestSet
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.user_slates import UserSlates
from recsys.models.slates.slate_model import forecast
from recsys.policies.network_policy import NetworkPolicy
from recsys.ranges import at_least, is_seed
from recsys.report.cards import Card, Suggestion, card_grid
from recsys.report.page import Section
from recsys.runs.artifacts import artifacts, load
from recsys.runs.prepare import load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.runs.trained_policy import load_policy
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.example import Example

SHOWN_ITEMS = 5
FORECAST_DRAWS = 64
"""Samples of the posterior for the forecasts of a card."""


@dataclass
class RecommendationCards:
    """What the row that `recsys recommend` serves, the one that validates best, recommends to a few users.

    Args:
        users: how many users are shown.
        beams: width of the search.
        seed: of their choice.
    """

    reads: ClassVar[type] = Dataset

    users: int = 6
    beams: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(0, users=self.users)
        at_least(1, beams=self.beams)
        is_seed(seed=self.seed)

    def section(self, run: RunFolder) -> Section:
        """Return a card for each user."""
        dataset = load_data_of(run, Dataset)
        served, _ = load_policy(run)
        policy = served.policy
        if isinstance(policy, NetworkPolicy):
            policy.beams = self.beams
        generator = torch.Generator().manual_seed(self.seed)
        chosen = dataset.test.select(torch.randperm(len(dataset.test), generator=generator)[: self.users])
        with torch.no_grad():
            slates = policy.top(chosen.context, SHOWN_ITEMS)
        items, shares = slates.items.squeeze(-1), slates.log_prob.squeeze(-1).exp()
        cards = [_recommendations(dataset, chosen, row, items[row], shares[row]) for row in range(len(chosen))]
        lead = f"What {served.row} recommends, the row of the table that validates best, beside the users' histories."
        return Section("What users would see", card_grid(cards), lead)


@dataclass
class SlateCards:
    """The last held-out slates of a few users, with the click probabilities of the model with the best likelihood.

    Args:
        users: how many users are shown.
        seed: of their choice, and of the samples of the posterior.
    """

    reads: ClassVar[type] = PreparedSlates

    users: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(0, users=self.users)
        is_seed(seed=self.seed)

    def section(self, run: RunFolder) -> Section:
        """Return a card for each user."""
        slates, metrics = load_data_of(run, PreparedSlates), run.read_metrics()
        held = SlateTestSet.from_split(slates.log, slates.split)
        names = [one.name for one in artifacts(run, ArtifactKind.POSTERIOR)]
        likelihood = {name: metrics[name]["log_likelihood"]["value"] for name in names}
        best = max(names, key=lambda name: -math.inf if likelihood[name] is None else likelihood[name])
        model = load(run, best)
        generator = torch.Generator().manual_seed(self.seed)
        batch, users = held.batches[0], held.user.unique()
        probability = forecast(model, batch, FORECAST_DRAWS, generator).mean(0)
        chosen = torch.randperm(len(batch), generator=generator)[: self.users].tolist()
        cards = [_slate(slates.log, batch, probability[user], user, int(users[user])) for user in chosen]
        lead = f"Held-out slates, and the click probabilities of {best}, the model with the best likelihood of answers."
        return Section("Slates", card_grid(cards), lead)


def _recommendations(dataset: Dataset, examples: Example, row: int, items: Tensor, shares: Tensor) -> Card:
    target, one = int(examples.item[row]), examples.context.select(torch.tensor([row]))
    recent = one.history.last(6).values.tolist()
    return Card(
        name=f"user {dataset.users['user_id'][int(one.users[0])]}",
        history=[_title(dataset, item) for item in recent],
        suggestions=[
            Suggestion(_title(dataset, item), share, item == target)
            for item, share in zip(items.tolist(), shares.tolist(), strict=True)
            if item >= 0
        ],
        target=_title(dataset, target),
        earlier=len(one.history.values) - len(recent),
    )


def _slate(log: SlateLog, batch: UserSlates, probability: Tensor, user: int, index: int) -> Card:
    """Return the user's last held-out slate, the most likely clicks first."""
    step = int(batch.loss_mask[user].nonzero().max())
    before = [
        _title(log, int(items[click]))
        for items, click in zip(batch.slates[user, :step], batch.click[user, :step].tolist(), strict=True)
        if click >= 0
    ]
    items, click = batch.slates[user, step], int(batch.click[user, step])
    likely = [slot for slot in probability[step, :-1].argsort(descending=True).tolist() if items[slot] >= 0]
    return Card(
        name=f"user {log.users['user_id'][index]}",
        history=before[-6:],
        suggestions=[
            Suggestion(_title(log, int(items[slot])), float(probability[step, slot]), slot == click)
            for slot in likely[:6]
        ],
        target=None if click < 0 else _title(log, int(items[click])),
        earlier=max(0, len(before) - 6),
    )


def _title(data: Dataset | SlateLog, item: int) -> str:
    column = "title" if "title" in data.items.columns else "item_id"
    return str(data.items[column][item])
