from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.items.trie import Trie
from recsys.models.generators.generator import Generator
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.policies.generative import GenerativePolicy, UnmaskedPolicy
from recsys.policies.network_policy import NetworkPolicy
from recsys.policies.plackett_luce import slot_log_prob
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates
from tests.decode.table_generator import TableGenerator, VocabularyTableGenerator, ragged_codes
from tests.tiny import tiny_generator

ITEMS = 7


@pytest.fixture
def policy() -> GenerativePolicy:
    return GenerativePolicy(TableGenerator(Trie.from_codes(ragged_codes(ITEMS, 3, 2)), scale=2.0))


@pytest.fixture
def requests() -> Context:
    excluded = Jagged.from_rows([[], [2, 5, 2], [0, 1, 2, 3, 4]])
    return Context(torch.tensor([0, 1, 1]), Jagged.from_rows([[1, 2], [], [6]]), excluded)


def every_slate(rows: int, slots: int) -> Slates:
    items = torch.tensor(list(itertools.product(range(-1, ITEMS), repeat=slots))).expand(rows, -1, -1)
    return Slates(items, torch.zeros(items.shape))


def test_slates_of_several_slots_have_the_item_policies_probability(
    policy: GenerativePolicy, requests: Context
) -> None:
    slates = every_slate(3, 3)
    expected = slot_log_prob(policy.catalogue_log_prob(requests), slates.items)
    found = policy.log_prob(requests, slates)
    assert torch.equal(found.isneginf(), expected.isneginf())
    possible = ~found.isneginf()
    assert torch.allclose(found[possible], expected[possible], atol=1e-4)


def test_slates_of_several_slots_restricted_to_candidates(policy: GenerativePolicy, requests: Context) -> None:
    restricted = replace(requests, candidates=Jagged.from_rows([[0, 3], [1, 4, 6, 2], [5]]))
    slates = every_slate(3, 2)
    total = policy.log_prob(restricted, slates).sum(-1).exp().sum(-1)
    assert torch.allclose(total, torch.tensor([1.0, 1.0, 0.0]), atol=1e-4)


def test_slates_wider_than_the_legal_set_end_without_items(policy: GenerativePolicy, requests: Context) -> None:
    slates = policy.sample(requests, 4, 3, torch.Generator().manual_seed(0))
    assert (slates.items[2, :, :2].sort(-1).values == torch.tensor([5, 6])).all()
    assert (slates.items[2, :, 2] == -1).all() and slates.log_prob[2, :, 2].isneginf().all()
    assert slates.mask[:2].all() and not slates.mask[2].any()


def test_gradient_reaches_the_network_through_every_slot(policy: GenerativePolicy, requests: Context) -> None:
    policy.double()
    slates = Slates(torch.tensor([[[0, 4]], [[6, 1]], [[5, 6]]]), torch.zeros(3, 1, 2))
    parameters = list(policy.parameters())
    own = torch.autograd.grad(policy.log_prob(requests, slates).sum(), parameters)
    expected = torch.autograd.grad(slot_log_prob(policy.catalogue_log_prob(requests), slates.items).sum(), parameters)
    for got, wanted in zip(own, expected, strict=True):
        assert torch.allclose(got, wanted, atol=1e-8)


def test_top_is_cut_from_a_search_at_least_as_wide_as_beams(requests: Context) -> None:
    codes = torch.tensor([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [1, 3]])
    network = TableGenerator(Trie.from_codes(codes), scale=0.0)
    with torch.no_grad():
        network.users.fill_(1.0)
        network.tables[1][0] += 0.1
        network.tables[2][6] += 3.0
    first = requests.select(torch.tensor([0]))
    assert GenerativePolicy(network, beams=1).top(first, 1).items.item() in (0, 1, 2)
    wide = GenerativePolicy(network, beams=2).top(first, 1)
    assert wide.items.item() == 6 and wide.items.shape == (1, 1, 1) and wide.sampling_method is SamplingMethod.TOP
    assert GenerativePolicy(network, beams=1).top(first, 9).items.shape == (1, 9, 1)


def test_the_best_slates_are_those_of_the_enumeration(policy: GenerativePolicy, requests: Context) -> None:
    """The last request allows two items, whose slates leave the third slot empty."""
    policy.double()
    slates = Slates(
        torch.tensor(list(itertools.permutations(range(ITEMS), 3))).expand(3, -1, -1), torch.zeros(3, 210, 3)
    )
    expected, order = policy.log_prob(requests, slates).sum(-1).sort(-1, descending=True)
    top = policy.top_from(policy.network.encode(requests), requests, 210, slots=3)
    assert top.sampling_method is SamplingMethod.TOP
    for row, legal in ((0, 210), (1, 60)):
        assert torch.equal(top.items[row, :legal], slates.items[row][order[row, :legal]])
        assert torch.allclose(top.slate_log_prob[row, :legal], expected[row, :legal], atol=1e-9)
        assert (top.items[row, legal:] == -1).all()
    assert sorted(top.items[2, :2].tolist()) == [[5, 6, -1], [6, 5, -1]] and (top.items[2, 2:] == -1).all()


