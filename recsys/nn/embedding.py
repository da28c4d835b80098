"""Embedding tables, looked up in plain torch or by torchrec."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.types.jagged import Jagged

if TYPE_CHECKING:
    from torchrec import KeyedJaggedTensor


class Embedding(nn.Module, ABC):
    """Tables by name, all `D` wide; a jagged feature of indices becomes a jagged feature of rows.

    Backends differ in speed and in how they spread over machines, not in results: forward, gradients and the names in
    the state dict (`collection.embeddings.<table>.weight`) are the same, so a checkpoint moves from one to the other.

    Args:
        tables: rows of each table by its name.
        width: `D`.
        initial: standard deviation of the initial rows; None takes `1/√D`, rows of length about 1.
    """

    def __init__(self, tables: Mapping[str, int], width: int, initial: float | None = None) -> None:
        super().__init__()
        self.rows = dict(tables)
        self.width = width
        self.initial = initial if initial is not None else 1 / math.sqrt(width)

    @abstractmethod
    def forward(self, features: Mapping[str, Jagged]) -> dict[str, Jagged]:
        """Rows of each named table.

        Args:
            features: indices (int64) by table name; tables may be left out, all features have the same number of rows.

        Returns:
            By the same names, `[ΣT, D]` values with the offsets that came in.

        Raises:
            ConfigurationError: there is no feature, one names no table, or their numbers of rows differ.
        """

    @abstractmethod
    def weight(self, table: str) -> Float[Tensor, "rows D"]:
        """The whole table as a parameter, for output layers that share it."""

    def _check(self, features: Mapping[str, Jagged]) -> None:
        for name in features:
            if name not in self.rows:
                raise ConfigurationError(f"feature {name!r} has no embedding table; there are {sorted(self.rows)}")
        if len({len(feature) for feature in features.values()}) != 1:
            counts = {name: len(feature) for name, feature in features.items()}
            raise ConfigurationError(f"a batch needs features, all with the same number of rows, found {counts}")


class TorchEmbedding(Embedding):
    """Tables as `torch.nn.Embedding`: the reference, which needs nothing but torch.

    >>> embedding = TorchEmbedding({"item": 3}, width=2)
    >>> embedding({"item": Jagged.from_rows([[2], [0, 2]])})["item"].values.shape
    torch.Size([3, 2])
    """

    def __init__(self, tables: Mapping[str, int], width: int, initial: float | None = None) -> None:
        super().__init__(tables, width, initial)
        weights = {name: nn.Parameter(torch.randn(rows, width) * self.initial) for name, rows in tables.items()}
        self.collection = _named(weights)

    def forward(self, features: Mapping[str, Jagged]) -> dict[str, Jagged]:
        """One lookup a feature."""
        self._check(features)
        return {
            name: Jagged(nn.functional.embedding(feature.values, self.weight(name)), feature.offsets)
            for name, feature in features.items()
        }

    def weight(self, table: str) -> Float[Tensor, "rows D"]:
        """The parameter itself."""
        return self.collection.get_parameter(f"embeddings.{table}.weight")


class TorchrecEmbedding(Embedding):
    """Tables as one `torchrec.EmbeddingCollection`, which `DistributedModelParallel` shards over processes.

    Its weights are ordinary parameters, so any torch optimizer trains them.
    """

    def __init__(self, tables: Mapping[str, int], width: int, initial: float | None = None) -> None:
        super().__init__(tables, width, initial)
        from torchrec import EmbeddingCollection, EmbeddingConfig

        self.collection = EmbeddingCollection(
            tables=[
                EmbeddingConfig(
                    name=name,
                    num_embeddings=rows,
                    embedding_dim=width,
                    feature_names=[name],
                    init_fn=lambda weight: nn.init.normal_(weight, std=self.initial),
                )
                for name, rows in tables.items()
            ]
        )

    def forward(self, features: Mapping[str, Jagged]) -> dict[str, Jagged]:
        """One call for all features; a single feature goes in without a copy."""
        self._check(features)
        rows = self.collection(_keyed(list(self.rows), features))
        return {name: Jagged(rows[name].values(), feature.offsets) for name, feature in features.items()}

    def weight(self, table: str) -> Float[Tensor, "rows D"]:
        """The collection's own parameter."""
        return self.collection.get_parameter(f"embeddings.{table}.weight")


