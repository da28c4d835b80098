"""Every option of the groups of a reward stage is accepted where it belongs, and makes what the group is of."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder
from recsys.config.signature import locate
from recsys.config.validate import validate
from recsys.errors import ConfigurationError
from recsys.objectives.actor_critic import ActorCriticSteps
from recsys.objectives.objective import Loss
from recsys.objectives.reinforce import ConsumedItems
from recsys.policies.generative import GenerativePolicy
from recsys.rewards.reward import Reward
from recsys.systems.group_sampling import GroupSampler
from recsys.systems.reference_policy import ReferencePolicy
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.rollout import Rollout
from tests.options import NOVELTY, OF_FEEDBACK
from tests.tiny import tiny_generator

CONF = configuration_folder()
EXPERIMENT = "experiment=rere/movielens_100k"
SUPERVISED = {"catalogue_cross_entropy", "item_cross_entropy", "legal_set_cross_entropy"}
ACTOR_CRITIC = {"advantage_actor_critic", "proximal_policy_optimisation"}
REINFORCE = {"top_k_reinforce"}


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@functools.cache
def composed(group: str, training: str = "rere") -> dict[str, DictConfig]:
    """The node that each option of a group makes, of one valid configuration with a training for each."""
    given = []
    for option in fitting(group, training):
        given += [f"+training@train.of_{option}={training}", f"{group}@train.of_{option}.system.{group}={option}"]
    config = compose([EXPERIMENT, *given])
    validate(config)
    return {one: config.train[f"of_{one}"].system[group] for one in fitting(group, training)}


def fitting(group: str, training: str) -> list[str]:
    """The options of a group that the system of a training takes."""
    others = ACTOR_CRITIC | REINFORCE | (SUPERVISED if training == "rere" else set(options("objective")) - SUPERVISED)
    elsewhere = {"objective": others, "reward": set(OF_FEEDBACK)}
    return sorted(set(options(group)) - elsewhere.get(group, set()))


def rollout() -> Rollout:
    """One request, three single items, the first of which was logged."""
    tokens = torch.log(torch.tensor([[0.5, 0.5], [0.5, 0.25], [0.25, 0.5]])).view(1, 3, 1, 2).requires_grad_()
    return Rollout(
        items=torch.tensor([[[0], [1], [2]]]),
        token_log_prob=tokens,
        behaviour_log_prob=tokens.detach(),
        reward=torch.tensor([[1.0, 0.0, 0.5]]),
        logged_log_prob=tokens[:, 0],
        is_logged=torch.tensor([[True, False, False]]),
        reference_log_prob=tokens.detach(),
        log_inclusion=torch.tensor([[-0.5, -0.6, -0.7]]),
        shared_codes=torch.tensor([[2, 1, 0]]),
    )


@pytest.fixture
def artifacts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What each training of the experiment left, of the kind that its system declares."""
    left: dict[str, object] = {"item_vectors": torch.ones(3, 2)}
    for name, training in compose([EXPERIMENT]).train.items():
        kind = locate("system", training.system._target_).artifact
        left[str(name)] = GenerativePolicy(tiny_generator()) if kind is ArtifactKind.POLICY else torch.nn.Identity()
    monkeypatch.setattr("recsys.runs.artifacts.artifact", lambda name: left[name])


@pytest.mark.parametrize("option", sorted({*options("objective")} - SUPERVISED - ACTOR_CRITIC - REINFORCE))
def test_objectives(option: str) -> None:
    loss = instantiate(composed("objective")[option])(rollout())
    assert isinstance(loss, Loss)
    assert loss.value.requires_grad


@pytest.mark.parametrize("option", sorted(SUPERVISED))
def test_objectives_of_supervised_training(option: str) -> None:
    assert instantiate(composed("objective", "sft")[option]).func.__name__ == option


@pytest.mark.parametrize("option", sorted(ACTOR_CRITIC))
def test_objectives_of_actor_critic_learning(option: str) -> None:
    objective = instantiate(OmegaConf.load(CONF / "objective" / f"{option}.yaml"))
    numbers = torch.tensor([-1.0, -2.0])
    assert objective(ActorCriticSteps(numbers, numbers, numbers, numbers, numbers)).value.isfinite()


@pytest.mark.parametrize("option", sorted(REINFORCE))
def test_objectives_of_reinforce(option: str) -> None:
    objective = instantiate(OmegaConf.load(CONF / "objective" / f"{option}.yaml"))
    numbers = torch.tensor([-1.0, -2.0])
    assert objective(ConsumedItems(numbers, numbers, torch.tensor([1, 2]), numbers)).value.isfinite()


@pytest.mark.parametrize("option", options("sampler"))
def test_samplers(option: str) -> None:
    assert isinstance(instantiate(composed("sampler")[option]), GroupSampler)


@pytest.mark.parametrize("option", options("reference"))
def test_references(option: str, artifacts: None) -> None:
    assert isinstance(instantiate(composed("reference")[option])(tiny_generator()), ReferencePolicy)


@pytest.mark.parametrize("option", sorted({*options("reward")} - {*OF_FEEDBACK}))
def test_rewards(option: str, artifacts: None) -> None:
    assert isinstance(instantiate(composed("reward")[option]), Reward)


@pytest.mark.parametrize("option", OF_FEEDBACK)
def test_rewards_of_feedback(option: str) -> None:
    config = compose([NOVELTY, f"reward@train.two_level.system.reward={option}"])
    validate(config)
    assert isinstance(instantiate(config.train.two_level.system.reward), Reward)


@pytest.mark.parametrize("path", sorted(CONF.glob("objective/*.yaml")), ids=lambda path: path.stem)
def test_objectives_say_what_they_go_with(path: Path) -> None:
    assert path.read_text().splitlines()[1].startswith("# Goes with ")


def test_every_objective_of_the_package_has_a_file() -> None:
    """A function of a rollout, of the steps of an actor, or of consumed items, that returns a loss is one."""
    import importlib
    import inspect
    import pkgutil

    import recsys.objectives

    found = {
        name
        for module in pkgutil.iter_modules(recsys.objectives.__path__, "recsys.objectives.")
        for name, value in vars(importlib.import_module(module.name)).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and getattr(kind := inspect.signature(value).return_annotation, "__name__", kind) == "Loss"
        and next(iter(inspect.signature(value).parameters)) in ("rollout", "steps", "items")
    }
    configured = {str(OmegaConf.load(path)["_target_"]).rpartition(".")[2] for path in CONF.glob("objective/*.yaml")}
    assert found <= configured
    assert len(found) >= 17


def test_every_preference_objective_of_the_package_has_a_file() -> None:
    import inspect

    from recsys.objectives import preference

    found = {
        name
        for name, value in vars(preference).items()
        if inspect.isfunction(value) and not name.startswith("_") and "pairs" in inspect.signature(value).parameters
    }
    configured = {str(OmegaConf.load(path)["_target_"]).rpartition(".")[2] for path in CONF.glob("preference/*.yaml")}
    assert found == configured


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+train.rere.system.rollout.candidates=4", r"now train\.rere\.system\.sampler$"),
        ("train.rere.system.rollout.candidates=4", r"now train\.rere\.system\.sampler\.candidates"),
        ("+train.rere.system.keep=null", r"now train\.rere\.system\.group_filter"),
        ("reward@train.rere.system.reward=rule_ranking", "no such reward; did you mean 'hit_ranking'"),
        ("train.rere.system.reference=true", r"system\.reference: expected .*found True"),
    ],
)
def test_former_names_are_refused_with_the_names_of_today(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        validate(compose([EXPERIMENT, override]))
