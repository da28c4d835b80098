from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from recsys.cli import app
from recsys.config import compose as reword
from recsys.config.folders import configuration_folder
from tests.in_process import played_here

__all__ = ["played_here"]

FAKES = str(Path(__file__).parents[1] / "fakes")
if FAKES not in sys.path:
    sys.path.append(FAKES)

EXPERIMENT = """# @package _global_
name: fake
stages: [prepare, sft]
reward: {_target_: fake_stages.Reward, weight: 1.0}
stage:
  prepare: {_target_: fake_stages.Write, name: prepare, seed: "${seed}", reward: "${reward}"}
  sft: {_target_: fake_stages.Interrupted, trap: TRAP, how: key}
"""


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """While this file is there, the stage `sft` stops."""
    return tmp_path / "trap"


@pytest.fixture
def folder(tmp_path: Path, trap: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, and the real configuration with one more experiment, `fake`."""
    conf = tmp_path / "conf"
    (conf / "experiment").mkdir(parents=True)
    for file in ("train.yaml", "recommend.yaml"):
        (conf / file).write_text((configuration_folder() / file).read_text())
    os.symlink(configuration_folder() / "debug", conf / "debug")
    (conf / "experiment/fake.yaml").write_text(EXPERIMENT.replace("TRAP", str(trap)))
    monkeypatch.setattr(app, "configuration_folder", lambda: conf)
    monkeypatch.setattr(reword, "configuration_folder", lambda: conf)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work
