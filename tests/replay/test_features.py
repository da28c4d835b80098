from __future__ import annotations

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay import features
from recsys.replay.features import every_pair, features_of_actions, pairs


def test_without_a_context_an_action_stands_alone() -> None:
    assert pairs(None, torch.tensor([2, 0]), torch.eye(3)).tolist() == [[0, 0, 1], [1, 0, 0]]
    [chunk] = every_pair(None, 2, torch.eye(2))
    assert chunk.tolist() == [[1, 0], [0, 1]] * 2


def test_chunks_are_the_whole_in_parts(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    context = torch.randn(7, 2, generator=generator)
    [whole] = every_pair(context, 7, torch.eye(3))
    monkeypatch.setattr(features, "CHUNK_NUMBERS", 31)
    parts = list(every_pair(context, 7, torch.eye(3)))
    assert [len(part) for part in parts] == [6, 6, 6, 3]
    assert torch.equal(torch.cat(parts), whole)


def test_features_are_of_each_action() -> None:
    assert features_of_actions(None, 2).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(RequestError, match="3 actions have features, and the log has 2 actions"):
        features_of_actions(torch.ones(3, 1), 2)
