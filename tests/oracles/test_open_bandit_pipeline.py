"""Values that Open Bandit Pipeline 0.5.7 gives for logs made by formula, so that it need not be installed.

Left out are weights and rewards that it learns, each in a way of its own.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.doubly_robust import DM, DR, SNDR
from recsys.replay.actions.importance import IPS, SNIPS, MatchedTerms, RejectionSampling
from recsys.replay.actions.marginal import MarginalWeights
from recsys.replay.actions.weights import Clip, Shrink, SubGaussian, Switch
from recsys.replay.estimator import Estimator
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums

CLUSTERS = (0, 1, 1, 0)
SINGLE = {
    "ips": (IPS(), 0.65099891117571),
    "clipped_ips": (IPS(Clip(2.0)), 0.4085637179284541),
    "snips": (SNIPS(), 0.4580189119985248),
    "sub_gaussian": (IPS(SubGaussian(0.3)), 0.40490582907863953),
    "dm": (DM(), 0.49808538833843646),
    "dr": (DR(), 0.4673105238978161),
    "sndr": (SNDR(), 0.47643332458530596),
    "switch_dr": (DR(Switch(1.5)), 0.48198460074921196),
    "dros": (DR(Shrink(3.0)), 0.46295160312448475),
    "sub_gaussian_dr": (DR(SubGaussian(0.3)), 0.4535203890724344),
    "mips": (IPS(MarginalWeights(CLUSTERS)), 0.48875766538191634),
    "sn_mips": (SNIPS(MarginalWeights(CLUSTERS)), 0.4447262786726112),
}


def count(rows: int) -> Tensor:
    return torch.arange(rows, dtype=torch.float64).unsqueeze(1)


def policies(rows: int) -> tuple[Tensor, Tensor]:
    """Logging and target, `[rows, 4]`."""
    action = torch.arange(4, dtype=torch.float64)
    return (count(rows) * (action + 1)).sin().softmax(1), (2 * (count(rows) + 2 * action).cos()).softmax(1)


def chosen(table: Tensor, action: Tensor) -> Tensor:
    return table.gather(1, action.unsqueeze(1)).squeeze(1)


def log() -> BanditBatch:
    row = torch.arange(400)
    logging_all, target_all = policies(400)
    action = (row.square() + row // 3) % 4
    return BanditBatch(
        action,
        ((3 * row + 5 * action) % 7 < 3).double(),
        chosen(logging_all, action),
        chosen(target_all, action),
        logging_all=logging_all,
        target_all=target_all,
        predicted_all=0.5 + 0.4 * (count(400) / 5 + torch.arange(4)).sin(),
    )


def value(estimator: Estimator[Any], batch: Any) -> float:
    return float(estimator.value(estimator.terms(batch).sum(0)))


@pytest.mark.parametrize(("estimator", "theirs"), SINGLE.values(), ids=SINGLE)
def test_single_actions(estimator: Estimator[Any], theirs: float) -> None:
    assert value(estimator, log()) == pytest.approx(theirs, abs=1e-12)


def test_replay_of_a_policy_that_always_answers_alike() -> None:
    """It matches whatever the propensities were; ours refuses a log that is not uniform."""
    rounds = log()
    assert rounds.target_all is not None
    best = (rounds.target_all.argmax(1) == rounds.action).double()
    even = BanditBatch(rounds.action, rounds.reward, torch.full_like(best, 0.25), best)
    assert float(RejectionSampling().value(MatchedTerms()(even).sum(0))) == pytest.approx(0.4705882352941176, abs=1e-12)


@pytest.mark.parametrize(
    ("percent", "theirs", "wider"),
    [
        (5, (0.03467073135578996, 0.06396156173955916), 1.0),
        (50, (0.4531917843753645, 0.5392829349310766), 1.25),
        (90, (0.8509575309288216, 0.957726467572929), 2.6),
    ],
)
def test_its_self_normalised_interval_is_too_wide(percent: int, theirs: tuple[float, float], wider: float) -> None:
    """It resamples `w r / mean(w)` with the denominator of the whole log, in 10,000 resamples.

    A bootstrap of the ratio, numerator and denominator together, is as wide as ours.
    """
    row = torch.arange(2000)
    logging_all, target_all = policies(2000)
    action = row.square() // 7 % 4
    reward = (row * 37 % 100 < percent).double()
    rounds = BanditBatch(action, reward, chosen(logging_all, action), chosen(target_all, action))
    terms = SNIPS().terms(rounds)
    ours = closed_form(SNIPS(), Sums.of(terms))
    assert ours.low is not None and ours.high is not None
    width = ours.high - ours.low
    assert (theirs[1] - theirs[0]) / width == pytest.approx(wider, rel=0.03)
    fixed = rounds.weight * reward / rounds.weight.mean()
    assert theirs[1] - theirs[0] == pytest.approx(2 * 1.96 * float(fixed.std()) / 2000**0.5, rel=0.03)
    draws = torch.randint(2000, (1000, 2000), generator=torch.Generator().manual_seed(0))
    low, high = SNIPS().value(terms[draws].sum(1)).quantile(torch.tensor([0.025, 0.975]).double()).tolist()
    assert width == pytest.approx(high - low, rel=0.08)
