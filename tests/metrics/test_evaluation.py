from __future__ import annotations

import pytest
import torch

from recsys.metrics.evaluation import Evaluation

EVALUATION = Evaluation(
    users=torch.tensor([3, 1]),
    target=torch.tensor([7, 2]),
    items=torch.tensor([[4, 7, 5], [4, 5, -1]]),
    cutoffs=(1, 3),
)


def test_rank_and_accuracy() -> None:
    assert EVALUATION.rank.tolist() == [2, 0]
    accuracy = {metric: value.tolist() for metric, value in EVALUATION.accuracy().items()}
    assert accuracy == {
        "hr@1": [0, 0],
        "hr@3": [1, 0],
        "ndcg@1": [0, 0],
        "ndcg@3": [pytest.approx(0.6309, abs=1e-4), 0],
    }


def test_reach_is_of_the_first_k() -> None:
    reach = EVALUATION.reach(10)
    assert (reach["coverage@1"], reach["coverage@3"]) == (0.1, 0.3)
    assert reach["gini@1"] == pytest.approx(0.9) and reach["gini@3"] < 0.9


def test_novelty_and_diversity_of_the_first_k() -> None:
    information = torch.arange(10).double()
    assert EVALUATION.novelty(information)["novelty@1"].tolist() == [4, 4]
    assert EVALUATION.novelty(information)["novelty@3"].tolist() == [16 / 3, 4.5]
    vectors = torch.eye(10)
    assert {metric: value.tolist() for metric, value in EVALUATION.diversity(vectors).items()} == {
        "diversity@3": [1, 1]
    }


def test_lists_of_distinct_items_are_expected() -> None:
    with pytest.raises(ValueError, match=r"request 0 holds an item twice"):
        Evaluation(torch.tensor([0]), torch.tensor([5]), torch.tensor([[5, 5, 1]]), (1, 3))
