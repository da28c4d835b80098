"""Semantic IDs: the codes of each item, and the exact map from codes back to items."""

from __future__ import annotations

import hashlib
import json
import math
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from recsys.atomic import write_tensors
from recsys.errors import ConfigurationError, DataError
from recsys.items.trie import Trie


class SemanticIds:
    """The codes of `N` items. Each item has `L` codes, one a level, and no two items share all of them. Immutable.

    Args:
        codes: `[N, L]`. Row `i` holds the codes of item `i`, each from 0 to the size of its level − 1.
        sizes: the size of each level, which is its number of codes, used or not.

    Raises:
        DataError: a code is outside its level, or two items share all their codes.
        ConfigurationError: the number of sizes is not `L`, or the product of the sizes is 2⁶³ or larger.

    >>> ids = SemanticIds(torch.tensor([[0, 1], [1, 0]]), sizes=(2, 2))
    >>> ids.encode(torch.tensor([1, 0]))
    tensor([[1, 0],
            [0, 1]])
    >>> ids.items(torch.tensor([[0, 1], [1, 1]]))
    tensor([ 0, -1])
    """

    def __init__(self, codes: Int[Tensor, "N L"], sizes: tuple[int, ...]) -> None:
        self.codes = codes.long()
        self.sizes = tuple(int(size) for size in sizes)
        if len(self.sizes) != codes.shape[1] or math.prod(self.sizes) >= 1 << 63:
            raise ConfigurationError(
                f"level sizes {self.sizes} do not fit codes of {codes.shape[1]} levels. Give one size a level, "
                "with a product below 2**63"
            )
        outside = ((self.codes < 0) | (self.codes >= self._bounds())).any(-1)
        if outside.any():
            item = int(outside.nonzero()[0])
            raise DataError(f"item {item} has codes {codes[item].tolist()}, outside the level sizes {self.sizes}")
        self._keys, self._order = self._key(self.codes).sort()
        twins = (self._keys[1:] == self._keys[:-1]).nonzero()
        if twins.numel():
            first, second = sorted(self._order[int(twins[0]) : int(twins[0]) + 2].tolist())
            raise DataError(
                f"items {first} and {second} share the codes {codes[first].tolist()}. "
                "Make codes distinct with a collision policy, such as recsys.items.ExtraCode"
            )

    @property
    def num_items(self) -> int:
        """Number of items `N`."""
        return self.codes.shape[0]

    @property
    def depth(self) -> int:
        """Number of levels `L`."""
        return self.codes.shape[1]

    def encode(self, items: Int[Tensor, "*items"]) -> Int[Tensor, "*items L"]:
        """Return the codes of each item, `[..., L]`."""
        return self.codes[items]

    def items(self, codes: Int[Tensor, "*rows L"]) -> Int[Tensor, "*rows"]:
        """Return the item of each row of codes, `[...]`, or −1 if no item has them."""
        codes = codes.long()
        inside = ((codes >= 0) & (codes < self._bounds())).all(-1)
        key = self._key(codes)
        place = torch.searchsorted(self._keys, key).clamp(max=self.num_items - 1)
        found = inside & (self._keys[place] == key)
        return torch.where(found, self._order[place], -1)

    def trie(self) -> Trie:
        """Return the trie of these codes."""
        return Trie.from_codes(self.codes)

    def extend(self, new_codes: Int[Tensor, "M L"]) -> SemanticIds:
        """Return these items followed by `M` new ones, `N .. N + M − 1`. A level grows if a new code does not fit.

        Raises:
            DataError: a new code is negative, or another item has the same codes.
        """
        codes = torch.cat([self.codes, new_codes.to(self.codes)])
        needed = (codes.amax(0) + 1).tolist()
        return SemanticIds(codes, tuple(max(size, need) for size, need in zip(self.sizes, needed, strict=True)))

    def to(self, device: torch.device | str) -> SemanticIds:
        """Return the same codes on another device."""
        return SemanticIds(self.codes.to(device), self.sizes)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of sizes and codes. It is equal if and only if the sizes and the codes of every item are equal."""
        digest = hashlib.sha256(json.dumps([self.num_items, *self.sizes]).encode())
        digest.update(self.codes.cpu().contiguous().numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the codes to a safetensors file."""
        # One entry: safetensors writes several in an order that differs between processes.
        metadata = {"semantic_ids": json.dumps({"sizes": self.sizes, "fingerprint": self.fingerprint})}
        write_tensors(path, {"codes": self.codes}, metadata)

    @classmethod
    def load(cls, path: Path) -> SemanticIds:
        """Read codes that `save` wrote.

        Raises:
            DataError: the file is missing or damaged, or its fingerprint is not that of its codes.
        """
        try:
            with safe_open(path, framework="pt") as file:
                saved = json.loads((file.metadata() or {})["semantic_ids"])
                loaded = cls(file.get_tensor("codes"), tuple(saved["sizes"]))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise DataError(f"{path}: the semantic IDs cannot be read ({error}). Make them again") from error
        if loaded.fingerprint != saved.get("fingerprint"):
            raise DataError(f"{path}: the codes do not have the fingerprint saved with them. Make them again")
        return loaded

    def _bounds(self) -> Int[Tensor, " L"]:
        return torch.tensor(self.sizes, device=self.codes.device)

    def _key(self, codes: Int[Tensor, "*rows L"]) -> Int[Tensor, "*rows"]:
        """Return the codes as one number, with one digit a level."""
        key = torch.zeros(codes.shape[:-1], dtype=torch.int64, device=codes.device)
        for level, size in enumerate(self.sizes):
            key = key * size + codes[..., level]
        return key

    def __repr__(self) -> str:
        return f"SemanticIds(items={self.num_items}, sizes={self.sizes}, fingerprint={self.fingerprint[:12]})"
