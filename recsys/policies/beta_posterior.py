"""Independent arms: each item's click rate, whoever asks."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.data.context import Context
from recsys.data.feedback import Feedback
from recsys.data.slates import Slates


class BetaPosterior(nn.Module):
    """`rate_i ~ Beta(clicks_i + a, skips_i + b)`; a slot that earned anything is a click, another is a skip.

    Source: Chapelle and Li 2011, "An empirical evaluation of Thompson sampling".

    Args:
        num_items: `N`.
        clicks: `a`, clicks of every item before anything was seen, above 0.
        skips: `b`, above 0.
        pool: draws kept for Thompson sampling.
    """

    def __init__(self, num_items: int, clicks: float = 1.0, skips: float = 1.0, pool: int = 128) -> None:
        super().__init__()
        self.num_items = num_items
        self.pool = pool
        self.counts: Tensor
        self.draws: Tensor
        self.register_buffer("counts", torch.tensor([[clicks], [skips]], dtype=torch.float32).repeat(1, num_items))
        self.register_buffer("draws", torch.empty(pool, num_items))
        self._draw(torch.Generator().manual_seed(0))

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Scorer.scores`: the posterior mean of the rate."""
        return (self.counts[0] / self.counts.sum(0)).expand(len(context), -1)

    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Posterior.deviation`."""
        total = self.counts.sum(0)
        return (self.counts.prod(0) / (total.square() * (total + 1))).sqrt().expand(len(context), -1)

    def drawn(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        """See `Posterior.drawn`."""
        return self.draws[which]

    def update(self, context: Context, slates: Slates, feedback: Feedback, generator: torch.Generator) -> None:
        """See `Learner.update`."""
        items, clicked = slates.items[:, 0], feedback.reward[:, 0] > 0
        for row, slots in enumerate((clicked, ~clicked)):
            self.counts[row] += torch.bincount(items[slots & (items >= 0)], minlength=self.num_items)
        self._draw(generator)

    def _draw(self, generator: torch.Generator) -> None:
        # torch's own beta distribution takes no generator.
        seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
        clicks, skips = self.counts.cpu().double().numpy()
        draws = np.random.default_rng(int(seed)).beta(clicks, skips, tuple(self.draws.shape))
        self.draws.copy_(torch.from_numpy(draws))
