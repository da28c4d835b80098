"""What `conf/network` and `conf/embedding` offer composes, is accepted and builds a network that works."""

from __future__ import annotations

import functools

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder
from recsys.config.validate import validate
from recsys.models.generators.causal import CausalGenerator
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.models.generators.history_encoder import RotaryPositions
from recsys.nn.feed_forward import SwiGLU
from recsys.runs.artifacts import build_model
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.tiny import tiny_bundle

NETWORKS = sorted(path.stem for path in configuration_folder().glob("network/*.yaml"))
EMBEDDINGS = sorted(path.stem for path in configuration_folder().glob("embedding/*.yaml"))
REQUESTS = Context(torch.arange(2), Jagged.from_rows([[3, 4], [7]]), Jagged.empty(2))
OURS = f"{{_target_: {__name__}.Linear, _partial_: true}}"


class Linear(nn.Linear):
    """A feed-forward network that no one would mistake for the default."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width)


@functools.cache
def configured(network: str, *overrides: str) -> DictConfig:
    """The network of an experiment, checked as a run checks it."""
    config = compose(["experiment=rere/movielens_100k", f"network={network}", "max_length=5", *overrides])
    validate(config)
    return config.network


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_gives_probabilities(network: str) -> None:
    model = build_model(configured(network), tiny_bundle()).eval()
    total = model.catalogue_log_prob(model.encode(REQUESTS)).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones(2))


@pytest.mark.parametrize("network", NETWORKS)
def test_another_feed_forward_network_takes_the_place_of_the_default(network: str) -> None:
    plain = "network.feed_forward=null"
    default = build_model(configured(network, plain), tiny_bundle()).eval()
    torch.manual_seed(0)
    model = build_model(configured(network, plain, f"network.feed_forward={OURS}"), tiny_bundle()).eval()
    assert not [name for name, part in model.named_modules() if isinstance(part, SwiGLU)]
    theirs = {name for name, part in default.named_modules() if isinstance(part, SwiGLU)}
    assert {name for name, part in model.named_modules() if isinstance(part, Linear)} == theirs
    before = model.catalogue_log_prob(model.encode(REQUESTS))
    for part in model.modules():
        if isinstance(part, Linear):
            nn.init.zeros_(part.weight)
    assert (model.catalogue_log_prob(model.encode(REQUESTS)) - before).abs().max() > 1e-4


def test_the_decoder_may_have_one_of_its_own() -> None:
    node = configured("encoder_decoder", f"network.decoder_feed_forward={OURS}")
    model = build_model(node, tiny_bundle())
    assert isinstance(model, EncoderDecoder)
    assert all(isinstance(part.get_submodule("feed_forward"), SwiGLU) for part in model.encoder)
    assert all(isinstance(part.get_submodule("feed_forward"), Linear) for part in model.decoder)


@pytest.mark.parametrize("network", ["causal", "sasrec"])
def test_positions_may_be_rotary(network: str) -> None:
    rotary = "{_target_: recsys.models.generators.history_encoder.RotaryPositions}"
    model = build_model(configured(network, f"network.positions={rotary}"), tiny_bundle())
    assert isinstance(model, CausalGenerator) and isinstance(model.encoder.positions, RotaryPositions)


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_tables_of_every_kind(embedding: str) -> None:
    node = configured("causal", f"embedding@network.embedding={embedding}", "network.width=8")
    tables = instantiate(node.embedding)({"item": 10}, 8, 0.1)
    rows = tables({"item": Jagged.from_rows([[3, 4], [7]])})["item"].values
    assert rows.shape == (3, 8)
    torch.testing.assert_close(rows, dict(tables.named_parameters())["collection.embeddings.item.weight"][[3, 4, 7]])


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_tables_that_are_the_output_layer_too(embedding: str) -> None:
    model = build_model(configured("causal", f"embedding@network.embedding={embedding}"), tiny_bundle()).eval()
    total = model.catalogue_log_prob(model.encode(REQUESTS)).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones(2))
