from __future__ import annotations

import json

import polars as pl
import pytest
import torch

from recsys.metrics.evaluation import Evaluation
from recsys.metrics.results import Rows, evaluation_results, per_user

USERS = torch.tensor([2, 0, 2, 1])
TARGET = torch.tensor([0, 1, 2, 3])


def evaluation(items: list[list[int]]) -> Evaluation:
    return Evaluation(USERS, TARGET, torch.tensor(items), (1, 2))


ROWS: Rows = {
    "popularity": {0: evaluation([[0, 1]] * 4)},
    "sft": {0: evaluation([[0, 1], [1, 0], [3, 2], [3, 2]]), 1: evaluation([[0, 1], [0, 1], [3, 2], [3, -1]])},
}


def test_values_are_means_over_requests_and_seeds() -> None:
    table = evaluation_results(ROWS, num_items=8, references=["popularity"])
    assert table["popularity"]["hr@1"]["value"] == 0.25
    assert table["sft"]["hr@1"]["value"] == pytest.approx(5 / 8)
    assert table["sft"]["hr@1_minus_popularity"]["value"] == pytest.approx(3 / 8)
    assert table["sft"]["coverage@1"] == {"value": pytest.approx(5 / 16), "low": None, "high": None}


def test_can_be_written_as_json_and_every_accuracy_has_an_interval() -> None:
    table = json.loads(json.dumps(evaluation_results(ROWS, num_items=8)))
    for metric in ("hr@1", "hr@2", "ndcg@1", "ndcg@2"):
        found = table["sft"][metric]
        assert found["low"] <= found["value"] <= found["high"]


def test_optional_metrics_appear_when_asked_for() -> None:
    plain = evaluation_results(ROWS, num_items=8)["sft"]
    full = evaluation_results(
        ROWS,
        num_items=8,
        strata={"same_day": torch.tensor([True, False, False, True])},
        information=torch.ones(8).double(),
        vectors=torch.eye(8),
    )["sft"]
    strata = {f"{metric}/same_day" for metric in ("hr@1", "hr@2", "ndcg@1", "ndcg@2")}
    assert set(full) - set(plain) == strata | {"novelty@1", "novelty@2", "diversity@2"}
    assert full["hr@1/same_day"]["value"] == 1 and full["novelty@2"]["value"] == 1


def test_users_by_raw_id_with_the_mean_over_their_requests() -> None:
    frame = per_user(ROWS, pl.Series("user_id", ["a", "b", "c", "never asked"]))
    assert frame.columns == ["user_id", "row", "metric", "seed", "value"]
    assert len(frame) == 3 * 3 * 4
    one = frame.filter(row="sft", metric="hr@1", seed=0)
    assert dict(one.select("user_id", "value").iter_rows()) == {"c": 0.5, "a": 1, "b": 1}


def test_unlike_requests_are_refused() -> None:
    other = Evaluation(USERS.flip(0), TARGET, torch.arange(2).expand(4, -1), (1, 2))
    with pytest.raises(ValueError, match="same requests"):
        evaluation_results({"sft": {0: ROWS["sft"][0]}, "rere": {0: other}}, num_items=8)
