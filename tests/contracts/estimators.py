"""The estimators that `test_estimator.py` holds to the contract. Add one: a function that returns its `Case`, under
`@register`.

A `World` lists everything that one unit of a log (a round, a slate, an episode) can be: a batch of the estimator's type
with one row each, the probability of each row, and what the target policy truly earns. A `Case` is an estimator,
a world in which its assumption holds and one in which it does not:

    @register
    def my_estimator() -> Case:
        return Case(MyEstimator(), good_world(), bad_world(), unbiased=True, needs=("target_prefix",))

Worlds of single actions and their estimators stand here, those of slates in `slate_estimators.py`, those of episodes in
`episode_estimators.py`. Worlds have a few thousand rows at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.cressie_read import CressieRead
from recsys.replay.actions.doubly_robust import DM, DR, MRDR, SNDR
from recsys.replay.actions.importance import IPS, SNIPS, RejectionSampling
from recsys.replay.actions.marginal import MarginalWeights
from recsys.replay.actions.weights import Clip, EstimatedWeights, Shrink, SubGaussian, Switch
from recsys.replay.estimator import Estimator


@dataclass(frozen=True)
class World:
    """A small world, written out.

    Args:
        units: a batch, one row for everything that a unit of the log can be.
        probability: `[m]`, of each row, above 0; they sum to 1.
        truth: what the target policy earns a unit.
    """

    units: Any
    probability: Tensor
    truth: float


@dataclass(frozen=True)
class Case:
    """An estimator and what it promises.

    Args:
        estimator: to be held to the contract.
        world: its assumption holds.
        broken: it does not.
        unbiased: whether the mean over logs of two units is the truth; else only what ever longer logs tend to.
        needs: fields of the batch that may be None and must not be.
        homogeneous: whether the value is the same for sums multiplied alike; else only in the limit of long logs.
    """

    estimator: Estimator[Any]
    world: World
    broken: World
    unbiased: bool
    needs: tuple[str, ...] = ()
    homogeneous: bool = True


CASES: dict[str, Callable[[], Case]] = {}


def register(make: Callable[[], Case]) -> Callable[[], Case]:
    """Hold the estimator of what `make` returns to the contract, under the function's name."""
    assert make.__name__ not in CASES
    CASES[make.__name__] = make
    return make


def select(batch: Any, rows: Tensor) -> Any:
    """Some rows of a batch, a dataclass of tensors, of things that have `select`, and of what is the same for all."""

    def chosen(part: Any) -> Any:
        if isinstance(part, Tensor):
            return part[rows]
        return part.select(rows) if hasattr(part, "select") else part

    return replace(batch, **{field.name: chosen(getattr(batch, field.name)) for field in fields(batch)})


exact = partial(torch.tensor, dtype=torch.float64)

CONTEXTS = exact([0.4, 0.6])
LOGGING = exact([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]])
TARGET = exact([[0.2, 0.2, 0.6], [0.3, 0.6, 0.1]])
MEANS = exact([[0.1, 0.5, 0.9], [0.8, 0.3, 0.4]])
WRONG = exact([[0.7, 0.2, 0.3], [0.1, 0.9, 0.5]])
NO_SUPPORT = exact([[0.5, 0.5, 0.0], [0.1, 0.3, 0.6]])
RARELY = exact([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]])
CLUSTERS = (0, 1, 1)
ALIKE = exact([[0.1, 0.5, 0.5], [0.8, 0.3, 0.3]])


def rounds(
    logging: Tensor = LOGGING, target: Tensor = TARGET, means: Tensor = MEANS, predicted: Tensor = WRONG
) -> World:
    """Two contexts, three actions, rewards of 0 and 1."""
    context, action, reward = (grid.flatten() for grid in torch.meshgrid(*map(torch.arange, (2, 3, 2)), indexing="ij"))
    chance = torch.where(reward == 1, means[context, action], 1 - means[context, action])
    probability = CONTEXTS[context] * logging[context, action] * chance
    units = BanditBatch(
        action,
        reward.double(),
        logging[context, action],
        target[context, action],
        logging_all=logging[context],
        target_all=target[context],
        predicted_all=predicted[context],
        mrdr_all=predicted[context],
        estimated_weight=(target / logging)[context, action],
    )
    possible = probability > 0
    truth = float(CONTEXTS @ (target * means).sum(1))
    return World(select(units, possible), probability[possible], truth)


