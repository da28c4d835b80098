from __future__ import annotations

import pytest
import torch

from recsys.decode.sampling import gumbel_given_maximum, log_inclusion, stochastic_beam_search
from recsys.decode.score import score
from recsys.items.trie import Trie
from recsys.policies.plackett_luce import slot_log_prob
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.conftest import exact_log_prob
from tests.decode.table_generator import TableGenerator, ragged_codes

DRAWS = 20_000


def repeated(excluded: list[int], rows: int = DRAWS) -> Context:
    return Context(
        torch.zeros(rows, dtype=torch.int64),
        Jagged.empty(rows),
        Jagged.from_rows([excluded]).select(torch.zeros(rows, dtype=torch.int64)),
    )


@pytest.fixture
def few() -> TableGenerator:
    """7 items with probabilities from 0.02 to 0.39."""
    return TableGenerator(Trie.from_codes(ragged_codes(7, levels=3, codes=2)), scale=0.25).requires_grad_(False)


@pytest.mark.parametrize("excluded", [[], [2, 5]])
@pytest.mark.parametrize("draws", [2, 3, 4])
def test_importance_weighted_sums_are_unbiased(
    few: TableGenerator, excluded: list[int], draws: int, generator: torch.Generator
) -> None:
    context = repeated(excluded)
    items, log_prob, inclusion = stochastic_beam_search(few, few.encode(context), context, draws, generator)
    weights = (log_prob.sum(-1) - inclusion).double().exp()
    estimates = torch.zeros(DRAWS, 7, dtype=torch.float64).scatter_add(1, items, weights)
    expected = exact_log_prob(few, context)[0].exp()
    error = (estimates.mean(0) - expected) / (estimates.std(0) / DRAWS**0.5).clamp(min=1e-6)
    assert error.abs().max() < 4


def test_the_order_is_that_of_drawing_without_replacement(few: TableGenerator, generator: torch.Generator) -> None:
    context = repeated([4])
    items, _, _ = stochastic_beam_search(few, few.encode(context), context, 2, generator)
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7)).unsqueeze(0)
    expected = slot_log_prob(exact_log_prob(few, context)[:1], pairs).sum(-1)[0].exp()
    seen = (items[:, None] == pairs).all(-1).double().mean(0)
    assert ((seen - expected) / (expected * (1 - expected) / DRAWS).sqrt().clamp(min=1e-4)).abs().max() < 4


def test_as_wide_as_the_legal_set_every_item_is_included_for_sure(
    network: TableGenerator, requests: Context, restricted: Context, generator: torch.Generator
) -> None:
    for context in (requests, restricted):
        items, log_prob, inclusion = stochastic_beam_search(network, network.encode(context), context, 45, generator)
        found = items >= 0
        assert torch.equal(found.sum(-1), (~context.illegal(40)).sum(-1))
        assert torch.allclose(log_prob.sum(-1).exp().sum(-1), torch.ones(5), atol=1e-4)
        assert (inclusion[found] == 0).all() and inclusion[~found].isneginf().all()


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_items_are_legal_and_distinct_and_scored_as_by_score(
    scale: float, requests: Context, restricted: Context, generator: torch.Generator
) -> None:
    network = TableGenerator(Trie.from_codes(ragged_codes(40, 3, 5)), scale=scale).requires_grad_(False)
    for context in (requests, restricted):
        memory = network.encode(context)
        items, log_prob, inclusion = stochastic_beam_search(network, memory, context, 8, generator)
        illegal = context.illegal(40)
        for row, found in enumerate(items):
            real = found[found >= 0].tolist()
            assert len(set(real)) == len(real) == min(8, int((~illegal[row]).sum()))
            assert not illegal[row, real].any()
        found = items >= 0
        assert torch.allclose(log_prob[found], score(network, memory, context, items)[found], atol=1e-4, rtol=1e-5)
        assert (inclusion <= 0).all() and not inclusion.isnan().any()


def test_equal_seeds_give_equal_draws(network: TableGenerator, requests: Context) -> None:
    memory = network.encode(requests)
    first, again, other = (
        stochastic_beam_search(network, memory, requests, 8, torch.Generator().manual_seed(seed))[0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_conditioned_gumbels_have_their_maximum_and_the_truncated_distribution(generator: torch.Generator) -> None:
    location = torch.tensor([0.6, 0.3, 0.1]).log().expand(50_000, -1)
    maximum = torch.full((50_000,), 0.5)
    noisy = gumbel_given_maximum(location, maximum, generator)
    assert torch.allclose(noisy.amax(-1), maximum, atol=1e-6)
    winner = torch.bincount(noisy.argmax(-1), minlength=3) / 50_000
    assert torch.allclose(winner, location[0].exp(), atol=0.01)
    below = noisy[noisy.argmax(-1) != 2, 2]
    threshold = torch.tensor([-3.0, -2.0, -1.0, 0.0])
    truncated = (-(location[0, 2] - threshold).exp() + (location[0, 2] - 0.5).exp()).exp()
    assert torch.allclose((below.unsqueeze(1) < threshold).float().mean(0), truncated, atol=0.01)


def test_impossible_children_and_dead_beams_stay_impossible(generator: torch.Generator) -> None:
    location = torch.tensor([[0.0, -torch.inf], [-torch.inf, -torch.inf]])
    noisy = gumbel_given_maximum(location, torch.tensor([2.0, -torch.inf]), generator)
    assert torch.allclose(noisy[0, 0], torch.tensor(2.0)) and noisy[0, 1].isneginf() and noisy[1].isneginf().all()


@pytest.mark.parametrize("excess", [-200.0, -20.0, -14.9, -1.0, 0.0, 3.0, 50.0])
def test_log_inclusion_keeps_its_digits(excess: float) -> None:
    exact = torch.log(-torch.expm1(-torch.exp(torch.tensor([[excess]], dtype=torch.float64))))
    found = log_inclusion(torch.tensor([[excess - 7.0]]), torch.tensor([[-7.0]]))
    assert torch.allclose(found.double(), exact, atol=1e-5)
