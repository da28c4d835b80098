"""Compose a configuration from Python, as the command line does."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from recsys.train.reword import composed, reworded


def compose(overrides: Sequence[str] = (), config_name: str = "train") -> DictConfig:
    """The configuration that `recsys <config_name> <overrides>` runs with.

    >>> compose(["debug=limit", "seed=7"]).seed
    7

    Raises:
        ConfigurationError: a key or an option of a group that is not there.
    """
    try:
        return composed(overrides, config_name)
    except (HydraException, OmegaConfBaseException) as error:
        raise reworded(error, config_name, overrides) from None
