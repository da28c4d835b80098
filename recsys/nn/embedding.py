"""Embedding tables with several backends: plain torch and torchrec."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.ranges import above, at_least
from recsys.types.jagged import Jagged


class Embedding(nn.Module, ABC):
    """Embedding tables of one width `D`. A jagged feature of indices becomes a jagged feature of table rows.

    Backends differ in speed and in how they are distributed over processes. Their outputs, gradients and names in the
    state dict (`collection.embeddings.<table>.weight`) are the same, so each backend loads the checkpoints of another.

    Args:
        tables: number of rows of each table, by name.
        width: width `D` of the rows.
        initial: standard deviation of the initial entries; None means `1/√D`, which gives rows of length about 1.
    """

    def __init__(self, tables: Mapping[str, int], width: int, initial: float | None = None) -> None:
        at_least(1, width=width)
        above(0, initial=initial)
        super().__init__()
        self.rows = dict(tables)
        self.width = width
        self.initial = initial if initial is not None else 1 / math.sqrt(width)

    @abstractmethod
    def forward(self, features: Mapping[str, Jagged]) -> dict[str, Jagged]:
        """Look up the rows of each feature.

        Args:
            features: indices (int64) by table name. Tables may be left out. All features have the same number of rows.

        Returns:
            The table rows of each feature, by table name: values `[ΣT, D]` with the offsets of the feature.

        Raises:
            ConfigurationError: there is no feature, a feature has no table, or the features have different numbers of
                rows.
        """

    @abstractmethod
    def weight(self, table: str) -> Float[Tensor, "rows D"]:
        """Return the whole table as a parameter, for output layers that share it."""

    def _check(self, features: Mapping[str, Jagged]) -> None:
        for name in features:
            if name not in self.rows:
                raise ConfigurationError(f"feature {name!r} has no embedding table; found tables {sorted(self.rows)}")
        if len({len(feature) for feature in features.values()}) != 1:
            counts = {name: len(feature) for name, feature in features.items()}
            raise ConfigurationError(f"a batch needs features, all with the same number of rows; found rows {counts}")


class TorchEmbedding(Embedding):
    """Embedding tables in plain torch. This backend is the reference for the others.

    >>> embedding = TorchEmbedding({"item": 3}, width=2)
    >>> embedding({"item": Jagged.from_rows([[2], [0, 2]])})["item"].values.shape
    torch.Size([3, 2])
    """

    def __init__(self, tables: Mapping[str, int], width: int, initial: float | None = None) -> None:
        super().__init__(tables, width, initial)
        weights = {name: nn.Parameter(torch.randn(rows, width) * self.initial) for name, rows in tables.items()}
        self.collection = _named(weights)

    @override
    def forward(self, features: Mapping[str, Jagged]) -> dict[str, Jagged]:
        self._check(features)
        return {
            name: Jagged(nn.functional.embedding(feature.values, self.weight(name)), feature.offsets)
            for name, feature in features.items()
        }

    @override
    def weight(self, table: str) -> Float[Tensor, "rows D"]:
        return self.collection.get_parameter(f"embeddings.{table}.weight")


class TorchrecEmbedding(Embedding):
    """Embedding tables in one `torchrec.EmbeddingCollection`.

    `DistributedModelParallel` can shard them over processes. The weights are ordinary parameters; any torch optimizer
    trains them.
    """

    requires: ClassVar[Mapping[str, str]] = {"torchrec": "run `make setup`, or take TorchEmbedding"}

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

    @override
    def forward(self, features: Mapping[str, Jagged]) -> dict[str, Jagged]:
        self._check(features)
        rows = self.collection(_keyed(list(self.rows), features))
        return {name: Jagged(rows[name].values(), feature.offsets) for name, feature in features.items()}

    @override
    def weight(self, table: str) -> Float[Tensor, "rows D"]:
        return self.collection.get_parameter(f"embeddings.{table}.weight")


def _named(weights: Mapping[str, nn.Parameter]) -> nn.Module:
    """Return a module that holds the parameters under the names that torchrec uses."""
    collection = nn.Module()
    collection.embeddings = nn.ModuleDict()
    for name, weight in weights.items():
        collection.embeddings[name] = nn.Module()
        collection.embeddings[name].weight = weight
    return collection


def _keyed(names: list[str], features: Mapping[str, Jagged]) -> Any:
    """Return the features in torchrec's format, in which every table occurs once and in order."""
    from torchrec import KeyedJaggedTensor

    if len(names) == 1:
        feature = features[names[0]]
        return KeyedJaggedTensor(names, feature.values, offsets=feature.offsets)
    first = next(iter(features.values()))
    empty = Jagged.empty(len(first), first.values.device)
    every = [features.get(name, empty) for name in names]
    values: Int[Tensor, " total"] = torch.cat([feature.values for feature in every])
    return KeyedJaggedTensor(names, values, lengths=torch.cat([feature.lengths for feature in every]))
