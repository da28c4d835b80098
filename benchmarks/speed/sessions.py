"""Candidate sessions against Hugging Face's constrained `generate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from harness import Result, Timing, alternate, compare
from recsys.decode.normalisation import StepByStep
from recsys.decode.slate_search import greedy_slates
from recsys.items.trie import Trie
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from t5_weights import from_t5

ITEMS, LEVELS, CODES = 7_500, 3, 32
SLOTS, CANDIDATES = 5, 128
USERS, PEER_USERS = 32, 2
LONGEST = 50
GOAL = 10.0
TOLERANCE = 1e-3


def run(rounds: int) -> list[Result]:
    """One beam over the session, a slate for each first item, and samples, each against `generate`."""
    return against_generate(Sizes(), rounds)


@dataclass(frozen=True)
class Sizes:
    """Sizes of the comparison.

    Args:
        items: of the catalogue, at most `CODES^LEVELS`.
        users: that recsys answers in a turn.
        peer_users: that `generate` answers in a turn; its time is scaled to as many as recsys answers.
        candidates: sessions a user, the width of both searches.
        slots: items of a session.
        longest: items of a history at most; half the users have as many.
    """

    items: int = ITEMS
    users: int = USERS
    peer_users: int = PEER_USERS
    candidates: int = CANDIDATES
    slots: int = SLOTS
    longest: int = LONGEST


@torch.no_grad()
def against_generate(sizes: Sizes, rounds: int) -> list[Result]:
    """The same network, catalogue and histories in both libraries; scores of the peer's sessions checked before."""
    pair = SessionPair.of(sizes.items, sizes.longest)
    context = requests(sizes)
    few = context.select(torch.arange(sizes.peer_users))
    difference = pair.check(few, *pair.generate(few, sizes.candidates, sizes.slots), sizes.slots)
    policy, rng = AutoregressiveSlatePolicy(pair.ours, normalisation=StepByStep()), torch.Generator().manual_seed(0)
    greedy = AutoregressiveSlatePolicy(pair.ours, search=greedy_slates, normalisation=StepByStep())
    sides: dict[str, Callable[[], object]] = {
        "one beam over the session": lambda: policy.top(context, sizes.candidates, sizes.slots),
        "a session for each first item": lambda: greedy.top(context, sizes.candidates, sizes.slots),
        "samples": lambda: policy.sample(context, sizes.candidates, sizes.slots, rng),
        "generate": lambda: pair.generate(few, sizes.candidates, sizes.slots),
    }
    timings = alternate(sides, rounds)
    factor = sizes.users / sizes.peer_users
    peer = [Timing(timing.wall * factor, timing.cpu * factor) for timing in timings.pop("generate")]
    scaled = f"generate's time is that of {sizes.peer_users} users times {factor:g}"
    return [
        compare(
            {"ours": own, "Hugging Face": peer},
            "Hugging Face",
            benchmark="candidate sessions",
            case=f"{name}, {sizes.candidates} of {sizes.slots} slots for {sizes.users} users",
            goal=GOAL,
            checked=f"{scaled}; scores of its sessions within {difference:.1e} of ours",
        )
        for name, own in timings.items()
    ]


def requests(sizes: Sizes) -> Context:
    """Requests with random histories, half of them as long as can be; nothing is excluded."""
    rng = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 2 * sizes.longest + 1, (sizes.users,), generator=rng).clamp(max=sizes.longest)
    history = Jagged.from_lengths(torch.randint(sizes.items, (int(lengths.sum()),), generator=rng), lengths)
    return Context(torch.arange(sizes.users), history, Jagged.empty(sizes.users))


