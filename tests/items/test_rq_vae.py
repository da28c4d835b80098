from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.items.rq_vae import RqVae


@pytest.fixture
def x() -> Tensor:
    return torch.randn(96, 6, generator=torch.Generator().manual_seed(0))


def small(**options: float) -> RqVae:
    defaults = {"levels": 2, "codes": 8, "hidden": 16, "latent": 4, "epochs": 20, "batch_size": 32}
    return RqVae(dimensions=6, **{**defaults, **options})


def test_training_lowers_the_error_of_the_start(x: Tensor) -> None:
    def error(model: RqVae) -> float:
        return float((x - model.decode(model.encode(x))).square().mean())

    start = error(small(epochs=0).fit(x, torch.Generator().manual_seed(0)))
    assert error(small(epochs=25, learning_rate=1e-2).fit(x, torch.Generator().manual_seed(0))) < 0.8 * start


def test_loss_by_hand() -> None:
    model = RqVae(dimensions=1, levels=2, codes=2, hidden=1, latent=1, commitment=0.25)
    model.encoder, model.decoder = torch.nn.Sequential(), torch.nn.Sequential()
    model.codebooks = torch.nn.Parameter(torch.tensor([[[0.0], [2.0]], [[0.0], [0.5]]]))
    x = torch.tensor([[2.4]], requires_grad=True)
    loss, codes = model._loss(x)
    assert codes.tolist() == [[1, 1]]
    reconstruction, levels = 0.1**2, 0.4**2 + 0.1**2
    assert loss.item() == pytest.approx(reconstruction + levels + 0.25 * levels, abs=1e-6)
    loss.backward()
    assert x.grad is not None and model.codebooks.grad is not None
    assert x.grad.item() == pytest.approx(0.25 * 2 * (0.4 - 0.1), abs=1e-5)
    assert model.codebooks.grad.flatten().tolist() == pytest.approx([0, -2 * 0.4, 0, 2 * 0.1], abs=1e-5)


def test_unused_codewords_move_to_residuals(x: Tensor, generator: torch.Generator) -> None:
    model = small().fit(x, generator)
    before = model.codebooks.detach().clone()
    unused = torch.zeros(2, 8, dtype=torch.bool)
    unused[1, 3] = True
    latent = model.encoder(x).detach()
    residual = latent - before[0][model.encode(x)[:, 0]]
    model._replace(unused, x, generator)
    assert torch.equal(model.codebooks[~unused], before[~unused])
    assert (residual - model.codebooks[1, 3]).abs().sum(-1).min() < 1e-5


def test_the_result_hangs_on_the_generator_alone(x: Tensor) -> None:
    torch.manual_seed(1)
    one = small().fit(x, torch.Generator().manual_seed(3))
    torch.manual_seed(2)
    other = small().fit(x, torch.Generator().manual_seed(3))
    assert torch.equal(one.codebooks, other.codebooks)


def test_options_reach_the_training(x: Tensor) -> None:
    base = small().fit(x, torch.Generator().manual_seed(3)).codebooks
    for changed in ({"commitment": 1.0}, {"learning_rate": 1e-2}, {"batch_size": 96}, {"epochs": 3}):
        other = small(**changed).fit(x, torch.Generator().manual_seed(3)).codebooks
        assert not torch.equal(base, other)
