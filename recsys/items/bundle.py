"""Everything about the catalogue that a checkpoint cannot do without, in one folder."""

from __future__ import annotations

import hashlib
import json
import shutil
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
from recsys.errors import DataError, RequestError
from recsys.items.collisions import CollisionPolicy, ExtraCode
from recsys.items.quantizer import Quantizer
from recsys.items.semantic_ids import SemanticIds
from recsys.items.trie import Trie


@dataclass(frozen=True)
class ItemBundle:
    """Item table, semantic IDs and vectors, row `i` of each being item `i`.

    Args:
        table: columns `item` (`0 .. N − 1`, in order) and `item_id` (raw, no two equal), and whatever else is known.
        semantic_ids: codes of the `N` items.
        vectors: `[N, D]`, what the codes were made from.
        trained: fingerprint of the bundle that this one extends by new items; None where there are none.

    Raises:
        DataError: the three do not speak of the same items.
    """

    table: pl.DataFrame
    semantic_ids: SemanticIds
    vectors: Float[Tensor, "N D"]
    trained: str | None = None

    def __post_init__(self) -> None:
        lengths = (self.table.height, self.semantic_ids.num_items, self.vectors.shape[0])
        if len(set(lengths)) > 1:
            raise DataError(f"item table, semantic IDs and vectors have {lengths} items: they must have the same")
        missing = {"item", "item_id"} - set(self.table.columns)
        if missing:
            raise DataError(f"item table: no column {sorted(missing)} among {self.table.columns}")
        if not self.table["item"].equals(pl.Series("item", range(self.table.height), dtype=self.table["item"].dtype)):
            raise DataError("item table: column item must be 0 .. N − 1 in this order: sort and number the rows")
        if self.table["item_id"].is_duplicated().any():
            twin = self.table["item_id"].filter(self.table["item_id"].is_duplicated())[0]
            raise DataError(f"item table: item_id {twin!r} stands in more than one row")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the codes and the raw ids: equal exactly where every raw id has the same index and codes."""
        ids = json.dumps(self.table["item_id"].to_list(), default=str)
        return hashlib.sha256(f"{self.semantic_ids.fingerprint}{ids}".encode()).hexdigest()

    def trie(self) -> Trie:
        """The catalogue as a tree of codes."""
        return self.semantic_ids.trie()

    def check(self, fingerprint: str) -> None:
        """Refuse weights that were trained on other codes.

        Args:
            fingerprint: of the bundle the weights were trained with.

        Raises:
            RequestError: it is neither this bundle's nor that of the bundle which this one extends.
        """
        if fingerprint not in (self.fingerprint, self.trained):
            raise RequestError(
                f"the weights were trained on items with fingerprint {fingerprint[:12]}, these items have "
                f"{self.fingerprint[:12]}: load the item bundle saved beside the weights"
            )

    def with_new_items(
        self,
        rows: pl.DataFrame,
        vectors: Float[Tensor, "M D"],
        quantizer: Quantizer,
        collisions: CollisionPolicy | None = None,
    ) -> ItemBundle:
        """The same items followed by `M` new ones, with the codes the fitted quantizer gives them.

        No item that was there changes its index or codes, so that weights trained on this bundle pass `check`. The
        level sizes can grow where a bucket overflows; `ExtraCode(size=…)` leaves room in advance.

        Args:
            rows: `item_id` and any further columns, a row an item; columns of the table that are absent become null
                (0 for `interactions`).
            vectors: `[M, D]`, made as this bundle's were.
            quantizer: what made this bundle's codes.
            collisions: the policy that made them distinct; None means `ExtraCode()`.

        Raises:
            DataError: an id is there already, or rows and vectors do not match.
            ConfigurationError: quantizer and policy are not those that made this bundle's codes, or there is no room.
        """
        if "item_id" not in rows.columns or rows.schema["item_id"] != self.table.schema["item_id"]:
            raise DataError(f"new items: a column item_id of type {self.table.schema['item_id']} is needed")
        if rows.height != vectors.shape[0] or vectors.shape[1:] != self.vectors.shape[1:]:
            raise DataError(
                f"new items: {rows.height} rows but vectors of shape {tuple(vectors.shape)}; "
                f"one row of {self.vectors.shape[1]} numbers an item is needed"
            )
        codes, _ = (collisions or ExtraCode()).resolve(
            quantizer.encode(vectors), quantizer, vectors, self.semantic_ids.codes
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
        """Write the folder, replacing one that is there only when the new one is whole."""
        with whole_folder(folder) as aside:
            write_parquet(aside / "items.parquet", self.table)
            self.semantic_ids.save(aside / "semantic_ids.safetensors")
            write_tensors(aside / "vectors.safetensors", {"vectors": self.vectors})
            write_json(aside / "bundle.json", {"fingerprint": self.fingerprint, "trained": self.trained})
            shutil.rmtree(folder, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> ItemBundle:
        """Read what `save` wrote.

        Raises:
            DataError: a file is absent or damaged, or the files are not of one bundle.
        """
        try:
            saved = json.loads((folder / "bundle.json").read_text())
            bundle = cls(
                pl.read_parquet(folder / "items.parquet"),
                SemanticIds.load(folder / "semantic_ids.safetensors"),
                load_file(folder / "vectors.safetensors")["vectors"],
                saved["trained"],
            )
        except (OSError, ValueError, KeyError, SafetensorError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{folder}: no item bundle can be read here ({error}); make it again") from error
        if bundle.fingerprint != saved["fingerprint"]:
            raise DataError(f"{folder}: the files are of different bundles; make the bundle again")
        return bundle
