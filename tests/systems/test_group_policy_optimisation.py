from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

import pytest
import torch

from recsys.errors import ConfigurationError, NonFiniteError
from recsys.models.generators.causal import CausalGenerator
from recsys.objectives.expected_reward import without_replacement
from recsys.objectives.group_relative import grpo, grpo_sr
from recsys.objectives.group_transforms import informative
from recsys.objectives.likelihood import catalogue_cross_entropy
from recsys.objectives.objective import Loss
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.policies.generative import GenerativePolicy
from recsys.policies.network_policy import NetworkPolicy
from recsys.rewards.combined import WeightedSum
from recsys.rewards.rank import RankingReward
from recsys.rewards.reward import HitReward, SlotHitReward
from recsys.systems.declaration import declaration
from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
from recsys.systems.group_sampling import BeamSampler, IndependentSampler, StochasticBeamSampler, TargetInsertionSampler
from recsys.systems.judged_validation import JudgedValidation
from recsys.systems.reference_policy import EpochReference, FrozenReference, MovingAverageReference, ReferencePolicy
from recsys.systems.sequential import SequentialSystem
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.rollout import Rollout
from recsys.types.slates import Slates
from tests.systems.conftest import ADAM
from tests.tiny import tiny_generator

Watch = Callable[[SequentialSystem], dict[str, float]]


def system(
    objective: Callable[[Rollout], Loss] = grpo, dropout: float = 0.0, **options: Any
) -> GroupPolicyOptimisation:
    given: dict[str, Any] = {"sampler": StochasticBeamSampler(6), "reward": HitReward(), "warmup_steps": 0, **options}
    return GroupPolicyOptimisation(tiny_generator(dropout), objective=objective, optimizer=ADAM, **given)


class Groups:
    """An objective that keeps what it is given."""

    def __init__(self, objective: Callable[[Rollout], Loss] = grpo) -> None:
        self.seen: list[Rollout] = []
        self.objective = objective

    def __call__(self, group: Rollout) -> Loss:
        self.seen.append(group)
        return self.objective(group)


def steps(one: GroupPolicyOptimisation, batch: Context, count: int, rate: float = 0.01) -> list[float]:
    """Optimizer steps on the same batch; the losses."""
    optimizer = torch.optim.SGD(one.network.parameters(), lr=rate)
    losses = []
    for index in range(count):
        loss = one.training_step(batch, index)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


