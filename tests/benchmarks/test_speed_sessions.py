"""The benchmarks of sessions at the least sizes: that both sides do the same work, and that a difference is refused."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks" / "speed"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_loops_over_experts_do_what_the_layer_does(load) -> None:
    benchmark: ModuleType = load("mixture_of_experts")
    results = benchmark.against_loops(positions=12, rounds=1, passes=1)
    assert [result.case.split(",")[0] for result in results] == ["indexed loop", "masked loop"]
    one = torch.ones(1)
    with pytest.raises(AssertionError, match="differ"):
        benchmark.differences({"ours": [one, one], "loop": [one, 2 * one]})


def test_the_peer_s_sessions_are_scored_alike_and_repeat_nothing(load) -> None:
    benchmark: ModuleType = load("sessions")
    sizes = benchmark.Sizes(items=60, users=2, peer_users=1, candidates=4, slots=2, longest=3)
    results = benchmark.against_generate(sizes, rounds=1)
    assert len(results) == 3 and all(result.value > 0 for result in results)
    pair = benchmark.SessionPair.of(40, 3)
    item = pair.tokens[7].tolist()
    after = pair.allowed(0, torch.tensor([0, *item, 0, *item[:-1]]))
    assert after == [token for token in pair.children[tuple(item[:-1])] if token != item[-1]]
    assert pair.allowed(0, torch.tensor([0, *item])) == [0]
    twice = torch.tensor([[[0, *item, 0, *item]]])
    with pytest.raises(AssertionError, match="twice"):
        pair.check(benchmark.requests(sizes).select(torch.tensor([0])), twice, torch.zeros(1, 1), 2)


def test_both_trainings_take_their_steps(load) -> None:
    benchmark: ModuleType = load("alignment")
    sizes = benchmark.Sizes(items=60, requests=3, candidates=4, slots=2, longest=3, steps=2, pair_share=1.0)
    result = benchmark.against_supervised(sizes, rounds=1)
    assert result.value > 0 and not result.at_least
    assert "3.00 pairs a step" in result.detail and result.detail.startswith("supervised ")
