from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.objectives.lambda_rank import gain_at, lambda_ndcg
from recsys.types.rollout import Rollout


def ndcg_of(order: list[int], cutoff: int, target: int = 0) -> float:
    rank = order.index(target) + 1
    return 1 / math.log2(rank + 1) if rank <= cutoff else 0.0


@pytest.mark.parametrize("items", [[2, 5, 0, 3], [3, 2, 5, 4], [5, 2], [1, 3, 2, 5, 4, 0]])
@pytest.mark.parametrize("cutoff", [1, 2, 3, 10])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_value_is_that_of_exchanging_every_pair(
    items: list[int], cutoff: int, temperature: float, make_rollout: Callable[..., Rollout], logits: Tensor
) -> None:
    score = logits.log_softmax(-1).tolist()
    ranking = sorted({*items, 0}, key=lambda item: -score[item])
    expected = 0.0
    for rival in ranking:
        if rival == 0:
            continue
        exchanged = [{0: rival, rival: 0}.get(item, item) for item in ranking]
        change = abs(ndcg_of(exchanged, cutoff) - ndcg_of(ranking, cutoff))
        gap = (score[rival] - score[0]) / temperature
        expected += change * temperature * math.log1p(math.exp(gap))
    loss = lambda_ndcg(make_rollout([[*items, -1]]), cutoff=cutoff, temperature=temperature)
    assert loss.value.item() == pytest.approx(expected, abs=1e-6)
    assert loss.diagnostics["ndcg"].item() == pytest.approx(ndcg_of(ranking, cutoff), abs=1e-6)


def test_the_target_may_stand_in_the_group_or_not(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    slopes = [
        torch.autograd.grad(lambda_ndcg(make_rollout([row])).value, logits, retain_graph=True)[0]
        for row in ([2, 5, 0, 3], [2, 5, 3, -1])
    ]
    assert torch.allclose(*slopes)


def test_a_pair_below_the_cutoff_weighs_nothing(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 5, 3]])
    (slope,) = torch.autograd.grad(lambda_ndcg(group, cutoff=1).value, group.token_log_prob)
    assert slope[0, 0].abs().max() > 0
    assert (slope[0, 1:] == 0).all()


def test_a_target_outside_the_legal_set_teaches_nothing(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    impossible = torch.tensor([[[0.0, -torch.inf]]], dtype=torch.float64, requires_grad=True)
    group = make_rollout([[2, 5]], logged_log_prob=impossible)
    assert lambda_ndcg(group).value == 0
    slopes = torch.autograd.grad(lambda_ndcg(group).value, [impossible, logits], allow_unused=True)
    assert all(slope is None or slope.isfinite().all() for slope in slopes)


def test_gain_beyond_the_cutoff_is_zero() -> None:
    assert gain_at(torch.tensor([1, 7, 8]), 7).tolist() == pytest.approx([1.0, 1 / 3, 0.0])


@pytest.mark.parametrize(("value", "rank"), [(-1.0, 2.0), (float("nan"), math.inf)])
def test_scores_without_a_difference_are_no_first_rank(
    value: float, rank: float, make_rollout: Callable[..., Rollout]
) -> None:
    group = make_rollout([[2, 5]])
    assert group.logged_log_prob is not None
    alike = group.replace(
        token_log_prob=torch.full_like(group.token_log_prob, value),
        logged_log_prob=torch.full_like(group.logged_log_prob, -1.0),
    )
    assert lambda_ndcg(alike).diagnostics["ndcg"].item() == pytest.approx(1 / math.log2(rank + 1))
