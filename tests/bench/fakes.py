"""Parts that a configuration names and that misbehave; importable in a child process."""

from __future__ import annotations

import os
import signal
import time

import torch

from recsys.policies.bandits.greedy import UniformPolicy
from recsys.policies.hierarchical.intent import IntentNetwork
from recsys.policies.hierarchical.scorer import ConditionedScorer
from recsys.policies.hierarchical.two_level import TwoLevelPolicy
from recsys.simulate.novelty_seeking import NoveltySeeking
from recsys.types.context import Context
from recsys.types.slates import Slates


def two_levels(simulator: NoveltySeeking) -> TwoLevelPolicy:
    """A policy that infers an intent, which has not learnt yet."""
    items, profile = simulator.items, len(simulator.meaning)
    return TwoLevelPolicy(IntentNetwork(items, profile), ConditionedScorer(items, profile))


class Failing(UniformPolicy):
    """Fails at its first slate."""

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        raise ValueError("this policy fails")


class Leaving(UniformPolicy):
    """Ends the program at its first slate."""

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        raise SystemExit(0)


class FirstItems(UniformPolicy):
    """A policy from outside the package."""

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        items = torch.arange(slots).expand(len(context), 1, slots)
        return Slates(items, torch.zeros(items.shape))


class Twice(UniformPolicy):
    """Shows items 0, 1, … at first and later one item in every slot."""

    def __init__(self, num_items: int, since: int) -> None:
        super().__init__(num_items)
        self.since = since
        self.shown = 0

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        items = torch.arange(slots) if self.shown < self.since else torch.full((slots,), 4)
        self.shown += 1
        items = items.expand(len(context), 1, slots)
        return Slates(items, torch.zeros(items.shape))


class Interrupting(UniformPolicy):
    """Sends Ctrl-C to the bench that plays it in its second run, and takes its time."""

    runs = 0

    def __init__(self, num_items: int) -> None:
        super().__init__(num_items)
        if os.getppid() != int(os.environ["BENCH"]):  # in a process of the bench, not in the bench itself
            Interrupting.runs += 1

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        if Interrupting.runs == 2:
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(60)
        return super().sample(context, candidates, slots, generator)
