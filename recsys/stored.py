"""Check what a stored configuration names before it is imported or made: a run folder is data, not code.

A run folder keeps configurations: how a model is built (`artifact.json`), the simulator that it learnt in
(`simulator.json`), the class that reads its data (`prepared.json`) and all of it (`config.yaml`). They are made from
classes and functions of this package, from a short list of others, and from modules that the user's own command names.
Everything else is refused before anything of it is imported.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recsys.errors import ConfigurationError

PACKAGE = __name__.partition(".")[0]

PARTS = tuple(
    f"{PACKAGE}.{name}"
    for name in ("decode", "models", "nn", "objectives", "policies", "retrieve", "rewards", "simulate")
)
"""Packages whose classes and functions models, policies and simulators are made of."""

ENGINE = tuple(
    f"{PACKAGE}.{name}"
    for name in (
        *("atomic", "bench", "checksums", "cli", "config", "data.tables", "instantiation", "report", "runs"),
        *("stored", "training"),
    )
)
"""Packages and modules whose functions write files, start programs or make other configurations: a stored configuration
cannot name them, and classes of `STAGES` alone."""

STAGES = tuple(f"{PACKAGE}.{name}" for name in ("bench", "report", "runs.prepare", "runs.tokenize", "training"))
"""Packages and modules of the engine whose classes a stored configuration can name. A class of the others may write
where it is made: a `logging.FileHandler` empties the file that it is given."""

ARTIFACT = f"{PACKAGE}.runs.artifacts.artifact"

ENGINE_FUNCTIONS = (
    ARTIFACT,
    f"{PACKAGE}.runs.artifacts.load",
    f"{PACKAGE}.runs.trained_policy.RemappedPolicy.from_run",
)
"""Functions of the engine that can be named: they read run folders, by the rules of this module."""

LAYERS = ("Dropout", "ELU", "Embedding", "GELU", "Identity", "LayerNorm", "LeakyReLU", "Linear", "Mish", "RMSNorm")
ACTIVATIONS = ("ReLU", "SiLU", "Sigmoid", "Softplus", "Tanh")
FOREIGN_PARTS = frozenset(f"torch.nn.{name}" for name in LAYERS + ACTIVATIONS)
"""Classes of other packages that a stored model, policy or simulator can name."""

FOREIGN = FOREIGN_PARTS | {
    "builtins.range",
    "lightning.Trainer",
    "sklearn.ensemble.ExtraTreesRegressor",
    "sklearn.linear_model.LogisticRegression",
    "sklearn.linear_model.Ridge",
    *(f"torch.optim.{name}" for name in ("Adagrad", "Adam", "AdamW", "RMSprop", "SGD")),
}
"""Classes of other packages that a stored configuration of a whole run can name."""

LOOKUPS = frozenset(f"hydra.utils.get_{kind}" for kind in ("class", "method", "object", "static_method"))
"""Targets that return what their argument `path` names."""

SHARED = frozenset(
    {
        *("hydra", "jaxtyping", "lightning", "numba", "numpy", "omegaconf", "polars", "pytorch_lightning", "rich"),
        *("safetensors", "scipy", "sklearn", "torch", "torchrec", "tqdm", "transformers", "typing_extensions", PACKAGE),
    }
) | frozenset(sys.stdlib_module_names)
"""Packages that hold more than a user's own parts: of these a command trusts the names that it writes, no modules."""


@dataclass(frozen=True)
class Trusted:
    """What the user's own command names, and stored configurations may name therefore.

    Args:
        names: dotted names of classes and functions.
        modules: modules of the user, of which everything defined there may be named.
    """

    names: frozenset[str] = field(default_factory=frozenset)
    modules: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, config: Any, modules: Iterable[str] = ()) -> Trusted:
        """Return what a configuration of the user names.

        Args:
            config: the configuration.
            modules: further modules that the user names.
        """
        plain = _plain(config)
        names = frozenset(target for _, target in named_targets(plain) if isinstance(target, str))
        owners = {_module(name) for name in names}
        return cls(names, frozenset({one for one in owners if one.partition(".")[0] not in SHARED} | set(modules)))

    def __or__(self, other: Trusted) -> Trusted:
        """Return what either of both trusts."""
        return Trusted(self.names | other.names, self.modules | other.modules)


_TRUSTED: ContextVar[Trusted] = ContextVar("trusted", default=Trusted())  # noqa: B039  (frozen)


def trusted() -> Trusted:
    """Return what the running command trusts."""
    return _TRUSTED.get()


@contextmanager
def trusting(more: Trusted) -> Iterator[None]:
    """Let stored configurations name these classes, functions and modules, too, inside the block."""
    token = _TRUSTED.set(_TRUSTED.get() | more)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def check_stored(node: Any, source: Path | str, key: str = "", whole_run: bool = False) -> None:
    """Refuse a stored configuration that names code which neither this package nor the user's command has named.

    Args:
        node: plain values, at any depth; interpolations are refused, because they are resolved later.
        source: the file, for messages.
        key: full key of the node in the file.
        whole_run: whether it configures a whole run; a model, a policy or a simulator otherwise.

    Raises:
        ConfigurationError: it names something else; nothing of that was imported.
    """
    for place, text in _texts(node, key):
        if "${" in text:
            raise ConfigurationError(
                f"{source}: {place}: found {text!r}; a stored configuration has no interpolations. Make the run again"
            )
    _check_targets(node, source, key, whole_run)


