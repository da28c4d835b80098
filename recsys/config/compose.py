"""Compose a configuration as the command line does, and turn Hydra's errors into plain messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recsys.config.folders import configuration_folder, job_folder
from recsys.config.former_names import override_faults
from recsys.config.part_kind import option_fits
from recsys.config.renamed import GROUPS
from recsys.config.signature import HYDRA_KEYS, keyword_names, locate
from recsys.config.suggest import MOST_LISTED, nearest_word, suggestion
from recsys.config.type_check import parameters
from recsys.config.unused_keys import leaves
from recsys.errors import ConfigurationError

COMMANDS = ("train", "bench", "replay")
"""Commands that compose a configuration of keys and groups."""

UNKNOWN_KEY = re.compile(r"Could not (?:override|delete from config\.) '([^']+)'")

UNKNOWN_GROUP = re.compile(r"Override (\S+) looks like a config group override, but config group '([^']+)'")


def explain_hydra_error(
    error: HydraException | OmegaConfBaseException | ValueError, config_name: str, overrides: Sequence[str]
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
    if match := UNKNOWN_GROUP.search(str(error)):
        return ConfigurationError(f"{match[1]}: there is no group '{match[2]}'; {_group(match[2], config_name)}")
    match = UNKNOWN_KEY.search(str(error))
    if isinstance(error, ConfigCompositionException) and match:
        return ConfigurationError(_unknown_key(match[1], config_name, overrides))
    if not isinstance(error, HydraException | OmegaConfBaseException):  # Hydra's, of a group that is no text
        chosen = _choices(config_name, overrides)
        values = [one for one in chosen if not _named(one)]
        group = re.split("[@=]", (values or chosen or ["group"])[0].lstrip("+"))[0]
        return ConfigurationError(
            f"{(values or chosen or [''])[0]}: a group takes the name of an option; "
            f"{suggestion('', _names(_folder(config_name) / group))}"
        )
    causes = [str(one).strip() for one in (error, error.__cause__) if one is not None and str(one).strip()]
    return ConfigurationError("\n".join(causes) or type(error).__name__)


def compose_with_hydra(overrides: Sequence[str], config_name: str, hydra_config: bool = False) -> DictConfig:
    """Compose a configuration, with the node `hydra` if asked for. Errors are Hydra's own."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(_folder(config_name)), version_base="1.3"):
        return hydra.compose(config_name, list(overrides), return_hydra_config=hydra_config)


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


def _group(name: str, config_name: str) -> str:
    return suggestion(name, _groups(_folder(config_name)))


def _names(folder: Path) -> list[str]:
    return [str(one.relative_to(folder).with_suffix("")) for one in folder.rglob("*.yaml")]


def _unknown_key(key: str, config_name: str, overrides: Sequence[str]) -> str:
    """Describe a key that was not composed: an argument left at its default, a misspelled key, or a group."""
    value = next((one.partition("=")[2] for one in overrides if one.lstrip("+~").startswith(f"{key}=")), "") or "…"
    overrides = [one for one in overrides if one.lstrip("+~").partition("=")[0] != key]
    config = _without_values(config_name, overrides)
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    arguments: set[str] = set()
    if isinstance(node, DictConfig) and "_target_" in node:
        arguments = keyword_names(parameters(locate(f"{parent}._target_", node["_target_"])) or {})
    if name in arguments:
        return f"{key}: this argument has its default value and is in no file; write +{key}=… to set it"
    beside = {str(one) for one in node} if isinstance(node, DictConfig) else set()
    groups = _groups(_folder(config_name))
    if not parent and (known := _elsewhere(key, value, config_name, overrides, groups)):
        return f"{key}: {known}"
    if match := nearest_word(name, (beside | arguments) - {name}):
        return f"{key}: there is no such key; did you mean '{f'{parent}.{match}' if parent else match}'?"
    everything = {path for path, _ in leaves(OmegaConf.to_container(config))} | groups - {key}
    below = {path for path in everything if path.startswith(f"{parent}.")}
    if node is None and (match := _nearest_above(parent, config)):
        return f"{key}: there is no such key; did you mean '{match}.{name}'?"
    siblings = (beside | arguments) - set(HYDRA_KEYS)
    for pool in (below,) if parent and siblings else (below, everything):
        match = nearest_word(name, map(_last, pool))
        if match is not None:
            (best,) = get_close_matches(key, [one for one in pool if _last(one) == match], 1, cutoff=0.0)
            return f"{key}: there is no such key; did you mean '{best}'?"
    if parent and siblings:
        return f"{key}: there is no such key; {suggestion(name, siblings)}"
    return f"{key}: there is no such key; {suggestion(key, {str(one) for one in config} | groups)}"


