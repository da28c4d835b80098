"""Decoding against brute force: a Python walk over a dictionary of codes, item by item, in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recsys.decode.beam import beam_search
from recsys.decode.legal import LEAST_LOG_MASS
from recsys.decode.sampling import sample, stochastic_beam_search
from recsys.decode.score import score
from recsys.errors import NonFiniteError
from recsys.items.trie import Trie
from recsys.models.generators.generator import Generator
from recsys.types.context import Context
from recsys.types.jagged import Jagged

CODES = [(0, 0, 1), (2, 1, 0), (0, 2, 0), (0, 2, 3), (1, 0, 0), (0, 2, 1), (2, 1, 2), (2, 3, 3), (0, 0, 0)]
ITEMS = len(CODES)


class PrefixLogits(Generator[Tensor, Tensor]):
    """A logit for each prefix of codes, the same for every request, read from a dictionary; its state is the prefix."""

    def __init__(self, logits: dict[tuple[int, ...], float]) -> None:
        super().__init__(Trie.from_codes(torch.tensor(CODES)))
        self.logits = logits

    def encode(self, context: Context) -> Tensor:
        return torch.zeros(len(context), 1)

    def select(self, memory: Tensor, rows: Tensor) -> Tensor:
        return memory[rows]

    def rows(self, memory: Tensor) -> int:
        return memory.shape[0]

    def begin(self, memory: Tensor) -> Tensor:
        return torch.full((memory.shape[0], 1, 0), -1)

    def extend(self, memory: Tensor, items: Tensor, state: object = None) -> Tensor:
        return memory

    def step(self, memory: Tensor, state: Tensor, nodes: Tensor, level: int) -> tuple[Tensor, Tensor]:
        if level:
            state = torch.cat([state, self.trie.token(level)[nodes].long().unsqueeze(-1)], -1)
        children = self.trie.expand(nodes, level)
        logits = [
            [[self.logits.get((*prefix, code), 1e6) for code in codes] for prefix, codes in zip(*row, strict=True)]
            for row in zip(state.tolist(), children.tokens.tolist(), strict=True)
        ]
        return torch.tensor(logits).masked_fill(~children.mask, 1e6), state


def catalogue(logits: dict[tuple[int, ...], float], legal: set[int]) -> tuple[dict[int, float], float]:
    """Log-probability of each legal item in the whole catalogue, siblings normalised level by level, and of all."""
    prefixes = {code[:length] for code in CODES for length in range(1, 4)}
    log_prob = {}
    for item in legal:
        total = 0.0
        for length in range(1, 4):
            own = CODES[item][:length]
            siblings = [prefix for prefix in prefixes if prefix[:-1] == own[:-1] and len(prefix) == length]
            largest = max(logits[prefix] for prefix in siblings)
            total += logits[own] - largest - math.log(sum(math.exp(logits[p] - largest) for p in siblings))
        log_prob[item] = total
    largest = max(log_prob.values())
    return log_prob, largest + math.log(sum(math.exp(value - largest) for value in log_prob.values()))


def brute_force(logits: dict[tuple[int, ...], float], legal: set[int]) -> dict[int, float]:
    """Log-probability of each legal item among the legal ones."""
    log_prob, mass = catalogue(logits, legal)
    return {item: value - mass for item, value in log_prob.items()}


def world(values: list[float]) -> dict[tuple[int, ...], float]:
    prefixes = sorted({code[:length] for code in CODES for length in range(1, 4)})
    return {prefix: torch.tensor(value).item() for prefix, value in zip(prefixes, values, strict=True)}


NUM_PREFIXES = len({code[:length] for code in CODES for length in range(1, 4)})
moderate = st.lists(st.floats(-3, 3, width=32), min_size=NUM_PREFIXES, max_size=NUM_PREFIXES)
adversarial = st.lists(
    st.sampled_from([-1000.0, -80.0, -1.0, 0.0, 1.0, 80.0, 1000.0]), min_size=NUM_PREFIXES, max_size=NUM_PREFIXES
)
some_items = st.sets(st.integers(0, ITEMS - 1))


def requests(excluded: set[int], candidates: set[int] | None, rows: int = 1) -> Context:
    allowed = None if candidates is None else Jagged.from_rows([sorted(candidates)] * rows)
    outside = Jagged.from_rows([sorted(excluded)] * rows)
    return Context(torch.arange(rows), Jagged.empty(rows), outside, candidates=allowed)


@settings(max_examples=60)
@given(values=moderate | adversarial, excluded=some_items, candidates=st.none() | some_items, beams=st.integers(1, 12))
def test_search_and_score_equal_brute_force(
    values: list[float], excluded: set[int], candidates: set[int] | None, beams: int
) -> None:
    legal = (set(range(ITEMS)) if candidates is None else candidates) - excluded
    if not legal:
        return
    expected = brute_force(world(values), legal)
    network, context = PrefixLogits(world(values)), requests(excluded, candidates)
    memory = network.encode(context)
    if catalogue(world(values), legal)[1] < LEAST_LOG_MASS:
        refused = "requests allow only items of a log-probability of -"
        with pytest.raises(NonFiniteError, match=refused):
            score(network, memory, context, torch.zeros(1, 1, dtype=torch.int64))
        with pytest.raises(NonFiniteError, match=refused):
            beam_search(network, memory, context, beams)
        return
    scores = score(network, memory, context, torch.arange(ITEMS).unsqueeze(0)).sum(-1)[0]
    assert {item for item in range(ITEMS) if not math.isinf(scores[item])} == legal
    for item, value in expected.items():
        assert scores[item].item() == pytest.approx(value, rel=1e-5, abs=1e-4)
    items, log_prob = beam_search(network, memory, context, beams)
    found = [item for item in items[0].tolist() if item >= 0]
    assert len(set(found)) == len(found) == min(beams, len(legal)) and set(found) <= legal
    for item, value in zip(found, log_prob[0].sum(-1).tolist(), strict=False):
        assert value == pytest.approx(expected[item], rel=1e-5, abs=1e-4)
    if beams >= ITEMS:
        ranked = sorted(expected.values(), reverse=True)
        assert [expected[item] for item in found] == pytest.approx(ranked, rel=1e-5, abs=1e-4)


@settings(max_examples=25)
@given(values=adversarial, excluded=some_items, candidates=st.none() | some_items)
def test_draws_are_legal_or_refused_whatever_the_logits(
    values: list[float], excluded: set[int], candidates: set[int] | None
) -> None:
    legal = (set(range(ITEMS)) if candidates is None else candidates) - excluded
    if not legal:
        return
    network, context = PrefixLogits(world(values)), requests(excluded, candidates)
    generator = torch.Generator().manual_seed(0)
    if catalogue(world(values), legal)[1] < LEAST_LOG_MASS:
        for draw in (sample, stochastic_beam_search):
            with pytest.raises(NonFiniteError, match="requests allow only items of a log-probability of -"):
                draw(network, network.encode(context), context, 4, generator)
        return
    independent, _ = sample(network, network.encode(context), context, 6, generator)
    assert set(independent[0].tolist()) <= legal
    distinct, _, inclusion = stochastic_beam_search(network, network.encode(context), context, 4, generator)
    found = [item for item in distinct[0].tolist() if item >= 0]
    assert len(set(found)) == len(found) == min(4, len(legal)) and set(found) <= legal
    assert not inclusion.isnan().any()


@pytest.mark.parametrize("excluded", [set(), {1, 3, 8}])
def test_both_draws_follow_brute_force(excluded: set[int]) -> None:
    values = torch.randn(NUM_PREFIXES, generator=torch.Generator().manual_seed(3)).tolist()
    expected = brute_force(world(values), set(range(ITEMS)) - excluded)
    probability = torch.tensor([math.exp(expected.get(item, -math.inf)) for item in range(ITEMS)])
    network, rows, generator = PrefixLogits(world(values)), 2000, torch.Generator().manual_seed(0)
    context = requests(excluded, None, rows)
    memory = network.encode(context)
    independent, _ = sample(network, memory, context, 5, generator)
    seen = torch.bincount(independent.flatten(), minlength=ITEMS) / independent.numel()
    assert torch.allclose(seen, probability, atol=4 * 0.5 / independent.numel() ** 0.5)
    items, log_prob, inclusion = stochastic_beam_search(network, memory, context, 4, generator)
    weights = (log_prob.sum(-1) - inclusion).exp()
    estimates = torch.zeros(rows, ITEMS).scatter_add(1, items, weights)
    assert ((estimates.mean(0) - probability).abs() <= 4 * estimates.std(0) / rows**0.5 + 1e-6).all()


def test_everything_probable_excluded_leaves_the_rest_in_order() -> None:
    values = {prefix: 0.0 for prefix in world([0.0] * NUM_PREFIXES)}
    values[(0,)] = 200.0
    values[(2,)], values[(2, 3)] = -100.0, 1.0
    network, context = PrefixLogits(values), requests({0, 2, 3, 5, 8}, None)
    items, log_prob = beam_search(network, network.encode(context), context, 4)
    assert items[0].tolist() == [4, 7, 1, 6]
    assert log_prob.sum(-1).exp().sum().item() == pytest.approx(1.0, abs=1e-5)
