"""What the lazy decoder shares, and what it does not have; `contracts/test_generator.py` holds its probabilities."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.items.trie import Trie
from recsys.models.generators.decoder_cache import EncodedHistory
from recsys.models.generators.lazy_decoder import LazyDecoder
from recsys.types.context import Context
from recsys.types.jagged import Jagged

CODES = torch.tensor([[0, 0, 1], [0, 0, 3], [0, 2, 0], [1, 1, 1], [1, 1, 2], [1, 1, 0], [2, 0, 0], [2, 3, 3]])
EVERY = torch.arange(8)


def network(sets: int = 2, tied_values: bool = True, **changes: int) -> LazyDecoder:
    torch.manual_seed(0)
    shape = {"width": 16, "layers": 4, "heads": 4, "memory_heads": 2, "head_width": 4, "hidden": 24, "max_length": 4}
    return LazyDecoder(Trie.from_codes(CODES), **{**shape, **changes}, sets=sets, tied_values=tied_values).eval()


def requests(*rows: list[int]) -> Context:
    return Context(torch.arange(len(rows)), Jagged.from_rows(rows), Jagged.empty(len(rows)))


BATCH = requests([1, 2, 3], [], [7], [4, 4, 5, 6])


def scores(model: LazyDecoder, memory: EncodedHistory) -> Tensor:
    return model.path_log_prob(memory, EVERY.expand(model.rows(memory), -1))


def test_neighbouring_layers_share_keys_and_values() -> None:
    """Floor of layer · sets / layers: two sets for four layers, each a key an item and not a code."""
    memory = network().encode(BATCH)
    assert [key.shape for key in memory.keys] == [(4, 2, 4, 4)] * 2
    assert memory.values is memory.keys
    places = [memory.history_for(layer, 4)[0].data_ptr() for layer in range(4)]
    assert places[0] == places[1] != places[2] == places[3]
    selected = network().select(memory, torch.tensor([2, 0]))
    assert selected.values is selected.keys
    own = network(sets=1, tied_values=False).encode(BATCH)
    assert len(own.keys) == len(own.values) == 1 and not torch.equal(own.keys[0], own.values[0])


def test_keys_are_normalised() -> None:
    (key,) = network(sets=1).encode(BATCH.select(torch.tensor([3]))).keys
    squares = key.transpose(1, 2).flatten(2).square().mean(-1)
    torch.testing.assert_close(squares, torch.ones(1, 4), atol=1e-3, rtol=0)


def test_the_cross_attention_projects_queries_only_and_reads_the_memory_as_it_is() -> None:
    model = network()
    for block in model.decoder:
        assert {name for name, _ in block.cross_attention.named_parameters()} == {"query.weight", "out.weight"}
    assert sum(isinstance(one, nn.RMSNorm) for one in model.context.modules()) == 2


def test_the_history_is_read_in_order_and_up_to_its_end() -> None:
    model = network()

    def first(*history: int) -> Tensor:
        return scores(model, model.encode(requests(list(history))))

    assert (first(1, 2, 3) - first(2, 1, 3)).abs().max() > 1e-4
    assert (first(1, 2, 3) - first(1, 2)).abs().max() > 1e-4
    torch.testing.assert_close(first(0, 1, 2, 3, 4), first(1, 2, 3, 4))


def test_a_request_does_not_depend_on_its_batch() -> None:
    model = network()
    together = scores(model, model.encode(BATCH))
    for row in range(4):
        alone = scores(model, model.encode(BATCH.select(torch.tensor([row]))))
        torch.testing.assert_close(alone[0], together[row])


@pytest.mark.parametrize(
    ("bad", "said"), [({"memory_heads": 3}, "heads=4: expected a multiple"), ({"sets": 5}, "sets=5: expected at most")]
)
def test_heads_and_sets_that_do_not_fit_are_refused(bad: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        network(**bad)
