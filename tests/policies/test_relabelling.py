"""Metrics do not depend on the names of items: equal scores are broken without regard to the order of raw ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from recsys.data.datasets.prepare import prepare
from recsys.data.datasets.split import LeaveOneOut
from recsys.data.sources.parquet import ParquetTables
from recsys.policies.baselines.item_knn import ItemKNN
from recsys.policies.baselines.markov_chain import MarkovChain
from recsys.policies.baselines.popularity import PopularityPolicy
from recsys.policies.evaluation import evaluate

USERS, ITEMS = 600, 40
POLICIES: dict[str, Callable] = {"popularity": PopularityPolicy, "markov": MarkovChain, "item_knn": ItemKNN}


def ndcg(policy: Callable, name: Callable[[int], int | str], folder: Path) -> tuple[float, float]:
    """NDCG@10 and the share of ties at place 10. Each item trains 45 times; users end on one of the first ten."""
    rows = [(user, name((user + step) % 30 + 10), step) for user in range(USERS) for step in range(3)]
    rows += [(user, name(10 + (user + 9) % 30), 7) for user in range(USERS)]
    rows += [(user, name(user % 10), 8) for user in range(USERS)]
    rows += [(USERS + item * 60 + copy, name(item), 0) for item in range(10) for copy in range(60)]
    folder.mkdir()
    pl.DataFrame(rows, ["user_id", "item_id", "timestamp"], orient="row").write_parquet(folder / "interactions.parquet")
    data = prepare(ParquetTables(folder), LeaveOneOut(), k_core=0, root=folder / "prepared")
    found = evaluate(policy(data.train, data.num_items), data.test)
    return float(found.accuracy()["ndcg@10"].mean()), found.ties()["tied@10"]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_renaming_items_leaves_the_metric(policy: Callable, tmp_path: Path) -> None:
    """Items tie; the standard error of a mean over 600 requests is below .015."""
    plain, tied = ndcg(policy, lambda item: item, tmp_path / "plain")
    others = {
        "reversed": lambda item: 1000 - item,
        "shuffled": lambda item: item * 7919 % 10_007,
        "text": lambda item: f"{item * 31 % 97}-x",
    }
    for label, name in others.items():
        value, share = ndcg(policy, name, tmp_path / label)
        assert value == pytest.approx(plain, abs=0.06), label
        assert share == pytest.approx(tied, abs=0.06)


def test_the_share_of_ties_is_measured(tmp_path: Path) -> None:
    assert ndcg(PopularityPolicy, lambda item: item, tmp_path / "plain")[1] > 0.9
