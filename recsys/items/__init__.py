"""Items as tokens: encoders, quantizers, semantic IDs with their exact inverse, and the trie of a catalogue.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.items.balanced_kmeans import BalancedKMeans
    from recsys.items.bundle import ItemBundle
    from recsys.items.collisions import CollisionPolicy, ExtraCode, NextBest
    from recsys.items.cooccurrence import PpmiSvd
    from recsys.items.encoder import ConcatenatedEncoder, ItemEncoder
    from recsys.items.quantizer import Quantizer, codebook_diagnostics, new_item_diagnostics
    from recsys.items.residual_quantizer import ResidualKMeans
    from recsys.items.rq_vae import RqVae
    from recsys.items.semantic_ids import SemanticIds
    from recsys.items.text_encoders import SentenceText, TfidfText
    from recsys.items.trie import Trie

__all__ = [
    "BalancedKMeans",
    "CollisionPolicy",
    "ConcatenatedEncoder",
    "ExtraCode",
    "ItemBundle",
    "ItemEncoder",
    "NextBest",
    "PpmiSvd",
    "Quantizer",
    "ResidualKMeans",
    "RqVae",
    "SemanticIds",
    "SentenceText",
    "TfidfText",
    "Trie",
    "codebook_diagnostics",
    "new_item_diagnostics",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "balanced_kmeans": ["BalancedKMeans"],
        "bundle": ["ItemBundle"],
        "collisions": ["CollisionPolicy", "ExtraCode", "NextBest"],
        "cooccurrence": ["PpmiSvd"],
        "encoder": ["ConcatenatedEncoder", "ItemEncoder"],
        "quantizer": ["Quantizer", "codebook_diagnostics", "new_item_diagnostics"],
        "residual_quantizer": ["ResidualKMeans"],
        "rq_vae": ["RqVae"],
        "semantic_ids": ["SemanticIds"],
        "text_encoders": ["SentenceText", "TfidfText"],
        "trie": ["Trie"],
    },
)
