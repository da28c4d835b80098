"""RecSim's long-term satisfaction: clickbait engages now and costs satisfaction, which engages later."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.ranges import at_least, below_one, finite
from recsys.simulate.simulator import Simulator, feedback, one_slate_each
from recsys.types.context import Context
from recsys.types.feedback import Channel, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates


@dataclass(frozen=True, kw_only=True)
class SatisfactionContext(Context):
    """What a policy sees of the users of `LongTermSatisfaction`.

    Args:
        clickbait: `[B, N]`, in [0, 1], of each candidate.
    """

    clickbait: Float[Tensor, "B N"]


@dataclass(frozen=True)
class SatisfactionState:
    """Where each user stands.

    Args:
        exposure: `[B]`, net positive exposure; no policy sees it.
        steps_left: `[B]`.
        clickbait: `[B, N]`, in [0, 1], of each candidate.
    """

    exposure: Float[Tensor, " B"]
    steps_left: Int[Tensor, " B"]
    clickbait: Float[Tensor, "B N"]

    @property
    def done(self) -> Bool[Tensor, " B"]:
        """Return whose session is over."""
        return self.steps_left <= 0


@dataclass(frozen=True)
class LongTermSatisfaction(Simulator[SatisfactionState]):
    """Each request offers `N` candidates between kale (0) and chocolate (1); users always take the first slot.

    - satisfaction is `σ(sensitivity · exposure)`
    - the item `c` taken earns `exp(N(μ_c · satisfaction, s_c))`, `μ_c = c μ_chocolate + (1 − c) μ_kale`, `s_c` alike
    - exposure becomes `memory · exposure − 2 (c − ½) + N(0, innovation)`

    Equal in distribution to `long_term_satisfaction.create_environment` of RecSim 0.2.4 (`benchmarks/speed`). Source:
    Ie et al. 2019, "RecSim: A Configurable Simulation Platform for Recommender Systems".

    Args:
        num_items: `N`, candidates a request.
        resample: whether candidates are new at every step.
        steps: of a session.
        memory: `memory`, in [0, 1).
        sensitivity: of satisfaction to exposure.
        innovation: standard deviation of the noise in exposure.
        chocolate_mean: log-engagement of pure clickbait at satisfaction 1.
        chocolate_deviation: its standard deviation.
        kale_mean: log-engagement of its opposite at satisfaction 1.
        kale_deviation: its standard deviation.

    Policies see a `SatisfactionContext`. Feedback: `click` (the first slot), `engagement` and `reward`, which is the
    engagement.
    """

    num_items: int = 10
    resample: bool = True
    steps: int = 60
    memory: float = 0.7
    sensitivity: float = 0.01
    innovation: float = 0.05
    chocolate_mean: float = 5.0
    chocolate_deviation: float = 1.0
    kale_mean: float = 4.0
    kale_deviation: float = 1.0

    def __post_init__(self) -> None:
        finite(sensitivity=self.sensitivity, chocolate_mean=self.chocolate_mean, kale_mean=self.kale_mean)
        at_least(1, num_items=self.num_items, steps=self.steps)
        below_one(memory=self.memory)
        at_least(
            0,
            innovation=self.innovation,
            chocolate_deviation=self.chocolate_deviation,
            kale_deviation=self.kale_deviation,
        )

    @override
    def reset(self, users: int, generator: torch.Generator) -> SatisfactionState:
        """Return fresh users: exposure uniform in `± ½ / (1 − memory)`, clickbait uniform in [0, 1]."""
        device = generator.device
        exposure = (torch.rand(users, generator=generator, device=device) - 0.5) / (1 - self.memory)
        left = torch.full((users,), self.steps, device=device)
        return SatisfactionState(exposure, left, self._clickbait(users, generator))

    @override
    def observe(self, state: SatisfactionState) -> SatisfactionContext:
        users, device = len(state.exposure), state.exposure.device
        nothing = Jagged.empty(users, device)
        return SatisfactionContext(torch.arange(users, device=device), nothing, nothing, clickbait=state.clickbait)

    @override
    def scores(self, state: SatisfactionState) -> Float[Tensor, "B N"]:
        """Return the mean log-engagement with each candidate now, whatever it costs later."""
        mean = state.clickbait * self.chocolate_mean + (1 - state.clickbait) * self.kale_mean
        return torch.sigmoid(self.sensitivity * state.exposure).unsqueeze(1) * mean

    @override
    def vectors(self, state: SatisfactionState, items: Int[Tensor, "B S"]) -> Float[Tensor, "B S 1"]:
        """Return how much of clickbait each shown candidate is."""
        return state.clickbait.gather(1, items.clamp(min=0)).unsqueeze(-1)

    @override
    def step(
        self, state: SatisfactionState, slates: Slates, generator: torch.Generator
    ) -> tuple[SatisfactionState, Feedback, Bool[Tensor, " B"]]:
        """Show each user one slate; a user who is shown nothing waits."""
        items = one_slate_each(slates, len(state.exposure))
        takes = (items[:, 0] >= 0) & ~state.done
        clickbait = state.clickbait.gather(1, items[:, :1].clamp(min=0)).squeeze(1)
        noise = torch.randn(2, len(items), generator=generator, device=items.device)
        mean = self.scores(state).gather(1, items[:, :1].clamp(min=0)).squeeze(1)
        deviation = clickbait * self.chocolate_deviation + (1 - clickbait) * self.kale_deviation
        engagement = (mean + deviation * noise[0]).exp()
        exposure = self.memory * state.exposure - 2 * (clickbait - 0.5) + self.innovation * noise[1]
        reward = torch.zeros(items.shape, device=items.device)
        reward[:, 0] = torch.where(takes, engagement, 0)
        after = SatisfactionState(
            torch.where(takes, exposure, state.exposure),
            state.steps_left - takes.long(),
            self._clickbait(len(items), generator) if self.resample else state.clickbait,
        )
        clicks = torch.zeros_like(items, dtype=torch.bool)
        clicks[:, 0] = takes
        return after, feedback(slates, clicks, reward, engagement=Channel(reward.unsqueeze(1))), after.done

    def _clickbait(self, users: int, generator: torch.Generator) -> Tensor:
        return torch.rand(users, self.num_items, generator=generator, device=generator.device)
