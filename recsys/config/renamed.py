"""Former names of keys and options, so that the message that refuses one says the name of today."""

from __future__ import annotations

from collections.abc import Mapping

RENAMED: Mapping[str, tuple[str, ...]] = {
    "arm": ("variant",),
    "counts": ("baselines", "loss_mask"),
    "hidden": ("feed_forward",),
    "keep": ("group_filter",),
    "law": ("distribution",),
    "rollout": ("sampler",),
    "rule": ("hit",),
    "rule_ranking": ("hit_ranking",),
    "rule_ranking_formula": ("hit_ranking_formula",),
    "start": ("initial_deviation", "initial_state"),
    "starts": ("initial_states",),
    "tail_means": ("reward_to_go",),
    "ties": ("tie_breaking",),
    "world": ("simulator_name",),
}
"""What a key or an option was called, and what it may be called today: the one that is known where it stands."""
