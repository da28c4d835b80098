"""The estimators of slates that `test_estimator.py` holds to the contract, over every log of small worlds."""

from __future__ import annotations

from dataclasses import replace

from recsys.replay.slates.cascade import CascadeDR, SelfNormalisedCascadeDR
from recsys.replay.slates.importance import ControlVariate, SlateIPS, SlateSNIPS
from recsys.replay.slates.weights import PositionBasedWeights, PrefixWeights, PseudoInverse, SlotWeights
from tests.contracts.estimators import Case, World, register, select
from tests.replay.slates import worlds

SLOTS = 2
EXAMINATION = worlds.EXAMINATION[:SLOTS]


def slates(earns: str, *, model: bool | None = None, never: int | None = None) -> World:
    """Three requests, slates of two of three items without repeats.

    Args:
        earns: how rewards depend on the slate; see `tests.replay.slates.worlds.world`.
        model: whether the predictions of a model are right; None without predictions.
        never: an item that the log never shows in the first slot.
    """
    made = worlds.world(earns, num_items=3, slots=SLOTS)
    if never is not None:
        for request, chances in enumerate(made.logging):
            shown = {slate: chance * (slate[0] != never) for slate, chance in chances.items()}
            made.logging[request] = {slate: chance / sum(shown.values()) for slate, chance in shown.items()}
    rounds, probability = made.rows()
    if model is not None:
        rounds = worlds.by_prefix(made, rounds, model)
    possible = probability > 0
    return World(select(rounds, possible), probability[possible], made.truth)


def one_reward_a_slate(world: World) -> World:
    """The same, of a log that does not say which slot earned."""
    return replace(world, units=replace(world.units, by_slot=False))


@register
def slate_ips() -> Case:
    return Case(SlateIPS(), one_reward_a_slate(slates("anything")), slates("anything", never=2), unbiased=True)


@register
def slate_snips() -> Case:
    return Case(SlateSNIPS(), one_reward_a_slate(slates("anything")), slates("anything", never=2), unbiased=False)


PREFIXES = ("target_prefix", "logging_prefix")


@register
def reward_interaction() -> Case:
    world, broken = slates("cascade"), slates("anything")
    return Case(SlateIPS(PrefixWeights()), world, broken, unbiased=True, needs=PREFIXES)


@register
def sn_reward_interaction() -> Case:
    world, broken = slates("cascade"), slates("anything")
    return Case(SlateSNIPS(PrefixWeights()), world, broken, unbiased=False, needs=PREFIXES)


@register
def independent() -> Case:
    return Case(SlateIPS(SlotWeights()), slates("alone"), slates("cascade"), unbiased=True)


@register
def sn_independent() -> Case:
    return Case(SlateSNIPS(SlotWeights()), slates("alone"), slates("cascade"), unbiased=False)


@register
def position_based() -> Case:
    estimator, needs = SlateIPS(PositionBasedWeights(EXAMINATION)), ("target_at", "logging_at")
    return Case(estimator, slates("position"), slates("alone"), unbiased=True, needs=needs)


@register
def pseudo_inverse() -> Case:
    world, broken = slates("sum"), slates("sum", never=2)
    return Case(SlateIPS(PseudoInverse()), world, broken, unbiased=True, needs=("pseudo_inverse",))


@register
def sn_pseudo_inverse() -> Case:
    world, broken = slates("sum"), slates("sum", never=2)
    return Case(SlateSNIPS(PseudoInverse()), world, broken, unbiased=False, needs=("pseudo_inverse",))


@register
def pseudo_inverse_control() -> Case:
    world, broken = slates("sum"), slates("sum", never=2)
    return Case(ControlVariate(PseudoInverse()), world, broken, unbiased=False, needs=("pseudo_inverse",))


MODELLED = (*PREFIXES, "predicted", "expected")


@register
def cascade_dr() -> Case:
    """With a wrong model; slots are seen from the top."""
    world, broken = slates("cascade", model=False), slates("anything", model=False)
    return Case(CascadeDR(), world, broken, unbiased=True, needs=MODELLED)


@register
def sn_cascade_dr() -> Case:
    world, broken = slates("cascade", model=False), slates("anything", model=False)
    return Case(SelfNormalisedCascadeDR(), world, broken, unbiased=False, needs=MODELLED)
