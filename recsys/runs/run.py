"""Run an ordered list of stages, skipping each whose result is present with the same fingerprint."""

from __future__ import annotations

import copy
import logging
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from omegaconf import DictConfig

from recsys.atomic import remove_asides
from recsys.config.settings import RunSettings
from recsys.config.validate import validate
from recsys.config.written import naming_written_keys
from recsys.errors import ConfigurationError
from recsys.instantiation import PartError, make
from recsys.precision import require_default_precision
from recsys.runs.distributed import DistributedContext, distributed_context
from recsys.runs.fingerprint import PlannedStage, plan
from recsys.runs.ownership import Owner
from recsys.runs.run_folder import RunFolder, choose_folder
from recsys.runs.run_log import keeping_log, log_again, log_to_file
from recsys.stored import Trusted, trusting


@runtime_checkable
class Stage(Protocol):
    """One step of a run. It reads what earlier stages left in the run folder and leaves its own result there.

    A stage depends on all stages before it in `stages`: it runs again when one of them does. Making a stage only keeps
    its arguments; the work is in `run`. All stages are made before the first one runs, so that no wrong argument is
    found late. What must be known before a stage is made stands in class attributes:

    - `name`: under which the stage must be listed, if its code or later stages name its folder
    - `results`: files that it writes at the root of the run folder (`metrics.json`, `report.html`), which are taken
      away when what they were made from changes
    - `all_ranks = True`: it runs in every process of a distributed run, not in the first alone
    - `incremental = True`: it finds what it made with another configuration and keeps what still holds; the folders of
      other stages are emptied before they run
    - `is_intact(run)`: a method that returns whether what it left outside of the run folder is there and undamaged
    - `check_configuration(node, config)`: a static method that refuses a wrong configuration of the stage, given that
      of the run as well, before anything runs
    - `prepares = True`: it makes the data of the run; every later stage that is not up to date is then asked by its
      method `check_data(run)`, which refuses data that it cannot work with, before any of them begins
    """

    def run(self, run: RunFolder) -> None:
        """Do the work. Results go to `run.stage(name)`, weights to `run.checkpoint(name)`.

        What lies there at the start was left by an interrupted run of the same stage with the same fingerprint: go on
        from it where that gives the same result, or else overwrite it. What was logged while training goes to
        `run.stage(name) / "history.parquet"` with columns `step`, `metric`, `value`.
        """
        ...


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Args:
        folder: the run folder.
        metrics: `{row: {metric: {"value": v, "low": l, "high": h}}}`; empty where no stage evaluates.
        trusted: what the configuration of the run names.
    """

    folder: Path
    metrics: dict[str, dict[str, dict[str, float | None]]]
    trusted: Trusted = field(default_factory=Trusted, repr=False)

    def load(self, name: str) -> Any:
        """Return what a training of the run left; see `recsys.load`. What the run's configuration names is trusted."""
        from recsys.runs.artifacts import load

        with trusting(self.trusted):
            return load(self.folder, name)


def run_stages(config: DictConfig) -> RunResult:
    """Run the stages that `config.stages` lists, in that order.

    Running again in the same folder (`run`, `resume`) skips what is up to date, goes on with what was interrupted, and
    makes anew what the changed parts of the configuration lead to.

    Raises:
        ConfigurationError: the configuration has a wrong key, or a part refuses its arguments; nothing was run.
        RequestError: a stage refuses what it was given.
        KeyboardInterrupt: the run was interrupted; what was done stays and a later run goes on from it.
    """
    require_default_precision()
    validate(config)
    config = copy.deepcopy(config)
    with trusting(Trusted.of(config, RunSettings.of(config).modules)), naming_written_keys(config):
        steps = plan(config)
        with keeping_log() as made:
            stages = [make_stage(step.node) for step in steps]
        ranks = distributed_context()
        run = RunFolder(Path(ranks.decide(lambda: str(choose_folder(config, steps)))))
        with ExitStack() as held:
            if ranks.first:
                held.enter_context(Owner.of(config).holding(run.path))
                held.enter_context(log_to_file(run.log))
            log_again(made)
            if ranks.first:
                remove_asides(run.path)
                run.write_config(config)
                run.remove_stale_results(steps)
            done: list[str] = []
            for step, stage in zip(steps, stages, strict=True):
                run_stage(step, stage, run, ranks)
                done.append(step.name)
                if getattr(stage, "prepares", False):
                    later = list(zip(steps, stages, strict=True))[len(done) :]
                    ranks.decide(lambda asked=later: check_data(asked, run))
                ranks.decide(lambda: run.gather_history(done))
    return RunResult(run.path, run.read_metrics(), Trusted.of(config, RunSettings.of(config).modules))


def run_stage(step: PlannedStage, stage: Stage, run: RunFolder, ranks: DistributedContext) -> None:
    """Run one stage, unless its result is there."""
    intact = getattr(stage, "is_intact", None)
    if ranks.decide(lambda: run.up_to_date(step) and (intact is None or intact(run))):
        log.info("%s: up to date", step.name)
        return
    resumed = ranks.decide(lambda: run.begin(step))
    log.info("%s: %s", step.name, "goes on" if resumed else "begins")
    started = time.monotonic()
    if getattr(stage, "all_ranks", False):
        execute_stage(stage, run)
    else:
        ranks.decide(lambda: execute_stage(stage, run))
    ranks.decide(lambda: run.finish(step))
    log.info("%s: done in %.1f s", step.name, time.monotonic() - started)


def check_data(later: Sequence[tuple[PlannedStage, Stage]], run: RunFolder) -> None:
    """Ask the stages that are still to be run whether they can work with the data that were prepared.

    Raises:
        RequestError: one cannot; none of them has begun.
    """
    for step, stage in later:
        check = getattr(stage, "check_data", None)
        if check is not None and not run.up_to_date(step):
            check(run)


def make_stage(node: DictConfig) -> Any:
    """Make the stage that a node configures.

    Raises:
        RequestError: as the constructor of the stage said it, or with the key of the part that refuses its arguments.
    """
    try:
        return make(node)
    except PartError as error:
        if error.key == node._get_full_key(None) and isinstance(error.__cause__, ConfigurationError):
            raise error.__cause__ from None
        raise


def execute_stage(stage: Stage, run: RunFolder) -> None:
    """Run a stage; an interruption stays one, also where Lightning turns it into an exit and is deaf to the next."""
    handler = signal.getsignal(signal.SIGINT) or signal.default_int_handler
    try:
        stage.run(run)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
        raise RuntimeError(
            f"{type(stage).__name__}: a part called sys.exit({error.code!r}); the traceback says where"
        ) from error
