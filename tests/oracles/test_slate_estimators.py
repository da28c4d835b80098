"""Slate estimators over every log of small worlds: unbiased where their assumption holds, biased where it does not."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from recsys.replay.estimator import Estimator
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.slates.batch import SlateBatch
from recsys.replay.slates.cascade import CascadeDR, SelfNormalisedCascadeDR
from recsys.replay.slates.importance import ControlVariate, SlateIPS, SlateSNIPS
from recsys.replay.slates.weights import (
    PositionBasedWeights,
    PrefixWeights,
    PseudoInverse,
    SlateWeights,
    SlotWeights,
    WholeSlateWeights,
)
from recsys.replay.sums import Sums
from tests.replay.slates.worlds import EXAMINATION, World, by_prefix, world

EARNS = ("alone", "position", "cascade", "sum", "anything")
LOGS = {"no repeats": ("arbitrary", False), "repeats": ("arbitrary", True), "factorised": ("factorised", True)}
RIGHT: dict[SlateWeights, set[str]] = {
    WholeSlateWeights(): set(EARNS),
    PrefixWeights(): {"alone", "position", "cascade"},
    SlotWeights(): {"alone", "position"},
    PositionBasedWeights(EXAMINATION): {"position"},
    PseudoInverse(): {"alone", "position", "sum"},
}
"""In which worlds each kind of weight is right."""


@cache
def enumerated(earns: str, logs: str, repeats: bool = False) -> tuple[World, SlateBatch, Tensor]:
    made = world(earns, logs, repeats=repeats)
    return made, *made.rows()


def expected(estimator: Estimator[SlateBatch], rounds: SlateBatch, probability: Tensor) -> float:
    """The value at expected sums: the expectation where the value is linear in them, the limit where it is not."""
    return float(estimator.value(probability @ estimator.terms(rounds)))


def test_worlds_are_distributions() -> None:
    for logs, repeats in LOGS.values():
        made, rounds, probability = enumerated("anything", logs, repeats)
        assert probability.sum().item() == pytest.approx(1)
        assert float(probability @ rounds.reward.sum(-1)) == pytest.approx(made.logged)
        assert abs(made.logged - made.truth) > 0.01
        for side in ("logging", "target"):
            whole, prefix = getattr(rounds, side), getattr(rounds, f"{side}_prefix")
            assert torch.allclose(whole, prefix.prod(-1))
            assert torch.allclose(
                getattr(rounds, f"{side}_at").diagonal(dim1=1, dim2=2), getattr(rounds, f"{side}_slot")
            )


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("earns", EARNS)
@pytest.mark.parametrize("weights", RIGHT, ids=lambda weights: type(weights).__name__)
def test_unbiased_under_the_assumption_and_only_there(weights: SlateWeights, earns: str, log: str) -> None:
    made, rounds, probability = enumerated(earns, *LOGS[log])
    right = earns in RIGHT[weights]
    for estimator in (SlateIPS(weights), SlateSNIPS(weights), ControlVariate(weights)):
        bias = expected(estimator, rounds, probability) - made.truth
        assert abs(bias) < 1e-10 if right else abs(bias) > 1e-3, (estimator, bias)
    control = weights.control(rounds, weights(rounds))
    assert torch.allclose(probability @ control, torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("log", LOGS)
def test_the_bias_of_slot_weights_is_what_other_slots_do_to_the_reward(log: str) -> None:
    made, rounds, probability = enumerated("cascade", *LOGS[log])
    bias = 0.0
    for request, slates in enumerate(made.slates):
        for slot in range(made.slots - (request == 2)):
            for item in range(made.num_items):
                here = [slate for slate in slates if slate[slot] == item]
                target, logging = ([policy[request][slate] for slate in here] for policy in (made.target, made.logging))
                earned = [made.mean[request][slate][slot] for slate in here]
                logged = sum(p * r for p, r in zip(logging, earned, strict=True)) / sum(logging)
                bias += sum(target) * logged - sum(p * r for p, r in zip(target, earned, strict=True))
    assert expected(SlateIPS(SlotWeights()), rounds, probability) - made.truth == pytest.approx(bias / 3)


@pytest.mark.parametrize("earns", ["alone", "position", "sum"])
def test_the_pseudo_inverse_is_a_sum_over_slots_only_where_they_are_drawn_on_their_own(earns: str) -> None:
    """Of slot weights, less `S − 1`: elsewhere that sum is biased, and the pseudo-inverse is not."""
    _, rounds, _ = enumerated(earns, "factorised", True)
    assert torch.allclose(PseudoInverse()(rounds)[:, 0], 1 + (rounds.slot_ratio - 1).sum(-1))
    unlike = {("arbitrary", False): 1e-3, ("ranked", False): 1e-3, ("uniform", False): 1e-3, ("arbitrary", True): 1e-4}
    for (logs, repeats), least in unlike.items():
        made, rounds, probability = enumerated(earns, logs, repeats)
        assert expected(SlateIPS(PseudoInverse()), rounds, probability) == pytest.approx(made.truth, abs=1e-10)
        summed = (1 + (rounds.slot_ratio - 1).sum(-1)) * rounds.reward.sum(-1)
        assert abs(float(probability @ summed) - made.truth) > least


@pytest.mark.parametrize("repeats", [False, True])
def test_independent_marginals_in_place_of_joint_ones_say_the_logging_value_of_every_policy(repeats: bool) -> None:
    made, rounds, probability = enumerated("sum", "uniform", repeats)
    request = torch.arange(3).tolist()
    logging, target = (
        made.distribution(policy, request).marginals(made.num_items) for policy in (made.logging, made.target)
    )
    wrong = torch.linalg.pinv(logging.unsqueeze(2) * logging.unsqueeze(1), hermitian=True)
    pull = torch.einsum("bd,bde->be", target, wrong)
    value = sum(
        made.logging[at][slate] * sum(float(pull[at, slot * 4 + item]) for slot, item in enumerate(slate) if item >= 0)
        * sum(made.mean[at][slate])
        for at in request
        for slate in made.slates[at]
    ) / 3  # fmt: skip
    assert value == pytest.approx(made.logged)
    assert abs(value - made.truth) > 0.01
    assert expected(SlateIPS(PseudoInverse()), rounds, probability) == pytest.approx(made.truth, abs=1e-10)


def test_what_the_log_never_shows_at_a_slot_the_pseudo_inverse_does_not_see() -> None:
    made = world("sum", "uniform")
    for chances in made.logging:
        for slate in [slate for slate in chances if slate[0] == 3]:
            chances[slate] = 0.0
        total = sum(chances.values())
        chances.update({slate: chance / total for slate, chance in chances.items()})
    rounds, probability = made.rows()
    bias = float(probability[probability > 0] @ (rounds.pseudo_inverse * rounds.reward.sum(-1))[probability > 0])
    assert abs(bias - made.truth) > 1e-3


def variance(estimator: Estimator[SlateBatch], rounds: SlateBatch, probability: Tensor) -> float:
    """Of the estimate times the number of slates, to first order, as the closed form of an interval has it."""
    terms = estimator.terms(rounds)
    totals = (probability @ terms).requires_grad_()
    [gradient] = torch.autograd.grad(estimator.value(totals), totals)
    return float(probability @ (terms @ gradient).square())


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("right", [True, False])
def test_cascade_dr_is_unbiased_in_a_cascade_whatever_the_model(log: str, right: bool) -> None:
    for earns in ("cascade", "anything"):
        made, rounds, probability = enumerated(earns, *LOGS[log])
        modelled = by_prefix(made, rounds, right)
        for estimator in (CascadeDR(), SelfNormalisedCascadeDR()):
            bias = expected(estimator, modelled, probability) - made.truth
            assert abs(bias) < 1e-10 if earns == "cascade" else abs(bias) > 1e-3
        if right and earns == "cascade":
            weighed = variance(SlateIPS(PrefixWeights()), rounds, probability)
            assert variance(CascadeDR(), modelled, probability) < 0.7 * weighed


def test_cascade_dr_without_a_model_weighs_prefixes() -> None:
    _, rounds, probability = enumerated("anything", "arbitrary")
    zero = torch.zeros_like(rounds.reward)
    blank = SlateBatch(
        rounds.items,
        rounds.reward,
        logging_prefix=rounds.logging_prefix,
        target_prefix=rounds.target_prefix,
        predicted=zero,
        expected=zero,
    )
    for modelled, weighed in (
        (CascadeDR(), SlateIPS(PrefixWeights())),
        (SelfNormalisedCascadeDR(), SlateSNIPS(PrefixWeights())),
    ):
        assert expected(modelled, blank, probability) == pytest.approx(expected(weighed, rounds, probability))


def test_a_control_variate_takes_from_the_variance_what_the_weights_explain() -> None:
    for logs, repeats in LOGS.values():
        made, rounds, probability = enumerated("sum", logs, repeats)
        weight, earned = rounds.pseudo_inverse, rounds.pseudo_inverse * rounds.reward.sum(-1)
        spread = [weight - 1, earned - made.truth]
        (own, both), (_, all_) = ([float(probability @ (a * b)) for b in spread] for a in spread)
        plain, controlled, normalised = (
            variance(kind(PseudoInverse()), rounds, probability) for kind in (SlateIPS, ControlVariate, SlateSNIPS)
        )
        assert plain == pytest.approx(all_)
        assert controlled == pytest.approx(all_ - both**2 / own)
        assert controlled < 0.95 * plain and controlled <= normalised


@pytest.mark.parametrize(
    "weights", [WholeSlateWeights(), SlotWeights(), PseudoInverse()], ids=lambda weights: type(weights).__name__
)
def test_over_every_log_of_two_slates_only_the_plain_estimator_is_unbiased(weights: SlateWeights) -> None:
    made = world("alone", num_items=3, slots=2)
    rounds, probability = made.rows()
    chance = probability.unsqueeze(0) * probability.unsqueeze(1)

    def mean(estimator: Estimator[SlateBatch]) -> float:
        terms = estimator.terms(rounds)
        return float((chance * estimator.value(terms.unsqueeze(0) + terms.unsqueeze(1))).sum())

    assert mean(SlateIPS(weights)) == pytest.approx(made.truth, abs=1e-10)
    for estimator in (SlateSNIPS(weights), ControlVariate(weights)):
        assert abs(mean(estimator) - made.truth) > 1e-3


@pytest.mark.parametrize(
    "estimator",
    [
        SlateIPS(PrefixWeights()),
        SlateSNIPS(SlotWeights()),
        ControlVariate(),
        SlateIPS(PositionBasedWeights(EXAMINATION)),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_sums_of_parts_merge_to_those_of_the_whole(estimator: Estimator[SlateBatch]) -> None:
    _, rounds, _ = enumerated("anything", "arbitrary")
    terms = estimator.terms(rounds)
    whole, merged = Sums.of(terms), Sums.of(terms[:70]) + Sums.of(terms[70:])
    assert merged.units == whole.units == len(rounds)
    assert torch.allclose(merged.totals, whole.totals) and torch.allclose(merged.products, whole.products)
    first, second = closed_form(estimator, whole), closed_form(estimator, merged)
    assert first.value == pytest.approx(second.value) and first.low == pytest.approx(second.low)
    assert torch.allclose(estimator.value(7 * whole.totals), estimator.value(whole.totals))
    assert torch.allclose(estimator.value(torch.stack([whole.totals] * 2)), estimator.value(whole.totals))


@pytest.mark.parametrize(
    "estimator",
    [
        SlateIPS(PrefixWeights()),
        SlateSNIPS(SlotWeights()),
        SlateIPS(PseudoInverse()),
        SlateSNIPS(PseudoInverse()),
        ControlVariate(),
    ],
    ids=repr,
)
def test_intervals_cover_what_they_say(estimator: Estimator[SlateBatch]) -> None:
    """1,000 logs of 1,000 slates: 95 % within two standard errors of the count."""
    made, rounds, probability = enumerated("alone", "arbitrary")
    terms, generator = estimator.terms(rounds), torch.Generator().manual_seed(0)
    logs = torch.multinomial(probability, 1_000_000, replacement=True, generator=generator).view(1000, 1000)
    found = [closed_form(estimator, Sums.of(terms[log])) for log in logs]
    covered = sum(one.low is not None and one.high is not None and one.low <= made.truth <= one.high for one in found)
    assert 936 <= covered <= 964
