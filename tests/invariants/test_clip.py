"""The policy that draws is the policy that learns: no clipping objective clips at the first inner step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from recsys.data.datasets.loader import PackedLoader
from recsys.objectives.group_relative import dapo, dr_grpo, ecpo, grpo, gspo
from recsys.objectives.objective import Loss
from recsys.rewards.reward import HitReward
from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
from recsys.systems.group_sampling import BeamSampler
from recsys.types.rollout import Rollout
from tests.fitting import ADAM
from tests.tiny import tiny_dataset, tiny_generator


@pytest.mark.parametrize("objective", [grpo, dapo, gspo, dr_grpo, ecpo])
def test_clip_fraction(objective: Callable[[Rollout], Loss]) -> None:
    """With dropout, and again after the next rollout; later inner steps may clip."""
    system = GroupPolicyOptimisation(
        tiny_generator(dropout=0.3), BeamSampler(8), HitReward(), objective, ADAM, inner_steps=2, request_share=1.0
    )
    seen: list[float] = []

    def log_dict(values: dict[str, Any], **_: Any) -> None:
        seen.append(float(values["train/clip_fraction"]))

    system.log_dict = log_dict  # type: ignore[method-assign]
    batch = next(iter(PackedLoader(tiny_dataset().train, 60, 5)))
    optimizer = torch.optim.SGD(system.network.parameters(), lr=20.0)
    for step in range(4):
        loss = system.training_step(batch, step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(system.network.parameters(), 0.1)  # such steps diverge otherwise
        optimizer.step()
    assert seen[0] == seen[2] == 0.0
    assert seen[1] > 0.0
