from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.nn.embedding import Embedding, TorchEmbedding, TorchrecEmbedding
from recsys.types.jagged import Jagged
from tests.nn.row_wise_adagrad import RowWiseAdagrad

TABLES = {"item": 7, "code": 5}
BACKENDS = [TorchEmbedding, TorchrecEmbedding]


def batch(seed: int = 0) -> dict[str, Jagged]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([2, 0, 3])
    return {
        name: Jagged.from_lengths(torch.randint(rows, (5,), generator=generator), lengths)
        for name, rows in TABLES.items()
    }


def twin(backend: type[Embedding], **options: float) -> Embedding:
    torch.manual_seed(0)
    reference = TorchEmbedding(TABLES, width=8)
    embedding = backend(TABLES, width=8, **options)
    embedding.load_state_dict(reference.state_dict())
    return embedding


def loss_of(embedding: Embedding, seed: int) -> torch.Tensor:
    rows = embedding(batch(seed))
    return (rows["item"].values - 1).square().sum() + (rows["code"].values * rows["item"].values).sum()


def trajectory(
    embedding: Embedding, optimizer: torch.optim.Optimizer | None, steps: int = 6
) -> dict[str, torch.Tensor]:
    for step in range(steps):
        loss = loss_of(embedding, step)
        if optimizer is not None:
            optimizer.zero_grad()
        loss.backward()
        if optimizer is not None:
            optimizer.step()
    return {name: value.clone() for name, value in embedding.state_dict().items() if name.endswith("weight")}


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_are_the_table_s(backend: type[Embedding]) -> None:
    embedding = twin(backend)
    features = batch()
    rows = embedding(features)
    for name, feature in features.items():
        table = embedding.state_dict()[f"collection.embeddings.{name}.weight"]
        torch.testing.assert_close(rows[name].values, table[feature.values], rtol=0, atol=0)
        assert torch.equal(rows[name].offsets, feature.offsets)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_table_may_be_left_out(backend: type[Embedding]) -> None:
    embedding = twin(backend)
    code = batch()["code"]
    rows = embedding({"code": code})
    torch.testing.assert_close(rows["code"].values, embedding(batch())["code"].values)
    assert list(rows) == ["code"]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda weights: torch.optim.AdamW(weights, lr=0.1),
        lambda weights: torch.optim.Adagrad(weights, lr=0.1),
        lambda weights: RowWiseAdagrad(weights, lr=0.1),
    ],
)
def test_torchrec_trains_as_torch_does(optimizer: Callable[..., torch.optim.Optimizer]) -> None:
    ours, theirs = twin(TorchEmbedding), twin(TorchrecEmbedding)
    torch.testing.assert_close(
        trajectory(ours, optimizer(ours.parameters())), trajectory(theirs, optimizer(theirs.parameters()))
    )


def test_row_wise_adagrad_is_torchrec_s() -> None:
    from torchrec.optim.rowwise_adagrad import RowWiseAdagrad as Theirs

    first, second = twin(TorchEmbedding), twin(TorchEmbedding)
    expected = trajectory(second, Theirs(second.parameters(), lr=0.1))
    torch.testing.assert_close(trajectory(first, RowWiseAdagrad(first.parameters(), lr=0.1)), expected)


@pytest.mark.parametrize("backend", [TorchEmbedding, TorchrecEmbedding])
def test_the_shared_table_is_the_one_looked_up(backend: type[Embedding]) -> None:
    embedding = twin(backend)
    embedding(batch())["item"].values.sum().backward()
    counts = torch.bincount(batch()["item"].values, minlength=7).float()
    torch.testing.assert_close(embedding.weight("item").grad, counts.unsqueeze(1).expand(7, 8))


@pytest.mark.parametrize("backend", BACKENDS)
def test_initial_rows_have_length_one(backend: type[Embedding]) -> None:
    torch.manual_seed(0)
    embedding = backend({"item": 2000}, 16)
    weight = embedding.state_dict()["collection.embeddings.item.weight"]
    assert abs(weight.norm(dim=1).square().mean().item() - 1) < 0.05


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_feature_without_a_table(backend: type[Embedding]) -> None:
    with pytest.raises(ConfigurationError, match="'user' has no embedding table"):
        twin(backend)({"user": batch()["item"]})


@pytest.mark.parametrize("backend", BACKENDS)
def test_features_of_different_batches(backend: type[Embedding]) -> None:
    with pytest.raises(ConfigurationError, match="same number of rows"):
        twin(backend)({"item": batch()["item"], "code": Jagged.empty(2)})
    with pytest.raises(ConfigurationError, match="needs features"):
        twin(backend)({})
