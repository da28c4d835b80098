"""Preference alignment step by step, on a small encoder-decoder over sessions of two items."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError, ContractError, NonFiniteError
from recsys.items.trie import Trie
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.objectives.likelihood import catalogue_cross_entropy
from recsys.objectives.preference import dpo
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.rewards.reward import Reward
from recsys.systems.group_sampling import BeamSampler
from recsys.systems.judged_validation import JudgedValidation
from recsys.systems.pairing import BestAgainstWorst, TemporalPairing
from recsys.systems.preference_alignment import PreferenceAlignment
from recsys.systems.reference_policy import EpochReference
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

ITEMS, SLOTS, REQUESTS = 9, 2, 6


class Sum(Reward):
    """The sum of a slate's item indices."""

    order_matters, bounds = False, None

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        return (self.factor * slates.items.sum(-1).float()).masked_fill(~slates.mask, 0.0)


def network() -> EncoderDecoder:
    torch.manual_seed(0)
    codes = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    return EncoderDecoder(
        Trie.from_codes(codes), width=8, layers=1, heads=2, head_width=4, hidden=16, dropout=0.0, max_length=4
    )


class Ranks(Sum):
    compares_requests = False


def system(model: EncoderDecoder | None = None, **changes: Any) -> PreferenceAlignment:
    options: dict[str, Any] = {
        "sampler": BeamSampler(8),
        "reward": Sum(),
        "preference": dpo,
        "likelihood": catalogue_cross_entropy,
        "reference": EpochReference,
        "pairing": BestAgainstWorst(),
        "validation": JudgedValidation(Sum(0.5), Sum(), candidates=4),
        "optimizer": partial(torch.optim.SGD, lr=0.1),
        "slots": SLOTS,
        "pair_share": 1.0,
        **changes,
    }
    return PreferenceAlignment(network() if model is None else model, **options)


@pytest.fixture
def examples() -> Example:
    generator = torch.Generator().manual_seed(1)
    items = torch.rand(REQUESTS, ITEMS, generator=generator).argsort(-1)[:, None, :SLOTS]
    history = Jagged.from_rows([[1, 2], [], [3], [4, 5, 6], [7], [8, 0]])
    return Example(
        Context(torch.arange(REQUESTS), history, Jagged.empty(REQUESTS)), Slates(items, torch.zeros(items.shape))
    )


Watch = Callable[[Any], dict[str, float]]


def test_golden_value_while_the_policy_is_its_reference(watched: Watch, examples: Example) -> None:
    aligned = system(preference_weight=0.5)
    seen = watched(aligned)
    loss = aligned.training_step(examples, 0)
    likelihood = catalogue_cross_entropy(aligned.network, aligned.network.encode(examples.context), examples)
    assert seen["train/preference_loss"] == pytest.approx(math.log(2))
    assert loss.item() == pytest.approx(likelihood.item() + 0.5 * math.log(2), rel=1e-5)
    assert seen["train/pairs"] == REQUESTS and seen["train/likelihood"] == pytest.approx(likelihood.item())


def test_a_step_prefers_what_the_reward_prefers(watched: Watch, examples: Example) -> None:
    aligned = system(likelihood=lambda *_: torch.zeros(()), preference_weight=10.0)
    seen = watched(aligned)
    optimizer = torch.optim.SGD(aligned.network.parameters(), lr=0.05)
    for step in range(5):
        optimizer.zero_grad()
        aligned.training_step(examples, step).backward()
        optimizer.step()
    assert seen["train/preference_loss"] < math.log(2) - 0.02
    assert seen["train/preference_accuracy"] > 0.8
    assert seen["train/better_log_prob"] > seen["train/worse_log_prob"] - 20


def test_without_pairs_it_is_supervised_training(watched: Watch, examples: Example) -> None:
    for changes in ({"pair_share": 0.0}, {"preference_weight": 0.0}, {"reward": Sum(0.0)}):
        aligned = system(**changes)
        watched(aligned)
        likelihood = catalogue_cross_entropy(aligned.network, aligned.network.encode(examples.context), examples)
        assert aligned.training_step(examples, 0).item() == pytest.approx(likelihood.item(), rel=1e-6)


