from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from recsys.errors import ConfigurationError
from recsys.policies.hierarchical.intent import IntentNetwork
from recsys.types.jagged import Jagged
from recsys.types.session_context import SessionContext

ITEMS, BINS = 8, 3
VECTORS = normalize(torch.randn(ITEMS, 3, generator=torch.Generator().manual_seed(0)), dim=1)
CONTEXT = SessionContext(
    torch.arange(4),
    Jagged.from_rows([[0, 1], [], [4, 2, 2], [7]]),
    Jagged.empty(4),
    profile=torch.randn(4, 2, generator=torch.Generator().manual_seed(1)),
    session=torch.tensor([2, 1, 3, 1]),
    step=torch.tensor([0, 0, 1, 0]),
    history_sessions=torch.tensor([[-1, 0, 1], [-1] * 3, [0, 1, 2], [-1, -1, 0]]),
)


def network(bins: int = BINS, **parts: bool) -> IntentNetwork:
    torch.manual_seed(0)
    return IntentNetwork(VECTORS, 2, bins, sessions=2, window=2, hidden=4, concentration=5.0, **parts)


def test_the_bins_are_a_beta_density_with_the_propensity_as_mode() -> None:
    intent = network()
    mode, middles = intent.propensity(CONTEXT)[:, None], torch.tensor([1 / 6, 1 / 2, 5 / 6])
    density = mode * middles.log() + (1 - mode) * (1 - middles).log()
    torch.testing.assert_close(intent(CONTEXT), (5 * density).log_softmax(-1))
    torch.testing.assert_close(intent.belief(CONTEXT), (3 * density).log_softmax(-1))
    fine = network(bins=101)
    best = fine.middles[fine(CONTEXT).argmax(-1)]
    assert (best - fine.propensity(CONTEXT)).abs().max() <= 1 / 101


def test_policy_and_belief_share_the_propensity_and_nothing_else() -> None:
    intent = network()
    intent.belief(CONTEXT)[:, 0].sum().backward()
    assert intent.log_concentration.grad is None and intent.static is not None
    assert intent.log_belief_concentration.grad is not None and intent.static.weight.grad is not None
    before = intent.belief(CONTEXT)
    intent.log_concentration.data += 1
    assert torch.equal(intent.belief(CONTEXT), before)


@pytest.mark.parametrize("part", ["static", "dynamic"])
def test_a_part_that_is_left_out_is_not_read(part: str) -> None:
    intent = network(**{part: False})
    other = {
        "static": CONTEXT.replace(profile=CONTEXT.profile + 1),
        "dynamic": CONTEXT.replace(history=Jagged.from_rows([[5, 6], [], [1, 3, 0], [2]])),
    }
    assert torch.equal(intent.propensity(CONTEXT), intent.propensity(other[part]))
    rest = "dynamic" if part == "static" else "static"
    assert not torch.equal(intent.propensity(CONTEXT), intent.propensity(other[rest]))


def test_neither_part_leaves_an_intent_of_one_half() -> None:
    assert network(static=False, dynamic=False).propensity(CONTEXT).tolist() == [0.5] * 4


def test_a_large_concentration_acts_on_the_propensity_alone() -> None:
    intent = network(bins=11)
    intent.log_concentration.data.fill_(math.log(1e4))
    assert (intent(CONTEXT).exp().amax(-1) > 0.99).all()


@pytest.mark.parametrize("wrong", [{"bins": 1}, {"sessions": 0}, {"window": 0}, {"hidden": 0}, {"concentration": 0.0}])
def test_sizes_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        IntentNetwork(VECTORS, 2, **wrong)
    with pytest.raises(ConfigurationError, match="profile"):
        IntentNetwork(VECTORS, 0)
