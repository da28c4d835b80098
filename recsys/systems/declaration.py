"""What the class of a system declares: the metric that chooses its weights, and the kind of artifact it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from recsys.errors import ConfigurationError
from recsys.types.artifact_kind import ArtifactKind


@dataclass(frozen=True)
class Declaration:
    """The attributes `monitor`, `mode` and `artifact` of a system: of its class, or of itself where a part decides.

    Args:
        monitor: name of the validation metric that chooses the weights, as the system logs it.
        mode: whether the metric is better when larger (`max`) or smaller (`min`).
        artifact: kind of what its training leaves.
    """

    monitor: str
    mode: Literal["min", "max"]
    artifact: ArtifactKind


def declaration(system: Any) -> Declaration:
    """Return what a system declares.

    Raises:
        ConfigurationError: one of the attributes is missing or has another value.
    """
    monitor, mode, artifact = (getattr(system, name, None) for name in ("monitor", "mode", "artifact"))
    name = type(system).__name__
    if not isinstance(monitor, str):
        raise ConfigurationError(f'{name}: the class declares its validation metric, monitor = "validation/…"')
    if mode not in ("min", "max"):
        raise ConfigurationError(f'{name}: the class declares mode = "max" or "min" of {monitor}, found {mode!r}')
    if artifact not in list(ArtifactKind):
        kinds = ", ".join(ArtifactKind)
        raise ConfigurationError(f"{name}: the class declares the kind of its artifact, found {artifact!r}; {kinds}")
    return Declaration(monitor, mode, ArtifactKind(artifact))
