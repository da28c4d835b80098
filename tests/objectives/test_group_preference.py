from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.group_preference import best_against_worst, best_and_worst
from recsys.objectives.objective import Loss
from recsys.objectives.preference import dpo
from recsys.types.preference_pairs import ScoredPairs
from recsys.types.rollout import Rollout

MakeRollout = Callable[..., Rollout]
GROUPS = [[2, 0, 5, -1], [1, 3, 4, -1], [-1, -1, -1, -1], [5, 0, 0, 1]]
"""The second holds no difference, the third nobody."""


def test_the_best_stands_against_the_worst_where_they_differ(make_rollout: MakeRollout) -> None:
    columns, better = best_and_worst(make_rollout(GROUPS))
    assert better.tolist() == [True, False, False, True]
    assert columns[[0, 3]].tolist() == [[1, 2], [1, 3]]


@pytest.mark.parametrize(("margin", "pairs"), [(0.0, 2), (0.85, 1), (1.0, 0)])
def test_a_margin_is_exceeded(margin: float, pairs: int, make_rollout: MakeRollout) -> None:
    """The first group spans .8, the last 1."""
    group = make_rollout(GROUPS)
    assert int(best_and_worst(group, margin)[1].sum()) == pairs
    assert best_against_worst(group, objective=dpo, margin=margin).diagnostics["pair_share"] == pytest.approx(pairs / 3)


def test_an_objective_is_given_the_best_and_the_worst_with_weight_where_they_differ(
    make_rollout: MakeRollout, logits: Tensor
) -> None:
    seen: list[ScoredPairs] = []

    def recording(pairs: ScoredPairs) -> Loss:
        seen.append(pairs)
        return dpo(pairs)

    best_against_worst(make_rollout(GROUPS), objective=recording)
    (pairs,) = seen
    assert pairs.weight.tolist() == [1.0, 0.0, 0.0, 1.0]
    policy = logits.detach().log_softmax(-1)
    torch.testing.assert_close(pairs.better[[0, 3]].flatten(), policy[[0, 0]])
    torch.testing.assert_close(pairs.worse[[0, 3]].flatten(), policy[[5, 1]])


def test_slates_are_compared_by_all_their_slots(make_slates: MakeRollout) -> None:
    """The first earns 1 + 0 by its slots, the second .5 + 1."""
    group = make_slates([[(0, 2), (2, 4), (-1, -1)]])
    columns, better = best_and_worst(group)
    assert better.all() and group.items[0, columns[0]].tolist() == [[2, 4], [0, 2]]
    loss = best_against_worst(group.replace(token_log_prob=group.token_log_prob + 1.0), objective=dpo)
    assert loss.value.isfinite() and loss.diagnostics["pair_share"] == 1


def test_the_objective_is_the_loss_of_its_pairs(make_rollout: MakeRollout) -> None:
    group = make_rollout(GROUPS, reference_log_prob=None)
    reference = torch.linspace(-3, -1, 4, dtype=torch.float64).view(1, 4, 1, 1).expand(4, 4, 1, 2)
    group = group.replace(reference_log_prob=reference)
    rows, columns = torch.tensor([0, 3]), torch.tensor([[1, 2], [1, 3]])
    chosen = group.log_prob[rows.unsqueeze(1), columns], reference.sum((2, 3))[rows.unsqueeze(1), columns]
    policy, other = (one.unsqueeze(-1) for one in chosen)
    pairs = ScoredPairs(policy[:, 0], policy[:, 1:], torch.ones(2).double(), other[:, 0], other[:, 1:])
    objective = partial(dpo, beta=0.4)
    assert torch.isclose(best_against_worst(group, objective=objective).value, objective(pairs).value)


def test_what_it_needs_is_asked_for(make_rollout: MakeRollout) -> None:
    with pytest.raises(ConfigurationError, match="reference: frozen"):
        best_against_worst(make_rollout(GROUPS, reference_log_prob=None), objective=dpo)
