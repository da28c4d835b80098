"""Every option of every group of `conf/`, at the keys under which it is used, with what its user must give."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.config.folders import configuration_folder

CONF = configuration_folder()
RERE, SLATE, SIMULATOR = (
    f"experiment={one}" for one in ("rere/movielens_100k", "slate/simulated", "simulator/interest")
)
LEARNERS = "experiment=simulator/learners"
NOVELTY = "experiment=novelty/simulated"
PLANTED = "simulator=slate/planted"
SEQUENCES = ("movielens_100k", "movielens_1m", "movielens_32m", "parquet", "feedback")
UNIFORM = "{_target_: recsys.policies.bandits.greedy.UniformPolicy, num_items: 3}"
ONEREC = "experiment=onerec/parquet"
GIVEN = {
    "dataset/kuairand_folder": ["dataset.root=raw"],
    "experiment/onerec/kuairand": ["dataset.root=raw"],
    "experiment/onerec/parquet": ["dataset.root=raw"],
    "dataset/ebnerd": ["dataset.root=raw"],
    "dataset/exposures": ["dataset.root=raw"],
    "dataset/feedback": ["dataset.path=feedback.parquet"],
    "dataset/kuairand": ["dataset.exposures=raw"],
    "dataset/mind": ["dataset.root=raw"],
    "dataset/parquet": ["dataset.root=raw"],
    "dataset/parquet_slates": ["dataset.root=raw"],
    "experiment/rere/feedback": ["dataset.path=feedback.parquet"],
    "experiment/rere/parquet": ["dataset.root=raw"],
    "experiment/slate/ebnerd": ["dataset.root=raw"],
    "experiment/slate/parquet": ["dataset.root=raw"],
    "policy/checkpoint": ["policies.checkpoint.run=runs/one"],
    "policy/trained": ["policies.trained.run=runs/one"],
    "replay/estimator/magic": ["estimators.magic.horizon=3"],
    "replay/estimator/per_decision_snips": ["estimators.per_decision_snips.horizon=3"],
    "replay/estimator/sequential_sndr": ["estimators.sequential_sndr.horizon=3"],
    "replay/estimator/position_based": ["estimators.position_based.weights.examination=[1,1]"],
    "replay/interval/bernstein": ["interval.largest=10"],
    "replay/log/dsjson": ["log.path=log.dsjson"],
    "replay/log/kuairand": ["log.path=log_random.csv"],
    "replay/log/parquet": ["log.path=log.parquet"],
    "replay/model/fitted_q_trees": ["model.fit.iterations=3"],
    "replay/policy/checkpoint": ["policy.run=runs/one"],
    "replay/policy/from_policy": [f"policies.from_policy.policy={UNIFORM}"],
    "replay/policy/table": ["policy.path=table.parquet"],
}
"""What an option asks the user for."""


@dataclass(frozen=True)
class Use:
    """One option where it is meant to be used.

    Args:
        option: its file below `conf/`, without the ending.
        command: `train`, `bench` or `replay`.
        overrides: of the command.
    """

    option: str
    command: str
    overrides: tuple[str, ...]


def options(group: str) -> list[str]:
    """Return the options of a group, without those of the groups below it."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def uses() -> list[Use]:
    """Return every option of every group at a key under which it is used.

    A group that is missing here is found by `tests/test_options.py`.
    """
    found = [*_trainings(), *_slates(), *_simulators(), *_bench(), *_replay()]
    return [Use(one.option, one.command, (*one.overrides, *_given(one))) for one in found]


def _given(use: Use) -> list[str]:
    """What the user of an option must give, beside what its experiment asks for."""
    return [*(["dataset.root=raw"] if ONEREC in use.overrides else []), *GIVEN.get(use.option, ())]


def _use(group: str, name: str, *before: str, key: str = "", command: str = "train") -> Use:
    plain = group.removeprefix("replay/")
    return Use(f"{group}/{name}", command, (*before, f"{key or plain}={name}"))


GOES_WITH = {
    "advantage_actor_critic": (SIMULATOR, "train.actor_critic"),
    "catalogue_cross_entropy": (RERE, "train.sft"),
    "item_cross_entropy": (RERE, "train.sft"),
    "legal_set_cross_entropy": (RERE, "train.sft"),
    "proximal_policy_optimisation": (SIMULATOR, "train.actor_critic"),
    "top_k_reinforce": (LEARNERS, "train.reinforce"),
}
"""The experiment and the training of objectives that are not for groups of rewarded slates."""
OF_FEEDBACK = ("consumption", "novelty_seeking")
"""Rewards of what users did with the slates that they were shown."""
ONEREC_OPTIONS = ("behaviour_and_content", "behaviour_and_content_unbalanced", "lazy_session", "session")
SAMPLERS = {"normalised_without_replacement": "stochastic_beam", "without_replacement": "stochastic_beam"}


