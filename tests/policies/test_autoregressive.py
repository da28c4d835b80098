from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from recsys.decode.slate_search import greedy_slates
from recsys.items.trie import Trie
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.policies.generative import GenerativePolicy
from recsys.policies.policy import ItemPolicy
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates
from tests.decode.table_generator import TableGenerator, ragged_codes

ITEMS = 9
NETWORK = TableGenerator(Trie.from_codes(ragged_codes(ITEMS, 3, 3)), scale=2.0)
REQUESTS = Context(
    torch.tensor([0, 1, 2]), Jagged.from_rows([[1, 2], [], [6]]), Jagged.from_rows([[], [2, 5, 2], [0, 1, 2]])
)
EVERY = torch.arange(ITEMS).view(1, ITEMS, 1).expand(3, -1, -1)


@pytest.fixture
def policy() -> AutoregressiveSlatePolicy:
    return AutoregressiveSlatePolicy(NETWORK, beams=4)


def test_slates_of_one_slot_are_the_item_policy_s_to_the_bit(policy: AutoregressiveSlatePolicy) -> None:
    items = GenerativePolicy(NETWORK, beams=4)
    for method in (
        lambda one: one.sample(REQUESTS, 5, 1, torch.Generator().manual_seed(3)),
        lambda one: one.top(REQUESTS, 6),
        lambda one: one.top(REQUESTS, 2),
        lambda one: one.sample_without_replacement_from(
            NETWORK.encode(REQUESTS), REQUESTS, 3, torch.Generator().manual_seed(1)
        ),
    ):
        mine, theirs = method(policy), method(items)
        assert torch.equal(mine.items, theirs.items) and torch.equal(mine.log_prob, theirs.log_prob)
        assert mine.sampling_method is theirs.sampling_method
    slates = Slates(EVERY, torch.zeros(EVERY.shape))
    assert torch.equal(policy.log_prob(REQUESTS, slates), items.log_prob(REQUESTS, slates))
    assert torch.equal(policy.catalogue_log_prob(REQUESTS), items.catalogue_log_prob(REQUESTS))


def test_a_second_slot_knows_the_first(policy: AutoregressiveSlatePolicy) -> None:
    """Behind different items the rest of the catalogue has different odds; in an item policy it keeps them."""
    slates = torch.tensor([[[0, 7], [0, 8], [3, 7], [3, 8]]]).expand(3, -1, -1)

    def log_odds(one: AutoregressiveSlatePolicy | GenerativePolicy) -> Tensor:
        second = one.log_prob(REQUESTS.select(torch.tensor([0])), Slates(slates[:1], torch.zeros(1, 4, 2)))[0, :, 1]
        return torch.stack([second[0] - second[1], second[2] - second[3]])

    mine, theirs = log_odds(policy), log_odds(GenerativePolicy(NETWORK))
    assert (mine[0] - mine[1]).abs() > 0.1
    torch.testing.assert_close(theirs[0], theirs[1], atol=1e-4, rtol=0)
    assert not isinstance(policy, ItemPolicy), "who takes one for Plackett and Luce would be wrong"


def test_histories_are_encoded_once(policy: AutoregressiveSlatePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    encode = policy.network.encode

    def counted(context: Context) -> Tensor:
        calls.append(len(context))
        return encode(context)

    monkeypatch.setattr(policy.network, "encode", counted)
    slates = policy.sample(REQUESTS, 5, 3, torch.Generator().manual_seed(0))
    policy.log_prob(REQUESTS, slates)
    policy.top(REQUESTS, 2, slots=3)
    assert calls == [3, 3, 3]


def test_rollouts_carry_no_gradient_and_scores_do(policy: AutoregressiveSlatePolicy) -> None:
    memory = policy.network.encode(REQUESTS)
    sampled = policy.sample_from(memory, REQUESTS, 2, 2, torch.Generator().manual_seed(0))
    found = policy.top_from(memory, REQUESTS, 2, slots=2)
    assert sampled.sampling_method is SamplingMethod.SAMPLE and found.sampling_method is SamplingMethod.TOP
    assert not sampled.log_prob.requires_grad and not found.log_prob.requires_grad
    codes = policy.log_prob_from(memory, REQUESTS, found.items)
    assert codes.shape == (3, 2, 2, 3) and codes.requires_grad
    torch.testing.assert_close(codes.detach().sum(-1), found.log_prob)


def test_the_search_is_chosen_by_object() -> None:
    greedy = AutoregressiveSlatePolicy(NETWORK, beams=ITEMS, search=partial(greedy_slates))
    wide = AutoregressiveSlatePolicy(NETWORK, beams=80)
    found, best = greedy.top(REQUESTS, 6, slots=2), wide.top(REQUESTS, 6, slots=2)
    assert all(len(set(row)) == 6 for row in found.items[:, :, 0].tolist())
    assert (best.slate_log_prob[:, 0] >= found.slate_log_prob[:, 0] - 1e-6).all()
    assert not torch.equal(best.items, found.items)
