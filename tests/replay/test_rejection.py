from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.importance import SNIPS
from recsys.replay.rejection import Replay
from recsys.replay.rounds import Rounds


def exact(numbers: list[float]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_given_a_match_the_value_of_a_fixed_policy_is_unbiased() -> None:
    """Two actions logged evenly, action 1 judged, rewards 0 or 1 with means .2 and .7: all logs of two rounds."""
    units = Rounds(torch.tensor([0, 0, 1, 1]), exact([0, 1, 0, 1]), exact([0.5] * 4), exact([0, 0, 1, 1]))
    probability = exact([0.4, 0.1, 0.15, 0.35])
    terms = Replay().terms(units)
    values = Replay().value(terms.unsqueeze(0) + terms.unsqueeze(1))
    matched = values.isfinite()
    chance = (probability.unsqueeze(0) * probability.unsqueeze(1))[matched]
    assert float(chance.sum()) == pytest.approx(0.75)
    assert float(chance @ values[matched] / chance.sum()) == pytest.approx(0.7)


def test_a_policy_that_draws_is_matched_by_its_probability(four_rounds: Rounds) -> None:
    even = replace(four_rounds, logging=exact([0.5] * 4), logging_all=None)
    totals = Replay().terms(even).sum(0)
    assert totals.tolist() == pytest.approx([0.4 + 0.5 + 0.6 + 0.8, 0.4 + 1.8 + 1.6])
    assert float(Replay().value(totals)) == pytest.approx(float(SNIPS().value(SNIPS().terms(even).sum(0))))


def test_other_propensities_are_refused(four_rounds: Rounds) -> None:
    with pytest.raises(RequestError, match=r"from 0.2 to 0.8.*SNIPS"):
        Replay().terms(four_rounds)


def test_even_propensities_of_some_actions_only_are_refused(four_rounds: Rounds) -> None:
    with pytest.raises(RequestError, match=r"2 actions have propensities of 0.25"):
        Replay().terms(replace(four_rounds, logging=exact([0.25] * 4)))


def test_no_rounds_are_no_terms(four_rounds: Rounds) -> None:
    nothing = Rounds(four_rounds.action[:0], *(exact([]),) * 3)
    assert Replay().terms(nothing).shape == (0, 2)
