"""A data module over a simulator: it collects with the policy that is being trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.data.datasets.training_data import TrainingData
from recsys.errors import ConfigurationError
from recsys.policies.latent import Latents
from recsys.policies.policy import Policy
from recsys.ranges import at_least, is_seed
from recsys.rollouts.buffer import ReplayBuffer
from recsys.rollouts.collection import collect, trajectory_of
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, Step, play
from recsys.rollouts.preparation import PreparedSimulator
from recsys.simulate.simulator import Simulator, show, with_rows
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates
from recsys.types.trajectory import Trajectory

TRAINING_SEED, VALIDATION_SEED = 1_000_000, 2_000_000
"""Added to a seed, so that training, validation and the bench (seeds from 0) have users of their own."""


@runtime_checkable
class TrajectoryLearner(Protocol):
    """What a system that learns from trajectories in a simulator offers the data module."""

    @property
    def policy(self) -> Policy:
        """Return the policy as it is now."""
        ...

    def value(self, context: Context) -> Float[Tensor, " B"]:
        """Return what the critic expects of each request from now on."""
        ...


class SimulatorData(TrainingData):
    """Trajectories of the system's current policy, in minibatches of users.

    An epoch begins with `steps` more steps of `users` users, shown by the policy as it is then; who was done is
    replaced before. They go into a buffer, from which every pass over them draws `users` rows: with the default
    `capacity` exactly the new ones, in random order (on-policy); with a larger one also older ones (off-policy).
    Validation plays whole episodes of the same users, whatever the epoch.

    Where training stands is in `state_dict`, at any batch: users, generators, buffer and order. It needs memory for
    `capacity` trajectories (`ReplayBuffer`) and goes on on the CPU or one GPU, not in several processes.

    Args:
        simulator: whose users they are, as such or as a run has prepared it.
        users: of an epoch.
        steps: of an epoch.
        slots: of a slate.
        batch_size: users of a minibatch; None takes all.
        passes: over the trajectories of an epoch.
        capacity: trajectories that the buffer holds, at least as many as users; None as many as users.
        validation_users: of a validation; None as many as users.
        validation_steps: slates a user is shown at most in a validation; None as many as steps.
        seed: of everything random here.

    Raises:
        ConfigurationError: a number is below 1, or the capacity below the number of users.
    """

    def __init__(
        self,
        simulator: Simulator[Any] | PreparedSimulator,
        users: int = 64,
        steps: int = 20,
        slots: int = 2,
        batch_size: int | None = None,
        passes: int = 1,
        capacity: int | None = None,
        validation_users: int | None = None,
        validation_steps: int | None = None,
        seed: int = 0,
    ) -> None:
        at_least(1, validation_users=validation_users, validation_steps=validation_steps)
        is_seed(seed=seed)
        super().__init__()
        self.simulator = simulator.simulator if isinstance(simulator, PreparedSimulator) else simulator
        self.episode = EpisodeConfig(users, steps, slots)
        self.validation = EpisodeConfig(validation_users or users, validation_steps or steps, slots)
        self.batch_size = users if batch_size is None else batch_size
        self.passes = passes
        self.seed = seed
        at_least(1, batch_size=self.batch_size, passes=passes)
        at_least(users, capacity=capacity)
        self.buffer = ReplayBuffer[Trajectory](users if capacity is None else capacity)
        self._generators = EpisodeGenerators.seeded(TRAINING_SEED + seed)
        self._shuffle = torch.Generator().manual_seed(seed)
        self._users: Any = None
        self._latents: Latents | None = None
        self._order = torch.zeros(0, users, dtype=torch.int64)
        self.given = 0

    @property
    def learner(self) -> TrajectoryLearner:
        """Return the system that is trained."""
        assert self.trainer is not None
        return cast(TrajectoryLearner, self.trainer.lightning_module)

    def setup(self, stage: str) -> None:
        """Prepare to collect on the trainer's device."""
        assert self.trainer is not None
        self._generators = EpisodeGenerators.seeded(TRAINING_SEED + self.seed, self.trainer.strategy.root_device)

    @override
    def training_batches(self, rank: int, world_size: int) -> TrajectoryBatches:
        """Return the minibatches of an epoch.

        Raises:
            ConfigurationError: there are several processes.
        """
        if world_size > 1:
            raise ConfigurationError("trajectories of a simulator are collected in one process: set trainer.devices=1")
        return TrajectoryBatches(self)

    @override
    def validation_batches(self) -> ValidationEpisode:
        return ValidationEpisode(self)

    def batches(self) -> Iterator[Trajectory]:
        """Yield the minibatches of an epoch, those that are left where training stands within one."""
        if self.given in (0, self.num_batches):
            self._collect()
        while self.given < self.num_batches:
            number, part = divmod(self.given, self._batches_of_a_pass)
            self.given += 1
            yield self.buffer.select(self._order[number].split(self.batch_size)[part].to(self._device))

    @property
    def num_batches(self) -> int:
        """Return how many minibatches an epoch has."""
        return self.passes * self._batches_of_a_pass

    def state_dict(self) -> dict[str, Any]:
        """Return where training stands, in plain values and tensors."""
        users = self._users
        return {
            "generators": self._generators.state_dict(),
            "shuffle": self._shuffle.get_state(),
            "users": None if users is None else {one.name: getattr(users, one.name) for one in fields(users)},
            "latents": None if self._latents is None else dict(self._latents),
            "buffer": self.buffer.state_dict(),
            "order": self._order,
            "given": self.given,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another data module of the same simulator and sizes stood."""
        self._generators.load_state_dict(state_dict["generators"])
        self._shuffle.set_state(state_dict["shuffle"].cpu())
        users = state_dict["users"]
        if users is not None:
            blank = self.simulator.reset(self.episode.users, torch.Generator(self._device))
            kept = {name: None if part is None else part.to(self._device) for name, part in users.items()}
            self._users = replace(blank, **kept)
        latents = state_dict["latents"]
        self._latents = None if latents is None else {name: one.to(self._device) for name, one in latents.items()}
        like = blank_trajectory(self.simulator, self.episode, latents or {}).to(self._device)
        self.buffer.load_state_dict(state_dict["buffer"], like)
        self._order, self.given = state_dict["order"], state_dict["given"]

    @property
    def _batches_of_a_pass(self) -> int:
        return -(-self.episode.users // self.batch_size)

    @property
    def _device(self) -> torch.device:
        return self._generators.simulator.device

    @torch.no_grad()
    def _collect(self) -> None:
        learner = self.learner
        users = self._present_users()
        steps = list(play(self.simulator, learner.policy, self.episode, self._generators, users, self._latents))
        self._users, self._latents = steps[-1].after, steps[-1].latents
        self.buffer.add(trajectory_of(steps, learner.value))
        draws = [torch.randperm(len(self.buffer), generator=self._shuffle) for _ in range(self.passes)]
        self._order = torch.stack([draw[: self.episode.users] for draw in draws])
        self.given = 0

    def _present_users(self) -> Any:
        """Return where the users stand, fresh ones in place of those whose session is over."""
        if self._users is None:
            return None
        done = self._users.done
        if not done.any():
            return self._users
        return with_rows(self._users, self.simulator.reset(len(done), self._generators.simulator), done)


class TrajectoryBatches:
    """The minibatches of an epoch of `SimulatorData`.

    Args:
        data: gives them.
    """

    def __init__(self, data: SimulatorData) -> None:
        self._data = data

    def __len__(self) -> int:
        return self._data.num_batches

    def __iter__(self) -> Iterator[Trajectory]:
        return self._data.batches()

    def state_dict(self) -> dict[str, int]:
        """Return how many minibatches were given; where training stands is in the state of the data module."""
        return {"given": self._data.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Do nothing: the data module has loaded its own state."""


class ValidationEpisode:
    """One batch: an episode of fixed users, shown by the policy as it is when the batch is asked for.

    Args:
        data: knows simulator, sizes and policy.
    """

    def __init__(self, data: SimulatorData) -> None:
        self._data = data

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Trajectory]:
        data = self._data
        generators = EpisodeGenerators.seeded(VALIDATION_SEED + data.seed, data._device)
        yield collect(data.simulator, data.learner.policy, data.validation, generators)


def blank_trajectory(simulator: Simulator[Any], episode: EpisodeConfig, latents: Latents) -> Trajectory:
    """Return a trajectory of one user with the fields, values included, that trajectories of a simulator have.

    Args:
        simulator: whose users they would be.
        episode: its steps and slots.
        latents: of a step of any users, at least one if there are any names.
    """
    generator = torch.Generator().manual_seed(0)
    state = simulator.reset(1, generator)
    items = torch.arange(episode.slots).view(1, 1, -1)
    slates = Slates(items, torch.zeros(items.shape), SamplingMethod.SAMPLE)
    after, transition = show(simulator, state, simulator.observe(state), slates, generator)
    one = {name: value[:1] for name, value in latents.items()}
    steps: Sequence[Step] = [Step(state, transition, after, 0.0, one)] * episode.steps
    return trajectory_of(steps, lambda context: torch.zeros(len(context)))
