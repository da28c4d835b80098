from __future__ import annotations

import pytest
import torch

from recsys.data.datasets.dataset import Dataset
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.collisions import ExtraCode
from recsys.items.cooccurrence import PpmiSvd
from recsys.items.text_encoders import TfidfText
from recsys.runs.artifacts import Artifact, artifact_folder, load
from recsys.runs.materials import load_bundle
from recsys.runs.prepare import load_data_of
from recsys.runs.run import Stage
from recsys.runs.run_folder import RunFolder
from recsys.runs.tokenize import Tokenize
from recsys.types.artifact_kind import ArtifactKind


def test_every_item_has_codes_of_its_own(prepared: RunFolder) -> None:
    bundle, dataset = load_bundle(prepared), load_data_of(prepared, Dataset)
    assert bundle.table["item_id"].to_list() == dataset.items["item_id"].to_list()
    assert bundle.semantic_ids.codes.unique(dim=0).shape == (30, 2)
    assert sorted(bundle.semantic_ids.codes[:, 0].bincount().tolist()) == [7, 7, 8, 8]
    assert bundle.vectors.shape == (30, 6)


def test_equal_seeds_give_equal_codes(prepared: RunFolder) -> None:
    stage = Tokenize(TfidfText(dimensions=4), BalancedKMeans(levels=1, codes=3), ExtraCode(), seed=5)
    assert isinstance(stage, Stage)
    stage.run(prepared)
    first = load_bundle(prepared)
    stage.run(prepared)
    assert load_bundle(prepared).fingerprint == first.fingerprint
    assert torch.equal(load_bundle(prepared).vectors, first.vectors)


def test_the_vectors_are_an_artifact_of_the_run(prepared: RunFolder) -> None:
    first = Artifact.read(artifact_folder(prepared, "item_vectors"))
    assert first.kind is ArtifactKind.ITEM_VECTORS
    assert torch.equal(load(prepared, "item_vectors"), load_bundle(prepared).vectors)
    Tokenize(PpmiSvd(dimensions=5), BalancedKMeans(levels=1, codes=4), ExtraCode()).run(prepared)
    assert Artifact.read(artifact_folder(prepared, "item_vectors")).fingerprint != first.fingerprint


def test_the_health_of_the_codes_is_printed(prepared: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    Tokenize(PpmiSvd(dimensions=6), BalancedKMeans(levels=1, codes=4), ExtraCode()).run(prepared)
    shown = capsys.readouterr().out
    assert "entropy" in shown and "largest bucket" in shown and "semantic IDs of 30 items" in shown
    assert "shape:" not in shown, "a table, not a polars frame"
