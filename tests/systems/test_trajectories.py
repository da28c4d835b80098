from __future__ import annotations

from typing import Any

import torch

from recsys.rewards.combined import WeightedSum
from recsys.rewards.feedback import ChannelReward
from recsys.rewards.novelty import ConsumedNovelty, DistanceNovelty
from recsys.systems.trajectories import choice_loss, rewarded
from recsys.types.feedback import Channel
from recsys.types.trajectory import Trajectory
from tests.systems.test_actor_critic import WORLD, of_two_levels, of_two_levels_played


def test_choices_are_a_mixture_over_the_intents_of_each_session() -> None:
    """Session by session, in another way: the belief at its first step, and all its clicks under each intent."""
    system = of_two_levels(choice_weight=1.0)
    batch = of_two_levels_played(system)
    policy, context, slates = system.policy, batch.example.context, batch.example.slates.items[:, 0]
    clicks = batch.example.feedback["click"][:, 0]
    scores = policy.choice_scores(context, slates)
    total, count = torch.zeros(()), 0
    for user in range(5):
        for first in (0, 2, 4):
            rows = torch.tensor([first * 5 + user, (first + 1) * 5 + user])
            under = policy.belief(context.select(rows[:1]))[0]
            for row in rows.tolist():
                for slot in clicks[row].nonzero().flatten().tolist():
                    under = under + scores[row].log_softmax(-1)[:, slot]
                    count += 1
            total = total - under.logsumexp(0)
    assert count > 10
    torch.testing.assert_close(choice_loss(policy, batch), total / count)


def test_choices_move_what_users_choose_by_and_not_what_the_policy_makes_of_it() -> None:
    system = of_two_levels(choice_weight=1.0)
    choice_loss(system.policy, of_two_levels_played(system, 40)).backward()
    moved = {name for name, one in system.policy.named_parameters() if one.grad is not None and one.grad.any()}
    fixed = {name for name, _ in system.policy.named_parameters()} - moved
    assert fixed == {"log_sharpness", "intent.log_concentration"}


def test_a_reward_stands_for_that_of_the_feedback_and_its_parts_are_logged() -> None:
    novelty = ConsumedNovelty(DistanceNovelty(WORLD.items, window=2))
    reward = WeightedSum({"consumed": ChannelReward(), "novelty": novelty}, {"consumed": 1.0, "novelty": 2.0})
    system = of_two_levels(reward=reward)
    logged: dict[str, Any] = {}
    system.log_dict = lambda values, **options: logged.update(values)  # type: ignore[method-assign]
    batch = of_two_levels_played(system)
    given, parts = rewarded(batch, reward)
    new = batch.example.feedback["novelty"] * batch.example.feedback["click"]
    torch.testing.assert_close(given.reward, batch.reward + 2 * new.sum((1, 2)).view(6, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(parts["reward/novelty"], new.sum() / 5, atol=1e-5, rtol=0)
    system.training_step(batch, 0)
    torch.testing.assert_close(logged["train/reward"], given.reward.sum(0).mean())
    torch.testing.assert_close(logged["train/reward/consumed"], batch.reward.sum(0).mean())
    assert torch.equal(rewarded(batch, ChannelReward())[0].reward, batch.reward)


def test_a_session_that_began_before_the_first_step_is_left_out() -> None:
    system = of_two_levels(choice_weight=1.0)
    whole = of_two_levels_played(system)
    later = Trajectory(whole.example.select(torch.arange(5, 30)), whole.active[1:], whole.done[1:], whole.value)
    clicks = whole.example.feedback["click"][:, 0]
    changed = clicks.clone()
    changed[5:10] = 0
    channels = {**whole.example.feedback.channels, "click": Channel(changed.unsqueeze(1))}
    other = whole.example.replace(feedback=whole.example.feedback.replace(channels=channels))
    without = Trajectory(other.select(torch.arange(5, 30)), whole.active[1:], whole.done[1:], whole.value)
    assert clicks[5:].sum() > changed[5:].sum()
    losses = [choice_loss(system.policy, one) for one in (later, without)]
    assert losses[0] > 0.5
    torch.testing.assert_close(losses[0], losses[1], msg="the rest of the first session counts for nothing")


def test_nothing_chosen_is_no_loss() -> None:
    system = of_two_levels(choice_weight=1.0)
    batch = of_two_levels_played(system)
    clicks = Channel(torch.zeros_like(batch.example.feedback["click"]))
    feedback = batch.example.feedback.replace(channels={**batch.example.feedback.channels, "click": clicks})
    assert (
        abs(float(choice_loss(system.policy, batch.replace(example=batch.example.replace(feedback=feedback))))) < 1e-5
    )
