"""A run: an ordered list of stages, each skipped where its result is there with the same fingerprint."""

from __future__ import annotations

import copy
import logging
import signal
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from recsys.errors import RequestError
from recsys.train.fingerprint import Step, plan
from recsys.train.ranks import Ranks, current_ranks
from recsys.train.run_folder import RunFolder, choose_folder
from recsys.train.run_log import logged
from recsys.train.stage import Stage
from recsys.train.strict import check

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Args:
        folder: the run folder.
        metrics: `{row: {metric: {"value": v, "low": l, "high": h}}}`; empty where no stage evaluates.
    """

    folder: Path
    metrics: dict[str, dict[str, dict[str, float | None]]]


def train(config: DictConfig) -> RunResult:
    """Run the stages that `config.stages` lists, in that order.

    Running again in the same folder (`run`, `resume`) skips what is up to date, goes on with what was interrupted, and
    makes anew what the changed parts of the configuration lead to.

    Raises:
        ConfigurationError: the configuration has a wrong key; nothing was run.
        RequestError: a stage refuses what it was given.
        KeyboardInterrupt: the run was interrupted; what was done stays and a later run goes on from it.
    """
    check(config)
    config = copy.deepcopy(config)  # making a node resolves, in place, the nodes that it refers to
    steps = plan(config)
    ranks = current_ranks()
    run = RunFolder(Path(ranks.decide(lambda: str(choose_folder(config, steps)))))
    with logged(run.log) if ranks.first else nullcontext():
        if ranks.first:
            run.write_config(config)
        for step in steps:
            run_step(step, run, ranks)
            ranks.decide(lambda: run.gather_history([one.name for one in steps]))
    return RunResult(run.path, run.read_metrics())


def run_step(step: Step, run: RunFolder, ranks: Ranks) -> None:
    """Run one stage, unless its result is there."""
    if ranks.decide(lambda: run.up_to_date(step)):
        log.info("%s: up to date", step.name)
        return
    resumed = ranks.decide(lambda: run.begin(step))
    log.info("%s: %s", step.name, "goes on" if resumed else "begins")
    started = time.monotonic()
    stage = build(step.node)
    if getattr(stage, "everywhere", False):
        execute(stage, run)
    else:
        ranks.decide(lambda: execute(stage, run))
    ranks.decide(lambda: run.finish(step))
    log.info("%s: done in %.1f s", step.name, time.monotonic() - started)


def build(node: DictConfig) -> Any:
    """Make what a node configures, with plain lists and dictionaries.

    A node with `_recursive_: false` makes its parts itself: it gets them as configuration.

    Raises:
        RequestError: as the constructor said it, without Hydra's words around it.
    """
    convert = node.get("_convert_", "all" if node.get("_recursive_", True) else "none")
    try:
        return instantiate(node, _convert_=convert)
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, RequestError):
            cause = cause.__cause__
        raise cause or error from None


def execute(stage: Stage, run: RunFolder) -> None:
    """Run a stage; an interruption stays one, also where Lightning turns it into an exit and is deaf to the next."""
    handler = signal.getsignal(signal.SIGINT) or signal.default_int_handler
    try:
        stage.run(run)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
        raise