def _trainings() -> list[Use]:
    found = []
    for group in ("reward", "sampler", "reference"):
        for one in options(group):
            experiment, training = (NOVELTY, "two_level") if one in OF_FEEDBACK else (RERE, "rere")
            found.append(_use(group, one, experiment, key=f"{group}@train.{training}.system.{group}"))
    for one in options("objective"):
        experiment, training = GOES_WITH.get(one, (RERE, "train.rere"))
        sampler = [f"sampler@{training}.system.sampler={SAMPLERS[one]}"] if one in SAMPLERS else []
        found.append(_use("objective", one, experiment, *sampler, key=f"objective@{training}.system.objective"))
    for group in ("network", "items", "debug"):
        found += [_use(group, one, ONEREC if one in ONEREC_OPTIONS else RERE) for one in options(group)]
    key = "feed_forward@network.decoder_feed_forward"
    found += [_use("feed_forward", one, ONEREC, key=key) for one in options("feed_forward")]
    for group in ("pairing", "preference"):
        found += [_use(group, one, ONEREC, key=f"{group}@train.ipa.system.{group}") for one in options(group)]
    found += [_use("embedding", one, RERE, key="embedding@network.embedding") for one in options("embedding")]
    found += [_use("collisions", one, RERE, key="collisions@items.collisions") for one in options("collisions")]
    found += [_use("dataset", one, RERE if one in SEQUENCES else SLATE) for one in options("dataset")]
    found += [_use("split", one, SLATE if one.startswith("slate") else RERE) for one in options("split")]
    found += [_use("training", one, RERE, key="+training@train.added") for one in options("training")]
    added = "+training/onerec@train.added"
    found += [_use("training/onerec", one, ONEREC, key=added) for one in options("training/onerec")]
    parts = {"agent": "two_level", "intent": "two_level.model.intent"}
    for one in options("training/novelty"):
        place = parts.get(one, f"added{one}")
        found.append(_use("training/novelty", one, NOVELTY, key=f"+training/novelty@train.{place}"))
    for kind, names in (
        ("novelty", EXPERIMENTS["novelty"]),
        ("onerec", EXPERIMENTS["onerec"]),
        ("rere", EXPERIMENTS["rere"]),
        ("slate", EXPERIMENTS["slate"]),
        ("simulator", EXPERIMENTS["simulator"]),
    ):
        found += [_use(f"experiment/{kind}", one, key="experiment") for one in names]
    return [
        Use(one.option, one.command, (f"experiment={one.option.removeprefix('experiment/')}",))
        if one.option.startswith("experiment/")
        else one
        for one in found
    ]


EXPERIMENTS = {
    kind: tuple(options(f"experiment/{kind}")) for kind in ("novelty", "onerec", "rere", "slate", "simulator")
}
KIND = {
    "sessions": ONEREC,
    "sequences": RERE,
    "slates": SLATE,
    "simulator": SIMULATOR,
    "ranking": RERE,
    "forecast": SLATE,
    "novelty": NOVELTY,
}


def _slates() -> list[Use]:
    found = [
        _use("slate_items", one, SLATE, key="slate_items@train.gamma.model.items") for one in options("slate_items")
    ]
    found += [
        _use("training/slate", one, SLATE, key="+training/slate@train.added") for one in options("training/slate")
    ]
    for group in ("data", "evaluation", "report"):
        found += [_use(group, one, KIND[one]) for one in options(group)]
    homes = {"actor_critic": (SIMULATOR, "actor_critic"), "slate_elbo": (SLATE, "gamma"), "supervised": (RERE, "sft")}
    homes |= {"preference_alignment": (ONEREC, "ipa")}
    homes |= {one: (LEARNERS, one) for one in ("reinforce", "slate_q")}
    for one in options("system"):
        experiment, training = homes.get(one, (RERE, "rere"))
        found.append(_use("system", one, experiment, key=f"system@train.{training}.system"))
    return found


def _simulators() -> list[Use]:
    found = [
        Use(f"simulator/slate/{one}", "train", (SIMULATOR, f"simulator=slate/{one}")) for one in _simulator_names()
    ]
    added = "+training/simulator@train.added"
    found += [_use("training/simulator", one, SIMULATOR, key=added) for one in options("training/simulator")]
    for group in ("choice", "dynamics"):
        found += [_use(group, one, SIMULATOR, PLANTED) for one in options(group)]
    return found


def _simulator_names() -> list[str]:
    return options("simulator/slate")


def _bench() -> list[Use]:
    found = [_use("policy", one, PLANTED, command="bench") for one in options("policy")]
    found += [Use(f"simulator/slate/{one}", "bench", (f"simulator=slate/{one}",)) for one in _simulator_names()]
    for group in ("choice", "dynamics"):
        found += [_use(group, one, PLANTED, "policy=random", command="bench") for one in options(group)]
    key = "slate_learner@policies.model_greedy.scorer"
    learners = options("slate_learner")
    return [
        *found,
        *(_use("slate_learner", one, PLANTED, "policy=model_greedy", key=key, command="bench") for one in learners),
    ]


def _replay() -> list[Use]:
    found = []
    for group in ("estimator", "interval", "log", "model", "policy"):
        found += [_use(f"replay/{group}", one, command="replay") for one in options(f"replay/{group}")]
    return found
