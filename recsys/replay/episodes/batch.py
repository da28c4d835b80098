"""Batches of logged episodes joined with a target policy, as sequential estimators read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.data.logs.batches import LoggedEpisodes
from recsys.errors import RequestError
from recsys.replay.batch import OptionalParts


@dataclass(frozen=True)
class EpisodeBatch(OptionalParts):
    """`n` episodes of up to `T` steps joined with a target policy, in float64.

    Numbers after the end of an episode are ignored. The value of a policy is that of an episode, `E_π Σ_t γ^t r_t` with
    `t` from 0. After its end an episode has reward 0 and both policies have no choice, so that its weight stays what it
    was.

    The last state of a truncated episode is known, the consequence of its last action is not. Estimators with a model
    of the value continue from that state by the model; the others count the logged rewards only.

    Args:
        reward: `[n, T]`, `r_t`.
        logging: `[n, T]`, `p(a_t | s_t)`, in (0, 1].
        target: `[n, T]`, `π(a_t | s_t)`, in [0, 1].
        mask: `[n, T]`, true at the steps of the episode.
        done: `[n]`, false where the episode was truncated after its last step; None where all ended.
        action: `[n, T]`, `a_t`, in `0 … A − 1`.
        context: `[n, T, F]`, features of the state `s_t`.
        target_all: `[n, T, A]`, `π(· | s_t)`.
        predicted: `[n, T]`, `q(s_t, a_t)`, a model's prediction of the return from the action on, under `π`.
        expected: `[n, T]`, `v(s_t) = Σ_a π(a | s_t) q(s_t, a)`.

    >>> rewards, mask = torch.tensor([[1.0, 2.0], [4.0, 0.0]]), torch.tensor([[True, True], [True, False]])
    >>> episodes = EpisodeBatch(rewards, torch.full((2, 2), 0.5), torch.tensor([[1.0, 0.25], [1.0, 0.0]]), mask)
    >>> episodes.weight
    tensor([[2., 1.],
            [2., 2.]])
    """

    reward: Float[Tensor, "n T"]
    logging: Float[Tensor, "n T"]
    target: Float[Tensor, "n T"]
    mask: Bool[Tensor, "n T"]
    done: Bool[Tensor, " n"] | None = None
    action: Int[Tensor, "n T"] | None = None
    context: Float[Tensor, "n T F"] | None = None
    target_all: Float[Tensor, "n T A"] | None = None
    predicted: Float[Tensor, "n T"] | None = None
    expected: Float[Tensor, "n T"] | None = None

    @classmethod
    def of(
        cls,
        log: LoggedEpisodes,
        target: Float[Tensor, "n T"],
        target_all: Float[Tensor, "n T A"] | None = None,
    ) -> EpisodeBatch:
        """Return logged episodes joined with a target policy.

        Args:
            log: logged episodes.
            target: `[n, T]`, `π(a_t | s_t)` of the logged actions.
            target_all: `[n, T, A]`, `π(· | s_t)`.
        """
        context = None if log.context is None else log.context.double()
        return cls(
            reward=log.reward.double(),
            logging=log.propensity.double(),
            target=target.double(),
            mask=log.mask,
            done=log.done,
            action=log.action,
            context=context,
            target_all=None if target_all is None else target_all.double(),
        )

    @classmethod
    def joined(cls, parts: Sequence[EpisodeBatch]) -> EpisodeBatch:
        """Return the episodes of several batches with the same fields as one batch, padded to the longest episode.

        Args:
            parts: at least one batch.
        """
        longest = max(part.mask.shape[1] for part in parts)
        named = [part.padded(longest)._parts() for part in parts]
        return cls(**{name: torch.cat([one[name] for one in named]) for name in named[0]})

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def ratio(self) -> Float[Tensor, "n T"]:
        """Return `π(a_t | s_t) / p(a_t | s_t)`; 1 after the end."""
        return torch.where(self.mask, self.target / self.logging, 1.0)

    @property
    def weight(self) -> Float[Tensor, "n T"]:
        """Return the importance weight `ρ_t`, the product of the ratios up to `t`; constant after the end."""
        return self.ratio.cumprod(1)

    @property
    def weight_before(self) -> Float[Tensor, "n T"]:
        """Return `ρ_{t − 1}`, with `ρ_{−1} = 1`."""
        weight = self.weight
        return torch.cat([torch.ones_like(weight[:, :1]), weight[:, :-1]], 1)

    @property
    def closed(self) -> Bool[Tensor, "n T"]:
        """Return the steps whose consequence is known: all but the last of a truncated episode."""
        if self.done is None:
            return self.mask
        goes_on = nn.functional.pad(self.mask[:, 1:], (0, 1), value=False)
        return self.mask & (goes_on | self.done.unsqueeze(1))

    def discounts(self, discount: float) -> Float[Tensor, " T"]:
        """Return `γ^t` for `t` from 0 to `T − 1`."""
        return powers(discount, self.reward.shape[1]).to(self.reward)

    def known(self, name: str) -> Tensor:
        """Return a part with one number a step, set to 0 after the end.

        Raises:
            RequestError: the part is missing.
        """
        return torch.where(self.mask, self.need(name), 0)

    @override
    def called(self, name: str) -> str:
        return EPISODE_PART_NAMES[name]

    def padded(self, horizon: int) -> EpisodeBatch:
        """Return the same episodes with `T = horizon`.

        Raises:
            RequestError: an episode has more steps.
        """
        steps = self.mask.shape[1]
        if self.mask[:, horizon:].any():
            row = int(self.mask[:, horizon:].any(1).nonzero()[0])
            raise RequestError(
                f"episode {row} has {int(self.mask[row].sum())} steps and the estimator's horizon is {horizon}: "
                "give it the length of the longest episode"
            )

        def fit(part: Tensor) -> Tensor:
            part = part[:, :horizon]
            added = part.new_zeros(len(part), max(horizon - steps, 0), *part.shape[2:])
            return torch.cat([part, added], 1)

        return replace(self, **{name: fit(part) for name, part in self._parts().items() if name != "done"})

    def select(self, rows: Tensor) -> EpisodeBatch:
        """Return some of the episodes.

        Args:
            rows: row indices, or true at the episodes to keep.
        """
        return replace(self, **{name: part[rows] for name, part in self._parts().items()})

    def _parts(self) -> dict[str, Any]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: part for name, part in named.items() if part is not None}


def powers(discount: float, steps: int) -> Float[Tensor, " T"]:
    """Return `γ^t` for `t` from 0.

    >>> powers(0.5, 3).tolist()
    [1.0, 0.5, 0.25]
    """
    return torch.tensor(discount, dtype=torch.float64) ** torch.arange(steps)


EPISODE_PART_NAMES = {
    "action": "the actions of the log",
    "context": "states as features",
    "target_all": "every action's probability under the target policy",
    "predicted": "a value model's prediction for the actions of the log",
    "expected": "a value model's prediction for the states of the log",
}
"""What the parts of `EpisodeBatch` are called in messages."""
