from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recsys.data.datasets.preparation import Materials, Preparation, PreparedData
from recsys.errors import RequestError
from recsys.rollouts.preparation import SimulatorPreparation
from recsys.simulate.interest_evolution import InterestEvolution

NODE = {"_target_": "recsys.simulate.interest_evolution.InterestEvolution", "num_items": 7}


def test_a_simulator_is_made_again_from_what_is_kept(tmp_path: Path) -> None:
    preparation = SimulatorPreparation("mine", OmegaConf.create(NODE))
    assert isinstance(preparation, Preparation)
    first, again = preparation.prepare(tmp_path), SimulatorPreparation.load(tmp_path)
    assert isinstance(first, PreparedData) and isinstance(first.materials, Materials)
    assert first.simulator == again.simulator == InterestEvolution(num_items=7)
    assert first.fingerprint == again.fingerprint
    assert again.describe() == "mine: a simulator of 7 items"
    assert again.facts() == {"items": "7"}


def test_weights_of_another_simulator_are_refused(tmp_path: Path) -> None:
    one, other = (SimulatorPreparation("mine", NODE | {"num_items": items}).prepare(tmp_path) for items in (7, 8))
    one.check(one.fingerprint)
    with pytest.raises(RequestError, match="another simulator than mine"):
        one.check(other.fingerprint)
