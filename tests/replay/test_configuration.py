"""Every option of `conf/replay` composes, is valid, and builds what it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.utils import instantiate

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder, job_folder
from recsys.config.validate import validate
from recsys.data.logs.feedback_source import FeedbackSource
from tests.replay.feedback_files import action_table, written

CONF = job_folder(configuration_folder(), "replay")
UNIFORM = "{_target_: recsys.policies.bandits.greedy.UniformPolicy, num_items: 3}"
GIVEN = {
    "estimator/magic": ["estimators.magic.horizon=3"],
    "estimator/per_decision_snips": ["estimators.per_decision_snips.horizon=3"],
    "estimator/sequential_sndr": ["estimators.sequential_sndr.horizon=3"],
    "estimator/position_based": ["estimators.position_based.weights.examination=[1,1]"],
    "interval/bernstein": ["interval.largest=10"],
    "log/dsjson": ["log.path=log.dsjson"],
    "log/kuairand": ["log.path=log_random.csv"],
    "model/fitted_q_trees": ["model.fit.iterations=3"],
    "policy/checkpoint": ["policy.run=runs/one"],
    "policy/from_policy": [f"policies.from_policy.policy={UNIFORM}"],
    "policy/table": ["policy.path=table.parquet"],
}
"""What an option asks the user for."""
OPTIONS = sorted(f"{path.parent.name}/{path.stem}" for path in CONF.glob("*/*.yaml"))
NODE = {"policy": "policies", "estimator": "estimators", "interval": "interval", "model": "model"}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_builds_what_it_names(option: str, tmp_path: Path) -> None:
    path = written(action_table(60), tmp_path / "log.parquet")
    group, name = option.split("/")
    parquet = ["log=parquet", f"log.path={path}"]
    log = parquet if group != "log" and name != "bernoulli_ts" else []
    config = compose([*log, f"{group}={name}", *GIVEN.get(option, parquet[1:] if name == "parquet" else [])], "replay")
    validate(config)
    if group == "log":
        assert all(
            isinstance(source, FeedbackSource) for source in instantiate(config.log.sources, _convert_="all").values()
        )
        assert all(callable(policy) for policy in (instantiate(config.log.logging, _convert_="all") or {}).values())
    else:
        node = config[NODE[group]]
        built = instantiate(node[name] if group in ("policy", "estimator") else node, _convert_="all")
        assert (built is None) == (option == "model/none")
