"""Stage: give every item a semantic ID."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.data.datasets.preparation import ItemSequences
from recsys.items.bundle import ItemBundle
from recsys.items.collisions import CollisionPolicy
from recsys.items.encoder import ItemEncoder
from recsys.items.quantizer import Quantizer, codebook_diagnostics, codes_of_new, new_item_diagnostics, sharing
from recsys.items.residual_quantizer import check_number
from recsys.items.semantic_ids import SemanticIds
from recsys.ranges import at_least, is_seed
from recsys.report.console import Column, ConsoleTable, show_table
from recsys.runs.artifacts import ITEM_VECTORS, Artifact
from recsys.runs.materials import BUNDLE_FOLDER
from recsys.runs.prepare import load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.types.artifact_kind import ArtifactKind


@dataclass
class Tokenize:
    """Give every item a semantic ID and leave codes, vectors and item table as one bundle.

    Args:
        encoder: item vectors, from text or from training sequences.
        quantizer: vectors to codes.
        collisions: what becomes of items that share all codes.
        seed: of the quantizer's and encoder's draws.
        least_interactions: training interactions from which an item is fitted; 0 fits all. Others get the codes of the
            nearest codewords, and are no part of the balance of a balanced quantizer.
    """

    encoder: ItemEncoder
    quantizer: Quantizer
    collisions: CollisionPolicy
    seed: int = 0
    least_interactions: int = 0
    name: ClassVar[str] = "tokenize"

    def __post_init__(self) -> None:
        is_seed(seed=self.seed)
        at_least(0, least_interactions=self.least_interactions)

    def check_data(self, run: RunFolder) -> None:
        """Refuse a catalogue with fewer fitted items than codes of a level, before vectors are made of it."""
        fitted = _interactions(load_data_of(run, ItemSequences)) >= self.least_interactions
        check_number(int(fitted.sum()), max(self.quantizer.codes_per_level))

    def run(self, run: RunFolder) -> None:
        """Encode, quantize, resolve collisions, report the codes' health."""
        data = load_data_of(run, ItemSequences)
        generator = torch.Generator().manual_seed(self.seed)
        vectors = self.encoder.encode(data.items, data.sequences, len(data.items), generator)
        interactions = _interactions(data)
        raw = self._codes(vectors, interactions >= self.least_interactions, generator)
        codes, sizes = self.collisions.resolve(raw, self.quantizer, vectors)
        bundle = ItemBundle(data.items, SemanticIds(codes, sizes), vectors)
        folder = run.stage(self.name)
        bundle.save(folder / BUNDLE_FOLDER)
        (folder / ITEM_VECTORS).mkdir(exist_ok=True)
        digest = hashlib.sha256(vectors.cpu().contiguous().numpy().tobytes()).hexdigest()
        weights = f"../{BUNDLE_FOLDER}/vectors.safetensors"
        kind = ArtifactKind.ITEM_VECTORS
        Artifact(ITEM_VECTORS, kind, digest, bundle.fingerprint, weights=weights).write(folder / ITEM_VECTORS)
        title = (
            f"semantic IDs of {len(data.items):,} items: {sharing(raw):,} share all codes of the quantizer, "
            f"{sharing(codes):,} those of {len(sizes)} levels ({', '.join(map(str, sizes))})"
        )
        show_table(_table(codebook_diagnostics(raw, self.quantizer, vectors), title))
        cold = interactions == 0
        if cold.any():
            title = f"{int(cold.sum()):,} of them have no training interaction"
            show_table(_table(new_item_diagnostics(raw, cold), title))

    def _codes(
        self, vectors: Float[Tensor, "N D"], fitted: Bool[Tensor, " N"], generator: torch.Generator
    ) -> Int[Tensor, "N L"]:
        """Fit the quantizer to some of the items; return the codes of all."""
        if fitted.all():
            return self.quantizer.fit_encode(vectors, generator)
        known = self.quantizer.fit_encode(vectors[fitted], generator)
        codes = known.new_zeros(len(vectors), known.shape[1])
        codes[fitted] = known
        codes[~fitted] = codes_of_new(self.quantizer, vectors[~fitted]).to(known)
        return codes


def _interactions(data: ItemSequences) -> Int[Tensor, " N"]:
    """Return how often training sequences hold each item."""
    return data.sequences.values.bincount(minlength=len(data.items))


def _table(diagnostics: pl.DataFrame, title: str) -> ConsoleTable:
    """Return diagnostics of each level of codes as a table; numbers of items and codes are whole."""
    columns = [Column(name.replace("_", " ")) for name in diagnostics.columns]
    rows = [
        [f"{value:,}" if isinstance(value, int) else f"{value:.3f}" for value in row] for row in diagnostics.iter_rows()
    ]
    return ConsoleTable(columns, rows, title)
