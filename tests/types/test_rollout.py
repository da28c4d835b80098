from __future__ import annotations

import pytest
import torch

from recsys.types.rollout import Rollout

ITEMS = torch.tensor([[[1, 2], [3, -1]], [[4, 5], [6, 7]], [[-1, -1], [0, 1]]])


@pytest.fixture
def rollout() -> Rollout:
    tokens = -torch.arange(24.0).view(3, 2, 2, 2)
    return Rollout(
        items=ITEMS,
        token_log_prob=tokens.masked_fill((ITEMS < 0)[..., None], float("-inf")),
        behaviour_log_prob=tokens,
        reward=torch.arange(6.0).view(3, 2),
        slot_reward=torch.arange(12.0).view(3, 2, 2),
        is_logged=ITEMS[..., 0] == 4,
        log_inclusion=-torch.ones(3, 2),
        shared_codes=torch.arange(6).view(3, 2),
        value=torch.zeros(3, 2),
    )


def test_a_slate_counts_where_every_slot_holds_an_item(rollout: Rollout) -> None:
    assert rollout.slot_mask.sum().item() == 9
    assert rollout.mask.tolist() == [[True, False], [True, True], [False, True]]


def test_log_probabilities_add_up_over_codes_and_slots(rollout: Rollout) -> None:
    assert rollout.slot_log_prob[0].tolist() == [[-1.0, -5.0], [0.0, 0.0]]
    assert rollout.log_prob.tolist() == [[-6.0, 0.0], [-38.0, -54.0], [0.0, -86.0]]


def test_missing_slates_get_no_gradient(rollout: Rollout) -> None:
    tokens = rollout.token_log_prob.clone().requires_grad_()
    rollout.replace(token_log_prob=tokens).log_prob.sum().backward()
    assert torch.equal(tokens.grad, rollout.mask[..., None, None].expand(3, 2, 2, 2).float())


def test_requests_are_selected_with_all_that_belongs_to_them(rollout: Rollout) -> None:
    chosen = rollout.select(torch.tensor([2, 0]))
    assert len(chosen) == 2
    assert torch.equal(chosen.items, ITEMS[[2, 0]])
    assert torch.equal(chosen.value, rollout.value[[2, 0]])
    assert chosen.reference_log_prob is None


def test_candidates_are_selected_with_all_that_belongs_to_them(rollout: Rollout) -> None:
    columns = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    chosen = rollout.candidates(columns, torch.tensor([[True], [True], [False]]))
    assert chosen.reward.tolist() == [[1.0, 0.0, 0.0], [3.0, 3.0, 2.0], [4.0, 5.0, 5.0]]
    assert chosen.mask.tolist() == [[False, True, True], [True, True, True], [False, False, False]]
    assert chosen.is_logged[1].tolist() == [False, False, True]
    assert torch.equal(chosen.slot_reward[1], rollout.slot_reward[1, [1, 1, 0]])
    assert chosen.shared_codes.tolist() == [[1, 0, 0], [3, 3, 2], [4, 5, 5]]
    assert torch.equal(chosen.token_log_prob[0, 1:], rollout.token_log_prob[0, [0, 0]])
    assert chosen.log_inclusion is None and torch.equal(chosen.value, rollout.value)
