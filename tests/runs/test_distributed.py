from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from torch.distributed import HashStore

from recsys.errors import ConfigurationError
from recsys.runs.distributed import DistributedContext, distributed_context

CONFIG = """
name: two
stages: [prepare, sft]
stage:
  prepare: {_target_: fake_stages.Write, name: prepare}
  sft: {_target_: fake_stages.Write, name: sft}
root: ROOT
"""

SCRIPT = """
import os
import sys
from omegaconf import OmegaConf
from recsys.training.train import train
for _ in range(2):
    result = train(OmegaConf.create(os.environ["CONFIG"]))
    sys.stdout.write(f"folder {result.folder.name}\\n")  # at once: the other process writes to the same pipe
"""


def test_the_first_decides_and_the_others_are_told() -> None:
    store = HashStore()
    first, second = DistributedContext(0, store), DistributedContext(1, store)

    def turns(ranks: DistributedContext) -> list[object]:
        return [ranks.decide(lambda number=number: [ranks.rank, number]) for number in range(3)]

    with ThreadPoolExecutor(2) as pool:
        told = pool.submit(turns, second)
        decided = pool.submit(turns, first)
        assert decided.result(10) == told.result(10) == [[0, 0], [0, 1], [0, 2]]


def test_one_process_decides_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    distributed_context.cache_clear()
    assert distributed_context() == DistributedContext()


def test_several_processes_are_started_by_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    distributed_context.cache_clear()
    with pytest.raises(ConfigurationError, match="torchrun"):
        distributed_context()


@pytest.mark.slow
def test_two_processes_go_through_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setenv("CONFIG", CONFIG.replace("ROOT", str(tmp_path / "runs")))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "fakes"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    folders = sorted(one.name for one in (tmp_path / "runs" / "two").iterdir())
    said = sorted(re.findall(r"folder (\S+)", done.stdout))
    assert said == sorted(folders * 2)
    assert len(folders) == 2
