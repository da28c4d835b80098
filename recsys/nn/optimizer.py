"""Make an optimizer from a configured function, and refuse numbers that no optimizer can work with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from recsys.errors import ConfigurationError
from recsys.ranges import at_least

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def make_optimizer(factory: OptimizerFactory, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer of some parameters.

    Args:
        factory: makes it; a class of `torch.optim` with some of its arguments (`functools.partial`) will do.
        parameters: what it moves.

    Raises:
        ConfigurationError: a number is below 0 or not finite, such as the learning rate; whatever
            a factory of another kind makes is checked in the same way after it is made.

    >>> from functools import partial
    >>> make_optimizer(partial(torch.optim.SGD, lr=float("inf")), [nn.Parameter(torch.ones(1))])
    Traceback (most recent call last):
    recsys.ranges.RangeError: lr=inf: expected at least 0
    """
    check_optimizer_options(getattr(factory, "kwargs", None) or getattr(factory, "keywords", None) or {})
    optimizer = factory(parameters)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigurationError(f"expected a function that makes an optimizer, it made a {type(optimizer).__name__}")
    for group in optimizer.param_groups:
        check_optimizer_options(group)
    return optimizer


def check_optimizer_options(options: Mapping[str, object]) -> None:
    """Refuse numbers below 0, and numbers that are not finite; with a learning rate of 0 nothing moves.

    Args:
        options: arguments of an optimizer, by name; what is no number is not looked at.

    Raises:
        RangeError: it names the option and the range.
    """
    for name, value in options.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            at_least(0, **{name: value})
