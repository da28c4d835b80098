"""The index of a million items against a dictionary of dictionaries."""

from __future__ import annotations

import statistics
import sys

import torch

from harness import Result, alternate, compare
from recsys.items.trie import Trie

ITEMS, LEVELS, CODES = 1_000_000, 4, 256


def run(rounds: int) -> list[Result]:
    """Build time and size of the index, and the dictionary's."""
    codes = sorted_codes()
    rows = codes.tolist()
    trie = Trie.from_codes(codes)
    timings = alternate({"ours": lambda: Trie.from_codes(codes), "dictionaries": lambda: nested(rows)}, rounds)
    times = [timing.cpu for timing in timings["ours"]]
    size, theirs = trie.nbytes / 1e6, nested_bytes(nested(rows)) / 1e6
    case = f"{ITEMS:,} items, {LEVELS} levels"
    checked = f"{trie.level_size} nodes a level"
    return [
        Result(
            "index",
            f"build, {case}, sorted",
            statistics.median(times),
            min(times),
            max(times),
            "s",
            0.1,
            False,
            f"cpu time; {checked}",
        ),
        Result(
            "index",
            f"memory, {case}",
            size,
            size,
            size,
            "MB",
            8.0,
            False,
            f"a dictionary of dictionaries: {theirs:.0f} MB",
        ),
        compare(timings, "dictionaries", benchmark="index", case=f"build, {case}", goal=None),
    ]


def sorted_codes() -> torch.Tensor:
    """`[N, 4]`, distinct rows of skewed codes in lexicographic order."""
    rng = torch.Generator().manual_seed(0)
    rows = (torch.rand(11 * ITEMS // 10, LEVELS, generator=rng) ** 1.3 * CODES).long().unique(dim=0)
    kept = torch.randperm(len(rows), generator=rng)[:ITEMS].sort().values
    return rows[kept]


def nested(rows: list[list[int]]) -> dict:
    """A dictionary a node, from code to child; leaves hold items."""
    root: dict = {}
    for item, row in enumerate(rows):
        node = root
        for code in row[:-1]:
            node = node.setdefault(code, {})
        node[row[-1]] = item
    return root


def nested_bytes(node: dict) -> int:
    """Memory of the dictionaries themselves."""
    return sys.getsizeof(node) + sum(nested_bytes(child) for child in node.values() if isinstance(child, dict))
