"""Parts of an arm that are made from what its run has left so far: item vectors, and other arms as policies.

A configuration names them like any other part, where a reward needs one:

```yaml
reward:
  _target_: recsys.rewards.collaborative.Collaborative
  scorer: {_target_: recsys.train.parts.trained_policy, arm: sasrec}
```
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jaxtyping import Float
from omegaconf import DictConfig, ListConfig
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.policies.generative import GenerativePolicy
from recsys.train.arms import arm_folder
from recsys.train.networks import load_network
from recsys.train.run_folder import RunFolder
from recsys.train.stages.tokenize import load_bundle

_RUN: ContextVar[RunFolder] = ContextVar("run")


@contextmanager
def reading(run: RunFolder) -> Iterator[None]:
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
    return GenerativePolicy(load_network(arm_folder(run, arm), load_bundle(run)).requires_grad_(False)).eval()


def arms_read(node: Any) -> list[str]:
    """Names of the arms that a configuration reads by `trained_policy`."""
    if isinstance(node, DictConfig):
        if node.get("_target_") == f"{__name__}.{trained_policy.__name__}":
            return [node.arm]
        return [name for value in node.values() for name in arms_read(value)]
    return [name for value in node for name in arms_read(value)] if isinstance(node, ListConfig) else []


def _run() -> RunFolder:
    try:
        return _RUN.get()
    except LookupError:
        raise ConfigurationError(
            "a part that reads the run (recsys.train.parts) belongs into `system` of an arm: there is no run here"
        ) from None
