"""Mean-field normal tables for variational inference over vectors."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class MeanField(nn.Module):
    """`rows × width` independent normals `N(m, s²)`, as the parameters `m` and `log s`.

    Args:
        rows: vectors.
        width: `D`, of each.
        deviation: `s` at the start, above 0.
        initial: standard deviation of the means at the start.
        mean: what they lie around.
    """

    def __init__(self, rows: int, width: int, deviation: float = 0.1, initial: float = 0.0, mean: float = 0.0) -> None:
        super().__init__()
        self.mean = nn.Parameter(mean + initial * torch.randn(rows, width))
        self.log_deviation = nn.Parameter(torch.full((rows, width), math.log(deviation)))

    def draw(self, rows: Int[Tensor, "R K"], generator: torch.Generator) -> Float[Tensor, "R K D"]:
        """`m + s · N(0, 1)` with gradient, one draw of the table a row of `rows`.

        In a row the same number gives the same vector; rows do not depend on each other. An expectation of a sum over
        users is a sum of expectations, so each user can have a draw of their own: the gradient has less variance than
        under one draw for all, and the same mean (the local reparameterisation of Kingma, Salimans, Welling 2015).
        Entries of −1 are 0 and take no random number.

        Args:
            rows: numbers of normals; −1 where there is none.
            generator: on the device of the table.
        """
        named = rows >= 0
        size = len(self.mean)
        keys = rows + size * torch.arange(len(rows), device=rows.device).unsqueeze(1)
        distinct, place = keys[named].unique(return_inverse=True)
        which = distinct % size
        shape = (len(which), self.mean.shape[1])
        noise = torch.randn(shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        drawn = self.mean[which] + self.log_deviation[which].exp() * noise
        return drawn.new_zeros(*rows.shape, shape[1]).index_put((named,), drawn[place])

    def moments(self, rows: Int[Tensor, "*R"]) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
        """Mean and variance of the named rows."""
        return self.mean[rows], (2 * self.log_deviation[rows]).exp()

    def kl(self, rows: Int[Tensor, " E"], mean: float, deviation: float) -> Float[Tensor, " E"]:
        """`KL(N(m, s²) ‖ N(mean, deviation²))` of the named rows, summed over their numbers; nats, at least 0.

        Each number's is `log(deviation / s) + (s² + (m − mean)²) / (2 deviation²) − 1/2`.

        >>> one = MeanField(1, 2, deviation=1.0, mean=2.0)  # both numbers: 2² / 2
        >>> one.kl(torch.tensor([0]), mean=0.0, deviation=1.0).detach()
        tensor([4.])
        """
        own_mean, own = self.mean[rows], self.log_deviation[rows] - math.log(deviation)
        far = (own_mean - mean) / deviation
        return (((2 * own).exp() + far.square() - 1) / 2 - own).sum(-1)

    @torch.no_grad()
    def reset(self, rows: Int[Tensor, " E"], mean: float, deviation: float) -> None:
        """Make the named rows `N(mean, deviation²)`."""
        self.mean[rows] = mean
        self.log_deviation[rows] = math.log(deviation)
