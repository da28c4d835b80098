"""A world of two states, two actions and at most three steps, all of whose episodes can be listed.

Rewards are a number plus a coin, episodes may end after every step, and the logging policy depends on the step and on
the action before: on the history, not on the state alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recsys.replay.episodes.batch import EpisodeBatch

HORIZON = 3


def numbers(*rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


FIRST = numbers(0.6, 0.4)
LOGGING = numbers([[0.3, 0.7], [0.6, 0.4]], [[0.5, 0.5], [0.2, 0.8]])
TARGET = numbers([0.9, 0.1], [0.25, 0.75])
NEXT = numbers([[0.5, 0.2], [0.1, 0.7]], [[0.3, 0.6], [0.55, 0.25]])
REWARD = numbers([0.2, 1.0], [-0.5, 0.4])
COIN = numbers([0.5, 0.1], [0.8, 0.3])


@dataclass(frozen=True)
class Listed:
    """Every episode and its probability."""

    episodes: EpisodeBatch
    probability: Tensor


def logging(step: int, before: int, state: int) -> Tensor:
    chance = LOGGING[before, state]
    return (chance + numbers(*[0.05 * step, -0.05 * step])).clamp(0.05, 0.95)


def listed(horizon: int = HORIZON, cut: float = 0.0, only: int | None = None) -> Listed:
    """All episodes that can be.

    Args:
        horizon: steps at most.
        cut: share of those that go on after the first step that are cut off one step later.
        only: the one action that the logging policy takes in state 1.
    """
    found: list[tuple[list[tuple[float, ...]], float, bool]] = []

    def go(steps: list[tuple[float, ...]], chance: float, state: int, left: int) -> None:
        before = int(steps[-1][1]) if steps else 0
        for action in range(2):
            taken = float(logging(len(steps), before, state)[action])
            if only is not None and state == 1:
                taken = float(action == only)
            if taken == 0:
                continue
            for coin in (0, 1):
                luck = float(COIN[state, action] if coin else 1 - COIN[state, action])
                reward = float(REWARD[state, action]) + coin
                now = [*steps, (state, action, reward, taken)]
                reached = chance * taken * luck
                if left == 1:
                    found.append((now, reached, cut == 0 or len(now) == horizon))
                    continue
                found.append((now, reached * float(1 - NEXT[state, action].sum()), True))
                for onward in range(2):
                    on = reached * float(NEXT[state, action, onward])
                    if cut and len(now) == 1:
                        go(now, on * cut, onward, 1)
                        on *= 1 - cut
                    go(now, on, onward, left - 1)

    for state in range(2):
        go([], float(FIRST[state]), state, horizon)
    steps = numbers(*[[*rows, *[(0, 0, 0, 1)] * (horizon - len(rows))] for rows, _, _ in found])
    mask = torch.tensor([[step < len(rows) for step in range(horizon)] for rows, _, _ in found])
    state, action = steps[..., 0].long(), steps[..., 1].long()
    episodes = EpisodeBatch(
        reward=steps[..., 2],
        logging=steps[..., 3],
        target=TARGET[state, action],
        mask=mask,
        done=torch.tensor([done for _, _, done in found]),
        action=action,
        context=torch.nn.functional.one_hot(state * horizon + torch.arange(horizon), 2 * horizon).double(),
        target_all=TARGET[state],
    )
    return Listed(episodes, numbers(*[chance for _, chance, _ in found]))


def states(episodes: EpisodeBatch) -> Tensor:
    """`[n, T]`, which of the two states each step is in, read from the one-hot context; its first half is state 0's."""
    context = episodes.need("context")
    return context.argmax(-1) // (context.shape[-1] // 2)


def worth(discount: float, horizon: int = HORIZON) -> tuple[Tensor, Tensor]:
    """`q [T, S, A]` and `v [T, S]` of the target policy, by going backwards."""
    values, later = [], torch.zeros(2, dtype=torch.float64)
    for _ in range(horizon):
        values.append(REWARD + COIN + discount * NEXT @ later)
        later = (TARGET * values[-1]).sum(-1)
    q = torch.stack(values[::-1])
    return q, (TARGET * q).sum(-1)


def truth(discount: float, horizon: int = HORIZON) -> float:
    return float(FIRST @ worth(discount, horizon)[1][0])


def modelled(listed: Listed, q: Tensor) -> Listed:
    """With the predictions of `q [T, S, A]`."""
    episodes = listed.episodes
    step = torch.arange(q.shape[0])
    predicted = q[step, states(episodes), episodes.action]
    expected = (TARGET * q).sum(-1)[step, states(episodes)]
    return replace(listed, episodes=replace(episodes, predicted=predicted, expected=expected))


def wrong(horizon: int = HORIZON) -> Tensor:
    """A model that is far off."""
    return torch.linspace(-2.0, 3.0, horizon * 4, dtype=torch.float64).view(horizon, 2, 2)


def at_expectation(estimator: object, listed: Listed) -> float:
    """The estimate from the expectation of its terms: its own expectation if linear, its limit if not."""
    return float(estimator.value(listed.probability @ estimator.terms(listed.episodes)))


def over_pairs(estimator: object, listed: Listed) -> float:
    """The expectation of the estimate over all logs of two episodes."""
    terms = estimator.terms(listed.episodes)
    estimates = estimator.value(terms.unsqueeze(0) + terms.unsqueeze(1))
    return float(listed.probability @ estimates @ listed.probability)
