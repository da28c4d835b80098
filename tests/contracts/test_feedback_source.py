"""The laws of every log of replay (`FeedbackSource`); a new one is a row in `LOGS`.

A row is a function that writes a log of a seed into a folder and returns the source that reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from recsys.data.logs.dsjson import DSJson
from recsys.data.logs.feedback_source import FeedbackSource, ParquetFeedback
from recsys.data.sources.bandit_feedback import BanditFeedback
from recsys.data.sources.kuairand import KuaiRandRandom
from recsys.data.sources.open_bandit import OpenBandit
from tests.data.logs.test_dsjson import bandit, write
from tests.replay.feedback_files import action_table, open_bandit, slate_table, trajectories, written

ROUNDS = 60
Write = Callable[[int, Path], FeedbackSource]


def dsjson(seed: int, folder: Path) -> FeedbackSource:
    costs = np.random.default_rng(seed).integers(-5, 0, ROUNDS).tolist()
    return DSJson(write(folder, *(bandit(number, _label_cost=cost) for number, cost in enumerate(costs))))


def kuairand_random(seed: int, folder: Path) -> FeedbackSource:
    random = np.random.default_rng(seed)
    columns = {"video_id": random.integers(0, 9, ROUNDS), "is_click": random.integers(0, 2, ROUNDS)}
    rows = pl.DataFrame({"user_id": np.arange(ROUNDS) // 3, "time_ms": 1000 * np.arange(ROUNDS), **columns})
    rows.write_csv(folder / "log_random_4_22_to_5_08_pure.csv")
    return KuaiRandRandom(folder, pool=9)


def open_bandit_log(seed: int, folder: Path) -> FeedbackSource:
    return OpenBandit("random", "men", open_bandit(folder, ROUNDS + seed))


def bandit_feedback(seed: int, folder: Path) -> FeedbackSource:
    random = np.random.default_rng(seed)
    rounds: dict[str, Any] = {"action": random.integers(0, 4, ROUNDS), "reward": random.integers(0, 2, ROUNDS)}
    return BanditFeedback({"n_rounds": ROUNDS, "n_actions": 4, "pscore": np.full(ROUNDS, 0.25), **rounds})


LOGS: dict[str, Write] = {
    "actions": lambda seed, folder: ParquetFeedback(written(action_table(ROUNDS, seed), folder / "log.parquet")),
    "slates": lambda seed, folder: ParquetFeedback(written(slate_table(ROUNDS, seed), folder / "log.parquet")),
    "episodes": lambda seed, folder: ParquetFeedback(written(trajectories(ROUNDS, seed), folder / "log.parquet")),
    "dsjson": dsjson,
    "kuairand_random": kuairand_random,
    "open_bandit": open_bandit_log,
    "bandit_feedback": bandit_feedback,
}
every_log = pytest.mark.parametrize("write_log", LOGS.values(), ids=LOGS)


@pytest.mark.parametrize("name", ["kuairand_random", "open_bandit", "text"])
def test_a_quote_inside_a_field_loses_no_round(name: str, tmp_path: Path) -> None:
    if name == "text":
        action_table(ROUNDS, 0).drop("context", "candidates", strict=False).write_csv(tmp_path / "log.csv")
        source: FeedbackSource = ParquetFeedback(tmp_path / "log.csv")
    else:
        source = LOGS[name](0, tmp_path)
    before = source.log()
    expected = [tensors(batch) for batch in before.batches()]
    for file in tmp_path.rglob("*.csv"):
        head, *rows = file.read_text().splitlines()
        noted = [f'{row},{place}" wide' if place % 2 else f"{row},plain" for place, row in enumerate(rows)]
        file.write_text("\n".join([f"{head},note", *noted]) + "\n")
    after = source.log()
    assert len(after) == len(before)
    for mine, theirs in zip([tensors(batch) for batch in after.batches()], expected, strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def tensors(batch: Any) -> dict[str, torch.Tensor]:
    found = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


@every_log
def test_it_is_a_source_of_a_log_with_a_name(write_log: Write, tmp_path: Path) -> None:
    source = write_log(0, tmp_path)
    assert isinstance(source, FeedbackSource)
    log = source.log()
    assert log.name and log.fingerprint and len(log) >= ROUNDS


@every_log
def test_its_batches_hold_every_row_once(write_log: Write, tmp_path: Path) -> None:
    log = write_log(0, tmp_path).log()
    for size in (7, 10_000):
        batches = list(log.batches(size))
        assert sum(len(batch) for batch in batches) == len(log)


@every_log
def test_rewards_are_finite_and_propensities_are_probabilities(write_log: Write, tmp_path: Path) -> None:
    for batch in write_log(0, tmp_path).log().batches():
        assert batch.reward.isfinite().all() and len(batch.reward) == len(batch)
        for name, value in tensors(batch).items():
            if "propensit" in name:
                assert ((value > 0) & (value <= 1)).all(), name


@every_log
def test_two_reads_are_equal_and_the_fingerprint_changes_with_the_content(write_log: Write, tmp_path: Path) -> None:
    source = write_log(0, tmp_path)
    first, again = source.log(), source.log()
    assert first.fingerprint == again.fingerprint
    for one, other in zip(first.batches(), again.batches(), strict=True):
        assert tensors(one).keys() == tensors(other).keys()
        assert all(torch.equal(value, tensors(other)[name]) for name, value in tensors(one).items())
    assert write_log(1, tmp_path).log().fingerprint != first.fingerprint


@every_log
def test_reading_leaves_the_files_as_they_were(write_log: Write, tmp_path: Path) -> None:
    def files() -> dict[Path, tuple[bytes, int]]:
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}

    source = write_log(0, tmp_path)
    before = files()
    assert list(source.log().batches())
    assert files() == before
