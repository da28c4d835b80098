from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from recsys.data.feedback_source import FeedbackSource
from recsys.data.minari import Minari
from recsys.errors import DataError, RequestError


@dataclass
class EpisodeData:
    """The parts of Minari's own class."""

    id: int
    observations: Any
    actions: Any
    rewards: Any
    terminations: Any
    truncations: Any
    infos: dict[str, Any]


def episode(number: int = 0, steps: int = 2, **changes: Any) -> EpisodeData:
    end = np.arange(steps) == steps - 1
    parts: dict[str, Any] = {
        "id": number,
        "observations": np.arange((steps + 1) * 2, dtype=np.float32).reshape(steps + 1, 2),
        "actions": np.arange(steps) % 2,
        "rewards": np.ones(steps),
        "terminations": end,
        "truncations": np.zeros(steps, dtype=bool),
        "infos": {"propensity": np.array([np.nan] + [0.5] * steps)},
    }
    return EpisodeData(**{**parts, **changes})


def test_episodes_are_a_log() -> None:
    source = Minari([episode(4, 2), episode(7, 3).__dict__])
    assert isinstance(source, FeedbackSource)
    log = source.log()
    assert (len(log), log.steps, log.num_actions) == (2, 5, 2)
    [batch] = log.batches()
    assert batch.action.tolist() == [[0, 1, 0], [0, 1, 0]] and batch.there.tolist() == [[True, True, False], [True] * 3]
    assert batch.propensity.tolist() == [[0.5, 0.5, 1.0], [0.5] * 3]  # what the reset said is left out
    assert batch.context is not None and batch.context[0].tolist() == [[0.0, 1.0], [2.0, 3.0], [0.0, 0.0]]
    assert log.frame.collect()["episode_id"].to_list() == [4, 4, 7, 7, 7]


def test_infos_may_have_one_row_a_step_and_observations_be_numbers() -> None:
    [batch] = (
        Minari([episode(observations=np.array([5, 6, 7]), infos={"p": [0.25, 0.5]})], propensity="p").log().batches()
    )
    assert batch.propensity.tolist() == [[0.25, 0.5]]
    assert batch.context is not None and batch.context.tolist() == [[[5.0], [6.0]]]


def test_without_propensities_the_log_has_none() -> None:
    log = Minari([episode(infos={})]).log()
    assert "propensity" not in log.columns
    with pytest.raises(RequestError, match="no column 'propensity': log it, or estimate it"):
        next(log.batches())


BAD = {
    "none": ([], "no episodes"),
    "continuous": ([episode(actions=np.zeros((2, 3)))], r"episode 0 .*'actions' holds float64, expected integers"),
    "several": ([episode(actions=np.zeros((2, 3), dtype=int))], r"'actions' has shape \(2, 3\), expected one integer"),
    "rewards": ([episode(), episode(1, rewards=np.ones(3))], r"episode 1 .*'rewards' has 3 rows, expected .* 2 steps"),
    "some": ([episode(), episode(1, infos={})], r"episode 1 .* has .*expected propensities and observations in all"),
    "nested": ([episode(observations={"a": np.ones(3)})], r"'observations' holds object, expected numbers"),
    "zero": ([episode(infos={"propensity": [1.0, 0.5, 0.0]})], r"row 1 .*'propensity': 0.0 is no propensity"),
    "ends early": ([episode(terminations=np.array([True, True]))], r"row 0 .*'done': True ends the episode before"),
    "id twice": ([episode(), episode()], r"'step': 0 does not follow the step before it"),
}


@pytest.mark.parametrize(("episodes", "message"), BAD.values(), ids=BAD)
def test_bad_episodes_are_refused(episodes: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Minari(episodes).log()
