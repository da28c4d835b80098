from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.models.rewards.session import SessionRewardModel
from recsys.types.context import Context
from recsys.types.jagged import Jagged

ITEMS = 12


@pytest.fixture
def model() -> SessionRewardModel:
    torch.manual_seed(0)
    return SessionRewardModel(torch.randn(ITEMS, 5), ["click", "like"], width=8, hidden=8, max_length=4).eval()


def requests(*histories: list[int]) -> Context:
    rows = Jagged.from_rows([torch.tensor(one, dtype=torch.int64) for one in histories])
    return Context(torch.arange(len(histories)), rows, Jagged.empty(len(histories)))


def sessions(requests: int, candidates: int = 3, slots: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(requests, candidates, ITEMS, generator=generator).argsort(-1)[..., :slots]


def test_one_log_odds_a_head(model: SessionRewardModel) -> None:
    found = model(requests([1, 2, 3], [], [4]), sessions(3))
    assert found.shape == (3, 3, 2) and found.isfinite().all()
    assert (found.std((0, 1)) > 0).all()


def test_the_order_of_a_session_has_no_influence(model: SessionRewardModel) -> None:
    asked, items = requests([1, 2, 3], []), sessions(2)
    torch.testing.assert_close(model(asked, items), model(asked, items.flip(-1)))


def test_the_order_and_the_content_of_the_history(model: SessionRewardModel) -> None:
    """A history is a set of its latest items; the one before them is not read."""
    items = sessions(1)
    found = model(requests([9, 1, 2, 3, 4]), items)
    torch.testing.assert_close(found, model(requests([4, 3, 2, 1]), items))
    assert not torch.allclose(found, model(requests([9, 1, 2, 3, 5]), items))


def test_requests_and_candidates_do_not_depend_on_each_other(model: SessionRewardModel) -> None:
    asked, items = requests([1, 2, 3], [], [5]), sessions(3)
    whole = model(asked, items)
    for row in range(3):
        torch.testing.assert_close(whole[row : row + 1], model(asked.select(torch.tensor([row])), items[row : row + 1]))
    torch.testing.assert_close(whole[:, 1:2], model(asked, items[:, 1:2]))


def test_a_slot_without_an_item_adds_nothing(model: SessionRewardModel) -> None:
    asked, items = requests([1, 2, 3], []), sessions(2)
    longer = torch.cat([items, torch.full_like(items[..., :1], -1)], -1)
    torch.testing.assert_close(model(asked, items), model(asked, longer))
    nothing = model(asked, torch.full_like(items, -1))
    assert nothing.isfinite().all() and torch.allclose(nothing[0, 0], nothing[1, 1])


def test_no_requests(model: SessionRewardModel) -> None:
    assert model(requests(), sessions(0)).shape == (0, 3, 2)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"heads": []}, "heads"),
        ({"heads": ["click", "click"]}, "each named once"),
        ({"width": 0}, "width=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"max_length": 0}, "max_length=0"),
    ],
)
def test_impossible_shapes_are_refused(bad: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SessionRewardModel(torch.randn(ITEMS, 5), **{"heads": ["click"], **bad})  # type: ignore[arg-type]
