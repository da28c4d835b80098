"""Artifacts of a run: found by name, saved and loaded, and used as parts of a configuration.

A configuration names an artifact like any other part, where a reward needs one:

```yaml
reward:
  _target_: recsys.rewards.collaborative.Collaborative
  scorer: {_target_: recsys.runs.artifacts.trained_policy, arm: sasrec}
```
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from jaxtyping import Float
from omegaconf import DictConfig, ListConfig, OmegaConf
from safetensors import safe_open
from torch import Tensor, nn

from recsys.atomic import write_tensors, write_text
from recsys.errors import ConfigurationError, RequestError
from recsys.items.bundle import ItemBundle
from recsys.models.generators.generator import Generator
from recsys.policies.generative import GenerativePolicy
from recsys.runs.run_folder import RunFolder
from recsys.runs.tokenize import load_bundle

RESULT_FILE = "result.json"


def variant_folders(run: RunFolder) -> Iterator[tuple[str, Path]]:
    """Name and folder of every trained arm of a run, oldest first."""
    results = sorted(run.path.glob(f"stages/*/*/{RESULT_FILE}"), key=lambda path: path.stat().st_mtime)
    for path in results:
        yield path.parent.name, path.parent


def variant_folder(run: RunFolder, name: str) -> Path:
    """The folder of a trained arm.

    Raises:
        ConfigurationError: no arm of that name was trained.
    """
    folders = dict(variant_folders(run))
    if name not in folders:
        raise ConfigurationError(f"no trained arm {name!r}: there are {', '.join(folders) or 'none yet'}")
    return folders[name]


def variant_result(folder: Path) -> dict[str, Any]:
    """What a training left in its folder: its best `validation` NDCG@10 and its `fingerprint`."""
    return json.loads((folder / RESULT_FILE).read_text())


def best_variant(run: RunFolder, among: Sequence[str]) -> str:
    """The arm with the best validation NDCG@10 among those named."""
    return max(among, key=lambda name: variant_result(variant_folder(run, name))["validation"])


NETWORK_FILE = "network.yaml"
WEIGHTS_FILE = "network.safetensors"


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
    write_text(folder / NETWORK_FILE, OmegaConf.to_yaml(node, resolve=True))
    write_tensors(folder / WEIGHTS_FILE, network.state_dict(), {"items": items})


def load_network_config(folder: Path) -> DictConfig:
    """The configuration of the network in `folder`.

    Raises:
        RequestError: there is none.
    """
    path = folder / NETWORK_FILE
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
    network = build_network(load_network_config(folder), bundle)
    with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
        trained = file.metadata()["items"]
        bundle.check(trained)
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network.load_state_dict(weights if trained == bundle.fingerprint else network.for_new_items(weights))
    return network.eval()


_RUN: ContextVar[RunFolder] = ContextVar("run")


@contextmanager
def reading_run(run: RunFolder) -> Iterator[None]:
    """Inside, the functions below read from this run."""
    token = _RUN.set(run)
    try:
        yield
    finally:
        _RUN.reset(token)


def item_vectors() -> Float[Tensor, "N D"]:
    """The vectors that the run's semantic IDs were made from, one row an item.

    Raises:
        ConfigurationError: not called from the configuration of an arm.
    """
    return load_bundle(_run()).vectors


def trained_policy(arm: str) -> GenerativePolicy:
    """A trained arm of the run as a policy, frozen and in evaluation mode.

    Args:
        arm: its name; it comes earlier in the run than the arm that reads it.

    Raises:
        ConfigurationError: no arm of that name was trained, or not called from the configuration of an arm.
    """
    run = _run()
    return GenerativePolicy(load_network(variant_folder(run, arm), load_bundle(run)).requires_grad_(False)).eval()


def variants_read(node: Any) -> list[str]:
    """Names of the arms that a configuration reads by `trained_policy`."""
    if isinstance(node, DictConfig):
        if node.get("_target_") == f"{__name__}.{trained_policy.__name__}":
            return [node.arm]
        return [name for value in node.values() for name in variants_read(value)]
    return [name for value in node for name in variants_read(value)] if isinstance(node, ListConfig) else []


def _run() -> RunFolder:
    try:
        return _RUN.get()
    except LookupError:
        raise ConfigurationError(
            "a part that reads the run (recsys.runs.artifacts) belongs into `system` of an arm: there is no run here"
        ) from None
