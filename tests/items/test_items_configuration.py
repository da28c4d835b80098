"""What `conf/items` and `conf/collisions` offer composes, is accepted and gives every item a semantic ID."""

from __future__ import annotations

import functools
import sys
from types import ModuleType

import polars as pl
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder
from recsys.config.validate import validate
from recsys.items.semantic_ids import SemanticIds
from recsys.types.jagged import Jagged

ITEMS = sorted(path.stem for path in configuration_folder().glob("items/*.yaml"))
COLLISIONS = sorted(path.stem for path in configuration_folder().glob("collisions/*.yaml"))
TABLE = pl.DataFrame({"item": range(24), "title": [f"Tale {item // 2} of {item // 6} kings" for item in range(24)]})
HISTORIES = Jagged.from_rows([[(start + 7 * step) % 24 for step in range(6)] for start in range(24)])


class LengthModel:
    """Stands in for a sentence encoder."""

    def __init__(self, name: str, device: str | None = None) -> None:
        assert name == "sentence-transformers/sentence-t5-base" and device is None

    def encode(self, texts: list[str], **_: object) -> Tensor:
        return torch.tensor([[len(text), sum(map(ord, text))] for text in texts], dtype=torch.float64)


@functools.cache
def configured(*overrides: str) -> DictConfig:
    """The items of an experiment, checked as a run checks them."""
    config = compose(["experiment=rere/movielens_100k", "clusters=6", *overrides])
    validate(config)
    return config["items"]


def semantic_ids(node: DictConfig) -> SemanticIds:
    """Every step of the stage that gives items their codes."""
    encoder, quantizer, collisions = (instantiate(node[part]) for part in ("encoder", "quantizer", "collisions"))
    generator = torch.Generator().manual_seed(0)
    vectors = encoder.encode(TABLE, HISTORIES, 24, generator)
    codes, sizes = collisions.resolve(quantizer.fit_encode(vectors, generator), quantizer, vectors)
    return SemanticIds(codes, sizes)


@pytest.mark.parametrize("items", ITEMS)
def test_every_kind_of_items_has_semantic_ids(items: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = LengthModel  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    found = semantic_ids(configured(f"items={items}"))
    assert found.codes.shape == (24, {"cooccurrence": 2, "text_and_cooccurrence": 2}.get(items, 4))
    assert len(found.codes.unique(dim=0)) == 24


@pytest.mark.parametrize("collisions", COLLISIONS)
def test_collisions_are_resolved_either_way(collisions: str) -> None:
    node = configured("items.quantizer.levels=2", f"collisions@items.collisions={collisions}")
    found = semantic_ids(node)
    assert found.codes.shape == (24, {"extra_code": 3, "next_best": 2}[collisions])
    assert len(found.codes.unique(dim=0)) == 24


def test_unbalanced_codes_differ_from_balanced_ones_in_the_quantizer_alone() -> None:
    balanced, plain = (configured(f"items=behaviour_and_content{end}") for end in ("", "_unbalanced"))
    assert balanced.encoder == plain.encoder and balanced.collisions == plain.collisions
    x = torch.randn(120, 4, generator=torch.Generator().manual_seed(0)).exp()
    sizes = []
    for node in (balanced, plain):
        quantizer = instantiate(node["quantizer"])
        codes = quantizer.fit_encode(x, torch.Generator().manual_seed(0))
        assert codes.shape == (120, 3) and quantizer.codes_per_level == (6, 6, 6)
        sizes.append([int(codes[:, level].bincount(minlength=6).max()) for level in range(3)])
    assert sizes[0] == [20, 20, 20] and min(sizes[1]) > 25
