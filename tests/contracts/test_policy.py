"""The laws of every policy: over what a request allows `Σ exp log_prob = 1`, and `sample` draws by it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from recsys.errors import EmptyLegalSetError, RequestError
from recsys.policies.policy import ItemPolicy, Policy
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates
from tests.contracts.policies import NUM_ITEMS, NUM_USERS, POLICIES, Entry

DRAWS = 2000


@pytest.fixture(params=sorted(POLICIES))
def entry(request: pytest.FixtureRequest) -> Entry:
    return POLICIES[request.param]


@pytest.fixture
def policy(entry: Entry) -> Policy:
    made = entry.make()
    return made.eval().requires_grad_(False) if isinstance(made, torch.nn.Module) else made


@pytest.fixture(params=["excluded", "candidates"])
def requests(request: pytest.FixtureRequest) -> Context:
    """Histories from none to long; nothing, one item twice, several items excluded."""
    context = Context(
        users=torch.arange(NUM_USERS),
        history=Jagged.from_rows([[], [2], [0, 1, 2, 3, 4, 5, 0], [5, 1]]),
        excluded=Jagged.from_rows([[], [2, 2], [0, 3, 1], [5]]),
    )
    if request.param == "excluded":
        return context
    return replace(context, candidates=Jagged.from_rows([[0, 1, 2], [2, 4, 5, 4], [1, 2, 5], list(range(NUM_ITEMS))]))


def enumerated(rows: int, slots: int) -> Slates:
    """Every slate of distinct items, the same for each request."""
    slates = torch.tensor(list(itertools.permutations(range(NUM_ITEMS), slots)))
    items = slates.expand(rows, -1, -1)
    return Slates(items, torch.zeros(items.shape))


def legal_slates(context: Context, slates: Slates) -> Tensor:
    illegal = context.illegal(NUM_ITEMS)
    return ~illegal.gather(1, slates.items.flatten(1)).view(slates.items.shape).any(-1)


def test_it_is_a_policy(policy: Policy) -> None:
    assert isinstance(policy, Policy)


@pytest.mark.parametrize("slots", [1, 2])
def test_probabilities_sum_to_one_over_the_legal_slates(
    entry: Entry, policy: Policy, requests: Context, slots: int
) -> None:
    slates = enumerated(len(requests), slots)
    log_prob = policy.log_prob(requests, slates)
    assert log_prob.shape == slates.items.shape
    total = log_prob.sum(-1)
    impossible, legal = total.isneginf(), legal_slates(requests, slates)
    assert impossible[~legal].all()
    assert entry.partial or not impossible[legal].any()
    assert torch.allclose(total.exp().sum(-1), torch.ones(len(requests)), atol=1e-4)


@pytest.mark.parametrize("slots", [1, 2])
def test_slates_are_drawn_by_their_probability(policy: Policy, requests: Context, slots: int) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = policy.sample(requests, DRAWS, slots, generator)
    assert drawn.items.shape == drawn.log_prob.shape == (len(requests), DRAWS, slots)
    assert drawn.sampling_method is SamplingMethod.SAMPLE
    slates = enumerated(len(requests), slots)
    expected = policy.log_prob(requests, slates).sum(-1).double().exp() * DRAWS
    seen = (drawn.items.unsqueeze(2) == slates.items.unsqueeze(1)).all(-1).sum(1)
    assert (seen.sum(-1) == DRAWS).all(), "a drawn slate repeats an item or holds none"
    assert (seen[expected == 0] == 0).all()
    for counts, means in zip(seen, expected, strict=True):
        common = means >= 5
        counts = torch.cat([counts[common], counts[~common].sum(0, keepdim=True)]).double()
        means = torch.cat([means[common], means[~common].sum(0, keepdim=True)])
        statistic = ((counts - means) ** 2 / means.clamp(min=1.0)).sum()
        assert statistic < chi2.ppf(1 - 1e-5, df=max(1, int(common.sum())))


def test_a_draw_carries_its_log_probability(policy: Policy, requests: Context) -> None:
    slates = policy.sample(requests, 5, 2, torch.Generator().manual_seed(0))
    assert torch.allclose(slates.log_prob, policy.log_prob(requests, slates), atol=1e-4)


def test_slates_hold_distinct_legal_items(policy: Policy, requests: Context) -> None:
    slates = policy.sample(requests, 20, 3, torch.Generator().manual_seed(0))
    illegal = requests.illegal(NUM_ITEMS)
    for row in range(len(requests)):
        legal = int((~illegal[row]).sum())
        for slate in slates.items[row].tolist():
            real = [item for item in slate if item >= 0]
            assert len(set(real)) == len(real) == min(3, legal) and slate[: len(real)] == real
            assert not illegal[row, real].any()


def test_equal_seeds_give_equal_slates_and_others_do_not(entry: Entry, policy: Policy, requests: Context) -> None:
    first, again, other = (
        policy.sample(requests, 500, 1, torch.Generator().manual_seed(seed)).items for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other) == entry.deterministic


def test_a_request_is_answered_the_same_in_any_batch(policy: Policy, requests: Context) -> None:
    slates = enumerated(len(requests), 1)
    together = policy.log_prob(requests, slates)
    for rows in ([3], [2, 0], [1, 1, 3, 2, 0]):
        index = torch.tensor(rows)
        alone = policy.log_prob(requests.select(index), Slates(slates.items[index], slates.log_prob[index]))
        assert torch.allclose(together[index], alone, atol=1e-5)


@pytest.mark.parametrize("value", [-1, NUM_ITEMS])
@pytest.mark.parametrize("name", ["excluded", "candidates"])
def test_an_index_that_is_no_item_is_refused(policy: Policy, requests: Context, name: str, value: int) -> None:
    asked = replace(requests, excluded=Jagged.empty(NUM_USERS), candidates=None)
    asked = replace(asked, **{name: Jagged.from_rows([[0, 1], [2], [1, value, 4], [3]])})
    expected = rf"request 2: {name} holds item {value}, expected 0 to {NUM_ITEMS - 1}"
    with pytest.raises(RequestError, match=expected):
        policy.sample(asked, 1, 1, torch.Generator().manual_seed(0))
    with pytest.raises(RequestError, match=expected):
        policy.log_prob(asked, enumerated(NUM_USERS, 1))
    if isinstance(policy, ItemPolicy):
        with pytest.raises(RequestError, match=expected):
            policy.top(asked, 2)


@pytest.mark.parametrize("value", [-1, NUM_ITEMS])
def test_an_index_that_is_no_item_is_refused_in_histories_that_are_read(
    policy: Policy, requests: Context, value: int
) -> None:
    wrong, other = (replace(requests, history=Jagged.from_rows([[0], [2], [1, item, 4], [3]])) for item in (value, 2))
    slates = enumerated(NUM_USERS, 1)
    try:
        found = policy.log_prob(wrong, slates)
    except RequestError as refused:
        assert f"request 2: history holds item {value}, expected 0 to {NUM_ITEMS - 1}" in str(refused)
    else:
        assert torch.allclose(found, policy.log_prob(other, slates)), "the history is read and not checked"


def test_repeated_candidates_count_once(policy: Policy) -> None:
    lists = [Jagged.from_rows([[0], [5, 1]]), Jagged.empty(2), Jagged.from_rows([[3, 1], [4, 2, 0]])]
    asked = Context(torch.arange(2), *lists)
    twice = replace(asked, candidates=Jagged.from_rows([[1, 3, 3, 1], [4, 4, 2, 0, 4]]))
    slates = enumerated(2, 2)
    assert torch.allclose(policy.log_prob(asked, slates), policy.log_prob(twice, slates), atol=1e-6)


def test_a_request_that_allows_nothing_is_refused(policy: Policy, requests: Context) -> None:
    nothing = replace(requests, excluded=Jagged.from_rows([list(range(NUM_ITEMS))] * NUM_USERS))
    with pytest.raises(EmptyLegalSetError):
        policy.log_prob(nothing, enumerated(NUM_USERS, 1))
    with pytest.raises(EmptyLegalSetError):
        policy.sample(nothing, 1, 1, torch.Generator())


def test_top_ranks_by_the_same_probabilities(policy: Policy, requests: Context) -> None:
    if not isinstance(policy, ItemPolicy):
        pytest.skip("ranks no items")
    catalogue = policy.catalogue_log_prob(requests)
    every = policy.log_prob(requests, enumerated(len(requests), 1)).squeeze(-1)
    assert torch.allclose(catalogue, every, atol=1e-4)
    top = policy.top(requests, NUM_ITEMS + 2)
    assert top.items.shape == (len(requests), NUM_ITEMS + 2, 1) and top.sampling_method is SamplingMethod.TOP
    ranked = catalogue.sort(-1, descending=True).values
    assert torch.allclose(top.log_prob[:, :NUM_ITEMS, 0], ranked, atol=1e-4)
    assert torch.equal(top.items < 0, top.log_prob.isneginf()) and (top.items[:, NUM_ITEMS:] == -1).all()
    found = top.items.squeeze(-1)
    assert torch.allclose(
        every.gather(1, found.clamp(min=0)).masked_fill(found < 0, -torch.inf), top.log_prob.squeeze(-1), atol=1e-4
    )
