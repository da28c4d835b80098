"""However a trained policy is got, it answers in evaluation mode; and a training that diverges leaves none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import recsys
from recsys.cli.main import main
from recsys.data.datasets.dataset import Dataset
from recsys.runs.prepare import load_data_of
from recsys.runs.run import RunResult
from recsys.runs.run_folder import RunFolder
from recsys.runs.trained_policy import RemappedPolicy, load_policy
from tests.tables import write_tables

SMALL = ["experiment=rere/parquet", "debug=limit", "clusters=4", "max_length=8", "dropout=0.5", "data.k_core=0"]
OTHERS = ["~train.sasrec", "~train.sft_continued", "~train.rere_lambda", "evaluation.references=[sft]"]


def given(folder: Path) -> list[str]:
    tables = write_tables(folder / "tables")
    return [*SMALL, *OTHERS, f"dataset.root={tables}", f"root={folder}", f"+data.root={folder / 'data'}"]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return recsys.train(given(tmp_path_factory.mktemp("run")))


def item_ids(run: RunFolder) -> list[Any]:
    return load_policy(run)[0].items["item_id"].to_list()


WAYS: dict[str, Callable[[RunResult], Any]] = {
    "recsys.train": lambda result: result.load("sft"),
    "recsys.train, reward": lambda result: result.load("rere"),
    "recsys.load": lambda result: recsys.load(result.folder, "rere"),
    "recommend": lambda result: load_policy(RunFolder(result.folder), "sft")[0].policy,
    "recommend, the mixture": lambda result: load_policy(RunFolder(result.folder), "mixture")[0].policy,
    "bench": lambda result: RemappedPolicy.from_run(str(result.folder), item_ids(RunFolder(result.folder)), "rere"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_policy_answers_twice_alike(way: Callable[[RunResult], Any], result: RunResult) -> None:
    policy = way(result)
    dropouts = [one for one in policy.modules() if type(one).__name__ == "Dropout"]
    assert dropouts, "there is something to turn off"
    assert not any(one.training for one in policy.modules() if isinstance(one, nn.Module))
    asked = load_data_of(RunFolder(result.folder), Dataset).validation.context
    slates = [policy.sample(asked, 3, 1, torch.Generator().manual_seed(0)) for _ in range(2)]
    assert torch.equal(slates[0].items, slates[1].items)
    first, again = (policy.log_prob(asked, slates[0]) for _ in range(2))
    assert torch.equal(first, again)
    if hasattr(policy, "top"):
        assert torch.equal(policy.top(asked, 3).log_prob, policy.top(asked, 3).log_prob)


def test_a_diverging_run_ends_with_a_message_and_without_a_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *given(tmp_path), "optimizer.lr=1e20"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "training stopped" in said and "smaller learning rate" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("rere/**/train/**/artifact.json"))