def test_the_group_is_what_the_policy_says_of_it(batch: Context, watched: Watch) -> None:
    one = system(groups := Groups(), sampler=BeamSampler(8), request_share=1.0)
    watched(one)
    one.training_step(batch, 0)
    (group,) = groups.seen
    memory, examples = one.encode(batch)
    slates = one.policy.top_from(memory, examples.context, 8)
    items, target = slates.items.squeeze(-1), examples.item.unsqueeze(1)
    every = one.policy.catalogue_log_prob_from(memory, examples.context)
    torch.testing.assert_close(group.log_prob, every.gather(1, items.clamp(min=0)).where(group.mask, torch.tensor(0)))
    torch.testing.assert_close(group.logged_log_prob.sum((1, 2)), every.gather(1, target).squeeze(1))
    assert torch.equal(group.is_logged, items == target)
    assert torch.equal(group.reward, HitReward()(examples, slates))
    assert torch.equal(group.mask, items >= 0)
    assert group.shared_codes is not None
    alike = (items // 5 == target // 5).long() + group.is_logged
    assert torch.equal(group.shared_codes[group.mask], alike[group.mask])
    assert group.reference_log_prob is None and group.log_inclusion is None


def test_the_first_inner_step_is_on_policy_also_with_dropout(batch: Context, watched: Watch) -> None:
    one = system(groups := Groups(), dropout=0.5)
    seen = watched(one)
    one.train()
    one.training_step(batch, 0)
    torch.testing.assert_close(groups.seen[0].behaviour_log_prob, groups.seen[0].token_log_prob.detach())
    assert seen["train/clip_fraction"] == 0.0
    assert seen["train/behaviour_kl"] == 0.0


def test_later_inner_steps_learn_from_the_held_group(batch: Context, watched: Watch) -> None:
    one = system(groups := Groups(), inner_steps=3, sampler=IndependentSampler(6), request_share=1.0)
    seen, clipped = watched(one), []
    optimizer = torch.optim.SGD(one.network.parameters(), lr=2.0)
    for index in range(4):
        loss = one.training_step(batch, index)
        clipped.append(seen["train/clip_fraction"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    first, second, third, fresh = groups.seen
    for later in (second, third):
        assert torch.equal(later.behaviour_log_prob, first.behaviour_log_prob)
        assert torch.equal(later.is_logged, first.is_logged)
        assert not torch.equal(later.token_log_prob, first.token_log_prob)
    assert not torch.equal(fresh.behaviour_log_prob, first.behaviour_log_prob)
    assert clipped[0] == clipped[3] == 0.0
    assert clipped[1] > 0.0 and clipped[2] > 0.0


def test_draws_depend_on_the_seed_and_the_groups_before(batch: Context, watched: Watch) -> None:
    def drawn(seed: int, count: int = 2) -> list[torch.Tensor]:
        one = system(groups := Groups(), seed=seed)
        watched(one)
        for index in range(count):
            one.training_step(batch, index)
        return [group.token_log_prob for group in groups.seen]

    first, second = drawn(0)
    assert torch.equal(first, drawn(0)[0]) and torch.equal(second, drawn(0)[1])
    assert not torch.equal(first, second)
    assert not torch.equal(first, drawn(1)[0])


@pytest.mark.parametrize(("share", "expected"), [(1.0, 1.0), (0.5, 0.5), (1e-6, 0.0)])
def test_a_share_of_the_prefixes_is_rolled_out(share: float, expected: float, batch: Context, watched: Watch) -> None:
    one = system(groups := Groups(), request_share=share)
    watched(one)
    one.training_step(batch, 0)
    prefixes = int((batch.history.lengths - 1).sum())
    assert len(groups.seen[0].reward) == max(1, round(expected * prefixes))


def test_reward_training_raises_the_expected_reward(batch: Context, watched: Watch) -> None:
    one = system(without_replacement, request_share=1.0)
    watched(one)

    def hit_chance() -> float:
        memory, examples = one.encode(batch)
        scores = one.policy.log_prob_from(memory, examples.context, examples.item.view(-1, 1, 1))
        return float(scores.sum((2, 3)).exp().mean())

    before = hit_chance()
    steps(one, batch, 40, rate=0.5)
    assert hit_chance() > 1.5 * before


def test_next_item_training_is_mixed_in_by_its_weight(batch: Context, watched: Watch) -> None:
    losses = []
    for weight in (0.0, 0.3):
        one = system(groups := Groups(), ntp_weight=weight)
        watched(one)
        losses.append(one.training_step(batch, 0))
    expected = losses[0] - 0.3 * groups.seen[0].logged_log_prob.sum(-1).mean()
    torch.testing.assert_close(losses[1], expected)


def test_only_groups_that_are_kept_are_learnt_from(batch: Context, watched: Watch) -> None:
    one = system(groups := Groups(), group_filter=informative, request_share=1.0)
    watched(one)
    one.training_step(batch, 0)
    reward = groups.seen[0].reward
    assert 0 < len(reward) < int((batch.history.lengths - 1).sum())
    assert (reward.amax(1) > reward.amin(1)).all()


def test_the_reference_stays_where_training_began(batch: Context, watched: Watch) -> None:
    one = system(groups := Groups(partial(grpo, kl_weight=0.1)), reference=FrozenReference, dropout=0.4)
    seen = watched(one)
    one.train()
    start = {name: value.clone() for name, value in one.network.state_dict().items()}
    one.network.eval()
    steps(one, batch, 2, rate=5.0)
    first, second = groups.seen
    torch.testing.assert_close(first.reference_log_prob, first.token_log_prob.detach())
    assert not second.reference_log_prob.requires_grad
    assert seen["train/kl"] > 1e-3
    assert not any(parameter.requires_grad for parameter in one.reference.parameters())
    for name, value in one.reference.network.state_dict().items():
        assert torch.equal(value, start[name])


def test_a_checkpoint_carries_the_held_group(batch: Context, watched: Watch) -> None:
    one, other = system(inner_steps=2), system(inner_steps=2)
    watched(one), watched(other)
    one.training_step(batch, 0)
    checkpoint: dict[str, Any] = {}
    one.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    other.on_train_start()
    for field in fields(one._rollout):
        kept, given = getattr(one._rollout, field.name), getattr(other._rollout, field.name)
        assert (kept is None and given is None) or torch.equal(kept, given)
    torch.testing.assert_close(other.training_step(batch, 1), one.training_step(batch, 1))
    torch.testing.assert_close(other.training_step(batch, 2), one.training_step(batch, 2))


def test_one_inner_step_holds_nothing_over(batch: Context, watched: Watch) -> None:
    one = system()
    watched(one)
    one.training_step(batch, 0)
    checkpoint: dict[str, Any] = {}
    one.on_save_checkpoint(checkpoint)
    assert checkpoint == {"rollout": {"groups": 1, "last": None}}


class Sharpened(GenerativePolicy):
    """Scores twice those of the policy: no distribution, as published code trains."""

    def log_prob_from(self, memory: Any, context: Context, items: torch.Tensor) -> torch.Tensor:
        return 2 * super().log_prob_from(memory, context, items)


def test_the_policy_that_is_scored_can_be_another(batch: Context, watched: Watch) -> None:
    scores = []
    for policy in (GenerativePolicy, Sharpened):
        one = system(groups := Groups(), policy=policy)
        watched(one)
        one.training_step(batch, 0)
        scores.append(groups.seen[0].token_log_prob)
    torch.testing.assert_close(scores[1], 2 * scores[0])


def test_rewards_see_the_requests_that_were_rolled_out(batch: Context, watched: Watch) -> None:
    class Length:
        order_matters, bounds = False, None

        def __call__(self, example: Example, slates: Slates) -> torch.Tensor:
            return example.context.history.lengths.float().unsqueeze(1).expand(slates.items.shape[:2])

    one = system(groups := Groups(), reward=Length(), sampler=BeamSampler(3), request_share=0.4)
    watched(one)
    one.training_step(batch, 0)
    _, examples = one.encode(batch)
    rewarded = sorted(groups.seen[0].reward[:, 0].tolist())
    assert len(rewarded) < len(examples)
    assert set(rewarded) <= set(examples.context.history.lengths.tolist())
    assert isinstance(one.network, CausalGenerator)


@pytest.mark.parametrize(
    ("reference", "moves"),
    [(FrozenReference, False), (EpochReference, False), (partial(MovingAverageReference, decay=0.5), True)],
)
def test_a_reference_follows_before_each_step(
    reference: Callable[..., ReferencePolicy], moves: bool, batch: Context, watched: Watch
) -> None:
    """Without a trainer there is no later epoch, and the steps are counted by hand."""

    class Counted(GroupPolicyOptimisation):
        steps = 0

        @property
        def global_step(self) -> int:
            return self.steps

    one = Counted(
        tiny_generator(0.0), StochasticBeamSampler(6), HitReward(), groups := Groups(), ADAM, reference=reference
    )
    watched(one)
    optimizer = torch.optim.SGD(one.network.parameters(), lr=5.0)
    for _ in range(2):
        loss = one.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        one.steps += 1
    start = weights(tiny_generator(0.0))
    assert (weights(one.reference) != start).any().item() is moves
    torch.testing.assert_close(groups.seen[0].reference_log_prob, groups.seen[0].token_log_prob.detach())
    assert not torch.allclose(groups.seen[1].reference_log_prob, groups.seen[1].token_log_prob.detach())


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in module.parameters()])


def test_parts_of_a_weighted_reward_are_logged_one_by_one(batch: Context, watched: Watch) -> None:
    """At later inner steps too, where nothing is rewarded anew."""
    reward = WeightedSum({"hit": HitReward(), "ranking": RankingReward()}, {"hit": 2.0, "ranking": 1.0})
    one = system(groups := Groups(), reward=reward, sampler=BeamSampler(6), inner_steps=2)
    seen = watched(one)
    for index in range(2):
        one.training_step(batch, index)
        parts = 2.0 * seen.pop("train/reward/hit") + seen.pop("train/reward/ranking")
        assert parts == pytest.approx(groups.seen[0].reward.mean().item(), abs=1e-6)
        assert seen["train/reward_mean"] == pytest.approx(parts, abs=1e-6)


class Neighbours:
    """Slot `s` earns 1 for the item that is `s` further on the ring than the last of the history."""

    order_matters, bounds = True, (0.0, 1.0)

    def __call__(self, example: Example, slates: Slates) -> torch.Tensor:
        last = example.context.history.values[example.context.history.offsets[1:] - 1]
        wanted = (last[:, None, None] + torch.arange(1, slates.items.shape[2] + 1)) % 20
        return ((slates.items == wanted) & slates.mask.unsqueeze(-1)).float()


@pytest.mark.parametrize("policy", [GenerativePolicy, AutoregressiveSlatePolicy])
def test_slots_are_sampled_rewarded_and_scored_one_after_the_other(
    batch: Context, watched: Watch, policy: Callable[..., NetworkPolicy]
) -> None:
    slates = {"sampler": IndependentSampler(5), "reward": Neighbours(), "slots": 2, "policy": policy}
    one = system(groups := Groups(), request_share=1.0, **slates)
    seen = watched(one)
    one.training_step(batch, 0)
    (group,) = groups.seen
    memory, examples = one.encode(batch)
    assert group.token_log_prob.shape == (len(examples), 5, 2, 2)
    scored = one.policy.log_prob_from(memory, examples.context, group.items)
    torch.testing.assert_close(group.token_log_prob, scored)
    assert torch.equal(group.slot_reward, Neighbours()(examples, Slates(group.items, group.slot_log_prob)))
    assert torch.equal(group.reward, group.slot_reward.sum(-1))
    assert group.logged_log_prob is None and group.is_logged is None and group.shared_codes is None
    assert seen["train/slot_reward/1"] + seen["train/slot_reward/2"] == pytest.approx(seen["train/reward_mean"])


def test_logged_slates_are_learned_from_where_they_have_as_many_slots(batch: Context, watched: Watch) -> None:
    """A batch may be of examples themselves."""
    one = system(groups := Groups(grpo_sr), sampler=TargetInsertionSampler(IndependentSampler(4)), slots=2,
                 reward=HitOfEither(), request_share=1.0, ntp_weight=0.5)  # fmt: skip
    watched(one)
    _, examples = one.encode(batch)
    allowed = (~examples.context.illegal(20)).float().topk(2).indices
    logged = Example(examples.context, Slates(allowed.unsqueeze(1), torch.zeros(len(examples), 1, 2)))
    one.training_step(logged, 0)
    (group,) = groups.seen
    memory = one.network.encode(examples.context)
    scored = one.policy.log_prob_from(memory, examples.context, allowed.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(group.logged_log_prob, scored)
    assert torch.equal(group.is_logged.any(-1), torch.ones(len(examples), dtype=torch.bool))
    assert group.shared_codes[group.is_logged].unique().tolist() == [4]


def test_the_whole_stream_of_the_log_is_mixed_in_whatever_is_rolled_out(batch: Context, watched: Watch) -> None:
    losses = []
    for likelihood in (None, catalogue_cross_entropy):
        one = system(ntp_weight=0.5, likelihood=likelihood, request_share=0.2)
        seen = watched(one)
        losses.append(float(one.training_step(batch, 0)))
        of_log = (losses[-1] - seen["train/loss"]) / 0.5
        assert seen["train/likelihood"] == pytest.approx(of_log, rel=1e-4)
    memory, examples = one.encode(batch)
    assert of_log == pytest.approx(float(catalogue_cross_entropy(one.network, memory, examples)), rel=1e-4)
    assert abs(losses[0] - losses[1]) > 1e-3


def test_a_judge_decides_where_there_is_one(batch: Context, watched: Watch) -> None:
    one = system(slots=2, reward=Neighbours(), sampler=IndependentSampler(3), validation=JudgedValidation(HitReward()))
    declared, without = declaration(one), declaration(system())
    assert (declared.monitor, without.monitor) == ("validation/judge", "validation/ndcg@10")
    seen = watched(one)
    one.eval().validation_step(one.encode(batch)[1], 0)
    one.on_validation_epoch_end()
    guards = {"judge", "distinct_first_items", "repeat_rate", "coverage"}
    assert set(seen) == {f"validation/{name}" for name in guards}


class HitOfEither:
    order_matters, bounds = False, (0.0, 1.0)

    def __call__(self, example: Example, slates: Slates) -> torch.Tensor:
        return (slates.items.unsqueeze(-1) == example.slates.items.unsqueeze(2)).flatten(2).any(-1).float()


def test_what_cannot_be_is_refused(batch: Context, watched: Watch) -> None:
    with pytest.raises(ConfigurationError, match="slots"):
        system(slots=0)
    one = system(sampler=IndependentSampler(3), reward=Neighbours(), slots=2, ntp_weight=0.1)
    watched(one)
    with pytest.raises(ConfigurationError, match="logged answer"):
        one.training_step(batch, 0)


class Spoilt(HitReward):
    """A hit, but another value for the first candidate of every group."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, example: Example, slates: Slates) -> torch.Tensor:
        earned = super().__call__(example, slates)
        earned[:, 0] = self.value
        return earned


class SpoiltSlots(SlotHitReward):
    """The same, but of the last slot of the first candidate."""

    def __call__(self, example: Example, slates: Slates) -> torch.Tensor:
        earned = super().__call__(example, slates)
        earned[:, 0, -1] = float("nan")
        return earned


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_reward_that_is_not_finite_stops_the_training(value: float, batch: Context, watched: Watch) -> None:
    one = system(reward=Spoilt(value), sampler=BeamSampler(4))
    watched(one)
    with pytest.raises(
        NonFiniteError, match=f"the reward Spoilt is {value} for items .* of request 0.*mask_non_finite"
    ):
        one.training_step(batch, 0)


def test_the_part_of_a_weighted_sum_is_named(batch: Context, watched: Watch) -> None:
    reward = WeightedSum({"hit": HitReward(), "odd": Spoilt(float("nan"))}, {"hit": 1.0, "odd": 0.5})
    one = system(reward=reward, sampler=BeamSampler(4))
    watched(one)
    with pytest.raises(NonFiniteError, match="the reward WeightedSum, in its part odd, is nan"):
        one.training_step(batch, 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_or_its_candidates_are_left_out_and_counted(value: float, batch: Context, watched: Watch) -> None:
    reward = WeightedSum({"hit": HitReward(), "odd": Spoilt(value)}, {"hit": 1.0, "odd": 1.0})
    one = system(groups := Groups(), reward=reward, sampler=BeamSampler(4), mask_non_finite_rewards=True)
    logged = watched(one)
    loss = one.training_step(batch, 0)
    loss.backward()
    (group,) = groups.seen
    assert not group.mask[:, 0].any() and group.mask[:, 1:].any(1).all()
    assert group.reward.isfinite().all() and loss.isfinite()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in one.network.parameters())
    assert logged["train/reward/masked_candidates"] == len(group)
    assert all(math.isfinite(number) for number in logged.values())


def test_a_slate_is_left_out_with_its_slot(batch: Context, watched: Watch) -> None:
    one = system(
        groups := Groups(), reward=SpoiltSlots(), sampler=IndependentSampler(3), slots=2, mask_non_finite_rewards=True
    )
    watched(one)
    assert one.training_step(batch, 0).isfinite()
    assert groups.seen[0].mask.tolist() == [[False, True, True]] * len(groups.seen[0])


def test_finite_rewards_learn_the_same_either_way(batch: Context, watched: Watch) -> None:
    losses = []
    for mask in (False, True):
        torch.manual_seed(0)
        one = system(mask_non_finite_rewards=mask)
        watched(one)
        losses.append(steps(one, batch, 3))
    assert losses[0] == losses[1]
