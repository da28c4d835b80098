from __future__ import annotations

import pytest
import torch

from recsys.models.slates.initial_state import InitialState


def test_without_clicks_it_is_the_prior(generator: torch.Generator) -> None:
    start = InitialState(prior=0.7)
    mean, deviation = start.posterior(torch.randn(2, 3, 4, generator=generator), torch.zeros(2, 3, dtype=torch.bool))
    assert mean.shape == (2, 4, 4) and not mean.any()
    torch.testing.assert_close(deviation, torch.full((2, 4, 1), 0.7))
    noise = torch.randn(2, 4, 4, generator=generator)
    torch.testing.assert_close(start.log_ratio(noise, mean, deviation), torch.zeros(2, 4))


def test_steps_without_a_click_change_nothing(generator: torch.Generator) -> None:
    start, vectors = InitialState(), torch.randn(1, 4, 3, generator=generator)
    mean, deviation = start.posterior(vectors, torch.tensor([[False, True, False, True]]))
    short, narrow = start.posterior(vectors[:, [1, 3]], torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(mean[:, [0, 2, 4]], short)
    torch.testing.assert_close(deviation[:, [0, 2, 4]], narrow)
    vectors[0, 2] = float("nan")
    torch.testing.assert_close(start.posterior(vectors, torch.tensor([[False, True, False, True]]))[0], mean)


def test_the_first_click_tells_most_and_each_narrows(generator: torch.Generator) -> None:
    start = InitialState(decay=0.5)
    vectors = torch.eye(3).unsqueeze(0)
    mean, deviation = start.posterior(vectors, torch.ones(1, 3, dtype=torch.bool))
    first, second, third = mean[0, -1].tolist()
    assert first == pytest.approx(2 * second) and second == pytest.approx(2 * third)
    assert (deviation[0, 1:, 0] < deviation[0, :-1, 0]).all()


@pytest.mark.parametrize("decay", [0.2, 0.999])
def test_with_a_decay_of_nearly_one_it_is_a_normals_posterior(decay: float) -> None:
    """Clicks as measurements with variance `κ · prior²` of a start that nothing moves."""
    start = InitialState(prior=2.0, decay=decay, evidence=3.0)
    clicks = torch.tensor([[[1.0], [5.0], [0.0]]])
    mean, deviation = start.posterior(clicks, torch.ones(1, 3, dtype=torch.bool))
    precision = 1 / 4 + (torch.tensor([1.0, decay, decay**2]) / (3 * 4)).sum()
    torch.testing.assert_close(deviation[0, -1, 0], precision.rsqrt())
    expected = (clicks[0, :, 0] * torch.tensor([1.0, decay, decay**2]) / (3 * 4)).sum() / precision
    torch.testing.assert_close(mean[0, -1, 0], expected)


def test_the_ratio_agrees_with_torch(generator: torch.Generator) -> None:
    start = InitialState(prior=0.5)
    mean, deviation = torch.randn(5, 3, generator=generator), torch.rand(5, 1, generator=generator) + 0.1
    noise = torch.randn(5, 3, generator=generator)
    prior, posterior = torch.distributions.Normal(0.0, 0.5), torch.distributions.Normal(mean, deviation.expand(5, 3))
    place = mean + deviation * noise
    expected = (prior.log_prob(place) - posterior.log_prob(place)).sum(-1)
    torch.testing.assert_close(start.log_ratio(noise, mean, deviation), expected, atol=1e-4, rtol=1e-4)
