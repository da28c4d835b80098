"""What every choice model owes its callers; a new one is a row in `CHOICES`."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from recsys.simulate.choice_models import ChoiceModel, MultinomialLogit, MultinomialProportional
from recsys.simulate.click_models import CascadeModel, DependentClickModel, PositionBasedModel

SLOTS = 4
CHOICES: dict[str, ChoiceModel] = {
    "logit": MultinomialLogit(no_click=0.3),
    "logit_that_must_click": MultinomialLogit(no_click=-torch.inf),
    "proportional": MultinomialProportional(),
    "cascade": CascadeModel(),
    "cascade_with_little_attention": CascadeModel(
        attention=0.4, attraction=lambda score: 0.3 * score.exp().clamp(max=3)
    ),
    "position_based": PositionBasedModel(examination=(0.9, 0.7, 0.4, 0.2)),
    "dependent_click": DependentClickModel(persistence=(0.8, 0.5, 0.0, 0.3)),
}
every_choice = pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
EVERY_WAY = torch.tensor(list(product([False, True], repeat=SLOTS)))


@pytest.fixture
def scores() -> torch.Tensor:
    return torch.randn(5, SLOTS, generator=torch.Generator().manual_seed(0), dtype=torch.float64).clamp(-0.9, 1.1)


@pytest.fixture
def shown() -> torch.Tensor:
    return torch.arange(SLOTS) < torch.tensor([4, 4, 3, 1, 0]).unsqueeze(1)


def probability_of_every_way(choice: ChoiceModel, scores: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """`[B, 2^S]`."""
    rows = torch.arange(len(scores)).repeat_interleave(len(EVERY_WAY))
    clicks = EVERY_WAY.repeat(len(scores), 1)
    return choice.log_prob(scores[rows], shown[rows], clicks).exp().view(len(scores), -1)


@every_choice
def test_all_ways_to_click_together_are_certain(choice: ChoiceModel, scores: torch.Tensor, shown: torch.Tensor) -> None:
    assert isinstance(choice, ChoiceModel)
    everything = probability_of_every_way(choice, scores, shown).sum(1)
    torch.testing.assert_close(everything, torch.ones(5, dtype=torch.float64))


@every_choice
def test_the_probability_of_a_click_is_the_sum_over_the_ways_that_have_it(
    choice: ChoiceModel, scores: torch.Tensor, shown: torch.Tensor
) -> None:
    marginal = probability_of_every_way(choice, scores, shown) @ EVERY_WAY.double()
    torch.testing.assert_close(choice.click_probability(scores, shown), marginal)


@every_choice
def test_draws_follow_the_probabilities(choice: ChoiceModel, scores: torch.Tensor, shown: torch.Tensor) -> None:
    draws, generator = 40_000, torch.Generator().manual_seed(1)
    rows = torch.arange(5).repeat_interleave(draws)
    clicks = choice.sample(scores[rows], shown[rows], generator)
    way = (clicks * 2 ** torch.arange(SLOTS - 1, -1, -1)).sum(1)
    drawn = torch.zeros(5, len(EVERY_WAY), dtype=torch.float64).index_put_(
        (rows, way), torch.tensor(1.0).double(), True
    )
    expected = probability_of_every_way(choice, scores, shown)
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((drawn / draws - expected).abs() <= 4.5 * error + 1e-9).all()


@every_choice
def test_an_empty_slot_changes_nothing(choice: ChoiceModel, scores: torch.Tensor) -> None:
    three = torch.ones(5, SLOTS, dtype=torch.bool).index_fill(1, torch.tensor([3]), False)
    without = choice.click_probability(scores[:, :3], three[:, :3])
    for fill in (-5.0, 7.0):
        filled = torch.cat([scores[:, :3], torch.full((5, 1), fill, dtype=torch.float64)], 1)
        torch.testing.assert_close(choice.click_probability(filled, three)[:, :3], without)
        assert not choice.click_probability(filled, three)[:, 3].any()


@every_choice
def test_equal_generators_give_equal_clicks(choice: ChoiceModel, scores: torch.Tensor, shown: torch.Tensor) -> None:
    first, second = (choice.sample(scores, shown, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


@every_choice
def test_the_likelihood_of_clicks_that_happened_has_a_finite_gradient(
    choice: ChoiceModel, scores: torch.Tensor, shown: torch.Tensor
) -> None:
    clicks = choice.sample(scores, shown, torch.Generator().manual_seed(5))
    learnt = scores.clone().requires_grad_()
    choice.log_prob(learnt, shown, clicks).sum().backward()
    assert learnt.grad is not None
    assert learnt.grad.isfinite().all()