def test_each_request_is_drawn_with_the_share(watched: Watch, examples: Example) -> None:
    """What is drawn depends on seed and step alone: a resumed training goes on with the same draws."""
    many = examples.select(torch.arange(600) % REQUESTS)
    aligned = system(pair_share=0.1, sampler=BeamSampler(4))
    seen = watched(aligned)
    drawn = []
    for step in range(3):
        aligned.training_step(many, step)
        drawn.append(seen["train/pairs"])
    assert len(set(drawn)) > 1 and 25 < sum(drawn) / 3 < 95
    kept: dict[str, Any] = {}
    first = system(pair_share=0.1, sampler=BeamSampler(4))
    watched(first)
    first.training_step(many, 0)
    first.on_save_checkpoint(kept)
    again = system(pair_share=0.1, sampler=BeamSampler(4))
    seen = watched(again)
    again.on_load_checkpoint(kept)
    again.training_step(many, 0)
    assert seen["train/pairs"] == drawn[1]


def test_candidates_are_those_of_the_begin_of_the_epoch(watched: Watch, examples: Example) -> None:
    shown: list[Tensor] = []

    def recording(policy: Any, memory: Any, asked: Example, slots: int, generator: torch.Generator) -> Slates:
        found = BeamSampler(8)(policy, memory, asked, slots, generator)
        shown.append(found.items)
        return found

    aligned = system(sampler=recording)
    watched(aligned)
    before = AutoregressiveSlatePolicy(network().eval()).top(examples.context, 8, SLOTS).items
    with torch.no_grad():
        for weight in aligned.network.parameters():
            weight.add_(torch.randn(weight.shape))
    aligned.training_step(examples, 0)
    assert torch.equal(shown[0], before)
    aligned._trainer = SimpleNamespace(current_epoch=1, global_step=1, global_rank=0)
    aligned.training_step(examples, 1)
    after = AutoregressiveSlatePolicy(aligned.network.eval()).top(examples.context, 8, SLOTS).items
    assert torch.equal(shown[1], after) and not torch.equal(before, after)


def test_validation_asks_the_judge_about_what_the_policy_finds(watched: Watch, examples: Example) -> None:
    aligned = system().eval()
    seen = watched(aligned)
    aligned.validation_step(examples, 0)
    aligned.on_validation_epoch_end()
    own = JudgedValidation(Sum(0.5), Sum(), candidates=4)
    expected = own.figures(aligned.policy, examples, SLOTS) | own.epoch_figures(ITEMS)
    assert seen == pytest.approx({name: float(value) for name, value in expected.items()})
    assert aligned.monitor in seen


def test_a_reward_that_is_not_finite_stops_the_training(watched: Watch, examples: Example) -> None:
    aligned = system(reward=Sum(float("nan")))
    watched(aligned)
    with pytest.raises(NonFiniteError, match="the reward Sum is nan"):
        aligned.training_step(examples, 0)


@pytest.mark.parametrize("bad", [{"slots": 0}, {"pair_share": 1.1}, {"preference_weight": -1.0}])
def test_numbers_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        system(**bad)


def test_rewards_without_a_common_unit_are_not_compared_between_two_policies() -> None:
    system(reward=Ranks())
    system(pairing=TemporalPairing())
    with pytest.raises(ConfigurationError, match=r"pairing=TemporalPairing: .*Ranks those of one.*ProbabilitySum"):
        system(reward=Ranks(), pairing=TemporalPairing())


def test_rewards_that_are_no_floats_are_refused(watched: Watch, examples: Example) -> None:
    class Whole(Sum):
        def __call__(self, example: Example, slates: Slates) -> Tensor:
            return super().__call__(example, slates).long()

    aligned = system(reward=Whole())
    watched(aligned)
    with pytest.raises(ContractError, match=r"the reward Whole returned torch\.int64"):
        aligned.training_step(examples, 0)
