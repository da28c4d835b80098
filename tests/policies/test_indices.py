"""What an index that is no item means in each list that a policy reads: it is refused, by name; repeats count once."""

from __future__ import annotations

import pytest
import torch

from recsys.errors import RequestError
from recsys.policies.policy import Policy
from recsys.policies.scorer import OnlineLearner
from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates
from recsys.types.transition import Transition
from tests.contracts.policies import NUM_ITEMS, POLICIES

every = pytest.mark.parametrize("name", POLICIES)


def requests(**lists: list[int]) -> Context:
    plain = Context(torch.tensor([0]), Jagged.from_rows([[0, 1]]), Jagged.empty(1))
    return plain.replace(**{key: Jagged.from_rows([row]) for key, row in lists.items()})


def slates(*items: int) -> Slates:
    given = torch.tensor([[items]])
    return Slates(given, torch.zeros(given.shape), SamplingMethod.GIVEN)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@every
@pytest.mark.parametrize("wrong", [-2, NUM_ITEMS, 10**6])
def test_slates_hold_items_or_nothing(name: str, wrong: int) -> None:
    policy: Policy = POLICIES[name].make()
    with pytest.raises(RequestError, match=f"request 0: a slate or list holds item {wrong}, expected 0 to 5, or -1"):
        policy.log_prob(requests(), slates(0, wrong))
    assert policy.log_prob(requests(), slates(-1, 1)).isneginf().all()
    assert policy.log_prob(requests(), slates(1, 1))[0, 0, 1].isneginf()


@every
@pytest.mark.parametrize("wrong", [-2, NUM_ITEMS])
def test_nothing_is_learned_from_a_slate_that_holds_no_item(name: str, wrong: int) -> None:
    policy = POLICIES[name].make()
    if not isinstance(policy, OnlineLearner) or name.endswith(("slate_model", "slate_q", "uniform")):
        pytest.skip("it does not learn")
    assert isinstance(policy, torch.nn.Module)
    before = {key: value.clone() for key, value in policy.named_buffers()}
    shown = Slates(torch.tensor([[[0, wrong]]]), torch.zeros(1, 1, 2))
    with pytest.raises(RequestError, match=f"holds item {wrong}"):
        policy.update(Transition.one_round(requests(), shown, Feedback.of_reward(torch.zeros(1, 1, 2))), generator())
    assert all(torch.equal(value, before[key]) for key, value in policy.named_buffers())


@every
@pytest.mark.parametrize("wrong", [-1, NUM_ITEMS])
@pytest.mark.parametrize("rows", ["excluded", "candidates"])
def test_lists_that_restrict_a_request_hold_items(name: str, rows: str, wrong: int) -> None:
    policy: Policy = POLICIES[name].make()
    asked = requests(**{rows: [0, wrong]})
    for ask in (lambda: policy.sample(asked, 1, 2, generator()), lambda: policy.log_prob(asked, slates(1, 2))):
        with pytest.raises(RequestError, match=f"request 0: {rows} holds item {wrong}, expected 0 to 5"):
            ask()


@every
@pytest.mark.parametrize("rows", ["excluded", "candidates"])
def test_repeats_in_lists_that_restrict_a_request_count_once(name: str, rows: str) -> None:
    policy: Policy = POLICIES[name].make()
    once, often = requests(**{rows: [3, 1]}), requests(**{rows: [3, 1, 3, 3]})
    given = slates(3, 1) if rows == "candidates" else slates(2, 4)
    torch.testing.assert_close(policy.log_prob(often, given), policy.log_prob(once, given))
    assert torch.equal(policy.sample(often, 2, 2, generator()).items, policy.sample(once, 2, 2, generator()).items)
