"""A data set, its items and networks that train in no time."""

from __future__ import annotations

import functools

import polars as pl
import torch

from recsys.data.datasets.dataset import Dataset
from recsys.items.bundle import ItemBundle
from recsys.items.semantic_ids import SemanticIds
from recsys.models.generators.causal import CausalGenerator
from recsys.models.generators.sasrec import SASRec
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged

USERS, ITEMS = 24, 20


def tiny_dataset(users: int = USERS, items: int = ITEMS, repeats: bool = False) -> Dataset:
    """Walks over a ring of items, now and then a jump; 6 to 12 distinct items a user, the last two held out."""
    rng = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(users):
        length = int(torch.randint(6, 13, (1,), generator=rng))
        steps = 1 + (torch.rand(3 * length, generator=rng) < 0.2).long()
        start = torch.randint(items, (1,), generator=rng)
        walk = (start + steps.cumsum(0)) % items
        rows.append(list(dict.fromkeys(walk.tolist()))[:length])
    every = torch.arange(users)
    train = Context(every, Jagged.from_rows([row[:-2] for row in rows]), Jagged.empty(users))
    return Dataset(
        name="tiny",
        items=pl.DataFrame(
            {
                "item": range(items),
                "item_id": [f"i{item}" for item in range(items)],
                "title": [f"Item {item}" for item in range(items)],
                "interactions": torch.bincount(train.history.values, minlength=items).tolist(),
            }
        ),
        users=pl.DataFrame({"user": range(users), "user_id": [f"u{user}" for user in range(users)]}),
        train=train,
        validation=answered(rows, 2, repeats),
        test=answered(rows, 1, repeats),
        complete=asked(rows, 0, repeats),
        same_day={},
        repeats=repeats,
        fingerprint="tiny",
        summary={},
    )


def asked(rows: list[list[int]], held_out: int, repeats: bool) -> Context:
    """Each row without its last `held_out` items."""
    history = Jagged.from_rows([row[: len(row) - held_out] for row in rows])
    return Context(
        users=torch.arange(len(rows)),
        history=history,
        excluded=Jagged.empty(len(rows)) if repeats else history,
    )


def answered(rows: list[list[int]], held_out: int, repeats: bool) -> Example:
    """Each row without its last `held_out` items, and the first of them."""
    return Example.next_item(asked(rows, held_out, repeats), torch.tensor([row[-held_out] for row in rows]))


@functools.cache
def tiny_bundle(items: int = ITEMS, clusters: int = 4) -> ItemBundle:
    """`clusters` first codes over neighbouring items, then a code each."""
    item, size = torch.arange(items), -(-items // clusters)
    codes = torch.stack([item // size, item % size], 1)
    table = pl.DataFrame({"item": range(items), "item_id": [f"i{one}" for one in range(items)]})
    return ItemBundle(table, SemanticIds(codes, (clusters, size)), torch.zeros(items, 2))


def tiny_generator(dropout: float = 0.2, max_length: int = 8, items: int = ITEMS) -> CausalGenerator:
    """Equal weights every time."""
    torch.manual_seed(0)
    return CausalGenerator.from_bundle(tiny_bundle(items), 8, 1, 2, dropout, max_length)


def tiny_sasrec(dropout: float = 0.2, max_length: int = 8) -> SASRec:
    """Equal weights every time."""
    torch.manual_seed(0)
    return SASRec.from_bundle(tiny_bundle(), 8, 1, 2, dropout, max_length)
