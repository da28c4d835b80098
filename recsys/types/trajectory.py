"""Trajectories of users over several steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from recsys.types.example import Example
from recsys.types.record import TensorRecord, require_indices


@dataclass(frozen=True)
class Trajectory(TensorRecord):
    """`T` steps of `B` users, with requests, slates and feedback.

    Args:
        example: `T · B` requests with their answers and feedback. Step `t` of user `b` is row `t · B + b`.
        active: `[T, B]`, true if the session of the user was not over before the step.
        done: `[T, B]`, true if the session was over after the step.
        value: `[T + 1, B]`, value of each step and after the last, by a critic; None without a critic.
        latents: further quantities of the policy by name, `[T, B, …]` each, such as latent actions and their
            log-probabilities.
    """

    example: Example
    active: Bool[Tensor, "T B"]
    done: Bool[Tensor, "T B"]
    value: Float[Tensor, "T1 B"] | None = None
    latents: Mapping[str, Shaped[Tensor, "T B ..."]] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.users

    @property
    def steps(self) -> int:
        """Number of steps `T`."""
        return self.active.shape[0]

    @property
    def users(self) -> int:
        """Number of users `B`."""
        return self.active.shape[1]

    @property
    def reward(self) -> Float[Tensor, "T B"]:
        """Reward of each step, `[T, B]`, summed over the slots of its slate; 0 after the end of a session."""
        earned = self.example.feedback.reward.flatten(1).sum(1).view(self.steps, self.users)
        return earned.masked_fill(~self.active, 0.0)

    def select(self, rows: Int[Tensor, " R"]) -> Trajectory:
        """Return the trajectories of the given users, in the given order."""
        require_indices(rows)
        grid = torch.arange(self.steps, device=rows.device).unsqueeze(1) * self.users + rows
        return Trajectory(
            self.example.select(grid.flatten()),
            self.active[:, rows],
            self.done[:, rows],
            None if self.value is None else self.value[:, rows],
            {name: value[:, rows] for name, value in self.latents.items()},
        )

    @classmethod
    def cat(cls, records: Sequence[Trajectory]) -> Trajectory:  # type: ignore[override]
        """Return the trajectories of all users of several records.

        Args:
            records: at least one record; all have the same number of steps, and values and latents of the same names,
                or none.

        Raises:
            ValueError: there is no record, numbers of steps differ, or some records have what others lack.
        """
        if not records:
            raise ValueError("Trajectory.cat needs at least one record")
        if len({one.steps for one in records}) > 1:
            raise ValueError(f"the trajectories have different numbers of steps: {[one.steps for one in records]}")
        if len({one.value is None for one in records}) > 1:
            raise ValueError("Trajectory.value: some records have it, others lack it")
        if any(one.latents.keys() != records[0].latents.keys() for one in records):
            raise ValueError(f"Trajectory.latents: the records name {[sorted(one.latents) for one in records]}")
        users = torch.tensor([0, *(one.users for one in records)]).cumsum(0).tolist()
        steps, total = records[0].steps, users[-1]
        joined = Example.cat([one.example for one in records])
        starts = [steps * first for first in users[:-1]]
        index = torch.empty(steps, total, dtype=torch.int64)
        for one, first, start in zip(records, users, starts, strict=False):
            rows = torch.arange(steps * one.users).view(steps, one.users)
            index[:, first : first + one.users] = start + rows
        values = [one.value for one in records if one.value is not None]
        return cls(
            joined.select(index.flatten().to(records[0].active.device)),
            torch.cat([one.active for one in records], 1),
            torch.cat([one.done for one in records], 1),
            torch.cat(values, 1) if values else None,
            {name: torch.cat([one.latents[name] for one in records], 1) for name in records[0].latents},
        )
