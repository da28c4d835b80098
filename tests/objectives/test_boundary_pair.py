from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.boundary_pair import boundary_pair, recast, structural_score
from recsys.types.rollout import Rollout


@pytest.mark.parametrize(
    ("levels", "scores"),
    [(1, [0.0, 1.0]), (2, [0.0, 0.01, 1.0]), (3, [0.0, 0.01, 0.1, 1.0]), (4, [0.0, 0.01, 0.1, 0.1, 1.0])],
)
def test_structural_scores(levels: int, scores: list[float]) -> None:
    assert structural_score(torch.arange(levels + 1), levels).tolist() == pytest.approx(scores)


def test_the_pair_is_the_hit_and_the_miss_nearest_to_it(make_rollout: Callable[..., Rollout]) -> None:
    columns, complete = boundary_pair(make_rollout([[3, 1, 0, 2, 5], [2, 3, -1, -1, -1], [0, -1, -1, -1, -1]]))
    assert columns[0].tolist() == [2, 3]
    assert complete.tolist() == [True, False, False]


def test_only_the_pair_gets_a_gradient(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[3, 1, 0, 2, 5], [2, 3, -1, -1, -1]])
    loss = recast(group, weight=2.0)
    (slope,) = torch.autograd.grad(loss.value, group.token_log_prob)
    assert slope[0, :, 0, 0].tolist() == pytest.approx([0.0, 0.0, -0.5, 0.5, 0.0])
    assert (slope[1] == 0).all()
    assert loss.diagnostics["pair_share"] == 0.5


def test_the_clip_and_the_kl_term_are_those_of_the_pair(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    old = logits.detach().clone()
    old[0] -= 3.0
    group = make_rollout([[3, 0, 2]], old=old)
    assert recast(group).diagnostics["clip_fraction"] > 0
    assert recast(group, clip=50.0).diagnostics["clip_fraction"] == 0
    (slope,) = torch.autograd.grad(recast(group, kl_weight=0.5).value, group.token_log_prob)
    assert (slope[0, 0] == 0).all()


def test_groups_without_shared_codes_are_refused(make_rollout: Callable[..., Rollout]) -> None:
    with pytest.raises(ConfigurationError, match="shared_codes"):
        recast(make_rollout([[3, 0, 2]], shared_codes=None))
