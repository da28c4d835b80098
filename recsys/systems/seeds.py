"""The generator that a training step draws from."""

from __future__ import annotations

import torch

BETWEEN_RANKS = 2_654_435_769
"""Spreads processes over the 32 bits of a seed that torch's generator on the CPU reads (2³² over the golden ratio)."""


def step_generator(seed: int, rank: int, step: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of one step of one process.

    What a step draws depends on these numbers alone, never on what was drawn before: a resumed training equals the
    uninterrupted one, and processes draw independently.

    Args:
        seed: of the training.
        rank: of the process, at least 0.
        step: how many steps the process made before, at least 0.
        device: where it draws.

    >>> torch.rand(1, generator=step_generator(0, 0, 7)) == torch.rand(1, generator=step_generator(0, 0, 7))
    tensor([True])
    """
    return torch.Generator(device).manual_seed(seed * 1_000_003 + step + rank * BETWEEN_RANKS)