def _elsewhere(key: str, value: str, config_name: str, overrides: Sequence[str], groups: set[str]) -> str | None:
    """Describe a group that is written without its package, or a key or group of another command; None for others."""
    packages = sorted(_packages(config_name, overrides).get(key, ()))
    plain = _plain(config_name)
    if key in groups and packages:
        config = _without_values(config_name, overrides)
        fitting = [one for one in packages if option_fits(config, one, key, value)]
        if not fitting:
            return f"no part of this configuration takes {key}={value}{_goes_with(key, value, config_name)}"
        wanted = " or ".join(f"{key}@{one}={value}" for one in fitting[:MOST_LISTED])
        return f"this group is chosen for a part of the configuration; write {wanted}"
    others = [one for one in COMMANDS if one != config_name and key in {*_plain(one), *_packages(one, ())}]
    if others:
        has = " and ".join(f"`recsys {one}`" for one in others) + (" has" if len(others) == 1 else " have")
        kind = "group" if key in groups else "key"
        preset = _folder(config_name) / key / f"{value}.yaml"
        sets: Any = OmegaConf.load(preset) if kind == "group" and preset.exists() else {}
        here = [f"{one}={sets[one]}" for one in sets]
        instead = f"; write {' '.join(here)}, which {key}={value} sets" if here and set(sets) <= set(plain) else ""
        return f"`recsys {config_name}` has no such {kind}, {has} it{instead}"
    if key in groups:
        return f"this group is chosen for a part of the configuration; write +{key}@PACKAGE={value}"
    return None


def _goes_with(group: str, option: str, config_name: str) -> str:
    """Return what the file of an option says it is for, as the end of a message."""
    lines = (_folder(config_name) / group / f"{option}.yaml").read_text().splitlines()
    said = next((one.removeprefix("# ").rstrip(".") for one in lines if one.startswith("# Goes with ")), None)
    return "" if said is None else f"; it {said[0].lower()}{said[1:]}"


def _nearest_above(key: str, config: DictConfig) -> str | None:
    """Return the key with its first unknown part replaced by the most similar one that is there, if that exists."""
    parts = key.split(".")
    for place, part in enumerate(parts):
        above = ".".join(parts[:place])
        node = OmegaConf.select(config, above) if above else config
        if isinstance(node, DictConfig) and part not in node and (match := nearest_word(part, map(str, node))):
            found = ".".join([*parts[:place], match, *parts[place + 1 :]])
            return found if OmegaConf.select(config, found) is not None else None
    return None


def _plain(config_name: str) -> DictConfig:
    """Compose a command without overrides. Return an empty configuration if this fails."""
    return _without_values(config_name, ())


def _packages(config_name: str, overrides: Sequence[str]) -> dict[str, set[str]]:
    """Return the packages that each group is chosen for, `` where it has none of its own."""
    try:
        config = compose_with_hydra(_choices(config_name, overrides), config_name, hydra_config=True)
    except (HydraException, OmegaConfBaseException, ValueError):
        return {}
    found: dict[str, set[str]] = {}
    for choice in config.hydra.runtime.choices:
        group, _, package = str(choice).partition("@")
        found.setdefault(group, set()).add(package)
    return found


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _groups(folder: Path) -> set[str]:
    """Return the names of the groups, without those of a job that has its own folder."""
    found = {one.relative_to(folder) for one in folder.rglob("*") if one.is_dir()}
    return {str(one) for one in found if job_folder(folder, one.parts[0]) == folder}


def _without_values(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose the choices of groups alone. Return an empty configuration if this fails."""
    try:
        return compose_with_hydra(_choices(config_name, overrides), config_name)
    except (HydraException, OmegaConfBaseException, ValueError):
        return OmegaConf.create()


def _choices(config_name: str, overrides: Sequence[str]) -> list[str]:
    """Return the overrides that choose an option of a group, in a package or not."""
    names = ((one, re.split("[@=]", one.lstrip("+~"))[0]) for one in overrides)
    return [one for one, name in names if name and (_folder(config_name) / name).is_dir()]


def _named(override: str) -> bool:
    """Return whether the value of an override is a text or a list, as that of a group is."""
    return isinstance(OverridesParser.create().parse_override(override).value(), str | list)


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
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise explain_hydra_error(error, config_name, overrides) from None
