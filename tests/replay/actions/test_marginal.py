from __future__ import annotations

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.importance import IPS
from recsys.replay.actions.marginal import MarginalWeights


def log(rows: int, actions: int, generator: torch.Generator) -> BanditBatch:
    logging, target = (
        torch.randn(2, rows, actions, generator=generator, dtype=torch.float64).mul(2).softmax(-1).unbind()
    )
    action = logging.multinomial(1, generator=generator)
    reward = torch.rand(rows, generator=generator, dtype=torch.float64)
    chosen = [table.gather(1, action).squeeze(1) for table in (logging, target)]
    return BanditBatch(action.squeeze(1), reward, *chosen, logging_all=logging, target_all=target)


def test_a_cluster_an_action_is_plain_and_one_for_all_is_1(generator: torch.Generator) -> None:
    rounds = log(50, 6, generator)
    torch.testing.assert_close(MarginalWeights(tuple(range(6)))(rounds), rounds.weight)
    torch.testing.assert_close(MarginalWeights((0,) * 6)(rounds), torch.ones(50, dtype=torch.float64))


def test_it_is_the_mean_of_plain_weights_given_the_cluster(generator: torch.Generator) -> None:
    rounds = log(50, 6, generator)
    assert rounds.logging_all is not None and rounds.target_all is not None
    alike = torch.tensor([0, 1, 0, 1, 2, 2])
    same = (alike == alike[rounds.action].unsqueeze(1)).double()
    given = rounds.logging_all * same / (rounds.logging_all * same).sum(1, keepdim=True)
    expected = (given * rounds.target_all / rounds.logging_all).sum(1)
    torch.testing.assert_close(MarginalWeights((0, 1, 0, 1, 2, 2))(rounds), expected)


def test_many_actions_in_few_clusters_vary_less(generator: torch.Generator) -> None:
    rounds = log(2000, 200, generator)
    plain, marginal = (
        IPS().weight(rounds),
        IPS(MarginalWeights(tuple(action % 5 for action in range(200)))).weight(rounds),
    )
    assert float(marginal.std()) < 0.1 * float(plain.std())


def test_lists_of_a_configuration_are_as_good_as_tuples() -> None:
    assert MarginalWeights([0, 1, 1]) == MarginalWeights((0, 1, 1))
    assert hash(MarginalWeights([0, 1])) == hash(MarginalWeights((0, 1)))


def test_clusters_of_another_catalogue_are_refused(four_rounds: BanditBatch) -> None:
    with pytest.raises(RequestError, match="3 actions have a cluster, and the log has 2 actions"):
        MarginalWeights((0, 1, 1))(four_rounds)
