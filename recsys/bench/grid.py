"""Play runs in parallel processes, keeping each record on disk."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from recsys.atomic import whole_file
from recsys.bench.comparison import BenchRun, PlayedRuns
from recsys.bench.record import EpisodeRecord
from recsys.errors import ConfigurationError, RequestError
from recsys.instantiation import make
from recsys.report.console import Column, ConsoleTable, print_plainly
from recsys.report.progress import live_table
from recsys.runs.fingerprint import FINGERPRINT_FILE, check_result, fingerprint, is_fresh, mark_result
from recsys.runs.notices import keep_libraries_quiet
from recsys.stored import Trusted, trusted, trusting

RECORD_VERSION = 5
"""Raised whenever what is played or kept changes: older runs are then played again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Configured:
    """Makes what a configuration names; another process can be given it.

    Args:
        node: plain values with `_target_`.
        key: full key in the configuration, for messages.
        trusted: what the command trusts that made this, wherever it is called.
    """

    node: Mapping[str, Any]
    key: str = ""
    trusted: Trusted = field(default_factory=trusted)

    @classmethod
    def of(cls, node: Any, key: str = "") -> Configured:
        """Return what makes the object of a configuration, its values resolved.

        Args:
            node: the configuration.
            key: full key of the node, for messages.

        Raises:
            ConfigurationError: the configuration is no dictionary.
        """
        plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        if not isinstance(plain, dict):
            raise ConfigurationError(f"{key}: expected a node with `_target_`, found {plain!r}")
        return cls({str(name): value for name, value in plain.items()}, key)

    def __call__(self) -> Any:
        """Make it anew."""
        with trusting(self.trusted):
            return make(self.node, key=self.key)


