from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recsys.decode.catalogue import over_legal_set
from recsys.errors import RequestError
from recsys.metrics.ranking import rank_in_scores
from recsys.policies.baselines.popularity import PopularityPolicy
from recsys.policies.evaluation import evaluate
from recsys.policies.policy import ItemPolicy
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.slates import Slates
from tests.policies.contexts import answered, requests


class Watched(ItemPolicy):
    """Scores by the length of the history; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.randn(9, 20))
        self.dropout = nn.Dropout(0.9)
        self.frozen = nn.Dropout(0.9).eval()
        self.batches: list[Context] = []

    def catalogue_log_prob(self, context: Context) -> Tensor:
        self.batches.append(context)
        return over_legal_set(self.dropout(self.frozen(self.scores[context.history.lengths])), context)


def asked(rows: int = 30) -> Example:
    lengths = torch.randint(0, 9, (rows,)).tolist()
    histories = [torch.randint(0, 20, (length,)).tolist() for length in lengths]
    return answered(requests(histories, histories), torch.randint(0, 20, (rows,)).tolist())


def test_answers_keep_the_order_of_requests() -> None:
    policy, examples = Watched(), asked()
    found = evaluate(policy, examples, k=(1, 20), batch_size=7)
    policy.eval()
    expected = rank_in_scores(policy.catalogue_log_prob(examples.context), examples.item)
    assert torch.equal(found.rank.double(), expected)
    assert torch.equal(found.users, examples.context.users)


def test_batch_size_does_not_matter() -> None:
    policy, examples = Watched(), asked()
    assert torch.equal(evaluate(policy, examples, batch_size=1).items, evaluate(policy, examples, batch_size=64).items)


def test_a_policy_sees_contexts_alone_and_batches_are_bounded() -> None:
    policy = Watched()
    evaluate(policy, asked(), batch_size=8)
    assert all(type(batch) is Context and len(batch) <= 8 for batch in policy.batches)


def test_dropout_is_off_inside_and_modules_are_left_as_they_were() -> None:
    policy, examples = Watched().train(), asked()
    policy.frozen.eval()
    assert torch.equal(evaluate(policy, examples).items, evaluate(policy, examples).items)
    assert policy.training and policy.dropout.training and not policy.frozen.training


def test_modules_are_left_as_they_were_after_a_failure() -> None:
    class Failing(Watched):
        def top(self, context: Context, k: int) -> Slates:
            raise RuntimeError("no")

    policy = Failing().train()
    with pytest.raises(RuntimeError):
        evaluate(policy, asked())
    assert policy.training


def test_excluded_items_are_not_recommended_and_short_lists_are_padded() -> None:
    examples = answered(requests([[0, 1, 2]], [[0, 1, 2]]), [0])
    found = evaluate(PopularityPolicy(requests([[0, 0, 3]]), num_items=5), examples, k=(5, 1))
    assert found.items.tolist() == [[3, 4, -1, -1, -1]]
    assert found.rank.tolist() == [0]
    assert found.cutoffs == (1, 5)


def test_examples_are_needed() -> None:
    with pytest.raises(RequestError, match="held-out requests"):
        evaluate(Watched(), answered(requests([]), []))
