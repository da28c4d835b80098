from __future__ import annotations

from collections.abc import Callable

import pytest
from hydra.utils import instantiate

from recsys.errors import ConfigurationError
from recsys.objectives.group_relative import grpo
from recsys.objectives.likelihood import cross_entropy
from recsys.objectives.weighted_sum import mixture
from recsys.types.rollout import Rollout

PARTS = {"reward": grpo, "next_item": cross_entropy}


def test_parts_are_weighted_and_reported_by_name(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 0, 5]])
    loss = mixture(group, objectives=PARTS, weights={"next_item": 0.3, "reward": 2.0})
    expected = 2.0 * grpo(group).value + 0.3 * cross_entropy(group).value
    assert loss.value.item() == pytest.approx(expected.item())
    assert loss.diagnostics["next_item/loss"] == cross_entropy(group).value
    assert {"reward/loss", "reward/clip_fraction", "next_item/illegal_target_share"} <= set(loss.diagnostics)


@pytest.mark.parametrize(
    ("objectives", "weights"), [(PARTS, {"reward": 1.0}), (PARTS, {"reward": 1.0, "next_itm": 1.0}), ({}, {})]
)
def test_every_part_needs_one_weight(
    objectives: dict[str, object], weights: dict[str, float], make_rollout: Callable[..., Rollout]
) -> None:
    with pytest.raises(ConfigurationError, match="weight"):
        mixture(make_rollout([[2, 0]]), objectives=objectives, weights=weights)


def test_a_configuration_binds_the_options(make_rollout: Callable[..., Rollout]) -> None:
    configured = instantiate(
        {
            "_target_": "recsys.objectives.weighted_sum.mixture",
            "_partial_": True,
            "objectives": {
                "reward": {"_target_": "recsys.objectives.group_relative.grpo", "_partial_": True, "kl_weight": 0.1},
                "next_item": {"_target_": "recsys.objectives.likelihood.cross_entropy", "_partial_": True},
            },
            "weights": {"reward": 1, "next_item": 0.3},
        }
    )
    group = make_rollout([[2, 0, 5]])
    expected = grpo(group, kl_weight=0.1).value + 0.3 * cross_entropy(group).value
    assert configured(group).value.item() == pytest.approx(expected.item())
