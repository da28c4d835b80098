"""Stage: give every item a semantic ID."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import polars as pl
import torch

from recsys.data.datasets.preparation import ItemSequences
from recsys.items.bundle import ItemBundle
from recsys.items.collisions import CollisionPolicy
from recsys.items.encoder import ItemEncoder
from recsys.items.quantizer import Quantizer, codebook_diagnostics
from recsys.items.semantic_ids import SemanticIds
from recsys.ranges import is_seed
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
    """

    encoder: ItemEncoder
    quantizer: Quantizer
    collisions: CollisionPolicy
    seed: int = 0
    name: ClassVar[str] = "tokenize"

    def __post_init__(self) -> None:
        is_seed(seed=self.seed)

    def run(self, run: RunFolder) -> None:
        """Encode, quantize, resolve collisions, report the codes' health."""
        data = load_data_of(run, ItemSequences)
        generator = torch.Generator().manual_seed(self.seed)
        vectors = self.encoder.encode(data.items, data.sequences, len(data.items), generator)
        raw = self.quantizer.fit_encode(vectors, generator)
        codes, sizes = self.collisions.resolve(raw, self.quantizer, vectors)
        bundle = ItemBundle(data.items, SemanticIds(codes, sizes), vectors)
        folder = run.stage(self.name)
        bundle.save(folder / BUNDLE_FOLDER)
        (folder / ITEM_VECTORS).mkdir(exist_ok=True)
        digest = hashlib.sha256(vectors.cpu().contiguous().numpy().tobytes()).hexdigest()
        weights = f"../{BUNDLE_FOLDER}/vectors.safetensors"
        kind = ArtifactKind.ITEM_VECTORS
        Artifact(ITEM_VECTORS, kind, digest, bundle.fingerprint, weights=weights).write(folder / ITEM_VECTORS)
        show_table(_table(codebook_diagnostics(raw, self.quantizer, vectors), len(data.items)))


def _table(diagnostics: pl.DataFrame, items: int) -> ConsoleTable:
    """Return the diagnostics of each level of codes as a table; numbers of items and codes are whole."""
    columns = [Column(name.replace("_", " ")) for name in diagnostics.columns]
    rows = [
        [f"{value:,}" if isinstance(value, int) else f"{value:.3f}" for value in row] for row in diagnostics.iter_rows()
    ]
    return ConsoleTable(columns, rows, f"semantic IDs of {items:,} items")
