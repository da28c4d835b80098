"""Small worlds of which every log is listed: what is expected of an estimator is a sum, and what it ought to be too.

Three requests, alike probable; the last is answered with a slot less. Probabilities of slates are random tables, so
that nothing that is tested made them. Probabilities of prefixes, slots and the like are summed from the tables here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations, product

import torch
from torch import Tensor

from recsys.replay.slates.batch import SlateBatch
from recsys.replay.slates.distribution import ListedSlates
from recsys.replay.slates.pseudo_inverse import pseudo_inverse

Slate = tuple[int, ...]
REQUESTS = 3
EXAMINATION = (0.9, 0.5, 0.2)


@dataclass(frozen=True)
class World:
    """Slates of each request, how probable either policy makes them, and what their slots earn on average."""

    num_items: int
    slots: int
    slates: list[list[Slate]]
    logging: list[dict[Slate, float]]
    target: list[dict[Slate, float]]
    mean: list[dict[Slate, list[float]]]

    @property
    def truth(self) -> float:
        """What the target policy earns."""
        return self.earned_by(self.target)

    @property
    def logged(self) -> float:
        """What the logging policy earns."""
        return self.earned_by(self.logging)

    def earned_by(self, policy: list[dict[Slate, float]]) -> float:
        return sum(
            policy[request][slate] * sum(self.mean[request][slate])
            for request in range(REQUESTS)
            for slate in self.slates[request]
        ) / float(REQUESTS)

    def rows(self) -> tuple[SlateBatch, Tensor]:
        """One row for every request, slate and vector of rewards that may be logged, and the probability of each."""
        request, slate, reward, probability = [], [], [], []
        for at in range(REQUESTS):
            for shown in self.slates[at]:
                filled = sum(item >= 0 for item in shown)
                for earned in product((0.0, 1.0), repeat=filled):
                    chance = self.logging[at][shown] / REQUESTS
                    for value, mean in zip(earned, self.mean[at][shown], strict=False):
                        chance *= mean if value else 1 - mean
                    request.append(at)
                    slate.append(shown)
                    reward.append([*earned, *[0.0] * (self.slots - filled)])
                    probability.append(chance)
        rounds = SlateBatch(torch.tensor(slate), torch.tensor(reward, dtype=torch.float64))
        found = {}
        for side, policy in (("logging", self.logging), ("target", self.target)):
            for name, value in self._probabilities(policy).items():
                table = [value[at][shown] for at, shown in zip(request, slate, strict=True)]
                found[f"{side}_{name}" if name else side] = torch.tensor(table, dtype=torch.float64)
        weights = []
        for at in range(REQUESTS):
            logging, target = (self.distribution(policy, [at]) for policy in (self.logging, self.target))
            items = rounds.items[torch.tensor(request) == at]
            weights.append(pseudo_inverse(items, logging, target, self.num_items).weight)
        return replace(rounds, **found, pseudo_inverse=torch.cat(weights)), torch.tensor(
            probability, dtype=torch.float64
        )

    def distribution(self, policy: list[dict[Slate, float]], request: list[int]) -> ListedSlates:
        """As the library takes it; requests may have unlike numbers of slates, which then are of probability 0."""
        every = sorted({slate for slates in self.slates for slate in slates})
        chances = [[policy[at].get(slate, 0.0) for slate in every] for at in range(REQUESTS)]
        items = torch.tensor(every).expand(len(request), -1, -1)
        return ListedSlates(items, torch.tensor(chances, dtype=torch.float64)[request])

    def _probabilities(self, policy: list[dict[Slate, float]]) -> dict[str, list[dict[Slate, object]]]:
        found: dict[str, list[dict[Slate, object]]] = {
            name: [{} for _ in range(REQUESTS)] for name in ("", "prefix", "slot", "at")
        }
        for request, chances in enumerate(policy):

            def chance(holds: Callable[[Slate], bool], chances: dict[Slate, float] = chances) -> float:
                return sum(probability for slate, probability in chances.items() if holds(slate))

            for slate in self.slates[request]:
                filled, span = sum(item >= 0 for item in slate), range(self.slots)
                begins = [chance(lambda other, k=k, s=slate: other[:k] == s[:k]) for k in range(self.slots + 1)]
                at = [
                    [chance(lambda other, k=k, m=m, s=slate: other[m] == s[k]) for m in range(filled)]
                    + [1.0] * (self.slots - filled)
                    for k in range(filled)
                ] + [[1.0] * self.slots] * (self.slots - filled)
                found[""][request][slate] = chances[slate]
                found["prefix"][request][slate] = [begins[k + 1] / begins[k] if begins[k] > 0 else 0.0 for k in span]
                found["at"][request][slate] = at
                found["slot"][request][slate] = [at[k][k] for k in span]
        return found


def world(earns: str, logs: str = "arbitrary", *, repeats: bool = False, num_items: int = 4, slots: int = 3) -> World:
    """A world in which slots earn by `earns` and the log was written by `logs`; random otherwise, always the same.

    The target policy leans to slates that earn much.

    Args:
        earns: `alone` (by its item and slot), `position` (by its item, times how far the slot is examined), `cascade`
            (by its item and those before), `sum` (the slate as a whole by a sum over slots, credited to them at random)
            or `anything`.
        logs: `arbitrary` probabilities of slates; `factorised`, each slot on its own; `uniform`; `ranked`, by Plackett
            and Luce's model.
        repeats: whether an item may stand twice in a slate.
        num_items: at least `slots`.
        slots: 2 or 3.
    """
    generator = torch.Generator().manual_seed(1)

    def random() -> float:
        return float(torch.rand((), generator=generator, dtype=torch.float64))

    slates: list[list[Slate]] = []
    for request in range(REQUESTS):
        length = slots - (request == 2)
        every = product(range(num_items), repeat=length) if repeats else permutations(range(num_items), length)
        slates.append([(*slate, *[-1] * (slots - length)) for slate in every])
    scores = [[0.2 + random() for _ in range(num_items * slots)] for _ in range(REQUESTS)]

    def tabulated(weigh: Callable[[int, Slate], float]) -> list[dict[Slate, float]]:
        raw = [{slate: weigh(request, slate) for slate in slates[request]} for request in range(REQUESTS)]
        return [{slate: weight / sum(row.values()) for slate, weight in row.items()} for row in raw]

    def ranked(request: int, slate: Slate) -> float:
        left, chance = scores[request][:num_items], 1.0
        for item in slate:
            if item >= 0:
                chance *= left[item] / sum(left)
                left = [0.0 if other == item else score for other, score in enumerate(left)]
        return chance

    def factorised(request: int, slate: Slate) -> float:
        chance = 1.0
        for slot, item in enumerate(slate):
            chance *= scores[request][slot * num_items + item] if item >= 0 else 1.0
        return chance

    how = {
        "arbitrary": lambda *_: 0.1 + random(),
        "factorised": factorised,
        "uniform": lambda *_: 1.0,
        "ranked": ranked,
    }
    logging = tabulated(how[logs])
    known: dict[object, float] = {}

    def draw(*key: object) -> float:
        return known.setdefault(key, random())

    def mean(request: int, slate: Slate) -> list[float]:
        filled = [slot for slot, item in enumerate(slate) if item >= 0]
        if earns == "sum":
            total = sum(draw(request, slot, slate[slot]) for slot in filled) / len(filled)
            shares = [0.1 + random() for _ in filled]
            return [total * share / sum(shares) for share in shares]
        found = {
            "alone": lambda slot: draw(request, slot, slate[slot]),
            "position": lambda slot: EXAMINATION[slot] * draw(request, slate[slot]),
            "cascade": lambda slot: draw(request, slate[: slot + 1]),
            "anything": lambda slot: draw(request, slot, slate),
        }[earns]
        return [found(slot) for slot in filled]

    means = [{slate: mean(request, slate) for slate in slates[request]} for request in range(REQUESTS)]
    target = tabulated(lambda request, slate: (0.1 + random()) * sum(means[request][slate]) ** 4)
    return World(num_items, slots, slates, logging, target, means)


def by_prefix(made: World, rounds: SlateBatch, right: bool) -> SlateBatch:
    """Predictions of what a slot and those after it earn under the target policy, right or at random."""
    table: dict[tuple[int, ...], float] = {}
    generator = torch.Generator().manual_seed(2)

    def weights(request: int, prefix: tuple[int, ...]) -> dict[tuple[int, ...], float]:
        begins = {s: p for s, p in made.target[request].items() if s[: len(prefix)] == prefix}
        total = sum(begins.values())
        return {slate: chance / total for slate, chance in begins.items()}

    def q(request: int, prefix: tuple[int, ...]) -> float:
        if right:
            chances = weights(request, prefix)
            return sum(p * sum(made.mean[request][s][len(prefix) - 1 :]) for s, p in chances.items())
        return table.setdefault((request, *prefix), float(torch.rand((), generator=generator)))

    predicted, mean = [], []
    for request, slates in enumerate(made.slates):
        for slate in slates:
            length = made.slots - (request == 2)
            own = [q(request, slate[: slot + 1]) if slot < length else 9.0 for slot in range(made.slots)]
            drawn = [
                sum(p * q(request, s[: slot + 1]) for s, p in weights(request, slate[:slot]).items())
                if slot < length
                else 9.0
                for slot in range(made.slots)
            ]
            predicted += [own] * 2**length
            mean += [drawn] * 2**length
    return SlateBatch(
        rounds.items,
        rounds.reward,
        logging_prefix=rounds.logging_prefix,
        target_prefix=rounds.target_prefix,
        predicted=torch.tensor(predicted, dtype=torch.float64),
        expected=torch.tensor(mean, dtype=torch.float64),
    )
