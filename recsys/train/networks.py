"""Trained networks on disk: how to build one again, and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file

from recsys.errors import RequestError
from recsys.items.bundle import ItemBundle
from recsys.models.generator import PrefixGenerator

NETWORK = "network.yaml"
WEIGHTS = "network.safetensors"


def build_network(node: DictConfig, bundle: ItemBundle) -> PrefixGenerator[Any, Any]:
    """A fresh network over the bundle's catalogue; `node` configures a partial that takes the bundle."""
    return instantiate(node, _partial_=True)(bundle)


def save_recipe(node: DictConfig, folder: Path) -> None:
    """Keep, beside the weights, the configuration the network is built from."""
    OmegaConf.save(node, folder / NETWORK, resolve=True)


def load_recipe(folder: Path) -> DictConfig:
    """The configuration of the network in `folder`.

    Raises:
        RequestError: there is none.
    """
    path = folder / NETWORK
    if not path.exists():
        raise RequestError(f"{path} does not exist: that training has not run; run the stage before it first")
    node = OmegaConf.load(path)
    assert isinstance(node, DictConfig)
    return node


def load_network(folder: Path, bundle: ItemBundle) -> PrefixGenerator[Any, Any]:
    """The trained network of `folder`, in evaluation mode.

    Raises:
        RequestError: nothing was trained there.
    """
    network = build_network(load_recipe(folder), bundle)
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network.eval()
