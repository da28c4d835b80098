"""Off-policy estimates and their intervals against Open Bandit Pipeline: the same values, then the time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import torch

from harness import Result, alternate, compare
from pipeline import Pipeline, SlatePipeline
from recsys.metrics.intervals import Interval
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.doubly_robust import DM, DR
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.actions.standard_terms import sums_of
from recsys.replay.intervals.bootstrap import Bootstrap, percentile
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums

ROUNDS, ACTIONS, RESAMPLES = 1_000_000, 10, 50
SLOTS, SLATE_RESAMPLES = 3, 10
ESTIMATORS = {"IPS": IPS(), "SNIPS": SNIPS(), "DM": DM(), "DR": DR()}
PEER = "Open Bandit Pipeline"


def run(rounds: int) -> list[Result]:
    """Estimates and intervals of rounds, ours on every core, theirs on the one it can use; then intervals of slates."""
    with every_core():
        found = [*estimates(rounds), *intervals(rounds)]
    return [*found, *slate_intervals(rounds), growth(rounds)]


@contextmanager
def every_core() -> Iterator[None]:
    """As many threads as cores, for the while."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


def estimates(rounds: int) -> Iterator[Result]:
    """The four estimators, of columns in float32 and in float64 that hold the same numbers.

    Ours are bound by what is read: columns in float64 take twice the time, and nothing was asked of them.
    """
    peer, log = Pipeline(log_of_rounds()), log_of_rounds()
    theirs = peer.values()
    for kind, goal in ((torch.float32, 80.0), (torch.float64, None)):
        columns = {name: getattr(log, name).to(kind) for name in FLOATS}
        typed = replace(log, **columns)
        gap = max(abs(value / theirs[name] - 1) for name, value in values(typed).items())
        check(gap < 1e-9, f"values differ by {gap:.1e} of their size")
        case = f"IPS, SNIPS, DM, DR; {ROUNDS:,} rounds, {ACTIONS} actions, our columns {str(kind)[6:]}"
        yield against(rounds, lambda log=typed: values(log), peer.values, case, goal, f"values equal to {gap:.0e}")


def intervals(rounds: int) -> Iterator[Result]:
    """The bootstrap of two estimators, and the closed form in its place."""
    log = log_of_rounds()
    peer = Pipeline(log)
    own, exact, theirs = resampled(log, 2000)["IPS"], closed_forms(log)["IPS"], peer.intervals(500)["IPS"]
    widths = [width(own) / width(exact), (theirs[1] - theirs[0]) / width(exact)]
    check(all(0.85 < ratio < 1.15 for ratio in widths), f"widths over that of the closed form: {widths}")
    checked = f"IPS interval over that of the closed form: ours {widths[0]:.2f}, theirs {widths[1]:.2f} wide"
    case = f"IPS and SNIPS intervals, {ROUNDS:,} rounds, their bootstrap of {RESAMPLES} against"
    ways: dict[str, tuple[Callable[[], object], float | None]] = {
        f"ours of {RESAMPLES}": (lambda: resampled(log, RESAMPLES), 25.0),
        "the closed form": (lambda: closed_forms(log), None),
    }
    for way, (call, goal) in ways.items():
        yield against(rounds, call, lambda: peer.intervals(RESAMPLES), f"{case} {way}", goal, checked)


def slate_intervals(rounds: int) -> Iterator[Result]:
    """The bootstrap by slate, whose time grows with the square of the slates on their side."""
    for slates, goal in ((2_000, None), (20_000, 300.0)):
        slots = log_of_slates(slates)
        peer = SlatePipeline(*slots)
        gap = abs(slate_interval(slots, 1).value / peer.value() - 1)
        check(gap < 1e-9, f"values differ by {gap:.1e} of their size")
        case = f"independent IPS interval, {slates:,} slates of {SLOTS}, bootstrap of {SLATE_RESAMPLES}"
        sides = (lambda log=slots: slate_interval(log), lambda peer=peer: peer.interval(SLATE_RESAMPLES))
        yield against(rounds, *sides, case, goal, f"values equal to {gap:.0e}")


