from __future__ import annotations

from functools import partial
from typing import Any

import lightning
import pytest
import torch

from recsys.data.datasets.slate_loader import SlateLoader
from recsys.data.datasets.user_slates import Exposure
from recsys.models.slates.initial_state import InitialState
from recsys.models.slates.item_posterior import FlatItems, GroupedItems
from recsys.models.slates.slate_model import SlateModel, SlateValues
from recsys.models.slates.user_state import GammaLinearUser, MarkovUser
from recsys.nn.affinity import inner_product
from recsys.systems.slate_elbo import SlateElboSystem
from tests.slate_logs import slate_log, tiny_log

ADAM = partial(torch.optim.Adam, lr=0.05)
GROUP = torch.tensor([0, 0, 0, 1, 1, 1])
TRAIN = torch.tensor([1, 1, 0, 1, 1, 0, 1, 1, 1, 1]).bool()
"""One slate that does not count stands before others that do."""


def system(batches: int = 2, **options: Any) -> SlateElboSystem:
    torch.manual_seed(0)
    model = SlateModel(GroupedItems(GROUP, 3, initial=0.5, deviation=0.3), GammaLinearUser(), slots=3)
    made = SlateElboSystem(model, Exposure.from_log(tiny_log(), TRAIN), batches, ADAM, **options)
    made.log = lambda *_, **__: None  # type: ignore[method-assign]
    return made


def thrice(values: SlateValues) -> SlateValues:
    return SlateValues(values.vectors, values.initial_noise.expand(3, -1, -1), values.no_click)


def full_negative_elbo(made: SlateElboSystem, temperature: float) -> torch.Tensor:
    """Impression by impression and item by item, at the posterior means."""
    (everyone,) = SlateLoader(tiny_log(), TRAIN, users=9, shuffle=False)
    means = made.model.means(everyone.slates)
    weights = made.model.log_weight(means, everyone.slates, everyone.click, everyone.loss_mask, temperature)
    divergence = sum(made.model.items.kl(torch.tensor([item])) for item in range(5)) + made.model.shared_kl()
    return -weights.sum() + divergence


