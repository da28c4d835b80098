from dataclasses import replace

import pytest
import torch

from recsys.data.logs.batches import LoggedEpisodes
from recsys.errors import RequestError
from recsys.replay.episodes.batch import EpisodeBatch
from tests.replay.episodes.worlds import listed, numbers, truth, worth


def test_the_world_is_a_world_with_short_and_long_episodes() -> None:
    world = listed()
    assert float(world.probability.sum()) == pytest.approx(1)
    assert set(world.episodes.mask.sum(1).tolist()) == {1, 2, 3}
    assert float((world.probability * world.episodes.mask.sum(1)).sum()) < 2.9


def test_truth_is_what_the_policy_itself_would_earn() -> None:
    world = listed()
    alike = replace(world.episodes, logging=torch.ones_like(world.episodes.logging))
    own = world.probability / (world.episodes.logging.where(world.episodes.mask, 1).prod(1)) * alike.weight[:, -1]
    assert float(own.sum()) == pytest.approx(1)
    for discount in (1.0, 0.7):
        earned = (alike.known("reward") * alike.discounts(discount)).sum(1)
        assert float(own @ earned) == pytest.approx(truth(discount))
    assert worth(1.0)[1].shape == (3, 2)


def test_weights_stay_after_the_end_whatever_stands_there() -> None:
    there = torch.tensor([[True, False, False]])
    nothing = numbers([0.5, 0.0, float("nan")])
    episodes = EpisodeBatch(nothing, nothing, nothing * 2, there)
    assert episodes.weight.tolist() == [[2, 2, 2]]
    assert episodes.weight_before.tolist() == [[1, 2, 2]]
    assert episodes.known("reward").tolist() == [[0.5, 0, 0]]


def test_only_the_last_step_of_a_cut_off_episode_is_open() -> None:
    there = torch.tensor([[True, True, False], [True, True, False], [True, True, True]])
    ones = torch.ones(3, 3).double()
    episodes = EpisodeBatch(ones, ones, ones, there, done=torch.tensor([True, False, False]))
    assert episodes.closed.tolist() == [[True, True, False], [True, False, False], [True, True, False]]
    assert replace(episodes, done=None).closed.tolist() == there.tolist()


def test_padding_changes_nothing_and_is_refused_where_steps_would_be_lost() -> None:
    episodes = listed().episodes
    longer = episodes.padded(5)
    assert longer.reward.shape[1] == longer.context.shape[1] == 5
    assert torch.equal(longer.weight[:, :3], episodes.weight)
    assert torch.equal(longer.weight[:, 4], episodes.weight[:, 2])
    with pytest.raises(RequestError, match=r"episode \d+ has 3 steps and the estimator's horizon is 2"):
        episodes.padded(2)
    short = episodes.select(~episodes.mask[:, 2])
    assert short.padded(2).reward.shape[1] == 2


def test_what_is_missing_is_named() -> None:
    ones = torch.ones(1, 1).double()
    with pytest.raises(RequestError, match="needs states as features"):
        EpisodeBatch(ones, ones, ones, ones > 0).need("context")


def test_a_log_stands_beside_a_policy() -> None:
    ones = torch.ones(1, 2)
    done = torch.tensor([False])
    log = LoggedEpisodes(torch.tensor([0]), ones.long(), ones, ones / 2, ones > 0, done=done)
    episodes = EpisodeBatch.of(log, ones * 0.25)
    assert episodes.weight.tolist() == [[0.5, 0.25]]
    assert episodes.weight.dtype == torch.float64
    assert not episodes.closed[0, 1]
