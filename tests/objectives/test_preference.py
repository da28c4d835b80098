"""Preference objectives against closed forms of loss and gradient, and the relations between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.preference import (
    PreferenceObjective,
    consistency_weighted,
    cpo,
    dpo,
    ipo,
    orpo,
    raft,
    robust_dpo,
    simpo,
    softmax_dpo,
)
from recsys.types.preference_pairs import ScoredPairs

OBJECTIVES: dict[str, PreferenceObjective] = {
    "dpo": dpo,
    "cdpo": partial(dpo, label_noise=0.2),
    "robust_dpo": robust_dpo,
    "ipo": ipo,
    "softmax_dpo": softmax_dpo,
    "cpo": cpo,
    "simpo": simpo,
    "orpo": orpo,
    "raft": raft,
}
WITH_REFERENCE = ["dpo", "cdpo", "robust_dpo", "ipo", "softmax_dpo"]
every_objective = pytest.mark.parametrize("name", list(OBJECTIVES))

BETTER, WORSE = [-1.0, -0.7], [-0.4, -2.0]
REFERENCE = [-1.3, -0.9], [-0.5, -1.1]
"""Log-probabilities of the two slots of one better and one worse slate."""


def scored(*worse: list[float], reference: bool = True, **changes: Tensor) -> ScoredPairs:
    """One pair; its worse slates are `WORSE` unless given, and all have the same reference."""

    def tensor(value: object) -> Tensor:
        return torch.tensor([value], dtype=torch.float64)

    slates = list(worse) or [WORSE]
    pairs = ScoredPairs(
        tensor(BETTER).requires_grad_(),
        tensor(slates).requires_grad_(),
        torch.ones(1, dtype=torch.float64),
        tensor(REFERENCE[0]) if reference else None,
        tensor([REFERENCE[1]] * len(slates)) if reference else None,
    )
    return pairs.replace(**changes)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def odds(log_prob: list[float]) -> float:
    return sum(math.log(math.exp(one) / (1 - math.exp(one))) for one in log_prob)


GAIN = (sum(BETTER) - sum(REFERENCE[0])) - (sum(WORSE) - sum(REFERENCE[1]))
RATIO = sum(BETTER) - sum(WORSE)

CLOSED: dict[str, tuple[float, float, float]] = {
    # loss, its slope by log π of each slot of the better slate, and of the worse slate (0 where it depends on the slot)
    "dpo": (-math.log(sigmoid(0.1 * GAIN)), -0.1 * sigmoid(-0.1 * GAIN), 0.1 * sigmoid(-0.1 * GAIN)),
    "cdpo": (
        -0.8 * math.log(sigmoid(0.1 * GAIN)) - 0.2 * math.log(sigmoid(-0.1 * GAIN)),
        -0.1 * (0.8 - sigmoid(0.1 * GAIN)),
        0.1 * (0.8 - sigmoid(0.1 * GAIN)),
    ),
    "robust_dpo": (
        (-0.9 * math.log(sigmoid(0.1 * GAIN)) + 0.1 * math.log(sigmoid(-0.1 * GAIN))) / 0.8,
        -0.1 * (0.9 * sigmoid(-0.1 * GAIN) + 0.1 * sigmoid(0.1 * GAIN)) / 0.8,
        0.1 * (0.9 * sigmoid(-0.1 * GAIN) + 0.1 * sigmoid(0.1 * GAIN)) / 0.8,
    ),
    "ipo": ((GAIN - 5) ** 2, 2 * (GAIN - 5), -2 * (GAIN - 5)),
    "softmax_dpo": (-math.log(sigmoid(0.1 * GAIN)), -0.1 * sigmoid(-0.1 * GAIN), 0.1 * sigmoid(-0.1 * GAIN)),
    "cpo": (
        -math.log(sigmoid(0.1 * RATIO)) - sum(BETTER),
        -0.1 * sigmoid(-0.1 * RATIO) - 1,
        0.1 * sigmoid(-0.1 * RATIO),
    ),
    "simpo": (-math.log(sigmoid(RATIO - 1)), -sigmoid(1 - RATIO), sigmoid(1 - RATIO)),
    "raft": (-sum(BETTER), -1.0, 0.0),
}


@pytest.mark.parametrize("name", list(CLOSED))
def test_loss_and_gradient_have_their_closed_form(name: str) -> None:
    pairs = scored()
    loss = OBJECTIVES[name](pairs).value
    better, worse = torch.autograd.grad(loss, [pairs.better, pairs.worse], allow_unused=True)
    value, up, down = CLOSED[name]
    assert loss.item() == pytest.approx(value)
    assert better.tolist() == [[pytest.approx(up)] * 2]
    assert worse is None or worse.tolist() == [[[pytest.approx(down)] * 2]]


def test_orpo_has_its_closed_form() -> None:
    """The slope of the log-odds of a slot by its log-probability is `1 / (1 − π)`."""
    pairs = scored()
    loss = orpo(pairs, odds_weight=0.3).value
    gap = odds(BETTER) - odds(WORSE)
    assert loss.item() == pytest.approx(-sum(BETTER) - 0.3 * math.log(sigmoid(gap)))
    better, worse = torch.autograd.grad(loss, [pairs.better, pairs.worse])
    slopes = [0.3 * sigmoid(-gap) / (1 - math.exp(one)) for one in BETTER + WORSE]
    assert better.flatten().tolist() == pytest.approx([-1 - slope for slope in slopes[:2]])
    assert worse.flatten().tolist() == pytest.approx(slopes[2:])


def test_orpo_is_finite_where_a_slot_is_certain() -> None:
    pairs = scored([0.0, -1.0])
    loss = orpo(pairs).value
    (slope,) = torch.autograd.grad(loss, pairs.worse)
    assert loss.isfinite() and slope.isfinite().all() and slope[0, 0, 0] == 0


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_at_equal_policies(name: str) -> None:
    """Golden value: log 2 with the slope −β/2 (+ε of cDPO, 1 for IPO's square), and the reference has no gradient."""
    pairs = scored()
    pairs = pairs.replace(reference_better=pairs.better.detach(), reference_worse=pairs.worse.detach())
    loss = OBJECTIVES[name](pairs)
    (slope,) = torch.autograd.grad(loss.value, pairs.better)
    if name == "ipo":
        assert loss.value.item() == pytest.approx(25) and slope.flatten()[0].item() == pytest.approx(-10)
    else:
        assert loss.value.item() == pytest.approx(math.log(2))
        expected = {"cdpo": -0.1 * 0.3, "robust_dpo": -0.1 * 0.5 / 0.8}.get(name, -0.05)
        assert slope.flatten()[0].item() == pytest.approx(expected)
    assert loss.diagnostics["preference_margin"] == loss.diagnostics["preference_accuracy"] == 0


def test_robust_dpo_is_unbiased_under_flips() -> None:
    """`(1 − ε) ℓ(y⁺, y⁻) + ε ℓ(y⁻, y⁺)` is the loss of DPO on the right preference."""
    pairs = scored()
    flipped = ScoredPairs(
        pairs.worse[:, 0], pairs.better.unsqueeze(1), pairs.weight, *flip(pairs.reference_better, pairs.reference_worse)
    )
    mixed = 0.7 * robust_dpo(pairs, label_noise=0.3).value + 0.3 * robust_dpo(flipped, label_noise=0.3).value
    torch.testing.assert_close(mixed, dpo(pairs).value)


def flip(better: Tensor | None, worse: Tensor | None) -> tuple[Tensor, Tensor]:
    assert better is not None and worse is not None
    return worse[:, 0], better.unsqueeze(1)


def test_several_worse_slates() -> None:
    """The others take their mean; S-DPO weighs the ones that the policy likes most."""
    three = [WORSE, [-3.0, -2.0], [-0.3, -0.2]]
    for name, objective in OBJECTIVES.items():
        mean = torch.stack([objective(scored(one)).value for one in three]).mean()
        found = objective(scored(*three)).value
        assert torch.isclose(found, mean) == (name != "softmax_dpo"), name
    gains = [GAIN + sum(WORSE) - sum(one) for one in three]
    expected = -math.log(sigmoid(-math.log(sum(math.exp(-0.5 * gain) for gain in gains))))
    assert softmax_dpo(scored(*three), beta=0.5).value.item() == pytest.approx(expected)


@every_objective
def test_pairs_count_by_their_weight(name: str) -> None:
    objective = OBJECTIVES[name]
    pairs = ScoredPairs.cat([scored(), scored([-3.0, -1.0]), scored([-0.1, -0.1])])
    alone = [objective(pairs.select(torch.tensor([row]))).value for row in range(3)]
    weight = torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(objective(pairs.replace(weight=weight)).value, (3 * alone[0] + alone[1]) / 4)
    nothing = objective(pairs.replace(weight=weight.new_zeros(3)))
    assert nothing.value == 0
    assert not torch.autograd.grad(nothing.value, pairs.better)[0].any()
    assert objective(pairs.select(torch.arange(0))).value == 0


@every_objective
def test_a_step_raises_the_better_over_the_worse(name: str) -> None:
    pairs = scored()
    better, worse = torch.autograd.grad(
        OBJECTIVES[name](pairs).value, [pairs.better, pairs.worse], allow_unused=True, materialize_grads=True
    )
    assert (better < 0).all() and (worse >= 0).all()


@every_objective
def test_diagnostics_are_scalars_without_gradient(name: str) -> None:
    found = OBJECTIVES[name](scored()).diagnostics
    assert all(scalar.ndim == 0 and not scalar.requires_grad for scalar in found.values())
    assert found["better_log_prob"].item() == pytest.approx(sum(BETTER))
    assert found["worse_log_prob"].item() == pytest.approx(sum(WORSE))


@pytest.mark.parametrize(("trust", "share"), [(1.0, 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_consistency_weighs_a_preference_against_its_reverse(trust: float, share: float) -> None:
    """Golden values: rankings that agree (τ = 1) leave DPO, opposed ones reverse it, unrelated ones give the mean."""
    pairs = scored(consistency=torch.tensor([trust], dtype=torch.float64))
    right, wrong = -math.log(sigmoid(0.1 * GAIN)), -math.log(sigmoid(-0.1 * GAIN))
    loss = consistency_weighted(pairs, objective=dpo)
    assert loss.value.item() == pytest.approx(share * right + (1 - share) * wrong)
    assert loss.diagnostics["consistency"] == trust
    torch.testing.assert_close(loss.value, dpo(pairs, label_noise=1 - trust).value) if trust >= 0.5 else None


def test_consistency_counts_by_weight() -> None:
    pairs = ScoredPairs.cat([scored(), scored([-3.0, -1.0])]).replace(
        consistency=torch.tensor([0.9, 0.4], dtype=torch.float64), weight=torch.tensor([3.0, 1.0], dtype=torch.float64)
    )
    alone = [consistency_weighted(pairs.select(torch.tensor([row])), objective=ipo).value for row in range(2)]
    torch.testing.assert_close(consistency_weighted(pairs, objective=ipo).value, (3 * alone[0] + alone[1]) / 4)


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_a_reference_is_asked_for(name: str) -> None:
    with pytest.raises(ConfigurationError, match="reference: frozen"):
        OBJECTIVES[name](scored(reference=False))


def test_consistency_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="consistency of each pair"):
        consistency_weighted(scored(), objective=dpo)
    with pytest.raises(ConfigurationError, match="one worse slate, found 2"):
        consistency_weighted(scored(WORSE, WORSE, consistency=torch.ones(1)), objective=dpo)


@pytest.mark.parametrize(
    ("objective", "option"),
    [
        (partial(dpo, beta=0.0), "beta"),
        (partial(dpo, label_noise=0.6), "label_noise"),
        (partial(robust_dpo, label_noise=0.5), "label_noise"),
        (partial(ipo, beta=-1.0), "beta"),
        (partial(softmax_dpo, beta=float("nan")), "beta"),
        (partial(cpo, likelihood_weight=-1.0), "likelihood_weight"),
        (partial(simpo, target_margin=-0.1), "target_margin"),
        (partial(orpo, odds_weight=float("inf")), "odds_weight"),
    ],
)
def test_options_outside_their_range_are_refused(objective: Callable[[ScoredPairs], object], option: str) -> None:
    with pytest.raises(ConfigurationError, match=option):
        objective(scored())


def test_an_impossible_worse_slate_costs_nothing() -> None:
    pairs = scored([-torch.inf, -1.0])
    for objective in (dpo, softmax_dpo, cpo, simpo):
        loss = objective(pairs).value
        assert loss.item() == pytest.approx(-sum(BETTER) if objective is cpo else 0.0), objective


@every_objective
def test_what_a_pair_of_weight_zero_holds_has_no_influence(name: str) -> None:
    pairs = ScoredPairs.cat([scored(), scored([-torch.inf, -1.0])])
    pairs = pairs.replace(weight=torch.tensor([1.0, 0.0], dtype=torch.float64))
    found, alone = OBJECTIVES[name](pairs), OBJECTIVES[name](pairs.select(torch.tensor([0])))
    torch.testing.assert_close(found.value, alone.value)
    for key, value in alone.diagnostics.items():
        torch.testing.assert_close(found.diagnostics[key], value)
    slope, expected = (torch.autograd.grad(one.value, pairs.better, retain_graph=True)[0] for one in (found, alone))
    torch.testing.assert_close(slope, expected)


def test_the_noise_of_robust_dpo_may_be_nearly_a_half() -> None:
    assert robust_dpo(scored(), label_noise=0.4999).value.isfinite()
