from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.models.slates.choice import click_log_prob
from recsys.models.slates.item_posterior import FlatItems, GroupedItems
from recsys.models.slates.slate_model import SlateModel, SlateValues, _clicked
from recsys.models.slates.user_state import GammaLinearUser, MarkovUser, RecurrentUser
from recsys.nn.affinity import inner_product, negative_distance

GROUP = torch.tensor([0, 0, 0, 1, 1, 1])
SLATES = torch.tensor([[[0, 1, 2], [3, 1, -1], [2, -1, -1]], [[4, 0, -1], [5, 4, 3], [-1, -1, -1]]])
CLICK = torch.tensor([[1, -1, 0], [0, 2, -1]])


def slate_model(affinity=inner_product, user=None, grouped: bool = True) -> SlateModel:
    """With every parameter away from where it starts."""
    items = GroupedItems(GROUP, 4) if grouped else FlatItems(len(GROUP), 4)
    model = SlateModel(items, user or GammaLinearUser(), slots=3, affinity=affinity)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.5 * torch.randn(parameter.shape)
    return model


every_user = pytest.mark.parametrize("user", [GammaLinearUser(0.6), MarkovUser(), RecurrentUser(4)], ids=lambda u: u)
both_affinities = pytest.mark.parametrize("affinity", [inner_product, negative_distance])


@both_affinities
def test_the_likelihood_by_hand(affinity) -> None:
    model = slate_model(affinity, GammaLinearUser(0.6))
    values, gamma = model.means(SLATES), model.user.gamma
    found = model.forecast_log_prob(values, SLATES, CLICK)
    start = model.initial_state.posterior(*_clicked(values, CLICK))[0]
    mean, _ = model.items.moments(torch.arange(6))
    for user in range(2):
        for step, (slate, log_prob) in enumerate(zip(SLATES[user].tolist(), found[user], strict=True)):
            z, click = start[user, step], int(CLICK[user, step])
            for before in range(step):
                if CLICK[user, before] >= 0:
                    z = gamma * z + (1 - gamma) * mean[SLATES[user, before, CLICK[user, before]]]
            shown = [item for item in slate if item >= 0]
            scores = [affinity(z.unsqueeze(0), mean[item : item + 1])[0, 0] for item in shown]
            if not shown:
                assert log_prob == 0
                continue
            every = torch.stack([model.no_click.mean[len(shown) - 1, 0], *scores]).log_softmax(0)
            torch.testing.assert_close(log_prob, every[click + 1])


@every_user
def test_answers_to_a_slate_together_are_certain(user) -> None:
    model = slate_model(user=user)
    values = model.draw(SLATES, torch.Generator().manual_seed(1))
    for step in range(3):
        every = []
        for answer in (-1, 0, 1, 2):
            click = CLICK.clone()
            click[:, step] = answer
            every.append(model.forecast_log_prob(values, SLATES, click)[:, step])
        torch.testing.assert_close(torch.stack(every).exp().sum(0), torch.ones(2))


@every_user
def test_a_later_answer_changes_no_earlier_probability(user) -> None:
    model = slate_model(user=user)
    values = model.draw(SLATES, torch.Generator().manual_seed(1))
    before = model.forecast_log_prob(values, SLATES, CLICK)
    click = CLICK.clone()
    click[0] = torch.tensor([1, 0, -1])
    after = model.forecast_log_prob(values, SLATES, click)
    assert torch.equal(after[0, 0], before[0, 0]) and torch.equal(after[1], before[1])
    assert after[0, 1] != before[0, 1] and after[0, 2] != before[0, 2]


@every_user
def test_a_forecast_starts_where_the_clicks_before_say(user) -> None:
    model = slate_model(user=user)
    values = model.draw(SLATES, torch.Generator().manual_seed(1))
    found = model.forecast(values, CLICK)
    for steps in range(4):
        known = CLICK.where(torch.arange(3) < steps, -1)
        vectors, clicked = _clicked(values, known)
        mean, deviation = (part[:, -1] for part in model.initial_state.posterior(vectors, clicked))
        torch.testing.assert_close(
            found[:, steps], model.user(mean + deviation * values.initial_noise, vectors, clicked)[:, -1]
        )


@every_user
@both_affinities
def test_padding_changes_nothing(user, affinity) -> None:
    model = slate_model(affinity, user)
    wide = torch.full((2, 5, 4), -1)
    wide[:, :3, :3] = SLATES
    late = torch.cat([CLICK, torch.full((2, 2), -1)], 1)
    for one, other in (
        (model.means(SLATES), model.means(wide)),
        (model.draw(SLATES, torch.Generator().manual_seed(2)), model.draw(wide, torch.Generator().manual_seed(2))),
    ):
        found = model.forecast_log_prob(other, wide, late)
        torch.testing.assert_close(found[:, :3], model.forecast_log_prob(one, SLATES, CLICK))
        assert not found[:, 3:].any()
        every = torch.ones_like(late).bool()
        weight = model.log_weight(one, SLATES, CLICK, every[:, :3])
        torch.testing.assert_close(model.log_weight(other, wide, late, every), weight)


@every_user
@both_affinities
def test_several_starts_are_weighed_as_each_alone(user, affinity, generator: torch.Generator) -> None:
    model, loss_mask = slate_model(affinity, user), torch.ones_like(CLICK).bool()
    values = model.draw(SLATES, torch.Generator().manual_seed(1))
    starts = torch.randn(5, *values.initial_noise.shape, generator=generator)
    found = model.log_weight(replace(values, initial_noise=starts), SLATES, CLICK, loss_mask)
    alone = [model.log_weight(replace(values, initial_noise=start), SLATES, CLICK, loss_mask) for start in starts]
    torch.testing.assert_close(found, torch.stack(alone))


