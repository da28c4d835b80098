from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from recsys.models.slates.item_posterior import FlatItems, GroupedItems, ItemPosterior

GROUP = torch.tensor([0, 1, 1, 0, 1])
WIDTH, DRAWS = 3, 60_000
EVERY = torch.arange(len(GROUP))


def jittered(items: ItemPosterior) -> ItemPosterior:
    """No two parameters alike."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in items.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return items


def flat() -> ItemPosterior:
    return jittered(FlatItems(len(GROUP), WIDTH, prior=1.5, deviation=0.4))


def grouped() -> ItemPosterior:
    return jittered(GroupedItems(GROUP, WIDTH, centre=2.0, scale=0.6, scale_spread=0.7, deviation=0.5, initial=0.5))


both = pytest.mark.parametrize("items", [flat(), grouped()], ids=["flat", "grouped"])


@both
def test_draws_have_the_moments(items: ItemPosterior, generator: torch.Generator) -> None:
    draws = items.draw(EVERY.expand(DRAWS, -1), generator).detach()
    mean, variance = items.moments(EVERY)
    assert ((draws.mean(0) - mean).abs() < 4.5 * (variance / DRAWS).sqrt()).all()
    torch.testing.assert_close(draws.var(0), variance, rtol=0.06, atol=0)
    assert draws.shape == (DRAWS, items.num_items, items.width)


@both
def test_moments_are_those_of_the_named_items(items: ItemPosterior) -> None:
    every, named = items.moments(EVERY), torch.tensor([[4, 0], [2, 2]])
    for some, all_of_them in zip(items.moments(named), every, strict=True):
        assert torch.equal(some, all_of_them[named])


@both
def test_numbers_of_a_vector_are_uncorrelated(items: ItemPosterior, generator: torch.Generator) -> None:
    draws = items.draw(EVERY.expand(DRAWS, -1), generator).detach()
    for item in range(len(GROUP)):
        assert (torch.corrcoef(draws[:, item].T) - torch.eye(WIDTH)).abs().max() < 0.03


@both
def test_in_a_row_an_item_is_one_vector(items: ItemPosterior, generator: torch.Generator) -> None:
    draws = items.draw(torch.tensor([[1, 3, 1, -1], [1, -1, -1, 3]]), generator)
    assert torch.equal(draws[0, 0], draws[0, 2])
    assert not torch.isclose(draws[0, 0], draws[1, 0]).any() and not torch.isclose(draws[0, 1], draws[1, 3]).any()
    assert not draws[0, 3].any() and not draws[1, 1:3].any()


@both
def test_a_forgotten_item_is_back_at_its_prior(items: ItemPosterior) -> None:
    before = items.kl(EVERY)
    assert (before > 0.01).all()
    items.reset_to_prior(torch.tensor([0, 2]))
    after = items.kl(EVERY)
    torch.testing.assert_close(after[[0, 2]], torch.zeros(2), atol=1e-6, rtol=0)
    assert torch.equal(after[[1, 3, 4]], before[[1, 3, 4]])


def test_the_divergence_of_flat_items_is_that_of_torch() -> None:
    items = flat()
    assert isinstance(items, FlatItems)
    own = Normal(items.vectors.mean, items.vectors.log_deviation.exp())
    expected = kl_divergence(own, Normal(torch.tensor(0.0), torch.tensor(1.5))).sum(1)
    torch.testing.assert_close(items.kl(EVERY), expected)
    assert items.shared_kl() == 0


def test_the_divergence_of_grouped_items_is_that_of_torch() -> None:
    items = grouped()
    assert isinstance(items, GroupedItems)
    prior = {
        items.centres: Normal(torch.tensor(0.0), torch.tensor(2.0)),
        items.log_scales: Normal(torch.tensor(0.6).log(), torch.tensor(0.7)),
        items.own: Normal(torch.tensor(0.0), torch.tensor(1.0)),
    }
    divergence = [kl_divergence(Normal(t.mean, t.log_deviation.exp()), p).sum(1) for t, p in prior.items()]
    torch.testing.assert_close(items.shared_kl(), divergence[0].sum() + divergence[1].sum())
    torch.testing.assert_close(items.kl(EVERY), divergence[2])


def test_items_of_a_group_share_its_draw(generator: torch.Generator) -> None:
    items = grouped()
    assert isinstance(items, GroupedItems)
    items.own.reset(EVERY, 0.0, 1e-6)
    draws = items.draw(EVERY.expand(500, -1), generator)
    torch.testing.assert_close(draws[:, 0], draws[:, 3], atol=1e-4, rtol=0)
    assert (draws[:, 0] - draws[:, 1]).abs().mean() > 0.1


def test_at_the_prior_an_item_is_its_group_and_a_deviation(generator: torch.Generator) -> None:
    items = GroupedItems(torch.zeros(2, dtype=torch.int64), 1, centre=2.0, scale=0.5, scale_spread=0.3)
    items.own.reset(torch.arange(2), 0.0, 1.0)
    items.centres.reset(torch.arange(1), 0.0, 2.0)
    items.log_scales.reset(torch.arange(1), items.log_scale, 0.3)
    assert items.shared_kl().item() == pytest.approx(0.0, abs=1e-6)
    own = 0.25 * torch.tensor(2 * 0.3**2).exp()
    torch.testing.assert_close(items.moments(torch.tensor([0]))[1], (4 + own).view(1, 1))
    draws = items.draw(torch.arange(2).expand(DRAWS, -1), generator).detach().squeeze(2)
    assert torch.cov(draws.T)[0, 1].item() == pytest.approx(4.0, rel=0.05)


@both
def test_what_is_shared_and_what_is_own_make_a_draw(items: ItemPosterior, generator: torch.Generator) -> None:
    named = torch.tensor([4, 0, 1, 4])
    with torch.no_grad():
        shared = items.draw_shared(DRAWS, generator)
        mean, variance = items.conditional_moments(shared, named.expand(DRAWS, -1))
        parts = mean + variance.sqrt() * torch.randn(mean.shape, generator=generator)
        whole = items.draw(named.expand(DRAWS, -1), generator)
    for number in range(WIDTH):
        # The same item twice is one vector in a draw, and two of its own parts here: the first three are compared.
        one, other = (draws[:, :3, number].T for draws in (parts, whole))
        torch.testing.assert_close(one.mean(1), other.mean(1), atol=0.03, rtol=0)
        torch.testing.assert_close(torch.cov(one), torch.cov(other), atol=0.03, rtol=0.06)


def test_flat_items_share_nothing_and_groups_a_centre_and_a_scale(generator: torch.Generator) -> None:
    assert flat().draw_shared(7, generator).shape == (7, 0, 2, WIDTH)
    items = grouped()
    assert isinstance(items, GroupedItems)
    shared = items.draw_shared(7, generator)
    assert shared.shape == (7, 2, 2, WIDTH) and (shared[:, :, 1] > 0).all()
    mean, variance = items.conditional_moments(shared, torch.tensor([[3, 2]] * 7))
    own, spread = items.own.moments(torch.tensor([3, 2]))
    torch.testing.assert_close(mean[5, 1], shared[5, 1, 0] + shared[5, 1, 1] * own[1])
    torch.testing.assert_close(variance[5, 0], shared[5, 0, 1].square() * spread[0])
