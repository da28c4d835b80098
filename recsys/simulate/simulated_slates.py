"""A log of slates from a planted world, with what was true of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.data.slate_log import SlateLog
from recsys.data.slate_source import SlateTables
from recsys.data.slates import Slates
from recsys.errors import ConfigurationError
from recsys.simulate.choice.single import SingleChoice
from recsys.simulate.planted_groups import PlantedGroups


@dataclass(frozen=True)
class Played:
    """`U` users with `T` slates each.

    Args:
        slates: `[U, T, S]`, −1 in empty slots.
        click: `[U, T]`, the slot clicked, −1 where none was.
        search: `[U, T]`, true where the user searched.
        truth: `[U, T, S + 1]`, probability of a click on each slot and then of none, as the world had it.
    """

    slates: Int[Tensor, "U T S"]
    click: Int[Tensor, "U T"]
    search: Bool[Tensor, "U T"]
    truth: Float[Tensor, "U T S1"]


@dataclass(frozen=True)
class SimulatedSlates:
    """Users who search, and are recommended what a crude policy likes to show.

    A search shows items near where the user stands: drawn without replacement by `exp(nearness · score)`. A
    recommendation draws item `i` by `(1 + i) ** −popular`, whoever asks. Slates have between `shortest` and `longest`
    items, all lengths alike. Shares and lengths: after the simulator of Eide, Leslie, Frigessi 2022 (70 % search, 5 to
    24 items).

    Args:
        simulator: the world; its users choose one item or none.
        users: `U`; each has a session of the world's length.
        shortest: items of a slate at least.
        longest: at most.
        search: share of searches, in [0, 1].
        nearness: how much a search knows; 0 shows anything.
        popular: how unequally recommendations show items; 0 shows all alike.
        seed: of users, slates and clicks.
    """

    simulator: PlantedGroups
    users: int = 2000
    shortest: int = 5
    longest: int = 24
    search: float = 0.7
    nearness: float = 1.0
    popular: float = 1.0
    seed: int = 0

    def slates(self) -> SlateTables:
        """See `SlateSource.slates`."""
        played = self.played
        shown, steps = played.slates >= 0, played.slates.shape[1]
        request = torch.arange(self.users * steps)
        rows = pl.DataFrame(
            {
                "request_id": request.numpy(),
                "user_id": (request // steps).numpy(),
                "timestamp": (request % steps).numpy(),
                "slate": [slate[here].tolist() for slate, here in zip(_rows(played.slates), _rows(shown), strict=True)],
                "clicks": [[slot] if slot >= 0 else [] for slot in played.click.flatten().tolist()],
                "source": ["search" if one else "recommendation" for one in played.search.flatten().tolist()],
            },
            schema_overrides={"clicks": pl.List(pl.Int64)},
        )
        items = pl.DataFrame({"item_id": range(self.simulator.num_items), "group": self.simulator.group.numpy()})
        content = b"".join(part.numpy().tobytes() for part in (played.slates, played.click))
        mark = hashlib.sha256(content).hexdigest()
        return SlateTables(rows.lazy(), "simulated", mark, items.lazy(), group="group", timed=False)

    def click_probability(self, log: SlateLog) -> Float[Tensor, "R S1"]:
        """True probability of a click on each slot and then of none, for the impressions of a log of this source.

        Raises:
            ConfigurationError: the log is of another source.
        """
        if log.requests.get_column("request_id").to_list() != list(range(self.users * self.simulator.steps)):
            raise ConfigurationError(f"{log.name}: these are not the impressions that this world made")
        return self.played.truth.flatten(0, 1)

    def item_vectors(self, log: SlateLog) -> Float[Tensor, "N D"]:
        """True vectors of a log's items, in the scale in which scores are distances or products."""
        ids = torch.from_numpy(log.items.get_column("item_id").to_numpy().copy())
        return self.simulator.sharpness * self.simulator.items[ids]

    @cached_property
    def played(self) -> Played:
        """What happened; equal for equal arguments."""
        world, generator = self.simulator, torch.Generator().manual_seed(self.seed)
        if not isinstance(world.choice, SingleChoice):
            raise ConfigurationError(f"{type(world.choice).__name__}: a log needs users who choose one item or none")
        state = world.reset(self.users, generator)
        liked = -self.popular * torch.arange(1, world.num_items + 1).log()
        steps = []
        for _ in range(world.steps):
            scores = world.scores(state)
            search = torch.rand(self.users, generator=generator) < self.search
            weight = torch.where(search.unsqueeze(1), self.nearness * scores, liked)
            gumbel = -torch.empty_like(scores).exponential_(generator=generator).log()
            items = (weight + gumbel).topk(self.longest).indices
            length = torch.randint(self.shortest, self.longest + 1, (self.users, 1), generator=generator)
            items = items.where(torch.arange(self.longest) < length, -1)
            shown = scores.gather(1, items.clamp(min=0))
            truth = world.choice.choice_log_prob(shown, items >= 0).exp()
            slates = Slates(items.unsqueeze(1), torch.zeros(self.users, 1, self.longest))
            state, answer = world.step(state, slates, generator)
            clicked = answer.reward[:, 0] > 0
            click = torch.where(clicked.any(1), clicked.long().argmax(1), -1)
            steps.append((items, click, search, truth))
        return Played(*(torch.stack(part, 1) for part in zip(*steps, strict=True)))


def _rows(values: Tensor) -> Tensor:
    return values.flatten(0, 1)
