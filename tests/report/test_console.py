from __future__ import annotations

import io
import re

import polars as pl
import pytest
from rich.console import Console
from rich.table import Table

from recsys.bench.console import comparison_table
from recsys.metrics.results import Results
from recsys.replay.result import SCHEMA, estimate_tables
from recsys.report.console import show_table
from recsys.training.forecast_evaluation import results_table
from recsys.training.ranking_evaluation import accuracy_table, depth_table

NAMES = ("a_training_with_quite_a_long_name_0123", "another_training_with_a_long_name_too")


def numbers(metrics: list[str]) -> Results:
    cell = {"value": 0.123456, "low": 0.1123456, "high": 0.1323456}
    return {name: dict.fromkeys(metrics, cell) for name in NAMES}


RANKING = [f"{name}@{k}" for name in ("hr", "ndcg", "coverage") for k in (1, 3, 5, 10, 20, 50)]
FORECAST = ["log_likelihood", "click_log_likelihood"]
DIFFERENCES = [f"{one}_minus_{NAMES[0]}" for one in FORECAST]
BENCH = ["reward", "click_rate", "regret", "diversity", "coverage", "steps", "latency"]
VALUES = {pl.Float64: 0.123456, pl.Int64: 12}
ESTIMATE = {name: VALUES.get(kind, NAMES[0]) for name, kind in SCHEMA.items()}
ESTIMATE |= {"warning": "", "chosen": "a long remark " * 20, "estimated": False}
TABLES = {
    "accuracy": accuracy_table(numbers([*RANKING, f"ndcg@10_minus_{NAMES[0]}"]), NAMES[0], "title"),
    "depth": depth_table(numbers(RANKING)),
    "slates": results_table(
        numbers([*FORECAST, *DIFFERENCES, "calibration_error", "covered/click", "gamma"]), NAMES[0], "title"
    ),
    "simulator": comparison_table(numbers(BENCH), "planted"),
    "replay": estimate_tables(pl.DataFrame([ESTIMATE], SCHEMA))[0],
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_number_of_a_piped_table_is_whole(kind: str) -> None:
    table: Table = TABLES[kind]
    piped = Console(file=io.StringIO(), width=80)
    show_table(table, piped)
    lines = piped.file.getvalue().splitlines()  # type: ignore[attr-defined]
    cells = [str(cell) for column in table.columns[:-1] for cell in column.cells]
    assert len(cells) >= 2 * table.row_count
    for row in range(table.row_count):
        own = [str(list(column.cells)[row]) for column in table.columns]
        own = own[:-1] if kind == "replay" else own  # its remarks may be wrapped
        assert any(all(re.search(rf"(?<!\S){re.escape(one)}(?!\S)", line) for one in own) for line in lines), own
