from __future__ import annotations

import math

import torch

from recsys.types.slates import SamplingMethod, Slates, without_repeats


def test_the_mask_holds_slates_with_an_item_in_every_slot() -> None:
    items = torch.tensor([[[1, 2], [3, -1]]])
    log_prob = torch.tensor([[[-1.0, -0.5], [-1.0, -math.inf]]])
    slates = Slates(items, log_prob)
    assert slates.mask.tolist() == [[True, False]]
    assert slates.slate_log_prob.tolist() == [[-1.5, -math.inf]]
    assert slates.sampling_method is SamplingMethod.GIVEN and slates.log_inclusion is None


def test_slates_with_the_same_items_in_another_order_count_once() -> None:
    items = torch.tensor([[[1, 2], [2, 1], [3, 1], [1, 2], [-1, -1], [-1, -1]]])
    kept, repeat = without_repeats(Slates(items, torch.zeros(items.shape)))
    assert kept.items.tolist() == [[[1, 2], [-1, -1], [3, 1], [-1, -1], [-1, -1], [-1, -1]]]
    assert repeat.tolist() == [[False, True, False, True, False, False]]
