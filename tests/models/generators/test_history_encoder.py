from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.errors import RequestError
from recsys.models.generators.history_encoder import HistoryEncoder, LearnedPositions, RotaryPositions
from recsys.types.jagged import Jagged

Positions = Callable[[], LearnedPositions | RotaryPositions]
POSITIONS: list[Positions] = [lambda: LearnedPositions(8, 6), lambda: RotaryPositions()]


def encoder(positions: Positions) -> HistoryEncoder:
    torch.manual_seed(0)
    return HistoryEncoder(width=8, heads=2, positions=positions()).eval()


def rows(*lengths: int) -> Jagged:
    values = torch.randn(sum(lengths), 8, generator=torch.Generator().manual_seed(1))
    return Jagged.from_lengths(values, torch.tensor(lengths))


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_row_does_not_depend_on_its_batch(positions: Positions) -> None:
    model, batch = encoder(positions), rows(3, 0, 6, 1)
    together = Jagged(model(batch), batch.offsets)
    for row in ([0], [2], [3], [3, 2]):
        index = torch.tensor(row)
        torch.testing.assert_close(model(batch.select(index)), together.select(index).values)


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_future_is_not_seen(positions: Positions) -> None:
    model, batch = encoder(positions), rows(6)
    changed = batch.values.clone()
    changed[4] += 1
    before, after = model(batch), model(Jagged(changed, batch.offsets))
    torch.testing.assert_close(before[:4], after[:4])
    assert (before[4:] - after[4:]).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("positions", POSITIONS)
def test_order_matters(positions: Positions) -> None:
    model, batch = encoder(positions), rows(3)
    swapped = Jagged(batch.values[[1, 0, 2]], batch.offsets)
    assert (model(batch)[2] - model(swapped)[2]).abs().max() > 1e-4


def test_a_row_longer_than_the_learned_positions_is_refused() -> None:
    with pytest.raises(RequestError, match="7 items, placed ones included, meets positions learned for 6"):
        encoder(POSITIONS[0])(rows(7, 2))


def test_rotary_rows_may_be_longer() -> None:
    assert encoder(POSITIONS[1])(rows(150)).shape == (150, 8)


def test_no_rows_at_all() -> None:
    assert encoder(POSITIONS[0])(rows(0, 0)).shape == (0, 8)


def test_states_have_unit_mean_square() -> None:
    states = encoder(POSITIONS[0])(rows(4, 2))
    torch.testing.assert_close(states.square().mean(-1), torch.ones(6), atol=1e-3, rtol=0)
