"""A weighted sum of objectives."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.objective import Loss, Objective
from recsys.ranges import finite
from recsys.types.rollout import Rollout


def mixture(rollout: Rollout, *, objectives: Mapping[str, Objective], weights: Mapping[str, float]) -> Loss:
    """`Σ_m w_m · loss_m`, each part's value and diagnostics under `<name>/…`.

    Bias: gradients add up, so that the mixture has its parts' bias, each by its weight.

    Args:
        rollout: what every part is given.
        objectives: the parts by name; `{reward: grpo, next_item: cross_entropy}` with weights `{1, .3}` mixes next-item
            training in (docs/log.md).
        weights: a number for each part.

    Raises:
        ConfigurationError: there is no part, or the two name different parts.
    """
    if not objectives or set(objectives) != set(weights):
        raise ConfigurationError(
            f"objectives name {sorted(objectives)} and weights name {sorted(weights)}: give each objective one weight, "
            "and at least one objective"
        )
    finite(**{f"weights.{name}": weight for name, weight in weights.items()})
    diagnostics: dict[str, Tensor] = {}
    values = []
    for name, objective in objectives.items():
        part = objective(rollout)
        values.append(weights[name] * part.value)
        diagnostics[f"{name}/loss"] = part.value.detach()
        diagnostics |= {f"{name}/{key}": value for key, value in part.diagnostics.items()}
    return Loss(torch.stack(values).sum(), diagnostics)
