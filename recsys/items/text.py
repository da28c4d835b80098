"""Item vectors from the words of the item table, without a download."""

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

from recsys.data.jagged import Jagged
from recsys.errors import DataError
from recsys.items.item_text import item_text


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
