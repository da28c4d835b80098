"""Validation of a policy of slates by a judge that nothing is trained on: the guard against a reward that is gamed."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from recsys.errors import ConfigurationError, RequestError
from recsys.metrics.diversity import coverage
from recsys.policies.network_policy import NetworkPolicy
from recsys.ranges import at_least
from recsys.rewards.reward import Reward, compares_requests
from recsys.types.example import Example
from recsys.types.slates import without_repeats


class JudgedValidation(nn.Module):
    """Ask a judge about the slates that a policy finds now, and say how these slates differ.

    **The model that rewards is never the judge.** A training goes on as long as the judge rises, and keeps the weights
    that it likes best. `proxy` is the same measure of the rewarding model: a gap that widens between the two shows that
    the reward is being gamed.

    Figures of a batch, means over its requests that have a candidate of all slots, of which alone they speak;
    candidates that hold the same items in another order count once:

    - `judge`, `proxy`: mean over the candidates found; `gap`: proxy minus judge.
    - `distinct_first_items`: different first items of a request's candidates, as a share of the candidates.
    - `repeat_rate`: share of the candidates found that hold the items of another in another order.

    `coverage`, of an epoch, is the share of the catalogue in any candidate.

    Args:
        judge: a reward that nothing is trained on, comparable between requests (`ProbabilitySum`).
        proxy: the judge's counterpart for the rewarding model, in the same unit; None gives no gap.
        candidates: of a request, the best that a search finds, at least 1.

    Raises:
        ConfigurationError: `candidates` is below 1, or the judge or the proxy does not compare requests.
    """

    monitor: ClassVar[str] = "validation/judge"
    """The metric that chooses the weights of a system that validates so; more is better."""

    def __init__(self, judge: Reward, proxy: Reward | None = None, candidates: int = 16) -> None:
        at_least(1, candidates=candidates)
        for name, reward in {"judge": judge, "proxy": proxy}.items():
            if not compares_requests(reward):
                raise ConfigurationError(
                    f"validation.{name}: {type(reward).__name__} compares candidates of one request only, and its mean "
                    "over requests says nothing: set its scalariser to one with one unit for all (ProbabilitySum)"
                )
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

        Raises:
            RequestError: no request of the batch allows as many items as there are slots.
        """
        slates, repeat = without_repeats(policy.top(batch.context, self.candidates, slots))
        exists = (slates.items >= 0).all(-1)
        answered, count = exists.any(-1), exists.sum(-1)
        if not answered.any():
            raise RequestError(f"none of {len(batch)} validation requests allows {slots} items, a whole slate")

        def mean(share: Tensor) -> Tensor:
            return (share / count)[answered].mean()

        def of_candidates(value: Tensor) -> Tensor:
            return mean(value.masked_fill(~exists, 0.0).sum(-1))

        values = {"judge": of_candidates(self.judge(batch, slates))}
        if self.proxy is not None:
            values["proxy"] = of_candidates(self.proxy(batch, slates))
            values["gap"] = values["proxy"] - values["judge"]
        first = slates.items[..., 0].masked_fill(~exists, -1).sort(-1).values
        fresh = (first[:, 1:] != first[:, :-1]) & (first[:, 1:] >= 0)
        values["distinct_first_items"] = mean(fresh.sum(-1) + (first[:, 0] >= 0))
        repeats = repeat.sum(-1)
        values["repeat_rate"] = (repeats / (count + repeats))[answered].mean()
        self._shown.append(slates.items.flatten(1))
        return {f"validation/{name}": value for name, value in values.items()}

    def epoch_figures(self, num_items: int) -> dict[str, float]:
        """Return the figures of all batches since the last call.

        Args:
            num_items: of the catalogue.
        """
        shown = torch.cat([torch.zeros(0, dtype=torch.int64), *(items.flatten().cpu() for items in self._shown)])
        self._shown.clear()
        return {"validation/coverage": coverage(shown.unsqueeze(1), num_items)}
