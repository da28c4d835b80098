from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor

from recsys.data.logs.batches import LoggedSlates
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.data.logs.slate_policy_table import read_slate_policy_table
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import RequestError
from recsys.policies.bandits.greedy import EpsilonGreedy, UniformPolicy
from recsys.policies.plackett_luce import draw_slates
from recsys.policies.policy import Policy, SoftmaxPolicy
from recsys.replay.slates.distribution_methods import (
    EnumeratedSlates,
    PlackettLuceMarginals,
    SampledSlates,
    SlateDistributionMethod,
)
from recsys.replay.slates.importance import SlateIPS
from recsys.replay.slates.target import SlateTableTarget, SlateTarget
from recsys.replay.slates.weights import (
    PositionBasedWeights,
    PrefixWeights,
    PseudoInverse,
    SlotWeights,
    WholeSlateWeights,
)
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates
from tests.policies.contexts import requests
from tests.replay.feedback_files import written

CHANCES = [[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]
"""Of each of three items at either slot."""


@pytest.fixture
def log(tmp_path: Path) -> SlateFeedbackLog:
    table = pl.DataFrame(
        {
            "request_id": [0, 1, 2],
            "slate": [[0, 2], [1, 0], [2]],
            "rewards": [[1.0, 0.0], [0.0, 2.0], [3.0]],
            "propensity": [1 / 6, 1 / 6, 1 / 3],
        }
    )
    found = ParquetFeedback(written(table, tmp_path / "log.parquet")).log()
    assert isinstance(found, SlateFeedbackLog)
    return found


def beside(log: SlateFeedbackLog, folder: Path) -> SlateTableTarget:
    rows = [
        (request, slot, item, CHANCES[slot][item])
        for request, size in ((0, 2), (1, 2), (2, 1))
        for slot in range(size)
        for item in range(3)
    ]
    table = pl.DataFrame(rows, schema=["request_id", "slot", "action", "probability"], orient="row")
    return SlateTableTarget(read_slate_policy_table(written(table, folder / "table.parquet"), log))


def test_a_policy_that_fills_slots_independently_says_all_of_them(log: SlateFeedbackLog, tmp_path: Path) -> None:
    [batch] = log.batches()
    rounds = beside(log, tmp_path)(batch)
    assert rounds.need("target").tolist() == pytest.approx([0.5 * 0.7, 0.25 * 0.1, 0.25])
    assert rounds.need("target_slot").tolist() == [[0.5, 0.7], [0.25, 0.1], [0.25, 1.0]]
    at = rounds.need("target_at")
    assert at[0].tolist() == [[0.5, 0.1], [0.25, 0.7]], "item 0 at either slot, then item 2"
    assert at[2].tolist() == [[0.25, 1.0], [1.0, 1.0]], "1 where a slot is empty"
    assert beside(log, tmp_path).next_probability(batch)[0].tolist() == CHANCES


def test_who_wrote_the_log_completes_it(log: SlateFeedbackLog, tmp_path: Path) -> None:
    [batch] = log.batches()
    table = beside(log, tmp_path)
    with pytest.raises(RequestError, match=r"slot_propensities.*under the logging policy.*log\.logging"):
        SlateIPS(SlotWeights()).terms(table(batch))
    known = table.written_by(SlateTarget(UniformPolicy(3), PlackettLuceMarginals(), num_items=3))
    assert SlotWeights()(known(batch))[:2].flatten().tolist() == pytest.approx([1.5, 2.1, 0.75, 0.3])
    even = PositionBasedWeights((1.0, 1.0))(known(batch))
    assert even[0].tolist() == pytest.approx([(0.5 + 0.1) / (2 / 3), (0.25 + 0.7) / (2 / 3)])


def test_a_table_of_logged_slates_says_what_it_has(log: SlateFeedbackLog, tmp_path: Path) -> None:
    [batch] = log.batches()
    table = pl.DataFrame({"request_id": [0, 1, 2], "propensity": [0.25, 0.5, 0.125]})
    made = SlateTableTarget(read_slate_policy_table(written(table, tmp_path / "whole.parquet"), log))
    rounds = made(batch)
    assert torch.allclose(rounds.slate_ratio, torch.tensor([1.5, 3.0, 0.375]).double())
    assert rounds.target_prefix is None and rounds.target_at is None
    with pytest.raises(RequestError, match="every item at every slot"):
        made.next_probability(batch)


NUM_ITEMS, SLOTS, ROWS = 5, 3, 6
SCORES = torch.randn(2, ROWS, NUM_ITEMS, generator=torch.Generator().manual_seed(5))
EXCLUDED = [[], [1], [0], [], [4], []]


def softmax(which: int) -> SoftmaxPolicy:
    return SoftmaxPolicy(lambda context: SCORES[which, context.users])


class OnlySampled:
    """Draws like a softmax, and cannot tell how probable a slate is."""

    def __init__(self, which: int) -> None:
        self.policy = softmax(which)

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        items = draw_slates(self.policy.catalogue_log_prob(context), candidates, slots, generator)
        return Slates(items, torch.full(items.shape, torch.nan), SamplingMethod.SAMPLE)

    def log_prob(self, context: Context, slates: Slates) -> Tensor:
        raise NotImplementedError


def logged(policy: Policy | None = None) -> LoggedSlates:
    context = requests([[]] * ROWS, EXCLUDED)
    slates = (policy or softmax(0)).sample(context, 1, SLOTS, torch.Generator().manual_seed(0))
    return LoggedSlates(
        torch.arange(ROWS),
        slates.items[:, 0],
        torch.rand(ROWS, SLOTS),
        prefix=slates.log_prob[:, 0].exp(),
        context=context,
    )


def test_alone_it_gives_slates_and_prefixes() -> None:
    log = logged()
    rounds = SlateTarget(softmax(1))(log)
    assert log.context is not None
    expected = softmax(1).log_prob(log.context, Slates(log.items.unsqueeze(1), torch.zeros(ROWS, 1, SLOTS)))
    assert rounds.target_prefix is not None and rounds.target_prefix.dtype == torch.float64
    assert torch.allclose(rounds.target_prefix.float(), expected[:, 0].exp())
    assert torch.allclose(PrefixWeights()(rounds)[:, -1], rounds.slate_ratio)
    with pytest.raises(RequestError, match="each item at its slot"):
        SlotWeights()(rounds)
    with pytest.raises(RequestError, match="pseudo-inverse"):
        PseudoInverse()(rounds)


def test_empty_slots_have_probability_1() -> None:
    log = logged()
    items = log.items.clone()
    items[2, 1:] = -1
    rounds = SlateTarget(softmax(1))(replace(log, items=items))
    assert rounds.target_prefix is not None and rounds.target_prefix[2, 1:].tolist() == [1, 1]
    assert rounds.target_prefix[2, 0] < 1


def test_arrival_times_say_where_every_slate_says_that_items_stand() -> None:
    listed, arrived = (
        SlateTarget(softmax(1), distribution, logging=softmax(0))(logged())
        for distribution in (EnumeratedSlates(NUM_ITEMS), PlackettLuceMarginals())
    )
    assert torch.allclose(listed.need("target_at"), arrived.need("target_at"), atol=1e-6)
    assert torch.allclose(listed.need("logging_at"), arrived.need("logging_at"), atol=1e-6)
    assert torch.allclose(SlotWeights()(listed), SlotWeights()(arrived), atol=1e-5)


def test_draws_of_a_policy_that_can_only_be_sampled_are_within_their_errors() -> None:
    distribution = SampledSlates(20_000, seed=1)
    exact = SlateTarget(softmax(1), EnumeratedSlates(NUM_ITEMS), logging=softmax(0), num_items=NUM_ITEMS)(logged())
    rounds = SlateTarget(
        OnlySampled(1),
        distribution,
        logging=OnlySampled(0),
        num_items=NUM_ITEMS,
        scored=False,
    )(logged())
    assert rounds.target_prefix is None and rounds.logging_prefix is not None
    found, truth = rounds.need("target_at"), exact.need("target_at")
    assert ((found - truth).abs() < 4.5 * (truth * (1 - truth) / distribution.num_samples).sqrt() + 1e-6).all()
    missed = rounds.need("pseudo_inverse") - exact.need("pseudo_inverse")
    assert (missed.abs() < 4 * rounds.need("pseudo_inverse_error")).all()
    assert (exact.need("pseudo_inverse_error") == 0).all()
    with pytest.raises(RequestError, match="under the target policy"):
        WholeSlateWeights()(rounds)


@pytest.mark.parametrize("method", [EnumeratedSlates(NUM_ITEMS), PlackettLuceMarginals()], ids=["every", "arrival"])
def test_a_log_ranked_at_random_needs_no_matrix(method: SlateDistributionMethod) -> None:
    log = logged(UniformPolicy(NUM_ITEMS))
    rounds = SlateTarget(softmax(1), method, logging=UniformPolicy(NUM_ITEMS), num_items=NUM_ITEMS)(log)
    # A policy that is uniform too but does not say so goes through the matrix.
    same = EpsilonGreedy(UniformPolicy(NUM_ITEMS).scorer, epsilon=1.0)
    matrix = SlateTarget(softmax(1), EnumeratedSlates(NUM_ITEMS), logging=same, num_items=NUM_ITEMS)(log)
    assert torch.allclose(PseudoInverse()(rounds), PseudoInverse()(matrix), atol=1e-5)
    assert PseudoInverse()(rounds).std() > 0.1


def test_what_the_log_says_comes_before_what_the_policy_says() -> None:
    log = logged()
    rounds = SlateTarget(softmax(1), EnumeratedSlates(NUM_ITEMS), logging=softmax(0))(
        replace(log, prefix=log.prefix * 0.5)
    )
    assert torch.allclose(rounds.need("logging_prefix"), 0.5 * log.prefix.double())
    without = SlateTarget(softmax(1), logging=softmax(0))(replace(log, prefix=None))
    assert torch.allclose(without.need("logging_prefix"), log.prefix.double(), atol=1e-6)


def test_what_cannot_be_answered_is_refused() -> None:
    log = logged()
    with pytest.raises(RequestError, match="the log has none"):
        SlateTarget(softmax(1))(replace(log, context=None))
    with pytest.raises(RequestError, match=r"sum to 0, in row 0|fewer items than slots"):
        short = requests([[]] * ROWS, [[0, 1, 2]] * ROWS)
        SlateTarget(softmax(1), EnumeratedSlates(NUM_ITEMS))(replace(log, context=short))
    with pytest.raises(RequestError, match=r"1,000,000 items in 3 slots make"):
        SlateTarget(softmax(1), EnumeratedSlates(1_000_000))(log)
    with pytest.raises(RequestError, match="EpsilonGreedy is not made of one distribution"):
        SlateTarget(EpsilonGreedy(UniformPolicy(NUM_ITEMS).scorer), PlackettLuceMarginals())(log)


@pytest.mark.parametrize("logging", [softmax(0), UniformPolicy(NUM_ITEMS)], ids=["softmax", "uniform"])
def test_every_weight_finds_what_a_policy_earns_where_slots_earn_by_their_own_items(logging: Policy) -> None:
    """Over every slate that may be logged."""
    context, every = requests([[]]), EnumeratedSlates(NUM_ITEMS)
    worth = torch.rand(SLOTS, NUM_ITEMS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    shown = every(logging, context, SLOTS)
    reward = worth[torch.arange(SLOTS), shown.items[0]]
    truth = float(every(softmax(1), context, SLOTS).probability[0] @ reward.sum(-1))
    count = len(reward)
    log = LoggedSlates(torch.arange(count), shown.items[0], reward, context=context.select(torch.zeros(count).long()))
    rounds = SlateTarget(softmax(1), every, logging=logging, num_items=NUM_ITEMS)(log)
    for weights in (WholeSlateWeights(), PrefixWeights(), SlotWeights(), PseudoInverse()):
        estimator = SlateIPS(weights)
        assert float(estimator.value(shown.probability[0] @ estimator.terms(rounds))) == pytest.approx(truth, abs=1e-5)
    assert abs(float(shown.probability[0] @ reward.sum(-1)) - truth) > 0.01


def test_no_rows_are_no_rows() -> None:
    log = logged(UniformPolicy(NUM_ITEMS))
    none = torch.arange(0)
    assert log.context is not None
    empty = LoggedSlates(none, log.items[none], log.reward[none], context=log.context.select(none))
    for distribution in (EnumeratedSlates(NUM_ITEMS), PlackettLuceMarginals()):
        rounds = SlateTarget(softmax(1), distribution, logging=UniformPolicy(NUM_ITEMS), num_items=NUM_ITEMS)(empty)
        assert SlateIPS(PseudoInverse()).terms(rounds).shape == (0, 1 + 2 * SLOTS)
