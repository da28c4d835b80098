from __future__ import annotations

import numpy as np
import torch

from recsys.decode.top_k import tie_keys
from recsys.policies.bandits.greedy import EpsilonGreedy, Greedy
from recsys.policies.bandits.posteriors import LinearPosterior
from recsys.policies.bandits.thompson import InSlateThompson, SlateThompson, fill
from recsys.types.context import Context
from recsys.types.jagged import Jagged

ITEMS, USERS, SLOTS = 40, 16, 6
VECTORS = torch.randn(ITEMS, 4, generator=torch.Generator().manual_seed(3))


def requests(users: int = USERS) -> Context:
    return Context(torch.arange(users), Jagged.empty(users), Jagged.from_rows([[3]] * users))


class Known:
    """The same four numbers of an item for everybody."""

    width = 4

    def __call__(self, context: Context) -> torch.Tensor:
        return VECTORS.expand(len(context), -1, -1)


def posterior(spread: float, pool: int = 64) -> LinearPosterior:
    """A known mean and a spread of one's own, the same in every direction."""
    made = LinearPosterior(Known(), ITEMS, pool=pool)
    mean = torch.tensor([1.0, -0.5, 0.3, 0.8], dtype=torch.float64)
    noise = torch.randn(pool, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    made.root.copy_(torch.eye(4) / max(spread, 1e-9))
    made.rotated.copy_(made.root @ mean)
    made.draws.copy_(mean + spread * noise)
    return made


def diversity(policy: InSlateThompson | SlateThompson) -> float:
    slates = policy.sample(requests(), 8, SLOTS, torch.Generator().manual_seed(0)).items.flatten(0, 1)
    return torch.cdist(VECTORS[slates], VECTORS[slates]).mean().item()


def test_without_uncertainty_both_are_greedy() -> None:
    known = posterior(spread=0.0)
    greedy = Greedy(known).sample(requests(), 1, SLOTS, torch.Generator())
    for policy in (InSlateThompson(known), SlateThompson(known)):
        slates = policy.sample(requests(), 3, SLOTS, torch.Generator().manual_seed(0))
        assert torch.equal(slates.items, greedy.items.expand(-1, 3, -1))
        torch.testing.assert_close(slates.log_prob, torch.zeros(slates.items.shape))


def test_uncertainty_spreads_a_slate_more_with_a_draw_a_slot_than_with_one() -> None:
    spreads = (0.0, 0.3, 1.0, 3.0)
    in_slate = [diversity(InSlateThompson(posterior(spread))) for spread in spreads]
    assert in_slate == sorted(in_slate) and in_slate[0] < in_slate[-1]
    assert diversity(InSlateThompson(posterior(1.0))) > diversity(SlateThompson(posterior(1.0)))


def test_a_slate_of_one_slot_is_the_same_policy_either_way() -> None:
    one = posterior(1.0)
    items = torch.arange(ITEMS).view(1, -1, 1).expand(USERS, -1, -1)
    slates = SlateThompson(one).sample(requests(), ITEMS, 1, torch.Generator().manual_seed(0))
    given = type(slates)(items, torch.zeros(items.shape))
    torch.testing.assert_close(
        SlateThompson(one).log_prob(requests(), given), InSlateThompson(one).log_prob(requests(), given)
    )


def test_slot_probabilities_are_shares_of_the_pool() -> None:
    one = posterior(1.0, pool=4)
    scores = one.sampled_scores(requests(1), torch.arange(4).unsqueeze(0))[0].index_fill(
        1, torch.tensor([3]), -torch.inf
    )
    slates = InSlateThompson(one).sample(requests(1), 1, 2, torch.Generator().manual_seed(5))
    first, second = slates.items[0, 0].tolist()
    share = (scores.argmax(1) == first).float().mean()
    left = scores.index_fill(1, torch.tensor([first]), -torch.inf)
    torch.testing.assert_close(slates.log_prob[0, 0, 0].exp(), share)
    torch.testing.assert_close(slates.log_prob[0, 0, 1].exp(), (left.argmax(1) == second).float().mean())


def test_drawing_alone_is_the_same_policy() -> None:
    policy, many = InSlateThompson(posterior(1.0, pool=8)), requests(4000)
    items = policy.draw(many, 2, torch.Generator().manual_seed(0))
    assert (items[:, 0] != items[:, 1]).all()
    counted = (
        policy.log_prob(
            requests(1),
            type(policy.sample(requests(1), 1, 2, torch.Generator()))(items.unsqueeze(0), torch.zeros(1, 4000, 2)),
        )
        .sum(-1)
        .exp()[0]
    )
    slates, index = items.unique(dim=0, return_inverse=True)
    share = torch.bincount(index).float() / 4000
    expected = torch.zeros(len(slates)).scatter(0, index, counted)
    assert ((share - expected).abs() < 4.5 * (expected * (1 - expected) / 4000).sqrt() + 1e-3).all()


def test_drawing_leaves_empty_what_nothing_is_left_for() -> None:
    context = Context(torch.arange(1), Jagged.empty(1), Jagged.from_rows([list(range(2, ITEMS))]))
    for items in (
        InSlateThompson(posterior(1.0)).draw(context, 4, torch.Generator().manual_seed(0)),
        InSlateThompson(posterior(1.0)).sample(context, 1, 4, torch.Generator().manual_seed(0)).items[0],
    ):
        assert sorted(items[0, :2].tolist()) == [0, 1]
        assert items[0, 2:].tolist() == [-1, -1]


def test_slots_are_filled_one_after_the_other_in_any_layout() -> None:
    scores = np.random.default_rng(0).integers(0, 9, (5, 8, 6)).astype(np.float32)
    scores[0, :, :4] = -np.inf
    expected = []
    for user, rows in enumerate(scores):
        taken: list[int] = []
        for slot in rows:
            left = [-np.inf if item in taken else score for item, score in enumerate(slot)]
            best = [item for item in range(6) if left[item] == max(left) > -np.inf]
            keys = tie_keys(torch.tensor(user), torch.tensor(best, dtype=torch.int64))
            taken.append(best[int(keys.argmax())] if best else -1)
        expected.append(taken)
    assert expected[0][2:] == [-1] * 6
    users = torch.arange(5)
    assert fill(scores.transpose(1, 0, 2).copy().swapaxes(0, 1), users).tolist() == expected
    assert fill(scores, users).tolist() == expected


def test_epsilon_is_the_share_of_slots_that_are_any_item() -> None:
    known = posterior(0.0)
    best = Greedy(known).sample(requests(1), 1, 1, torch.Generator()).items[0, 0, 0]
    slates = EpsilonGreedy(known, 0.25).sample(requests(1), 20_000, 1, torch.Generator().manual_seed(0)).items
    expected = 0.75 + 0.25 / (ITEMS - 1)
    assert abs((slates == best).float().mean().item() - expected) < 4 * (expected * (1 - expected) / 20_000) ** 0.5
