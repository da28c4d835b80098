"""Every way to choose and to move that a simulator can be configured with is accepted and plays."""

from __future__ import annotations

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from recsys.bench.record import record_episode
from recsys.config.compose import compose
from recsys.config.folders import configuration_folder
from recsys.config.signature import locate
from recsys.config.validate import validate
from recsys.errors import ConfigurationError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.rollouts.episode import EpisodeConfig
from recsys.simulate.choice_models import SingleChoice
from recsys.simulate.dynamics import GammaLinear
from recsys.simulate.planted_groups import PlantedGroups

CONF = configuration_folder()
CHOICES, DYNAMICS = (sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("choice", "dynamics"))


def clicks(*overrides: str) -> torch.Tensor:
    """Of users of planted groups, configured so, who see random slates of ten items."""
    config = compose(["simulator=slate/planted", "policy=random", *overrides], "bench")
    validate(config)
    simulator = instantiate(config.simulator, _convert_="all")
    assert isinstance(simulator, PlantedGroups)
    return record_episode(simulator, UniformPolicy(200), EpisodeConfig(users=200, steps=3, slots=10), seed=0).reward


@pytest.mark.parametrize("choice", CHOICES)
def test_users_choose_as_configured(choice: str) -> None:
    earned = clicks(f"choice={choice}")
    assert 0 < earned.mean() < 1
    target = locate(choice, OmegaConf.load(CONF / "choice" / f"{choice}.yaml")["_target_"])
    assert (earned.sum(-1) > 1).any().item() != issubclass(target, SingleChoice), "a single choice clicks one slot"


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_clicks_move_users_as_configured(dynamics: str) -> None:
    """The default is linear: only options that are it leave the clicks as they are without the option."""
    same = torch.equal(clicks("choice=cascade", f"dynamics={dynamics}"), clicks("choice=cascade"))
    assert same == (instantiate(OmegaConf.load(CONF / "dynamics" / f"{dynamics}.yaml")) == GammaLinear())


def test_a_simulator_without_the_part_refuses_it() -> None:
    with pytest.raises(ConfigurationError, match=r"simulator\.choice: LongTermSatisfaction has no argument 'choice'"):
        validate(compose(["simulator=slate/satisfaction", "choice=cascade"], "bench"))