def check_stored_run(config: DictConfig, source: Path | str) -> None:
    """Refuse the stored configuration of a whole run that names foreign code; see `check_stored`.

    Raises:
        ConfigurationError: it does, or its values cannot be resolved.
    """
    config = copy.deepcopy(config)
    OmegaConf.set_struct(config, False)
    stages = config.get("stage") or {}
    idle = {str(name): stages.pop(name) for name in list(stages) if name not in (config.get("stages") or ())}
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigurationError(f"{source}: {str(error).splitlines()[0]}") from error
    check_stored(plain, source, whole_run=True)
    for name, node in idle.items():  # what they refer to need not be there
        written = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node
        _check_targets(written, source, f"stage.{name}", whole_run=True)


def _check_targets(node: Any, source: Path | str, key: str, whole_run: bool) -> None:
    """Refuse what `check_stored` refuses by its name."""
    for place, target in named_targets(node, key):
        looks_up = target in LOOKUPS if isinstance(target, str) and place.endswith("_target_") else False
        if not (looks_up or (isinstance(target, str) and _allowed(target, whole_run))):
            raise ConfigurationError(
                f"{source}: {place} names {target!r}, which is no part of {PACKAGE} that can stand there. A run folder "
                "is data and does not run the code of others. If you trust this folder and have the module, name it: "
                f"modules=[{_module(target) if isinstance(target, str) else 'MODULE'}]"
            )


def named_targets(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the full key and the value of each `_target_`, and of each `path` of a target that returns what it names.

    >>> list(named_targets({"a": [{"_target_": "hydra.utils.get_method", "path": "os.getcwd"}]}))
    [('a.0._target_', 'hydra.utils.get_method'), ('a.0.path', 'os.getcwd')]
    """
    if isinstance(node, Mapping):
        if "_target_" in node:
            target = node["_target_"]
            yield _below(key, "_target_"), target
            if isinstance(target, str) and target in LOOKUPS:
                path = None if "_args_" in node else node.get("path")
                yield _below(key, "path"), path
        for name, value in node.items():
            yield from named_targets(value, _below(key, name))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from named_targets(value, _below(key, index))


def _allowed(target: str, whole_run: bool) -> bool:
    """Return whether a stored configuration may name this; what is not of this package is not imported."""
    known = trusted()
    if target in known.names - LOOKUPS or target in (FOREIGN if whole_run else FOREIGN_PARTS):
        return True
    if _module(target) in known.modules and target.partition(".")[0] != PACKAGE:
        return True
    return _of_package(target, whole_run)


def _of_package(target: str, whole_run: bool) -> bool:
    """Return whether this is a class, a function or a class method that the package defines and lets be named."""
    parts = target.split(".")
    if parts[0] != PACKAGE or not all(one.isidentifier() and not one.startswith("_") for one in parts):
        return False
    found = _defined(parts)
    if found is None:
        return False
    if not whole_run:
        return target == ARTIFACT or _inside(found.__module__, PARTS)
    named = target in ENGINE_FUNCTIONS or not _inside(found.__module__, ENGINE)
    return named or (inspect.isclass(found) and _inside(found.__module__, STAGES))


def _defined(parts: list[str]) -> Any:
    """Return the class or function of the package by its name; None where it is another's, or a method of objects."""
    size = next((size for size in range(len(parts) - 1, 0, -1) if _is_module(".".join(parts[:size]))), 0)
    rest = parts[size:]
    found = getattr(import_module(".".join(parts[:size])), rest[0], None) if size and 1 <= len(rest) <= 2 else None
    if len(rest) == 2 and inspect.isclass(found) and _inside(found.__module__, (PACKAGE,)):
        method = inspect.getattr_static(found, rest[1], None)
        found = method.__func__ if isinstance(method, classmethod | staticmethod) else None
    elif len(rest) == 2:
        found = None
    callable_here = inspect.isclass(found) or inspect.isroutine(found) or hasattr(found, "__wrapped__")
    return found if callable_here and _inside(getattr(found, "__module__", None), (PACKAGE,)) else None


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _inside(module: str | None, packages: Iterable[str]) -> bool:
    return module is not None and any(module == one or module.startswith(f"{one}.") for one in packages)


def _module(target: str) -> str:
    """Return the module of a dotted name: what is before its first part with a capital letter, or before the last.

    >>> _module("my_parts.nets.Net.from_bundle"), _module("my_parts.nets.build")
    ('my_parts.nets', 'my_parts.nets')
    """
    parts = target.split(".")
    size = next((place for place, one in enumerate(parts) if one[:1].isupper()), len(parts) - 1)
    return ".".join(parts[: min(size, len(parts) - 1)])


def _plain(config: Any) -> Any:
    """Return plain values; references stay as they are written where they cannot be resolved."""
    if not OmegaConf.is_config(config):
        return config
    try:
        return OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:
        return OmegaConf.to_container(config, resolve=False)


def _texts(node: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _texts(str(name), _below(key, name))
            yield from _texts(value, _below(key, name))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _texts(value, _below(key, index))
    elif isinstance(node, str):
        yield key, node


def _below(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)
