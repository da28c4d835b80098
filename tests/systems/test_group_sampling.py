from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.policies.generative import GenerativePolicy
from recsys.policies.network_policy import NetworkPolicy
from recsys.systems.group_sampling import (
    BeamSampler,
    DynamicSampler,
    GroupSampler,
    IndependentSampler,
    ReCastSampler,
    StochasticBeamSampler,
    TargetInsertionSampler,
)
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates
from tests.tiny import tiny_generator

REQUESTS = Context(
    users=torch.arange(3),
    history=Jagged.from_rows([[1, 2], [5], [7, 8]]),
    excluded=Jagged.from_rows([[1, 2], [5], [item for item in range(20) if item not in (0, 9, 19)]]),
)
"""The last one leaves three items."""
EXAMPLES = Example.next_item(REQUESTS, torch.tensor([4, 17, 9]))
SAMPLERS = [
    BeamSampler(6),
    StochasticBeamSampler(6),
    IndependentSampler(6),
    TargetInsertionSampler(BeamSampler(6)),
    ReCastSampler(StochasticBeamSampler(6)),
    DynamicSampler(6, factor=1.5),
]


@pytest.fixture
def policy() -> GenerativePolicy:
    return GenerativePolicy(tiny_generator(dropout=0.0), beams=6)


def sampled(
    policy: NetworkPolicy, sampler: GroupSampler, seed: int = 0, slots: int = 1, examples: Example = EXAMPLES
) -> Slates:
    memory = policy.network.encode(REQUESTS)
    return sampler(policy, memory, examples, slots, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda one: type(one).__name__)
def test_candidates_are_legal_items_drawn_by_the_seed(policy: GenerativePolicy, sampler: GroupSampler) -> None:
    assert isinstance(sampler, GroupSampler)
    slates = sampled(policy, sampler)
    assert slates.items.shape == (3, 6, 1)
    assert not slates.log_prob.requires_grad
    illegal = REQUESTS.illegal(20)
    for row, items in enumerate(slates.items.squeeze(-1).tolist()):
        assert not illegal[row, [item for item in items if item >= 0]].any()
    assert torch.equal(slates.items, sampled(policy, sampler).items)
    drawn = [tuple(sampled(policy, sampler, seed).items.flatten().tolist()) for seed in range(4)]
    assert (len(set(drawn)) == 1) == isinstance(getattr(sampler, "sampler", sampler), BeamSampler)


def test_beams_are_the_most_probable_items(policy: GenerativePolicy) -> None:
    exact = policy.catalogue_log_prob(REQUESTS).topk(3, 1).indices
    slates = sampled(policy, BeamSampler(20))
    assert torch.equal(slates.items[:, :3, 0], exact)
    assert slates.sampling_method is SamplingMethod.TOP
    assert slates.items[2, 3:].unique().tolist() == [-1]


def test_stochastic_beams_are_distinct_and_know_their_chances(policy: GenerativePolicy) -> None:
    slates = sampled(policy, StochasticBeamSampler(6))
    assert slates.sampling_method is SamplingMethod.WITHOUT_REPLACEMENT
    assert slates.log_inclusion is not None
    for items in slates.items[:2, :, 0].tolist():
        assert len(set(items)) == 6
    assert sorted(slates.items[2, :, 0].tolist()) == [-1, -1, -1, 0, 9, 19]
    torch.testing.assert_close(slates.log_inclusion[2, slates.mask[2]], torch.zeros(3))


def test_independent_draws_may_come_twice(policy: GenerativePolicy) -> None:
    slates = sampled(policy, IndependentSampler(6))
    assert slates.sampling_method is SamplingMethod.SAMPLE
    assert len(set(slates.items[2].flatten().tolist())) <= 3


def test_the_target_takes_the_last_place_where_it_is_missing(policy: GenerativePolicy) -> None:
    plain, forced = sampled(policy, BeamSampler(3)), sampled(policy, TargetInsertionSampler(BeamSampler(3)))
    assert forced.sampling_method is SamplingMethod.GIVEN
    for before, after, target in zip(plain.items.tolist(), forced.items.tolist(), [4, 17, 9], strict=True):
        expected = before if [target] in before else [*before[:-1], [target]]
        assert after == expected


@pytest.mark.parametrize("kind", [TargetInsertionSampler, ReCastSampler])
def test_an_answer_outside_the_legal_set_stays_out(
    policy: GenerativePolicy, kind: Callable[[GroupSampler], GroupSampler]
) -> None:
    """It has probability 0, and would make every loss NaN."""
    answered = Example.next_item(REQUESTS, torch.tensor([2, 17, 4]))
    plain = sampled(policy, StochasticBeamSampler(3), examples=answered)
    forced = sampled(policy, kind(StochasticBeamSampler(3)), examples=answered)
    assert forced.items[0].tolist() == plain.items[0].tolist()
    assert forced.items[2].tolist() == plain.items[2].tolist()
    assert 17 in forced.items[1]


