from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.errors import RequestError
from recsys.items.bundle import ItemBundle
from recsys.items.semantic_ids import SemanticIds
from recsys.train.networks import build_network, load_network, load_recipe, save_network
from tests.fitting import same_weights
from tests.tiny import tiny_bundle

TARGETS = [
    "recsys.models.causal_generator.CausalGenerator",
    "recsys.models.sasrec.SASRec",
    "recsys.models.encoder_decoder.EncoderDecoder",
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
    assert load_recipe(tmp_path)["max_length"] == 5


def test_weights_of_other_items_are_refused(tmp_path: Path) -> None:
    save_network(build_network(recipe(), tiny_bundle()), recipe(), tiny_bundle().fingerprint, tmp_path)
    ours = tiny_bundle()
    other = ItemBundle(ours.table, SemanticIds(ours.semantic_ids.codes.flip(0), ours.semantic_ids.sizes), ours.vectors)
    with pytest.raises(RequestError, match="load the item bundle saved beside the weights"):
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
