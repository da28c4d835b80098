"""Validation of a policy of slates by a judge that nothing is trained on: the guard against a reward that is gamed."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from recsys.metrics.diversity import coverage
from recsys.policies.network_policy import NetworkPolicy
from recsys.ranges import at_least
from recsys.rewards.reward import Reward
from recsys.types.example import Example
from recsys.types.slates import without_repeats


class JudgedValidation(nn.Module):
    """Ask a judge about the slates that a policy finds now, and say how these slates differ.

    **The model that rewards is never the judge.** A training goes on as long as the judge rises, and keeps the weights
    that it likes best. `proxy` is the same measure of the rewarding model: a gap that widens between the two shows that
    the reward is being gamed.

    Figures of a batch, means over its requests; candidates that hold the same items in another order count once:

    - `judge`, `proxy`: mean over the candidates found; `gap`: proxy minus judge.
    - `distinct_first_items`: different first items of a request's candidates, as a share of the candidates.
    - `repeat_rate`: share of the candidates found that hold the items of another in another order.

    `coverage`, of an epoch, is the share of the catalogue in any candidate.

    Args:
        judge: a reward that nothing is trained on, comparable between requests (`ProbabilitySum`).
        proxy: the judge's counterpart for the rewarding model, in the same unit; None gives no gap.
        candidates: of a request, the best that a search finds, at least 1.

    Raises:
        ConfigurationError: `candidates` is below 1.
    """

    monitor: ClassVar[str] = "validation/judge"
    """The metric that chooses the weights of a system that validates so; more is better."""

    def __init__(self, judge: Reward, proxy: Reward | None = None, candidates: int = 16) -> None:
        at_least(1, candidates=candidates)
        super().__init__()
        self.judge = judge
        self.proxy = proxy
        self.candidates = candidates
        self._shown: list[Tensor] = []

    @torch.no_grad()
    def figures(self, policy: NetworkPolicy, batch: Example, slots: int) -> dict[str, Tensor]:
        """Return the figures of a batch under their names in the log, and keep its slates for `epoch_figures`.

        Args:
            policy: as it is now.
            batch: requests; their logged answers are what the rewards make of them.
            slots: S, items of a slate.
        """
        slates, repeat = without_repeats(policy.top(batch.context, self.candidates, slots))
        exists = slates.mask
        count = exists.sum(-1).clamp(min=1)

        def mean(value: Tensor) -> Tensor:
            return (value.masked_fill(~exists, 0.0).sum(-1) / count).mean()

        values = {"judge": mean(self.judge(batch, slates))}
        if self.proxy is not None:
            values["proxy"] = mean(self.proxy(batch, slates))
            values["gap"] = values["proxy"] - values["judge"]
        first = slates.items[..., 0].sort(-1).values
        fresh = (first[:, 1:] != first[:, :-1]) & (first[:, 1:] >= 0)
        values["distinct_first_items"] = ((fresh.sum(-1) + (first[:, 0] >= 0)) / count).mean()
        values["repeat_rate"] = (repeat.sum(-1) / (count + repeat.sum(-1))).mean()
        self._shown.append(slates.items.flatten(1))
        return {f"validation/{name}": value for name, value in values.items()}

    def epoch_figures(self, num_items: int) -> dict[str, float]:
        """Return the figures of all batches since the last call.

        Args:
            num_items: of the catalogue.
        """
        shown = torch.cat([items.flatten() for items in self._shown]).unsqueeze(1)
        self._shown.clear()
        return {"validation/coverage": coverage(shown, num_items)}
