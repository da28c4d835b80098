"""Figures of recorded episodes with intervals, and their curves over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.stats import t
from torch import Tensor

from recsys.bench.record import EpisodeRecord
from recsys.metrics.correlation import correlation
from recsys.metrics.intervals import Interval, bootstrap
from recsys.metrics.results import Results

CORRELATION = "_correlation"
"""End of the figures that say how well a latent action follows what is true."""

RecordsByPolicy = Mapping[str, Sequence[EpisodeRecord]]
"""Policy → one episode a seed; the seeds are the same for all, in the same order."""


def user_metrics(
    records: Sequence[EpisodeRecord], novelty_threshold: float = 0.5
) -> dict[str, Float[Tensor, "seeds B 1"]]:
    """Each user's own figures: `reward` a session, `click_rate` a slate, `diversity` of a slate, `steps` stayed.

    Where the simulator tells how new items are to users, also `novelty`, the mean over the items of a slate and then
    over the slates, and `serendipity`, the share of slates of which an item was consumed (reward above 0) whose novelty
    was at least the threshold.

    Steps after the session do not count, nor do empty slots; a slate without an item counts as a novelty of 0. A
    session that is over at once counts as 0 in all of them.

    Args:
        records: of one policy.
        novelty_threshold: novelty from which an item is new to a user.
    """
    reward = torch.stack([record.reward.sum((0, 2)) for record in records])
    clicked = torch.stack([(record.reward > 0).any(2).float().sum(0) for record in records])
    distance = torch.stack([(record.diversity * record.active).sum(0) for record in records])
    steps = torch.stack([record.active.sum(0) for record in records])
    shown = steps.clamp(min=1)
    found = {"reward": reward, "click_rate": clicked / shown, "diversity": distance / shown, "steps": steps}
    told = [(record, record.novelty) for record in records if record.novelty is not None]
    if len(told) == len(records):
        novelty = torch.stack([_slate_novelty(record, novelty).sum(0) for record, novelty in told])
        new = [((novelty >= novelty_threshold) & (record.reward > 0)).any(2) for record, novelty in told]
        pairs = zip(records, new, strict=True)
        serendipity = torch.stack([(one & (record.active > 0)).float().sum(0) for record, one in pairs])
        found |= {"novelty": novelty / shown, "serendipity": serendipity / shown}
    return {name: value.unsqueeze(-1) for name, value in found.items()}


def _slate_novelty(record: EpisodeRecord, novelty: Float[Tensor, "T B S"]) -> Float[Tensor, "T B"]:
    """Mean over the items of each slate; 0 where there are none, or the session was over."""
    shown = (record.items >= 0) & (record.active > 0).unsqueeze(2)
    return (novelty * shown).sum(2) / shown.sum(2).clamp(min=1)


def results(
    records: RecordsByPolicy,
    num_items: int,
    references: Sequence[str] = (),
    samples: int = 1000,
    seed: int = 0,
    novelty_threshold: float = 0.5,
) -> Results:
    """Means over users and seeds with 95 % intervals by bootstrap over both: a policy's users share what it learnt.

    `regret` is what the row `oracle` earned more of the same users with the same luck, where there is one. `reward` and
    `click_rate` come with paired differences `<metric>_minus_<reference>`. `coverage` is the share of the items that
    were shown to anyone, `latency` milliseconds a slate; both without interval. `<name>_correlation` is that of a
    latent action with the hidden number of the simulator of the same name (`identification`).

    Args:
        records: at least one policy.
        num_items: `N`.
        references: rows that the others are compared with.
        samples: resamples.
        seed: of the bootstrap.
        novelty_threshold: as in `user_metrics`.
    """
    figures = {row: user_metrics(played, novelty_threshold) for row, played in records.items()}

    def interval(values: Tensor) -> Interval:
        """Over users and, where there are several, seeds."""
        users = torch.arange(values.shape[1])
        return bootstrap(values, users, samples=samples, resample_seeds=len(values) > 1, seed=seed)[0]

    table: Results = {}
    for row, own in figures.items():
        cells = {name: interval(value) for name, value in own.items()}
        if "oracle" in figures:
            cells["regret"] = interval(figures["oracle"]["reward"] - own["reward"])
        for reference in references:
            if reference != row and reference in figures:
                for name in ("reward", "click_rate"):
                    cells[f"{name}_minus_{reference}"] = interval(own[name] - figures[reference][name])
        cells |= identification(records[row], samples, seed)
        cells["coverage"] = Interval(coverage(records[row], num_items))
        cells["latency"] = Interval(latency(records[row]))
        table[row] = {name: cell.to_dict() for name, cell in cells.items()}
    return table


def identification(records: Sequence[EpisodeRecord], samples: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Return `<name>_correlation` for each name that both the policy's latent actions and the simulator's truth have.

    Pearson's correlation over the users and steps of sessions that go on, all seeds together, with its interval
    (`recsys.metrics.correlation.correlation`). Where the latent action or the truth has one value throughout, the
    correlation is not defined, and there is no figure.

    Args:
        records: of one policy.
        samples: resamples.
        seed: of the bootstrap.
    """
    active = torch.stack([record.active > 0 for record in records])
    latents, truth = [record.latents for record in records], [record.truth for record in records]
    found = {}
    for name in (name for name in latents[0] if all(name in one for one in latents)):
        inferred, true = (torch.stack([one[name] for one in of_all]) for of_all in (latents, truth))
        value = correlation(inferred, true, active, samples=samples, seed=seed)
        if value is not None:
            found[f"{name}{CORRELATION}"] = value
    return found


