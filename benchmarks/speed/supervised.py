"""Supervised training of an encoder-decoder on histories of unequal length against Hugging Face's padded T5."""

from __future__ import annotations

import torch
from torch import Tensor

from harness import Result, alternate, compare
from hugging_face import LEVELS, Pair, answered, requests
from recsys.decode.beam import unmasked_score

ITEMS, BATCH, LONGEST = 10_000, 256, 20
FILL = 0.42
TOLERANCE = 1e-3


def run(rounds: int) -> list[Result]:
    """Forward, backward and AdamW on one batch; both networks minimise the same cross-entropy over the vocabulary."""
    pair = Pair.of(ITEMS)
    pair.ours.train()
    pair.theirs.train()
    examples = answered(requests(BATCH, ITEMS, lengths()), ITEMS)
    tokens, mask = pair.padded(examples.context)
    labels = pair.tokens[examples.item]

    def ours() -> Tensor:
        return -unmasked_score(pair.ours, pair.ours.encode(examples.context), examples.item.unsqueeze(1)).mean()

    def theirs() -> Tensor:
        return pair.theirs(input_ids=tokens, attention_mask=mask, labels=labels).loss

    difference = abs(float(ours().detach() - theirs().detach()))
    if difference > TOLERANCE:
        raise AssertionError(f"losses differ by {difference:.1e}")
    timings = alternate({"ours": Step(pair.ours, ours), "Hugging Face": Step(pair.theirs, theirs)}, rounds)
    real = int(mask.sum()) + BATCH * LEVELS
    best = min(timing.cpu for timing in timings["ours"])
    return [
        compare(
            timings,
            "Hugging Face",
            benchmark="supervised training",
            case=f"batch of {BATCH}, {100 * int(mask.sum()) / mask.numel():.0f} % of the padded tokens real",
            goal=2.5,
            checked=f"losses within {difference:.1e}; {real / best / 1000:.1f} k real tokens a second of cpu time",
        )
    ]


def lengths() -> Tensor:
    """`[B]`, skewed as in Amazon's logs: many short histories, some cut at the longest, `FILL` of it on average."""
    rng = torch.Generator().manual_seed(0)
    weight = 1 / torch.arange(3, LONGEST + 1).float()
    weight[-1] *= 2.5
    drawn = torch.multinomial(weight, BATCH, replacement=True, generator=rng) + 3
    while drawn.sum() > FILL * BATCH * LONGEST:
        drawn[drawn.argmax() if drawn.max() < LONGEST else (drawn > 3).nonzero()[0]] -= 1
    while drawn.sum() < FILL * BATCH * LONGEST:
        drawn[(drawn < LONGEST).nonzero()[0]] += 1
    return drawn


class Step:
    """One optimizer step on a loss."""

    def __init__(self, network: torch.nn.Module, loss: object) -> None:
        self.loss = loss
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)

    def __call__(self) -> None:
        """See the class."""
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()
