"""What shares a batch changes nothing: not a score, not a rollout, not a validation."""

from __future__ import annotations

import pytest
import torch

from recsys.data.datasets.loader import ExampleLoader, PackedLoader
from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.policies.generative import GenerativePolicy
from recsys.systems.supervised import SupervisedSystem
from tests.fitting import ADAM
from tests.tiny import tiny_dataset, tiny_generator, tiny_sasrec

EXACT = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(params=[tiny_generator, tiny_sasrec])
def system(request: pytest.FixtureRequest) -> SupervisedSystem:
    return SupervisedSystem(request.param(dropout=0.0), legal_set_cross_entropy, ADAM)


def test_scores_of_requests(system: SupervisedSystem) -> None:
    examples = tiny_dataset().test
    whole = system.policy.catalogue_log_prob(examples.context)
    order = torch.randperm(len(examples))
    parts = [
        system.policy.catalogue_log_prob(part.context)
        for part in ExampleLoader(examples.select(order), 5, shuffle=False)
    ]
    torch.testing.assert_close(torch.cat(parts), whole[order], **EXACT)


def test_training_scores_of_prefixes(system: SupervisedSystem) -> None:
    batch = max(PackedLoader(tiny_dataset().train, 60, 5), key=len)
    memory, examples = system.encode(batch)
    whole = system.policy.log_prob_from(memory, examples.context, examples.item.view(-1, 1, 1))
    alone = []
    for row in range(len(batch)):
        memory, examples = system.encode(batch.select(torch.tensor([row])))
        alone.append(system.policy.log_prob_from(memory, examples.context, examples.item.view(-1, 1, 1)))
    torch.testing.assert_close(torch.cat(alone), whole, **EXACT)


@pytest.mark.parametrize("beams", [3, 20])
def test_searches(system: SupervisedSystem, beams: int) -> None:
    requests, policy = tiny_dataset().test.context, GenerativePolicy(system.network, beams)
    whole = policy.top(requests, 3)
    for row in range(0, len(requests), 7):
        alone = policy.top(requests.select(torch.tensor([row])), 3)
        assert torch.equal(alone.items[0], whole.items[row])
        torch.testing.assert_close(alone.log_prob[0], whole.log_prob[row], **EXACT)


def losses(system: SupervisedSystem, batches: list) -> list[float]:
    found = [system.training_step(batch, 0) * int((batch.history.lengths - 1).sum()) for batch in batches]
    return [float(one) for one in found]


def test_the_loss_of_an_epoch_does_not_depend_on_how_it_is_packed(
    system: SupervisedSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "log_dict", lambda *_, **__: None)
    packings = [list(PackedLoader(tiny_dataset().train, positions, 5, seed)) for positions, seed in ((8, 0), (90, 1))]
    assert len(packings[0]) > 3 * len(packings[1])
    few, many = (sum(losses(system, batches)) for batches in packings)
    assert few == pytest.approx(many, rel=1e-5)
