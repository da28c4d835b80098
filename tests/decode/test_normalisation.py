"""Both normalisations of one network: where they agree, where they differ, and what step by step costs and learns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.decode.legal import LegalSet
from recsys.decode.normalisation import Conditional, Normalisation, StepByStep
from recsys.decode.sampling import stochastic_beam_search
from recsys.decode.slate_search import greedy_slates, search_slates
from recsys.decode.slates import sample_slates, score_slates
from recsys.items.trie import Trie
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.models.generators.generator import Generator
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.table_generator import TableGenerator, ragged_codes

ITEMS = 12
CODES = torch.cat([ragged_codes(6, 2, 3).repeat_interleave(2, 0), torch.tensor([[0], [1]] * 6)], 1)
"""Codes as a collision policy leaves them: the last one tells apart the two items of each place."""
TRIE = Trie.from_codes(CODES)
EXCLUDED = [[], [0, 1, 4, 7], [item for item in range(ITEMS) if item != 5], [2, 3, 2]]
REQUESTS = Context(torch.arange(4), Jagged.from_rows([[1], [], [2, 3], [4]]), Jagged.from_rows(EXCLUDED))
EVERY = torch.arange(ITEMS).view(1, ITEMS, 1).expand(4, -1, -1)
BOTH: list[Normalisation] = [Conditional(), StepByStep()]


@pytest.fixture
def network() -> TableGenerator:
    return TableGenerator(TRIE, scale=2.0).double().requires_grad_(False)


def scored(network: Generator[Any, Any], context: Context, items: Tensor, normalisation: Normalisation) -> Tensor:
    return score_slates(network, network.encode(context), context, items, normalisation).sum(-1)


def test_the_example_of_the_docstring() -> None:
    flat = TableGenerator(Trie.from_codes(torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])), scale=0.0)
    one = Context(torch.tensor([0]), Jagged.empty(1), Jagged.from_rows([[1]]))
    items = torch.tensor([[[0], [1], [2], [3]]])
    expected = {Conditional(): [1 / 3, 0, 1 / 3, 1 / 3], StepByStep(): [1 / 2, 0, 1 / 4, 1 / 4]}
    for normalisation, probabilities in expected.items():
        assert scored(flat, one, items, normalisation).exp().flatten().tolist() == pytest.approx(probabilities)


def test_they_agree_where_nothing_is_excluded(network: TableGenerator) -> None:
    free = replace(REQUESTS, excluded=Jagged.empty(4))
    conditional, stepwise = (scored(network, free, EVERY, one) for one in BOTH)
    torch.testing.assert_close(stepwise, conditional)
    memory, rng = network.encode(free), torch.Generator()
    drawn = [sample_slates(network, memory, free, 50, 1, rng.manual_seed(0), one)[0] for one in BOTH]
    assert torch.equal(*drawn)


def test_they_agree_where_codes_of_the_first_level_are_excluded_whole(network: TableGenerator) -> None:
    whole = (CODES[:, 0] == 1).nonzero().flatten().tolist()
    asked = replace(REQUESTS, excluded=Jagged.from_rows([whole] * 4))
    torch.testing.assert_close(*(scored(network, asked, EVERY, one) for one in BOTH))
    part = replace(REQUESTS, excluded=Jagged.from_rows([whole[:1]] * 4))
    conditional, stepwise = (scored(network, part, EVERY, one).exp() for one in BOTH)
    assert (conditional - stepwise).abs().max() > 0.1


def test_they_agree_on_one_level() -> None:
    flat = TableGenerator(Trie.from_codes(torch.arange(ITEMS).unsqueeze(1)), scale=2.0).double()
    slates = torch.tensor([[[6, 8], [9, 10], [5, 11]]]).expand(4, -1, -1)
    torch.testing.assert_close(*(scored(flat, REQUESTS, slates, one) for one in BOTH))


def test_the_only_item_left_has_probability_one(network: TableGenerator) -> None:
    one = REQUESTS.select(torch.tensor([2]))
    memory = network.encode(one)
    assert scored(network, one, torch.tensor([[[5, 4], [5, -1]]]), StepByStep())[0].tolist() == [[0.0, -math.inf]] * 2
    found = [
        sample_slates(network, memory, one, 1, 2, torch.Generator(), StepByStep()),
        search_slates(network, memory, one, 1, 2, 4, network.extend, StepByStep()),
        greedy_slates(network, memory, one, 1, 2, 4, network.extend, StepByStep()),
    ]
    for items, codes in found:
        assert items.tolist() == [[[5, -1]]] and codes[0, 0, 0].tolist() == [0.0] * 3


@pytest.mark.parametrize("normalisation", BOTH)
def test_single_items_have_one_distribution_however_they_are_asked(
    network: TableGenerator, normalisation: Normalisation
) -> None:
    """The catalogue, scores, a search as wide as the catalogue and draws without replacement."""
    policy, memory = AutoregressiveSlatePolicy(network, ITEMS, normalisation=normalisation), network.encode(REQUESTS)
    catalogue = policy.catalogue_log_prob_from(memory, REQUESTS)
    torch.testing.assert_close(catalogue, scored(network, REQUESTS, EVERY, normalisation).squeeze(-1))
    torch.testing.assert_close(catalogue.exp().sum(1), torch.ones(4, dtype=torch.float64))
    top = policy.top(REQUESTS, ITEMS).log_prob[..., 0]
    torch.testing.assert_close(top, catalogue.sort(-1, descending=True).values)
    draw = stochastic_beam_search(network, memory, REQUESTS, 3, torch.Generator().manual_seed(0), normalisation)
    held = draw[0] >= 0
    torch.testing.assert_close(draw[1].sum(-1)[held], catalogue.gather(1, draw[0].clamp(min=0))[held])


def test_draws_without_replacement_are_weighted_without_bias(network: TableGenerator) -> None:
    """`Σ π(y) / q(y) f(y)` over the draw estimates the mean of f under the policy."""
    rows = REQUESTS.select(torch.ones(3000, dtype=torch.int64))
    memory, value = network.encode(rows), torch.arange(ITEMS).double()
    items, codes, inclusion = stochastic_beam_search(
        network, memory, rows, 3, torch.Generator().manual_seed(0), StepByStep()
    )
    estimates = ((codes.sum(-1) - inclusion).exp() * value[items]).sum(1)
    one = REQUESTS.select(torch.tensor([1]))
    truth = (scored(network, one, EVERY[:1], StepByStep()).exp().flatten() * value).sum()
    assert (estimates.mean() - truth).abs() < 4 * estimates.std() / math.sqrt(3000)


def reference(network: Generator[Any, Any], context: Context, slate: list[int]) -> Tensor:
    """Log-probability of a slate of one request, node by node, with sets of items instead of counts of leaves."""
    trie, memory, total = network.trie, network.encode(context), torch.zeros((), dtype=torch.float64)
    left = set((~context.illegal(ITEMS))[0].nonzero().flatten().tolist())
    for item in slate:
        node, state = trie.root(1), network.begin(memory)
        for level in range(trie.depth):
            logits, state = network.step(memory, state, node, level)
            children = trie.expand(node, level).nodes[0, 0][trie.expand(node, level).mask[0, 0]].tolist()
            paths = trie.path(torch.tensor(sorted(left)))[:, level].tolist()
            live = [place for place, child in enumerate(children) if child in paths]
            wanted = int(trie.path(torch.tensor(item))[level])
            total = total + logits[0, 0, children.index(wanted)] - logits[0, 0, live].logsumexp(0)
            node = torch.tensor([[wanted]])
        memory, left = network.extend(memory, torch.tensor([item])), left - {item}
    return total


def test_values_and_gradients_are_those_of_a_reference_that_goes_row_by_row() -> None:
    torch.manual_seed(0)
    network = EncoderDecoder(TRIE, 16, 1, heads=2, head_width=8, hidden=16, max_length=5).double().eval()
    slates = {0: [[3, 2, 9], [0, 1, 4]], 1: [[3, 2, 5], [10, 11, 2]], 3: [[0, 1, 5], [8, 9, 4]]}
    rows = REQUESTS.select(torch.tensor(list(slates)))
    scores = scored(network, rows, torch.tensor(list(slates.values())), StepByStep()).sum(-1)
    expected = [
        [reference(network, REQUESTS.select(torch.tensor([row])), one) for one in slates[row]] for row in slates
    ]
    slow = torch.stack([torch.stack(row) for row in expected])
    torch.testing.assert_close(scores, slow)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    ours, theirs = (torch.autograd.grad((one.sigmoid()).sum(), weights) for one in (scores, slow))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_what_is_impossible_leaves_finite_gradients(network: TableGenerator) -> None:
    network.requires_grad_(True)
    slates = torch.tensor([[[0, 0, 1]], [[0, 3, 2]], [[5, 4, -1]], [[-1, 5, 5]]])
    scores = scored(network, REQUESTS, slates, StepByStep())
    assert scores.isneginf().tolist() == [[[False, True, True]], [[True] * 3], [[False, True, True]], [[True] * 3]]
    scores.masked_fill(scores.isneginf(), 0.0).sum().backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in network.parameters())


def test_no_item_that_is_excluded_is_scored(network: TableGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws ask the network for one node a slate and level, and for nothing else."""
    asked: list[int] = []
    step = network.step
    monkeypatch.setattr(network, "step", lambda *call: (asked.append(call[2].numel()), step(*call))[1])
    monkeypatch.delattr(Generator, "path_log_prob")
    sample_slates(network, network.encode(REQUESTS), REQUESTS, 5, 2, torch.Generator().manual_seed(0), StepByStep())
    assert asked == [4, 20, 20, 20, 20, 20]


def test_placing_the_last_item_of_a_row_leaves_it(network: TableGenerator) -> None:
    eligible = StepByStep().eligible(LegalSet.of(TRIE, REQUESTS)).without(torch.tensor([0, 2, 5, -1]))
    branches = eligible.to_search(network, network.encode(REQUESTS))
    memory = network.encode(REQUESTS)
    _, log_prob, _ = branches.step(network, memory, network.begin(memory), TRIE.root(4), 0)
    torch.testing.assert_close(log_prob.exp().sum(-1), torch.ones(4, 1, dtype=torch.float64))
