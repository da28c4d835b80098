"""Logits that are NaN or infinite: no search, draw or score answers with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from recsys.decode.beam import beam_search, unmasked_beam_search, unmasked_score
from recsys.decode.normalisation import StepByStep
from recsys.decode.sampling import sample, stochastic_beam_search
from recsys.decode.score import score
from recsys.decode.slate_search import greedy_slates, search_slates
from recsys.decode.slates import sample_slates, score_slates
from recsys.errors import EmptyLegalSetError, NonFiniteError
from recsys.items.trie import Trie
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.policies.generative import GenerativePolicy, UnmaskedPolicy
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates
from tests.decode.table_generator import Carried, VocabularyTableGenerator

CODES = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]])
GIVEN = torch.tensor([[0], [1]])
SLATES = torch.tensor([[[0, 1]], [[1, 0]]])
NAN, INF = float("nan"), float("inf")


class Spoilt(VocabularyTableGenerator):
    """Some logits of one level of one node are replaced."""

    def __init__(self, level: int, node: int, children: list[int], value: float) -> None:
        super().__init__(Trie.from_codes(CODES), users=2)
        self.place, self.children, self.value = (level, node), children, value

    def step(self, memory: Tensor, state: Carried, nodes: Tensor, level: int) -> tuple[Tensor, Carried]:
        logits, state = super().step(memory, state, nodes, level)
        return self._spoilt(logits, nodes, level, self.children), state

    def vocabulary_logits(self, memory: Tensor, state: Carried, nodes: Tensor, level: int) -> tuple[Tensor, Carried]:
        logits, state = super().vocabulary_logits(memory, state, nodes, level)
        columns = [child + self.level_start[level] for child in self.children]
        return self._spoilt(logits, nodes, level, columns), state

    def vocabulary_path_log_prob(self, memory: Tensor, items: Tensor) -> Tensor:
        paths, nodes, state, codes = self.trie.path(items), torch.zeros_like(items), self.begin(memory), []
        state = self.reorder(state, nodes)
        for level in range(self.trie.depth):
            logits, state = self.vocabulary_logits(memory, state, nodes, level)
            column = CODES[items, level].unsqueeze(-1) + self.level_start[level]
            codes.append((logits.gather(-1, column) - logits.logsumexp(-1, keepdim=True)).squeeze(-1))
            nodes = paths[..., level]
        return torch.stack(codes, -1)

    def _spoilt(self, logits: Tensor, nodes: Tensor, level: int, columns: list[int]) -> Tensor:
        at, node = self.place
        if level != at:
            return logits
        here = torch.zeros(logits.shape[-1], dtype=torch.bool)
        here[columns] = True
        return logits.masked_fill((nodes == node).unsqueeze(-1) & here, self.value)


def context(excluded: list[int], inclusive: bool) -> Context:
    users, nothing = torch.arange(2), Jagged.empty(2)
    if inclusive:
        allowed = [item for item in range(6) if item not in excluded]
        return Context(users, nothing, nothing, candidates=Jagged.from_rows([allowed] * 2))
    return Context(users, nothing, Jagged.from_rows([excluded] * 2))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


Asks = Callable[[Spoilt, Context], object]


def of_memory(ask: Callable[..., object], *given: object, **options: object) -> Asks:
    return lambda network, asked: ask(network, network.encode(asked), asked, *given, **options)


def slates(items: Tensor) -> Slates:
    return Slates(items, torch.zeros(items.shape), SamplingMethod.GIVEN)


MASKED: dict[str, Asks] = {
    "beam_search": of_memory(beam_search, 2),
    "wide beam_search": of_memory(beam_search, 9),
    "sample": lambda network, asked: sample(network, network.encode(asked), asked, 3, generator()),
    "stochastic_beam_search": lambda network, asked: stochastic_beam_search(
        network, network.encode(asked), asked, 2, generator()
    ),
    "score": of_memory(score, GIVEN),
    "search_slates": of_memory(search_slates, 2, 2, 4, lambda memory, *_: memory),
    "greedy_slates": of_memory(greedy_slates, 2, 2, 4, lambda memory, *_: memory),
    "sample_slates": lambda network, asked: sample_slates(network, network.encode(asked), asked, 2, 2, generator()),
    "score_slates": of_memory(score_slates, SLATES),
    "GenerativePolicy.top": lambda network, asked: GenerativePolicy(network).top(asked, 2),
    "GenerativePolicy.sample": lambda network, asked: GenerativePolicy(network).sample(asked, 2, 1, generator()),
    "GenerativePolicy.sample of slates": lambda network, asked: GenerativePolicy(network).sample(
        asked, 2, 2, generator()
    ),
    "GenerativePolicy.log_prob": lambda network, asked: GenerativePolicy(network).log_prob(asked, slates(SLATES)),
    "GenerativePolicy.catalogue_log_prob": lambda network, asked: GenerativePolicy(network).catalogue_log_prob(asked),
    "AutoregressiveSlatePolicy.top": lambda network, asked: AutoregressiveSlatePolicy(network).top(asked, 2),
    "AutoregressiveSlatePolicy.sample": lambda network, asked: AutoregressiveSlatePolicy(network).sample(
        asked, 2, 2, generator()
    ),
    "AutoregressiveSlatePolicy.log_prob": lambda network, asked: AutoregressiveSlatePolicy(network).log_prob(
        asked, slates(SLATES)
    ),
}
STEPWISE: dict[str, Asks] = {
    "search_slates": of_memory(search_slates, 2, 2, 4, lambda memory, *_: memory, StepByStep()),
    "greedy_slates": of_memory(greedy_slates, 2, 2, 4, lambda memory, *_: memory, StepByStep()),
    "sample_slates": lambda network, asked: sample_slates(
        network, network.encode(asked), asked, 2, 2, generator(), StepByStep()
    ),
    "score_slates": of_memory(score_slates, SLATES, normalisation=StepByStep()),
    "stochastic_beam_search": lambda network, asked: stochastic_beam_search(
        network, network.encode(asked), asked, 2, generator(), StepByStep()
    ),
    "catalogue_log_prob": lambda network, asked: AutoregressiveSlatePolicy(
        network, normalisation=StepByStep()
    ).catalogue_log_prob(asked),
}
UNMASKED: dict[str, Asks] = {
    "unmasked_beam_search": of_memory(unmasked_beam_search, 2),
    "unmasked_score": lambda network, asked: unmasked_score(network, network.encode(asked), GIVEN),
    "UnmaskedPolicy.top": lambda network, asked: UnmaskedPolicy(network).top(asked, 2),
    "UnmaskedPolicy.log_prob": lambda network, asked: UnmaskedPolicy(network).log_prob(asked, slates(SLATES)),
}
LEGAL = {"nothing excluded": ([], False), "excluded": ([4, 5], False), "candidates": ([4, 5], True)}
SPOILT = {
    "a code": partial(Spoilt, 0, 0, [0]),
    "all codes": partial(Spoilt, 0, 0, [0, 1, 2]),
    "the last code": partial(Spoilt, 1, 0, [0, 1]),
}


EVERY_ASK = {**MASKED, **UNMASKED, **{f"step by step {name}": ask for name, ask in STEPWISE.items()}}


@pytest.mark.parametrize("ask", EVERY_ASK.values(), ids=EVERY_ASK)
@pytest.mark.parametrize("legal", LEGAL.values(), ids=LEGAL)
@pytest.mark.parametrize("value", [NAN, INF], ids=["nan", "inf"])
def test_logits_that_are_no_number_are_refused(ask: Asks, legal: tuple[list[int], bool], value: float) -> None:
    for spoilt in SPOILT.values():
        network = spoilt(value)
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        if spoilt is SPOILT["the last code"]:  # so that every draw and search comes past it
            network.tables[1].mul_(0.0)
            network.tables[1][0] = 40.0 * torch.sign(network.users[0])
            network.users[1] = network.users[0]
            network.codes[network.level_start[0]] = network.tables[1][0]
        with pytest.raises(NonFiniteError, match=r"NaN for . of . requests"):
            ask(network, context(*legal))


@pytest.mark.parametrize("ask", MASKED.values(), ids=MASKED)
@pytest.mark.parametrize("inclusive", [True, False])
def test_a_legal_set_of_probability_zero_cannot_be_answered(ask: Asks, inclusive: bool) -> None:
    network = Spoilt(0, 0, [0], -INF).requires_grad_(False)
    with pytest.raises(EmptyLegalSetError, match=r"probability above 0|allows no item"):
        ask(network, context([2, 3, 4, 5], inclusive))


@pytest.mark.parametrize("ask", STEPWISE.values(), ids=STEPWISE)
@pytest.mark.parametrize("inclusive", [True, False])
def test_a_node_whose_live_children_are_impossible_cannot_be_normalised(ask: Asks, inclusive: bool) -> None:
    network = Spoilt(0, 0, [0], -INF).requires_grad_(False)
    with pytest.raises((NonFiniteError, EmptyLegalSetError), match=r"NaN for . of . requests|allows no item"):
        ask(network, context([2, 3, 4, 5], inclusive))


@pytest.mark.parametrize("name", ["unmasked_beam_search", "UnmaskedPolicy.top"])
def test_nor_by_the_published_search(name: str) -> None:
    network = Spoilt(0, 0, [0], -INF).requires_grad_(False)
    with pytest.raises(EmptyLegalSetError, match="probability above 0"):
        UNMASKED[name](network, context([2, 3, 4, 5], inclusive=False))


@pytest.mark.parametrize("inclusive", [True, False])
def test_items_of_probability_zero_are_left_out_of_searches_and_draws(inclusive: bool) -> None:
    network, asked = Spoilt(0, 0, [0], -INF).requires_grad_(False), context([4, 5], inclusive)
    memory = network.encode(asked)
    drawn, _ = sample(network, memory, asked, 50, generator())
    assert set(drawn.flatten().tolist()) == {2, 3}
    found, log_prob = beam_search(network, memory, asked, 4)
    assert {frozenset(row) for row in found.tolist()} == {frozenset({2, 3, -1})}
    torch.testing.assert_close(log_prob.sum(-1).exp().sum(-1), torch.ones(2))
    distinct, _, _ = stochastic_beam_search(network, memory, asked, 4, generator())
    assert {frozenset(row) for row in distinct.tolist()} == {frozenset({2, 3, -1})}
    assert score(network, memory, asked, GIVEN).sum(-1).isneginf().all()


@pytest.mark.parametrize("shift", [0.0, 30.0, 300.0, 990.0])
def test_the_log_probabilities_of_a_legal_set_sum_to_one_however_little_is_left(shift: float) -> None:
    """All but a share of exp(−shift) is excluded; differences near it are rounded to a few 1e-8 of the shift."""
    network, plain = (Spoilt(0, 0, [2], value).requires_grad_(False) for value in (shift, 0.0))
    asked = context([4, 5], inclusive=False)
    memory, every = network.encode(asked), torch.arange(4).expand(2, -1)
    found, expected = (score(one, memory, asked, every).sum(-1).exp() for one in (network, plain))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert (found.sum(-1) - 1).abs().max() < 1e-4
    total = GenerativePolicy(network).catalogue_log_prob(asked).logsumexp(-1)
    assert total.abs().max() < 1e-6, "normalised again over the legal set"


LEGAL_PARTS = {"excluded": ([4, 5], False), "candidates": ([4, 5], True)}


@pytest.mark.parametrize("ask", MASKED.values(), ids=MASKED)
@pytest.mark.parametrize("legal", LEGAL_PARTS.values(), ids=LEGAL_PARTS)
@pytest.mark.parametrize("shift", [1.1e3, 1e4, 1e6, 1e20])
def test_legal_sets_that_float32_cannot_tell_apart_are_refused(
    ask: Asks, legal: tuple[list[int], bool], shift: float
) -> None:
    network = Spoilt(0, 0, [2], shift).requires_grad_(False)
    with pytest.raises(
        NonFiniteError, match=r"\d of \d requests allow only items of a log-probability of -[\de.+]+ nats"
    ):
        ask(network, context(*legal))


@pytest.mark.parametrize("shift", [1.1e3, 1e20])
def test_step_by_step_however_improbable_the_legal_set_is(shift: float) -> None:
    network, asked = Spoilt(0, 0, [2], shift).requires_grad_(False), context([4, 5], inclusive=False)
    memory, every = network.encode(asked), torch.arange(4).view(1, 4, 1).expand(2, -1, -1)
    found = score_slates(network, memory, asked, every, StepByStep()).sum((2, 3)).exp()
    torch.testing.assert_close(found.sum(-1), torch.ones(2))


@pytest.mark.parametrize("shift", [1.1e3, 1e20])
def test_large_logits_alone_are_answered(shift: float) -> None:
    """The children of one code have all the probability, and they are legal: nothing is rounded."""
    network = Spoilt(0, 0, [2], shift).requires_grad_(False)
    asked = context([0, 1], inclusive=False)
    found = score(network, network.encode(asked), asked, torch.arange(6).expand(2, -1)).sum(-1).exp()
    torch.testing.assert_close(found.sum(-1), torch.ones(2))
    assert (found[:, :4] == 0).all()
    drawn, _ = sample(network, network.encode(asked), asked, 50, generator())
    assert set(drawn.flatten().tolist()) == {4, 5}
