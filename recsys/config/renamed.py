"""Former names of keys, groups and options, so that the message that refuses one says the name of today."""

from __future__ import annotations

from collections.abc import Mapping

RENAMED: Mapping[str, tuple[str, ...]] = {
    "arm": ("training",),
    "arms": ("bernoulli_thompson",),
    "counts": ("baselines", "loss_mask"),
    "hidden": ("feed_forward",),
    "keep": ("group_filter",),
    "law": ("distribution",),
    "loader": ("data",),
    "network": ("model",),
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

KEYS: Mapping[str, str | None] = {
    "stage.sft.arms": "train",
    "stage.rl.arms": "train",
    "stage.fit.arms": "train",
    "train.*.network": "train.*.model",
    "train.*.loader": "train.*.data.loader",
    "train.*.answers": "train.*.data.answers",
    "train.*.system.rollout": "train.*.system.sampler",
    "train.*.system.keep": "train.*.system.group_filter",
    "train.*.system.policy": "train.*.policy",
    "policies.checkpoint.arm": "policies.checkpoint.training",
    "policy.arm": "policy.training",
    "stage.prepare.source": "data.source",
    "stage.prepare.split": "data.split",
    "stage.prepare.k_core": "data.k_core",
    "stage.prepare.repeats": "data.repeats",
    "stage.prepare.repeat_threshold": "data.repeat_threshold",
    "stage.prepare.ties": "data.tie_breaking",
    "stage.prepare.tie_breaking": "data.tie_breaking",
    "stage.prepare.seed": "data.seed",
    "stage.prepare.root": "data.root",
    "stage.evaluate.counts": "evaluation.baselines",
    "stage.evaluate.references": "evaluation.references",
    "stage.evaluate.mixed": "evaluation.mixed",
    "stage.evaluate.beams": "evaluation.beams",
    "stage.evaluate.draws": "evaluation.draws",
    "stage.evaluate.truth": "evaluation.truth",
    "stage.evaluate.users": "evaluation.users",
    "stage.*.inputs": None,
    "offers": "provides",
}
"""Former key → key of today, None where there is none. A `*` stands for one name; keys below move along."""

MOVED_ARGUMENTS = ("train.*.system.policy",)
"""Former keys that are refused although the class of the node has an argument of the name: the run gives it."""

REMOVED: Mapping[str, str] = {
    "stage.*.inputs": "a stage depends on all stages before it in `stages`; leave this key out"
}
"""What to do about a key that has no name of today."""

GROUPS: Mapping[str, str] = {"arm": "training", "slate_arm": "training/slate"}
"""Former group → group of today."""
