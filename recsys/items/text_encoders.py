"""Item vectors from the text of the item table: TF-IDF or a sentence encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.extmath import randomized_svd
from torch import Tensor
from torch.nn.functional import normalize

from recsys.errors import ConfigurationError, DataError
from recsys.types.jagged import Jagged


def item_text(items: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """One string an item: the named columns that the table has, in the order named, joined by spaces.

    Lists are joined by spaces too, other types are written as polars writes them, nulls are left out.

    Raises:
        DataError: the table has none of the columns.

    >>> table = pl.DataFrame({"title": ["Heat", None], "genres": [["Crime", "Drama"], ["Comedy"]]})
    >>> item_text(table, ["title", "genres"])
    ['Heat Crime Drama', 'Comedy']
    """
    present = [column for column in columns if column in items.columns]
    if not present:
        raise DataError(f"item table: none of the text columns {list(columns)} among its columns {items.columns}")
    parts = []
    for column in present:
        if items.schema[column].base_type() is pl.List:
            parts.append(pl.col(column).cast(pl.List(pl.String)).list.join(" ", ignore_nulls=True))
        else:
            parts.append(pl.col(column).cast(pl.String))
    return items.select(pl.concat_str(parts, separator=" ", ignore_nulls=True)).to_series().to_list()


class TfidfText:
    """Truncated singular value decomposition of the TF-IDF matrix of the items' words: vectors `U S`.

    A word counts `1 + log(times)` in an item and is weighted by `1 + log((1 + N) / (1 + items that have it))`; rows are
    scaled to length 1 before the decomposition. An item without a known word has the zero vector.

    Args:
        dimensions: width `D`; where there are fewer items or words, the last columns are zero.
        columns: columns of the item table to read, those it has; text, numbers or lists of text.
        min_items: words in fewer items are left out.
        longest_phrase: 1 takes single words, 2 pairs of neighbours too, and so on.
        normalise: scale every vector that is not zero to length 1.

    Source: Deerwester et al. 1990 (latent semantic analysis).
    """

    def __init__(
        self,
        dimensions: int = 64,
        columns: Sequence[str] = ("title", "text", "categories"),
        min_items: int = 2,
        longest_phrase: int = 1,
        normalise: bool = True,
    ) -> None:
        self.dimensions = dimensions
        self.columns = tuple(columns)
        self.min_items = min_items
        self.longest_phrase = longest_phrase
        self.normalise = normalise

    def encode(
        self, items: pl.DataFrame, sequences: Jagged, num_items: int, generator: torch.Generator
    ) -> Float[Tensor, "N D"]:
        """See `ItemEncoder`; the histories are not looked at.

        Raises:
            DataError: the table has none of the columns, or no word stands in `min_items` items.
        """
        words = TfidfVectorizer(sublinear_tf=True, min_df=self.min_items, ngram_range=(1, self.longest_phrase))
        try:
            matrix = words.fit_transform(item_text(items, self.columns))
        except ValueError as error:
            raise DataError(
                f"item table: no word of {list(self.columns)} stands in {self.min_items} items or more ({error}): "
                "lower min_items or name other columns"
            ) from error
        rank = min(self.dimensions, *matrix.shape)
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        left, values, _ = randomized_svd(matrix, n_components=rank, random_state=seed)
        vectors = torch.zeros(num_items, self.dimensions)
        vectors[:, :rank] = torch.from_numpy(np.asarray(left * values))
        return normalize(vectors, dim=-1) if self.normalise else vectors


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
