"""Small logs as files, in the layouts that `recsys replay` reads, of policies that are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tests.data.sources.test_open_bandit import HEADER, ITEMS

MEANS = np.array([0.1, 0.3, 0.6])
"""What each of three actions earns on average; uniformly chosen 1 / 3."""

LOGGING = np.array([0.5, 0.3, 0.2])


def action_table(
    rounds: int = 2000, seed: int = 0, policy: str | None = "old", logging: Sequence[float] = tuple(LOGGING)
) -> pl.DataFrame:
    """Rounds of single actions; 3 to a user, a context that says nothing."""
    random, chances = np.random.default_rng(seed), np.array(logging)
    action = random.choice(3, rounds, p=chances)
    columns = {
        "request_id": np.arange(rounds),
        "user_id": np.arange(rounds) // 3,
        "action": action,
        "reward": (random.random(rounds) < MEANS[action]).astype(float),
        "propensity": chances[action],
        "context": list(random.random((rounds, 2)).astype(np.float32)),
    }
    table = pl.DataFrame(columns, schema_overrides={"context": pl.List(pl.Float32)})
    return table if policy is None else table.with_columns(pl.lit(policy).alias("policy"))


def two_policies(rounds: int = 2000) -> pl.DataFrame:
    """Rounds of `old` and of `uniform`."""
    uniform = action_table(rounds, 1, "uniform", [1 / 3] * 3)
    moved = uniform.with_columns(pl.col("request_id") + rounds, pl.col("user_id") + rounds)
    return pl.concat([action_table(rounds), moved])


def policy_table(log: pl.DataFrame, target: Sequence[float], every: bool = True) -> pl.DataFrame:
    """What a policy that does not look at contexts would do at each request."""
    whole = log.select("request_id").join(pl.DataFrame({"action": range(3), "probability": target}), how="cross")
    return whole if every else log.select("request_id", "action").join(whole, on=["request_id", "action"])


def slate_table(requests: int = 1500, seed: int = 0, users: bool = True) -> pl.DataFrame:
    """Uniform slates of two of four items, as `recsys bench log=true` writes them; item `i` at any slot earns `i`."""
    random = np.random.default_rng(seed)
    slates = np.stack([random.permutation(4)[:2] for _ in range(requests)])
    table = pl.DataFrame(
        {
            "request_id": [f"random/0/{number}" for number in range(requests)],
            "user_id": np.arange(requests) // 2,
            "policy": ["random"] * requests,
            "slate": slates.tolist(),
            "rewards": (slates + random.normal(0, 0.5, slates.shape)).tolist(),
            "propensity": [1 / 12] * requests,
            "prefix_propensities": [[1 / 4, 1 / 3]] * requests,
        }
    )
    return table if users else table.drop("user_id")


def trajectories(episodes: int = 400, seed: int = 0) -> pl.DataFrame:
    """One to three steps of two actions, of which the second earns 1 and is logged with .3."""
    random = np.random.default_rng(seed)
    rows = []
    for episode in range(episodes):
        for step in range(1 + episode % 3):
            action = int(random.random() < 0.3)
            rows.append((episode, step, action, float(action), (0.7, 0.3)[action], len(rows)))
    columns = ["episode_id", "step", "action", "reward", "propensity", "request_id"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def open_bandit(root: Path, rounds: int = 600) -> Path:
    """Both logs of the campaign `men`, three items; `bts` takes item 2 more often, which earns more."""
    random = np.random.default_rng(0)
    for policy, chances in (("random", [1 / 3] * 3), ("bts", [0.2, 0.3, 0.5])):
        folder = root / policy / "men"
        folder.mkdir(parents=True, exist_ok=True)
        items = random.choice(3, rounds, p=chances)
        lines = [
            f"{number},2019-11-24 00:00:17+00:00,{item},{number % 3 + 1},{int(random.random() < MEANS[item])},"
            f"{chances[item]},{'xy'[number % 2]},p,0.0\n"
            for number, item in enumerate(items)
        ]
        (folder / "men.csv").write_text(HEADER + "".join(lines))
        (folder / "item_context.csv").write_text(ITEMS)
    return root


def written(table: pl.DataFrame, path: Path) -> str:
    """Where it was written."""
    table.write_parquet(path)
    return str(path)
