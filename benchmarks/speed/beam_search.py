"""Constrained beam search over semantic IDs against Hugging Face's `generate(prefix_allowed_tokens_fn)`."""

from __future__ import annotations

import statistics

import torch
from torch import Tensor

from harness import Result, Timing, alternate, compare, seconds
from hugging_face import LEVELS, Pair, requests
from recsys.decode.beam import unmasked_beam_search
from recsys.types.context import Context

ITEMS, REQUESTS = 10_000, 32
GOALS = {16: None, 50: 12.0}
TOLERANCE = 1e-3


@torch.no_grad()
def run(rounds: int) -> list[Result]:
    """Both beam widths, and what the constraint costs."""
    pair = Pair.of(ITEMS)
    context = requests(REQUESTS, ITEMS)
    results = [against_generate(pair, context, beams, rounds) for beams in GOALS]
    return [*results, constraint(pair, context, max(GOALS), rounds)]


def against_generate(pair: Pair, context: Context, beams: int, rounds: int) -> Result:
    """The same search in both libraries, items and scores checked before timing."""
    tokens, mask = pair.padded(context)
    sides = {
        "ours": lambda: unmasked_beam_search(pair.ours, pair.ours.encode(context), context, beams),
        "Hugging Face": lambda: pair.generate(tokens, mask, beams),
    }
    items, log_prob = sides["ours"]()
    theirs, scores = sides["Hugging Face"]()
    difference = float((log_prob.sum(-1) - scores).abs().max())
    same = float((items.sort().values == pair.items_of(theirs).sort().values).float().mean())
    if difference > TOLERANCE or same < 1:
        raise AssertionError(f"beam {beams}: scores differ by {difference:.1e}, {100 * same:.2f} % of items agree")
    return compare(
        alternate(sides, rounds, warm=False),
        "Hugging Face",
        benchmark="constrained beam search",
        case=f"beam {beams}, {REQUESTS} requests, {ITEMS:,} items",
        goal=GOALS[beams],
        checked=f"same items, scores within {difference:.1e}",
    )


def constraint(pair: Pair, context: Context, beams: int, rounds: int) -> Result:
    """Share of decoding that the trie adds to a search over the whole vocabulary, the history encoded."""
    memory = pair.ours.encode(context)
    timings = alternate(
        {
            "constrained": lambda: unmasked_beam_search(pair.ours, memory, context, beams),
            "free": lambda: free_search(pair, memory, beams),
        },
        3 * rounds,
    )
    shares = [100 * share(*turn) for turn in zip(timings["constrained"], timings["free"], strict=True)]
    return Result(
        "constrained beam search",
        f"share of the constraint in decoding, beam {beams}",
        statistics.median(shares),
        min(shares),
        max(shares),
        "%",
        5.0,
        False,
        f"with the trie {seconds(timings['constrained'], 'cpu')}, without {seconds(timings['free'], 'cpu')} (cpu time)",
    )


def share(constrained: Timing, free: Timing) -> float:
    """Of the constrained search's time, what the free one does not take."""
    return 1 - free.cpu / constrained.cpu


def free_search(pair: Pair, memory: object, beams: int) -> Tensor:
    """The best token rows of all there are, by the same network and the same cache."""
    network = pair.ours
    state = network.begin(memory)
    tokens, score = network.trie.root(REQUESTS), torch.zeros(REQUESTS, 1)
    found = tokens.unsqueeze(-1)
    for level in range(LEVELS):
        logits, state = network.token_logits(memory, state, tokens)
        grown = (score.unsqueeze(-1) + logits.log_softmax(-1)).flatten(1)
        score, index = grown.topk(beams)
        parents, tokens = index // logits.shape[-1], index % logits.shape[-1]
        found = torch.cat([found.gather(1, parents.unsqueeze(-1).expand(-1, -1, level + 1)), tokens.unsqueeze(-1)], -1)
        if level + 1 < LEVELS:
            state = network.reorder(state, parents)
    return found
