"""Search with FAISS, exactly or approximately."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.atomic import whole_file
from recsys.decode.top_k import tie_keys
from recsys.errors import ConfigurationError
from recsys.retrieve.index import Index


class FaissIndex(Index):
    """A FAISS index in CPU memory. Scores are inner products, or Euclidean distances times −1.

    Queries may lie on any device; scores and items are returned there.

    Source: Johnson, Douze, Jégou 2021, "Billion-scale similarity search with GPUs". FAISS's own pages list the index
    types and their search parameters ("The index factory", "Index IO, cloning and hyper parameter tuning").

    Args:
        index: a filled FAISS index whose metric is the inner product or L2.
        search: search parameters in FAISS's notation: `nprobe=16` visits 16 cells of an inverted file, `efSearch=64`
            keeps 64 candidates in a graph. Empty keeps the defaults of the index.

    Raises:
        ConfigurationError: FAISS is not installed, or the index has no such search parameter.
    """

    def __init__(self, index: Any, search: str = "") -> None:
        self.index = index
        self.num_items = int(index.ntotal)
        if search:
            try:
                _faiss().ParameterSpace().set_index_parameters(_inner(index), search)
            except RuntimeError as error:
                raise ConfigurationError(
                    f"search={search!r} is no search parameter of {type(_inner(index)).__name__}: inverted files "
                    "(IVF…) take nprobe=16, graphs (HNSW…) take efSearch=64"
                ) from error

    @classmethod
    def build(
        cls, vectors: Float[Tensor, "N D"], factory: str = "HNSW32", search: str = "", euclidean: bool = False
    ) -> FaissIndex:
        """Return an index of the vectors. Index types that need training are trained on all of them.

        FAISS prefers some places of an index among equal scores. Vectors are therefore added in a pseudo-random order
        (`recsys.decode.top_k.tie_keys`), and the index keeps which item each is.

        Args:
            vectors: one vector an item.
            factory: the index type in FAISS's notation: `Flat` (exact), `HNSW32`, `IVF1024,Flat`.
            search: search parameters, as in `FaissIndex`.
            euclidean: True ranks items by the smallest Euclidean distance, False by the largest inner product.

        Raises:
            ConfigurationError: FAISS is not installed, or has no such index type or search parameter.
        """
        faiss = _faiss()
        metric = faiss.METRIC_L2 if euclidean else faiss.METRIC_INNER_PRODUCT
        try:
            index = faiss.index_factory(vectors.shape[1], factory, metric)
        except RuntimeError as error:
            reason = str(error).rpartition("Error: ")[2]
            raise ConfigurationError(
                f"factory={factory!r} names no FAISS index type for vectors of width {vectors.shape[1]}; "
                f"HNSW32 is one. FAISS says: {reason}"
            ) from error
        order = tie_keys(torch.zeros(1, dtype=torch.int64), torch.arange(len(vectors))).argsort()
        rows = vectors.detach().float().cpu()[order].contiguous().numpy()
        index.train(rows)
        named = faiss.IndexIDMap(index)
        named.add_with_ids(rows, order.numpy())
        return cls(named, search)

    @classmethod
    def load(cls, path: str | Path, search: str = "") -> FaissIndex:
        """Read an index that `save` wrote."""
        return cls(_faiss().read_index(str(path)), search)

    def save(self, path: str | Path) -> None:
        """Write the index; `path` is never half written."""
        with whole_file(Path(path)) as aside:
            _faiss().write_index(self.index, str(aside))

    @override
    def search(self, queries: Float[Tensor, "B D"], k: int) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
        found, items = self.index.search(queries.detach().float().cpu().contiguous().numpy(), k)
        scores, items = torch.from_numpy(found).to(queries), torch.from_numpy(items).to(queries.device)
        if self.index.metric_type == _faiss().METRIC_L2:
            scores = -scores.clamp(min=0).sqrt()
        return scores.masked_fill(items < 0, float("-inf")), items


def _inner(index: Any) -> Any:
    """Return the index below a map of ids, as the class that it is."""
    faiss = _faiss()
    return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexIDMap) else index


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "FAISS is not installed. Run pip install 'recsys[cpu]' or 'recsys[cuda]', or use recsys.retrieve.ExactIndex"
        ) from error
