from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from recsys.errors import ConfigurationError, RequestError
from recsys.items.bundle import ItemBundle
from recsys.items.semantic_ids import SemanticIds
from recsys.runs.artifacts import (
    build_network,
    item_vectors,
    load_network,
    load_network_config,
    reading_run,
    save_network,
    trained_policy,
    variant_folder,
    variants_read,
)
from recsys.runs.prepare import load_dataset
from recsys.runs.run_folder import RunFolder
from recsys.runs.tokenize import load_bundle
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.fitting import same_weights
from tests.tiny import tiny_bundle
from tests.training.arms import ADAM, SASREC, arm_of

TARGETS = [
    "recsys.models.generators.causal.CausalGenerator",
    "recsys.models.generators.sasrec.SASRec",
    "recsys.models.generators.encoder_decoder.EncoderDecoder",
]


def recipe(target: str = TARGETS[0]) -> DictConfig:
    """With an interpolation, as a composed configuration has."""
    node = {"_target_": f"{target}.from_bundle", "width": 8, "layers": 1, "heads": 2, "max_length": "${length}"}
    return OmegaConf.create({"length": 5, "network": node}).network


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_comes_back_with_its_weights_to_serve(target: str, tmp_path: Path) -> None:
    network = build_network(recipe(target), tiny_bundle())
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    save_network(network, recipe(target), tiny_bundle().fingerprint, tmp_path / "arm")
    found = load_network(tmp_path / "arm", tiny_bundle())
    assert type(found) is type(network)
    assert same_weights(found, network)
    assert not found.training
    assert {one.name for one in (tmp_path / "arm").iterdir()} == {"network.yaml", "network.safetensors"}


def test_the_recipe_stands_on_its_own(tmp_path: Path) -> None:
    save_network(build_network(recipe(), tiny_bundle()), recipe(), tiny_bundle().fingerprint, tmp_path)
    assert load_network_config(tmp_path)["max_length"] == 5


def test_weights_of_other_items_are_refused(tmp_path: Path) -> None:
    save_network(build_network(recipe(), tiny_bundle()), recipe(), tiny_bundle().fingerprint, tmp_path)
    ours = tiny_bundle()
    other = ItemBundle(ours.table, SemanticIds(ours.semantic_ids.codes.flip(0), ours.semantic_ids.sizes), ours.vectors)
    with pytest.raises(RequestError, match="Load the item bundle that was saved beside the weights"):
        load_network(tmp_path, other)
    renamed = ours.table.with_columns(pl.Series("item_id", [f"other {item}" for item in range(20)]))
    with pytest.raises(RequestError, match="trained on items with fingerprint"):
        load_network(tmp_path, ItemBundle(renamed, ours.semantic_ids, ours.vectors))


@pytest.mark.parametrize("target", TARGETS)
@torch.no_grad()
def test_items_that_joined_later_are_served_without_training(target: str, tmp_path: Path) -> None:
    whole = tiny_bundle()
    known = torch.tensor([item for item in range(20) if item not in (9, 19)])
    ours = ItemBundle(
        whole.table[:18], SemanticIds(whole.semantic_ids.codes[known], whole.semantic_ids.sizes), whole.vectors[:18]
    )
    network = build_network(recipe(target), ours).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_network(network, recipe(target), ours.fingerprint, tmp_path)
    codes = ours.semantic_ids.extend(whole.semantic_ids.codes[[9, 19]])
    grown = ItemBundle(whole.table, codes, whole.vectors, trained=ours.fingerprint)
    served = load_network(tmp_path, grown)
    context = Context(torch.arange(2), Jagged.from_rows([[1, 2], [7]]), Jagged.empty(2))
    before = network.catalogue_log_prob(network.encode(context))
    after = served.catalogue_log_prob(served.encode(context))
    torch.testing.assert_close(after.exp().sum(1), torch.ones(2))
    assert (after[:, 18:].exp() > 1e-6).all()
    for cluster in ours.semantic_ids.codes[:, 0].unique():
        inside = (ours.semantic_ids.codes[:, 0] == cluster).nonzero().squeeze(1)
        conditional = [scores[:, inside].log_softmax(1) for scores in (before, after)]
        torch.testing.assert_close(conditional[0], conditional[1])


def test_where_nothing_was_trained(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"network\.yaml does not exist: that training has not run"):
        load_network(tmp_path, tiny_bundle())


Train = Callable[..., RunFolder]


def scored_by(arm: str) -> dict[str, object]:
    """A reward stage that asks another arm."""
    reward = {
        "_target_": "recsys.rewards.frozen_model.CollaborativeReward",
        "scorer": {"_target_": "recsys.runs.artifacts.trained_policy", "arm": arm},
    }
    return {
        "_target_": "recsys.systems.group_policy_optimisation.GroupPolicyOptimisation",
        "rollout": {"_target_": "recsys.systems.group_sampling.BeamSampler", "candidates": 3},
        "reward": reward,
        "objective": {"_target_": "recsys.objectives.group_relative.grpo", "_partial_": True},
        "optimizer": ADAM,
    }


def test_vectors_and_policies_are_those_of_the_run(train: Train) -> None:
    run = train({"sasrec": arm_of(network=SASREC)})
    with reading_run(run):
        vectors, policy = item_vectors(), trained_policy("sasrec")
    assert torch.equal(vectors, load_bundle(run).vectors)
    assert not policy.network.training
    assert not any(parameter.requires_grad for parameter in policy.parameters())
    test = load_dataset(run).test
    total = policy.catalogue_log_prob(test.context).exp().sum(1)
    torch.testing.assert_close(total, torch.ones(len(test)))


def test_there_is_nothing_to_read_outside_of_a_run() -> None:
    for part in (item_vectors, lambda: trained_policy("sasrec")):
        with pytest.raises(ConfigurationError, match="there is no run here"):
            part()


def test_an_arm_that_was_not_trained_is_named(train: Train) -> None:
    run = train({"sft": arm_of()})
    with reading_run(run), pytest.raises(ConfigurationError, match=r"'sasrec'.*there are sft"):
        trained_policy("sasrec")


def test_the_arms_read_are_found_wherever_they_stand() -> None:
    node = OmegaConf.create({"system": scored_by("a"), "list": [1, {"deep": scored_by("b")}], "start": "c"})
    assert variants_read(node) == ["a", "b"]


def test_an_arm_is_trained_anew_where_the_one_it_reads_changed(train: Train) -> None:
    def rewarded() -> int:
        train({"rewarded": arm_of(network=None, start="sft", system=scored_by("sasrec"))}, name="rl")
        return (variant_folder(run, "rewarded") / "network.safetensors").stat().st_mtime_ns

    run = train({"sft": arm_of(), "sasrec": arm_of(network=SASREC)})
    first = rewarded()
    assert rewarded() == first
    train({"sft": arm_of(), "sasrec": arm_of(network=SASREC, epochs=2)})
    assert rewarded() > first
