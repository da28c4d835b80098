from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from benchmarks.speed.t5_weights import from_t5, load_t5_weights
from recsys.errors import ConfigurationError
from recsys.items.trie import Trie
from recsys.types.context import Context
from recsys.types.jagged import Jagged

CODES = torch.tensor([[0, 0, 1], [0, 0, 3], [0, 2, 0], [1, 1, 1], [1, 1, 2], [1, 1, 0], [2, 0, 0], [2, 3, 3]])
HISTORIES = [[1, 2, 3], [7], [4, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 7, 1, 0, 3, 2]]


def t5(tied: bool = True, **options: Any) -> T5ForConditionalGeneration:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "feed_forward_proj": "gated-silu",
        "vocab_size": 12,
        "tie_word_embeddings": tied,
    } | options
    config = T5Config(
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=2,
        num_decoder_layers=3,
        num_heads=3,
        pad_token_id=0,
        initializer_factor=2.0,
        **settings,
    )
    model = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layer_norm" in name or "relative" in name:
                weight.add_(torch.randn_like(weight) * 0.3)
    return model


def their_logits(model: T5ForConditionalGeneration, codes: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """Logits `[B, L, V]` of one item a history, from padded inputs."""
    begin = torch.zeros(len(HISTORIES), 1, dtype=torch.int64)
    return their_decoder_logits(model, codes, torch.cat([begin, (codes[items] + torch.tensor([1, 4, 8]))[:, :-1]], 1))


def their_decoder_logits(model: T5ForConditionalGeneration, codes: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    """Logits `[B, T, V]` behind each token that the decoder reads, from padded histories."""
    tokens = codes + torch.tensor([1, 4, 8])
    rows = [tokens[torch.tensor(history)].flatten() for history in HISTORIES]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    with torch.no_grad():
        return model(input_ids=padded, attention_mask=mask, decoder_input_ids=read).logits


def requests() -> Context:
    return Context(torch.arange(3), Jagged.from_rows(HISTORIES), Jagged.empty(3))


@pytest.mark.parametrize("tied", [True, False])
def test_every_level_s_logits_are_hugging_face_s(tied: bool) -> None:
    theirs = t5(tied)
    ours = from_t5(theirs, Trie.from_codes(CODES))
    memory = ours.encode(requests())
    items = torch.tensor([1, 4, 7])
    expected = their_logits(theirs, CODES, items)
    paths = ours.trie.path(items)
    state, nodes = ours.begin(memory), ours.trie.root(3)
    for level in range(3):
        logits, state = ours.vocabulary_logits(memory, state, nodes, level)
        torch.testing.assert_close(logits[:, 0], expected[:, level], atol=1e-4, rtol=1e-4)
        nodes = paths[:, level].unsqueeze(1)


def test_item_log_probabilities_are_hugging_face_s_over_siblings() -> None:
    theirs = t5()
    ours = from_t5(theirs, Trie.from_codes(CODES))
    items = torch.tensor([0, 5, 2])
    expected = their_logits(theirs, CODES, items)
    found = ours.path_log_prob(ours.encode(requests()), items.unsqueeze(1))[:, 0]
    for row, item in enumerate(items):
        for level in range(3):
            alike = CODES[(CODES[:, :level] == CODES[item, :level]).all(1), level].unique()
            logits = expected[row, level, ours.level_start[level] + alike]
            own = expected[row, level, ours.level_start[level] + CODES[item, level]]
            torch.testing.assert_close(found[row, level], own - logits.logsumexp(0), atol=1e-4, rtol=1e-4)


def test_slates_are_scored_as_hugging_face_scores_a_zero_before_each_item() -> None:
    theirs = t5()
    ours = from_t5(theirs, Trie.from_codes(CODES))
    slates = torch.tensor([[0, 5, 2], [7, 1, 6], [3, 3, 4]])
    read = torch.nn.functional.pad(CODES[slates] + torch.tensor([1, 4, 8]), (1, 0)).flatten(1)
    expected = their_decoder_logits(theirs, CODES, read).unflatten(1, (3, 4))
    found = ours.slate_log_prob(ours.encode(requests()), slates.unsqueeze(1))[:, 0]
    for row, slate in enumerate(slates):
        for slot, item in enumerate(slate):
            for level in range(3):
                alike = CODES[(CODES[:, :level] == CODES[item, :level]).all(1), level].unique()
                logits = expected[row, slot, level, ours.level_start[level] + alike]
                own = expected[row, slot, level, ours.level_start[level] + CODES[item, level]]
                torch.testing.assert_close(found[row, slot, level], own - logits.logsumexp(0), atol=1e-4, rtol=1e-4)


def test_an_output_table_of_its_own_stays_its_own() -> None:
    assert from_t5(t5(tied=False), Trie.from_codes(CODES)).output_scale == 1.0
    tied = from_t5(t5(), Trie.from_codes(CODES))
    assert tied.output_table is None or tied.output_scale == 1.0


def test_unused_tokens_are_left_out() -> None:
    model = from_t5(t5(vocab_size=40), Trie.from_codes(CODES))
    assert model.token_table.shape == (12, 16)


def test_another_feed_forward_network_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="gated-silu"):
        from_t5(t5(feed_forward_proj="relu"), Trie.from_codes(CODES))


def test_a_vocabulary_too_small_is_refused() -> None:
    model = from_t5(t5(), Trie.from_codes(CODES))
    with pytest.raises(ConfigurationError, match="knows 11 tokens"):
        load_t5_weights(model, t5(vocab_size=11))
