from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.rollouts.buffer import BLOCKS, ReplayBuffer
from recsys.rollouts.collection import collect
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, play
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.record import TensorRecord
from recsys.types.trajectory import Trajectory
from recsys.types.transition import Transition

SIMULATOR = PlantedGroups(num_items=20, groups=4, width=3, steps=5)


def transitions(count: int, users: int) -> list[Transition]:
    """Their users are numbered through, so that every row is told by its number."""
    config, found = EpisodeConfig(users, count, 2), []
    for step in play(SIMULATOR, UniformPolicy(20), config, EpisodeGenerators.seeded(0)):
        one = step.transition
        numbers = torch.arange(users) + users * len(found)
        found.append(one.replace(context=one.context.replace(users=numbers)))
    return found


def numbers(transition: Transition) -> list[int]:
    return transition.context.users.tolist()


@pytest.mark.parametrize(("capacity", "users"), [(7, 3), (7, 7), (7, 20), (200, 3), (64, 4), (1, 1), (1000, 3)])
def test_it_holds_the_latest_rows(capacity: int, users: int) -> None:
    buffer, added = ReplayBuffer[Transition](capacity), []
    for one in transitions(40, users):
        buffer.add(one)
        added += numbers(one)
        assert len(buffer) == min(capacity, len(added))
        assert numbers(buffer.select(torch.arange(len(buffer)))) == added[-capacity:]
    assert len(buffer._blocks) <= 2 * BLOCKS + 2


def test_rows_are_whole_and_come_in_the_order_named() -> None:
    buffer, added = ReplayBuffer[Transition](32), transitions(10, 3)
    for one in added:
        buffer.add(one)
    every = Transition.cat(added)
    rows = torch.tensor([29, 0, 7, 7, 15])
    found, expected = buffer.select(rows), every.select(rows)
    assert all(torch.equal(one, two) for one, two in zip(found.tensors(), expected.tensors(), strict=True))


@dataclass(frozen=True)
class Numbers(TensorRecord):
    """Rows that cost little to take."""

    number: Tensor

    def __len__(self) -> int:
        return len(self.number)


def test_a_sample_has_different_rows_all_equally_likely(generator: torch.Generator) -> None:
    buffer = ReplayBuffer[Numbers](10)
    for rows in torch.arange(15).split(3):
        buffer.add(Numbers(rows))
    drawn = torch.stack([buffer.sample(4, generator).number for _ in range(2000)])
    assert (drawn.sort(1).values.diff() > 0).all()
    counts = (drawn - 5).flatten().bincount(minlength=10)
    assert len(counts) == 10
    assert counts.float().std() < 4 * (2000 * 0.4 * 0.6) ** 0.5 / 2


def test_rows_of_trajectories_are_users() -> None:
    buffer, config = ReplayBuffer[Trajectory](6), EpisodeConfig(users=4, steps=3, slots=2)
    first, second = (collect(SIMULATOR, UniformPolicy(20), config, EpisodeGenerators.seeded(seed)) for seed in (0, 1))
    buffer.add(first)
    buffer.add(second)
    found = buffer.select(torch.tensor([5, 0]))
    assert (found.steps, found.users) == (3, 2)
    for row, user, source in ((0, 3, second), (1, 2, first)):
        one, two = found.select(torch.tensor([row])), source.select(torch.tensor([user]))
        assert all(torch.equal(part, twin) for part, twin in zip(one.tensors(), two.tensors(), strict=True))


def test_another_buffer_goes_on_with_its_rows(tmp_path) -> None:
    buffer, other, added = ReplayBuffer[Transition](20), ReplayBuffer[Transition](20), transitions(9, 4)
    for one in added[:7]:
        buffer.add(one)
    torch.save(buffer.state_dict(), tmp_path / "buffer.pt")
    other.load_state_dict(torch.load(tmp_path / "buffer.pt", weights_only=True), like=added[0])
    for one in added[7:]:
        buffer.add(one)
        other.add(one)
    every = torch.arange(20)
    pairs = zip(buffer.select(every).tensors(), other.select(every).tensors(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert buffer.nbytes == other.nbytes > 0


def test_gradients_stay_outside() -> None:
    [one] = transitions(1, 2)
    buffer = ReplayBuffer[Transition](2)
    log_prob = one.slates.log_prob.clone().requires_grad_()
    buffer.add(one.replace(slates=one.slates.replace(log_prob=log_prob)))
    assert not buffer.select(torch.arange(2)).slates.log_prob.requires_grad


def test_rows_with_other_fields_are_refused() -> None:
    buffer, config = ReplayBuffer[Trajectory](9), EpisodeConfig(users=3, steps=2, slots=1)
    plain = collect(SIMULATOR, UniformPolicy(20), config, EpisodeGenerators.seeded(0))
    buffer.add(plain)
    with pytest.raises(ValueError, match=r"Trajectory.value: some records have it"):
        buffer.add(plain.replace(value=torch.zeros(3, 3)))
    longer = collect(SIMULATOR, UniformPolicy(20), EpisodeConfig(3, 4, 1), EpisodeGenerators.seeded(0))
    with pytest.raises(ValueError, match=r"different numbers of steps: \[2, 4\]"):
        buffer.add(longer)
    assert len(buffer) == 3


def test_a_buffer_without_room_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="capacity=0"):
        ReplayBuffer(0)
