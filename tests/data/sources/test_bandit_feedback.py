from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys.data.logs.feedback_source import FeedbackSource
from recsys.data.sources.bandit_feedback import BanditFeedback
from recsys.errors import DataError

GOOD: dict[str, Any] = {
    "n_rounds": 3,
    "n_actions": 4,
    "context": np.array([[0.5, 1.0], [1.5, 2.0], [2.5, 3.0]]),
    "action_context": np.eye(4),
    "action": np.array([3, 0, 3]),
    "position": None,
    "reward": np.array([1, 0, 1]),
    "expected_reward": np.zeros((3, 4)),
    "pscore": np.array([0.5, 0.25, 1.0]),
}


def test_the_dictionary_is_a_log() -> None:
    source = BanditFeedback(GOOD)
    assert isinstance(source, FeedbackSource)
    log = source.log()
    assert (len(log), log.num_actions, log.users) == (3, 4, None)
    assert log.actions["context"].to_list() == np.eye(4).tolist()
    [batch] = log.batches()
    assert batch.action.tolist() == [3, 0, 3] and batch.reward.tolist() == [1.0, 0.0, 1.0]
    assert batch.propensity is not None and batch.propensity.tolist() == [0.5, 0.25, 1.0]
    assert batch.context is not None and batch.context.tolist() == GOOD["context"].tolist()
    assert log.fingerprint == source.log().fingerprint
    assert log.fingerprint != BanditFeedback({**GOOD, "reward": np.array([0, 0, 1])}).log().fingerprint


def test_positions_stand_first_in_the_context() -> None:
    log = BanditFeedback({**GOOD, "position": np.array([1, 0, 2])}).log()
    assert log.context_names == ("position=0", "position=1", "position=2", "context_0", "context_1")
    [batch] = log.batches()
    assert batch.context is not None and batch.context[:, :3].argmax(1).tolist() == [1, 0, 2]
    one = BanditFeedback({**GOOD, "position": np.zeros(3, dtype=int)}).log()
    assert one.context_names == ("context_0", "context_1")


def test_without_propensities_and_contexts() -> None:
    rest = {key: value for key, value in GOOD.items() if key in ("n_rounds", "n_actions", "action", "reward")}
    [batch] = BanditFeedback(rest).log().batches()
    assert batch.propensity is None and batch.context is None


BAD = {
    "missing": ({"action": ...}, "key 'action' is missing"),
    "propensity": ({"pscore": np.array([0.5, 0.0, 1.0])}, r"row 1 .*'propensity': 0.0 is no propensity"),
    "action": ({"action": np.array([3, 4, 0])}, r"row 1 .*'action': 4 is outside the support"),
    "before": ({"action": np.array([3, -1, 0])}, r"row 1 .*'action': -1 is outside the support"),
    "text": ({"reward": np.array(["1", "0", "0"])}, r"'reward' holds <U1, expected numbers"),
    "NaN": ({"reward": np.array([1.0, np.nan, 0.0])}, r"row 1 .*'reward': nan is no reward"),
    "rows": ({"pscore": np.array([0.5, 0.5])}, "'pscore' has 2 rows, expected n_rounds = 3"),
    "fractions": ({"action": np.array([0.0, 1.0, 1.0])}, "'action' holds float64, expected numbers"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_bad_dictionaries_are_refused(changes: dict[str, Any], message: str) -> None:
    feedback = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    with pytest.raises(DataError, match=message):
        BanditFeedback(feedback).log()


def test_bad_rows_are_excluded_when_asked() -> None:
    log = BanditFeedback({**GOOD, "pscore": np.array([0.5, 0.0, 1.0])}, exclude=True).log()
    assert log.summary == {"rounds": 2, "actions": 4, "propensity is no propensity": 1}
