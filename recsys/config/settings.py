"""The settings of a run: the plain top-level keys of its configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from omegaconf import DictConfig

DEFAULT_STAGES = ("prepare", "tokenize", "train", "evaluate", "report")


@dataclass(frozen=True)
class RunSettings:
    """The plain top-level keys of `conf/train.yaml` and `conf/bench.yaml`; `of` reads them from what was composed.

    Args:
        name: of the experiment; a new run lies in `<root>/<name>/<date>`.
        stages: names of the nodes of `stage`, in the order in which they run.
        seed: of everything random.
        limit: batches an epoch (and requests' batches an evaluation), None = all. `debug=limit` sets it.
        overfit: training batches that are repeated and also evaluated on, None = train on all. `debug=overfit` sets it.
        profiler: Lightning's profiler, its table beside the checkpoints, None = none. `debug=profile` sets it.
        root: folder of all runs.
        run: the run folder itself, instead of a new one; stages that are up to date in it are skipped.
        resume: go on with the newest unfinished run of this configuration.
        provides: top-level keys that are there to be referred to, whether or not what is chosen does.
        modules: modules beside this package whose classes and functions the run folders that are read may name.
    """

    name: str = "unnamed"
    stages: list[str] = field(default_factory=lambda: list(DEFAULT_STAGES))
    seed: int = 0
    limit: int | None = None
    overfit: int | None = None
    profiler: Literal["simple", "advanced"] | None = None
    root: str = "runs"
    run: str | None = None
    resume: bool = False
    provides: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, config: DictConfig) -> RunSettings:
        """Read the settings of a configuration. Keys that it lacks keep their defaults."""
        given = {one: config[one] for one in cls.names() if one in config}
        for one in {"stages", "provides", "modules"} & given.keys():
            given[one] = list(given[one])
        return cls(**given)

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the settings.

        >>> RunSettings.names()[:2]
        ['name', 'stages']
        """
        return [one.name for one in fields(cls)]


LOCATION_KEYS = ("root", "run", "resume", "modules")
"""Settings that locate a run, and what it may read. They are no part of its identity."""
