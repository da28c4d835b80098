from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from recsys.data.datasets.dataset import Dataset
from recsys.errors import ConfigurationError, DataError
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.collisions import ExtraCode
from recsys.items.cooccurrence import PpmiSvd
from recsys.items.quantizer import codes_of_new
from recsys.items.text_encoders import TfidfText
from recsys.runs.artifacts import Artifact, artifact_folder, load
from recsys.runs.materials import load_bundle
from recsys.runs.prepare import load_data_of
from recsys.runs.run import Stage
from recsys.runs.run_folder import RunFolder
from recsys.runs.tokenize import Tokenize
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.jagged import Jagged


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


def test_items_that_nobody_took_in_training_can_be_left_out_of_the_fit(prepared: RunFolder) -> None:
    data = load_data_of(prepared, Dataset)
    counts = data.sequences.values.bincount(minlength=30)
    least = int(counts.float().median())
    fitted = counts >= least
    assert 4 <= int(fitted.sum()) < 30
    quantizer = BalancedKMeans(levels=1, codes=4)
    Tokenize(PpmiSvd(dimensions=6), quantizer, ExtraCode(), least_interactions=least).run(prepared)
    codes, vectors = load_bundle(prepared).semantic_ids.codes, load_bundle(prepared).vectors
    sizes = codes[fitted, 0].bincount(minlength=4)
    assert sizes.max() - sizes.min() <= 1, "balance is that of the fitted items"
    assert torch.equal(codes[~fitted, :1], codes_of_new(quantizer, vectors[~fitted]))
    with pytest.raises(DataError, match="4 codes a level need at least as many item vectors, found 0"):
        Tokenize(PpmiSvd(), quantizer, ExtraCode(), least_interactions=10**6).check_data(prepared)
    with pytest.raises(ConfigurationError, match="least_interactions=-1"):
        Tokenize(PpmiSvd(), quantizer, ExtraCode(), least_interactions=-1)


def test_items_without_a_training_interaction_are_told_with_what_they_do_to_the_codes(
    prepared: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Tokenize(TfidfText(dimensions=4), BalancedKMeans(levels=1, codes=3), ExtraCode(), least_interactions=1)
    items = load_data_of(prepared, Dataset).items
    known = SimpleNamespace(items=items, sequences=Jagged.from_rows([list(range(24)), [0, 1]]))
    monkeypatch.setattr("recsys.runs.tokenize.load_data_of", lambda *_: known)
    capsys.readouterr()
    stage.run(prepared)
    shown = capsys.readouterr().out
    assert "30 share all codes of the quantizer, 0 those of 2 levels" in shown
    assert "6 of them have no training interaction" in shown and "largest without" in shown
    raw = load_bundle(prepared).semantic_ids.codes[:, 0]
    assert raw[:24].bincount().tolist() == [8, 8, 8]
    cells = [line.split() for line in shown[shown.index("largest without") :].splitlines()]
    assert ["1", "8", str(int(raw.bincount().max())), "1.000"] in cells
