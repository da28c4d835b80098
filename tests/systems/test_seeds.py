from __future__ import annotations

import torch

from recsys.systems.seeds import step_generator


def draw(*numbers: int) -> float:
    return torch.rand(1, generator=step_generator(*numbers)).item()


def test_equal_numbers_draw_equally_and_others_do_not() -> None:
    cases = [(seed, rank, step) for seed in (0, 1, 2) for rank in (0, 1) for step in (0, 1, 999)]
    drawn = [draw(*one) for one in cases]
    assert drawn == [draw(*one) for one in cases]
    assert len(set(drawn)) == len(cases)


def test_recorded_trainings_draw_what_they_drew() -> None:
    assert step_generator(3, 0, 5).initial_seed() == 3 * 1_000_003 + 5
