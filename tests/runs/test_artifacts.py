from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from recsys.data.datasets.dataset import Dataset
from recsys.errors import ConfigurationError, RequestError
from recsys.items.bundle import ItemBundle
from recsys.items.semantic_ids import SemanticIds
from recsys.policies.generative import GenerativePolicy
from recsys.runs.artifacts import (
    Artifact,
    artifact,
    artifact_folder,
    best_artifact,
    build_model,
    load,
    load_model,
    named_artifacts,
    reading_run,
    save_artifact,
)
from recsys.runs.materials import load_bundle
from recsys.runs.prepare import load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.fitting import same_weights
from tests.tiny import tiny_bundle, tiny_dataset
from tests.training.trainings import ADAM, SASREC, going_on, training_of

TARGETS = [
    "recsys.models.generators.causal.CausalGenerator",
    "recsys.models.generators.sasrec.SASRec",
    "recsys.models.generators.encoder_decoder.EncoderDecoder",
]


def recipe(target: str = TARGETS[0]) -> DictConfig:
    """With an interpolation, as a composed configuration has."""
    node = {"_target_": f"{target}.from_bundle", "width": 8, "layers": 1, "heads": 2, "max_length": "${length}"}
    return OmegaConf.create({"length": 5, "network": node}).network


def saved(model: torch.nn.Module, folder: Path, items: str, target: str = TARGETS[0]) -> Artifact:
    """The artifact of a model of the recipe, in its folder."""
    node = OmegaConf.to_container(recipe(target), resolve=True)
    assert isinstance(node, dict)
    made = Artifact("one", ArtifactKind.POLICY, "f", items, node, "validation/ndcg@10", "max", 0.25)
    save_artifact(made, model, folder)
    return made


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_comes_back_with_its_weights_to_serve(target: str, tmp_path: Path) -> None:
    network = build_model(recipe(target), tiny_bundle())
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    made = saved(network, tmp_path / "one", tiny_bundle().fingerprint, target)
    found = load_model(tmp_path / "one", tiny_bundle())
    assert type(found) is type(network)
    assert same_weights(found, network)
    assert {one.name for one in (tmp_path / "one").iterdir()} == {"artifact.json", "weights.safetensors"}
    assert Artifact.read(tmp_path / "one") == made
    assert made.recipe is not None and made.recipe["max_length"] == 5


def test_weights_of_other_items_are_refused(tmp_path: Path) -> None:
    saved(build_model(recipe(), tiny_bundle()), tmp_path, tiny_bundle().fingerprint)
    ours = tiny_bundle()
    other = ItemBundle(ours.table, SemanticIds(ours.semantic_ids.codes.flip(0), ours.semantic_ids.sizes), ours.vectors)
    with pytest.raises(RequestError, match="Load the item bundle that was saved beside the weights"):
        load_model(tmp_path, other)
    renamed = ours.table.with_columns(pl.Series("item_id", [f"other {item}" for item in range(20)]))
    with pytest.raises(RequestError, match="trained on items with fingerprint"):
        load_model(tmp_path, ItemBundle(renamed, ours.semantic_ids, ours.vectors))


@pytest.mark.parametrize("target", TARGETS)
@torch.no_grad()
def test_items_that_joined_later_are_served_without_training(target: str, tmp_path: Path) -> None:
    whole = tiny_bundle()
    known = torch.tensor([item for item in range(20) if item not in (9, 19)])
    ours = ItemBundle(
        whole.table[:18], SemanticIds(whole.semantic_ids.codes[known], whole.semantic_ids.sizes), whole.vectors[:18]
    )
    network: Any = build_model(recipe(target), ours).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    saved(network, tmp_path, ours.fingerprint, target)
    codes = ours.semantic_ids.extend(whole.semantic_ids.codes[[9, 19]])
    grown = ItemBundle(whole.table, codes, whole.vectors, trained=ours.fingerprint)
    served: Any = load_model(tmp_path, grown).eval()
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
    with pytest.raises(RequestError, match=r"artifact\.json does not exist: that training has not finished"):
        load_model(tmp_path, tiny_bundle())


Train = Callable[..., RunFolder]