@pytest.mark.parametrize("temperature", [1.0, 0.05])
@pytest.mark.parametrize("users", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_epoch_is_the_bound_whatever_the_batches(users: int, seed: int, temperature: float) -> None:
    loader = SlateLoader(tiny_log(), TRAIN, users, seed)
    made = system(len(loader), temperature=temperature).double()
    parts = [made.negative_elbo(thrice(made.model.means(batch.slates)), batch) for batch in loader]
    assert len(parts) == -(-4 // users)
    expected = full_negative_elbo(made, temperature)
    torch.testing.assert_close(torch.stack(parts).sum(), expected.squeeze())
    found = torch.autograd.grad(torch.stack(parts).sum(), list(made.parameters()))
    exact = torch.autograd.grad(expected, list(made.parameters()))
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_has_its_slots_and_slates_share_of_every_divergence() -> None:
    made, occurrences = system(), Exposure.from_log(tiny_log(), TRAIN).occurrences
    assert occurrences.tolist() == [4, 5, 4, 3, 2, 0]
    batch = list(SlateLoader(tiny_log(), TRAIN, 1, shuffle=False))[2]
    assert batch.slates[0, batch.loss_mask[0]].tolist() == [[1, 2, 3], [3, -1, -1], [1, 0, -1]]
    values = made.model.means(batch.slates)
    likelihood = made.model.log_weight(values, batch.slates, batch.click, batch.loss_mask).sum()
    own = made.model.items.kl(torch.arange(4)) @ torch.tensor([1 / 4, 2 / 5, 1 / 4, 2 / 3])
    expected = -likelihood + own + 3 / 8 * made.model.shared_kl()
    torch.testing.assert_close(made.negative_elbo(values, batch), expected)


def test_the_loss_of_a_step_is_nats_a_slate_under_one_draw() -> None:
    loader = SlateLoader(tiny_log(), TRAIN, 2, shuffle=False)
    made = system(len(loader), seed=3)
    for index, batch in enumerate(loader):
        values = made.draw(batch.slates, torch.Generator().manual_seed(3 * 1_000_003 + index))
        loss = made.training_step(batch, index)
        torch.testing.assert_close(loss, made.negative_elbo(values, batch) * 2 / 8)
    assert made.training_step(batch, 0) != made.training_step(batch, 1)


def test_an_item_that_training_never_shows_keeps_its_prior() -> None:
    made = system()
    assert made.model.items.kl(torch.tensor([5])).item() == pytest.approx(0.0, abs=1e-6)
    before = [value.clone() for value in made.model.items.own.parameters()]
    fit(made, SlateLoader(tiny_log(), TRAIN, 2), epochs=5)
    for old, new in zip(before, made.model.items.own.parameters(), strict=True):
        assert torch.equal(old[5], new[5])
        assert not torch.isclose(old[:5], new[:5]).all(1).any()
    (everyone,) = SlateLoader(tiny_log(), TRAIN, users=9)
    made.zero_grad()
    made.training_step(everyone, 0).backward()
    assert all(not value.grad[5].any() and value.grad[:5].any() for value in made.model.items.own.parameters())


def fit(made: SlateElboSystem, loader: SlateLoader, epochs: int) -> None:
    """As a trainer does it, without one."""
    optimizer = made.configure_optimizers()
    for epoch in range(epochs):
        for index, batch in enumerate(loader):
            loss = made.training_step(batch, epoch * len(loader) + index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@pytest.mark.parametrize("clicks", [0, 3, 17])
def test_the_bound_of_one_unknown_number_comes_close_to_the_evidence(clicks: int) -> None:
    """Only `b` is unknown: everything else has its prior for a posterior, and items and users are at 0."""
    log = slate_log([[[0]]] * 40, [[0]] * clicks + [[-1]] * (40 - clicks), [0])
    loss_mask = torch.ones(40, dtype=torch.bool)
    model = SlateModel(
        FlatItems(1, 1, 1e-4, 1.0, 0.0), MarkovUser(), 1, inner_product, InitialState(1e-4, evidence=1e6), deviation=1.0
    )
    made = SlateElboSystem(model, Exposure.from_log(log, loss_mask), 1, partial(torch.optim.Adam, lr=0.04))
    made.log = lambda *_, **__: None  # type: ignore[method-assign]
    fit(made, SlateLoader(log, loss_mask, 40), epochs=200)

    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(grid)
    joint = prior - clicks * (1 + grid.exp()).log() - (40 - clicks) * (1 + (-grid).exp()).log()
    evidence = joint.logsumexp(0) + torch.tensor(16 / 4000).double().log()
    exact = (joint - joint.logsumexp(0)).exp()
    mean = (exact * grid).sum()
    deviation = (exact * (grid - mean).square()).sum().sqrt()
    assert model.no_click.mean.item() == pytest.approx(mean.item(), abs=0.1)
    assert model.no_click.log_deviation.exp().item() == pytest.approx(deviation.item(), rel=0.15)

    batch = next(iter(SlateLoader(log, loss_mask, 40)))
    draws = [made.negative_elbo(made.draw(batch.slates, torch.Generator().manual_seed(s)), batch) for s in range(250)]
    bound = -torch.stack(draws).mean().item()
    assert evidence.item() - 0.15 < bound < evidence.item() + 0.05


def test_validation_is_the_likelihood_of_what_counts() -> None:
    made, seen = system(), {}
    made.log = lambda name, value, **options: seen.update({name: (value, options["batch_size"])})
    (batch,) = SlateLoader(tiny_log(), ~TRAIN, users=9)
    made.validation_step(batch, 0)
    generator = torch.Generator().manual_seed(0)
    draws = [made.model.draw(batch.slates, generator) for _ in range(8)]
    each = torch.stack([made.model.forecast_log_prob(one, batch.slates, batch.click)[batch.loss_mask] for one in draws])
    value, slates = seen["validation/log_likelihood"]
    assert slates == 2
    torch.testing.assert_close(value, each.exp().mean(0).log().mean())


def test_lightning_trains_it(tmp_path) -> None:
    train, held = SlateLoader(tiny_log(), TRAIN, 2, seed=1), SlateLoader(tiny_log(), ~TRAIN, 2, shuffle=False)
    made = system(len(train))
    del made.log
    trainer = lightning.Trainer(
        max_epochs=30, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(made, train, held)
    assert trainer.global_step == 60
    before = full_negative_elbo(system(), 1.0)
    assert full_negative_elbo(made, 1.0) < before - 1
    assert trainer.callback_metrics["validation/log_likelihood"] < 0
