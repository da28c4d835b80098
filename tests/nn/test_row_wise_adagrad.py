from __future__ import annotations

import torch

from tests.nn.row_wise_adagrad import RowWiseAdagrad


def test_two_steps_by_hand() -> None:
    table = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = RowWiseAdagrad([table], lr=0.1, eps=0.0)
    for gradient in ([[3.0, 4.0], [1.0, 1.0]], [[0.0, 2.0], [2.0, 0.0]]):
        table.grad = torch.tensor(gradient)
        optimizer.step()
    expected = [
        [-0.1 * 3 / 12.5**0.5, -0.1 * (4 / 12.5**0.5 + 2 / 14.5**0.5)],
        [-0.1 * (1 + 2 / 3**0.5), -0.1],
    ]
    torch.testing.assert_close(table.detach(), torch.tensor(expected))
    assert optimizer.state[table]["sum"].shape == (2, 1)


def test_rows_without_a_gradient_stay() -> None:
    table = torch.nn.Parameter(torch.randn(3, 4))
    before = table.detach().clone()
    optimizer = RowWiseAdagrad([table], lr=1.0)
    optimizer.step()
    assert torch.equal(table, before)
    table[1].sum().backward()
    optimizer.step()
    assert torch.equal(table[[0, 2]], before[[0, 2]])
    torch.testing.assert_close(table[1], before[1] - 1)


def test_the_closure_s_value_is_returned() -> None:
    table = torch.nn.Parameter(torch.ones(1, 2))

    def closure() -> torch.Tensor:
        loss = table.sum()
        loss.backward()
        return loss

    assert RowWiseAdagrad([table]).step(closure) == 2.0
