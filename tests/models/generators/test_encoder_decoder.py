from __future__ import annotations

import math

import polars as pl
import pytest
import torch

from recsys.decode.beam import unmasked_beam_search, unmasked_score
from recsys.errors import ConfigurationError
from recsys.items.bundle import ItemBundle
from recsys.items.semantic_ids import SemanticIds
from recsys.items.trie import Trie
from recsys.models.generators.encoder_decoder import EncodedHistory, EncoderDecoder
from recsys.models.generators.generator import Generator
from recsys.types.context import Context
from recsys.types.jagged import Jagged

CODES = torch.tensor([[0, 0, 1], [0, 0, 3], [0, 2, 0], [1, 1, 1], [1, 1, 2], [1, 1, 0], [2, 0, 0], [2, 3, 3]])
EVERY = torch.arange(8)


def network(tied: bool = True, codes: torch.Tensor = CODES) -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(
        Trie.from_codes(codes), width=16, layers=2, heads=2, head_width=8, hidden=24, tied=tied, max_length=4
    ).eval()


def requests(*rows: list[int]) -> Context:
    return Context(torch.arange(len(rows)), Jagged.from_rows(rows), Jagged.empty(len(rows)))


BATCH = requests([1, 2, 3], [], [7], [4, 4, 5, 6])


def every_log_prob(model: EncoderDecoder, memory: EncodedHistory) -> torch.Tensor:
    return model.path_log_prob(memory, EVERY.expand(model.rows(memory), -1))


def test_code_tokens_are_offset_by_level() -> None:
    model = network()
    assert model.level_start == (1, 4, 8, 12)
    assert model.tokens(torch.tensor([[1], [7]])).tolist() == [[[1, 4, 11]], [[3, 7, 11]]]


def test_room_for_codes_no_item_has_yet() -> None:
    model = EncoderDecoder(Trie.from_codes(CODES), 16, 1, heads=1, hidden=8, codes_per_level=(5, 4, 4), first_token=3)
    assert model.level_start == (3, 8, 12, 16)
    with pytest.raises(ConfigurationError, match="codes_per_level"):
        EncoderDecoder(Trie.from_codes(CODES), codes_per_level=(2, 4, 4))


def test_from_a_bundle_all_its_codes_have_tokens() -> None:
    table = pl.DataFrame({"item": range(8), "item_id": range(8)})
    bundle = ItemBundle(table, SemanticIds(CODES, (5, 4, 6)), torch.zeros(8, 2))
    model = EncoderDecoder.from_bundle(bundle, width=16, layers=1, decoder_layers=2, heads=2, head_width=8, hidden=8)
    assert model.level_start == (1, 6, 10, 16)
    assert (len(model.encoder), len(model.decoder), model.max_length) == (1, 2, 20)
    assert model.encode(BATCH).keys[0].shape == (4, 2, 12, 8)


@pytest.mark.parametrize("tied", [True, False])
def test_items_share_the_probability(tied: bool) -> None:
    model = network(tied)
    total = every_log_prob(model, model.encode(BATCH)).sum(-1).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones(4))


@pytest.mark.parametrize("tied", [True, False])
def test_one_pass_equals_step_by_step(tied: bool) -> None:
    model = network(tied)
    memory = model.encode(BATCH)
    items = torch.tensor([[0, 5, 5], [7, 6, 1], [2, 2, 3], [4, 0, 7]])
    torch.testing.assert_close(model.path_log_prob(memory, items), Generator.path_log_prob(model, memory, items))


def test_one_level() -> None:
    model = network(codes=torch.tensor([[2], [0], [3]]))
    memory = model.encode(requests([1, 0], []))
    items = torch.arange(3).expand(2, -1)
    torch.testing.assert_close(model.path_log_prob(memory, items), Generator.path_log_prob(model, memory, items))


def test_walking_the_trie_agrees_with_scoring_every_item() -> None:
    model = network()
    memory = model.encode(BATCH)
    torch.testing.assert_close(model.catalogue_log_prob(memory), every_log_prob(model, memory).sum(-1))


def test_a_request_does_not_depend_on_its_batch() -> None:
    model = network()
    together = every_log_prob(model, model.encode(BATCH))
    for row in range(4):
        alone = every_log_prob(model, model.encode(BATCH.select(torch.tensor([row]))))
        torch.testing.assert_close(alone[0], together[row])


def test_the_history_is_read_in_order_and_up_to_its_end() -> None:
    model = network()

    def first(*history: int) -> torch.Tensor:
        return every_log_prob(model, model.encode(requests(list(history))))

    assert (first(1, 2, 3) - first(2, 1, 3)).abs().max() > 1e-4
    assert (first(1, 2, 3) - first(1, 2)).abs().max() > 1e-4
    torch.testing.assert_close(first(0, 1, 2, 3, 4), first(1, 2, 3, 4))


def test_selected_memory_is_the_memory_of_the_selected() -> None:
    model = network()
    rows = torch.tensor([2, 0, 0])
    memory = model.select(model.encode(BATCH), rows)
    assert model.rows(memory) == 3
    torch.testing.assert_close(every_log_prob(model, memory), every_log_prob(model, model.encode(BATCH))[rows])


