"""What a configuration may set of Lightning's trainer is used, and what it may not is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from omegaconf import OmegaConf

from recsys.errors import ConfigurationError
from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.systems.supervised import SupervisedSystem
from recsys.training.fit import Schedule
from recsys.training.terminal_progress import TerminalProgress
from recsys.training.train_stage import Train
from recsys.training.trainer_options import SET_BY_TRAININGS, joined_callbacks
from tests.fitting import ADAM, quick_fit
from tests.tiny import tiny_generator

TRAINER = partial(lightning.Trainer, accelerator="cpu", enable_progress_bar=False)


def system() -> SupervisedSystem:
    return SupervisedSystem(tiny_generator(), legal_set_cross_entropy, ADAM, warmup_steps=0)


class Counts(Callback):
    steps = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps += 1


def test_loggers_and_callbacks_of_the_configuration_are_used(tmp_path: Path) -> None:
    counts, logger = Counts(), CSVLogger(tmp_path / "logs", name="", version="")
    trainer = partial(TRAINER, logger=logger, callbacks=[counts, LearningRateMonitor("step")], log_every_n_steps=1)
    fitted = quick_fit(system(), tmp_path / "fit", Schedule(max_epochs=2), trainer=trainer)
    assert counts.steps == 12
    assert fitted.history.filter(metric="validation/ndcg@10").height == 2, "the training's own go on"
    written = (tmp_path / "logs" / "metrics.csv").read_text().splitlines()
    assert {"train/loss", "validation/ndcg@10", "lr-AdamW"} <= set(written[0].split(","))
    assert {one.name for one in (tmp_path / "fit").iterdir()} == {"best.ckpt", "last.ckpt", "before_last.ckpt"}


@pytest.mark.parametrize("name", SET_BY_TRAININGS)
def test_options_that_a_training_sets_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"trainer\.{name}: every training sets it itself; "):
        quick_fit(system(), tmp_path, Schedule(max_epochs=1), trainer=partial(TRAINER, **{name: 1}))
    assert not list(tmp_path.iterdir())


def test_and_before_anything_runs() -> None:
    config = OmegaConf.create({"trainings": {}, "trainer": {"_target_": "lightning.Trainer", "max_epochs": 3}})
    with pytest.raises(ConfigurationError, match=r"trainer\.max_epochs: .*set schedule\.max_epochs"):
        Train.check_configuration(config, config)


def test_every_option_that_fit_passes_is_honoured_or_refused(tmp_path: Path) -> None:
    passed: dict[str, Any] = {}

    def watch(**options: Any) -> lightning.Trainer:
        passed.update(options)
        return TRAINER(**{**options, "callbacks": [c for c in options["callbacks"] if not isinstance(c, ProgressBar)]})

    torch.manual_seed(0)
    quick_fit(system(), tmp_path, Schedule(max_epochs=1), trainer=watch, limit=1)
    assert set(passed) - set(SET_BY_TRAININGS) == {"callbacks", "logger", "enable_model_summary"}


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        ({}, [TerminalProgress]),
        ({"enable_progress_bar": False}, []),
        ({"callbacks": TQDMProgressBar()}, [TQDMProgressBar]),
        ({"callbacks": None}, [TerminalProgress]),
    ],
)
def test_there_is_one_progress_bar_or_none(bound: dict[str, Any], expected: list[type]) -> None:
    own = Counts()
    first, *others = joined_callbacks([own], bound)
    assert first is own
    assert [type(one) for one in others] == expected
