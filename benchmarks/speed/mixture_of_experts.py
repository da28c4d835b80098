"""The sparse mixture of experts against loops over its experts, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import silu

from harness import Result, alternate, compare
from recsys.nn.mixture_of_experts import MixtureOfExperts

WIDTH, HIDDEN, EXPERTS, ACTIVE = 128, 256, 24, 2
POSITIONS = (1024, 4096)
PASSES = 10
GOAL = 3.0
TOLERANCE = 1e-3


def run(rounds: int) -> list[Result]:
    """Both loops at each number of positions, outputs and gradients checked before timing."""
    return [result for positions in POSITIONS for result in against_loops(positions, rounds)]


def against_loops(positions: int, rounds: int, passes: int = PASSES) -> list[Result]:
    """One layer and its two loops over the same weights and positions."""
    torch.manual_seed(0)
    mixture = MixtureOfExperts(WIDTH, EXPERTS, ACTIVE, HIDDEN, balance_rate=0.0)
    x, weight = torch.randn(positions, WIDTH, requires_grad=True), torch.randn(positions, WIDTH)
    functions: dict[str, Callable[[MixtureOfExperts, Tensor], Tensor]] = {
        "ours": lambda layer, rows: layer(rows),
        "indexed loop": indexed_loop,
        "masked loop": masked_loop,
    }
    sides = {name: Pass(mixture, function, x, weight) for name, function in functions.items()}
    difference = differences({name: side.once() for name, side in sides.items()})
    timings = alternate({name: lambda side=side: side(passes) for name, side in sides.items()}, rounds)
    return [
        compare(
            timings,
            peer,
            benchmark="mixture of experts",
            case=f"{peer}, {EXPERTS} experts, {ACTIVE} active, {positions:,} positions, forward and backward",
            goal=GOAL,
            checked=f"{passes} passes a turn; outputs and gradients within {difference:.1e}",
        )
        for peer in ("indexed loop", "masked loop")
    ]


def gates(mixture: MixtureOfExperts, x: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of all experts `[M, N]` and the chosen ones `[M, k]`."""
    share = mixture.router(x).softmax(-1)
    return share, share.topk(mixture.active, -1).indices


def expert(mixture: MixtureOfExperts, number: int, x: Tensor) -> Tensor:
    """What one expert makes of some positions."""
    gate, up = (x @ mixture.gate_up[number]).chunk(2, -1)
    return (silu(gate) * up) @ mixture.out[number]


def indexed_loop(mixture: MixtureOfExperts, x: Tensor) -> Tensor:
    """Expert by expert over the positions that chose it, as Hugging Face's Mixtral has it."""
    share, chosen = gates(mixture, x)
    output = torch.zeros_like(x)
    for number in range(len(mixture.out)):
        rows = (chosen == number).any(-1).nonzero().squeeze(-1)
        weighted = expert(mixture, number, x[rows]) * share[rows, number].unsqueeze(-1)
        output = output.index_add(0, rows, weighted)
    return output


def masked_loop(mixture: MixtureOfExperts, x: Tensor) -> Tensor:
    """Expert by expert over all positions, those of others masked."""
    share, chosen = gates(mixture, x)
    gate = torch.zeros_like(share).scatter(-1, chosen, share.gather(-1, chosen))
    output = torch.zeros_like(x)
    for number in range(len(mixture.out)):
        output = output + expert(mixture, number, x) * gate[:, number].unsqueeze(-1)
    return output


def differences(found: dict[str, list[Tensor]]) -> float:
    """The largest difference of outputs and gradients from ours.

    Raises:
        AssertionError: they differ.
    """
    difference = max(
        float((own - theirs).abs().max())
        for name, peer in found.items()
        for own, theirs in zip(found["ours"], peer, strict=True)
        if name != "ours"
    )
    if difference > TOLERANCE:
        raise AssertionError(f"outputs or gradients differ by {difference:.1e}")
    return difference


class Pass:
    """Forward and backward passes of one way to compute the mixture."""

    def __init__(
        self,
        mixture: MixtureOfExperts,
        function: Callable[[MixtureOfExperts, Tensor], Tensor],
        x: Tensor,
        weight: Tensor,
    ) -> None:
        self.mixture, self.function, self.x, self.weight = mixture, function, x, weight

    def once(self) -> list[Tensor]:
        """The output, and the gradients of input and parameters."""
        output = self.function(self.mixture, self.x)
        return [output.detach(), *torch.autograd.grad(output, [self.x, *self.mixture.parameters()], self.weight)]

    def __call__(self, passes: int) -> None:
        """See the class."""
        for _ in range(passes):
            self.once()
