from __future__ import annotations

import torch

from recsys.decode.sampling import sample
from recsys.decode.score import score
from recsys.types.context import Context
from tests.decode.conftest import exact_log_prob
from tests.decode.table_generator import TableGenerator


def test_items_come_as_often_as_their_probability_says(
    network: TableGenerator, requests: Context, restricted: Context, generator: torch.Generator
) -> None:
    draws = 20_000
    for context in (requests, restricted):
        items, _ = sample(network, network.encode(context), context, draws, generator)
        seen = torch.zeros(5, 40, dtype=torch.float64).scatter_add(1, items, torch.ones(5, draws, dtype=torch.float64))
        expected = exact_log_prob(network, context).exp()
        assert (seen[context.illegal(40)] == 0).all()
        deviation = (seen / draws - expected) / (expected * (1 - expected) / draws).sqrt().clamp(min=1e-4)
        assert deviation.abs().max() < 4.5


def test_log_probabilities_equal_scores(network: TableGenerator, requests: Context, generator: torch.Generator) -> None:
    memory = network.encode(requests)
    items, log_prob = sample(network, memory, requests, 32, generator)
    assert torch.allclose(log_prob, score(network, memory, requests, items), atol=1e-4)
    assert not log_prob.requires_grad


def test_equal_seeds_give_equal_draws(network: TableGenerator, requests: Context) -> None:
    memory = network.encode(requests)
    first, again, other = (
        sample(network, memory, requests, 8, torch.Generator().manual_seed(seed))[0] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