@dataclass(frozen=True)
class KeptRun:
    """A run of a configured simulator and policy, and where its record is kept.

    Args:
        run: what is played; its factories are `Configured`.
        folder: of the record.
    """

    run: BenchRun
    folder: Path

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of everything that the record depends on."""
        run = self.run
        nodes = [run.make_simulator, run.make_policy]
        assert all(isinstance(node, Configured) for node in nodes), "runs that are kept come from a configuration"
        episode = [getattr(run.episode, field.name) for field in fields(run.episode)]
        parts = [*(node.node for node in nodes), run.policy, run.seed, episode, run.slot_draws]
        return fingerprint(RECORD_VERSION, *parts)

    @property
    def done(self) -> bool:
        """Return whether the record is there."""
        return is_fresh(self.folder, self.fingerprint)

    def read(self) -> EpisodeRecord:
        """Return the record.

        Raises:
            RequestError: it is gone or damaged.
        """
        check_result(self.folder)
        return EpisodeRecord(**torch.load(self.folder / "record.pt", weights_only=True))

    def play(self) -> float:
        """Play the run and keep its record; on one thread, so that equal seeds give equal numbers wherever it runs.

        Returns:
            Seconds it took.
        """
        started = time.perf_counter()
        torch.set_num_threads(1)
        record = self.run.play()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / FINGERPRINT_FILE).unlink(missing_ok=True)
        with whole_file(self.folder / "record.pt") as aside:
            torch.save({field.name: getattr(record, field.name) for field in fields(record)}, aside)
        mark_result(self.folder, self.fingerprint)
        return time.perf_counter() - started


WAKES = 0.2
"""Seconds after which the wait for a run looks for an interruption."""

WAITING, DONE, FAILED = "·", "done", "failed"


@dataclass(frozen=True)
class ProcessGrid:
    """Play runs several at a time, each in a process of its own, and keep what was played.

    A run that fails takes nothing from the others, nor does one whose process is killed. An interruption ends the
    processes at once; runs that are done are kept, and playing again goes on there. The processes end with this one,
    however it ends.
    Records of policies and seeds that are no longer asked for are taken away.

    Args:
        folder: gets `<policy>/<seed>/record.pt`.
        processes: runs at a time, and numbers do not depend on it; 0 takes one for each core.
    """

    folder: Path
    processes: int = 0

    def __call__(self, runs: Sequence[BenchRun]) -> PlayedRuns:
        """Return the records, and what went wrong."""
        kept = [self.place(run) for run in runs]
        self._forget_others({one.folder for one in kept})
        problems = self._play([one for one in kept if not one.done], kept)
        return PlayedRuns({one.run.name: one.read() for one in kept if one.run.name not in problems}, problems)

    def place(self, run: BenchRun) -> KeptRun:
        """Return the run with the folder where its record is kept."""
        return KeptRun(run, self.folder / run.policy / str(run.seed))

    def _play(self, open_runs: Sequence[KeptRun], every: Sequence[KeptRun]) -> dict[str, str]:
        """Return what went wrong, by the run's name in the order of the runs; empty where all is well."""
        state = {one.run.name: DONE for one in every} | {one.run.name: WAITING for one in open_runs}
        problems: dict[str, str] = {}
        waiting = list(open_runs)[::-1]
        running: dict[Future[float], tuple[ProcessPoolExecutor, str]] = {}
        spare = [_worker() for _ in range(max(1, min(self.processes or _cores(), len(waiting))))]
        try:
            with live_table(_table(every, state)) as show:
                while waiting or running:
                    while waiting and spare:
                        one = waiting.pop()
                        with _without_interrupts():
                            worker, future = _submitted(spare.pop(), one)
                        running[future] = (worker, one.run.name)
                    # A wait without end does not see a Ctrl-C that was given to a thread.
                    for future in wait(running, WAKES, FIRST_COMPLETED).done:
                        worker, name = running.pop(future)
                        trace: BaseException | None = None
                        try:
                            seconds = future.result()
                            state[name] = f"{seconds:.1f} s"
                            log.info("%s: %.1f s", name, seconds)
                        except BrokenProcessPool:
                            problems[name] = "its process died or was killed, as it is where memory runs out"
                            worker.shutdown(wait=False)
                            worker = _worker()
                        except RequestError as error:
                            problems[name] = str(error)
                        except Exception as error:
                            problems[name], trace = f"{type(error).__name__}: {error}", error
                        spare.append(worker)
                        if name in problems:
                            state[name] = FAILED
                            log.error("%s: %s", name, problems[name], exc_info=trace)
                        show(_table(every, state))
        except BaseException:
            for worker, _ in running.values():
                _kill(worker)
            for one in open_runs:
                for unfinished in one.folder.glob("record.pt.*.aside"):
                    unfinished.unlink()
            raise
        finally:
            for worker in (*spare, *(one for one, _ in running.values())):
                worker.shutdown(cancel_futures=True)
        return {name: problems[name] for name in state if name in problems}

    def _forget_others(self, folders: set[Path]) -> None:
        for one in self.folder.glob("*/*/"):
            ours = (one / "record.pt").exists() or (one / FINGERPRINT_FILE).exists() or not any(one.iterdir())
            if one not in folders and ours:
                shutil.rmtree(one)
        for one in self.folder.glob("*/"):
            if not any(one.iterdir()):
                one.rmdir()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends; processes that start in it never see it and print no traceback of it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _worker() -> ProcessPoolExecutor:
    """Return a process of its own to play runs in, one after the other; it starts with the first."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def _submitted(worker: ProcessPoolExecutor, run: KeptRun) -> tuple[ProcessPoolExecutor, Future[float]]:
    """Let a worker play a run; another one where its process was killed while it had nothing to do."""
    try:
        return worker, worker.submit(run.play)
    except BrokenProcessPool:
        fresh = _worker()
        return fresh, fresh.submit(run.play)


def _end_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, also where it was killed; keep libraries quiet."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_libraries_quiet()
    print_plainly(sys.stderr)
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has one"
    threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


def _kill(worker: ProcessPoolExecutor) -> None:
    """End a worker's process at once; what it had not kept is played again."""
    for process in list((worker._processes or {}).values()):
        process.kill()
        process.join()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _table(runs: Sequence[KeptRun], state: Mapping[str, str]) -> ConsoleTable:
    seeds = sorted({one.run.seed for one in runs})
    rows = []
    for policy in dict.fromkeys(one.run.policy for one in runs):
        own = {one.run.seed: state[one.run.name] for one in runs if one.run.policy == policy}
        rows.append([policy, *(own.get(seed, "") for seed in seeds)])
    columns = [Column("", words=True), *(Column(str(seed)) for seed in seeds)]
    return ConsoleTable(columns, rows, "policies × seeds", lines="none")
