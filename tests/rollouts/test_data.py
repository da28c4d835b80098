from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.rollouts.data import SimulatorData
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.types.trajectory import Trajectory
from tests.rollouts.learners import Moody, Seen, actor_critic, data, trained

pytestmark = pytest.mark.usefixtures("ctrl_c")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return trained(actor_critic(), data(), tmp_path_factory.mktemp("whole"))


def users_of(batch: Trajectory) -> list[int]:
    return batch.example.context.users.view(batch.steps, batch.users)[0].tolist()


def test_an_epoch_goes_over_all_users_so_often_in_minibatches(seen: Seen) -> None:
    sizes = [batch.users for batch in seen.batches]
    assert sizes == [5, 5, 2] * 2 * 3
    for first in range(0, 18, 3):
        asked = chain.from_iterable(users_of(one) for one in seen.batches[first : first + 3])
        assert sorted(asked) == list(range(12))
    assert users_of(seen.batches[0]) != users_of(seen.batches[3]) != users_of(seen.batches[6])
    assert all(batch.steps == 4 and batch.value is not None for batch in seen.batches)
    assert len(seen.validations) == 3


def epoch_of(seen: Seen, number: int) -> Trajectory:
    """All users of an epoch in their order."""
    batches = seen.batches[6 * number : 6 * number + 3]
    every = Trajectory.cat(batches)
    return every.select(torch.tensor(users_of(every)).argsort())


def test_users_go_on_where_they_stood_and_who_is_done_is_replaced(seen: Seen) -> None:
    first, second, third = (epoch_of(seen, number) for number in range(3))
    assert first.active[0].all() and second.active[0].all() and third.active[0].all()
    done = second.done[-1]
    assert done.any() and not done.all()
    before, after = (
        one.example.context.interests.view(4, 12, -1)  # type: ignore[attr-defined]
        for one in (second, third)
    )
    moved = (after[0] - before[-1]).abs().max(1).values
    assert (moved[~done] < 0.61).all(), "a step moves an interest by .6 at most"
    assert (moved[done] > 0.61).all(), "a new user has other interests"


def test_training_validation_and_bench_have_users_of_their_own(seen: Seen) -> None:
    simulator = InterestEvolution(budget=25.0)
    bench = simulator.reset(12, torch.Generator().manual_seed(0))
    own = epoch_of(seen, 0).example.context.interests[:12]  # type: ignore[attr-defined]
    assert not torch.isin(own, bench.interests).any()


@pytest.mark.parametrize("after", [1, 4, 6, 7, 12, 17])
def test_resumed_equals_uninterrupted_at_any_batch(after: int, seen: Seen, tmp_path: Path) -> None:
    """Within a pass, between passes, and at the last batch of an epoch, whose validation was still to come."""
    first = trained(actor_critic(), data(), tmp_path, after=after)
    rest = trained(actor_critic(), data(), tmp_path, resume=True)
    batches = [*first.batches, *rest.batches]
    assert len(batches) == len(seen.batches)
    for one, two in zip(batches, seen.batches, strict=True):
        assert all(torch.equal(part, twin) for part, twin in zip(one.tensors(), two.tensors(), strict=True))


@pytest.mark.parametrize("after", [1, 6, 7])
def test_latent_actions_outlast_an_epoch_and_an_interruption(after: int, tmp_path: Path) -> None:
    whole = trained(actor_critic(kind=Moody), data(), tmp_path / "whole")
    for number in range(3):
        found = epoch_of(whole, number).latents
        assert (found["age"] == torch.arange(1, 5).unsqueeze(1) + 4 * number).all()
        assert torch.equal(found["mood"], epoch_of(whole, 0).latents["mood"])
    first = trained(actor_critic(kind=Moody), data(), tmp_path, after=after)
    rest = trained(actor_critic(kind=Moody), data(), tmp_path, resume=True)
    for one, two in zip([*first.batches, *rest.batches], whole.batches, strict=True):
        assert all(torch.equal(part, twin) for part, twin in zip(one.tensors(), two.tensors(), strict=True))
        assert one.latents.keys() == two.latents.keys() == {"mood", "age", "begins", "log_prob"}


def test_older_trajectories_are_drawn_from_a_larger_buffer(tmp_path: Path) -> None:
    seen = trained(actor_critic(), data(capacity=24, batch_size=12, passes=4), tmp_path, epochs=3)
    kept = [{tuple(row.tolist()) for row in batch.reward.T} for batch in seen.batches]
    new = set().union(*kept[8:]) - set().union(*kept[:8])
    assert all(batch.users == 12 for batch in seen.batches)
    assert len(kept[0]) == len(set().union(*kept[:4])), "the first epoch has its own trajectories only"
    assert new and any(one & set().union(*kept[4:8]) for one in kept[8:])


@pytest.mark.parametrize("wrong", [{"users": 0}, {"batch_size": 0}, {"passes": 0}, {"capacity": 0}])
def test_numbers_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}=0"):
        SimulatorData(InterestEvolution(), **wrong)


def test_a_buffer_smaller_than_what_is_collected_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="capacity=19: expected at least 20"):
        SimulatorData(InterestEvolution(), users=20, capacity=19)


def test_several_processes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="in one process"):
        data().training_batches(0, 2)
