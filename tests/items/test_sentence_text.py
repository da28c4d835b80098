from __future__ import annotations

import sys
from types import ModuleType

import polars as pl
import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.items.text_encoders import SentenceText
from recsys.types.jagged import Jagged


class LengthModel:
    """Stands in for a sentence encoder: a text becomes its number of letters and of words."""

    def __init__(self, name: str, device: str | None = None) -> None:
        assert (name, device) == ("some/model", "cpu")

    def encode(self, texts: list[str], batch_size: int, normalize_embeddings: bool, convert_to_tensor: bool) -> Tensor:
        assert batch_size == 7 and convert_to_tensor
        vectors = torch.tensor([[len(text), len(text.split())] for text in texts], dtype=torch.float64)
        return vectors / vectors.norm(dim=-1, keepdim=True) if normalize_embeddings else vectors


def encode(normalise: bool) -> Tensor:
    encoder = SentenceText("some/model", columns=("title",), batch_size=7, normalise=normalise, device="cpu")
    table = pl.DataFrame({"title": ["red car", "boat"]})
    return encoder.encode(table, Jagged.empty(0), 2, torch.Generator())


def test_the_model_reads_the_item_text(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = LengthModel  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    assert encode(normalise=False).tolist() == [[7, 2], [4, 1]]
    assert encode(normalise=True).norm(dim=-1).tolist() == pytest.approx([1, 1])


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigurationError, match=r"recsys\[text\]"):
        encode(normalise=True)
