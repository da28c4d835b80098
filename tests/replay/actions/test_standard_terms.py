from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.actions import standard_terms as standard
from recsys.replay.actions.doubly_robust import DoublyRobustTerms
from recsys.replay.actions.importance import ImportanceTerms
from recsys.replay.actions.standard_terms import sums_of
from recsys.replay.actions.weights import Clip, PlainWeights, Shrink, ZeroWeights
from recsys.replay.sums import Sums
from tests.replay.logs import part, rounds

WEIGHTS = [PlainWeights(), ZeroWeights(), Clip(1.5), Shrink(3.0)]
TERMS = [kind(weights) for kind in (ImportanceTerms, DoublyRobustTerms) for weights in WEIGHTS]


def assert_equal(own: Sums, other: Sums, relative: float = 1e-12):
    """Relative to the size of what is summed, which bounds what rounding may change."""
    assert own.units == other.units
    torch.testing.assert_close(own.totals, other.totals, rtol=relative, atol=relative * own.units)
    torch.testing.assert_close(own.products, other.products, rtol=relative, atol=relative * own.units)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("actions", [1, 3, 40])
def test_one_pass_gives_what_the_terms_sum_to(dtype, actions):
    log = rounds(1000, actions, dtype=dtype)
    found = sums_of(TERMS, log)
    assert list(found) == TERMS
    for terms in TERMS:
        assert_equal(found[terms], Sums.of(terms(log)))
        assert_equal(sums_of([terms], log)[terms], Sums.of(terms(log)))


def test_the_number_of_threads_changes_nothing(monkeypatch):
    monkeypatch.setattr(standard, "ROWS", 300)
    log, threads = rounds(1000), torch.get_num_threads()
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(sums_of(TERMS, log))
    torch.set_num_threads(threads)
    for terms in TERMS:
        assert torch.equal(found[0][terms].products, found[1][terms].products)
        assert_equal(found[0][terms], Sums.of(terms(log)))


def test_terms_of_other_kinds_are_summed_as_they_are():
    log = rounds(50)

    def rewards(batch):
        return batch.reward.unsqueeze(1)

    found = sums_of([rewards, ImportanceTerms()], log)
    assert_equal(found[rewards], Sums.of(log.reward.unsqueeze(1)))
    assert_equal(found[ImportanceTerms()], Sums.of(ImportanceTerms()(log)))


def test_columns_that_are_not_contiguous():
    log = rounds(100)
    every_second = part(log, slice(None, None, 2))
    assert not every_second.reward.is_contiguous()
    for terms in TERMS:
        assert_equal(sums_of([terms], every_second)[terms], Sums.of(terms(every_second)))


def test_weights_alone_need_no_reward_model():
    log = rounds(10)
    assert_equal(
        sums_of([ImportanceTerms()], replace(log, predicted_all=None))[ImportanceTerms()],
        Sums.of(ImportanceTerms()(log)),
    )
    with pytest.raises(RequestError, match="a reward model's prediction for every action"):
        sums_of([ImportanceTerms(), DoublyRobustTerms()], replace(log, predicted_all=None))


def test_no_rounds_sum_to_nothing():
    found = sums_of(TERMS, part(rounds(3), slice(0)))
    assert all(sums.units == 0 and not sums.products.any() for sums in found.values())


@pytest.mark.parametrize("weights", WEIGHTS)
def test_every_column_and_every_product(weights):
    log = rounds(1000)
    weight = weights(log)
    surprise = weight * (log.reward - log.predicted)
    columns = [torch.ones_like(weight), weight, weight * log.reward, log.expected, surprise, torch.zeros_like(weight)]
    assert_equal(standard.standard_sums(log, weights, modelled=True), Sums.of(torch.stack(columns, 1)))
