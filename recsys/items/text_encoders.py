"""Compute item vectors from the text of the item table, by TF-IDF or a sentence encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.extmath import randomized_svd
from torch import Tensor
from torch.nn.functional import normalize
from typing_extensions import override

from recsys.errors import ConfigurationError, DataError
from recsys.items.encoder import ItemEncoder
from recsys.ranges import at_least
from recsys.types.jagged import Jagged


def item_text(items: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the text of each item: its columns, in the given order, joined by spaces.

    Lists are joined by spaces too. Other types are converted to strings by polars. Nulls are left out.

    Args:
        items: the item table.
        columns: names of columns; those that the table lacks are skipped.

    Raises:
        DataError: the table has none of the columns.

    >>> table = pl.DataFrame({"title": ["Heat", None], "genres": [["Crime", "Drama"], ["Comedy"]]})
    >>> item_text(table, ["title", "genres"])
    ['Heat Crime Drama', 'Comedy']
    """
    present = [column for column in columns if column in items.columns]
    if not present:
        raise DataError(
            f"item table: none of the text columns {list(columns)} among {items.columns}. Name other columns"
        )
    parts = []
    for column in present:
        if items.schema[column].base_type() is pl.List:
            parts.append(pl.col(column).cast(pl.List(pl.String)).list.join(" ", ignore_nulls=True))
        else:
            parts.append(pl.col(column).cast(pl.String))
    return items.select(pl.concat_str(parts, separator=" ", ignore_nulls=True)).to_series().to_list()


class TfidfText(ItemEncoder):
    """Item vectors by truncated singular value decomposition of the TF-IDF matrix of the items' words, `U S`.

    The entry of word `w` in item `i` is `(1 + log count(w, i)) · (1 + log((1 + N) / (1 + items with w)))`. Rows are
    scaled to length 1 before the decomposition. An item without a known word gets the zero vector. Histories are not
    read.

    Args:
        dimensions: width `D` of the vectors. If there are fewer items or words, the last columns are zero.
        columns: columns of the item table to read, if it has them: text, numbers or lists of text.
        min_items: words that fewer items have are left out.
        longest_phrase: 1 uses single words, 2 also pairs of neighbouring words, and so on.
        normalise: whether vectors other than zero are scaled to length 1.

    Raises:
        DataError: by `encode`, if the table has none of the columns, or no word occurs in `min_items` items.

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
        at_least(1, dimensions=dimensions, min_items=min_items, longest_phrase=longest_phrase)
        self.dimensions = dimensions
        self.columns = tuple(columns)
        self.min_items = min_items
        self.longest_phrase = longest_phrase
        self.normalise = normalise

    @override
    def encode(
        self, items: pl.DataFrame, sequences: Jagged, num_items: int, generator: torch.Generator
    ) -> Float[Tensor, "N D"]:
        words = TfidfVectorizer(sublinear_tf=True, min_df=self.min_items, ngram_range=(1, self.longest_phrase))
        try:
            matrix = words.fit_transform(item_text(items, self.columns))
        except ValueError as error:
            raise DataError(
                f"item table: no word of {list(self.columns)} occurs in {self.min_items} items or more ({error}). "
                "Lower min_items or name other columns"
            ) from error
        rank = min(self.dimensions, *matrix.shape)
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        left, values, _ = randomized_svd(matrix, n_components=rank, random_state=seed)
        vectors = torch.zeros(num_items, self.dimensions)
        vectors[:, :rank] = torch.from_numpy(np.asarray(left * values))
        return normalize(vectors, dim=-1) if self.normalise else vectors


class SentenceText(ItemEncoder):
    """Item vectors from a sentence-transformers model, whose width they have. Histories are not read.

    The encoder needs the extra `text`: `pip install 'recsys[text]'`. Nothing about it is random.

    Args:
        model: name of a model, which is downloaded at the first use, or its folder.
        columns: columns of the item table to read, if it has them.
        batch_size: number of items that are encoded at once.
        normalise: whether vectors are scaled to length 1.
        device: device of the model; None lets sentence-transformers choose.

    Raises:
        ConfigurationError: by `encode`, if sentence-transformers is not installed.
        DataError: by `encode`, if the table has none of the columns.
    """

    requires: ClassVar[Mapping[str, str]] = {"sentence_transformers": "pip install 'recsys[text]', or take TfidfText"}

    def __init__(
        self,
        model: str,
        columns: Sequence[str] = ("title", "text", "categories"),
        batch_size: int = 64,
        normalise: bool = True,
        device: str | None = None,
    ) -> None:
        at_least(1, batch_size=batch_size)
        self.model = model
        self.columns = tuple(columns)
        self.batch_size = batch_size
        self.normalise = normalise
        self.device = device

    @override
    def encode(
        self, items: pl.DataFrame, sequences: Jagged, num_items: int, generator: torch.Generator
    ) -> Float[Tensor, "N D"]:
        try:
            from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ConfigurationError(
                "SentenceText needs sentence-transformers. Run pip install 'recsys[text]', or use TfidfText"
            ) from error
        vectors = SentenceTransformer(self.model, device=self.device).encode(
            item_text(items, self.columns),
            batch_size=self.batch_size,
            normalize_embeddings=self.normalise,
            convert_to_tensor=True,
        )
        return vectors.float().cpu()