def test_a_beam_carries_its_own_past() -> None:
    model = network()
    memory = model.encode(BATCH.select(torch.tensor([0])))
    _, root = model.step(memory, model.begin(memory), torch.tensor([[0]]), 0)
    forked = model.reorder(root, torch.tensor([[0, 0, 0]]))
    logits, state = model.step(memory, forked, torch.tensor([[0, 1, 2]]), 1)
    swapped, _ = model.step(memory, model.reorder(forked, torch.tensor([[2, 0, 1]])), torch.tensor([[2, 0, 1]]), 1)
    torch.testing.assert_close(swapped, logits[:, [2, 0, 1]])
    picked = model.reorder(state, torch.tensor([[1, 0]]))
    nodes = torch.tensor([[2, 1]])
    deep, _ = model.step(memory, picked, nodes, 2)
    other, _ = model.step(memory, model.reorder(state, torch.tensor([[0, 1]])), nodes.flip(1), 2)
    torch.testing.assert_close(deep, other.flip(1))


def test_beams_read_the_memory_without_copying_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    memory = model.encode(BATCH)
    _, root = model.step(memory, model.begin(memory), torch.zeros(4, 1, dtype=torch.int64), 0)
    state = model.reorder(root, torch.zeros(4, 3, dtype=torch.int64))
    seen = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def spy(query: torch.Tensor, key: torch.Tensor, *rest: object, **options: object) -> torch.Tensor:
        seen.append((query.shape, key.data_ptr()))
        return attention(query, key, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    model.step(memory, state, torch.tensor([[0, 1, 2]] * 4), 1)
    model.path_log_prob(memory, EVERY.expand(4, -1))
    owned = {key.data_ptr() for key in memory.keys}
    crossing = [shape for shape, key in seen if key in owned]
    assert crossing == [(4, 2, 3, 8)] * 2 + [(4, 2, 1 + 16, 8)] * 2


def test_children_are_scored_among_the_level_s_codes() -> None:
    model = network()
    memory = model.encode(BATCH)
    begin, root = model.begin(memory), model.trie.root(4)
    whole, _ = model.vocabulary_logits(memory, begin, root, 0)
    children, state = model.step(memory, begin, root, 0)
    assert whole.shape == (4, 1, 12)
    torch.testing.assert_close(children, whole[..., 1:4])
    state = model.reorder(state, torch.zeros(4, 1, dtype=torch.int64))
    node = torch.full((4, 1), 2)
    whole, _ = model.vocabulary_logits(memory, state, node, 1)
    children, _ = model.step(memory, state, node, 1)
    torch.testing.assert_close(children[..., :2], whole[..., [4, 7]])


def test_slates_of_one_request_share_its_history() -> None:
    model = network()
    memory = model.encode(BATCH)
    four = model.extend(model.branch(memory, torch.zeros(4, 4, dtype=torch.int64)), torch.arange(16) % 8)
    two = model.extend(model.branch(four, torch.tensor([[3, 1]] * 4)), torch.arange(8))
    for later, rows, tokens in [(four, 16, 4), (two, 8, 8)]:
        assert all(mine is theirs for mine, theirs in zip(later.keys, memory.keys, strict=True))
        assert model.rows(later) == rows and later.placed.keys[0].shape == (rows, 1, 2, tokens, 8)


@pytest.mark.parametrize("tied", [True, False])
def test_the_published_form_in_one_pass_equals_step_by_step(tied: bool) -> None:
    model = network(tied)
    memory = model.encode(BATCH)
    paths, nodes = model.trie.path(EVERY.expand(4, -1)), torch.zeros(4, 8, dtype=torch.int64)
    state, scores = model.reorder(model.begin(memory), nodes), []
    for level in range(3):
        logits, state = model.vocabulary_logits(memory, state, nodes, level)
        nodes = paths[..., level]
        codes = CODES[EVERY, level].expand(4, -1) + model.level_start[level]
        scores.append(logits.log_softmax(-1).gather(-1, codes.unsqueeze(-1)).squeeze(-1))
    found = model.vocabulary_path_log_prob(memory, EVERY.expand(4, -1))
    torch.testing.assert_close(found, torch.stack(scores, -1))
    torch.testing.assert_close(unmasked_score(model, memory, EVERY.expand(4, -1)), found)


def test_the_published_search_finds_what_the_published_score_ranks_first() -> None:
    model = network()
    memory = model.encode(BATCH)
    scores, order = unmasked_score(model, memory, EVERY.expand(4, -1)).sum(-1).sort(-1, descending=True)
    items, log_prob = unmasked_beam_search(model, memory, BATCH, 8)
    assert torch.equal(items, order)
    torch.testing.assert_close(log_prob.sum(-1), scores)


def test_gradients_reach_every_weight_and_stay_finite_with_an_empty_history() -> None:
    model = network(tied=False).train()
    every_log_prob(model, model.encode(BATCH)).sum().neg().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and bool(weight.grad.isfinite().all()), name
        assert weight.grad.abs().max() > 0, name


def test_a_batch_of_empty_histories() -> None:
    model = network()
    scores = every_log_prob(model, model.encode(requests([], [])))
    assert bool(scores.isfinite().all())
    torch.testing.assert_close(scores[0], scores[1])


def test_it_learns_to_copy_the_last_item() -> None:
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    context = requests(*[[(item * 3) % 8, item] for item in range(8)])
    loss = torch.tensor(math.inf)
    for _ in range(40):
        loss = -model.path_log_prob(model.encode(context), EVERY.unsqueeze(1)).sum() / 8
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * math.log(8)
