"""Trained networks on disk: how to build one again, its weights, and whose codes they were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from recsys.errors import RequestError
from recsys.items.bundle import ItemBundle
from recsys.models.generator import Generator

NETWORK = "network.yaml"
WEIGHTS = "network.safetensors"


def build_network(node: DictConfig, bundle: ItemBundle) -> Generator[Any, Any]:
    """A fresh network over the bundle's catalogue; `node` configures a partial that takes the bundle."""
    return instantiate(node, _partial_=True)(bundle)


def save_network(network: nn.Module, node: DictConfig, items: str, folder: Path) -> None:
    """Keep what `load_network` reads.

    Args:
        network: whose weights.
        node: what it was built from.
        items: fingerprint of what it was trained on, which goes with the weights.
        folder: where; made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(node, folder / NETWORK, resolve=True)
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    aside = folder / f"{WEIGHTS}.aside"
    save_file(weights, aside, {"items": items})
    aside.replace(folder / WEIGHTS)


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


def load_network(folder: Path, bundle: ItemBundle) -> Generator[Any, Any]:
    """The trained network of `folder`, in evaluation mode; items that joined the bundle since are served as well.

    Raises:
        RequestError: nothing was trained there, or on other items.
    """
    network = build_network(load_recipe(folder), bundle)
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        trained = file.metadata()["items"]
        bundle.check(trained)
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network.load_state_dict(weights if trained == bundle.fingerprint else network.for_new_items(weights))
    return network.eval()
