"""Processes of every command write nothing but their own lines; what a user's code warns of is one of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.replay.feedback_files import action_table, written
from tests.tables import write_tables

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOISE = re.compile(r"site-packages|Warning|Traceback|GPU|TPU|Tip|num_workers|shape: \(|\x1b|…|it/s|@ *…")
"""What libraries say, and frames and names that are cut."""

PARTS = """
import logging
import warnings
from recsys.policies.bandits.greedy import UniformPolicy

class Warns(UniformPolicy):
    def sample(self, *given):
        warnings.warn("mine is [old]\\x1b[2J")
        warnings.warn_explicit("chatter", UserWarning, logging.__file__, 1)
        return super().sample(*given)
"""


def run(folder: Path, arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, in `folder`."""
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "PYTHONWARNINGS")}
    given = {**kept, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), **environment}
    command = [sys.executable, "-m", "recsys.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=given, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, a log of actions, and a module with a policy of one's own."""
    folder = tmp_path_factory.mktemp("quiet")
    write_tables(folder / "tables")
    written(action_table(), folder / "log.parquet")
    (folder / "my_parts.py").write_text(PARTS)
    return folder


def train(folder: Path) -> list[str]:
    small = ["data.k_core=0", "clusters=4", "max_length=8", "debug=limit", "network.width=8", "network.layers=1"]
    return ["experiment=rere/parquet", f"dataset.root={folder / 'tables'}", "run=trained", *small]


def commands(folder: Path) -> dict[str, list[str]]:
    return {
        "train": ["train", *train(folder)],
        "prepare": ["prepare", *train(folder)[:-1], "run=prepared"],
        "slates": ["train", "experiment=slate/simulated", "debug=limit"],
        "bench": ["bench", "policy=[random,greedy]", "users=4", "steps=3", "seeds=1", "processes=1"],
        "replay": ["replay", "log=parquet", "log.path=log.parquet", "policy=uniform", "estimator=[ips,snips]"],
        "recommend": ["recommend", "run=trained", "user=u3"],
        "doctor": ["doctor"],
    }


@pytest.fixture(scope="module")
def trained(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, commands(folder)["train"])


@pytest.mark.parametrize("command", commands(Path()))
def test_nothing_of_libraries_is_shown(command: str, folder: Path, trained: subprocess.CompletedProcess[str]) -> None:
    ended = trained if command == "train" else run(folder, commands(folder)[command])
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert ended.stdout and not [line for line in ended.stdout.splitlines() if NOISE.search(line)]


def test_what_libraries_say_of_a_training_is_in_its_log(
    folder: Path, trained: subprocess.CompletedProcess[str]
) -> None:
    assert trained.returncode == 0 and "site-packages/lightning" in (folder / "trained/run.log").read_text()


def test_what_a_users_code_warns_of_is_shown(folder: Path) -> None:
    mine = "+policies.mine={_target_: my_parts.Warns, num_items: 10}"
    ended = run(folder, ["bench", "policy=[random]", mine, "users=4", "steps=3", "seeds=1", "processes=1"])
    assert ended.returncode == 0
    lines = set(ended.stderr.splitlines())
    assert lines == {f"{folder / 'my_parts.py'}:8: UserWarning: mine is [old]\\x1b[2J"}


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"TERM": "dumb"},
        {"NO_COLOR": "1"},
        {"COLUMNS": "20"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_plain_terminals_get_whole_answers(
    environment: dict[str, str], folder: Path, trained: subprocess.CompletedProcess[str]
) -> None:
    ended = run(folder, commands(folder)["recommend"], **environment)
    assert ended.returncode == 0 and ended.stderr == ""
    assert ended.stdout.isascii() or "PYTHONIOENCODING" not in environment
    assert len(re.findall(r"\bi\d+\b", ended.stdout)) == 10 and len(re.findall(r"0\.\d{4}\b", ended.stdout)) == 10


@pytest.mark.parametrize("command", ["--help", "doctor", "bench"])
def test_a_closed_pipe_ends_a_command_quietly(command: str, folder: Path) -> None:
    arguments = commands(folder).get(command, [command])
    process = subprocess.Popen(
        [sys.executable, "-m", "recsys.cli.main", *arguments], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
