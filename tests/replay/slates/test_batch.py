from __future__ import annotations

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.estimator import Estimator
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

ITEMS = torch.tensor([[0, 1], [2, -1]])
REWARD = torch.tensor([[1.0, 0.5], [2.0, 0.0]], dtype=torch.float64)
HALF = torch.tensor([[0.5, 0.5], [0.5, 1.0]], dtype=torch.float64)
MORE = torch.tensor([[0.75, 0.25], [0.5, 1.0]], dtype=torch.float64)


def test_a_slate_is_the_product_of_its_prefixes_unless_it_is_given() -> None:
    rounds = SlateBatch(ITEMS, REWARD, logging_prefix=HALF, target_prefix=MORE)
    assert rounds.slate_ratio.tolist() == [0.75, 1.0]
    given = SlateBatch(ITEMS, REWARD, logging=torch.tensor([0.125, 0.25]).double(), target_prefix=MORE)
    assert given.slate_ratio.tolist() == [1.5, 2.0]


def test_a_slot_is_the_diagonal_of_every_slot_unless_it_is_given() -> None:
    at = torch.stack([MORE, 1 - MORE], -1)
    rounds = SlateBatch(ITEMS, REWARD, logging_slot=HALF, target_at=at)
    assert rounds.slot_ratio.tolist() == [[1.5, 1.5], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("weights", "missing"),
    [
        (WholeSlateWeights(), "the whole slate .* under the target policy"),
        (PrefixWeights(), "each slot given the slots before it .* under the target policy"),
        (SlotWeights(), "each item at its slot .* under the target policy"),
        (PositionBasedWeights((1.0, 0.5)), "each logged item at every slot under the target policy"),
        (PseudoInverse(), "the pseudo-inverse weight of each slate"),
    ],
)
def test_what_is_missing_is_named(weights: SlateWeights, missing: str) -> None:
    for estimator in (SlateIPS(weights), SlateSNIPS(weights), ControlVariate(weights)):
        with pytest.raises(RequestError, match=missing):
            estimator.terms(SlateBatch(ITEMS, REWARD))


def test_what_the_log_lacks_is_named() -> None:
    with pytest.raises(RequestError, match=r"the whole slate .* under the logging policy"):
        WholeSlateWeights()(SlateBatch(ITEMS, REWARD, target_prefix=HALF))


def test_a_missing_model_is_named() -> None:
    rounds = SlateBatch(ITEMS, REWARD, logging_prefix=HALF, target_prefix=HALF)
    with pytest.raises(RequestError, match="a model's prediction for each slot given"):
        CascadeDR().terms(rounds)


@pytest.mark.parametrize("weights", [PrefixWeights(), SlotWeights(), PositionBasedWeights((1.0, 1.0))])
def test_a_log_with_one_reward_a_slate_has_none_of_a_slot(weights: SlateWeights) -> None:
    rounds = SlateBatch(ITEMS, REWARD, logging_prefix=HALF, target_prefix=HALF, by_slot=False)
    for terms in (SlateIPS(weights).terms, CascadeDR().terms):
        with pytest.raises(RequestError, match="needs a reward of each slot"):
            terms(rounds)
    assert torch.equal(WholeSlateWeights()(rounds), torch.ones(2, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    "estimator",
    [
        *(
            kind(weights)
            for kind in (SlateIPS, SlateSNIPS, ControlVariate)
            for weights in (WholeSlateWeights(), PrefixWeights())
        ),
        CascadeDR(),
        SelfNormalisedCascadeDR(),
    ],
    ids=repr,
)
def test_a_policy_beside_itself_earns_what_was_logged(estimator: Estimator[SlateBatch]) -> None:
    zero = torch.zeros_like(REWARD)
    rounds = SlateBatch(ITEMS, REWARD, logging_prefix=HALF, target_prefix=HALF, predicted=zero, expected=zero)
    assert isinstance(estimator, Estimator)
    assert torch.equal(estimator.weight(rounds), torch.ones(2, dtype=torch.float64))
    assert float(estimator.value(estimator.terms(rounds).sum(0))) == pytest.approx(1.75)


def test_equal_estimators_share_their_terms() -> None:
    assert SlateIPS(PrefixWeights()).terms == SlateSNIPS(PrefixWeights()).terms != SlateIPS(SlotWeights()).terms
    assert CascadeDR().terms == SelfNormalisedCascadeDR().terms
    assert len({SlateIPS().terms, SlateSNIPS().terms}) == 1
