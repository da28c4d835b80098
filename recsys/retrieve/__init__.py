"""Indices that find the nearest of many item vectors, exactly or approximately.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.retrieve.faiss import FaissIndex
    from recsys.retrieve.index import ExactIndex, Index

__all__ = ["ExactIndex", "FaissIndex", "Index"]

__getattr__, __dir__ = lazy_names(__name__, {"faiss": ["FaissIndex"], "index": ["ExactIndex", "Index"]})
