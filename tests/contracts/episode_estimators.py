"""The estimators of episodes that `test_estimator.py` holds to the contract, over every log of small worlds.

`MAGIC` is none of them: it chooses a mixture from totals and products, and the mixture is the estimator that is held
to the contract (`BlendedReturns`).
"""

from __future__ import annotations

from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.episodes.doubly_robust import SequentialDM, SequentialDR, WeightedDoublyRobust
from recsys.replay.episodes.importance import PerDecisionIPS, PerDecisionSNIPS, TrajectoryWise
from recsys.replay.episodes.magic import BlendedReturns
from tests.contracts.estimators import Case, World, register
from tests.replay.episodes import worlds

HORIZON, DISCOUNT = 2, 0.7


def episodes(*, model: bool | None = None, only: int | None = None) -> World:
    """Two states, two actions, at most two steps.

    Args:
        model: whether the predictions of a model are right; None without predictions.
        only: the one action that the log has in the second state.
    """
    found = worlds.listed(HORIZON, only=only)
    if model is not None:
        found = worlds.modelled(found, worlds.worth(DISCOUNT, HORIZON)[0] if model else worlds.wrong(HORIZON))
    return World(found.episodes, found.probability, worlds.truth(DISCOUNT, HORIZON))


MODELLED = ("predicted", "expected")


@register
def trajectory_ips() -> Case:
    return Case(TrajectoryWise(IPS(), DISCOUNT), episodes(), episodes(only=1), unbiased=True)


@register
def trajectory_snips() -> Case:
    return Case(TrajectoryWise(SNIPS(), DISCOUNT), episodes(), episodes(only=1), unbiased=False)


@register
def per_decision_ips() -> Case:
    return Case(PerDecisionIPS(DISCOUNT), episodes(), episodes(only=1), unbiased=True)


@register
def per_decision_snips() -> Case:
    return Case(PerDecisionSNIPS(HORIZON, DISCOUNT), episodes(), episodes(only=1), unbiased=False)


@register
def sequential_dm() -> Case:
    world, broken = episodes(model=True, only=1), episodes(model=False)
    return Case(SequentialDM(DISCOUNT), world, broken, unbiased=True, needs=MODELLED)


@register
def sequential_dr() -> Case:
    world, broken = episodes(model=False), episodes(model=False, only=1)
    return Case(SequentialDR(DISCOUNT), world, broken, unbiased=True, needs=MODELLED)


@register
def sequential_dr_of_a_right_model() -> Case:
    return Case(SequentialDR(DISCOUNT), episodes(model=True, only=1), episodes(model=False, only=1), unbiased=True)


@register
def sequential_sndr() -> Case:
    world, broken = episodes(model=False), episodes(model=False, only=1)
    return Case(WeightedDoublyRobust(HORIZON, DISCOUNT), world, broken, unbiased=False, needs=MODELLED)


@register
def a_mixture_of_magic() -> Case:
    mixture = BlendedReturns((0.0, 0.5, 0.5), DISCOUNT)
    world, broken = episodes(model=True), episodes(model=False)
    return Case(mixture, world, broken, unbiased=True, needs=MODELLED)