def growth(rounds: int) -> Result:
    """What a slate more takes, where there are few and where there are many."""
    few, many = 20_000, 1_000_000
    logs = {slates: log_of_slates(slates) for slates in (few, many)}
    sides = {f"{slates}": lambda log=log: slate_interval(log) for slates, log in logs.items()}
    taken = {name: [timing.cpu / int(name) for timing in times] for name, times in alternate(sides, rounds).items()}
    ratios = [late / early for early, late in zip(taken[f"{few}"], taken[f"{many}"], strict=True)]
    case = f"independent IPS interval, time of a slate at {many:,} slates over that at {few:,}"
    detail = ", ".join(f"{int(name):,}: {1e9 * median(times):.0f} ns a slate" for name, times in taken.items())
    return Result("replay", case, median(ratios), min(ratios), max(ratios), "x", 1.5, False, f"{detail} (cpu time)")


def against(
    rounds: int, ours: Callable[[], object], theirs: Callable[[], object], case: str, goal: float | None, checked: str
) -> Result:
    """Both sides, turn by turn."""
    timings = alternate({"ours": ours, PEER: theirs}, rounds)
    return compare(timings, PEER, benchmark="replay", case=case, goal=goal, clock="wall", checked=checked)


def values(log: BanditBatch) -> dict[str, float]:
    """Of the four estimators."""
    sums = sums_of([estimator.terms for estimator in ESTIMATORS.values()], log)
    return {name: float(estimator.value(sums[estimator.terms].totals)) for name, estimator in ESTIMATORS.items()}


def resampled(log: BanditBatch, replicates: int) -> dict[str, Interval]:
    """Of the two estimators that weigh, which read the same terms."""
    terms = IPS().terms(replace(log))
    sums, drawn = sums_of([IPS().terms], log)[IPS().terms], Bootstrap(replicates).totals(terms, torch.arange(len(log)))
    return {name: percentile(ESTIMATORS[name], sums, drawn) for name in ("IPS", "SNIPS")}


def closed_forms(log: BanditBatch) -> dict[str, Interval]:
    """Of the two estimators that weigh."""
    sums = sums_of([IPS().terms], log)[IPS().terms]
    return {name: closed_form(ESTIMATORS[name], sums) for name in ("IPS", "SNIPS")}


def slate_interval(slots: tuple[torch.Tensor, ...], replicates: int = SLATE_RESAMPLES) -> Interval:
    """Of independent IPS, the sum over slots of `w r`, a slate being the unit."""
    reward, logging, target = slots
    weight = target / logging
    over_slots = weight.new_ones(SLOTS)
    weighted = (weight * reward) @ over_slots
    terms = torch.stack([torch.ones_like(weighted), weight @ over_slots, weighted], 1)
    return percentile(IPS(), Sums.of(terms), Bootstrap(replicates).totals(terms, torch.arange(len(terms))))


def width(interval: Interval) -> float:
    """From end to end."""
    return (interval.high or 0.0) - (interval.low or 0.0)


def check(holds: bool, problem: str) -> None:
    """Stop where both sides do not do the same.

    Raises:
        AssertionError: they do not.
    """
    if not holds:
        raise AssertionError(f"the two sides do not do the same: {problem}")


FLOATS = ("reward", "logging", "target", "target_all", "predicted_all")


def log_of_rounds() -> BanditBatch:
    """A log of a uniform policy with a target policy and a reward model: float32 numbers in float64 columns."""
    generator = torch.Generator().manual_seed(0)
    shape = (ROUNDS, ACTIONS)
    target = torch.softmax(torch.randn(shape, generator=generator, dtype=torch.float64), 1).float().double()
    predicted = (torch.rand(shape, generator=generator) / 10).double()
    action = torch.randint(ACTIONS, (ROUNDS,), generator=generator)
    reward = (torch.rand(ROUNDS, generator=generator) < 0.05).double()
    logging = torch.full((ROUNDS,), 0.1).double()
    chosen = target.gather(1, action.unsqueeze(1)).squeeze(1)
    return BanditBatch(action, reward, logging, chosen, target_all=target, predicted_all=predicted)


def log_of_slates(slates: int) -> tuple[torch.Tensor, ...]:
    """`[slates, SLOTS]` each: reward, and the item's probability at its slot under both policies."""
    generator = torch.Generator().manual_seed(0)
    reward = (torch.rand(slates, SLOTS, generator=generator) < 0.1).double()
    logging, target = torch.rand(2, slates, SLOTS, generator=generator, dtype=torch.float64).mul(0.8).add(0.1)
    return reward, logging, target
