"""Export simulated trajectories as the canonical `feedback` table, with propensities."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from recsys.bench.record import EpisodeRecord


def feedback_table(policy: str, seed: int, record: EpisodeRecord) -> pl.DataFrame:
    """Return one row a slate that a user who was still there saw.

    Columns as in `docs/guide/tables.md`: `request_id`, `user_id`, `timestamp` (the step), `policy`, `slate`, `rewards`,
    `prefix_propensities` (each slot given those before it) and `propensity` (their product), and where they were
    estimated `slot_propensities` (each item at its slot, whatever else is in the slate). Empty slots are left out.
    """
    step, user = (record.active > 0).nonzero(as_tuple=True)
    shown = record.items[step, user] >= 0
    lengths = shown.sum(1).numpy()
    rows = np.repeat(np.arange(len(step)), lengths)
    log_prob = record.log_prob[step, user].double()  # a slate of many slots is less likely than float32 can say
    slots = pl.DataFrame(
        {
            "row": rows,
            "slate": record.items[step, user][shown].numpy(),
            "rewards": record.reward[step, user][shown].numpy(),
            "prefix_propensities": log_prob[shown].exp().numpy(),
        }
    )
    marginal = []
    if record.slot_propensity is not None:
        marginal = ["slot_propensities"]
        slots = slots.with_columns(slot_propensities=record.slot_propensity[step, user][shown].double().numpy())
    whole = log_prob.masked_fill(~shown, 0).sum(1).exp()
    slates = pl.DataFrame(
        {
            "row": torch.arange(len(step)).numpy(),
            "user_id": (seed * record.active.shape[1] + user).numpy(),
            "timestamp": step.numpy(),
            "propensity": whole.numpy(),
        }
    )
    lists = slots.group_by("row", maintain_order=True).agg("slate", "rewards", "prefix_propensities", *marginal)
    joined = slates.join(lists, on="row", maintain_order="left")
    name = pl.format("{}/{}/{}/{}", pl.lit(policy), pl.lit(seed), "timestamp", "user_id")
    return joined.select(
        name.alias("request_id"),
        "user_id",
        "timestamp",
        pl.lit(policy).alias("policy"),
        "slate",
        "rewards",
        "propensity",
        "prefix_propensities",
        *marginal,
    )
