"""Refuse the numbers of a whole configuration that the parts would refuse later, before anything runs."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recsys.config.signature import HYDRA_KEYS, join_key, locate
from recsys.config.type_check import parameters
from recsys.config.written import written_keys
from recsys.errors import ConfigurationError
from recsys.ranges import RangeError

log = logging.getLogger(__name__)

OWN_PACKAGE = "recsys."


class StandIn:
    """What a part is given in place of what only a run has: it has nothing that could be used."""


def number_faults(node: DictConfig, path: str) -> Iterator[str]:
    """Yield the first number of a node that its target refuses with a `RangeError`.

    The target is called with the plain values of the node, and with stand-ins for everything else, which ends in an
    error of another kind as soon as a stand-in is used: targets look at their numbers first. Targets of other packages
    than this one are not called, but for optimizers and models of scikit-learn, which say themselves what they take.

    Args:
        node: with `_target_`.
        path: its full key.
    """
    try:
        target, given = locate(join_key(path, "_target_"), node["_target_"]), _plain(node)
    except (ConfigurationError, OmegaConfBaseException):
        return  # told with the value itself
    try:
        _try(target, str(node["_target_"]), given)
    except RangeError as error:
        if error.name in given:
            root = node._get_root()
            own = join_key(path, error.name)
            written = written_keys(root, own)[-1] if isinstance(root, DictConfig) else own
            if path.startswith("stage.") and written.rpartition(".")[2] == error.name:
                yield f"{written}{str(error).removeprefix(error.name)}"
            else:
                yield f"{path}: {error}" + ("" if written == own else f" (it reads {written})")
    except Exception as error:
        log.debug("%s: %s", path, error)


def _try(target: Callable[..., Any], name: str, given: dict[str, Any]) -> None:
    """Let the target look at its numbers.

    Raises:
        RangeError: one is outside its range.
        Exception: whatever comes of the stand-ins.
    """
    import torch  # a refusal of a wrong key needs none

    from recsys.nn.optimizer import check_optimizer_options

    if inspect.isclass(target) and issubclass(target, torch.optim.Optimizer):
        check_optimizer_options(given)
    elif inspect.isclass(target) and hasattr(target, "_parameter_constraints"):
        _try_estimator(target, given)
    elif name.startswith(OWN_PACKAGE):
        known = parameters(target) or {}
        required = [one for one in known.values() if one.default is inspect.Parameter.empty]
        others = {
            one.name: _stand_in(one.annotation)
            for one in required
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY) and one.name not in given
        }
        places = [StandIn() for one in required if one.kind is one.POSITIONAL_ONLY]
        with torch.random.fork_rng(devices=[]):
            target(*places, **others, **given)


def _stand_in(annotation: Any) -> Any:
    """Return a number in every range where a number is expected, else a `StandIn`."""
    return 1 if annotation is int else 0.5 if annotation is float else StandIn()


def _try_estimator(target: Any, given: dict[str, Any]) -> None:
    """Let a model of scikit-learn look at its numbers."""
    try:
        target(**given)._validate_params()
    except ValueError as error:
        name = next((one for one in given if f"'{one}'" in str(error)), "")
        raise RangeError(name, given.get(name), str(error).splitlines()[0]) from None


def _plain(node: DictConfig) -> dict[str, Any]:
    """Return the values of a node, each part that is configured itself as a stand-in."""
    given: dict[str, Any] = {}
    for key in node:
        if key in HYDRA_KEYS or OmegaConf.is_missing(node, key):
            continue
        value = node[key]
        if OmegaConf.is_config(value):
            value = OmegaConf.to_container(value, resolve=True)
        given[str(key)] = _without_parts(value)
    return given


def _without_parts(value: Any) -> Any:
    """Return a plain value, with a stand-in for everything in it that is to be made."""
    if isinstance(value, list):
        return [_without_parts(one) for one in value]
    if not isinstance(value, dict):
        return value
    return StandIn() if "_target_" in value else {name: _without_parts(one) for name, one in value.items()}
