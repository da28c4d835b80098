from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.objectives.likelihood import catalogue_cross_entropy, legal_set_cross_entropy
from recsys.systems.sequential import SequentialSystem
from recsys.systems.supervised import SupervisedSystem
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.systems.conftest import ADAM
from tests.tiny import tiny_generator, tiny_sasrec

Watch = Callable[[SequentialSystem], dict[str, float]]


def test_the_loss_is_the_mean_over_all_prefixes_of_the_batch(batch: Context, watched: Watch) -> None:
    system = SupervisedSystem(tiny_generator(dropout=0.0), legal_set_cross_entropy, ADAM)
    seen = watched(system)
    loss = system.training_step(batch, 0)
    losses = []
    for row in range(len(batch)):
        sequence = batch.select(torch.tensor([row]))
        items, before = sequence.history.values.tolist(), sequence.excluded.values.tolist()
        for length in range(1, len(items)):
            request = request_of(items[:length], before + items[:length])
            log_prob = system.policy.catalogue_log_prob(request)
            losses.append(-float(log_prob[0, items[length]]))
    assert float(loss) == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert seen == {"train/loss": pytest.approx(float(loss))}


def request_of(history: list[int], excluded: list[int]) -> Context:
    return Context(torch.tensor([0]), Jagged.from_rows([history]), Jagged.from_rows([excluded]))


@pytest.mark.parametrize("make", [tiny_generator, tiny_sasrec])
@pytest.mark.parametrize("objective", [catalogue_cross_entropy, legal_set_cross_entropy])
def test_steps_raise_the_likelihood(make: Callable, objective: Callable, batch: Context, watched: Watch) -> None:
    system = SupervisedSystem(make(dropout=0.0), objective, ADAM, warmup_steps=0)
    watched(system)
    optimizer = system.configure_optimizers()["optimizer"]
    losses = []
    for step in range(15):
        loss = system.training_step(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]