def test_draws_without_replacement_carry_their_inclusion(policy: GenerativePolicy, requests: Context) -> None:
    memory = policy.network.encode(requests)
    slates = policy.sample_without_replacement_from(memory, requests, 3, torch.Generator().manual_seed(0))
    assert slates.sampling_method is SamplingMethod.WITHOUT_REPLACEMENT and slates.items.shape == (3, 3, 1)
    assert slates.log_inclusion is not None
    assert (slates.log_inclusion[:2] > slates.slate_log_prob[:2]).all()
    assert torch.equal(slates.mask, torch.tensor([[True] * 3, [True] * 3, [True, True, False]]))


def test_log_prob_from_is_the_sum_of_its_codes(policy: GenerativePolicy, requests: Context) -> None:
    every = torch.arange(ITEMS).expand(3, -1).unsqueeze(-1)
    codes = policy.log_prob_from(policy.network.encode(requests), requests, every)
    assert codes.shape == (3, ITEMS, 1, 3)
    assert torch.allclose(codes.sum((2, 3)), policy.catalogue_log_prob(requests), atol=1e-4)


def test_histories_are_encoded_once(
    policy: GenerativePolicy, requests: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    encode = policy.network.encode

    def counted(context: Context) -> torch.Tensor:
        calls.append(len(context))
        return encode(context)

    monkeypatch.setattr(policy.network, "encode", counted)
    policy.sample(requests, 5, 3, torch.Generator().manual_seed(0))
    policy.log_prob(requests, every_slate(3, 2))
    policy.top(requests, 2)
    assert calls == [3, 3, 3]


def test_rollouts_carry_no_gradient_and_scores_do(policy: GenerativePolicy, requests: Context) -> None:
    memory, rng = policy.network.encode(requests), torch.Generator().manual_seed(0)
    rollouts = [
        policy.top_from(memory, requests, 2),
        policy.sample_without_replacement_from(memory, requests, 2, rng),
        policy.sample_from(memory, requests, 2, 1, rng),
        policy.sample_from(memory, requests, 2, 2, rng),
    ]
    assert not any(slates.log_prob.requires_grad for slates in rollouts)
    assert policy.log_prob_from(memory, requests, rollouts[-1].items).requires_grad
    assert isinstance(policy.network, Generator)


EVERY = torch.arange(12).view(1, 12, 1)


def test_unmasked_slates_of_several_slots_are_refused() -> None:
    network = VocabularyTableGenerator(Trie.from_codes(ragged_codes(12, 2, 5)))
    with pytest.raises(ConfigurationError, match="ranks single items, found slots=2"):
        UnmaskedPolicy(network).top(Context(torch.tensor([0]), Jagged.empty(1), Jagged.empty(1)), 3, slots=2)


def test_it_is_searched_under_the_mask_and_scored_without_it() -> None:
    network = VocabularyTableGenerator(Trie.from_codes(ragged_codes(12, 2, 5)), scale=2.0)
    context = Context(torch.tensor([0]), Jagged.empty(1), Jagged.from_rows([[4, 7]]))
    memory = network.encode(context)
    published, exact = UnmaskedPolicy(network), GenerativePolicy(network)
    scores = published.log_prob_from(memory, context, EVERY).sum((2, 3))
    assert scores.exp().sum() < 0.9 < exact.log_prob_from(memory, context, EVERY).sum((2, 3)).exp().sum()
    top = published.top_from(memory, context, 12)
    found = top.items[0, :10, 0]
    assert set(found.tolist()) == set(range(12)) - {4, 7} and (top.items[0, 10:] == -1).all()
    assert torch.allclose(top.log_prob[0, :10, 0], scores[0, found], atol=1e-5)


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("make", [GenerativePolicy, AutoregressiveSlatePolicy])
def test_no_requests_get_no_slates(make: Callable[[Any], NetworkPolicy], slots: int) -> None:
    policy, nobody = make(tiny_generator()), Context(torch.arange(0), Jagged.empty(0), Jagged.empty(0))
    assert policy.top(nobody, 3, slots).items.shape == (0, 3, slots)
    slates = policy.sample(nobody, 4, slots, torch.Generator())
    assert slates.items.shape == policy.log_prob(nobody, slates).shape == (0, 4, slots)
    assert policy.catalogue_log_prob(nobody).shape == (0, 20)
