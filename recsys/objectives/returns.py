"""Returns of trajectories: discounted sums, λ-returns and generalised advantages.

All are one recursion from the last step to the first, over `T` steps of `B` users. A session that is over (`done`)
expects nothing more; one that goes on after the last step is worth what the critic expects there. Rates may differ
from step to step: an action that lasts for several steps, such as the intent of a session, has `λ = 1` within them and
a rate of its own where the next one is taken.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.objectives.group_terms import masked_mean


def lambda_returns(
    reward: Float[Tensor, "T B"],
    value: Float[Tensor, "T1 B"],
    done: Bool[Tensor, "T B"],
    *,
    discount: float | Float[Tensor, "T B"],
    trace: float | Float[Tensor, "T B"],
) -> Float[Tensor, "T B"]:
    """Return `G_t = r_t + γ (1 − d_t) [(1 − λ) V_{t+1} + λ G_{t+1}]` with `G_T = V_T`, in the reward's unit.

    `λ = 0` trusts the critic after one step, `λ = 1` the rewards to the end. Source: Sutton and Barto 2018,
    "Reinforcement Learning", section 12.1.

    Args:
        reward: `[T, B]`, what each step earned.
        value: `[T + 1, B]`, what a critic expects at each step and after the last; the first row is not read.
        done: `[T, B]`, true where the session is over after the step.
        discount: `γ`, in [0, 1]: what a reward one step later is worth; or that of each step, `γ_t`.
        trace: `λ`, in [0, 1]; or that of each step, `λ_t`.

    >>> reward, value = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [4.0], [8.0]])
    >>> goes_on = torch.zeros(2, 1, dtype=torch.bool)
    >>> lambda_returns(reward, value, goes_on, discount=0.5, trace=0.0).flatten()  # 1 + 4 / 2, 2 + 8 / 2
    tensor([3., 6.])
    >>> lambda_returns(reward, value, goes_on, discount=0.5, trace=1.0).flatten()  # 1 + 6 / 2
    tensor([4., 6.])
    """
    following, found = value[-1], []
    for step in reversed(range(len(reward))):
        ahead = torch.lerp(value[step + 1], following, _of_step(trace, step)).masked_fill(done[step], 0.0)
        following = reward[step] + _of_step(discount, step) * ahead
        found.append(following)
    return torch.stack(found[::-1])


def discounted_returns(
    reward: Float[Tensor, "T B"],
    done: Bool[Tensor, "T B"],
    last_value: Float[Tensor, " B"] | None = None,
    *,
    discount: float,
) -> Float[Tensor, "T B"]:
    """Return `G_t = Σ_{k ≥ t} γ^{k−t} r_k` until the session is over, in the reward's unit.

    Args:
        reward: `[T, B]`, what each step earned.
        done: `[T, B]`, true where the session is over after the step.
        last_value: `[B]`, what sessions that go on after the last step are worth then; None for nothing.
        discount: `γ`, in [0, 1].

    >>> discounted_returns(torch.tensor([[1.0], [2.0]]), torch.tensor([[False], [True]]), discount=0.5).flatten()
    tensor([2., 2.])
    """
    value = reward.new_zeros(len(reward) + 1, reward.shape[1])
    if last_value is not None:
        value[-1] = last_value
    return lambda_returns(reward, value, done, discount=discount, trace=1.0)


def generalised_advantages(
    reward: Float[Tensor, "T B"],
    value: Float[Tensor, "T1 B"],
    done: Bool[Tensor, "T B"],
    active: Bool[Tensor, "T B"],
    *,
    discount: float | Float[Tensor, "T B"],
    trace: float | Float[Tensor, "T B"],
) -> Float[Tensor, "T B"]:
    """Return `A_t = Σ_k (γλ)^k δ_{t+k}` with `δ_t = r_t + γ (1 − d_t) V_{t+1} − V_t`, in the reward's unit.

    It equals the λ-return minus `V_t`; 0 where the session was over before the step. Source: Schulman et al. 2016,
    "High-dimensional continuous control using generalized advantage estimation", equation 16.

    Args:
        reward: see `lambda_returns`.
        value: see `lambda_returns`.
        done: see `lambda_returns`.
        active: `[T, B]`, true where the session was not over before the step.
        discount: see `lambda_returns`.
        trace: see `lambda_returns`.
    """
    found = lambda_returns(reward, value, done, discount=discount, trace=trace) - value[:-1]
    return found.masked_fill(~active, 0.0)


def standardised(advantage: Float[Tensor, "T B"], active: Bool[Tensor, "T B"]) -> Float[Tensor, "T B"]:
    """Return `(A − mean A) / (std A + 1e-8)` over the active steps, without unit; 0 elsewhere.

    Args:
        advantage: `[T, B]`.
        active: `[T, B]`, true where the session was not over before the step.

    >>> steps = torch.tensor([[1.0, 3.0, 9.0]])
    >>> standardised(steps, torch.tensor([[True, True, False]]))
    tensor([[-1.,  1.,  0.]])
    """
    centred = (advantage - masked_mean(advantage, active)).masked_fill(~active, 0.0)
    return centred / (masked_mean(centred.square(), active).sqrt() + 1e-8)


def as_they_are(advantage: Float[Tensor, "T B"], active: Bool[Tensor, "T B"]) -> Float[Tensor, "T B"]:
    """Return the advantages in the reward's own unit."""
    return advantage


def _of_step(rate: float | Float[Tensor, "T B"], step: int) -> float | Float[Tensor, " B"]:
    return rate[step] if isinstance(rate, Tensor) else rate
