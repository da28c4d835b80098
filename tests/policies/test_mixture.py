from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from recsys.errors import ConfigurationError, NonFiniteError, RequestError
from recsys.metrics.ranking import ndcg, rank_in_scores
from recsys.policies.mixture import Mixture, best_weight
from recsys.policies.policy import ItemPolicy, SoftmaxPolicy
from recsys.types.context import Context
from recsys.types.slates import Slates
from tests.policies.contexts import answered, requests


class Fixed(nn.Module):
    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, context: Context) -> Tensor:
        return self.scores.expand(len(context), -1)


class ByUser(Fixed):
    def forward(self, context: Context) -> Tensor:
        return self.scores[context.users]


def fixed(shares: list[float]) -> SoftmaxPolicy:
    return SoftmaxPolicy(Fixed(torch.tensor([shares]).log()))


def test_probabilities_are_mixed_over_the_legal_set() -> None:
    parts = [fixed([0.5, 0.3, 0.2]), fixed([0.1, 0.1, 0.8])]
    share = Mixture(parts, [0.25, 0.75]).catalogue_log_prob(requests([[], []], [[], [2]])).exp()
    torch.testing.assert_close(share[0], torch.tensor([0.2, 0.15, 0.65]))
    torch.testing.assert_close(share[1], torch.tensor([0.25 * 5 / 8 + 0.75 / 2, 0.25 * 3 / 8 + 0.75 / 2, 0]))


def test_a_weight_of_one_is_the_policy_itself() -> None:
    parts = [fixed([0.5, 0.3, 0.2]), fixed([0.1, 0.1, 0.8])]
    asked = requests([[]], [[0]])
    torch.testing.assert_close(
        Mixture(parts, [0, 1]).catalogue_log_prob(asked).exp(), parts[1].catalogue_log_prob(asked).exp()
    )


def test_trains_its_parts_with_finite_gradients_though_items_are_excluded() -> None:
    mixture = Mixture([fixed([0.5, 0.3, 0.2]), fixed([0.1, 0.1, 0.8])], [0.5, 0.5])
    asked = requests([[]], [[0]])
    mixture.log_prob(asked, Slates(torch.tensor([[[1]]]), torch.zeros(1, 1, 1))).sum().backward()
    grads = [parameter.grad for parameter in mixture.parameters()]
    assert len(grads) == 2
    assert all(grad is not None and grad.isfinite().all() and (grad != 0).any() for grad in grads)


@pytest.mark.parametrize("weights", [[1.0], [0.5, 0.6], [-0.5, 1.5], []])
def test_other_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="weights"):
        Mixture([fixed([0.5, 0.5]), fixed([0.5, 0.5])], weights)


def test_finds_the_weight_that_neither_end_reaches() -> None:
    """Each policy knows one user. The target leads at the first for w < 5/6, at the second for w > 1/6."""
    sure, wrong = [0.7, 0.2, 0.1], [0.3, 0.4, 0.3]
    first, second = (SoftmaxPolicy(ByUser(torch.tensor(table).log())) for table in ([sure, wrong], [wrong, sure]))
    asked = answered(requests([[], []]), [0, 0])
    assert best_weight(first, second, asked, k=1) == pytest.approx(0.2)
    assert best_weight(first, second, asked, k=1, candidates=(0.0, 0.1, 0.5, 1.0)) == 0.5
    assert best_weight(first, second, asked.select(torch.tensor([0]))) == 0


def test_the_weight_is_that_of_the_best_mean_ndcg_whatever_the_batch() -> None:
    target = torch.randint(0, 8, (30,))
    known = torch.zeros(30, 8).scatter(1, target.unsqueeze(1), 1.0)
    even = (torch.arange(30) % 2 == 0).unsqueeze(1)
    first = SoftmaxPolicy(ByUser(torch.randn(30, 8) + known * even))
    second = SoftmaxPolicy(ByUser(torch.randn(30, 8) + known * ~even))
    asked = answered(requests([[]] * 30), target.tolist())
    candidates = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    shares = [Mixture([first, second], [1 - weight, weight]).catalogue_log_prob(asked.context) for weight in candidates]
    means = torch.stack([ndcg(rank_in_scores(share, asked.item), 3).mean() for share in shares])
    expected = candidates[int(means.argmax())]
    assert 0 < expected < 1
    for size in (1, 7, 256):
        assert best_weight(first, second, asked, candidates=candidates, k=3, batch_size=size) == expected


def test_examples_are_needed() -> None:
    with pytest.raises(RequestError, match="Pass validation examples"):
        best_weight(fixed([0.5, 0.5]), fixed([0.5, 0.5]), answered(requests([]), []))


class Everywhere(ItemPolicy):
    """The same log-probability for every item."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def catalogue_log_prob(self, context: Context) -> Tensor:
        return torch.full((len(context), 30), self.value)


@pytest.mark.parametrize("first", [True, False])
def test_a_policy_that_makes_no_difference_gets_no_weight(first: bool) -> None:
    useful, useless = fixed([0.3, *[0.7 / 29] * 29]), Everywhere(-math.log(30))
    asked = answered(requests([[], []]), [0, 1])
    policies = (useless, useful) if first else (useful, useless)
    weight = best_weight(*policies, asked)
    assert weight == (0.05 if first else 0.0), "any share of the useful policy sets its item apart"


def test_a_policy_of_nan_is_refused() -> None:
    broken, sound = Everywhere(float("nan")), fixed([1 / 30] * 30)
    for pair in ((broken, sound), (sound, broken)):
        with pytest.raises(NonFiniteError, match="Everywhere: a log-probability is NaN"):
            best_weight(*pair, answered(requests([[]]), [0]))