def test_permuted_slots_have_permuted_probabilities() -> None:
    model, order = slate_model(), torch.tensor([2, 0, 1])
    turned = torch.where(CLICK >= 0, (torch.tensor([1, 2, 0])[CLICK.clamp(min=0)]), -1)
    expected = model.forecast_log_prob(model.means(SLATES), SLATES, CLICK)
    torch.testing.assert_close(
        model.forecast_log_prob(model.means(SLATES[..., order]), SLATES[..., order], turned),
        expected,
        atol=1e-6,
        rtol=1e-5,
    )


@pytest.mark.parametrize("grouped", [True, False])
def test_a_draw_is_one_world_for_each_user(grouped: bool) -> None:
    values = slate_model(grouped=grouped).draw(SLATES, torch.Generator().manual_seed(1))
    assert torch.equal(values.vectors[0, 0, 1], values.vectors[0, 1, 1])
    assert torch.equal(values.vectors[1, 0, 0], values.vectors[1, 1, 1])
    assert not torch.isclose(values.vectors[0, 0, 0], values.vectors[1, 0, 1]).any()
    assert not torch.isclose(values.initial_noise[0], values.initial_noise[1]).any()
    assert values.no_click[0].unique().numel() == 3
    assert values.no_click[0, 0] != values.no_click[1, 1]


def test_draws_lie_around_the_means(generator: torch.Generator) -> None:
    model = slate_model()
    drawn, means = model.draw(SLATES[:1].repeat(20_000, 1, 1), generator), model.means(SLATES[:1])
    shown = SLATES[0] >= 0
    torch.testing.assert_close(drawn.vectors.mean(0)[shown], means.vectors[0][shown], atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.initial_noise.mean(0), means.initial_noise[0], atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.initial_noise.std(0), torch.ones(4), atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.no_click.mean(0), means.no_click[0], atol=0.02, rtol=0)
    assert drawn.no_click.std(0).min() > 0.05


def test_a_repeated_item_shares_its_draw_with_the_click_that_moved_the_user() -> None:
    model = SlateModel(FlatItems(3, 4, deviation=1.0), MarkovUser(), slots=2)
    slates, click = torch.tensor([[[0, 1], [0, 2]]]), torch.tensor([[0, 0]])
    values = model.draw(slates, torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.forecast(values, click)[:, 1], values.vectors[:, 1, 0])
    log_prob = model.forecast_log_prob(values, slates, click)
    far = torch.stack([torch.zeros(1), -(values.vectors[0, 1, 0] - values.vectors[0, 1, 1]).norm().unsqueeze(0)], 1)
    expected = click_log_prob(far, torch.ones(1, 2).bool(), values.no_click[:, 1], click[:, 1])
    torch.testing.assert_close(log_prob[:, 1], expected)
    log_prob.sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


def test_what_is_shared_is_counted_once_each() -> None:
    model = slate_model()
    groups, every = torch.arange(2), torch.arange(3)
    items = model.items
    assert isinstance(items, GroupedItems)
    expected = (
        items.centres.kl(groups, 0.0, 1.0).sum()
        + items.log_scales.kl(groups, items.log_scale, 0.5).sum()
        + model.no_click.kl(every, 0.0, 1.0).sum()
    )
    torch.testing.assert_close(model.shared_kl(), expected)


def test_the_score_of_no_click_is_that_of_the_slates_length() -> None:
    model = slate_model()
    means = model.means(SLATES)
    expected = model.no_click.mean[torch.tensor([[2, 1, 0], [1, 2, 0]]), 0]
    assert torch.equal(means.no_click[SLATES[..., 0] >= 0], expected[SLATES[..., 0] >= 0])
    longer = replace(means, no_click=means.no_click + torch.tensor([0.0, 50.0, 0.0]))
    log_prob = model.forecast_log_prob(longer, SLATES, CLICK)
    assert log_prob[0, 1] > -1e-5 and log_prob[1, 1] < -30


def test_averaged_weights_are_the_likelihood_of_all_clicks() -> None:
    """Against drawing starts from the prior, under one value of the items."""
    model = slate_model(inner_product, GammaLinearUser(0.6)).requires_grad_(False)
    many, generator = 40_000, torch.Generator().manual_seed(0)
    means = model.means(SLATES)
    vectors, slates, click, no_click = (
        part.repeat(many, *[1] * (part.ndim - 1)) for part in (means.vectors, SLATES, CLICK, means.no_click)
    )
    values = SlateValues(vectors, torch.randn(2 * many, 4, generator=generator), no_click)
    weights = model.log_weight(values, slates, click, torch.ones_like(click).bool()).view(many, 2)
    users = model.user(
        model.initial_state.prior * torch.randn(2 * many, 4, generator=generator), *_clicked(values, click)
    )
    chosen = model.choices(users, values, slates).gather(2, click.where(click >= 0, 3).unsqueeze(-1))
    truth = chosen.sum((1, 2)).view(many, 2).exp().mean(0)
    torch.testing.assert_close(weights.exp().mean(0), truth, rtol=0.03, atol=0)
    assert (weights.mean(0) < truth.log()).all()
