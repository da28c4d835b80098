"""What tests of simulated worlds share."""

from __future__ import annotations

import torch

from recsys.types.slates import Slates


def slates_of(items: list[list[int]]) -> Slates:
    """One slate a user, shown for certain."""
    shown = torch.tensor(items).unsqueeze(1)
    return Slates(shown, torch.zeros(shown.shape))


def everyone_gets(items: list[int], users: int) -> Slates:
    """The same slate for every user."""
    return slates_of([items] * users)
