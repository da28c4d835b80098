"""How many candidates each request of a batch gets: all as many, or more where its best is expected to gain more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.ranges import at_least

TAIL = 5.0
"""Bandwidths beyond the best candidate to which the expected gain is integrated; less than 3e-7 of a kernel is left."""

NODES = 65
"""Nodes of that integral."""


@runtime_checkable
class Allocation(Protocol):
    """Divides the candidates of a batch, `B · N` in all, between its requests.

    Attributes:
        compares_requests: whether it compares the rewards of different requests, which not every reward allows.
    """

    compares_requests: ClassVar[bool]

    def explored(self, candidates: int) -> int:
        """Return how many candidates every request gets before any reward is known, from 1 to `N`.

        Args:
            candidates: `N`, of each request on average.
        """
        ...

    def further(self, reward: Float[Tensor, "B E"], mask: Bool[Tensor, "B E"], candidates: int) -> Int[Tensor, " B"]:
        """Return how many candidates more each request gets; they sum to `B · (N − E)`.

        Args:
            reward: of the explored candidates, finite where the mask is true.
            mask: the explored candidates that are whole slates.
            candidates: `N`, at least `E`.
        """
        ...


@dataclass(frozen=True)
class UniformAllocation(Allocation):
    """Every request gets `N` candidates."""

    compares_requests: ClassVar[bool] = False

    @override
    def explored(self, candidates: int) -> int:
        return candidates

    @override
    def further(self, reward: Float[Tensor, "B E"], mask: Bool[Tensor, "B E"], candidates: int) -> Int[Tensor, " B"]:
        return torch.full((len(reward),), candidates - reward.shape[1], device=reward.device)


@dataclass(frozen=True)
class AdaptiveAllocation(Allocation):
    """Requests get more candidates where the best of them is expected to gain more.

    The rewards of the `E` explored candidates of a request estimate the law of its rewards: a Gaussian kernel density
    `F` whose bandwidth follows Scott's rule, `h = s E^(−1/5)`. One candidate behind `j` further ones is then expected
    to raise the best reward `m` by

        gain(j) = ∫_m^∞ F(x)^j (1 − F(x)) dx,

    which falls in `j`. So the greedy choice, the rest of the budget to the largest gains, is the best one under the
    estimate. Gains are compared between requests: the reward must have one unit for all of them.

    Standard deviations of few rewards are noisy, and whoever trusts them spends the budget on noise. So `s` is drawn
    towards the mean of the batch (`shrunk_deviation`); requests that are alike get about as many candidates.

    The budget is kept exactly. A request whose explored rewards are all equal, or of which fewer than two are known,
    has no gain. Equal gains go to the request that has had fewer, then to the earlier one: where nobody can gain, all
    get as many, up to one. With `N` not above `exploration` nothing is left to divide.

    Source: AdaBoN (arXiv 2505.12050) for the two stages and the greedy choice; the bandwidth, the drawing towards the
    mean and `most` are ours.

    Args:
        exploration: `E`, candidates of every request before rewards are known, at least 2.
        most: no request gets more than `most · N` candidates, at least 1, which bounds time and memory; 1 is uniform.
    """

    exploration: int = 8
    most: int = 4

    compares_requests: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(2, exploration=self.exploration)
        at_least(1, most=self.most)

    @override
    def explored(self, candidates: int) -> int:
        return min(self.exploration, candidates)

    @override
    def further(self, reward: Float[Tensor, "B E"], mask: Bool[Tensor, "B E"], candidates: int) -> Int[Tensor, " B"]:
        requests, explored = reward.shape
        budget, draws = requests * (candidates - explored), self.most * candidates - explored
        gains = expected_gains(reward, mask, draws).T.flatten()
        order = gains.argsort(descending=True, stable=True)[:budget]
        return torch.bincount(order % max(requests, 1), minlength=requests)


def expected_gains(reward: Float[Tensor, "B E"], mask: Bool[Tensor, "B E"], draws: int) -> Float[Tensor, "B draws"]:
    """Return what each of several further candidates is expected to add to the best reward of a request, in float64.

    See `AdaptiveAllocation` for the formula. The integral is a trapezoidal sum. Equal rewards leave a gain of 0, as do
    those whose squared differences are below the smallest number.

    Args:
        reward: of the explored candidates.
        mask: the candidates whose reward is known.
        draws: number of further candidates.

    >>> expected_gains(torch.tensor([[0.0, 1.0, 2.0]]), torch.ones(1, 3, dtype=torch.bool), 2)
    tensor([[0.1210, 0.1070]], dtype=torch.float64)
    """
    value, count = reward.double(), mask.sum(-1, keepdim=True)
    highest = value.masked_fill(~mask, -torch.inf).amax(-1, keepdim=True)
    mean = value.masked_fill(~mask, 0.0).sum(-1, keepdim=True) / count.clamp(min=1)
    square = (value - mean).square().masked_fill(~mask, 0.0).sum(-1, keepdim=True)
    spread = (count > 1) & (square >= torch.finfo(square.dtype).tiny)
    deviation = torch.where(spread, (square / (count - 1).clamp(min=1)).sqrt(), 1.0)
    width = count.clamp(min=1) ** -0.2  # of a kernel, in standard deviations
    behind = ((highest - value) / (deviation * width)).masked_fill(~(mask & spread), 0.0)
    node = torch.linspace(0, TAIL, NODES, dtype=torch.float64, device=reward.device)
    kernels = torch.special.ndtr(behind.unsqueeze(-1) + node).masked_fill(~mask.unsqueeze(-1), 0.0)
    below = (kernels.sum(1) / count.clamp(min=1)).unsqueeze(1)
    power = torch.arange(draws, device=reward.device).view(-1, 1)
    gain = torch.trapezoid(below**power * (1 - below), node, dim=-1) * width
    shrunk = shrunk_deviation(deviation[spread], count[spread])
    return gain * torch.zeros_like(deviation).masked_scatter(spread, shrunk)


def shrunk_deviation(deviation: Float[Tensor, " B"], count: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return standard deviations, drawn to their geometric mean as far as sampling explains how they differ.

    `log s²` of `E` Gaussian values has the variance `ψ₁((E − 1) / 2)` around its truth. With `w` the share of the
    variance of `log s²` over the batch that is more than this, 0 if it is less, the result is
    `exp(w log s + (1 − w) mean log s)`. A single one stays as it is.

    Args:
        deviation: `s`, above 0.
        count: `E`, at least 2.

    >>> few, many = torch.tensor([3, 3]), torch.tensor([3000, 3000])
    >>> shrunk_deviation(torch.tensor([1.0, 4.0]), few), shrunk_deviation(torch.tensor([1.0, 4.0]), many)
    (tensor([1.3453, 2.9732]), tensor([1.0001, 3.9995]))
    """
    if len(deviation) < 2:
        return deviation
    scale = 2 * deviation.log()
    noise = torch.special.polygamma(1, (count - 1).to(scale.dtype) / 2).mean()
    share = (1 - noise / scale.var().clamp(min=torch.finfo(scale.dtype).tiny)).clamp(min=0)
    return (share * scale + (1 - share) * scale.mean()).div(2).exp()
