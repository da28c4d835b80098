"""What the models of a run are built from: its item bundle, or the data it prepared."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from recsys.items.bundle import ItemBundle
from recsys.runs.prepare import load_slate_log
from recsys.runs.run_folder import RunFolder

BUNDLE_FOLDER = "bundle"


@runtime_checkable
class Materials(Protocol):
    """What a `model` of a configuration is called with, and what its weights belong to."""

    @property
    def fingerprint(self) -> Any:
        """Text that changes whenever a model built from it would be another one."""
        ...

    def check(self, fingerprint: str) -> None:
        """Refuse weights of a model that was built from something else.

        Raises:
            RequestError: `fingerprint` belongs to materials that these cannot stand for.
        """
        ...


def load_bundle(run: RunFolder) -> ItemBundle:
    """Return the item bundle of a run."""
    return ItemBundle.load(run.stage("tokenize") / BUNDLE_FOLDER)


def load_materials(run: RunFolder) -> Materials:
    """Return the run's item bundle, or its prepared data where it has no stage that tokenizes."""
    tokenized = (run.path / "stages" / "tokenize" / BUNDLE_FOLDER).exists()
    return load_bundle(run) if tokenized else load_slate_log(run)[0]
