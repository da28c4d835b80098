from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from recsys.data.context import Context
from recsys.data.slates import Slates
from recsys.errors import ConfigurationError
from recsys.rewards.ndcg import Ndcg
from recsys.rewards.rule import Rule


def test_the_slot_of_the_target_is_discounted(
    make_context: Callable[..., Context], make_slates: Callable[..., Slates]
) -> None:
    slates = make_slates([[[7, 1, 2], [1, 7, 2], [1, 2, 7], [1, 2, 3]]])
    context = make_context([7])
    assert Ndcg()(context, slates)[0].tolist() == pytest.approx([1.0, 1 / math.log2(3), 0.5, 0.0])
    assert Ndcg(cutoff=2)(context, slates)[0].tolist() == pytest.approx([1.0, 1 / math.log2(3), 0.0, 0.0])


def test_slates_of_one_slot_earn_the_rule(
    make_context: Callable[..., Context], make_slates: Callable[..., Slates]
) -> None:
    context, slates = make_context([7]), make_slates([[7, 1, -1]])
    assert Ndcg()(context, slates).tolist() == Rule()(context, slates).tolist()


def test_a_cutoff_below_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cutoff"):
        Ndcg(cutoff=0)
