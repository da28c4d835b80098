"""A simulator of users who seek novelty or familiarity, by nature and by session."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize
from typing_extensions import override

from recsys.metrics.diversity import distance_to_history
from recsys.ranges import at_least, finite, is_seed, within
from recsys.simulate.choice_models import ChoiceModel, MultinomialLogit
from recsys.simulate.planted_groups import with_clicked
from recsys.simulate.simulator import PlantedTruth, Simulator, feedback, one_slate_each
from recsys.types.feedback import Channel, ChannelKind, Feedback
from recsys.types.jagged import Jagged
from recsys.types.session_context import SessionContext
from recsys.types.slates import Slates

LOGIT = MultinomialLogit(no_click=8.0)
NUMBERS_AT_ONCE = 2**24
"""Size of the largest table on the way to a row of scores."""


@dataclass(frozen=True)
class NoveltyState:
    """Where each user stands.

    Args:
        taste: `[B, D]`, unit vectors.
        key: `[B]`, of the user's own luck with each item.
        profile: `[B, P]`.
        static: `[B]`, `α`, the lasting intent.
        dynamic: `[B]`, `β`, the intent of the session.
        lowest: `[B]`, least utility of an item when the user came.
        spread: `[B]`, largest utility less the least, when the user came.
        recent: `[B, H]`, the last items consumed, the latest last; −1 before the first.
        recent_sessions: `[B, H]`, in which session, from 1; 0 for what a user came with, −1 before the first.
        shown: `[B]`, slates seen.
        steps_left: `[B]`.
    """

    taste: Float[Tensor, "B D"]
    key: Int[Tensor, " B"]
    profile: Float[Tensor, "B P"]
    static: Float[Tensor, " B"]
    dynamic: Float[Tensor, " B"]
    lowest: Float[Tensor, " B"]
    spread: Float[Tensor, " B"]
    recent: Int[Tensor, "B H"]
    recent_sessions: Int[Tensor, "B H"]
    shown: Int[Tensor, " B"]
    steps_left: Int[Tensor, " B"]

    @property
    def done(self) -> Bool[Tensor, " B"]:
        """Return whose last session is over."""
        return self.steps_left <= 0


class NoveltySeeking(Simulator[NoveltyState], PlantedTruth):
    """Users whose intent says whether what is new to them is worth more or less.

    - utility of item `i` to user `u`: `taste · cos(e_u, v_i) + b_i + ε_ui + intent · (α_u + β_us) · novelty`, where the
      novelty is `1 − max cos(v_i, v_j)` over the last `window` items `j` that the user consumed
    - `α_u`, normal with deviation `static`, lasts; a share `known` of its variance follows from the profile
    - `β_us`, normal with deviation `dynamic`, is that of session `s`; `β_s = ρ β_{s−1} + √(1 − ρ²) ε` with `ρ` the
      `persistence`; with `common` it is the same for all users
    - `b_i` is normal with deviation `popularity`, `ε_ui` with deviation `luck`
    - utilities are scaled user by user, so that those of the catalogue lay in [0, 1] when the user came; `sharpness`
      times the scaled utility is what `choice` is given
    - a user comes with the `initial` items of the highest utility without intent as history, and stays for `sessions`
      of `session_steps` slates

    Rows of utilities are computed where they are asked for: no table of users by items is kept, `ε_ui` is a hash. An
    item's vector is a normal draw around a common mean of `common_mean` deviations a coordinate, normalised: with 0,
    items lie in all directions, with √3 their cosines have the mean ¾ of vectors with coordinates uniform in (0, 1).

    Policies see a `SessionContext`. Feedback: `click` and `reward`, 1 for the item consumed; `novelty` of each item
    that was shown. `truth` tells the intent `α_u + β_us`, which policies do not see.

    Source: Li, Wang, Chi, Chen 2023 (arXiv 2306.01476), as far as their released code shows the world; what was wrong
    with that code is in docs/papers.md.

    Args:
        num_items: `N`.
        width: `D`, of the vectors.
        common_mean: of the coordinates of items' and users' vectors, in standard deviations.
        taste: factor of the cosine of user and item.
        popularity: standard deviation of `b_i`.
        luck: standard deviation of `ε_ui`.
        intent: factor of both intents; 0 makes a world in which they have no effect.
        static: standard deviation of `α_u`.
        dynamic: standard deviation of `β_us`.
        persistence: `ρ`, in [−1, 1].
        common: whether all users of a step have one `β`.
        known: share of the variance of `α_u` that the profile tells, in [0, 1].
        profile: `P`, numbers of a profile, independent standard normal.
        sessions: of a user.
        session_steps: slates of a session.
        window: items that novelty looks back on.
        recent: `H`, consumed items that policies see as history, at least `window`.
        initial: items of the history that a user comes with, at most `recent` and `num_items`.
        sharpness: of the choice.
        choice: how a user chooses.
        seed: of items, and of what a profile means.

    Attributes:
        items: `[N, D]`, unit vectors.
        popularities: `[N]`, `b_i`.
        meaning: `[P]`, unit vector: the direction of a profile that tells `α_u`.
    """

    def __init__(
        self,
        num_items: int = 1000,
        width: int = 16,
        common_mean: float = 0.0,
        taste: float = 1.0,
        popularity: float = 0.2,
        luck: float = 0.1,
        intent: float = 2.0,
        static: float = 1.0,
        dynamic: float = 1.0,
        persistence: float = 0.8,
        common: bool = False,
        known: float = 0.5,
        profile: int = 8,
        sessions: int = 10,
        session_steps: int = 5,
        window: int = 10,
        recent: int = 50,
        initial: int = 10,
        sharpness: float = 10.0,
        choice: ChoiceModel = LOGIT,
        seed: int = 0,
    ) -> None:
        is_seed(seed=seed)
        at_least(1, num_items=num_items, width=width, profile=profile, sessions=sessions, session_steps=session_steps)
        at_least(1, window=window)
        at_least(window, recent=recent)
        within(0, min(recent, num_items), initial=initial)
        at_least(0, popularity=popularity, luck=luck, static=static, dynamic=dynamic)
        at_least(0, common_mean=common_mean, sharpness=sharpness)
        within(-1, 1, persistence=persistence)
        within(0, 1, known=known)
        finite(taste=taste, intent=intent)
        generator = torch.Generator().manual_seed(seed)
        self.num_items = num_items
        self.items = normalize(torch.randn(num_items, width, generator=generator) + common_mean, dim=1)
        self.popularities = popularity * torch.randn(num_items, generator=generator)
        self.meaning = normalize(torch.randn(profile, generator=generator), dim=0)
        self.common_mean = common_mean
        self.taste = taste
        self.luck = luck
        self.intent = intent
        self.static = static
        self.dynamic = dynamic
        self.persistence = persistence
        self.common = common
        self.known = known
        self.sessions = sessions
        self.session_steps = session_steps
        self.window = window
        self.recent = recent
        self.initial = initial
        self.sharpness = sharpness
        self.choice = choice

    @override
    def reset(self, users: int, generator: torch.Generator) -> NoveltyState:
        device = generator.device
        taste = normalize(
            torch.randn(users, self.items.shape[1], generator=generator, device=device) + self.common_mean, dim=1
        )
        key = torch.randint(2**31, (users,), generator=generator, device=device)
        profile = torch.randn(users, len(self.meaning), generator=generator, device=device)
        rest = torch.randn(users, generator=generator, device=device)
        told = profile @ self.meaning.to(device)
        static = self.static * (math.sqrt(self.known) * told + math.sqrt(1 - self.known) * rest)
        nothing = torch.full((users, self.recent), -1, device=device)
        zeros = torch.zeros(users, device=device)
        state = NoveltyState(
            taste,
            key,
            profile,
            static,
            self.dynamic * self._drawn(users, generator),
            zeros,
            zeros + 1,
            nothing,
            nothing,
            torch.zeros(users, dtype=torch.int64, device=device),
            torch.full((users,), self.sessions * self.session_steps, device=device),
        )
        return self._settled(state)

    @override
    def observe(self, state: NoveltyState) -> SessionContext:
        """Return requests with the latest items consumed as history and nothing excluded."""
        users, device = len(state.key), state.key.device
        known = state.recent >= 0
        session = self._session(state)
        return SessionContext(
            torch.arange(users, device=device),
            Jagged.from_lengths(state.recent[known], known.sum(1)),
            Jagged.empty(users, device),
            profile=state.profile,
            session=session,
            step=state.shown - (session - 1) * self.session_steps,
            history_sessions=state.recent_sessions,
        )

    @override
    def scores(self, state: NoveltyState) -> Float[Tensor, "B N"]:
        """Return the scaled utility of every item."""
        return torch.cat([self._scaled(part, self._utilities(part)) for part in self._parts(state)])

    @override
    def vectors(self, state: NoveltyState, items: Int[Tensor, "B S"]) -> Float[Tensor, "B S D"]:
        """Return the vectors of the shown items."""
        return self._items(state)[items.clamp(min=0)]

    @override
    def step(
        self, state: NoveltyState, slates: Slates, generator: torch.Generator
    ) -> tuple[NoveltyState, Feedback, Bool[Tensor, " B"]]:
        items = one_slate_each(slates, len(state.key))
        shown = (items >= 0) & ~state.done.unsqueeze(1)
        vectors, novelty = self.vectors(state, items), self.novelty(state, items)
        utility = self._without_intent(state, items.clamp(min=0), vectors) + self._intent(state) * novelty
        clicks = self.choice.sample(self.sharpness * self._scaled(state, utility), shown, generator)
        seen = state.shown + (~state.done).long()
        fresh = self.dynamic * self._drawn(len(items), generator)
        moved = self.persistence * state.dynamic + math.sqrt(1 - self.persistence**2) * fresh
        begins = (seen % self.session_steps == 0) & ~state.done
        session = self._session(state).unsqueeze(1).expand_as(items)
        after = NoveltyState(
            state.taste,
            state.key,
            state.profile,
            state.static,
            torch.where(begins, moved, state.dynamic),
            state.lowest,
            state.spread,
            with_clicked(state.recent, items, clicks),
            with_clicked(state.recent_sessions, session, clicks),
            seen,
            (state.steps_left - 1).clamp(min=0),
        )
        found = Channel((novelty * shown).unsqueeze(1), ChannelKind.NUMBER)
        return after, feedback(slates, clicks, clicks.to(utility.dtype), novelty=found), after.done

    @override
    def truth(self, state: NoveltyState) -> Mapping[str, Float[Tensor, " B"]]:
        """Return `intent`: `α_u + β_us` of the session of the next slate, without the factor and without a unit."""
        return {"intent": state.static + state.dynamic}

    def novelty(self, state: NoveltyState, items: Int[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        """Return how new each shown item is to its user now, in [0, 2]; anything where the slot is empty."""
        recent = state.recent[:, -self.window :]
        return distance_to_history(self.vectors(state, items), self.vectors(state, recent), recent >= 0)

    def _settled(self, state: NoveltyState) -> NoveltyState:
        """Return fresh users with the history that they come with, and the scale of their utilities."""
        recent, lowest, spread = [], [], []
        every = torch.arange(self.num_items, device=state.key.device)
        for part in self._parts(state):
            liked = self._without_intent(part, every, self._items(state)).topk(self.initial, dim=1).indices
            had = torch.cat([part.recent[:, self.initial :], liked.flip(1)], 1)
            least, most = self._utilities(replace(part, recent=had)).aminmax(dim=1)
            recent.append(had)
            lowest.append(least)
            spread.append(torch.where(most > least, most - least, 1.0))
        had = torch.cat(recent)
        sessions = torch.where(had >= 0, 0, -1)
        return replace(state, recent=had, recent_sessions=sessions, lowest=torch.cat(lowest), spread=torch.cat(spread))

    def _parts(self, state: NoveltyState) -> list[NoveltyState]:
        """Return the users in so few at a time that tables of all items are small."""
        rows = max(1, NUMBERS_AT_ONCE // (self.num_items * self.window))
        parts = [getattr(state, field.name).split(rows) for field in fields(state)]
        return [NoveltyState(*part) for part in zip(*parts, strict=True)]

    def _utilities(self, state: NoveltyState) -> Float[Tensor, "B N"]:
        every = torch.arange(self.num_items, device=state.key.device)
        vectors, recent = self._items(state), state.recent[:, -self.window :]
        novelty = distance_to_history(vectors.unsqueeze(0), self.vectors(state, recent), recent >= 0)
        return self._without_intent(state, every, vectors) + self._intent(state) * novelty

    def _without_intent(
        self, state: NoveltyState, items: Int[Tensor, "... K"], vectors: Float[Tensor, "... K D"]
    ) -> Float[Tensor, "B K"]:
        """Return `taste · cos(e_u, v_i) + b_i + ε_ui`."""
        same = vectors.ndim == 2
        cosine = state.taste @ vectors.mT if same else (vectors @ state.taste.unsqueeze(-1)).squeeze(-1)
        own = self.luck * hashed_normal(state.key.unsqueeze(1), items)
        return self.taste * cosine + self.popularities.to(state.key.device)[items] + own

    def _intent(self, state: NoveltyState) -> Float[Tensor, "B 1"]:
        return self.intent * (state.static + state.dynamic).unsqueeze(1)

    def _scaled(self, state: NoveltyState, utility: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        return (utility - state.lowest.unsqueeze(1)) / state.spread.unsqueeze(1)

    def _session(self, state: NoveltyState) -> Int[Tensor, " B"]:
        """Return the number of the session of the next slate, from 1; that of the last one when it is over."""
        return torch.div(state.shown, self.session_steps, rounding_mode="floor").clamp(max=self.sessions - 1) + 1

    def _drawn(self, users: int, generator: torch.Generator) -> Float[Tensor, " B"]:
        """Return standard normal draws of each user, or one for all."""
        drawn = torch.randn(1 if self.common else users, generator=generator, device=generator.device)
        return drawn.expand(users)

    def _items(self, state: NoveltyState) -> Float[Tensor, "N D"]:
        return self.items.to(state.key.device)


def item_vectors(simulator: NoveltySeeking) -> Float[Tensor, "N D"]:
    """Return the unit vectors of the simulator's items, for policies that are configured apart from it."""
    return simulator.items


def hashed_normal(first: Int[Tensor, "*#shape"], second: Int[Tensor, "*#shape"]) -> Float[Tensor, "*shape"]:
    """Return a standard normal number for each pair of integers, always the same for the same pair.

    Bits are mixed by the finaliser of SplitMix64 (Steele, Lea, Flood 2014), 23 of them are a uniform number.

    Args:
        first: below 2³¹.
        second: below 2³¹; broadcast against `first`.
    """
    mixed = (first << 32) | second
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    mixed = mixed ^ ((mixed >> 31) & ((1 << 33) - 1))
    uniform = ((mixed & 0x7FFFFF).float() + 0.5) / 2**23
    return torch.special.ndtri(uniform)
