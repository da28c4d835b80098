from __future__ import annotations

import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

FAKES = str(Path(__file__).parent / "fakes")
if FAKES not in sys.path:
    sys.path.append(FAKES)


@pytest.fixture
def chain(tmp_path: Path) -> DictConfig:
    """Four stages: prepare, sft on it, rl on sft, evaluate on sft and rl."""
    return OmegaConf.create(
        {
            "name": "chain",
            "stages": ["prepare", "sft", "rl", "evaluate"],
            "seed": 0,
            "root": str(tmp_path / "runs"),
            "run": None,
            "resume": False,
            "reward": {"_target_": "fake_stages.Reward", "kind": "rule"},
            "stage": {
                "prepare": {"_target_": "fake_stages.Write", "name": "prepare", "text": "data"},
                "sft": {
                    "_target_": "fake_stages.Write",
                    "name": "sft",
                    "inputs": ["prepare"],
                    "text": "sft",
                    "seed": "${seed}",
                },
                "rl": {"_target_": "fake_stages.Write", "name": "rl", "inputs": ["sft"], "reward": "${reward}"},
                "evaluate": {"_target_": "fake_stages.Evaluate", "inputs": ["sft", "rl"]},
            },
        }
    )
