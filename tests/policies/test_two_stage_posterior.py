from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.nn.affinity import inner_product, negative_distance
from recsys.policies.retrieval_query import MeanQuery, UpperConfidenceQuery
from recsys.policies.scorer import OnlineLearner, Posterior
from recsys.policies.slate_posterior import InnerProductPosterior, mean_position
from recsys.policies.two_stage import RETRIEVED
from recsys.policies.two_stage_posterior import InnerProductTwoStagePosterior, TwoStagePosterior
from recsys.retrieve.index import ExactIndex
from recsys.types.context import Context
from tests.policies.contexts import requests
from tests.policies.test_slate_posterior import ITEMS, model, seeded

LARGE, SIZE = 40_000, 3
ITEMS_OF = torch.tensor([[4, 0, 2], [3, 4, -1], [1, 0, 3]])
HISTORIES = [[], [2], [0, 1, 0, 4]]


def shortlisted(rows: list[int] | None = None) -> Context:
    context = replace(requests(HISTORIES), features={RETRIEVED: ITEMS_OF})
    return context if rows is None else context.select(torch.tensor(rows))


KINDS = {
    "flat_scores": lambda pool: InnerProductTwoStagePosterior(
        model(inner_product, grouped=False), seeded(), SIZE, pool
    ),
    "flat_products": lambda pool: TwoStagePosterior(model(inner_product, grouped=False), seeded(), SIZE, pool),
    "grouped_products": lambda pool: TwoStagePosterior(model(inner_product), seeded(), SIZE, pool),
    "flat_distances": lambda pool: TwoStagePosterior(model(negative_distance, grouped=False), seeded(), SIZE, pool),
    "grouped_distances": lambda pool: TwoStagePosterior(model(negative_distance), seeded(), SIZE, pool),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def plainly(posterior: TwoStagePosterior, row: int) -> Tensor:
    """`[LARGE, C]` scores of a request, from draws of whole vectors."""
    generator = seeded(5)
    mean, deviation = (part[row] for part in mean_position(posterior.model, shortlisted()))
    users = mean + deviation * torch.randn(LARGE, len(mean), generator=generator)
    vectors = posterior.model.items.draw(ITEMS_OF[row].clamp(min=0).expand(LARGE, -1), generator)
    return posterior.model.affinity(users, vectors)


@every_kind
@pytest.mark.parametrize("row", [0, 2])
def test_scores_have_the_joint_distribution_of_drawn_vectors(make: Callable, row: int) -> None:
    posterior = make(LARGE)
    found = posterior.sampled_scores(shortlisted([row] * LARGE), torch.arange(LARGE).unsqueeze(1))[:, 0]
    expected = plainly(posterior, row)
    torch.testing.assert_close(found.mean(0), expected.mean(0), atol=0.03, rtol=0)
    torch.testing.assert_close(torch.cov(found.T), torch.cov(expected.T), atol=0.02, rtol=0.05)
    levels = torch.tensor([0.05, 0.5, 0.95])
    torch.testing.assert_close(found.quantile(levels, 0), expected.quantile(levels, 0), atol=0.05, rtol=0)


@every_kind
def test_mean_and_deviation_are_those_of_the_draws(make: Callable) -> None:
    """To rounding where they are taken over the pool; in closed form to what 2,000 draws tell."""
    pool, mean_error, deviation_error = (2000, 0.08, 0.08) if make is KINDS["flat_scores"] else (64, 1e-5, 1e-4)
    posterior = make(pool)
    drawn = posterior.sampled_scores(shortlisted(), torch.arange(pool).expand(3, -1))
    torch.testing.assert_close(drawn.mean(1), posterior.scores(shortlisted()), atol=mean_error, rtol=0)
    found = drawn.std(1, correction=0)
    torch.testing.assert_close(found, posterior.deviation(shortlisted()), rtol=deviation_error, atol=0)
    assert posterior.deviation(shortlisted()).min() > 0.05


@every_kind
def test_a_request_that_asks_again_has_the_same_draws(make: Callable) -> None:
    posterior, which = make(6), torch.tensor([[5, 0, 5], [1, 1, 2], [3, 4, 0]])
    together = posterior.sampled_scores(shortlisted(), which)
    assert torch.equal(together, posterior.sampled_scores(shortlisted(), which))
    for row in range(3):
        torch.testing.assert_close(posterior.sampled_scores(shortlisted([row]), which[[row]])[0], together[row])
    assert not torch.equal(together[0, 0], together[0, 1]) and torch.equal(together[0, 0], together[0, 2])


@every_kind
def test_it_is_a_posterior_that_does_not_learn_and_travels_with_its_state(make: Callable) -> None:
    posterior = make(4)
    assert isinstance(posterior, Posterior) and not isinstance(posterior, OnlineLearner)
    assert posterior.num_items == SIZE
    other = type(posterior)(posterior.model, seeded(9), SIZE, 4)
    which = torch.tensor([[0, 3]] * 3)
    assert not torch.equal(other.sampled_scores(shortlisted(), which), posterior.sampled_scores(shortlisted(), which))
    other.load_state_dict(posterior.state_dict())
    assert torch.equal(other.sampled_scores(shortlisted(), which), posterior.sampled_scores(shortlisted(), which))


@pytest.mark.parametrize(("affinity", "grouped"), [(inner_product, True), (negative_distance, False)])
def test_scores_are_not_drawn_where_they_are_no_independent_normals(affinity: Callable, grouped: bool) -> None:
    with pytest.raises(ConfigurationError, match="Use TwoStagePosterior"):
        InnerProductTwoStagePosterior(model(affinity, grouped=grouped), seeded(), SIZE)


@pytest.mark.parametrize("affinity", [inner_product, negative_distance])
def test_the_mean_query_finds_the_best_at_the_means(affinity: Callable) -> None:
    known = model(affinity, deviation=1e-5)
    query = MeanQuery(known)
    _, items = ExactIndex(query.vectors(), affinity).search(query(shortlisted()), ITEMS)
    best = affinity(query(shortlisted()), query.vectors()).argsort(1, descending=True)
    some = [1, 2] if affinity is inner_product else [0, 1, 2]  # of the mean of a new user, 0, all products are 0
    assert torch.equal(items[some], best[some])
    if affinity is inner_product:
        whole = InnerProductPosterior(known, seeded(), pool=2).scores(shortlisted())
        assert torch.equal(items[some], whole.argsort(1, descending=True)[some])


def test_the_upper_query_is_mean_and_deviations_where_these_are_the_same_in_every_direction() -> None:
    known = model(inner_product, grouped=False)
    with torch.no_grad():
        known.items.vectors.log_deviation.copy_(torch.linspace(-2, 0, ITEMS).unsqueeze(1).expand(-1, 3))
    query = UpperConfidenceQuery(known, width=1.5)
    scores, items = ExactIndex(query.vectors(), inner_product).search(query(shortlisted()), ITEMS)
    z, _ = mean_position(known, shortlisted())
    mean, variance = known.items.moments(torch.arange(ITEMS))
    expected = z @ mean.T + 1.5 * (z.square() @ variance.T).sqrt()
    torch.testing.assert_close(scores, expected.gather(1, items))