def scored_by(name: str) -> dict[str, object]:
    """A training whose reward asks another one."""
    reward = {
        "_target_": "recsys.rewards.frozen_model.CollaborativeReward",
        "scorer": {"_target_": "recsys.runs.artifacts.artifact", "name": name},
    }
    return {
        "_target_": "recsys.systems.group_policy_optimisation.GroupPolicyOptimisation",
        "sampler": {"_target_": "recsys.systems.group_sampling.BeamSampler", "candidates": 3},
        "reward": reward,
        "objective": {"_target_": "recsys.objectives.group_relative.grpo", "_partial_": True},
        "optimizer": ADAM,
    }


def test_vectors_and_policies_are_those_of_the_run(train: Train) -> None:
    run = train({"sasrec": training_of(model=SASREC)})
    with reading_run(run):
        vectors, policy = artifact("item_vectors"), artifact("sasrec")
    assert isinstance(policy, GenerativePolicy) and not policy.training
    assert torch.equal(vectors, load_bundle(run).vectors)
    assert not policy.network.training
    assert not any(parameter.requires_grad for parameter in policy.parameters())
    test = load_data_of(run, Dataset).test
    total = policy.catalogue_log_prob(test.context).exp().sum(1)
    torch.testing.assert_close(total, torch.ones(len(test)))


def test_there_is_nothing_to_read_outside_of_a_run() -> None:
    with pytest.raises(ConfigurationError, match=r"artifact 'sasrec': .* belongs into the configuration of a training"):
        artifact("sasrec")


def test_an_artifact_that_is_not_there_is_named(train: Train) -> None:
    run = train({"sft": training_of()})
    with reading_run(run), pytest.raises(ConfigurationError, match=r"no artifact 'stf' in .*; did you mean 'sft'"):
        artifact("stf")
    with pytest.raises(ConfigurationError, match="no artifact 'stf'"):
        load(str(run.path), "stf")


def scored(name: str, score: float, monitor: str = "validation/loss", mode: str = "min") -> Artifact:
    return Artifact(name, ArtifactKind.REWARD_MODEL, "f", "m", None, monitor, mode, score)


def test_the_best_is_by_the_mode_and_unlike_metrics_are_not_compared() -> None:
    few = [scored("a", 0.3), scored("b", 0.2)]
    assert best_artifact(few).name == "b"
    assert best_artifact([replace(one, mode="max") for one in few]).name == "a"
    for other in (scored("c", 0.1, "validation/ndcg@10"), scored("c", 0.1, mode="max")):
        with pytest.raises(ConfigurationError, match=r"'a' was chosen by validation/loss \(min\) and 'c' by"):
            best_artifact([*few, other])


def test_the_artifacts_named_are_found_wherever_they_stand() -> None:
    node = OmegaConf.create({"system": scored_by("a"), "list": [1, {"deep": scored_by("b")}], "start": "c"})
    assert [one.name for one in named_artifacts(node)] == ["a", "b"]


def test_a_training_is_made_anew_where_the_artifact_it_reads_changed(train: Train) -> None:
    def made(epochs: int) -> int:
        rewarded = going_on("sft", system=scored_by("sasrec"))
        sasrec = training_of(model=SASREC, epochs=epochs)
        run = train({"sft": training_of(), "rewarded": rewarded, "sasrec": sasrec})
        return (artifact_folder(run, "rewarded") / "weights.safetensors").stat().st_mtime_ns

    first = made(1)
    assert made(1) == first
    assert made(2) > first


def test_no_score_is_the_worst_score() -> None:
    def left(name: str, score: float | None, mode: Literal["min", "max"]) -> Artifact:
        return Artifact(name, ArtifactKind.POLICY, name, "", {}, "m", mode, score)

    for mode, best in (("max", 0.9), ("min", 0.1)):
        for nothing in (float("nan"), None):
            pair = [left("nothing", nothing, mode), left("best", best, mode)]
            assert best_artifact(pair).name == best_artifact(pair[::-1]).name == "best"
    with pytest.raises(ConfigurationError, match="no training left a policy"):
        best_artifact([])


def test_a_model_of_other_materials_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is built from ItemBundle, the run has Dataset; with `tokenize`"):
        build_model(recipe(), tiny_dataset())