class FusedEmbedding(Embedding):
    """Tables in FBGEMM's kernel, which takes a row-wise Adagrad step inside the backward pass.

    No gradient of a table is ever stored and only rows that were looked up are touched: step for step the same as
    `recsys.nn.row_wise_adagrad.RowWiseAdagrad` on another backend, at a cost that does not grow with the table.
    The tables need no other optimizer (their parameters ask for no gradient) and cannot be shared with an output
    layer. One forward pass belongs to one backward pass; gradients are not accumulated over several.
    The accumulators travel in the state dict as `accumulator_<table>`.

    Args:
        tables: rows of each table by its name.
        width: `D`, a multiple of 4.
        initial: standard deviation of the initial rows; None takes `1/√D`.
        learning_rate: of the row-wise Adagrad.
        eps: added to the root of the accumulator.
        device: where the tables stay; they cannot be moved afterwards.
    """

    def __init__(
        self,
        tables: Mapping[str, int],
        width: int,
        initial: float | None = None,
        learning_rate: float = 0.01,
        eps: float = 1e-10,
        device: str = "cpu",
    ) -> None:
        super().__init__(tables, width, initial)
        from fbgemm_gpu.split_embedding_configs import EmbOptimType
        from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
            ComputeDevice,
            EmbeddingLocation,
            PoolingMode,
            SplitTableBatchedEmbeddingBagsCodegen,
        )

        cpu = torch.device(device).type == "cpu"
        location = EmbeddingLocation.HOST if cpu else EmbeddingLocation.DEVICE
        compute = ComputeDevice.CPU if cpu else ComputeDevice.CUDA
        kernel = SplitTableBatchedEmbeddingBagsCodegen(
            [(rows, width, location, compute) for rows in tables.values()],
            optimizer=EmbOptimType.EXACT_ROWWISE_ADAGRAD,
            learning_rate=learning_rate,
            eps=eps,
            pooling_mode=PoolingMode.NONE,
            device=torch.device(device),
        )
        self._kernel = [kernel]
        views = dict(zip(tables, kernel.split_embedding_weights(), strict=True))
        for view in views.values():
            nn.init.normal_(view, std=self.initial)
        self.collection = _named({name: nn.Parameter(view, requires_grad=False) for name, view in views.items()})
        for name, state in zip(tables, kernel.split_optimizer_states(), strict=True):
            self.register_buffer(f"accumulator_{name}", state[0])

    def forward(self, features: Mapping[str, Jagged]) -> dict[str, Jagged]:
        """One kernel for all features; its backward pass updates the tables."""
        self._check(features)
        keyed = _keyed(list(self.rows), features)
        rows = self._kernel[0](keyed.values(), keyed.offsets())
        split = dict(zip(keyed.keys(), rows.split(keyed.length_per_key()), strict=True))
        return {name: Jagged(split[name], feature.offsets) for name, feature in features.items()}

    def weight(self, table: str) -> Float[Tensor, "rows D"]:
        """Refused: an output layer's gradient would not reach the table."""
        raise ConfigurationError(
            f"table {table!r} is trained inside its own backward pass and cannot be shared with an output layer; "
            "use TorchEmbedding or TorchrecEmbedding"
        )

    def set_learning_rate(self, learning_rate: float) -> None:
        """The learning rate from the next backward pass on."""
        self._kernel[0].set_learning_rate(learning_rate)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FusedEmbedding:
        before = [parameter.data_ptr() for parameter in self.parameters()]
        moved = super()._apply(fn, recurse)
        if before != [parameter.data_ptr() for parameter in self.parameters()]:
            raise ConfigurationError("fused tables cannot be moved or cast; give the device at construction")
        return moved


def _named(weights: Mapping[str, nn.Parameter]) -> nn.Module:
    """Parameters under the names torchrec gives them."""
    collection = nn.Module()
    collection.embeddings = nn.ModuleDict()
    for name, weight in weights.items():
        collection.embeddings[name] = nn.Module()
        collection.embeddings[name].weight = weight
    return collection


def _keyed(names: list[str], features: Mapping[str, Jagged]) -> KeyedJaggedTensor:
    """The features as torchrec takes them: every table named once, in order."""
    from torchrec import KeyedJaggedTensor

    if len(names) == 1:
        feature = features[names[0]]
        return KeyedJaggedTensor(names, feature.values, offsets=feature.offsets)
    first = next(iter(features.values()))
    empty = Jagged.empty(len(first), first.values.device)
    every = [features.get(name, empty) for name in names]
    values: Int[Tensor, " total"] = torch.cat([feature.values for feature in every])
    return KeyedJaggedTensor(names, values, lengths=torch.cat([feature.lengths for feature in every]))
