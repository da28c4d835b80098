"""Accumulating over two halves of a batch is training on the batch.

A loss is a mean over requests and accumulation a mean over batches: they agree where the halves ask equally many, as
here, where all sequences are of one length. What is left is the order of summation, so that the comparison is by plain
gradient descent: Adam divides by the gradient's size and would blow up the last digit of a gradient near zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from recsys.data.datasets.loader import PackedLoader
from recsys.data.datasets.sequence_data import SequenceData
from recsys.objectives.lambda_rank import lambda_ndcg
from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.rewards.reward import HitReward
from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
from recsys.systems.group_sampling import BeamSampler
from recsys.systems.sequential import SequentialSystem
from recsys.systems.supervised import SupervisedSystem
from recsys.training.fit import Schedule, fit
from recsys.types.jagged import Jagged
from tests.fitting import quiet
from tests.tiny import tiny_dataset, tiny_generator

DESCENT = partial(torch.optim.SGD, lr=0.5)


def next_item() -> SequentialSystem:
    return SupervisedSystem(tiny_generator(dropout=0.0), legal_set_cross_entropy, DESCENT)


def rere() -> SequentialSystem:
    return GroupPolicyOptimisation(
        tiny_generator(dropout=0.0), BeamSampler(20), HitReward(), lambda_ndcg, DESCENT, request_share=1.0
    )


@pytest.mark.parametrize("make", [next_item, rere])
def test_two_halves_are_a_whole(make: Callable[[], SequentialSystem], tmp_path: Path) -> None:
    dataset = tiny_dataset()
    rows = dataset.train.history.lengths >= 4
    few = dataset.train.select(rows.nonzero().squeeze(1)[:16])
    dataset = replace(dataset, train=replace(few, history=few.history.last(4), excluded=Jagged.empty(16)))
    systems = []
    for name, sequences, accumulate in (("halves", 4, 2), ("whole", 8, 1)):
        systems.append(make())
        loader = partial(PackedLoader, positions=4 * sequences, max_length=3, shuffle=False)
        schedule = Schedule(max_epochs=2, accumulate=accumulate)
        fit(systems[-1], SequenceData(dataset, loader), schedule, tmp_path / name, trainer=quiet())
    last = [torch.load(tmp_path / one / "last.ckpt", weights_only=True) for one in ("halves", "whole")]
    assert last[0]["global_step"] == last[1]["global_step"] == 4
    begun = make().state_dict()
    for name, value in last[0]["current_model_state"].items():
        torch.testing.assert_close(value, last[1]["current_model_state"][name], atol=1e-6, rtol=1e-5)
    moved = [float((last[0]["current_model_state"][name] - begun[name]).abs().max()) for name in begun]
    assert max(moved) > 0.01
