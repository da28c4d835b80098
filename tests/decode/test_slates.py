"""Slates of generators that see the placed items, against enumeration of every slate of a small catalogue."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import recsys.decode.slates as slates_module
from recsys.decode.beam import beam_search, search_eligible
from recsys.decode.legal import LegalSet
from recsys.decode.normalisation import Conditional, Normalisation, StepByStep
from recsys.decode.slate_search import SlateSearch, greedy_slates, search_slates
from recsys.decode.slates import sample_slates, score_slates
from recsys.errors import EmptyLegalSetError
from recsys.items.trie import Trie
from recsys.models.generators.causal import CausalGenerator
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.models.generators.generator import Generator
from recsys.models.generators.history_encoder import HistoryEncoder
from recsys.models.generators.lazy_decoder import LazyDecoder
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.table_generator import TableGenerator, ragged_codes

ITEMS = 7
CODES = ragged_codes(ITEMS, 3, 2)
REQUESTS = Context(
    torch.tensor([0, 1, 1, 2]),
    Jagged.from_rows([[1, 2], [5], [6], [3, 3, 0]]),
    Jagged.from_rows([[], [2, 5, 2], [0, 1, 2, 3, 4], [6]]),
)
RESTRICTED = replace(REQUESTS, candidates=Jagged.from_rows([[0, 3], [1, 4, 6, 2], [5], list(range(ITEMS))]))
LEGAL = {"excluded": [7, 5, 2, 6], "candidates": [2, 3, 1, 6]}


def generators() -> dict[str, Generator[Any, Any]]:
    torch.manual_seed(0)
    trie = Trie.from_codes(CODES)
    causal = CausalGenerator(trie, CODES, HistoryEncoder(8, 1, 2, 0.0, 8), max_length=5, initial=0.7)
    return {
        "table": TableGenerator(trie, scale=2.0),
        "causal": causal,
        "encoder-decoder": EncoderDecoder(trie, 16, 1, heads=2, head_width=8, hidden=16, max_length=5),
    }


NETWORKS = {name: network.double().eval().requires_grad_(False) for name, network in generators().items()}
CONTEXTS = {"excluded": REQUESTS, "candidates": RESTRICTED}
NORMALISATIONS: dict[str, Normalisation] = {"conditional": Conditional(), "step by step": StepByStep()}


@pytest.mark.parametrize("make", [EncoderDecoder, LazyDecoder])
def test_a_trie_of_one_level_has_one_distribution(make: Callable[..., Generator[Any, Any]]) -> None:
    """Both normalisations are the softmax over what is left; a row of codes has no code behind its first."""
    torch.manual_seed(0)
    shape = {"heads": 2, "head_width": 8, "hidden": 16, "max_length": 5}
    network = make(Trie.from_codes(torch.arange(4).unsqueeze(1)), 16, 1, **shape).double().eval()
    requests = Context(torch.arange(2), Jagged.from_rows([[1], []]), Jagged.from_rows([[2], []]))
    memory = network.encode(requests)
    slates = torch.tensor([[[0, 1, 3], [3, 1, 0]], [[0, 1, 3], [2, 0, 1]]])
    scores = [score_slates(network, memory, requests, slates, one) for one in NORMALISATIONS.values()]
    torch.testing.assert_close(*scores)
    for normalisation in NORMALISATIONS.values():
        every, codes = search_slates(network, memory, requests, 24, 3, 4, network.extend, normalisation)
        assert (every[0] >= 0).all(-1).sum() == 6 and (every[1] >= 0).all(-1).sum() == 24
        torch.testing.assert_close(codes.sum((2, 3)).exp().sum(-1), torch.ones(2).double())
        drawn, codes = sample_slates(network, memory, requests, 5, 3, torch.Generator().manual_seed(0), normalisation)
        torch.testing.assert_close(score_slates(network, memory, requests, drawn, normalisation), codes)


@pytest.fixture(params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def network(name: str) -> Generator[Any, Any]:
    return NETWORKS[name]


@pytest.fixture(params=NORMALISATIONS)
def by(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def normalisation(by: str) -> Normalisation:
    return NORMALISATIONS[by]


@pytest.fixture(params=CONTEXTS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def over_items(catalogue: Tensor, left: list[int], by: str) -> Tensor:
    """Log-probability of each item that is left, from that of every item, code by code or at once, without a trie."""
    if by == "conditional":
        return catalogue[left] - catalogue[left].logsumexp(0)
    total = torch.zeros_like(catalogue[left])
    for level in range(CODES.shape[1]):
        prefixes = [tuple(row[: level + 1]) for row in CODES.tolist()]
        mass = {one: catalogue[[each == one for each in prefixes]].logsumexp(0) for one in prefixes}
        live = {prefixes[item] for item in left}
        own = []
        for item in left:
            siblings = [mass[one] for one in sorted(live) if one[:level] == prefixes[item][:level]]
            own.append(mass[prefixes[item]] - torch.stack(siblings).logsumexp(0))
        total = total + torch.stack(own)
    return total


@functools.cache
def by_hand(name: str, kind: str, slots: int, by: str) -> list[dict[tuple[int, ...], float]]:
    """Every slate of each request with its log-probability: the whole catalogue behind every prefix, renormalised."""
    network, result = NETWORKS[name], []
    for row in range(4):
        one = CONTEXTS[kind].select(torch.tensor([row]))
        legal = (~one.illegal(ITEMS))[0].nonzero().flatten().tolist()
        found: dict[tuple[int, ...], float] = {(): 0.0}
        memories: dict[tuple[int, ...], Any] = {(): network.encode(one)}
        for _ in range(min(slots, len(legal))):
            grown = {}
            for placed, score in found.items():
                if placed:
                    memories[placed] = network.extend(memories[placed[:-1]], torch.tensor(placed[-1:]))
                left = [item for item in legal if item not in placed]
                own = over_items(network.catalogue_log_prob(memories[placed])[0], left, by).tolist()
                grown |= {(*placed, item): score + log_prob for item, log_prob in zip(left, own, strict=True)}
            found = grown
        result.append({(*slate, *[-1] * (slots - len(slate))): score for slate, score in found.items()})
    return result


def every_slate(rows: int, slots: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(-1, ITEMS), repeat=slots))).expand(rows, -1, -1)


@pytest.mark.parametrize("slots", [1, 3])
def test_scores_are_those_of_the_catalogue_behind_every_prefix(name: str, kind: str, by: str, slots: int) -> None:
    network, requests = NETWORKS[name], CONTEXTS[kind]
    items = torch.tensor(list(itertools.permutations(range(ITEMS), slots))).expand(4, -1, -1)
    codes = score_slates(network, network.encode(requests), requests, items, NORMALISATIONS[by])
    assert codes.shape == (*items.shape, 3)
    assert not codes.isnan().any()
    total = codes.sum((2, 3))
    for row, expected in enumerate(by_hand(name, kind, slots, by)):
        whole = {slate: score for slate, score in expected.items() if -1 not in slate}
        found = {tuple(slate): score for slate, score in zip(items[row].tolist(), total[row].tolist(), strict=True)}
        possible = {slate: score for slate, score in found.items() if score > -torch.inf}
        assert possible == pytest.approx(whole, abs=1e-6)
        assert sum(torch.tensor(list(possible.values())).exp()) == pytest.approx(1.0 if whole else 0.0)


def test_slots_are_impossible_from_the_first_that_is(
    network: Generator[Any, Any], normalisation: Normalisation
) -> None:
    slates = torch.tensor([[[0, 0, 1], [-1, 3, 4], [1, 2, -1]]]).expand(4, -1, -1)
    found = score_slates(network, network.encode(REQUESTS), REQUESTS, slates, normalisation).sum(-1).isneginf()
    assert found[0].tolist() == [[False, True, True], [True, True, True], [False, False, True]]
    assert found[1].tolist() == [[False, True, True], [True, True, True], [False, True, True]]


@pytest.mark.parametrize("block", [1, 5])
def test_blocks_change_nothing(
    network: Generator[Any, Any], normalisation: Normalisation, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slates = every_slate(4, 2)[:, ::5]
    memory = network.encode(REQUESTS)
    whole = score_slates(network, memory, REQUESTS, slates, normalisation)
    monkeypatch.setattr(slates_module, "BLOCK", block)
    torch.testing.assert_close(score_slates(network, memory, REQUESTS, slates, normalisation), whole)


def test_scores_carry_gradient_through_placed_items(normalisation: Normalisation) -> None:
    network = generators()["encoder-decoder"].double()
    slates = torch.tensor([[[0, 4]], [[6, 1]], [[5, 6]], [[1, 2]]])
    loss = score_slates(network, network.encode(REQUESTS), REQUESTS, slates, normalisation)[:, :, 1].sum()
    loss.backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and bool(weight.grad.isfinite().all()) and weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("slots", [2, 3])
def test_a_search_wide_enough_is_the_exhaustive_ranking(name: str, kind: str, by: str, slots: int) -> None:
    network, requests = NETWORKS[name], CONTEXTS[kind]
    memory = network.encode(requests)
    items, codes = search_slates(network, memory, requests, 230, slots, 1, network.extend, NORMALISATIONS[by])
    assert items.shape == (4, 230, slots) and codes.shape == (4, 230, slots, 3)
    for row, expected in enumerate(by_hand(name, kind, slots, by)):
        ranked = sorted(expected.items(), key=lambda pair: -pair[1])
        assert [tuple(slate) for slate in items[row, : len(ranked)].tolist()] == [slate for slate, _ in ranked]
        assert (items[row, len(ranked) :] == -1).all() and codes[row, len(ranked) :].isneginf().all()
        held = items[row, : len(ranked)] >= 0
        found = codes[row, : len(ranked)].sum(-1).masked_fill(~held, 0.0).sum(-1)
        assert found.tolist() == pytest.approx([score for _, score in ranked], abs=1e-6)
        assert codes[row, : len(ranked)].sum(-1)[~held].isneginf().all()


@pytest.mark.parametrize("search", [search_slates, greedy_slates])
@pytest.mark.parametrize("beams", [1, 3, 8])
def test_what_is_found_is_distinct_legal_falling_and_scored_as_given_slates_are(
    name: str, kind: str, normalisation: Normalisation, search: SlateSearch, beams: int
) -> None:
    network, requests = NETWORKS[name], CONTEXTS[kind]
    memory = network.encode(requests)
    items, codes = search(network, memory, requests, 5, 3, beams, network.extend, normalisation)
    assert items.shape == (4, 5, 3)
    again = score_slates(network, memory, requests, items, normalisation).sum(-1)
    torch.testing.assert_close(codes.sum(-1), again)
    for row, count in enumerate(LEGAL[kind]):
        slates = [slate for slate in items[row].tolist() if slate != [-1] * 3]
        assert len({tuple(slate) for slate in slates}) == len(slates) > 0
        assert all(len([item for item in slate if item >= 0]) == min(3, count) for slate in slates)
        score = codes[row, : len(slates)].sum(-1).masked_fill(items[row, : len(slates)] < 0, 0.0).sum(-1)
        assert (score.diff() <= 1e-9).all()


def test_greedily_every_slot_is_the_best_behind_its_own_first_item(name: str, kind: str, by: str) -> None:
    network, requests = NETWORKS[name], CONTEXTS[kind]
    memory = network.encode(requests)
    items, _ = greedy_slates(network, memory, requests, 4, 3, ITEMS, network.extend, NORMALISATIONS[by])
    one_slot, two, three = (by_hand(name, kind, slots, by) for slots in (1, 2, 3))
    for row in range(4):
        first = sorted(one_slot[row], key=lambda slate: -one_slot[row][slate])[:4]
        expected = []
        for slate in first:
            for longer in (two[row], three[row]):
                slate = max((one for one in longer if one[: len(slate)] == slate), key=lambda one: longer[one])
            expected.append(slate)
        expected.sort(key=lambda slate: -three[row][slate])
        found = [tuple(slate) for slate in items[row].tolist() if slate != [-1] * 3]
        assert found == expected


def test_one_slot_is_the_search_for_items(name: str, kind: str, normalisation: Normalisation) -> None:
    network, requests = NETWORKS[name], CONTEXTS[kind]
    memory = network.encode(requests)
    eligible = normalisation.eligible(LegalSet.of(network.trie, requests))
    best = search_eligible(network, memory, eligible, 3, requests.users)
    expected, log_prob = best.items, best.codes
    if normalisation == Conditional():
        assert torch.equal(beam_search(network, memory, requests, 3)[0], expected)
    for search in (search_slates, greedy_slates):
        items, codes = search(network, memory, requests, 3, 1, 1, network.extend, normalisation)
        assert torch.equal(items.squeeze(2), expected) and torch.equal(codes.squeeze(2), log_prob)


@pytest.mark.parametrize("search", [search_slates, greedy_slates])
def test_a_search_does_not_depend_on_the_batch(
    network: Generator[Any, Any], normalisation: Normalisation, search: SlateSearch
) -> None:
    items, codes = search(network, network.encode(REQUESTS), REQUESTS, 4, 3, 4, network.extend, normalisation)
    for row in range(4):
        one = REQUESTS.select(torch.tensor([row]))
        alone, log_prob = search(network, network.encode(one), one, 4, 3, 4, network.extend, normalisation)
        assert torch.equal(alone[0], items[row])
        torch.testing.assert_close(log_prob[0], codes[row])


def test_samples_carry_their_score_and_end_where_the_legal_set_does(
    name: str, kind: str, normalisation: Normalisation
) -> None:
    network, requests = NETWORKS[name], CONTEXTS[kind]
    memory = network.encode(requests)
    items, codes = sample_slates(network, memory, requests, 6, 4, torch.Generator().manual_seed(0), normalisation)
    again = score_slates(network, memory, requests, items, normalisation)
    torch.testing.assert_close(codes.sum(-1), again.sum(-1))
    for row, count in enumerate(LEGAL[kind]):
        held = items[row] >= 0
        assert torch.equal(held, (torch.arange(4) < count).expand(6, -1))
        for slate in items[row].tolist():
            real = [item for item in slate if item >= 0]
            assert len(set(real)) == len(real)


def test_a_request_that_allows_nothing_is_refused(network: Generator[Any, Any], normalisation: Normalisation) -> None:
    nothing = replace(REQUESTS, excluded=Jagged.from_rows([list(range(ITEMS))] * 4))
    memory = network.encode(nothing)
    with pytest.raises(EmptyLegalSetError):
        search_slates(network, memory, nothing, 1, 2, 1, network.extend, normalisation)
    with pytest.raises(EmptyLegalSetError):
        sample_slates(network, memory, nothing, 1, 2, torch.Generator(), normalisation)
    with pytest.raises(EmptyLegalSetError):
        score_slates(network, memory, nothing, every_slate(4, 1)[:, 1:], normalisation)
