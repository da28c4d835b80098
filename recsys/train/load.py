"""A run's policy, ready to recommend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
import torch

from recsys.data.dataset import Dataset
from recsys.errors import RequestError
from recsys.policies.generative import GenerativePolicy
from recsys.policies.policy import ItemPolicy
from recsys.train.arms import arm_folder, arm_folders, best_arm
from recsys.train.networks import load_network
from recsys.train.run_folder import RunFolder
from recsys.train.stages.prepare import load_dataset
from recsys.train.stages.tokenize import load_bundle


@dataclass(frozen=True)
class Recommender:
    """A policy that answers in raw ids.

    Args:
        policy: what ranks.
        dataset: whose users are asked about.
        items: the item table, items that joined after training included.
    """

    policy: ItemPolicy
    dataset: Dataset
    items: pl.DataFrame

    @torch.no_grad()
    def recommend(self, user_id: int | str, k: int) -> list[tuple[Any, str, float]]:
        """The `k` most probable items the user may get: raw id, title (the raw id where there is none), probability."""
        slates = self.policy.top(self.dataset.recommend_context([user_id]), k)
        items, probabilities = slates.items[0, :, 0], slates.log_prob[0, :, 0].exp()
        rows = self.items[items[items >= 0].tolist()]
        raw = rows["item_id"].cast(pl.String)
        titles = rows["title"].cast(pl.String).fill_null(raw) if "title" in rows.columns else raw
        return list(zip(rows["item_id"].to_list(), titles.to_list(), probabilities.tolist(), strict=False))


def load_policy(run: RunFolder, arm: str | None = None) -> tuple[Recommender, Dataset]:
    """What a run trained, and the data it trained on.

    Args:
        run: a run folder.
        arm: the row of the table to serve; None takes the arm that validates best.

    Raises:
        RequestError: the run has trained nothing, or the arm is unknown.
    """
    names = [name for name, _ in arm_folders(run)]
    if not names:
        raise RequestError(
            f"{run.path} holds no trained network: its training has not finished; run it with resume=true"
        )
    dataset = load_dataset(run)
    bundle = load_bundle(run)
    network = load_network(arm_folder(run, arm or best_arm(run, names)), bundle)
    return Recommender(GenerativePolicy(network, beams=50), dataset, bundle.table), dataset
