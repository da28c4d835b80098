"""Closing the loop: logs of simulated worlds, replayed for other policies, against what those would have earned there.

python benchmarks/quality/replay_loop.py [--runs 50] [--users 300] [--world cascade] [--write FILE]

In-slate Thompson sampling over what it learnt of a few users, frozen, answers users for some steps; the log is the one
that `recsys bench log=true` writes, with propensities. Replayed are greedy and slate Thompson sampling by the same
beliefs and a generative policy. The truth is the mean over the log's requests of what each policy's slates earn there,
exactly: the world says how probable every click in every slate is. Intervals are over users, 95 %.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import torch
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import track
from torch import Tensor

from recsys.bench.feedback_table import feedback_table
from recsys.bench.record import EpisodeRecord, record_episode
from recsys.config.compose import compose
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.policies.bandits.greedy import Greedy, UniformPolicy
from recsys.policies.bandits.posteriors import BetaPosterior
from recsys.policies.bandits.thompson import InSlateThompson, SlateThompson
from recsys.policies.policy import Policy
from recsys.replay.batch import in_half
from recsys.replay.diagnostics.overlap import OverlapLimits
from recsys.replay.evaluation import evaluate
from recsys.replay.options import ReplayOptions
from recsys.replay.slates.batch import SlateBatch
from recsys.replay.slates.cascade import (
    CascadeDR,
    RewardToGoMeans,
    SelfNormalisedCascadeDR,
    next_probability,
    with_model,
)
from recsys.replay.slates.distribution_methods import EnumeratedSlates
from recsys.replay.slates.importance import ControlVariate, SlateIPS, SlateSNIPS
from recsys.replay.slates.target import SlateTarget
from recsys.replay.slates.weights import (
    PositionBasedWeights,
    PrefixWeights,
    PseudoInverse,
    SlotWeights,
    WholeSlateWeights,
)
from recsys.rollouts.episode import EpisodeConfig
from recsys.runs.run import run_stages
from recsys.runs.trained_policy import RemappedPolicy
from recsys.simulate.choice_models import MultinomialLogit
from recsys.simulate.click_models import CascadeModel
from recsys.simulate.click_models import PositionBasedModel as LooksAtSlots
from recsys.simulate.planted_groups import PlantedGroups, PlantedState
from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.slates import Slates

ITEMS, GROUPS, SLOTS, STEPS = 6, 3, 2, 4
EXAMINATION = (1.0, 0.6)

WORLDS: dict[str, Any] = {
    "position-based": LooksAtSlots(EXAMINATION),
    "cascade": CascadeModel(),
    "multinomial logit": MultinomialLogit(),
}
"""Who clicks what: each slot for itself, from the top down, all slots against each other."""

ESTIMATORS: dict[str, Any] = {
    "ips": SlateIPS(WholeSlateWeights()),
    "snips": SlateSNIPS(WholeSlateWeights()),
    "reward interaction": SlateIPS(PrefixWeights()),
    "reward interaction, normalised": SlateSNIPS(PrefixWeights()),
    "cascade-dr": CascadeDR(),
    "cascade-dr, normalised": SelfNormalisedCascadeDR(),
    "independent": SlateIPS(SlotWeights()),
    "independent, normalised": SlateSNIPS(SlotWeights()),
    "position-based": SlateIPS(PositionBasedWeights(EXAMINATION)),
    "pseudo-inverse": SlateIPS(PseudoInverse()),
    "pseudo-inverse, control variate": ControlVariate(PseudoInverse()),
}

MET = {
    "position-based": set(ESTIMATORS),
    "cascade": {name for name in ESTIMATORS if "ips" in name or "reward" in name or "cascade" in name},
    "multinomial logit": {"ips", "snips"},
}
"""Whose assumption each world meets."""


@dataclass(frozen=True)
class Frozen:
    """A policy that learns no more."""

    policy: Policy

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """See `Policy.sample`."""
        return self.policy.sample(context, candidates, slots, generator)

    def log_prob(self, context: Context, slates: Slates) -> Tensor:
        """See `Policy.log_prob`."""
        return self.policy.log_prob(context, slates)


class Watched(PlantedGroups):
    """A simulator that remembers where its users stood, to tell later what they would have clicked."""

    def step(
        self, state: PlantedState, slates: Slates, generator: torch.Generator
    ) -> tuple[PlantedState, Feedback, Tensor]:
        """As any."""
        self.states = [*getattr(self, "states", []), state]
        return super().step(state, slates, generator)


@dataclass(frozen=True)
class Modelled:
    """A policy beside a log, with a simple model of what slots and those after them earn, cross-fitted by users."""

    beside: SlateTarget
    log: SlateFeedbackLog

    def __call__(self, logged: Any) -> SlateBatch:
        """See `SlateTarget`."""
        fold = (~in_half(logged.user, 0)).long()
        model = RewardToGoMeans.of(logged.items, logged.reward, fold, folds=2, num_items=ITEMS, strength=10.0)
        target = next_probability(self.beside.policy, logged.context, logged.items, ITEMS)
        return with_model(self.beside(logged), model.predict(fold), target)


def every_slate() -> Tensor:
    """`[G, S]`."""
    return torch.tensor(list(permutations(range(ITEMS), SLOTS)))


def truth(simulator: Watched, policy: Policy) -> float:
    """What the policy's slates earn at the log's requests, a request."""
    slates, earned = every_slate(), []
    for state in simulator.states:
        context = simulator.observe(state)
        users, count = len(context), len(slates)
        items = slates.unsqueeze(0).expand(users, -1, -1)
        chance = policy.log_prob(context, Slates(items, torch.zeros(items.shape))).sum(-1).exp()
        scores = simulator.scores(state).gather(1, items.flatten(1)).view(users * count, SLOTS)
        clicks = simulator.choice.click_probability(scores, torch.ones_like(scores, dtype=torch.bool))
        earned.append((chance * clicks.sum(-1).view(users, count)).sum(1))
    return float(torch.stack(earned).double().mean())


def beliefs(simulator: PlantedGroups) -> BetaPosterior:
    """What a few users taught of each item: enough to prefer, not to be sure, so that every slate has a chance."""
    posterior = BetaPosterior(ITEMS, pool=512)
    record_episode(simulator, InSlateThompson(posterior), EpisodeConfig(10, 3, SLOTS), seed=10_000)
    return posterior


def replayed(simulator: Watched, policies: Mapping[str, Policy], logging: Policy, users: int, seed: int) -> Any:
    """Estimates of every policy by every estimator, with the truth beside."""
    simulator.states = []
    played: EpisodeRecord = record_episode(simulator, logging, EpisodeConfig(users, STEPS, SLOTS), seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "feedback.parquet"
        feedback_table("in_slate_thompson", seed, played).write_parquet(path)
        log = ParquetFeedback(path, histories=True).log()
        beside: dict[str, Callable[[Any], Any]] = {
            name: lambda log, policy=policy: Modelled(
                SlateTarget(policy, EnumeratedSlates(ITEMS), logging, num_items=ITEMS), log
            )
            for name, policy in policies.items()
        }
        options = ReplayOptions(limits=OverlapLimits(0.0))
        table = evaluate({"in_slate_thompson": log}, beside, ESTIMATORS, options).estimates
    return table, {name: truth(simulator, policy) for name, policy in policies.items()}


def generative(simulator: PlantedGroups, folder: Path) -> Policy:
    """A small generator, trained by `recsys train` on what users took from random slates of this simulator."""
    played = record_episode(simulator, UniformPolicy(ITEMS), EpisodeConfig(200, 20, SLOTS), seed=20_000)
    feedback_table("random", 0, played).write_parquet(folder / "feedback.parquet")
    small = ["clusters=2", "max_length=20", "network.width=16", "network.layers=1", "schedule.max_epochs=4"]
    where = [f"dataset.path={folder / 'feedback.parquet'}", f"root={folder}", f"+data.root={folder / 'data'}"]
    others = [f"~train.{name}" for name in ("sasrec", "sft_continued", "rere", "rere_lambda")]
    stages = ["stages=[prepare,tokenize,train]", *others]
    run = run_stages(compose(["experiment=rere/feedback", *small, *where, *stages])).folder
    return RemappedPolicy.from_run(str(run), range(ITEMS))


def coverage(choice: Any, runs: int, users: int, generator: Callable[[PlantedGroups, Path], Policy]) -> pl.DataFrame:
    """Of each policy and estimator how often the interval holds the truth, and how far the estimate is from it."""
    simulator = Watched(ITEMS, GROUPS, width=4, choice=choice, sharpness=2.0, steps=20)
    posterior = beliefs(simulator)
    with tempfile.TemporaryDirectory() as folder:
        policies = {
            "greedy": Greedy(posterior),
            "slate Thompson": SlateThompson(posterior),
            "generative": generator(simulator, Path(folder)),
        }
        simulator.steps = STEPS
        frozen = {name: Frozen(policy) for name, policy in policies.items()}
        tables = []
        for seed in track(range(runs), description="runs"):
            table, truths = replayed(simulator, frozen, Frozen(InSlateThompson(posterior)), users, seed)
            known = pl.col("policy").replace_strict(truths, return_dtype=pl.Float64)
            tables.append(table.with_columns(known.alias("truth")))
    rows = pl.concat(tables).with_columns(
        held=pl.col("truth").is_between("low", "high"),
        error=pl.col("value") - pl.col("truth"),
        width=(pl.col("high") - pl.col("low")) / 2,
    )
    return rows.group_by("policy", "estimator", maintain_order=True).agg(
        pl.col("truth").mean(),
        pl.col("held").mean(),
        pl.col("error").mean(),
        (pl.col("error").std() / pl.len().sqrt()).alias("deviation"),
        pl.col("width").mean(),
        pl.col("effective_sample_size").mean(),
    )


def shown(world: str, found: pl.DataFrame) -> str:
    """As a table: estimators, and for each policy what the interval held and the mean error."""
    policies = found["policy"].unique(maintain_order=True).to_list()
    truths = {name: found.filter(pl.col("policy") == name)["truth"][0] for name in policies}
    lines = [[world, *(f"{name}, earns {truths[name]:.3f}" for name in policies)], ["---"] * (1 + len(policies))]
    for estimator in ESTIMATORS:
        cells = []
        for policy in policies:
            row = found.filter(pl.col("policy") == policy, pl.col("estimator") == estimator).row(0, named=True)
            error = f"{row['error']:+.3f} ± {1.96 * row['deviation']:.3f}"
            cells.append(f"{row['held']:.0%} ({error}; half width {row['width']:.3f})")
        lines.append([estimator if estimator in MET[world] else f"*{estimator}*", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the tables; with `--write`, keep them with the commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--world", action="append", choices=list(WORLDS), help="one or more; all if none")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    worlds = given.world or list(WORLDS)
    tables = [shown(name, coverage(WORLDS[name], given.runs, given.users, generative)) for name in worlds]
    text = "\n\n".join(tables)
    Console(width=200).print(Markdown(text))
    if given.write:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        told = (
            f"`python benchmarks/quality/replay_loop.py --runs {given.runs} --users {given.users}`, commit"
            f" {commit.stdout.strip()}: {given.runs} logs of {given.users} users with {STEPS} slates of {SLOTS} of"
            f" {ITEMS} items each, written by in-slate Thompson sampling in three worlds. How often the 95 % interval"
            " holds what the policy earns there, and in brackets the mean error with its own 95 % interval over logs."
            " Estimators whose assumption the world does not meet stand in italics."
        )
        given.write.write_text(f"# Closing the loop: replay against the simulator\n\n{told}\n\n{text}\n")


if __name__ == "__main__":
    main()
