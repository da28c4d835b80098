"""A random T5 in both libraries, a synthetic catalogue, and Hugging Face's way to search, score and train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from recsys.items.trie import Trie
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from t5_weights import from_t5

LEVELS, CODES = 4, 256
FIRST_TOKEN = 1


def catalogue(items: int, seed: int = 0) -> Tensor:
    """`[N, 4]` distinct rows of skewed codes, low codes more often, in random order."""
    rng = torch.Generator().manual_seed(seed)
    rows = (torch.rand(2 * items, LEVELS, generator=rng) ** 1.5 * CODES).long().unique(dim=0)
    return rows[torch.randperm(len(rows), generator=rng)[:items]]


def t5(dropout: float = 0.0) -> T5ForConditionalGeneration:
    """T5 1.1 over semantic IDs: width 128, 4 + 4 layers, 6 heads of 64, 1024 hidden, random weights."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=FIRST_TOKEN + LEVELS * CODES,
        d_model=128,
        d_kv=64,
        d_ff=1024,
        num_layers=4,
        num_heads=6,
        feed_forward_proj="gated-silu",
        dropout_rate=dropout,
        pad_token_id=0,
        decoder_start_token_id=0,
        eos_token_id=None,
    )
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "relative_attention_bias" in name:
                weight.add_(0.3 * torch.randn_like(weight))
    return model


@dataclass(frozen=True)
class Pair:
    """One function in two libraries.

    Args:
        ours: the network.
        theirs: the T5 whose weights it has.
        codes: `[N, 4]`, the catalogue.
    """

    ours: EncoderDecoder
    theirs: T5ForConditionalGeneration
    codes: Tensor

    @classmethod
    def of(cls, items: int) -> Pair:
        """The pair over a catalogue of so many items, in evaluation mode."""
        theirs, codes = t5().eval(), catalogue(items)
        ours = from_t5(theirs, Trie.from_codes(codes), (CODES,) * LEVELS, FIRST_TOKEN)
        return cls(ours, theirs, codes)

    @cached_property
    def tokens(self) -> Tensor:
        """`[N, 4]`, the tokens of each item."""
        return self.codes + FIRST_TOKEN + CODES * torch.arange(LEVELS)

    @cached_property
    def allowed(self) -> Callable[[int, Tensor], list[int]]:
        """Hugging Face's constraint: which tokens may follow a prefix, from a dictionary of prefixes."""
        after: dict[tuple[int, ...], set[int]] = {}
        for row in self.tokens.tolist():
            for level in range(LEVELS):
                after.setdefault(tuple(row[:level]), set()).add(row[level])
        lists = {prefix: sorted(tokens) for prefix, tokens in after.items()}
        return lambda row, read: lists[tuple(read.tolist()[1:])]

    def items_of(self, tokens: Tensor) -> Tensor:
        """The item of each row of four tokens."""
        keys = (self.tokens * (FIRST_TOKEN + LEVELS * CODES) ** torch.arange(LEVELS)).sum(-1)
        asked = (tokens * (FIRST_TOKEN + LEVELS * CODES) ** torch.arange(LEVELS)).sum(-1)
        order = keys.argsort()
        return order[torch.searchsorted(keys[order], asked)]

    def padded(self, context: Context) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask `[B, S]` of the histories, as Hugging Face takes them."""
        history = context.history
        tokens = Jagged(self.tokens[history.values].flatten(), history.offsets * LEVELS)
        mask = Jagged(torch.ones_like(tokens.values), tokens.offsets)
        return tokens.to_padded(0), mask.to_padded(0)

    def generate(self, tokens: Tensor, mask: Tensor, beams: int, constrained: bool = True) -> tuple[Tensor, Tensor]:
        """Beam search by `generate`: token rows `[B, M, 4]` and their scores `[B, M]`, best first."""
        found = self.theirs.generate(
            input_ids=tokens,
            attention_mask=mask,
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=LEVELS,
            do_sample=False,
            length_penalty=0.0,
            prefix_allowed_tokens_fn=self.allowed if constrained else None,
            return_dict_in_generate=True,
            output_scores=True,
        )
        shape = (tokens.shape[0], beams)
        return found.sequences[:, 1:].view(*shape, LEVELS), found.sequences_scores.view(shape)

    def log_prob(self, tokens: Tensor, mask: Tensor, items: Tensor) -> Tensor:
        """Teacher-forced log-probability `[R, 4]` of each row's item over the whole vocabulary."""
        labels = self.tokens[items]
        logits = self.theirs(input_ids=tokens, attention_mask=mask, labels=labels).logits
        return logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)


def requests(count: int, items: int, lengths: Tensor | None = None, seed: int = 1) -> Context:
    """Requests with random histories, of 20 items where no lengths are given."""
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.full((count,), 20) if lengths is None else lengths
    history = Jagged.from_lengths(torch.randint(items, (int(lengths.sum()),), generator=rng), lengths)
    return Context(torch.arange(count), history, Jagged.empty(count))


def answered(requests: Context, items: int, seed: int = 2) -> Example:
    """Requests with random next items."""
    rng = torch.Generator().manual_seed(seed)
    return Example.next_item(requests, torch.randint(items, (len(requests),), generator=rng))
