"""The laws of every generator: of its probabilities, of its memory, and of a slate that it continues.

Add one: a line in `GENERATORS`. It is made for `ITEMS` items and histories of up to four of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.items.trie import Trie
from recsys.models.generators.causal import CausalGenerator
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.models.generators.generator import Generator, PrefixGenerator, by_request, by_row
from recsys.models.generators.history_encoder import HistoryEncoder, RotaryPositions
from recsys.models.generators.lazy_decoder import LazyDecoder
from recsys.models.generators.sasrec import SASRec
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.table_generator import TableGenerator, ragged_codes

ITEMS, LONGEST = 9, 4
EVERY = torch.arange(ITEMS)
CODES = ragged_codes(ITEMS, 3, 3)
REQUESTS = Context(torch.arange(4), Jagged.from_rows([[1, 2, 3], [], [7], [4, 4, 5, 6]]), Jagged.empty(4))
SLATES = torch.tensor([[[0, 5, 3], [8, 1, 5]], [[7, 6, 1], [2, 7, 4]], [[2, 2, 3], [3, 2, 2]], [[4, 0, 7], [0, 4, 7]]])


def causal(positions: RotaryPositions | None = None) -> CausalGenerator:
    """Room for three placed items behind the longest history."""
    encoder = HistoryEncoder(8, 2, 2, 0.0, LONGEST + 3, positions)
    model = CausalGenerator(Trie.from_codes(CODES), CODES, encoder, LONGEST, initial=0.7)
    for free in model.node:
        torch.nn.init.normal_(free)
    return model


def encoder_decoder(tied: bool) -> EncoderDecoder:
    return EncoderDecoder(
        Trie.from_codes(CODES),
        16,
        layers=1,
        decoder_layers=2,
        heads=2,
        head_width=8,
        hidden=24,
        tied=tied,
        max_length=4,
    )


def lazy(sets: int, tied_values: bool) -> LazyDecoder:
    shape = {"layers": 3, "heads": 4, "memory_heads": 2, "head_width": 4, "hidden": 24, "max_length": 4}
    return LazyDecoder(Trie.from_codes(CODES), 16, **shape, sets=sets, tied_values=tied_values)


GENERATORS: dict[str, Callable[[], Generator[Any, Any]]] = {
    "table": lambda: TableGenerator(Trie.from_codes(CODES), scale=2.0),
    "causal": causal,
    "causal, rotary": lambda: causal(RotaryPositions()),
    "SASRec": lambda: SASRec(ITEMS, HistoryEncoder(8, 2, 2, 0.0, LONGEST + 3), LONGEST, initial=0.7),
    "encoder-decoder": lambda: encoder_decoder(tied=False),
    "encoder-decoder, tied": lambda: encoder_decoder(tied=True),
    "lazy decoder": lambda: lazy(sets=1, tied_values=True),
    "lazy decoder, two sets": lambda: lazy(sets=2, tied_values=False),
}


@pytest.fixture(params=GENERATORS)
def model(request: pytest.FixtureRequest) -> Generator[Any, Any]:
    torch.manual_seed(0)
    return GENERATORS[request.param]().double().eval()


def catalogue(model: Generator[Any, Any], memory: Any) -> Tensor:
    return model.catalogue_log_prob(memory)


def after(model: Generator[Any, Any], *placed: int, rows: Context = REQUESTS) -> Any:
    """The memory with the same items placed in every row."""
    memory = model.encode(rows)
    for item in placed:
        memory = model.extend(memory, torch.full((len(rows),), item))
    return memory


@pytest.mark.parametrize("placed", [(), (5,), (5, 0)])
def test_probabilities_sum_to_one_at_every_slot(model: Generator[Any, Any], placed: tuple[int, ...]) -> None:
    memory = after(model, *placed)
    assert model.rows(memory) == 4
    scores = catalogue(model, memory)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(model.path_log_prob(memory, EVERY.expand(4, -1)).sum(-1), scores)


def test_what_is_placed_and_its_order_matter(model: Generator[Any, Any]) -> None:
    nothing, one, other = (catalogue(model, after(model, *placed)) for placed in ((), (5,), (0,)))
    forth, back = (catalogue(model, after(model, *placed)) for placed in ((5, 0), (0, 5)))
    for left, right in [(nothing, one), (one, other), (one, forth), (forth, back)]:
        assert (left - right).abs().amax(-1).min() > 1e-4


def test_extending_leaves_the_memory_as_it_was(model: Generator[Any, Any]) -> None:
    memory = after(model, 5)
    before = catalogue(model, memory)
    model.extend(memory, EVERY[:4])
    assert torch.equal(catalogue(model, memory), before)


def test_rows_are_extended_each_with_its_own_item_alone_or_together(model: Generator[Any, Any]) -> None:
    items = torch.tensor([3, 8, 0, 5])
    together = catalogue(model, model.extend(model.encode(REQUESTS), items))
    for row, item in enumerate(items.tolist()):
        alone = catalogue(model, after(model, item, rows=REQUESTS.select(torch.tensor([row]))))
        torch.testing.assert_close(alone[0], together[row])


def test_a_walked_item_is_placed_without_reading_it_again(model: Generator[Any, Any]) -> None:
    items = torch.tensor([3, 8, 0, 5])
    memory = after(model, 5)
    nodes, state = model.trie.root(4), model.begin(memory)
    for level, reached in enumerate(model.trie.path(items).unbind(-1)):
        _, state = model.step(memory, state, nodes, level)
        nodes = reached.unsqueeze(1)
    walked = catalogue(model, model.extend(memory, items, state))
    torch.testing.assert_close(walked, catalogue(model, model.extend(memory, items)))


def test_selecting_and_extending_commute(model: Generator[Any, Any]) -> None:
    rows, items = torch.tensor([3, 0, 3]), torch.tensor([2, 6, 1])
    selected = model.extend(model.select(after(model, 5), rows), items)
    for row, (request, item) in enumerate(zip(rows.tolist(), items.tolist(), strict=True)):
        alone = after(model, 5, item, rows=REQUESTS.select(torch.tensor([request])))
        torch.testing.assert_close(catalogue(model, selected)[row], catalogue(model, alone)[0])


def test_branches_are_selected_rows(model: Generator[Any, Any]) -> None:
    beams = torch.tensor([[0, 0, 0]] * 4)
    memory = model.branch(model.encode(REQUESTS), beams)
    memory = model.extend(memory, torch.arange(12) % ITEMS)
    again = torch.tensor([[2, 0], [1, 1], [0, 2], [2, 1]])
    branched, rows = model.branch(memory, again), (torch.arange(4).unsqueeze(1) * 3 + again).flatten()
    torch.testing.assert_close(catalogue(model, branched), catalogue(model, model.select(memory, rows)))
    items = torch.tensor([4, 3, 2, 1, 0, 8, 7, 6])
    extended = model.extend(model.select(memory, rows), items)
    torch.testing.assert_close(catalogue(model, model.extend(branched, items)), catalogue(model, extended))


def test_slates_in_one_pass_are_scored_as_step_by_step(model: Generator[Any, Any]) -> None:
    found = model.slate_log_prob(model.encode(REQUESTS), SLATES)
    assert found.shape == (4, 2, 3, model.trie.depth)
    for row in range(4):
        for candidate in range(2):
            memory = model.encode(REQUESTS.select(torch.tensor([row])))
            for slot, item in enumerate(SLATES[row, candidate]):
                expected = model.path_log_prob(memory, item.view(1, 1))
                torch.testing.assert_close(found[row, candidate, slot], expected[0, 0])
                memory = model.extend(memory, item.view(1))


def test_a_slate_may_go_on_behind_placed_items(model: Generator[Any, Any]) -> None:
    whole = model.slate_log_prob(model.encode(REQUESTS), SLATES[:, :1])
    rest = model.slate_log_prob(model.extend(model.encode(REQUESTS), SLATES[:, 0, 0]), SLATES[:, :1, 1:])
    torch.testing.assert_close(whole[:, :, 1:], rest)


def test_gradients_go_through_the_placed_items(model: Generator[Any, Any]) -> None:
    one_pass, by_steps = model.slate_log_prob, lambda *call: Generator.slate_log_prob(model, *call)
    gradients = []
    for score in (one_pass, by_steps):
        model.zero_grad()
        score(model.encode(REQUESTS), SLATES)[:, :, -1].sum().backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])
    assert any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients[0].values())


def test_the_state_of_beams_can_be_seen_by_request_and_by_row(model: Generator[Any, Any]) -> None:
    """Beams may go over to another row of their request while an item is searched."""
    memory = model.extend(model.branch(model.encode(REQUESTS), torch.zeros(4, 2, dtype=torch.int64)), EVERY[:8])
    nodes, state, level = model.trie.root(8), model.begin(memory), 0
    if model.trie.depth > 1:
        _, state = model.step(memory, state, nodes, 0)
        nodes, level = model.trie.expand(nodes, 0).nodes[:, :, 0], 1
    beams = torch.tensor([[1, 0], [1, 1], [0, 0], [0, 1]])
    moved = by_row(model.reorder(by_request(state, 4), beams))
    found, _ = model.step(model.branch(memory, beams), moved, nodes, level)
    expected, _ = model.step(memory, state, nodes, level)
    torch.testing.assert_close(found, expected[(torch.arange(4).unsqueeze(1) * 2 + beams).flatten()])


def prefix_models() -> list[str]:
    return [name for name, make in GENERATORS.items() if isinstance(make(), PrefixGenerator)]


@pytest.mark.parametrize("name", prefix_models())
def test_a_placed_item_is_one_more_item_of_the_history(name: str) -> None:
    """A causal network learns from sequences: what it learned behind an item is what it says behind a placed one."""
    torch.manual_seed(0)
    model = GENERATORS[name]().double().eval()
    histories = [[1, 2], [], [7], [4, 6]]
    rows = Context(torch.arange(4), Jagged.from_rows(histories), Jagged.empty(4))
    longer = Context(torch.arange(4), Jagged.from_rows([[*row, 5, 0] for row in histories]), Jagged.empty(4))
    torch.testing.assert_close(catalogue(model, after(model, 5, 0, rows=rows)), catalogue(model, model.encode(longer)))


@pytest.mark.parametrize("name", prefix_models())
def test_every_prefix_can_go_on(name: str) -> None:
    torch.manual_seed(0)
    model = GENERATORS[name]().double().eval()
    assert isinstance(model, PrefixGenerator)
    memory = model.encode_prefixes(REQUESTS)
    here, items = torch.tensor([0, 1, 3, 4, 6]), torch.tensor([2, 3, 8, 4, 6])
    found = catalogue(model, model.extend(model.select(memory, here), items))
    for row, (place, item) in enumerate(zip(here.tolist(), items.tolist(), strict=True)):
        request = int(REQUESTS.history.row_ids()[place])
        start = int(REQUESTS.history.offsets[request])
        history = [*REQUESTS.history.values[start : place + 1].tolist(), item]
        alone = Context(torch.tensor([0]), Jagged.from_rows([history]), Jagged.empty(1))
        expected = catalogue(model, model.encode_prefixes(alone))[-1]
        torch.testing.assert_close(found[row], expected)
