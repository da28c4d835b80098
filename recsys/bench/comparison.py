"""Compare policies in a simulator: every policy with every seed, figures with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch

from recsys.bench.feedback_table import feedback_table
from recsys.bench.metrics import RecordsByPolicy, results, user_metrics
from recsys.bench.record import EpisodeRecord, record_episode
from recsys.errors import ConfigurationError, ContractError, FailedPartsError
from recsys.metrics.results import Results
from recsys.policies.policy import Policy
from recsys.precision import require_default_precision
from recsys.ranges import at_least
from recsys.rollouts.episode import EpisodeConfig, policy_seed
from recsys.simulate.simulator import Simulator


@dataclass(frozen=True)
class BenchRun:
    """One policy with one seed.

    Args:
        policy: its name.
        seed: of the episode.
        make_simulator: makes the simulator.
        make_policy: makes the policy, which learns nothing from other runs.
        episode: what is played.
        slot_draws: see `record_episode`.
    """

    policy: str
    seed: int
    make_simulator: Callable[[], Simulator[Any]]
    make_policy: Callable[[], Policy]
    episode: EpisodeConfig
    slot_draws: int = 0

    @property
    def name(self) -> str:
        """Return the name of the run in messages."""
        return f"{self.policy}, seed {self.seed}"

    def play(self) -> EpisodeRecord:
        """Make simulator and policy and play them.

        What a simulator draws globally while it is made depends on the seed; what a policy draws globally, on the seed
        and its name. The global generator stays as it was.

        Raises:
            ContractError: policy or simulator breaks its contract; it names the step and the user.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            simulator = self.make_simulator()
            torch.manual_seed(policy_seed(self.seed, self.policy, "global"))
            return record_episode(
                simulator, self.make_policy(), self.episode, self.seed, self.slot_draws, name=self.policy
            )


@dataclass(frozen=True)
class PlayedRuns:
    """What came of some runs, by their name.

    Args:
        records: of those that were played.
        problems: what went wrong in the others.
    """

    records: Mapping[str, EpisodeRecord]
    problems: Mapping[str, str]


Runner = Callable[[Sequence[BenchRun]], PlayedRuns]
"""Plays runs; their numbers do not depend on how."""


def play_here(runs: Sequence[BenchRun]) -> PlayedRuns:
    """Play runs one after the other in this process; an error ends it.

    Raises:
        ContractError: a policy or the simulator breaks its contract; it names the run, the step and the user.
    """
    records = {}
    for run in runs:
        try:
            records[run.name] = run.play()
        except ContractError as error:
            raise ContractError(f"{run.name}: {error}") from None
    return PlayedRuns(records, {})


@dataclass(frozen=True)
class BenchResult:
    """What policies earned.

    Args:
        metrics: `{policy: {metric: {"value": v, "low": l, "high": h}}}` as `recsys.bench.metrics.results` describes it.
        records: slates and rewards of each policy, one episode a seed.
        novelty_threshold: see `compare`.
    """

    metrics: Results
    records: RecordsByPolicy
    novelty_threshold: float = 0.5

    def per_user(self) -> pl.DataFrame:
        """Return each user's own figures: columns `user_id`, `row` (the policy), `metric`, `seed` and `value`."""
        frames = [
            pl.DataFrame({"value": value[seed, :, 0].double().numpy()}).select(
                pl.int_range(pl.len()).alias("user_id"),
                pl.lit(name).alias("row"),
                pl.lit(metric).alias("metric"),
                pl.lit(seed, pl.Int64).alias("seed"),
                "value",
            )
            for name, records in self.records.items()
            for metric, value in user_metrics(records, self.novelty_threshold).items()
            for seed in range(len(records))
        ]
        return pl.concat(frames)

    def feedback(self) -> pl.DataFrame:
        """Return the slates with their rewards and propensities as the table `feedback` (`docs/guide/tables.md`)."""
        tables = [
            feedback_table(name, seed, record)
            for name, records in self.records.items()
            for seed, record in enumerate(records)
        ]
        return pl.concat(tables)


