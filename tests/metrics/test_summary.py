from __future__ import annotations

from dataclasses import astuple

import torch
from pytest import approx

from recsys.metrics.intervals import bootstrap, paired_difference
from recsys.metrics.results import by_stratum, summarise

USERS = torch.arange(30)


def rows() -> dict[str, dict[str, torch.Tensor]]:
    return {
        "sft": {"hr@1": torch.rand(3, 30), "ndcg@10": torch.rand(3, 30)},
        "rere": {"hr@1": torch.rand(2, 30), "ndcg@10": torch.rand(2, 30)},
        "popularity": {"hr@1": torch.rand(1, 30)},
    }


def test_intervals_are_those_of_the_metric_alone() -> None:
    table = rows()
    found = summarise(table, USERS)
    assert found["rere"]["ndcg@10"] == bootstrap(table["rere"]["ndcg@10"].double().mean(0).view(1, -1, 1), USERS)[0]


def test_differences_to_every_reference_but_itself() -> None:
    table = rows()
    found = summarise(table, USERS, references=["sft", "sft_continued"])
    assert set(found["sft"]) == {"hr@1", "ndcg@10"}
    assert set(found["popularity"]) == {"hr@1", "hr@1_minus_sft"}
    own, other = table["rere"]["ndcg@10"].unsqueeze(-1), table["sft"]["ndcg@10"].unsqueeze(-1)
    assert astuple(found["rere"]["ndcg@10_minus_sft"]) == approx(astuple(paired_difference(own, other, USERS)[0]))


def test_order_of_metrics_is_kept_with_differences_after() -> None:
    assert list(summarise(rows(), USERS, references=["sft"])["rere"]) == [
        "hr@1",
        "ndcg@10",
        "hr@1_minus_sft",
        "ndcg@10_minus_sft",
    ]


def test_a_stratum_sees_its_own_requests_alone() -> None:
    table = rows()
    mask = torch.arange(30) < 12
    found = by_stratum(table, USERS, {"same_day": mask, "never": torch.zeros(30, dtype=torch.bool)})
    alone = summarise(
        {row: {name: value[:, :12] for name, value in part.items()} for row, part in table.items()}, USERS[:12]
    )
    assert found["sft"] == {f"{name}/same_day": interval for name, interval in alone["sft"].items()}


def test_no_strata_no_metrics() -> None:
    assert by_stratum(rows(), USERS, {}) == {"sft": {}, "rere": {}, "popularity": {}}
