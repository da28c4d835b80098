"""Tables of trajectories: what makes an episode unfit to be replayed, and the log made of the rest."""

from __future__ import annotations

import polars as pl

from recsys.data.action_rules import action_rules, null_rule, sound
from recsys.data.episode_log import EpisodeLog
from recsys.data.raw_ids import distinct
from recsys.data.rules import Find, Rule, check

STEPS = "does not follow the step before it, expected each next step once: add what is missing or drop the episode"
FIRST = "is where its episode begins, expected the log's first step: add what is missing or drop the episode"


def episode_log(
    frame: pl.LazyFrame,
    find: Find,
    *,
    name: str,
    fingerprint: str,
    actions: pl.DataFrame | None = None,
    excluding: bool = False,
) -> EpisodeLog:
    """The log of a table whose columns have the right types, after its rows were checked.

    A table whose episodes stand one after the other, steps rising, is read in parts; another is sorted in memory.

    Args:
        frame: one row a step, columns as in `recsys.data.schema.TRAJECTORIES`.
        find: where the first row at fault stands.
        name: what reports call the log.
        fingerprint: changes whenever the table does.
        actions: what can be chosen, `action` and features; None takes what the log names.
        excluding: leave out whole episodes of which a step is at fault and count them, instead of refusing the table.

    Raises:
        DataError: a step is at fault and episodes are not left out, or none is left.
    """
    known = None if actions is None else actions["action"]
    nulls = [null_rule("episode_id"), null_rule("step")]
    check(frame, nulls, find)
    in_order = _in_order(frame)
    rules = action_rules(frame, known) + _step_rules(frame, in_order)
    frame = frame if in_order else frame.sort("episode_id", "step")
    if excluding:
        rules = [Rule(rule.column, rule.broken.fill_null(False).any().over("episode_id"), rule.text) for rule in rules]
    frame, rows, counts = sound(frame, rules, find, name, excluding)
    if actions is None:
        actions = distinct(frame, pl.col("action")).alias("action").to_frame()
    episodes = frame.select(pl.col("episode_id").n_unique()).collect(engine="streaming").item()
    return EpisodeLog(
        name=name,
        frame=frame,
        actions=actions.sort("action"),
        episodes=episodes,
        steps=rows,
        fingerprint=fingerprint,
        summary={"episodes": episodes, "steps": rows, "actions": len(actions)} | counts,
    )


def _in_order(frame: pl.LazyFrame) -> bool:
    """Whether each episode's steps stand together and rise."""
    episode, step = pl.col("episode_id"), pl.col("step")
    begins = episode.ne_missing(episode.shift())
    facts = frame.select(
        (begins.sum() == episode.n_unique()).alias("together"),
        (begins | (step > step.shift())).all().alias("rising"),
    )
    return all(facts.collect(engine="streaming").row(0))


def _step_rules(frame: pl.LazyFrame, in_order: bool) -> list[Rule]:
    """Rules that hold wherever the rows stand; cheap ones, which need no more than neighbours, where in order."""
    episode, step = pl.col("episode_id"), pl.col("step").cast(pl.Int64)
    before = step.shift().over("episode_id", order_by="step")
    after = step.shift(-1).over("episode_id", order_by="step")
    if in_order:
        before = pl.when(episode == episode.shift()).then(step.shift())
        after = pl.when(episode == episode.shift(-1)).then(step.shift(-1))
    rules = [
        Rule("step", (step != before + 1).fill_null(False), STEPS),
        Rule("step", before.is_null() & (step != step.min()), FIRST),
    ]
    if "done" in frame.collect_schema().names():
        ended = pl.col("done").cast(pl.Boolean) & after.is_not_null()
        rules.append(Rule("done", ended, "ends the episode before its last step: split it, or mend `done`"))
    return rules
