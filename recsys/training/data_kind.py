"""Which kind of data a run prepares, and whether its evaluation and its report read that kind."""

from __future__ import annotations

import inspect
from typing import get_type_hints

from omegaconf import DictConfig

from recsys.config.signature import locate
from recsys.config.type_check import describe
from recsys.errors import ConfigurationError


def prepared_kind(config: DictConfig) -> type | None:
    """Return the class of what `data` prepares; None where it is not known.

    Args:
        config: of the run.
    """
    preparation = config.get("data")
    if not isinstance(preparation, DictConfig) or "_target_" not in preparation:
        return None
    target = locate("data._target_", preparation["_target_"])
    kind = get_type_hints(target.prepare).get("return") if hasattr(target, "prepare") else None
    return kind if inspect.isclass(kind) else None


def check_reads(key: str, part: DictConfig, config: DictConfig) -> None:
    """Refuse a part that reads other data than the run prepares, which its class says as `reads`.

    Args:
        key: of the part, for the message.
        part: an evaluation, or a section of the report.
        config: of the run.

    Raises:
        ConfigurationError: it names the part, what it reads and what is prepared.
    """
    reads, kind = getattr(locate(f"{key}._target_", part["_target_"]), "reads", None), prepared_kind(config)
    if reads is not None and kind is not None and not issubclass(kind, reads):
        raise ConfigurationError(
            f"{key}: {part['_target_']} reads {describe(reads)}, `data` prepares {describe(kind)}; choose `data`, "
            "`evaluation` and `report` of one kind"
        )
