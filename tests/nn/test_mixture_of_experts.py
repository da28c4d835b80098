"""Sparse mixtures of experts against a loop over experts, their balance, and their diagnostics."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from recsys.errors import ConfigurationError
from recsys.nn.mixture_of_experts import MixtureOfExperts, expert_diagnostics
from recsys.nn.transformer import TransformerBlock


def looped(mixture: MixtureOfExperts, x: Tensor) -> Tensor:
    """The definition, expert by expert over all positions."""
    share = mixture.router(x).softmax(-1)
    chosen = (share + mixture.balance).topk(mixture.active, -1).indices
    used = torch.zeros_like(share).scatter(-1, chosen, 1.0)
    gates = share * used / ((share * used).sum(-1, keepdim=True) if mixture.renormalised else 1.0)
    outputs = []
    for gate_up, out in zip(mixture.gate_up, mixture.out, strict=True):
        gate, up = (x @ gate_up).chunk(2, -1)
        outputs.append((silu(gate) * up) @ out)
    return (gates.unsqueeze(-1) * torch.stack(outputs, -2)).sum(-2)


@pytest.mark.parametrize(
    ("experts", "active", "renormalised"), [(5, 2, False), (5, 2, True), (3, 3, False), (1, 1, True), (40, 2, False)]
)
def test_values_and_gradients_are_those_of_a_loop(experts: int, active: int, renormalised: bool) -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(8, experts, active, hidden=8, renormalised=renormalised).eval()
    mixture.balance.copy_(torch.randn(experts) * 0.2)
    x = torch.randn(4, 7, 8, requires_grad=True)
    weights = [x, *mixture.parameters()]
    found, expected = mixture(x), looped(mixture, x)
    torch.testing.assert_close(found, expected)
    slopes = torch.autograd.grad(found.square().sum(), weights)
    for slope, other in zip(slopes, torch.autograd.grad(expected.square().sum(), weights), strict=True):
        torch.testing.assert_close(slope, other, atol=1e-4, rtol=1e-4)


def test_one_position_and_none() -> None:
    mixture = MixtureOfExperts(8, experts=5, hidden=8)
    assert mixture(torch.randn(8)).shape == (8,)
    assert mixture(torch.randn(0, 3, 8)).shape == (0, 3, 8)


def test_a_position_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(8, experts=5, hidden=8).eval()
    x = torch.randn(30, 8)
    torch.testing.assert_close(mixture(x)[7:9], mixture(x[7:9]))


def test_gates_are_not_renormalised_unless_asked() -> None:
    """All experts alike: the output is that of one, times the sum of the gates."""
    torch.manual_seed(0)
    mixture = MixtureOfExperts(8, experts=4, active=2, hidden=8).eval()
    with torch.no_grad():
        mixture.gate_up.copy_(mixture.gate_up[:1].expand_as(mixture.gate_up))
        mixture.out.copy_(mixture.out[:1].expand_as(mixture.out))
    x = torch.randn(10, 8)
    gates = mixture.router(x).softmax(-1).topk(2, -1).values.sum(-1, keepdim=True)
    whole = MixtureOfExperts(8, experts=4, active=2, hidden=8, renormalised=True).eval()
    whole.load_state_dict(mixture.state_dict())
    torch.testing.assert_close(mixture(x), gates * whole(x))
    assert (gates < 0.999).all()


def test_the_balance_evens_the_load_and_is_no_part_of_the_gates() -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(8, experts=6, active=1, hidden=8, balance_rate=5e-3)
    with torch.no_grad():
        mixture.router.weight[0] += 0.6
    x = torch.randn(600, 8) + 0.5
    mixture(x)
    before = expert_diagnostics([mixture])["experts/largest_load"]
    for _ in range(300):
        mixture(x)
    after = expert_diagnostics([mixture])["experts/largest_load"]
    assert before > 2.5 and after < 1.5
    mixture.eval()
    torch.testing.assert_close(mixture(x), looped(mixture, x))


@pytest.mark.parametrize("passes", ["evaluation", "sampling", "no balance"])
def test_only_training_passes_move_the_balance(passes: str) -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(8, experts=6, balance_rate=0.0 if passes == "no balance" else 1e-2)
    mixture.train(passes != "evaluation")
    with torch.set_grad_enabled(passes != "sampling"):
        mixture(torch.randn(50, 8))
    assert not mixture.balance.any()
    assert bool(mixture.load.any()) == (passes == "no balance")


def test_the_balance_is_kept_in_checkpoints() -> None:
    mixture = MixtureOfExperts(8, experts=6)
    mixture(torch.randn(50, 8))
    other = MixtureOfExperts(8, experts=6)
    other.load_state_dict(mixture.state_dict())
    assert mixture.balance.any() and torch.equal(other.balance, mixture.balance)


def test_diagnostics_count_the_mixtures_of_a_network() -> None:
    """Two experts of which one is always chosen: load 2 of a mean of 1, one of two unused."""
    mixture = MixtureOfExperts(8, experts=2, active=1, hidden=8)
    with torch.no_grad():
        mixture.router.weight.copy_(torch.tensor([[5.0] * 8, [-5.0] * 8]))
    block = TransformerBlock(8, nn.Identity(), lambda width: mixture)
    block(torch.rand(9, 8) + 1.0)
    found = expert_diagnostics(block.modules())
    assert found["experts/largest_load"] == 2 and found["experts/unused_share"] == 0.5
    assert found["experts/router_entropy"] >= 0
    assert expert_diagnostics([nn.Linear(2, 2)]) == {}


@pytest.mark.parametrize("bad", [{"active": 0}, {"experts": 1}, {"hidden": 0}, {"hidden": 12}, {"balance_rate": -1.0}])
def test_impossible_sizes_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        partial(MixtureOfExperts, 8)(**bad)


def test_it_computes_in_float64() -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(8, experts=5, hidden=8).double().eval()
    x = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(mixture(x), looped(mixture, x))
    assert torch.autograd.gradcheck(mixture, x)


def test_the_balance_keeps_its_precision_in_bfloat16() -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(8, experts=5, hidden=8, balance_rate=1e-3)
    mixture.balance.fill_(0.6)
    mixture.bfloat16().train()
    before = mixture.balance.clone()
    found = mixture(torch.randn(64, 8, dtype=torch.bfloat16, requires_grad=True))
    assert found.dtype == torch.bfloat16
    moved = (mixture.balance - before).abs()
    assert mixture.balance.dtype == torch.float32 and bool(((moved - 1e-3).abs() < 1e-6)[mixture.load != 25.6].all())


def test_autocast_computes_in_the_precision_of_its_input() -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(8, experts=5, hidden=8).eval()
    x = torch.randn(6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = mixture(x.bfloat16())
    torch.testing.assert_close(found.float(), mixture(x), atol=0.03, rtol=0.1)


def test_a_pass_without_positions_says_nothing_of_the_router() -> None:
    mixture = MixtureOfExperts(8, experts=5, hidden=8).train()
    mixture(torch.randn(0, 8))
    assert not mixture.entropy and not mixture.load.any() and not mixture.balance.any()
