"""The codes of each item and their exact inverse."""

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
    """`N` items, each with `L` codes that no other item has. Immutable.

    Args:
        codes: `[N, L]`, row `i` holds item `i`'s codes, each from 0 to its level's size − 1.
        sizes: how many codes each level has room for, used or not.

    Raises:
        DataError: a code is outside its level, or two items share all their codes.
        ConfigurationError: the sizes do not match the codes, or multiply to 2⁶³ and beyond.

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
                f"level sizes {self.sizes} do not fit codes of {codes.shape[1]} levels: give one size a level, "
                "and levels whose sizes multiply to less than 2**63"
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
                f"items {first} and {second} share the codes {codes[first].tolist()}: "
                "a collision policy of recsys.items.collisions makes them distinct"
            )

    @property
    def num_items(self) -> int:
        """`N`."""
        return self.codes.shape[0]

    @property
    def depth(self) -> int:
        """`L`."""
        return self.codes.shape[1]

    def encode(self, items: Int[Tensor, "*items"]) -> Int[Tensor, "*items L"]:
        """`[..., L]`: the codes of each item."""
        return self.codes[items]

    def items(self, codes: Int[Tensor, "*rows L"]) -> Int[Tensor, "*rows"]:
        """`[...]`: the item that has each row of codes, −1 where none has."""
        codes = codes.long()
        inside = ((codes >= 0) & (codes < self._bounds())).all(-1)
        key = self._key(codes)
        place = torch.searchsorted(self._keys, key).clamp(max=self.num_items - 1)
        found = inside & (self._keys[place] == key)
        return torch.where(found, self._order[place], -1)

    def trie(self) -> Trie:
        """The catalogue as a tree of these codes."""
        return Trie.from_codes(self.codes)

    def extend(self, new_codes: Int[Tensor, "M L"]) -> SemanticIds:
        """The same items followed by `M` new ones, `N .. N + M − 1`; levels grow where a new code needs the room.

        Raises:
            DataError: a new item's codes are negative, or are another item's.
        """
        codes = torch.cat([self.codes, new_codes.to(self.codes)])
        needed = (codes.amax(0) + 1).tolist()
        return SemanticIds(codes, tuple(max(size, need) for size, need in zip(self.sizes, needed, strict=True)))

    def to(self, device: torch.device | str) -> SemanticIds:
        """The same codes on another device."""
        return SemanticIds(self.codes.to(device), self.sizes)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of sizes and codes: equal exactly where every item has the same codes in levels of the same sizes."""
        digest = hashlib.sha256(json.dumps([self.num_items, *self.sizes]).encode())
        digest.update(self.codes.cpu().contiguous().numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        metadata = {"sizes": json.dumps(self.sizes), "fingerprint": self.fingerprint}
        write_tensors(path, {"codes": self.codes}, metadata)

    @classmethod
    def load(cls, path: Path) -> SemanticIds:
        """Read what `save` wrote.

        Raises:
            DataError: the file is absent, damaged, or its codes are not those that were saved.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                loaded = cls(file.get_tensor("codes"), tuple(json.loads(metadata["sizes"])))
        except (OSError, SafetensorError, KeyError) as error:
            raise DataError(f"{path}: no semantic IDs can be read here ({error}); make them again") from error
        if loaded.fingerprint != metadata.get("fingerprint"):
            raise DataError(f"{path}: the codes do not have the fingerprint saved with them; make them again")
        return loaded

    def _bounds(self) -> Int[Tensor, " L"]:
        return torch.tensor(self.sizes, device=self.codes.device)

    def _key(self, codes: Int[Tensor, "*rows L"]) -> Int[Tensor, "*rows"]:
        """Codes as one number, a level a digit."""
        key = torch.zeros(codes.shape[:-1], dtype=torch.int64, device=codes.device)
        for level, size in enumerate(self.sizes):
            key = key * size + codes[..., level]
        return key

    def __repr__(self) -> str:
        return f"SemanticIds(items={self.num_items}, sizes={self.sizes}, fingerprint={self.fingerprint[:12]})"
