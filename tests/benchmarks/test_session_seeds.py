from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks.quality.session_seeds import against, page, read, share_of_gain, summary
from recsys.errors import DataError

METRICS = ("judge_mean/click", "judge_max/click", "recall/click", "ndcg/click")


def run_of(
    folder: Path, seed: int, rows: dict[str, list[float]], real: float = 0.0, name: str = "onerec/small"
) -> Path:
    """A run folder in which each user has a judged value of each row, and the real ones differ by `real` of it."""
    folder.mkdir()
    cells = [
        (f"u{user}", row, metric, seed, value if metric.startswith("judge") else 0.5 + real * value)
        for row, values in rows.items()
        for metric in METRICS
        for user, value in enumerate(values)
    ]
    columns = ["user_id", "row", "metric", "seed", "value"]
    frame = pl.DataFrame(cells, schema=columns, orient="row")
    frame.filter(~((pl.col("user_id") == "u2") & pl.col("metric").str.contains("ndcg|recall"))).write_parquet(
        folder / "metrics.parquet"
    )
    (folder / "config.yaml").write_text(f"{{name: {name}, seed: {seed}, evaluation: {{references: [sft]}}}}")
    return folder


def test_means_over_seeds_and_paired_differences_where_metrics_have_users_of_their_own(tmp_path: Path) -> None:
    first = run_of(tmp_path / "0", 0, {"sft": [0.1, 0.2, 0.3], "ipa": [0.2, 0.3, 0.4]})
    second = run_of(tmp_path / "1", 1, {"sft": [0.3, 0.2, 0.1], "ipa": [0.4, 0.3, 0.2]})
    table = summary(read([first, second]), ["sft"])
    assert table["sft"]["judge_mean/click"].value == pytest.approx(0.2)
    assert table["ipa"]["judge_mean/click_minus_sft"].low == pytest.approx(0.1)
    assert table["ipa"]["ndcg/click"].value == 0.5


def test_the_judge_and_the_users_disagree_where_both_are_sure(tmp_path: Path) -> None:
    rows = {"sft": [0.1, 0.1, 0.1], "ipa": [0.3, 0.3, 0.3], "dpo": [0.1, 0.1, 0.1]}
    against_users = page(read([run_of(tmp_path / "0", 0, rows, real=-1.0)]), ["sft"])
    with_users = page(read([run_of(tmp_path / "1", 0, rows, real=1.0)]), ["sft"])
    assert "- ipa: the judge's click +0.2000 [+0.2000, +0.2000], the users' NDCG of click -0.2000" in against_users
    assert "Nowhere do both intervals leave out 0 on different sides." in with_users


def test_the_share_of_a_gain_needs_a_sure_gain(tmp_path: Path) -> None:
    rows = {"sft": [0.1, 0.2, 0.3], "ipa_1_percent": [0.2, 0.3, 0.4], "ipa": [0.3, 0.4, 0.5]}
    table = summary(read([run_of(tmp_path / "0", 0, rows)]), ["sft"])
    assert share_of_gain(table, "judge_mean/click", "sft") == {"ipa_1_percent": pytest.approx(0.5)}
    assert share_of_gain(table, "ndcg/click", "sft") == {}


def test_rows_are_compared_with_the_same_rows_of_other_runs(tmp_path: Path) -> None:
    ours = read([run_of(tmp_path / "0", 0, {"sft": [0.3, 0.3, 0.3], "ipa": [0.4, 0.5, 0.6]})])
    other = read([run_of(tmp_path / "1", 0, {"sft": [0.1, 0.2, 0.3]})])
    found = against(ours, other)
    assert list(found) == ["sft"]
    assert found["sft"]["judge_mean/click_minus_other"].value == pytest.approx(0.1)


def test_the_page_has_every_part(tmp_path: Path) -> None:
    frame = read([run_of(tmp_path / "0", 0, {"sft": [0.1, 0.2, 0.3], "ipa": [0.2, 0.3, 0.4]}, real=1.0)])
    text = page(frame, ["sft"], frame)
    assert "| ipa | 0.3000" in text
    assert "Where the judge and the users disagree" in text
    assert "Against the other runs" in text


def test_other_experiments_and_other_users_are_refused(tmp_path: Path) -> None:
    first = run_of(tmp_path / "0", 0, {"sft": [0.1, 0.2, 0.3]})
    with pytest.raises(DataError, match="several experiments"):
        read([first, run_of(tmp_path / "1", 0, {"sft": [0.1, 0.2, 0.3]}, name="onerec/other")])
    with pytest.raises(DataError, match="different users"):
        summary(read([first, run_of(tmp_path / "2", 1, {"sft": [0.1, 0.2, 0.3, 0.4]})]), ["sft"])
