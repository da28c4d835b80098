"""The preparation benchmark's side of RecBole: `create_dataset` and `data_preparation` of its sequential setting.

It does more than the others: a row for every prefix of every sequence.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np

from child import report

for name, kind in (("float", float), ("int", int), ("bool", bool), ("object", object), ("long", int)):
    if name not in vars(np):
        setattr(np, name, kind)
for name, kind in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_), ("bool8", np.bool_)):
    if name not in vars(np):
        setattr(np, name, kind)
tensorboard = types.ModuleType("torch.utils.tensorboard")
tensorboard.SummaryWriter = type("SummaryWriter", (), {})
sys.modules["torch.utils.tensorboard"] = tensorboard

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset  # noqa: E402
from recbole.data.utils import data_preparation  # noqa: E402


def work(folder: Path) -> tuple[int, int, int]:
    """Events, users and items kept."""
    sys.argv = sys.argv[:1]
    settings = {
        "data_path": str(folder),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "user_inter_num_interval": "[5,inf)",
        "item_inter_num_interval": "[5,inf)",
        "rm_dup_inter": "first",
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
        "train_neg_sample_args": None,
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
    }
    config = Config(model="SASRec", dataset="log", config_dict=settings)
    dataset = create_dataset(config)
    kept = len(dataset.inter_feat), dataset.user_num - 1, dataset.item_num - 1
    data_preparation(config, dataset)
    return kept


report(work)