@pytest.mark.parametrize("make", [BeamSampler, StochasticBeamSampler, IndependentSampler, DynamicSampler])
def test_groups_without_candidates_are_refused(make: Callable[[int], GroupSampler]) -> None:
    with pytest.raises(ConfigurationError, match="candidates=0"):
        make(0)
    with pytest.raises(ConfigurationError, match=r"factor=0\.5"):
        DynamicSampler(4, factor=0.5)


def test_the_target_takes_the_place_of_the_one_least_like_it(policy: GenerativePolicy) -> None:
    """Items of five share their first code: the target of the first row is 4, so 0 … 4 are like it."""
    plain, repaired = sampled(policy, BeamSampler(6)), sampled(policy, ReCastSampler(BeamSampler(6)))
    for before, after, target in zip(plain.items.tolist(), repaired.items.tolist(), [4, 17, 9], strict=True):
        assert [target] in after
        if [target] not in before:
            (lost,) = [item for item, kept in zip(before, after, strict=True) if item != kept]
            unlike = [item for item in before if item[0] >= 0 and item[0] // 5 != target // 5]
            assert lost == (unlike or before)[0]


def test_more_are_drawn_than_kept_and_the_target_stays(policy: GenerativePolicy) -> None:
    kept, drawn = sampled(policy, DynamicSampler(4, factor=8.0)), sampled(policy, IndependentSampler(32))
    assert kept.sampling_method is SamplingMethod.GIVEN
    for row, target in enumerate([4, 17, 9]):
        every, some = drawn.items[row, :, 0].tolist(), kept.items[row, :, 0].tolist()
        assert (target in some) == (target in every)
        assert len(set(some)) == min(4, len(set(every)))
    chosen = policy.catalogue_log_prob(REQUESTS).gather(1, kept.items.squeeze(-1))
    torch.testing.assert_close(kept.log_prob.squeeze(-1), chosen, atol=1e-5, rtol=1e-5)


LOGGED_SLATES = Example(REQUESTS, Slates(torch.tensor([[[4, 3]], [[17, 2]], [[9, 0]]]), torch.zeros(3, 1, 2)))


SAMPLERS_OF_SLATES = [BeamSampler(6), IndependentSampler(6), DynamicSampler(6)]


@pytest.mark.parametrize("sampler", SAMPLERS_OF_SLATES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("kind", [GenerativePolicy, AutoregressiveSlatePolicy])
def test_slates_of_two_slots_hold_distinct_legal_items(kind: type[NetworkPolicy], sampler: GroupSampler) -> None:
    policy = kind(tiny_generator(dropout=0.0), beams=6)
    slates = sampled(policy, sampler, slots=2, examples=LOGGED_SLATES)
    assert slates.items.shape == slates.log_prob.shape == (3, 6, 2)
    assert (slates.items[..., 0] != slates.items[..., 1]).all()
    scored = policy.log_prob(REQUESTS, slates)
    assert scored.isfinite().all()
    torch.testing.assert_close(slates.log_prob, scored, atol=1e-5, rtol=1e-5)


def test_a_logged_slate_is_inserted_whole(policy: GenerativePolicy) -> None:
    forced = sampled(policy, TargetInsertionSampler(IndependentSampler(6)), slots=2, examples=LOGGED_SLATES)
    assert (forced.items == LOGGED_SLATES.slates.items).all(-1).any(-1).all()


@pytest.mark.parametrize("sampler", [StochasticBeamSampler(6), ReCastSampler(IndependentSampler(6))])
def test_who_samples_single_items_says_so(policy: GenerativePolicy, sampler: GroupSampler) -> None:
    with pytest.raises(ConfigurationError, match=rf"{type(sampler).__name__} samples single items, but slots=2"):
        sampled(policy, sampler, slots=2, examples=LOGGED_SLATES)


@pytest.mark.parametrize("sampler", [TargetInsertionSampler(IndependentSampler(6)), DynamicSampler(6)])
def test_who_needs_the_logged_answer_says_so(policy: GenerativePolicy, sampler: GroupSampler) -> None:
    with pytest.raises(ConfigurationError, match=rf"{type(sampler).__name__} .*2 slots.* the log has 1 of 1"):
        sampled(policy, sampler, slots=2)


@pytest.mark.parametrize("sampler", [TargetInsertionSampler(BeamSampler(6)), ReCastSampler(BeamSampler(6))])
def test_an_inserted_answer_has_its_own_probability(policy: GenerativePolicy, sampler: GroupSampler) -> None:
    slates = sampled(policy, sampler)
    own = policy.log_prob_from(policy.network.encode(REQUESTS), REQUESTS, slates.items).sum(-1)
    assert (slates.items == EXAMPLES.item[:, None, None]).any((1, 2)).all()
    exists = slates.mask.unsqueeze(-1)
    torch.testing.assert_close(slates.log_prob.where(exists, 0.0), own.where(exists, 0.0))
