from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hydra.utils import instantiate

from recsys.data.context import Context
from recsys.data.slates import Slates
from recsys.errors import ConfigurationError
from recsys.rewards.ndcg import Ndcg
from recsys.rewards.ranking import Ranking
from recsys.rewards.rule import Rule
from recsys.rewards.weighted import WeightedSum


class Unbounded:
    order_matters = False
    bounds = None

    def __call__(self, context: Context, slates: Slates) -> torch.Tensor:
        return torch.ones(slates.items.shape[:2])


def test_the_published_sum(make_context: Callable[..., Context], make_slates: Callable[..., Slates]) -> None:
    reward = WeightedSum({"rule": Rule(), "ranking": Ranking()}, {"ranking": 1.0, "rule": 1.0})
    context, slates = make_context([7]), make_slates([[7, 1, 2, 3]])
    assert reward(context, slates)[0].tolist() == pytest.approx([1.0, -0.4040, -0.3202, -0.2758], abs=5e-5)
    assert reward.parts(context, slates)["rule"].tolist() == [[1, 0, 0, 0]]
    assert reward.bounds == (-1.0, 1.0)


def test_bounds_and_order_follow_the_parts() -> None:
    assert WeightedSum({"rule": Rule(), "ranking": Ranking()}, {"rule": 2.0, "ranking": -3.0}).bounds == (0.0, 5.0)
    assert WeightedSum({"rule": Rule(), "free": Unbounded()}, {"rule": 1.0, "free": 1.0}).bounds is None
    assert WeightedSum({"ndcg": Ndcg()}, {"ndcg": 1.0}).order_matters
    assert not WeightedSum({"rule": Rule(), "ndcg": Ndcg()}, {"rule": 1.0, "ndcg": 0.0}).order_matters


@pytest.mark.parametrize(("parts", "weights"), [({"rule": Rule()}, {"rul": 1.0}), ({}, {})])
def test_every_part_needs_one_weight(parts: dict[str, Rule], weights: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="weight"):
        WeightedSum(parts, weights)


def test_a_configuration_binds_parts_and_weights(
    make_context: Callable[..., Context], make_slates: Callable[..., Slates]
) -> None:
    reward = instantiate(
        {
            "_target_": "recsys.rewards.weighted.WeightedSum",
            "rewards": {
                "rule": {"_target_": "recsys.rewards.rule.Rule"},
                "ranking": {"_target_": "recsys.rewards.ranking.Ranking"},
            },
            "weights": {"rule": 1, "ranking": 0.5},
        }
    )
    earned = reward(make_context([7]), make_slates([[7, 1]]))
    assert earned[0].tolist() == pytest.approx([1.0, -0.5])
