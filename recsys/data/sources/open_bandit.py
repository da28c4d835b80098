"""Read the Open Bandit Dataset: fashion items on a shop's front page, shown by a uniform and a learning policy (ZOZO).

Source: Saito, Aihara, Matsutani, Narita 2021, "Open Bandit Dataset and Pipeline: towards realistic and reproducible
off-policy evaluation". The small release is under Apache-2.0, the full one under CC BY 4.0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recsys.data.logs.actions import ActionLog, action_log
from recsys.data.sources.folder import table_fingerprint
from recsys.data.tables.download import Package, fetch_package
from recsys.data.tables.row_checks import RowRule, check_rows, exclude, row_finder
from recsys.data.tables.schema import ColumnKind, TableColumn, TableSchema, read_table
from recsys.data.tables.tensors import distinct_ids
from recsys.errors import ConfigurationError

POSITIONS = 3
"""Number of slots of the front page. The files count them from 1."""

ITEMS = {"all": 80, "men": 34, "women": 46}
"""Number of items of each campaign. The files count items from 0."""

POLICIES = ("random", "bts")

HOME = "https://research.zozo.com/data_release/open_bandit_dataset.zip"

ROUNDS = TableSchema(
    "rounds",
    (
        TableColumn("timestamp", ColumnKind.TEXT, required=True),
        TableColumn("item_id", ColumnKind.INTEGER, required=True),
        TableColumn("position", ColumnKind.INTEGER, required=True),
        TableColumn("click", ColumnKind.INTEGER, required=True),
        TableColumn("propensity_score", ColumnKind.NUMBER, required=True),
    ),
)

SHA256 = {
    "random/all/all.csv": "7168295b6e0a9eabcf3392320a5dd434e542b68e705d5cd9491499af589812f1",
    "random/all/item_context.csv": "eba04cc23d5f130a93ff174c5392986882b94c3839433cb8143870eaa6221358",
    "random/men/men.csv": "ede6d08c6877f99cd3770f7d09e26c738e6aa6de4445ccccfb1356ba5d06b1eb",
    "random/men/item_context.csv": "6d855c2b7e917d0448d71bbe62c023147495882c0fdc8c41e86fef86abf9fe09",
    "random/women/women.csv": "e65f3bd3beb17664fa69cc129bf7bf852a775f8ffa630506e505fc905315bb34",
    "random/women/item_context.csv": "b1ca4905f97703d196004f2ad4552c1e90c2afad8b50688d333b0d2dc0b33147",
    "bts/all/all.csv": "0ad874e4dbf6902f0845dd478ad8dde5ef6903583d3ffaace78411bdad064106",
    "bts/all/item_context.csv": "5d4359ba1cfa3ae88f0f1bae66bd633859fe6323817183632ee57b83539d9153",
    "bts/men/men.csv": "db6d1f7ed2d591ba521533e45286d4c1fba7fe57a8ad2e80342210335f43c527",
    "bts/men/item_context.csv": "3b411ed6b0471316321a6b93f4f756bb25888eac6218cd71d0b603d41d85732d",
    "bts/women/women.csv": "e5d1b49a39b608585a2f3014a3f54970430cd37a495c1b73fceb85cdf428a5b8",
    "bts/women/item_context.csv": "a56295bad066a558eb783055afd9279f5f4e209a4776eafc22151c53f0ac89d4",
}
"""SHA-256 of the files of the small release."""


@dataclass(frozen=True)
class OpenBandit:
    """A log of the Open Bandit Dataset. A round is one position of one impression.

    - Action: the item. Reward: the click. Propensity: the probability of the item at its position.
    - Context: a one-hot code of the position (three numbers), then one-hot codes of the visitor's four hashed features.
    - Assumption: the reward of a position does not depend on the items at the other two positions. The authors of the
      data set assume this too; the files have no id that says which rows belong to one impression.
    - The affinities of visitor and item are not read.

    Files in `<root>/<policy>/<campaign>/` are used if they exist. They may belong to the small release or to the full
    one (400 MB, to be downloaded from `HOME` and unzipped by hand). If there are none, the small release (10,000
    rounds) is downloaded from a package.

    Args:
        policy: "random" (uniform) or "bts" (Bernoulli Thompson sampling, which kept learning while it was logged).
        campaign: "all" (80 items), "men" (34) or "women" (46).
        root: folder for raw data.
        exclude: True leaves out bad rows and counts them; False raises an error at the first one.
    """

    policy: str = "random"
    campaign: str = "all"
    root: str | Path = "data/raw/open_bandit"
    exclude: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (("policy", self.policy, POLICIES), ("campaign", self.campaign, tuple(ITEMS))):
            if value not in known:
                raise ConfigurationError(f"Open Bandit has no {name} {value!r}: choose one of {', '.join(known)}")

    def log(self) -> ActionLog:
        """Return the checked log. The files are downloaded first if they do not exist.

        Raises:
            DataError: the files cannot be downloaded, or they are malformed.
        """
        folder = Path(self.root) / self.policy / self.campaign
        rounds, items = folder / f"{self.campaign}.csv", folder / "item_context.csv"
        if not rounds.exists() or not items.exists():
            fetch_package(folder, small_release(self.policy, self.campaign))
        rows = read_table(rounds, ROUNDS, values=False)
        table = read_table(items, TableSchema("items", (TableColumn("item_id", ColumnKind.INTEGER, required=True),)))
        find = row_finder(rows, str(rounds))
        outside = (~pl.col("position").is_between(1, POSITIONS)).fill_null(True)
        rules = [RowRule("position", outside, f"is no position, expected 1 to {POSITIONS} in every row")]
        counts: dict[str, int] = {}
        if self.exclude:
            rows, counts = exclude(rows, rules, str(rounds))
        else:
            check_rows(rows, rules, find)
        names, context = _context(rows)
        return action_log(
            _canonical(rows, context),
            row_finder(_canonical(read_table(rounds, ROUNDS, values=False), context), str(rounds)),
            name=f"open_bandit_{self.campaign}_{self.policy}",
            fingerprint=hashlib.sha256(
                f"{table_fingerprint(str(rounds), rows)} {table_fingerprint(str(items), table)}".encode()
            ).hexdigest(),
            actions=table.select(pl.col("item_id").alias("action"), pl.all().exclude("item_id", "")).collect(),
            excluding=self.exclude,
            context_names=names,
            left_out=counts,
        )


def small_release(policy: str, campaign: str) -> Package:
    """Return the package that contains a log of the small release."""
    names = (f"{policy}/{campaign}/{campaign}.csv", f"{policy}/{campaign}/item_context.csv")
    return Package("obp==0.4.1", {f"obp/dataset/obd/{name}": SHA256[name] for name in names})


def _canonical(rows: pl.LazyFrame, context: list[pl.Expr]) -> pl.LazyFrame:
    return rows.select(
        pl.col("item_id").alias("action"),
        pl.col("click").alias("reward"),
        pl.col("propensity_score").alias("propensity"),
        "timestamp",
        pl.concat_list(context).alias("context"),
    )


def _context(rows: pl.LazyFrame) -> tuple[tuple[str, ...], list[pl.Expr]]:
    """Return the names and the values of the context: a one-hot code of the position and of each visitor feature."""
    values: dict[str, list[Any]] = {"position": list(range(1, POSITIONS + 1))}
    for name in rows.collect_schema().names():
        if name.startswith("user_feature"):
            values[name] = distinct_ids(rows, pl.col(name)).to_list()
    pairs = [(name, value) for name, known in values.items() for value in known]
    numbers = [pl.col(name).eq_missing(value).cast(pl.Float32) for name, value in pairs]
    return tuple(f"{name}={value}" for name, value in pairs), numbers