@dataclass(frozen=True)
class SessionPair:
    """One network of a session's sizes in two libraries.

    Args:
        ours: the network.
        theirs: the T5 whose weights it has.
        codes: `[N, L]`, the catalogue.
    """

    ours: EncoderDecoder
    theirs: T5ForConditionalGeneration
    codes: Tensor

    @classmethod
    def of(cls, items: int, longest: int) -> SessionPair:
        """The pair over random codes, in evaluation mode: width 64, 2 + 2 layers, 4 heads of 16, 128 hidden."""
        torch.manual_seed(0)
        config = T5Config(
            vocab_size=1 + LEVELS * CODES,
            d_model=64,
            d_kv=16,
            d_ff=128,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-silu",
            dropout_rate=0.0,
            pad_token_id=0,
            decoder_start_token_id=0,
            eos_token_id=None,
        )
        theirs = T5ForConditionalGeneration(config).eval()
        drawn = torch.randperm(CODES**LEVELS)[:items]
        codes = torch.stack([drawn // CODES ** (LEVELS - 1 - level) % CODES for level in range(LEVELS)], 1)
        ours = from_t5(theirs, Trie.from_codes(codes), (CODES,) * LEVELS, 1, max_length=longest)
        return cls(ours, theirs, codes)

    @cached_property
    def tokens(self) -> Tensor:
        """`[N, L]`, the tokens of each item."""
        return self.codes + 1 + CODES * torch.arange(LEVELS)

    @cached_property
    def children(self) -> dict[tuple[int, ...], list[int]]:
        """Which tokens may follow each prefix of an item."""
        after: dict[tuple[int, ...], set[int]] = {}
        for row in self.tokens.tolist():
            for level in range(LEVELS):
                after.setdefault(tuple(row[:level]), set()).add(row[level])
        return {prefix: sorted(tokens) for prefix, tokens in after.items()}

    @cached_property
    def leaves(self) -> Counter[tuple[int, ...]]:
        """How many items begin with each prefix."""
        return Counter(tuple(row[:level]) for row in self.tokens.tolist() for level in range(LEVELS + 1))

    def allowed(self, row: int, read: Tensor) -> list[int]:
        """Hugging Face's constraint: token 0 before each item, then codes of items that the session lacks."""
        tokens = read.tolist()[1:]
        slot, level = divmod(len(tokens), LEVELS + 1)
        if level == LEVELS:
            return [0]
        prefix = tuple(tokens[slot * (LEVELS + 1) :])
        starts = range(0, slot * (LEVELS + 1), LEVELS + 1)
        held = Counter(tuple(tokens[start : start + level + 1]) for start in starts)
        return [token for token in self.children[prefix] if held[(*prefix, token)] < self.leaves[(*prefix, token)]]

    def generate(self, context: Context, beams: int, slots: int) -> tuple[Tensor, Tensor]:
        """Beam search by `generate`: tokens `[B, M, S (L + 1)]` with their zeros, and scores `[B, M]`, best first."""
        history = context.history
        values = Jagged(self.tokens[history.values].flatten(), history.offsets * LEVELS)
        mask = Jagged(torch.ones_like(values.values), values.offsets)
        found = self.theirs.generate(
            input_ids=values.to_padded(0),
            attention_mask=mask.to_padded(0),
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=slots * (LEVELS + 1) - 1,
            do_sample=False,
            length_penalty=0.0,
            prefix_allowed_tokens_fn=self.allowed,
            return_dict_in_generate=True,
            output_scores=True,
        )
        shape = (len(context), beams)
        return found.sequences.view(*shape, -1), found.sequences_scores.view(shape)

    def check(self, context: Context, tokens: Tensor, scores: Tensor, slots: int) -> float:
        """The largest difference of the sessions' scores, over the whole vocabulary, from those of our network.

        Raises:
            AssertionError: scores differ, or a session holds an item twice.
        """
        items = tokens.unflatten(-1, (slots, LEVELS + 1))[..., 1:]
        keys = (items * (1 + LEVELS * CODES) ** torch.arange(LEVELS)).sum(-1).sort(-1).values
        if (keys.diff() == 0).any():
            raise AssertionError("a session of the peer holds an item twice")
        memory = self.ours.encode(context)
        state = self.ours.reorder(self.ours.begin(memory), torch.zeros_like(tokens[..., 0]))
        total = torch.zeros_like(scores)
        for read, following in zip(tokens[..., :-1].unbind(-1), tokens[..., 1:].unbind(-1), strict=True):
            logits, state = self.ours.token_logits(memory, state, read)
            total += logits.log_softmax(-1).gather(-1, following.unsqueeze(-1)).squeeze(-1)
        difference = float((total - scores).abs().max())
        if difference > TOLERANCE:
            raise AssertionError(f"scores of the same sessions differ by {difference:.1e}")
        return difference
