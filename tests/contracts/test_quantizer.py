"""The laws of every quantizer. A new one joins by a line in `QUANTIZERS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.errors import DataError
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.quantizer import Quantizer, codes_of_new
from recsys.items.residual_quantizer import ResidualKMeans
from recsys.items.rq_vae import RqVae

QUANTIZERS: dict[str, Callable[[], Quantizer]] = {
    "residual k-means": lambda: ResidualKMeans(levels=3, codes=8),
    "balanced k-means": lambda: BalancedKMeans(levels=3, codes=8),
    "RQ-VAE": lambda: RqVae(dimensions=16, levels=3, codes=8, hidden=32, latent=8, epochs=80, batch_size=64),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def separated_vectors() -> Float[Tensor, "N D"]:
    """256 vectors: 8 coarse centres, 8 finer offsets, noise; each level lies well inside the one before."""
    coarse = 8 * torch.eye(16)[torch.arange(256) % 8]
    fine = 1.5 * torch.eye(16)[8 + torch.arange(256) // 8 % 8]
    return coarse + fine + 0.05 * torch.randn(256, 16, generator=seeded(3))


@dataclass(frozen=True)
class Fitted:
    make: Callable[[], Quantizer]
    quantizer: Quantizer
    x: Float[Tensor, "N D"]
    codes: Int[Tensor, "N L"]


@pytest.fixture(scope="module", params=QUANTIZERS.values(), ids=QUANTIZERS.keys())
def fitted(request: pytest.FixtureRequest) -> Fitted:
    quantizer, x = request.param(), separated_vectors()
    return Fitted(request.param, quantizer, x, quantizer.fit_encode(x, seeded()))


def test_satisfies_the_protocol_with_codes_in_range(fitted: Fitted) -> None:
    quantizer, codes = fitted.quantizer, fitted.codes
    assert isinstance(quantizer, Quantizer)
    assert codes.shape == (256, quantizer.levels) and codes.dtype == torch.int64
    assert len(quantizer.codes_per_level) == quantizer.levels
    assert (codes >= 0).all() and (codes < torch.tensor(quantizer.codes_per_level)).all()
    decoded = quantizer.decode(codes)
    assert decoded.shape == fitted.x.shape and decoded.dtype == torch.float32


def test_encode_agrees_with_the_fit_and_not_with_the_batch(fitted: Fitted) -> None:
    encode, rows = fitted.quantizer.encode, torch.randperm(256, generator=seeded())[:40]
    assert torch.equal(encode(fitted.x), fitted.codes)
    assert torch.equal(encode(fitted.x[rows]), fitted.codes[rows])
    assert torch.equal(encode(fitted.x[5:6]), fitted.codes[5:6])


def test_error_never_grows_with_a_level(fitted: Fitted) -> None:
    levels = range(1, fitted.quantizer.levels + 1)
    decoded = [fitted.quantizer.decode(fitted.codes[:, :level]) for level in levels]
    error = [float((fitted.x - coarse).square().sum(-1).mean()) for coarse in decoded]
    assert error == sorted(error, reverse=True)
    assert error[1] < 0.1 * (fitted.x - fitted.x.mean(0)).square().sum(-1).mean()


def test_decoded_vectors_keep_their_codes_at_levels_well_apart(fitted: Fitted) -> None:
    again = fitted.quantizer.encode(fitted.quantizer.decode(fitted.codes))
    assert torch.equal(again[:, :2], fitted.codes[:, :2])


def test_equal_generators_give_equal_codes(fitted: Fitted) -> None:
    assert torch.equal(fitted.make().fit(fitted.x, seeded()).encode(fitted.x), fitted.codes)


def test_a_state_dict_carries_everything(fitted: Fitted) -> None:
    fresh = fitted.make()
    assert isinstance(fitted.quantizer, nn.Module) and isinstance(fresh, nn.Module)
    fresh.load_state_dict(fitted.quantizer.state_dict())
    assert torch.equal(fresh.encode(fitted.x), fitted.codes)
    assert torch.equal(fresh.decode(fitted.codes), fitted.quantizer.decode(fitted.codes))


def test_refuses_what_cannot_be_fitted(fitted: Fitted) -> None:
    with pytest.raises(DataError, match="at least as many item vectors, found 7"):
        fitted.make().fit(fitted.x[:7], seeded())
    with pytest.raises(DataError, match="vector of item 3 is not finite"):
        fitted.make().fit(fitted.x.index_fill(0, torch.tensor(3), torch.nan), seeded())


def test_new_vectors_have_codes_that_depend_on_them_alone(fitted: Fitted) -> None:
    new = separated_vectors() + 0.02
    codes = codes_of_new(fitted.quantizer, new)
    assert codes.shape == (256, fitted.quantizer.levels) and codes.dtype == torch.int64
    assert torch.equal(codes_of_new(fitted.quantizer, new[7:9]), codes[7:9])
    assert (codes >= 0).all() and (codes < torch.tensor(fitted.quantizer.codes_per_level)).all()
    error = (new - fitted.quantizer.decode(codes)).square().sum(-1).mean()
    assert error <= (new - fitted.quantizer.decode(fitted.quantizer.encode(new))).square().sum(-1).mean() * 1.05
