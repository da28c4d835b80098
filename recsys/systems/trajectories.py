"""What systems that learn from trajectories share: rewards of steps, numbers that are finite, and choices of users."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from recsys.errors import NonFiniteError
from recsys.objectives.latent_class import conditional_log_prob, session_log_likelihood
from recsys.policies.hierarchical.choices import SessionChoices
from recsys.rewards.combined import with_parts
from recsys.rewards.contract import checked_reward
from recsys.rewards.reward import Reward
from recsys.types.feedback import REWARD, Channel
from recsys.types.trajectory import Trajectory


def rewarded(batch: Trajectory, reward: Reward | None) -> tuple[Trajectory, dict[str, Tensor]]:
    """Return trajectories with the rewards to learn from, and what each part of a weighted sum earned a user.

    Args:
        batch: as the users answered.
        reward: of the slates that were shown; None keeps the channel `reward` of the feedback.

    Raises:
        ContractError: the reward returned anything else than its contract says.
    """
    if reward is None:
        return batch, {}
    example = batch.example
    found, parts = with_parts(reward, example, example.slates)
    earned = checked_reward(found, example.slates, type(reward).__name__)
    channels = {**example.feedback.channels, REWARD: Channel(earned)}
    active = batch.active.view(-1, 1)
    means = {f"reward/{name}": (value * active).sum() / batch.users for name, value in parts.items()}
    return batch.replace(example=example.replace(feedback=example.feedback.replace(channels=channels))), means


def choice_loss(policy: SessionChoices, batch: Trajectory) -> Float[Tensor, ""]:
    """Return `−log p(choices)` of users' sessions, nats a choice; 0 where nothing was chosen.

    Sessions that began before the first step are left out (`session_log_likelihood`).

    Args:
        policy: whose scores users are taken to choose by.
        batch: one slate a step, with the channel `click`, which says what was chosen.
    """
    context, items = batch.example.context, batch.example.slates.items[:, 0]
    shown = (items >= 0) & batch.active.view(-1, 1)
    chosen = (batch.example.feedback["click"][:, 0] > 0) & shown
    scores = policy.choice_scores(context, items)
    log_prob = conditional_log_prob(scores, *(one.unsqueeze(1).expand_as(scores) for one in (shown, chosen)))
    begins = policy.begins(context)
    belief = log_prob.new_zeros(log_prob.shape)
    belief[begins] = policy.belief(context.select(begins.nonzero().squeeze(1)))
    grid = (batch.steps, batch.users, -1)
    total = session_log_likelihood(log_prob.view(grid), belief.view(grid), begins.view(grid[:2]))
    in_sessions = (begins.view(grid[:2]).cumsum(0) > 0).flatten()
    return -total / chosen[in_sessions].sum().clamp(min=1)


def checked_value(batch: Trajectory) -> Float[Tensor, "T1 B"]:
    """Return the critic's values, once they and the rewards are known to be finite.

    Raises:
        NonFiniteError: see `require_finite_steps`.
    """
    assert batch.value is not None, "trajectories are collected with a critic"
    require_finite_steps(batch.reward, batch.active, "the reward")
    require_finite_steps(batch.value[:-1], batch.active, "the critic's value")
    return batch.value


def require_finite_steps(values: Float[Tensor, "T B"], active: Bool[Tensor, "T B"], name: str) -> None:
    """Refuse numbers of sessions that are not finite.

    Args:
        values: `[T, B]`.
        active: `[T, B]`, true where a number counts.
        name: what they are, for the message.

    Raises:
        NonFiniteError: it names the first step and user, and how many steps are wrong.
    """
    broken = ~values.isfinite() & active
    if broken.any():
        step, user = broken.nonzero()[0].tolist()
        raise NonFiniteError(
            f"{name} is {float(values[step, user])} in step {step} of the session of user {user} of the batch, and not "
            f"finite in {int(broken.sum())} of {int(active.sum())} steps: look at the simulator's feedback, or train "
            "with a smaller learning rate"
        )
