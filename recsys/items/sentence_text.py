"""Item vectors from a sentence encoder over the item table's text."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.jagged import Jagged
from recsys.errors import ConfigurationError
from recsys.items.item_text import item_text


class SentenceText:
    """Vectors of a sentence-transformers model; needs the `text` extra.

    Args:
        model: a model's name, fetched when first used, or the folder it lies in.
        columns: columns of the item table to read, those it has.
        batch_size: items encoded at a time.
        normalise: scale every vector to length 1.
        device: where the model runs; None lets sentence-transformers choose.
    """

    def __init__(
        self,
        model: str,
        columns: Sequence[str] = ("title", "text", "categories"),
        batch_size: int = 64,
        normalise: bool = True,
        device: str | None = None,
    ) -> None:
        self.model = model
        self.columns = tuple(columns)
        self.batch_size = batch_size
        self.normalise = normalise
        self.device = device

    def encode(
        self, items: pl.DataFrame, sequences: Jagged, num_items: int, generator: torch.Generator
    ) -> Float[Tensor, "N D"]:
        """See `ItemEncoder`; the width is the model's, the histories are not looked at, nothing is random.

        Raises:
            ConfigurationError: sentence-transformers is not installed.
            DataError: the table has none of the columns.
        """
        try:
            from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ConfigurationError(
                "SentenceText needs sentence-transformers: pip install 'recsys[text]', or use TfidfText"
            ) from error
        vectors = SentenceTransformer(self.model, device=self.device).encode(
            item_text(items, self.columns),
            batch_size=self.batch_size,
            normalize_embeddings=self.normalise,
            convert_to_tensor=True,
        )
        return vectors.float().cpu()
