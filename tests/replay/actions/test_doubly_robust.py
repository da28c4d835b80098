from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.doubly_robust import DM, DR, MRDR, SNDR, mrdr_sample_weight
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.actions.weights import PlainWeights, Shrink, Switch


def test_by_hand(four_rounds: BanditBatch) -> None:
    totals = DR().terms(four_rounds).sum(0)
    assert totals.tolist() == pytest.approx([4, 4.9, 7.5, 0.5 * 0 - 2 * 1 + 1 * 2 + 4 * 0.5])
    assert float(DR().value(totals)) == pytest.approx((4.9 + 2) / 4)
    assert float(SNDR().value(totals)) == pytest.approx(4.9 / 4 + 2 / 7.5)
    assert float(DM().value(DM().terms(four_rounds).sum(0))) == pytest.approx(4.9 / 4)


def test_what_is_rarely_logged_is_left_to_the_model(four_rounds: BanditBatch) -> None:
    switched = DR(Switch(2.0))
    assert float(switched.value(switched.terms(four_rounds).sum(0))) == pytest.approx(4.9 / 4)
    shrunk = DR(Shrink(2.0))
    surprise = -4 / 6 + 2 * 2 / 3 + 8 / 18 * 0.5
    assert float(shrunk.value(shrunk.terms(four_rounds).sum(0))) == pytest.approx((4.9 + surprise) / 4)


def test_a_model_that_says_nothing_leaves_importance_weighting(four_rounds: BanditBatch) -> None:
    silent = replace(four_rounds, predicted_all=torch.zeros(4, 2, dtype=torch.float64))
    for robust, weighted in ((DR(), IPS()), (SNDR(), SNIPS())):
        value = robust.value(robust.terms(silent).sum(0))
        torch.testing.assert_close(value, weighted.value(weighted.terms(silent).sum(0)))


def test_all_read_the_same_sums_and_the_direct_method_takes_no_weights() -> None:
    assert DR().terms == SNDR().terms != DM().terms
    assert DM().weights != PlainWeights()
    with pytest.raises(TypeError):
        DM(weights=PlainWeights())  # type: ignore[call-arg]


def test_weights_by_hand(four_rounds: BanditBatch) -> None:
    expected = [0.25 * 0.2, 4 * 0.75, 1 * 0.4, 16 * 0.8]
    assert mrdr_sample_weight(four_rounds).tolist() == pytest.approx(expected)


def test_it_is_dr_with_the_other_predictions(four_rounds: BanditBatch) -> None:
    other = torch.tensor([[0.5, 0.1]] * 4, dtype=torch.float64)
    both = replace(four_rounds, mrdr_all=other)
    expected = DR().terms(replace(four_rounds, predicted_all=other))
    torch.testing.assert_close(MRDR().terms(both), expected)
    assert not torch.allclose(DR().terms(both), expected)
    assert MRDR().terms != DR().terms
