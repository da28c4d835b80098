from __future__ import annotations

import io
import re

import polars as pl
import pytest
from rich.console import Console

from recsys.bench.console import comparison_table
from recsys.bench.grid import _table as grid_table
from recsys.metrics.results import Results
from recsys.replay.result import SCHEMA, estimate_tables
from recsys.report.console import Column, ConsoleTable, say, show_table, table_text
from recsys.report.progress import PlainProgress, live_table
from recsys.report.visible import visible
from recsys.runs.tokenize import _table as codebook_table
from recsys.training.forecast_evaluation import results_table
from recsys.training.ranking_evaluation import accuracy_table, depth_table
from tests.report.hostile import HOSTILE

NAMES = ("a_training_with_quite_a_long_name_0123", "another_training_with_a_long_name_too")


def numbers(metrics: list[str], names: tuple[str, ...]) -> Results:
    cell = {"value": 0.123456, "low": 0.1123456, "high": 0.1323456}
    return {name: dict.fromkeys(metrics, cell) for name in names}


RANKING = [f"{name}@{k}" for name in ("hr", "ndcg", "coverage") for k in (1, 3, 5, 10, 20, 50)]
FORECAST = ["log_likelihood", "click_log_likelihood"]
BENCH = ["reward", "click_rate", "regret", "diversity", "coverage", "steps", "latency"]
NOVELTY = ["novelty", "serendipity", "intent_correlation"]
VALUES = {pl.Float64: 0.123456, pl.Int64: 12}


def tables(names: tuple[str, ...], title: str) -> dict[str, ConsoleTable]:
    """Every table that a command prints, with these names of rows and policies."""
    first = names[0]
    estimate = {name: VALUES.get(kind, first) for name, kind in SCHEMA.items()}
    in_utf8 = first.encode("utf-8", "replace").decode()  # data frames hold nothing else
    estimate |= {"policy": in_utf8, "log": in_utf8, "estimator": in_utf8}
    estimate |= {"warning": "", "chosen": "a long remark " * 20, "estimated": False}
    forecast = [*FORECAST, *(f"{one}_minus_{first}" for one in FORECAST), "calibration_error", "covered/click", "gamma"]
    diagnostics = pl.DataFrame({"level": [1, 2], "use": [1.0, 0.5], "largest_bucket": [8, 1]})
    words = Column("item_id", words=True), Column("title", words=True), Column("probability")
    return {
        "accuracy": accuracy_table(numbers([*RANKING, "tied@10", f"ndcg@10_minus_{first}"], names), first, title),
        "depth": depth_table(numbers(RANKING, names)),
        "slates": results_table(numbers(forecast, names), first, title),
        "simulator": comparison_table(numbers(BENCH, names), title),
        "novelty": comparison_table(numbers([*BENCH, *NOVELTY], names), title),
        "replay": estimate_tables(pl.DataFrame([estimate], SCHEMA))[0],
        "codebook": codebook_table(diagnostics, title),
        "recommend": ConsoleTable(words, [[name, f"the title of {name}", "0.1235"] for name in names], title),
    }


TABLES = tables(NAMES, "title")


def printed(table: ConsoleTable, width: int | None = None, **options: object) -> str:
    """What a terminal of this width gets, or a file."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=width is not None, color_system=None, _environ={}, **options
    )  # type: ignore[arg-type]
    show_table(table, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", TABLES)
def test_every_number_of_a_piped_table_is_whole(kind: str) -> None:
    table = TABLES[kind]
    lines = printed(table).splitlines()
    for row in table.rows:
        own = row[:-1] if kind == "replay" else row  # its remarks may be wrapped
        assert any(all(re.search(rf"(?<!\S){re.escape(one)}(?!\S)", line) for one in own) for line in lines), own


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("kind", TABLES)
def test_no_terminal_is_too_narrow_for_a_name_or_a_number(kind: str, width: int) -> None:
    table = TABLES[kind]
    shown = printed(table, width)
    plain = re.sub(r"[│┃]", " ", shown)
    words = [word for row in table.rows for cell in row for word in cell.split()]
    assert all(re.search(rf"(?<!\S){re.escape(word)}(?!\S)", plain) for word in words)
    heads = [word for column in table.columns for word in column.head.split()]
    assert all(any(word in line for line in (shown, shown.replace("\n", " "))) for word in heads)
    assert "…" not in shown
    longest = max(map(len, [*words, *(one.called for one in table.columns)]))
    assert max(map(len, shown.splitlines())) <= max(width, longest + 5)


def test_a_narrow_terminal_gets_each_value_beside_its_name() -> None:
    shown = printed(TABLES["accuracy"], 50).splitlines()
    start = shown.index(NAMES[0])
    assert shown[start + 1 : start + 4] == ["  ndcg@10: .1235", "  95 %: [.1123, .1323]", f"  minus {NAMES[0]}:"]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_environment_sets_the_width_of_a_terminal_and_a_pipe_has_none(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, _environ={"COLUMNS": "40"})
    show_table(TABLES["depth"], console)
    assert ("  ndcg@10: .1235\n" in console.file.getvalue()) == terminal  # type: ignore[attr-defined]


def test_a_dumb_terminal_gets_no_escapes_and_ascii_no_other_signs() -> None:
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb", "COLUMNS": "200"})
    show_table(TABLES["recommend"], dumb)
    assert "\x1b" not in dumb.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [None, 40, 300])
@pytest.mark.parametrize("name", HOSTILE)
def test_every_table_prints_hostile_names_as_they_are(name: str, width: int | None) -> None:
    for kind, table in tables((name, "other"), f"title {name}").items():
        shown, expected = printed(table, width), visible(name)
        cells = [cell for row in table.rows for cell in row]
        if any(name in text for text in (table.title, table.caption, *cells)):
            seen = re.sub(r"\s+", "", shown)
            assert re.sub(r"\s+", "", expected) in seen, kind
        assert not any(sign in shown for sign in "\x1b\x00\x07\r\t\x9b\u202e\udcff"), kind


@pytest.mark.parametrize("name", HOSTILE)
def test_progress_messages_and_live_tables_take_hostile_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO(), width=400, force_terminal=True, color_system=None, _environ={})
    with PlainProgress(console=console) as bar:
        bar.add_task(name, total=1)
    assert visible(name) in console.file.getvalue()  # type: ignore[attr-defined]
    say(name)
    assert capsys.readouterr().out == visible(name, keep="\n") + "\n"
    table = ConsoleTable([Column(name)], [[name]], title=name)
    with live_table(table) as show:
        show(table)
    assert grid_table([], {}).title
    assert visible(name) in table_text([table])


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_visible_is_printable_and_nothing_is_eaten(name: str) -> None:
    shown = visible(name)
    assert visible(shown) == shown and shown.encode("utf-8")
    plain = name.isprintable() or name.startswith("👩")
    assert (shown == name) == plain
    assert plain or "\\" in shown
