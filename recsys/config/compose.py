"""Compose a configuration as the command line does, and turn Hydra's errors into plain messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recsys.config.former_names import override_faults
from recsys.config.renamed import GROUPS
from recsys.config.signature import keyword_names, locate
from recsys.config.suggest import nearest_word, suggestion
from recsys.config.type_check import parameters
from recsys.config.unused_keys import leaves
from recsys.configuration import configuration_folder, job_folder
from recsys.errors import ConfigurationError

UNKNOWN_KEY = re.compile(r"Could not (?:override|delete from config\.) '([^']+)'")


def explain_hydra_error(
    error: HydraException | OmegaConfBaseException, config_name: str, overrides: Sequence[str]
) -> Exception:
    """Return a `ConfigurationError` whose message says what is wrong and what to write instead.

    Args:
        error: error that Hydra raised while composing.
        config_name: name of the configuration.
        overrides: overrides of the command line.
    """
    if renamed := [fault for one in overrides for fault in override_faults(one)]:
        return ConfigurationError("\n".join(renamed))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        options = error.options or ()
        return ConfigurationError(_missing_option(str(error.missing_cfg_file), options, _folder(config_name)))
    match = UNKNOWN_KEY.search(str(error))
    if isinstance(error, ConfigCompositionException) and match:
        return ConfigurationError(_unknown_key(match[1], config_name, overrides))
    causes = [str(one).strip() for one in (error, error.__cause__) if one is not None and str(one).strip()]
    return ConfigurationError("\n".join(causes) or type(error).__name__)


def compose_with_hydra(overrides: Sequence[str], config_name: str) -> DictConfig:
    """Compose a configuration. Errors are Hydra's own."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(_folder(config_name)), version_base="1.3"):
        return hydra.compose(config_name, list(overrides))


def _folder(config_name: str) -> Path:
    return job_folder(configuration_folder(), config_name)


def _missing_option(file: str, options: Sequence[str], folder: Path) -> str:
    """Describe an option that its group lacks, or a configuration that does not exist."""
    group, _, option = file.removesuffix(".yaml").partition("/")
    if group in GROUPS:
        return f"there is no group '{group}'; it is now '{GROUPS[group]}'"
    if not option:
        return f"there is no configuration '{group}'; {suggestion(group, _names(folder))}"
    known = [*_names(folder / group), *(f"{option.rpartition('/')[0]}/{one}".lstrip("/") for one in options)]
    return f"{group}={option}: there is no such {group}; {suggestion(option, known)}"


def _names(folder: Path) -> list[str]:
    return [str(one.relative_to(folder).with_suffix("")) for one in folder.rglob("*.yaml")]


def _unknown_key(key: str, config_name: str, overrides: Sequence[str]) -> str:
    """Describe a key that was not composed: an argument left at its default, a misspelled key, or a group."""
    config = _without_values(config_name, overrides)
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    arguments: set[str] = set()
    if isinstance(node, DictConfig) and "_target_" in node:
        arguments = keyword_names(parameters(locate(f"{parent}._target_", node["_target_"])) or {})
    if name in arguments:
        return f"{key}: this argument has its default value and is in no file; write +{key}=… to set it"
    beside = {str(one) for one in node} if isinstance(node, DictConfig) else set()
    if match := nearest_word(name, beside | arguments):
        return f"{key}: there is no such key; did you mean '{f'{parent}.{match}' if parent else match}'?"
    groups = _groups(_folder(config_name))
    everything = {path for path, _ in leaves(OmegaConf.to_container(config))} | groups
    below = {path for path in everything if path.startswith(f"{parent}.")}
    for pool in (below, everything):
        match = nearest_word(name, map(_last, pool))
        if match is not None:
            (best,) = get_close_matches(key, [one for one in pool if _last(one) == match], 1, cutoff=0.0)
            return f"{key}: there is no such key; did you mean '{best}'?"
    return f"{key}: there is no such key; {suggestion(key, {str(one) for one in config} | groups)}"


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _groups(folder: Path) -> set[str]:
    """Return the names of the groups, without those of a job that has its own folder."""
    found = {one.relative_to(folder) for one in folder.rglob("*") if one.is_dir()}
    return {str(one) for one in found if job_folder(folder, one.parts[0]) == folder}


def _without_values(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose the choices of groups alone. Return an empty configuration if this fails."""
    groups = [one for one in overrides if (_folder(config_name) / one.lstrip("+").partition("=")[0]).is_dir()]
    try:
        return compose_with_hydra(groups, config_name)
    except (HydraException, OmegaConfBaseException):
        return OmegaConf.create()


def compose(overrides: Sequence[str] = (), config_name: str = "train") -> DictConfig:
    """Return the configuration that `recsys <config_name> <overrides>` runs with.

    Args:
        overrides: overrides as on the command line.
        config_name: name of the command, such as `train` or `bench`.

    >>> compose(["debug=limit", "seed=7"]).seed
    7

    Raises:
        ConfigurationError: an override names a key, a group or an option that does not exist.
    """
    try:
        return compose_with_hydra(overrides, config_name)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain_hydra_error(error, config_name, overrides) from None
