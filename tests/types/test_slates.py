from __future__ import annotations

import math

import torch

from recsys.types.slates import SamplingMethod, Slates


def test_a_slate_is_alive_if_every_slot_has_an_item() -> None:
    items = torch.tensor([[[1, 2], [3, -1]]])
    log_prob = torch.tensor([[[-1.0, -0.5], [-1.0, -math.inf]]])
    slates = Slates(items, log_prob)
    assert slates.alive.tolist() == [[True, False]]
    assert slates.slate_log_prob.tolist() == [[-1.5, -math.inf]]
    assert slates.drawn is SamplingMethod.GIVEN and slates.log_inclusion is None
