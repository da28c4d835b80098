"""The item bundle: everything about the catalogue that a checkpoint needs, saved in one folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from recsys.atomic import whole_folder, write_json, write_parquet, write_tensors
from recsys.checksums import check_folder, write_checksums
from recsys.errors import DataError, RequestError
from recsys.items.collisions import CollisionPolicy, ExtraCode
from recsys.items.quantizer import Quantizer, codes_of_new
from recsys.items.semantic_ids import SemanticIds
from recsys.items.trie import Trie


@dataclass(frozen=True)
class ItemBundle:
    """Item table, semantic IDs and vectors of a catalogue. Row `i` of each belongs to item `i`.

    Args:
        table: columns `item` (`0 .. N − 1`, in order), `item_id` (raw ids, all different) and any others.
        semantic_ids: codes of the `N` items.
        vectors: `[N, D]`, the vectors that the codes were computed from.
        trained: fingerprint of the bundle to which new items were added; None if no items were added.

    Raises:
        DataError: table, codes and vectors have different numbers of items, or the table is malformed.
    """

    table: pl.DataFrame
    semantic_ids: SemanticIds
    vectors: Float[Tensor, "N D"]
    trained: str | None = None

    def __post_init__(self) -> None:
        lengths = (self.table.height, self.semantic_ids.num_items, self.vectors.shape[0])
        if len(set(lengths)) > 1:
            raise DataError(
                f"item table, semantic IDs and vectors have {lengths} items; they must have the same number"
            )
        missing = {"item", "item_id"} - set(self.table.columns)
        if missing:
            raise DataError(f"item table: no column {sorted(missing)} among {self.table.columns}. Add it")
        if not self.table["item"].equals(pl.Series("item", range(self.table.height), dtype=self.table["item"].dtype)):
            raise DataError("item table: column item must be 0 .. N − 1 in this order. Sort and number the rows")
        if self.table["item_id"].is_duplicated().any():
            twin = self.table["item_id"].filter(self.table["item_id"].is_duplicated())[0]
            raise DataError(
                f"item table: item_id {twin!r} occurs in more than one row, expected once. Keep one of them"
            )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of codes and raw ids. It is equal if and only if every raw id has the same index and codes."""
        ids = json.dumps(self.table["item_id"].to_list(), default=str)
        return hashlib.sha256(f"{self.semantic_ids.fingerprint}{ids}".encode()).hexdigest()

    def trie(self) -> Trie:
        """Return the trie of the catalogue's codes."""
        return self.semantic_ids.trie()

    def check(self, fingerprint: str) -> None:
        """Raise an error if weights were trained on other items or codes.

        Args:
            fingerprint: fingerprint of the bundle that the weights were trained with.

        Raises:
            RequestError: the fingerprint is neither that of this bundle nor `trained`.
        """
        if fingerprint not in (self.fingerprint, self.trained):
            raise RequestError(
                f"the weights were trained on items with fingerprint {fingerprint[:12]}, these items have "
                f"{self.fingerprint[:12]}. Load the item bundle that was saved beside the weights"
            )

    def with_new_items(
        self,
        rows: pl.DataFrame,
        vectors: Float[Tensor, "M D"],
        quantizer: Quantizer,
        collisions: CollisionPolicy | None = None,
    ) -> ItemBundle:
        """Return a bundle of these items followed by `M` new ones, with the codes of the nearest codewords.

        The items of this bundle keep their indices and codes, so weights trained on this bundle pass `check`. A level
        grows if a bucket has no free code; `ExtraCode(size=…)` reserves codes in advance.

        Args:
            rows: one row an item, with `item_id` and any further columns. Missing columns of the table become null (0
                for `interactions`).
            vectors: `[M, D]`, computed as the vectors of this bundle were.
            quantizer: the fitted quantizer of this bundle's codes.
            collisions: the collision policy of this bundle's codes; None means `ExtraCode()`.

        Raises:
            DataError: an id exists already, or rows and vectors do not match.
            ConfigurationError: quantizer and policy are not those of this bundle's codes, or a level has no free code.
        """
        if "item_id" not in rows.columns or rows.schema["item_id"] != self.table.schema["item_id"]:
            raise DataError(
                f"new items: expected a column item_id of type {self.table.schema['item_id']}. Add or cast it"
            )
        if rows.height != vectors.shape[0] or vectors.shape[1:] != self.vectors.shape[1:]:
            raise DataError(
                f"new items: found {rows.height} rows and vectors of shape {tuple(vectors.shape)}, expected "
                f"one row of {self.vectors.shape[1]} numbers an item"
            )
        codes, _ = (collisions or ExtraCode()).resolve(
            codes_of_new(quantizer, vectors), quantizer, vectors, self.semantic_ids.codes
        )
        places = range(self.table.height, self.table.height + rows.height)
        numbered = rows.with_columns(pl.Series("item", places, dtype=self.table.schema["item"]))
        table = pl.concat([self.table, numbered], how="diagonal_relaxed")
        if "interactions" in table.columns:
            table = table.with_columns(pl.col("interactions").fill_null(0))
        return ItemBundle(
            table,
            self.semantic_ids.extend(codes),
            torch.cat([self.vectors, vectors]),
            trained=self.trained or self.fingerprint,
        )

    def save(self, folder: Path) -> None:
        """Write the folder. An existing folder is replaced only after the new one is complete."""
        with whole_folder(folder, replace=True) as aside:
            write_parquet(aside / "items.parquet", self.table)
            self.semantic_ids.save(aside / "semantic_ids.safetensors")
            write_tensors(aside / "vectors.safetensors", {"vectors": self.vectors})
            write_json(aside / "bundle.json", {"fingerprint": self.fingerprint, "trained": self.trained})
            write_checksums(aside)

    @classmethod
    def load(cls, folder: Path) -> ItemBundle:
        """Read a bundle that `save` wrote.

        Raises:
            DataError: a file is missing or damaged, or the files belong to different bundles.
        """
        check_folder(folder, "it belongs to an item bundle; make the bundle again")
        try:
            saved = json.loads((folder / "bundle.json").read_text())
            bundle = cls(
                pl.read_parquet(folder / "items.parquet", glob=False),
                SemanticIds.load(folder / "semantic_ids.safetensors"),
                load_file(folder / "vectors.safetensors")["vectors"],
                saved["trained"],
            )
        except (OSError, ValueError, KeyError, SafetensorError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{folder}: the item bundle cannot be read ({error}). Make it again") from error
        if bundle.fingerprint != saved["fingerprint"]:
            raise DataError(f"{folder}: the files belong to different bundles. Make the bundle again")
        return bundle
