from __future__ import annotations

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.models.rewards.session import SessionRewardModel
from recsys.rewards.learned import LearnedReward, OneHead, ProbabilityMean, RankSum, Scalariser, StandardisedSum
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

ODDS = {"click": torch.tensor([[1.0, 3.0, 2.0, 9.0]]), "like": torch.tensor([[50.0, 50.0, 20.0, -9.0]])}
MASK = torch.tensor([[True, True, True, False]])


def test_a_standardised_sum_is_blind_to_the_scale_of_a_head() -> None:
    found = StandardisedSum({"click": 1.0, "like": 1.0})(ODDS, MASK)[0, :3]
    click, like = torch.tensor([-1.0, 1.0, 0.0]) / (2 / 3) ** 0.5, torch.tensor([10.0, 10.0, -20.0]) / 200**0.5
    torch.testing.assert_close(found, click + like)
    scaled = {"click": 7 * ODDS["click"] - 3, "like": ODDS["like"]}
    torch.testing.assert_close(StandardisedSum()(scaled, MASK)[0, :3], found)


def test_a_head_that_does_not_tell_candidates_apart_adds_nothing() -> None:
    flat = {"click": ODDS["click"], "like": torch.full((1, 4), 3.0)}
    for scalariser in (StandardisedSum, RankSum):
        alone = scalariser({"click": 1.0})(flat, MASK)[0, :3]
        both = scalariser()(flat, MASK)[0, :3]
        torch.testing.assert_close(both - both.mean(), alone - alone.mean())


def test_ranks_share_ties_and_count_existing_candidates() -> None:
    found = RankSum({"click": 1.0, "like": 2.0})(ODDS, MASK)[0]
    assert (found * 3).tolist() == [0 + 2 * 1.5, 2 + 2 * 1.5, 1 + 0, 0]


def test_weights_may_be_negative() -> None:
    assert StandardisedSum({"like": -1.0})(ODDS, MASK)[0, :3].argmax() == 2


def test_a_mean_of_probabilities_is_what_is_expected_of_a_mean_of_labels() -> None:
    chance = {name: value.sigmoid() for name, value in ODDS.items()}
    found = ProbabilityMean({"click": 3.0, "like": -1.0})(ODDS, MASK)
    torch.testing.assert_close(found, (3 * chance["click"] + 1 - chance["like"]) / 4)
    torch.testing.assert_close(ProbabilityMean()(ODDS, MASK), (chance["click"] + chance["like"]) / 2)
    torch.testing.assert_close(ProbabilityMean()({"p_score": ODDS["click"]}, MASK), chance["click"])


@pytest.mark.parametrize("scalariser", [StandardisedSum({"share": 1.0}), RankSum({"share": 1.0}), OneHead("share")])
def test_an_unknown_head_is_refused(scalariser: Scalariser) -> None:
    with pytest.raises(ConfigurationError, match="no head 'share'; it has click, like"):
        scalariser(ODDS, MASK)


@pytest.mark.parametrize("weights", [{}, {"click": float("nan")}])
def test_weights_are_finite_and_some(weights: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="a finite number for each of one or more heads"):
        StandardisedSum(weights)


def test_the_model_is_frozen_and_in_evaluation_mode() -> None:
    reward = LearnedReward(SessionRewardModel(torch.randn(6, 3), ["click"], dropout=0.5), OneHead("click")).train()
    context = Context(torch.arange(1), Jagged.from_rows([[1, 2]]), Jagged.empty(1))
    slates = Slates(torch.tensor([[[3, 4], [5, 0], [-1, -1]]]), torch.zeros(1, 3, 2))
    first, second = (reward(Example(context, slates), slates) for _ in range(2))
    assert torch.equal(first, second) and first[0, 2] == 0 and not first.requires_grad
    assert not any(parameter.requires_grad for parameter in reward.parameters())
    torch.testing.assert_close(reward.log_odds(Example(context, slates), slates)["click"][:, :2], first[:, :2])


@pytest.mark.parametrize("value", [0.0, 1e-30, 3.3, 17.7, -1e6])
def test_candidates_that_are_alike_up_to_rounding_differ_by_nothing(value: float) -> None:
    mask = torch.ones(1, 32, dtype=torch.bool)
    alike = torch.full((1, 32), value)
    assert not StandardisedSum()({"flat": alike}, mask).any()
    odds = torch.linspace(-1, 1, 32).unsqueeze(0)
    nearly = alike.clone()
    nearly[0, 3] = torch.nextafter(nearly[0, 3], torch.tensor(torch.inf))
    alone = StandardisedSum()({"click": odds}, mask)
    assert torch.equal(StandardisedSum()({"click": odds, "flat": nearly}, mask), alone)
    scaled = StandardisedSum()({"click": 1e-6 * odds}, mask)
    torch.testing.assert_close(scaled, alone)
