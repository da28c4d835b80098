"""A simulator whose items lie in groups around a sphere, and whose users move among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.nn.affinity import negative_distance
from recsys.ranges import at_least, is_seed
from recsys.simulate.choice_models import ChoiceModel, MultinomialLogit
from recsys.simulate.dynamics import Dynamics, GammaLinear
from recsys.simulate.simulator import Simulator, feedback, one_slate_each
from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

LINEAR, LOGIT = GammaLinear(), MultinomialLogit()


@dataclass(frozen=True)
class PlantedState:
    """Where each user stands.

    Args:
        hidden: `[B, D]`, of the dynamics; no policy sees it.
        steps_left: `[B]`.
        recent: `[B, H]`, the last items clicked, the latest last; −1 before the first.
    """

    hidden: Float[Tensor, "B D"]
    steps_left: Int[Tensor, " B"]
    recent: Int[Tensor, "B H"]

    @property
    def done(self) -> Bool[Tensor, " B"]:
        """Return whose session is over."""
        return self.steps_left <= 0


class PlantedGroups(Simulator[PlantedState]):
    """Known items, known users: what a learner should recover, and what the best slate is.

    Group centres lie in uniform directions at radius `.1 + .7 U`; an item is its centre plus `N(0, spread²)`; a user
    starts at `N(0, start²)`, scores items by `affinity` and clicks as `choice` says; `dynamics` moves the user.
    Policies see a plain `Context`, whose history is the latest clicks. Feedback: `click` and `reward`, 1 for a click.
    Source of the constants: the simulator of Eide, Leslie, Frigessi 2022 (docs/papers.md).

    Args:
        num_items: `N`.
        groups: how many; item `i` is of group `i mod groups`.
        width: `D`.
        spread: of a group's items around its centre.
        start: standard deviation of where users start.
        sharpness: factor of the affinity before choice.
        affinity: of users and items.
        choice: how a user chooses.
        dynamics: how users move.
        steps: of a session.
        recent: `H`, clicked items that policies see as history.
        seed: of the items.

    Attributes:
        items: `[N, D]`, the planted vectors.
        group: `[N]`, the planted group of each item.
    """

    def __init__(
        self,
        num_items: int = 1000,
        groups: int = 20,
        width: int = 8,
        spread: float = 0.1,
        start: float = 0.5,
        sharpness: float = 1.0,
        affinity: Callable[[Tensor, Tensor], Tensor] = negative_distance,
        choice: ChoiceModel = LOGIT,
        dynamics: Dynamics = LINEAR,
        steps: int = 20,
        recent: int = 50,
        seed: int = 0,
    ) -> None:
        is_seed(seed=seed)
        at_least(1, num_items=num_items, groups=groups, width=width, steps=steps, recent=recent)
        at_least(0, spread=spread, start=start, sharpness=sharpness)
        generator = torch.Generator().manual_seed(seed)
        direction = torch.nn.functional.normalize(torch.randn(groups, width, generator=generator), dim=1)
        centres = direction * (0.1 + 0.7 * torch.rand(groups, 1, generator=generator))
        self.num_items = num_items
        self.group = group_of(num_items, groups)
        self.items = centres[self.group] + spread * torch.randn(num_items, width, generator=generator)
        self.start = start
        self.sharpness = sharpness
        self.affinity = affinity
        self.choice = choice
        self.dynamics = dynamics
        self.steps = steps
        self.recent = recent

    @override
    def reset(self, users: int, generator: torch.Generator) -> PlantedState:
        device = generator.device
        hidden = self.start * torch.randn(users, self.items.shape[1], generator=generator, device=device)
        left = torch.full((users,), self.steps, device=device)
        return PlantedState(hidden, left, torch.full((users, self.recent), -1, device=device))

    @override
    def observe(self, state: PlantedState) -> Context:
        """Return requests with the latest clicks as history and nothing excluded."""
        users, device = len(state.hidden), state.hidden.device
        known = state.recent >= 0
        history = Jagged.from_lengths(state.recent[known], known.sum(1))
        return Context(torch.arange(users, device=device), history, Jagged.empty(users, device))

    @override
    def scores(self, state: PlantedState) -> Float[Tensor, "B N"]:
        """Return what the choice model would be given for every item."""
        return self.sharpness * self.affinity(self.dynamics.position(state.hidden), self._items(state))

    @override
    def vectors(self, state: PlantedState, items: Int[Tensor, "B S"]) -> Float[Tensor, "B S D"]:
        """Return the planted vectors of the shown items."""
        return self._items(state)[items.clamp(min=0)]

    @override
    def step(
        self, state: PlantedState, slates: Slates, generator: torch.Generator
    ) -> tuple[PlantedState, Feedback, Bool[Tensor, " B"]]:
        items = one_slate_each(slates, len(state.hidden))
        shown = (items >= 0) & ~state.done.unsqueeze(1)
        vectors = self.vectors(state, items)
        scores = self.sharpness * self.affinity(self.dynamics.position(state.hidden), vectors)
        clicks = self.choice.sample(scores, shown, generator)
        after = PlantedState(
            self.dynamics.move(state.hidden, vectors, shown, clicks),
            (state.steps_left - 1).clamp(min=0),
            with_clicked(state.recent, items, clicks),
        )
        return after, feedback(slates, clicks, clicks.to(scores.dtype)), after.done

    def _items(self, state: PlantedState) -> Tensor:
        return self.items.to(state.hidden.device)


def group_of(num_items: int, groups: int) -> Int[Tensor, " N"]:
    """Return the group of each item.

    >>> group_of(5, 2)
    tensor([0, 1, 0, 1, 0])
    """
    at_least(1, num_items=num_items, groups=groups)
    return torch.arange(num_items) % groups


def with_clicked(
    recent: Int[Tensor, "B H"], items: Int[Tensor, "B S"], clicks: Bool[Tensor, "B S"]
) -> Int[Tensor, "B H"]:
    """Append clicked items in slot order; the oldest make room.

    >>> with_clicked(torch.tensor([[-1, 4, 5]]), torch.tensor([[7, 8, 9]]), torch.tensor([[True, False, True]]))
    tensor([[5, 7, 9]])
    """
    longer = torch.cat([recent, items.masked_fill(~clicks, -1)], 1)
    order = (longer >= 0).long().argsort(dim=1, stable=True)
    return longer.gather(1, order)[:, -recent.shape[1] :]
