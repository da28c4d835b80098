from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.data.datasets.prefixes import prefixes
from recsys.items.trie import Trie
from recsys.policies.generative import GenerativePolicy
from recsys.systems.sequential import SequentialSystem
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.table_generator import TableGenerator, ragged_codes
from tests.systems.conftest import ADAM
from tests.tiny import tiny_dataset, tiny_generator

Watch = Callable[[SequentialSystem], dict[str, float]]


def system(**options: object) -> SequentialSystem:
    return SequentialSystem(tiny_generator(dropout=0.0).eval(), ADAM, **options)


def test_memory_and_requests_are_aligned(batch: Context) -> None:
    one = system()
    memory, examples = one.encode(batch)
    alone = one.network.encode(examples.context)
    assert len(examples) == int((batch.history.lengths - 1).sum())
    torch.testing.assert_close(memory.states, alone.states)


def test_a_network_without_prefixes_encodes_each_request(batch: Context) -> None:
    network = TableGenerator(Trie.from_codes(ragged_codes(20, 2, 5)), users=24)
    memory, examples = SequentialSystem(network, ADAM).encode(batch)
    torch.testing.assert_close(memory, network.users[examples.context.users])


def test_whether_requests_exclude_what_a_user_had(batch: Context) -> None:
    _, unlike = system().encode(batch)
    _, alike = system(repeats=True).encode(batch)
    expected = batch.excluded.lengths.repeat_interleave(batch.history.lengths - 1)
    assert torch.equal(alike.context.excluded.lengths, expected)
    assert torch.equal(unlike.context.excluded.lengths, expected + unlike.context.history.lengths)


class Constant(GenerativePolicy):
    """The same log-probability for every item."""

    value = 0.0

    def catalogue_log_prob(self, context: Context) -> torch.Tensor:
        return torch.full((len(context), 20), self.value)


@pytest.mark.parametrize("value", [-3.0, float("nan")])
def test_scores_without_an_order_validate_as_nothing(value: float, watched: Watch) -> None:
    one = system(policy=type("Alike", (Constant,), {"value": value}))
    seen = watched(one)
    one.validation_step(tiny_dataset().validation, 0)
    assert seen["validation/ndcg@10"] == 0, "all tied: the mean rank of 20 items is 10.5"


def test_validation_ranks_the_target_among_legal_items(watched: Watch) -> None:
    one = system()
    seen, examples = watched(one), tiny_dataset().validation
    one.validation_step(examples, 0)
    requests = examples.context
    scores = one.network.catalogue_log_prob(one.network.encode(requests))
    gains = []
    for row, target in enumerate(examples.item.tolist()):
        excluded = set(requests.excluded.select(torch.tensor([row])).values.tolist())
        better = [item for item in range(20) if item not in excluded and scores[row, item] > scores[row, target]]
        rank = 1 + len(better)
        gains.append(1 / torch.tensor(rank + 1.0).log2().item() if rank <= 10 else 0.0)
    assert seen["validation/ndcg@10"] == pytest.approx(sum(gains) / len(gains), rel=1e-5)


def test_the_learning_rate_warms_up_and_stays() -> None:
    configured = system(warmup_steps=4).configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]
    assert schedule["interval"] == "step"
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])
    assert system(warmup_steps=0).configure_optimizers()["optimizer"].param_groups[0]["lr"] == 0.01


def test_scalars_are_logged_as_training(batch: Context, watched: Watch) -> None:
    one = system()
    seen = watched(one)
    one.log_training({"loss": torch.tensor(0.5)}, 3)
    assert seen == {"train/loss": 0.5}


def test_the_policy_is_that_of_the_legal_set() -> None:
    requests = Context(torch.tensor([0]), Jagged.from_rows([[1, 2]]), Jagged.from_rows([[1, 2]]))
    chances = system().policy.catalogue_log_prob(requests).exp()
    assert chances.sum().item() == pytest.approx(1.0)
    assert chances[0, [1, 2]].tolist() == [0.0, 0.0]


def test_prefixes_are_those_of_the_data(batch: Context) -> None:
    _, examples = system().encode(batch)
    assert torch.equal(examples.item, prefixes(batch, repeats=False).item)