def misjudged(world: World) -> World:
    """With estimated weights that are twice as large where they are above 1."""
    weight = world.units.estimated_weight
    return replace(world, units=replace(world.units, estimated_weight=weight * (1 + (weight > 1))))


def uniform(logging: Tensor) -> World:
    """One and the same action in each context, judged from a log that says nothing of other actions."""
    world = rounds(logging, exact([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    return replace(world, units=replace(world.units, logging_all=None, target_all=None))


@register
def ips() -> Case:
    return Case(IPS(), rounds(), rounds(NO_SUPPORT), unbiased=True)


@register
def snips() -> Case:
    return Case(SNIPS(), rounds(), rounds(NO_SUPPORT), unbiased=False)


@register
def clipped_ips() -> Case:
    return Case(IPS(Clip(3.0)), rounds(), rounds(RARELY), unbiased=True)


@register
def dm() -> Case:
    needs = ("predicted_all", "target_all")
    return Case(DM(), rounds(NO_SUPPORT, predicted=MEANS), rounds(predicted=WRONG), unbiased=True, needs=needs)


@register
def dr() -> Case:
    needs = ("predicted_all", "target_all")
    return Case(DR(), rounds(), rounds(NO_SUPPORT), unbiased=True, needs=needs)


@register
def dr_of_a_right_model() -> Case:
    return Case(DR(), rounds(NO_SUPPORT, predicted=MEANS), rounds(NO_SUPPORT), unbiased=True)


@register
def sndr() -> Case:
    needs = ("predicted_all", "target_all")
    return Case(SNDR(), rounds(), rounds(NO_SUPPORT), unbiased=False, needs=needs)


@register
def switch_dr() -> Case:
    return Case(DR(Switch(1.0)), rounds(predicted=MEANS), rounds(), unbiased=True, needs=("predicted_all",))


@register
def dros() -> Case:
    return Case(DR(Shrink(2.0)), rounds(predicted=MEANS), rounds(), unbiased=True, needs=("predicted_all",))


@register
def sub_gaussian() -> Case:
    """Exact where the policies are the same, and no weight is other than 1."""
    return Case(IPS(SubGaussian(0.2)), rounds(TARGET), rounds(), unbiased=True)


@register
def sub_gaussian_dr() -> Case:
    return Case(DR(SubGaussian(0.2)), rounds(predicted=MEANS), rounds(), unbiased=True)


@register
def mrdr() -> Case:
    return Case(MRDR(), rounds(), rounds(NO_SUPPORT), unbiased=True, needs=("mrdr_all", "target_all"))


@register
def replay() -> Case:
    two_of_three = exact([[0.5, 0.5, 0.0]] * 2)
    return Case(RejectionSampling(), uniform(exact([[1 / 3] * 3] * 2)), uniform(two_of_three), unbiased=False)


@register
def mips() -> Case:
    """An action of the second cluster has no support, and another of it has."""
    needs = ("logging_all", "target_all")
    return Case(IPS(MarginalWeights(CLUSTERS)), rounds(NO_SUPPORT, means=ALIKE), rounds(), unbiased=True, needs=needs)


@register
def sn_mips() -> Case:
    needs = ("logging_all", "target_all")
    return Case(
        SNIPS(MarginalWeights(CLUSTERS)), rounds(NO_SUPPORT, means=ALIKE), rounds(), unbiased=False, needs=needs
    )


@register
def offcem() -> Case:
    """The model is wrong by as much for all actions of a cluster."""
    level = exact([[0.3, -0.2, -0.2], [0.1, 0.4, 0.4]])
    needs = ("logging_all", "target_all", "predicted_all")
    world = rounds(NO_SUPPORT, predicted=MEANS + level)
    return Case(DR(MarginalWeights(CLUSTERS)), world, rounds(NO_SUPPORT), unbiased=True, needs=needs)


@register
def balanced_ips() -> Case:
    return Case(IPS(EstimatedWeights()), rounds(), misjudged(rounds()), unbiased=True, needs=("estimated_weight",))


@register
def cressie_read() -> Case:
    estimator = CressieRead(highest=3.0)
    return Case(estimator, rounds(), rounds(NO_SUPPORT), unbiased=False, homogeneous=False)


@register
def cressie_read_of_any_weight() -> Case:
    return Case(CressieRead(), rounds(), rounds(NO_SUPPORT), unbiased=False, homogeneous=False)