def shown_figures(metrics: Results) -> list[str]:
    """Return the figures that tables show, in their order; those of some simulators only where a row has them.

    >>> shown_figures({"random": {"reward": {}, "novelty": {}}})
    ['reward', 'click_rate', 'regret', 'diversity', 'novelty', 'coverage', 'steps', 'latency']
    """
    there = dict.fromkeys(name for cells in metrics.values() for name in cells)
    new = [name for name in ("novelty", "serendipity") if name in there]
    inferred = [name for name in there if name.endswith(CORRELATION)]
    return ["reward", "click_rate", "regret", "diversity", *new, *inferred, "coverage", "steps", "latency"]


def coverage(records: Sequence[EpisodeRecord], num_items: int) -> float:
    """Share of the items that stood in any slate; the mean over seeds."""
    shares = [len(record.items[record.items >= 0].unique()) / num_items for record in records]
    return sum(shares) / len(shares)


def latency(records: Sequence[EpisodeRecord]) -> float:
    """Milliseconds a slate, users being served together; the mean over seeds."""
    return 1000 * sum(record.seconds / record.active.numel() for record in records) / len(records)


@dataclass(frozen=True)
class Curve:
    """A value over steps with its 95 % interval over seeds; no interval for a single seed.

    Args:
        value: `[T]`.
        low: `[T]`.
        high: `[T]`.
    """

    value: list[float]
    low: list[float] | None
    high: list[float] | None


def curve(values: Float[Tensor, "seeds T"]) -> Curve:
    """Mean over seeds, with Student's interval.

    >>> curve(torch.tensor([[1.0, 2.0]]))
    Curve(value=[1.0, 2.0], low=None, high=None)
    """
    mean = values.mean(0)
    if len(values) < 2:
        return Curve(mean.tolist(), None, None)
    half = student_quantile(len(values) - 1) * values.std(0) / len(values) ** 0.5
    return Curve(mean.tolist(), (mean - half).tolist(), (mean + half).tolist())


def student_quantile(degrees: int) -> float:
    """Return the 97.5 % point of Student's distribution.

    >>> round(student_quantile(4), 3)
    2.776
    """
    return float(t.ppf(0.975, degrees))


def per_step(records: Sequence[EpisodeRecord]) -> dict[str, Float[Tensor, "seeds T"]]:
    """Over all users together: `reward` so far a user, and `click_rate` of the sessions that go on.

    The latter is NaN where fewer than one session in twenty goes on.
    """
    earned = torch.stack([record.reward.sum(2).mean(1).cumsum(0) for record in records])
    clicked = torch.stack([(record.reward > 0).any(2).float().sum(1) for record in records])
    active = torch.stack([record.active.sum(1) for record in records])
    few = active < records[0].active.shape[1] / 20
    return {"reward": earned, "click_rate": (clicked / active).masked_fill(few, float("nan"))}
