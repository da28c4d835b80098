from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.data.context import Context
from recsys.data.slates import Slates
from recsys.rewards.gated import Gated
from recsys.rewards.ndcg import Ndcg
from recsys.rewards.ranking import Ranking
from recsys.rewards.rule import Rule
from recsys.rewards.semantic import Semantic

VECTORS = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [-1.0, 0.0]])


def test_only_what_passes_the_gate_earns(
    make_context: Callable[..., Context], make_slates: Callable[..., Slates]
) -> None:
    reward = Gated(Ranking(), gate=Semantic(VECTORS), threshold=0.7)
    earned = reward(make_context([0]), make_slates([[0, 1, 2, 3]]))
    assert earned[0].tolist() == pytest.approx([0.0, -0.4040, 0.0, 0.0], abs=5e-5)


def test_bounds_hold_zero_and_order_follows_the_parts() -> None:
    assert Gated(Ranking(), gate=Rule(), threshold=0.5).bounds == (-1.0, 0.0)
    assert not Gated(Ranking(), gate=Rule(), threshold=0.5).order_matters
    assert Gated(Ranking(), gate=Ndcg(), threshold=0.5).order_matters
