"""A world of sessions whose true reward is known: users want items of their own group, each of another kind.

Items have a group and a kind. A user clicks an item of the group of the history with probability .8 and any other with
.1, and a second item of a kind that the session holds already with half of that. The log shows one item in two of the
group of the user, so whoever imitates it earns some two thirds of the 2.4 that can be earned.
"""

from __future__ import annotations

import copy
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.items.trie import Trie
from recsys.metrics.intervals import Interval, bootstrap
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.models.rewards.session import SessionRewardModel
from recsys.nn.mixture_of_experts import MixtureOfExperts
from recsys.objectives.group_relative import ecpo
from recsys.objectives.likelihood import catalogue_cross_entropy
from recsys.objectives.preference import (
    PreferenceObjective,
    consistency_weighted,
    cpo,
    dpo,
    ipo,
    orpo,
    raft,
    robust_dpo,
    simpo,
    softmax_dpo,
)
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.rewards.labels import SlotShare
from recsys.rewards.learned import LearnedReward, OneHead, ProbabilitySum, StandardisedSum
from recsys.rewards.reward import Reward
from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
from recsys.systems.group_sampling import IndependentSampler
from recsys.systems.judged_validation import JudgedValidation
from recsys.systems.pairing import BestAgainstWorst, TemporalPairing, rank_consistency
from recsys.systems.preference_alignment import PreferenceAlignment
from recsys.systems.reference_policy import EpochReference
from recsys.systems.reward_model import RewardModelSystem
from recsys.systems.supervised import SupervisedSystem
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Channel, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

GROUPS, KINDS, SLOTS, LENGTH = 4, 6, 3, 5
ITEMS = GROUPS * KINDS
ADAM = partial(torch.optim.Adam, lr=5e-3)


