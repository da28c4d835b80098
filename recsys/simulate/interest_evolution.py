"""RecSim's interest evolution: watching a video changes both what one likes and how long one stays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot
from typing_extensions import override

from recsys.ranges import above, at_least
from recsys.simulate.choice_models import ChoiceModel, MultinomialProportional
from recsys.simulate.simulator import Simulator, feedback, one_slate_each
from recsys.types.context import Context
from recsys.types.feedback import Channel, ChannelKind, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

PROPORTIONAL = MultinomialProportional()


@dataclass(frozen=True, kw_only=True)
class InterestContext(Context):
    """What a policy sees of the users of `InterestEvolution`.

    Args:
        interests: `[B, T]`, in [−1, 1]: how much each user likes each topic.
        topics: `[B, N]`, the topic of each candidate.
    """

    interests: Float[Tensor, "B T"]
    topics: Int[Tensor, "B N"]


@dataclass(frozen=True)
class InterestState:
    """Where each user stands.

    Args:
        interests: `[B, T]`, in [−1, 1]: how much the user likes each topic.
        budget: `[B]`, minutes left.
        topics: `[B, N]`, the topic of each candidate.
        quality: `[B, N]`, of each candidate; None where candidates are new at every step, as no one sees it before a
            click.
    """

    interests: Float[Tensor, "B T"]
    budget: Float[Tensor, " B"]
    topics: Int[Tensor, "B N"]
    quality: Float[Tensor, "B N"] | None

    @property
    def done(self) -> Bool[Tensor, " B"]:
        """Return whose minutes are used up."""
        return self.budget <= 0


@dataclass(frozen=True)
class InterestEvolution(Simulator[InterestState]):
    """Each request offers `N` candidate videos of `T` topics; an item is a candidate's place among them.

    - score: the user's interest in the video's topic; `choice` makes at most one click of it
    - a click earns the minutes watched, `w = min(budget, length)`
    - interest `u` in its topic moves by `±.3 (1 − |u|)(1 − u)`, up with probability `(u + 1) / 2`, and stays in [−1, 1]
    - the budget falls by `w` and grows by `elasticity · w · quality`; without a click it falls by `penalty`
    - a video's quality is normal, deviation .1, around its topic's: evenly from −3 to 0 over the first seven tenths of
      the topics, evenly from 0 to 3 over the rest

    Equal in distribution to `interest_evolution.create_environment` of RecSim 0.2.4 (`benchmarks/speed`). Source: Ie et
    al. 2019, "SlateQ: A Tractable Decomposition for Reinforcement Learning with Recommendation Sets".

    Args:
        num_items: `N`, candidates a request.
        topics: `T`.
        resample: whether candidates are new at every step.
        budget: minutes a session starts with.
        length: minutes of a video.
        penalty: minutes that a slate without a click costs.
        elasticity: of the budget: how much of the minutes watched a video of quality 1 gives back.
        choice: how a user chooses.

    Policies see an `InterestContext`. Feedback: `click`, `watch_time` (s) and `reward`, which is the watch time in
    minutes.
    """

    num_items: int = 10
    topics: int = 20
    resample: bool = True
    budget: float = 200.0
    length: float = 4.0
    penalty: float = 0.5
    elasticity: float = 0.9 / 3.4
    choice: ChoiceModel = PROPORTIONAL

    def __post_init__(self) -> None:
        at_least(1, num_items=self.num_items, topics=self.topics)
        above(0, budget=self.budget, length=self.length)
        at_least(0, penalty=self.penalty, elasticity=self.elasticity)

    @override
    def reset(self, users: int, generator: torch.Generator) -> InterestState:
        """Return fresh users: interests uniform in [−1, 1], topics of candidates uniform."""
        device = generator.device
        interests = 2 * torch.rand(users, self.topics, generator=generator, device=device) - 1
        topics = self._topics(users, generator)
        quality = None if self.resample else self._quality(topics, generator)
        return InterestState(interests, torch.full((users,), self.budget, device=device), topics, quality)

    @override
    def observe(self, state: InterestState) -> InterestContext:
        users, device = len(state.budget), state.budget.device
        nothing = Jagged.empty(users, device)
        each = torch.arange(users, device=device)
        return InterestContext(each, nothing, nothing, interests=state.interests, topics=state.topics)

    @override
    def scores(self, state: InterestState) -> Float[Tensor, "B N"]:
        """Return each user's interest in each candidate's topic."""
        return state.interests.gather(1, state.topics)

    @override
    def vectors(self, state: InterestState, items: Int[Tensor, "B S"]) -> Float[Tensor, "B S T"]:
        """Return the topic of each shown candidate, one-hot."""
        return one_hot(state.topics.gather(1, items.clamp(min=0)), self.topics).float()

    @override
    def step(
        self, state: InterestState, slates: Slates, generator: torch.Generator
    ) -> tuple[InterestState, Feedback, Bool[Tensor, " B"]]:
        items = one_slate_each(slates, len(state.budget))
        shown = (items >= 0) & ~state.done.unsqueeze(1)
        topics = state.topics.gather(1, items.clamp(min=0))
        clicks = self.choice.sample(state.interests.gather(1, topics), shown, generator)
        clicked = clicks.any(1)
        slot = clicks.long().argmax(1, keepdim=True)
        topic = topics.gather(1, slot)
        if state.quality is None:
            quality = self._quality(topic, generator)
        else:
            quality = state.quality.gather(1, items.clamp(min=0).gather(1, slot))
        watched = state.budget.clamp(max=self.length)
        stays = state.budget - watched + self.elasticity * watched * quality.squeeze(1)
        budget = torch.where(clicked, stays, state.budget - self.penalty)
        moved = self._moved(state.interests.gather(1, topic), generator)
        interests = torch.where(clicked.unsqueeze(1), state.interests.scatter(1, topic, moved), state.interests)
        after = InterestState(
            interests,
            torch.where(state.done, state.budget, budget),
            self._topics(len(items), generator) if self.resample else state.topics,
            state.quality,
        )
        minutes = clicks * watched.unsqueeze(1)
        seconds = Channel(60 * minutes.unsqueeze(1), ChannelKind.SECONDS, "s")
        return after, feedback(slates, clicks, minutes, "min", watch_time=seconds), after.done

    def _moved(self, interest: Tensor, generator: torch.Generator) -> Tensor:
        update = 0.3 * (1 - interest.abs()) * (1 - interest)
        up = torch.rand(interest.shape, generator=generator, device=interest.device) < (interest + 1) / 2
        return (interest + torch.where(up, update, -update)).clamp(-1, 1)

    def _topics(self, users: int, generator: torch.Generator) -> Tensor:
        size = (users, self.num_items)
        return torch.randint(self.topics, size, generator=generator, device=generator.device)

    def _quality(self, topics: Tensor, generator: torch.Generator) -> Tensor:
        low = int(0.7 * self.topics)
        means = torch.cat([torch.linspace(-3, 0, low), torch.linspace(0, 3, self.topics - low)]).to(topics.device)
        return means[topics] + 0.1 * torch.randn(topics.shape, generator=generator, device=topics.device)
