"""Importance sampling of states in place of histories: counts of what follows what."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.episodes.episodes import Episodes


@dataclass(frozen=True)
class CellSums:
    """Counts of the log by cell, a state or a state and an action; `k = 1 + C + P (2 C + C²)` an episode.

    In this order: 1; `[C]` weight of first cells; `[P, C]` visits; `[P, C]` weighed rewards; `[P, C, C]` weighed moves
    from cell to cell. `P` is the number of steps kept apart. By state, what follows is weighed by the ratio of the
    action that led to it; by state and action, a cell is weighed by the ratio of its own action when it is entered. The
    last action of an episode that was cut off is no visit, except at the horizon, where nothing is to follow.

    Args:
        states: how many there are.
        actions: how many there are, or None to count states alone.
        horizon: at least the steps of the longest episode, each kept apart; None to count them together.
    """

    states: int
    actions: int | None
    horizon: int | None

    @property
    def cells(self) -> int:
        """`C`."""
        return self.states * (self.actions or 1)

    @property
    def sizes(self) -> list[int]:
        """Of the parts."""
        periods = self.horizon or 1
        return [1, self.cells, periods * self.cells, periods * self.cells, periods * self.cells**2]

    def __call__(self, batch: Episodes) -> Float[Tensor, "n k"]:
        """See `Terms`.

        Raises:
            RequestError: a state or an action is not one of those that there are, or an episode is too long.
        """
        batch = batch if self.horizon is None else batch.padded(self.horizon)
        cell, closed, ratio = self.cell(batch), batch.closed.clone(), batch.ratio
        if self.horizon is not None:
            closed[:, -1] = batch.there[:, -1]
        leave, enter = (ratio, torch.ones_like(ratio)) if self.actions is None else (torch.ones_like(ratio), ratio)
        goes_on = closed[:, :-1] & batch.there[:, 1:]
        period = torch.arange(cell.shape[1]) if self.horizon is not None else torch.zeros(cell.shape[1]).long()
        at = period * self.cells + cell
        _, first, visits, rewards, moves = (batch.reward.new_zeros(len(batch), size) for size in self.sizes)
        first.scatter_add_(1, cell[:, :1], torch.where(batch.there, enter, 0)[:, :1])
        visits.scatter_add_(1, at, closed.to(visits))
        rewards.scatter_add_(1, at, torch.where(closed, leave * batch.reward, 0))
        onward = torch.where(goes_on, leave[:, :-1] * enter[:, 1:], 0)
        moves.scatter_add_(1, at[:, :-1] * self.cells + cell[:, 1:], onward)
        return torch.cat([torch.ones_like(visits[:, :1]), first, visits, rewards, moves], 1)

    def cell(self, batch: Episodes) -> Int[Tensor, "n T"]:
        """Of each step, from 0; 0 after the end."""
        named = {"state": self.states} if self.actions is None else {"state": self.states, "action": self.actions}
        cell = torch.zeros_like(batch.need("state"))
        for name, size in named.items():
            part = batch.known(name)
            if ((part < 0) | (part >= size)).any():
                row, step = ((part < 0) | (part >= size)).nonzero()[0].tolist()
                raise RequestError(
                    f"episode {row} has {name} {int(part[row, step])} at step {step}, expected 0 to {size - 1}: "
                    f"tell the estimator how many there are"
                )
            cell = cell * size + part
        return cell


@dataclass(frozen=True)
class MarginalisedIPS:
    """`Σ_t γ^t Σ_c d_t(c) r_t(c)`, marginalised importance sampling, of states that can be counted.

    `d_t(c)` is how likely the policy is in cell `c` at step `t`: that of the log at the first step, then moved on by
    the log's own moves from cell to cell, weighed by the ratio of one action, not by the product of all. `r_t(c)` is
    the mean reward there, weighed alike. The error then grows with `T` as a power and not exponentially.

    Assumes that the state is all that matters: given `s_t` and `a_t`, reward and next state do not depend on what was
    before, nor does `π(a | s_t)`; on what the logging policy's choice depends is no matter. Consistent where this holds
    and the log has every cell that the policy reaches; biased where something that matters is hidden. A cell that the
    log does not have earns nothing and leads nowhere. By state and action the mean reward of a cell is not weighed at
    all, which varies less where the log has many of each cell.

    With `horizon`, moves and rewards may differ between steps. Without, they may not, all steps are counted together,
    and `d = Σ_t γ^t d_t` solves `d = d_0 + γ Pᵀ d`, however long it goes on; then `γ` must be below 1 unless episodes
    end. Memory is `k` numbers an episode and `k²` for the products: for tens of states, not for thousands.

    Sources: Xie, Ma, Wang 2019, "Towards optimal off-policy evaluation for reinforcement learning with marginalized
    importance sampling" (by state, with a horizon); Liu, Li, Tang, Zhou 2018, "Breaking the curse of horizon: infinite-
    horizon off-policy estimation" (without).

    Args:
        states: how many there are.
        actions: how many there are, to weigh by state and action; None to weigh by state.
        horizon: at least the steps of the longest episode; None for moves and rewards that are the same at any step.
        discount: `γ`, in [0, 1].

    >>> ones, states = torch.ones(1, 2), torch.tensor([[0, 1]])
    >>> estimator = MarginalisedIPS(states=2, horizon=2)
    >>> estimator.value(estimator.terms(Episodes(ones, ones / 2, ones * 0.75, ones > 0, state=states)).sum(0)).item()
    3.75
    """

    states: int
    actions: int | None = None
    horizon: int | None = None
    discount: float = 1.0

    @property
    def terms(self) -> CellSums:
        """See `Estimator`."""
        return CellSums(self.states, self.actions, self.horizon)

    def weight(self, batch: Episodes) -> Float[Tensor, " n"]:
        """See `Estimator`: the mean ratio of an episode's steps; what a cell's weight is only the whole log tells."""
        steps = batch.there.sum(1).clamp(min=1)
        return torch.where(batch.there, batch.ratio, 0).sum(1) / steps

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """See `Estimator`.

        Raises:
            RequestError: without a horizon, `γ` is 1 and some episodes never end.
        """
        cells, periods = self.terms.cells, self.horizon or 1
        count, first, visits, rewards, moves = totals.split(self.terms.sizes, -1)
        visited = torch.where(visits > 0, visits, 1).unflatten(-1, (periods, cells))
        reward = rewards.unflatten(-1, (periods, cells)) / visited
        move = moves.unflatten(-1, (periods, cells, cells)) / visited.unsqueeze(-1)
        share = first / count
        if self.horizon is None:
            return torch.linalg.vecdot(self._lasting(share, move[..., 0, :, :]), reward[..., 0, :])
        value = torch.zeros_like(count[..., 0])
        for step in range(periods):
            value = value + self.discount**step * torch.linalg.vecdot(share, reward[..., step, :])
            share = (share.unsqueeze(-2) @ move[..., step, :, :]).squeeze(-2)
        return value

    def _lasting(self, first: Float[Tensor, "*R C"], move: Float[Tensor, "*R C C"]) -> Float[Tensor, "*R C"]:
        stays = torch.eye(move.shape[-1]).to(move) - self.discount * move.mT
        try:
            return torch.linalg.solve(stays, first)
        except RuntimeError as error:
            raise RequestError(
                f"with discount {self.discount} some states are never left and the value has no bound: "
                "give a discount below 1 or a horizon"
            ) from error