def true_reward(context: Context, items: Tensor) -> Tensor:
    """Expected clicks of sessions, `[B, G, S]`: the group of the history is that of its first item."""
    taste = context.history.values[context.history.offsets[:-1]] // KINDS
    wanted = torch.where(items // KINDS == taste[:, None, None], 0.8, 0.1)
    kind = items % KINDS
    again = (kind.unsqueeze(-1) == kind.unsqueeze(-2)).tril(-1).any(-1)
    return wanted * torch.where(again, 0.5, 1.0)


class TrueReward(Reward):
    """What users click, which no training sees but the one that is given it."""

    order_matters, bounds = False, (0.0, float(SLOTS))

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        return true_reward(example.context, slates.items).sum(-1).masked_fill(~slates.mask, 0.0)


def logged(users: int, seed: int) -> Example:
    """Sessions of the log and their clicks."""
    rng = torch.Generator().manual_seed(seed)
    taste = torch.randint(GROUPS, (users, 1), generator=rng)
    history = taste * KINDS + torch.randint(KINDS, (users, LENGTH), generator=rng)
    own = (torch.arange(ITEMS) // KINDS == taste).float()
    items = torch.multinomial(own * 3 + (1 - own), SLOTS, generator=rng)[:, None]
    lists = Jagged.from_lengths(history.flatten(), torch.full((users,), LENGTH))
    context = Context(torch.arange(users), lists, Jagged.empty(users))
    click = (torch.rand(items.shape, generator=rng) < true_reward(context, items)).float()
    return Example(context, Slates(items, torch.zeros(items.shape)), Feedback({"click": Channel(click)}))


def fitted(system: Any, data: Example, epochs: int, size: int = 128) -> Any:
    """Train a system by hand, without the trainer."""
    system.log = system.log_dict = lambda *_, **__: None
    found = system.configure_optimizers()
    optimizer = found["optimizer"] if isinstance(found, dict) else found
    for epoch in range(epochs):
        system._trainer = SimpleNamespace(current_epoch=epoch, global_step=0, global_rank=0)
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(epoch))
        for step, rows in enumerate(order.split(size)):
            optimizer.zero_grad()
            system.training_step(data.select(rows), step).backward()
            optimizer.step()
    system._trainer = None
    return system


@cache
def start() -> tuple[EncoderDecoder, SessionRewardModel, SessionRewardModel]:
    """What supervised training leaves, the reward model and, from other users and another seed, its judge."""
    torch.manual_seed(0)
    codes = torch.stack([torch.arange(ITEMS) // KINDS, torch.arange(ITEMS) % KINDS], 1)
    experts = partial(MixtureOfExperts, experts=4, active=2, hidden=16)
    shape = {"width": 16, "layers": 1, "heads": 2, "head_width": 8, "hidden": 32, "dropout": 0.0}
    network = EncoderDecoder(Trie.from_codes(codes), **shape, decoder_feed_forward=experts)
    fitted(
        SupervisedSystem(network, catalogue_cross_entropy, ADAM, policy=AutoregressiveSlatePolicy), logged(2000, 1), 6
    )
    models = []
    for seed in (2, 3):
        torch.manual_seed(seed)
        model = SessionRewardModel(torch.randn(ITEMS, 4), ["click"], width=16, hidden=16, dropout=0.0)
        fitted(RewardModelSystem(model, {"click": SlotShare("click")}, ADAM), logged(3000, seed), 6)
        models.append(model.eval())
    return network.eval(), models[0], models[1]


def aligned(preference: PreferenceObjective, reward: Reward, epochs: int = 4, **options: Any) -> EncoderDecoder:
    """A copy of the supervised network after preference alignment."""
    network, model, judge = start()
    torch.manual_seed(5)
    system = PreferenceAlignment(
        copy.deepcopy(network).train(),
        IndependentSampler(16),
        reward,
        preference,
        catalogue_cross_entropy,
        EpochReference,
        options.pop("pairing", BestAgainstWorst()),
        JudgedValidation(LearnedReward(judge, ProbabilitySum()), LearnedReward(model, ProbabilitySum())),
        ADAM,
        slots=SLOTS,
        **{"pair_share": 0.3, **options},
    )
    return fitted(system, logged(1500, 4), epochs).network.eval()


def earned(network: EncoderDecoder, users: Example) -> Tensor:
    """True reward of the best session that each user is shown, `[B]`."""
    found = AutoregressiveSlatePolicy(network).top(users.context, 1, SLOTS)
    return true_reward(users.context, found.items).sum(-1).squeeze(1)


def opinion(model: SessionRewardModel, network: EncoderDecoder, users: Example) -> float:
    """What a reward model expects of the four best sessions of each user, mean."""
    found = AutoregressiveSlatePolicy(network).top(users.context, 4, SLOTS)
    return float(LearnedReward(model, ProbabilitySum())(users, found).mean())


def gain(network: EncoderDecoder, users: Example) -> Interval:
    """How much more than after supervised training each user's best session is worth."""
    more = earned(network, users) - earned(start()[0], users)
    return bootstrap(more.view(1, -1, 1), users.context.users, seed=0)[0]


SLOW = [
    pytest.param(partial(dpo, label_noise=0.1), BestAgainstWorst(), id="cdpo"),
    pytest.param(robust_dpo, BestAgainstWorst(), id="rdpo"),
    pytest.param(ipo, BestAgainstWorst(), id="ipo"),
    pytest.param(softmax_dpo, BestAgainstWorst(worse=3), id="s_dpo"),
    pytest.param(cpo, BestAgainstWorst(), id="cpo"),
    pytest.param(simpo, BestAgainstWorst(), id="simpo"),
    pytest.param(orpo, BestAgainstWorst(), id="orpo"),
    pytest.param(raft, BestAgainstWorst(), id="raft"),
    pytest.param(dpo, BestAgainstWorst(margin=0.1), id="margin"),
    pytest.param(
        partial(consistency_weighted, objective=dpo), BestAgainstWorst(consistency=rank_consistency), id="cream"
    ),
]


def test_alignment_to_a_learned_reward_raises_the_true_one() -> None:
    users = logged(400, 9)
    network = aligned(dpo, LearnedReward(start()[1], StandardisedSum()), epochs=2)
    assert gain(network, users).low > 0.05
    assert opinion(start()[2], network, users) > opinion(start()[2], start()[0], users) + 0.02


def test_so_does_a_policy_gradient_mixed_into_the_log() -> None:
    """ECPO on one scalar of the reward model, for one request in ten."""
    network, model, judge = start()
    torch.manual_seed(5)
    system = GroupPolicyOptimisation(
        copy.deepcopy(network).train(),
        IndependentSampler(32),
        LearnedReward(model, OneHead("click")),
        ecpo,
        ADAM,
        slots=SLOTS,
        request_share=0.1,
        ntp_weight=1.0,
        likelihood=catalogue_cross_entropy,
        policy=AutoregressiveSlatePolicy,
    )
    users, after = logged(400, 9), fitted(system, logged(1500, 4), 3).network.eval()
    assert gain(after, users).low > 0.05
    assert opinion(judge, after, users) > opinion(judge, network, users) + 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("preference", "pairing"), SLOW)
def test_so_does_every_preference_objective(preference: PreferenceObjective, pairing: BestAgainstWorst) -> None:
    network = aligned(preference, LearnedReward(start()[1], StandardisedSum()), pairing=pairing)
    assert gain(network, logged(400, 9)).low > 0.05


@pytest.mark.slow
def test_so_do_pairs_of_two_moments() -> None:
    network = aligned(dpo, LearnedReward(start()[1], ProbabilitySum()), pairing=TemporalPairing())
    assert gain(network, logged(400, 9)).low > 0.05


def test_a_reward_that_is_optimised_too_long_is_caught_by_the_judge() -> None:
    """A reward model of sixty sessions: it likes the slates more and more, its judge and the world like them less."""
    torch.manual_seed(7)
    weak = SessionRewardModel(torch.randn(ITEMS, 4), ["click"], width=16, hidden=16, dropout=0.0)
    fitted(RewardModelSystem(weak, {"click": SlotShare("click")}, ADAM), logged(60, 11), 40)
    users, (before, _, judge) = logged(400, 9), start()
    after = aligned(dpo, LearnedReward(weak.eval(), StandardisedSum()), preference_weight=20.0, pair_share=1.0)
    assert opinion(weak, after, users) > opinion(weak, before, users) + 0.2
    assert opinion(judge, after, users) < opinion(judge, before, users)
    assert gain(after, users).high < 0
