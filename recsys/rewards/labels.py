"""Labels of logged slates, made from their feedback: what a reward model learns to predict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.errors import ConfigurationError, DataError
from recsys.ranges import at_least, within
from recsys.types.example import Example


@runtime_checkable
class Label(Protocol):
    """A number in [0, 1] for each logged slate; more is better, unless a reward gives it a negative weight."""

    def __call__(self, example: Example) -> Float[Tensor, " B"]:
        """Return the labels of the logged slates, one a request."""
        ...


def check_labels(labels: Mapping[str, Label], examples: Iterable[Example]) -> None:
    """Refuse a label that is the same for all examples, which no model can learn.

    Examples are read until every label has two values.

    Args:
        labels: by name.
        examples: the training part, batch after batch.

    Raises:
        LabelError: a label has one value, is outside [0, 1], or cannot be made of the feedback.
    """
    values: dict[str, set[float]] = {name: set() for name in labels}
    count = 0
    for batch in examples:
        count += len(batch)
        for name in (one for one in labels if len(values[one]) < 2):
            try:
                found = labels[name](batch)
            except DataError as error:
                raise LabelError(name, str(error)) from error
            if not bool(((found >= 0) & (found <= 1)).all()):
                raise LabelError(name, f"{type(labels[name]).__name__} gives values outside [0, 1]; correct it")
            values[name].update(found.unique().tolist())
        if all(len(one) > 1 for one in values.values()):
            return
    for name, found in values.items():
        if len(found) < 2:
            told = f"it is {next(iter(found)):g} in all {count:,} training slates" if found else "there is no slate"
            raise LabelError(
                name,
                f"{told}, and a reward model cannot learn what never differs. Leave the head out (~labels.{name}), or "
                "choose another channel, threshold or least number of slots",
            )


class LabelError(DataError):
    """A label cannot be learned.

    Args:
        label: its name.
        problem: what is wrong with it.
    """

    def __init__(self, label: str, problem: str) -> None:
        super().__init__(f"label {label!r}: {problem}")
        self.label = label
        self.problem = problem


@dataclass(frozen=True)
class SlotShare(Label):
    """The share of the slots of a slate with a value above a threshold: `y = (1/S) Σ_s 1[v_s > threshold]`.

    With `least`, the label is `1` if at least so many slots are, else `0`. Empty slots count as not above.

    Args:
        channel: with one number a slot.
        threshold: in the unit of the channel, such as 7 for watch time in seconds.
        least: number of slots from which the label is 1; None keeps the share.

    Raises:
        ConfigurationError: `threshold` is not finite, or `least` is below 1.
    """

    channel: str
    threshold: float = 0.0
    least: int | None = None

    def __post_init__(self) -> None:
        within(-1e30, 1e30, threshold=self.threshold)
        if self.least is not None:
            at_least(1, least=self.least)

    def __call__(self, example: Example) -> Float[Tensor, " B"]:
        """See the class.

        Raises:
            DataError: the feedback has no such channel, or one number a slate.
        """
        channels = example.feedback.channels
        if self.channel not in channels:
            raise DataError(
                f"no feedback {self.channel!r} to make a label of; found {', '.join(sorted(channels)) or 'none'}. "
                "Name one of these, or bring its column"
            )
        value = channels[self.channel].value
        if value.ndim != 3:
            raise DataError(f"the feedback {self.channel!r} has one number a slate, expected one a slot")
        above = (value[:, 0] > self.threshold) & (example.slates.items[:, 0] >= 0)
        if self.least is not None:
            return (above.sum(-1) >= self.least).to(value.dtype)
        return above.to(value.dtype).mean(-1)


@dataclass(frozen=True)
class MeanLabel(Label):
    """The weighted mean of labels, `Σ_t w_t y_t / Σ_t w_t`: one label for several kinds of feedback.

    Cross-entropy against it is `Σ_t w_t BCE(y_t, p) / Σ_t w_t`, whatever the labels: one scalar `p` that is trained
    against all of them, the P-score of the OneRec Technical Report (arXiv 2506.13695, §4.1). A label with a negative
    weight is unwanted: with `|w_t|`, it counts by its absence, `1 − y_t`.

    Args:
        labels: at least one, by name.
        weights: of labels by name, finite and not all 0; None weighs all labels 1. Labels that it does not name are
            left out.

    Raises:
        ConfigurationError: there is no label, a weight is not finite, all are 0, or one names no label.
    """

    labels: Mapping[str, Label]
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        weights = dict.fromkeys(self.labels, 1.0) if self.weights is None else dict(self.weights)
        if not any(weights.values()) or not all(abs(value) < float("inf") for value in weights.values()):
            raise ConfigurationError(
                f"weights={weights}: expected a finite number for each of one or more labels, not all of them 0"
            )
        for name in weights:
            if name not in self.labels:
                raise ConfigurationError(f"weights: there is no label {name!r}; there are {', '.join(self.labels)}")
        object.__setattr__(self, "weights", weights)

    def __call__(self, example: Example) -> Float[Tensor, " B"]:
        """See the class."""
        assert self.weights is not None
        # In float64, so that rounding takes no mean of ones above 1.
        total = torch.zeros(len(example), dtype=torch.float64, device=example.slates.items.device)
        for name, weight in self.weights.items():
            value = self.labels[name](example).double()
            total = total + abs(weight) * (value if weight > 0 else 1 - value)
        return (total / sum(map(abs, self.weights.values()))).to(torch.get_default_dtype())
