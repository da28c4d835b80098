"""Ranking metrics against ranx, which knows nothing of this project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import numba
import pytest
import torch
from torch import Tensor

from recsys.metrics.ranking import hit_rate, ndcg, rank_in_scores, reciprocal_rank

REQUESTS, ITEMS = 100, 40


@pytest.fixture(scope="module")
def ranx() -> Iterator[ModuleType]:
    """Interpreted: compiling its kernels takes a minute, running them on so few requests a second.

    The environment variable of the same name is read once, when numba is imported, and would then hold for our kernels.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", True)
        yield pytest.importorskip("ranx")


@pytest.mark.parametrize(("name", "ours"), [("hit_rate", hit_rate), ("ndcg", ndcg), ("mrr", reciprocal_rank)])
def test_agrees_with_ranx(
    ranx: ModuleType, name: str, ours: Callable[[Tensor, int], Tensor], generator: torch.Generator
) -> None:
    scores = torch.rand(REQUESTS, ITEMS, generator=generator)
    target = torch.randint(0, ITEMS, (REQUESTS,), generator=generator)
    qrels = ranx.Qrels({f"q{request:03}": {f"i{item}": 1} for request, item in enumerate(target.tolist())})
    run = ranx.Run(
        {
            f"q{request:03}": {f"i{item}": score for item, score in enumerate(row)}
            for request, row in enumerate(scores.tolist())
        }
    )
    rank = rank_in_scores(scores, target)
    for k in (1, 5, 10, 20, 50):
        theirs = torch.as_tensor(ranx.evaluate(qrels, run, f"{name}@{k}", return_mean=False)).double()
        assert torch.allclose(ours(rank, k), theirs, atol=1e-6)
