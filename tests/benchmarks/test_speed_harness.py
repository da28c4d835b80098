from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks" / "speed"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def harness(load) -> ModuleType:
    return load("harness")


def test_sides_take_turns_in_alternating_order(harness: ModuleType) -> None:
    calls: list[str] = []
    sides = {name: lambda name=name: calls.append(name) for name in ("ours", "peer")}
    timings = harness.alternate(sides, rounds=3)
    assert calls == ["ours", "peer", "ours", "peer", "peer", "ours", "ours", "peer"]
    assert {name: len(runs) for name, runs in timings.items()} == {"ours": 3, "peer": 3}
    calls.clear()
    harness.alternate(sides, rounds=1, warm=False)
    assert calls == ["ours", "peer"]


def test_the_ratio_is_the_median_of_the_rounds_ratios(harness: ModuleType) -> None:
    ours = [harness.Timing(wall=1.0, cpu=1.0), harness.Timing(wall=1.0, cpu=2.0), harness.Timing(wall=1.0, cpu=4.0)]
    peer = [harness.Timing(wall=9.0, cpu=12.0), harness.Timing(wall=8.0, cpu=12.0), harness.Timing(wall=7.0, cpu=12.0)]
    settings = {"benchmark": "b", "case": "c", "goal": 6.0}
    result = harness.compare({"ours": ours, "peer": peer}, "peer", checked="equal", **settings)
    assert (result.value, result.low, result.high, result.reached) == (6.0, 3.0, 12.0, True)
    assert result.detail == "ours 2.00 s, peer 12.00 s (cpu time); 8.0x in wall time; equal"
    assert harness.compare({"ours": ours, "peer": peer}, "peer", clock="wall", **settings).value == 8.0


def test_goals_are_reached_from_above_or_below(harness: ModuleType) -> None:
    def result(value: float, goal: float | None, at_least: bool) -> bool | None:
        return harness.Result("b", "c", value, value, value, "x", goal, at_least, "").reached

    assert (result(3, 2, True), result(1, 2, True), result(1, 2, False), result(3, 2, False)) == (True, False) * 2
    assert result(3, None, True) is None


def test_memory_is_that_of_a_run_in_which_freed_pages_go_back(
    load, harness: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    preparation = load("preparation")
    kept = {"ours": [90, 9, 5], "pandas": [90, 9, 5]}

    def in_process(name: str, folder: Path, allocators: dict[str, str] | None = None) -> dict:
        wall = {"ours": 1.0, "pandas": 3.0}[name]
        return {"wall": wall, "cpu": wall, "peak": 200.0 if allocators else 900.0, "kept": kept[name]}

    monkeypatch.setattr(preparation, "in_process", in_process)
    result = preparation.against("pandas", 100, 5.0, 2, tmp_path / "once")
    assert result.value == 3.0
    assert "memory in use 200 and 200 MB at most" in result.detail
    kept["pandas"] = [91, 9, 5]
    with pytest.raises(AssertionError, match="91, 9, 5"):
        preparation.against("pandas", 100, 5.0, 1, tmp_path / "twice")


def test_the_page_says_what_was_measured_where(load, harness: ModuleType) -> None:
    table = load("table")
    results = [
        harness.Result("search", "beam 50", 12.34, 11.0, 13.0, "x", 12.0, True, "ours 1 s"),
        harness.Result("index", "memory", 9.0, 9.0, 9.0, "MB", 8.0, False, "counted"),
    ]
    page = table.page(results, {"machine": "a box", "commit": "abc1234"})
    assert "- machine: a box\n- commit: abc1234\n" in page
    assert "| search | beam 50 | 12.3x | 11.0x – 13.0x | ≥ 12x | yes |" in page
    assert "| index | memory | 9.0 MB | 9.0 MB – 9.0 MB | ≤ 8 MB | no |" in page
    assert "- **search, beam 50**: ours 1 s" in page


def test_the_machine_and_the_commit_have_names(harness: ModuleType) -> None:
    assert "torch" in harness.machine()
    assert "\n" not in harness.machine() + harness.commit()


def test_an_unknown_benchmark_is_refused(load, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    run = load("run")
    monkeypatch.setattr(sys, "argv", ["run.py", "beam_serch"])
    with pytest.raises(SystemExit):
        run.main()
    assert "no benchmark is called beam_serch" in capsys.readouterr().err
    assert all((FOLDER / f"{name}.py").exists() for name in run.BENCHMARKS)


def test_every_peer_is_pinned(load) -> None:
    pins = (FOLDER / "requirements.txt").read_text().splitlines()
    assert all("==" in pin for pin in pins)
    assert set(load("environment").PEERS) <= {pin.split("==")[0].removesuffix("-ppl") for pin in pins}


def test_histories_fill_what_they_are_said_to_fill(load) -> None:
    supervised = load("supervised")
    lengths = supervised.lengths()
    assert lengths.sum().item() == int(supervised.FILL * supervised.BATCH * supervised.LONGEST) + 1
    assert (lengths.min().item(), lengths.max().item()) == (3, supervised.LONGEST)


def test_both_libraries_name_the_same_items(load) -> None:
    hugging_face = load("hugging_face")
    codes = hugging_face.catalogue(300)
    assert codes.unique(dim=0).shape == (300, 4)
    pair = hugging_face.Pair.of(300)
    items = pair.items_of(pair.tokens)
    assert items.tolist() == list(range(300))
    assert pair.allowed(0, pair.tokens.new_tensor([0, *pair.tokens[5, :3].tolist()])) == sorted(
        pair.tokens[(pair.codes[:, :3] == pair.codes[5, :3]).all(1), 3].tolist()
    )
    context, items = hugging_face.requests(3, 300), torch.tensor([7, 0, 299])
    theirs = pair.log_prob(*pair.padded(context), items)
    ours = pair.ours.vocabulary_path_log_prob(pair.ours.encode(context), items.unsqueeze(1))[:, 0]
    assert (ours - theirs).abs().max() < 1e-4
