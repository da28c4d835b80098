"""What the models of a run are built from: its item bundle, or the data it prepared."""

from __future__ import annotations

from recsys.data.datasets.preparation import Materials
from recsys.items.bundle import ItemBundle
from recsys.runs.prepare import load_data
from recsys.runs.run_folder import RunFolder

BUNDLE_FOLDER = "bundle"


def load_bundle(run: RunFolder) -> ItemBundle:
    """Return the item bundle of a run."""
    return ItemBundle.load(run.stage("tokenize") / BUNDLE_FOLDER)


def load_materials(run: RunFolder) -> Materials:
    """Return the run's item bundle, or its prepared data if it has no stage that tokenizes."""
    tokenized = (run.path / "stages" / "tokenize").exists()
    return load_bundle(run) if tokenized else load_data(run).materials
