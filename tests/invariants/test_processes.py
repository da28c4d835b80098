"""Two processes that share the batches train what one does that accumulates over two: the mean gradient of both."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from recsys.runs.artifacts import artifacts
from recsys.runs.run import run_stages
from recsys.runs.run_folder import RunFolder
from recsys.types.artifact_kind import ArtifactKind
from tests.invariants.two_processes import trained
from tests.test_experiments import small

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_one_process_is_two(tmp_path: Path) -> None:
    config = small("rere/parquet", tmp_path, "~train.sft_continued", "~train.sasrec")
    OmegaConf.save(config, tmp_path / "one.yaml")
    config.trainer.update({"devices": 2, "strategy": "ddp"})
    OmegaConf.save(config, tmp_path / "config.yaml")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [str(ROOT / "tests" / "invariants" / "two_processes.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *script], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    trained(tmp_path / "one", accumulate=2)
    one, two = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("one", "two"))
    assert one["global_step"] == two["global_step"] == 6
    for name, value in one["current_model_state"].items():
        torch.testing.assert_close(two["current_model_state"][name], value, atol=1e-6, rtol=1e-5)
    streams = [process["cpu"] for process in two["callbacks"]["RandomStateCallback"]["processes"]]
    assert len(streams) == 2
    assert not torch.equal(*streams)

    folders = set(re.findall(r"folder (\S+)", done.stdout))
    assert len(folders) == 1, "both went through one run"
    run = RunFolder(Path(folders.pop()))
    assert [one.name for one in artifacts(run, ArtifactKind.POLICY)] == ["sft", "rere", "rere_lambda"]
    assert run.report.exists()
    alone = run_stages(OmegaConf.load(tmp_path / "one.yaml"))
    assert set(alone.metrics) == set(run.read_metrics())
    counts = [metrics["markov"]["ndcg@10"] for metrics in (alone.metrics, run.read_metrics())]
    assert counts[0] == counts[1]