class FailedBenchRuns(FailedPartsError):
    """Some runs failed; `result` has the policies of which every run was played, None where there is none."""

    def __init__(self, problems: Mapping[str, str], result: BenchResult | None) -> None:
        failed = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        kept = "the figures are of the policies whose runs are complete" if result else "no policy has all its runs"
        super().__init__(f"{len(problems)} run(s) failed: {failed}; {kept}, and the same command plays the rest")
        self.result = result


def compare(
    simulator: Callable[[], Simulator[Any]],
    policies: Mapping[str, Callable[[], Policy]],
    users: int = 200,
    steps: int = 100,
    slots: int = 2,
    seeds: int = 5,
    *,
    references: Sequence[str] = ("random",),
    slot_draws: int = 0,
    novelty_threshold: float = 0.5,
    runner: Runner = play_here,
) -> BenchResult:
    """Play every policy with every seed in one simulator, and report means with 95 % intervals.

    Every policy meets the same users with the same luck: the simulator's randomness depends on the seed alone. What a
    policy draws depends on the seed and its name: policies draw independently of each other, and adding or leaving out
    one changes nothing of the others. Equal arguments give equal numbers (on one thread to the last digit), but for
    `latency`. Needs memory for `len(policies) × seeds × steps × users × slots` rows of 16 bytes, of 20
    where the simulator tells novelty.

    Args:
        simulator: makes the simulator; a class without required arguments will do.
        policies: makes each policy, by name; called once a seed, so that a policy that learns begins anew. One called
            `oracle` is what regret is measured against.
        users: at once; what a policy learns it learns from all of them.
        steps: slates a user is shown at most.
        slots: of a slate.
        seeds: how many, from 0.
        references: policies that the others are compared with, user by user.
        slot_draws: further slates drawn a request to estimate the probability of each item at its slot; 0 for none.
        novelty_threshold: novelty from which an item counts for `serendipity`, at least 0, on the scale of the channel
            `novelty`; no effect in simulators without it. 0 counts every item, and a value above the scale none.
        runner: plays the runs; in this process unless told otherwise.

    Raises:
        ConfigurationError: there is no policy, a number is outside its range, or torch's default precision is not
            float32.
        ContractError: a policy or the simulator breaks its contract; it names the run, the step and the user.
        FailedBenchRuns: a runner that goes on after errors had some.

    >>> from functools import partial
    >>> from recsys.policies.baselines.oracle import Oracle
    >>> from recsys.policies.bandits.greedy import UniformPolicy
    >>> from recsys.simulate.interest_evolution import InterestEvolution
    >>> policies = {"random": partial(UniformPolicy, 10), "oracle": partial(Oracle, 10)}
    >>> result = compare(InterestEvolution, policies, users=50, steps=10, seeds=2)
    >>> result.metrics["random"]["reward"]["value"] < result.metrics["oracle"]["reward"]["value"]
    True
    """
    if not policies:
        raise ConfigurationError("policy: none is configured; for instance policy=[random,in_slate_thompson]")
    require_default_precision()
    at_least(1, seeds=seeds)
    at_least(0, slot_draws=slot_draws, novelty_threshold=novelty_threshold)
    episode = EpisodeConfig(users, steps, slots)
    runs = [
        BenchRun(name, seed, simulator, make, episode, slot_draws)
        for seed in range(seeds)
        for name, make in policies.items()
    ]
    played = runner(runs)
    records = {name: [played.records.get(run.name) for run in runs if run.policy == name] for name in policies}
    whole = {name: [one for one in kept if one is not None] for name, kept in records.items() if None not in kept}
    result = None
    if whole:
        metrics = results(whole, simulator().num_items, references, novelty_threshold=novelty_threshold)
        result = BenchResult(metrics, whole, novelty_threshold)
    if result is None or played.problems:
        raise FailedBenchRuns(played.problems, result)
    return result
