"""In-slate Thompson sampling over a shortlist against a loop over users and slots."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from harness import Result, alternate, compare
from recsys.policies.bandits.posteriors import LinearPosterior
from recsys.policies.bandits.thompson import InSlateThompson
from recsys.types.context import Context
from recsys.types.jagged import Jagged

USERS, SHORTLIST, SLOTS, WIDTH, POOL, BATCHES = 32, 500, 10, 64, 128, 10


class Shortlists:
    """Each user's shortlisted items: their features."""

    width = WIDTH

    def __init__(self) -> None:
        self.vectors = torch.randn(USERS, SHORTLIST, WIDTH, generator=torch.Generator().manual_seed(0))

    def __call__(self, context: Context) -> torch.Tensor:
        """`[B, N, F]`; requests are those of all users, in order."""
        return self.vectors


def run(rounds: int) -> list[Result]:
    """A draw a slot, with and without propensities; under the same draws both sides fill the same slates."""
    posterior = LinearPosterior(Shortlists(), SHORTLIST, prior=0.3, pool=POOL)
    policy, generator = InSlateThompson(posterior), torch.Generator().manual_seed(0)
    context = Context(torch.arange(USERS), Jagged.empty(USERS), Jagged.empty(USERS))
    vectors = posterior.features.vectors.numpy()
    check(policy, context, vectors)
    covariance, rng = posterior.precision.inverse().numpy(), np.random.default_rng(0)

    def loop() -> None:
        for user in range(USERS):
            slate(vectors[user], lambda slot: rng.multivariate_normal(np.zeros(WIDTH), covariance))

    def draw() -> object:
        return policy.draw(context, SLOTS, generator)

    def propensities() -> object:
        return policy.sample(context, 1, SLOTS, generator)

    # One batch is over in a millisecond, of which half is spent on caches that the loop's turn left cold: in the first
    # case each side fills several batches a turn, in the second one alone.
    ways = {
        f"slates alone, {BATCHES} batches a turn": (draw, BATCHES, 100.0),
        "slates alone": (draw, 1, None),
        "with propensities": (propensities, 1, None),
    }
    return [
        compare(
            alternate({"ours": repeated(call, batches), "loop": repeated(loop, batches)}, rounds),
            "loop",
            benchmark="in-slate Thompson sampling",
            case=f"{USERS} users, {SHORTLIST} shortlisted, {SLOTS} slots, {way}",
            goal=goal,
            checked="the same slates under the same draws",
        )
        for way, (call, batches, goal) in ways.items()
    ]


def repeated(call: Callable[[], object], times: int) -> Callable[[], None]:
    """The call, some times over."""

    def several() -> None:
        for _ in range(times):
            call()

    return several


def slate(vectors: np.ndarray, weights: Callable[[int], np.ndarray]) -> list[int]:
    """One user's slate, slot by slot, as one would write it by hand."""
    taken: list[int] = []
    for slot in range(SLOTS):
        scores = vectors @ weights(slot)
        scores[taken] = -np.inf
        taken.append(int(scores.argmax()))
    return taken


def check(policy: InSlateThompson, context: Context, vectors: np.ndarray) -> None:
    """Both sides fill the same slates from the same draws.

    Raises:
        AssertionError: they do not.
    """
    items = policy.draw(context, SLOTS, torch.Generator().manual_seed(1)).tolist()
    which = torch.randint(POOL, (USERS, SLOTS), generator=torch.Generator().manual_seed(1))
    drawn = policy.posterior.draws[which].float().numpy()
    for user, own in enumerate(items):
        if own != slate(vectors[user], lambda slot, user=user: drawn[user, slot]):
            raise AssertionError(f"user {user}: the two sides fill other slates under the same draws")
