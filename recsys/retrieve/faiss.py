"""Search by FAISS, exact or approximate."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import ConfigurationError


class FaissIndex:
    """An index of FAISS, on the CPU; queries may lie on any device. Scores are inner products, or minus distances.

    Source: Johnson, Douze, Jégou 2021, "Billion-scale similarity search with GPUs"; what indices there are, how they
    are named and what a search may be told is said in FAISS's own pages ("The index factory", "Index IO").

    Args:
        index: filled; its metric is the inner product or L2.
        search: how hard it looks, in FAISS's words: `nprobe=16` cells of an inverted file, `efSearch=64` candidates of
            a graph; empty for the index's own.

    Raises:
        ConfigurationError: FAISS is missing, or the index does not know what `search` says.
    """

    def __init__(self, index: Any, search: str = "") -> None:
        self.index = index
        self.num_items = int(index.ntotal)
        if search:
            try:
                _faiss().ParameterSpace().set_index_parameters(index, search)
            except RuntimeError as error:
                raise ConfigurationError(
                    f"search={search!r} is nothing that {type(index).__name__} knows: nprobe=16 is for inverted files "
                    "(IVF…), efSearch=64 for graphs (HNSW…)"
                ) from error

    @classmethod
    def build(
        cls, vectors: Float[Tensor, "N D"], factory: str = "HNSW32", search: str = "", euclidean: bool = False
    ) -> FaissIndex:
        """An index of vectors; all of them train it where it needs training.

        Args:
            vectors: of the items.
            factory: which index, in FAISS's words: `Flat` (exact), `HNSW32`, `IVF1024,Flat`.
            search: see `FaissIndex`.
            euclidean: whether near is better, else the larger inner product is.

        Raises:
            ConfigurationError: FAISS is missing, or knows no such index, or no such setting of it.
        """
        faiss = _faiss()
        metric = faiss.METRIC_L2 if euclidean else faiss.METRIC_INNER_PRODUCT
        try:
            index = faiss.index_factory(vectors.shape[1], factory, metric)
        except RuntimeError as error:
            reason = str(error).rpartition("Error: ")[2]
            raise ConfigurationError(
                f"factory={factory!r} is no index of FAISS's for vectors of {vectors.shape[1]} numbers, as HNSW32 is: "
                f"{reason}"
            ) from error
        rows = vectors.detach().float().cpu().contiguous().numpy()
        index.train(rows)
        index.add(rows)
        return cls(index, search)

    @classmethod
    def load(cls, path: str | Path, search: str = "") -> FaissIndex:
        """What `save` wrote."""
        return cls(_faiss().read_index(str(path)), search)

    def save(self, path: str | Path) -> None:
        """Write the index, aside and then renamed: the file is there whole or not at all."""
        aside = f"{path}.aside"
        _faiss().write_index(self.index, aside)
        os.replace(aside, path)

    def search(self, queries: Float[Tensor, "B D"], k: int) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
        """See `Index.search`."""
        found, items = self.index.search(queries.detach().float().cpu().contiguous().numpy(), k)
        scores, items = torch.from_numpy(found).to(queries), torch.from_numpy(items).to(queries.device)
        if self.index.metric_type == _faiss().METRIC_L2:
            scores = -scores.clamp(min=0).sqrt()
        return scores.masked_fill(items < 0, float("-inf")), items


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "FAISS is missing: pip install 'recsys[cpu]' or 'recsys[cuda]', or take recsys.retrieve.index.ExactIndex"
        ) from error
