"""Mean-field normal distributions over tables of vectors, for variational inference."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class MeanField(nn.Module):
    """A table of `rows × width` independent normal distributions `N(m, s²)` with parameters `m` and `log s`.

    Args:
        rows: number of vectors.
        width: width `D` of each vector.
        deviation: initial value of `s`, above 0.
        initial: standard deviation of the initial means.
        mean: centre of the initial means.
    """

    def __init__(self, rows: int, width: int, deviation: float = 0.1, initial: float = 0.0, mean: float = 0.0) -> None:
        super().__init__()
        self.mean = nn.Parameter(mean + initial * torch.randn(rows, width))
        self.log_deviation = nn.Parameter(torch.full((rows, width), math.log(deviation)))

    def draw(self, rows: Int[Tensor, "R K"], generator: torch.Generator) -> Float[Tensor, "R K D"]:
        """Return samples `m + s · N(0, 1)`, differentiable, with one independent sample of the table for each row.

        Within a row, equal numbers give the same vector. Different rows (users) get independent samples. The
        expectation of a sum over users is the sum of their expectations, so independent samples leave the mean of the
        gradient unchanged and lower its variance (local reparameterisation; Kingma, Salimans, Welling 2015). Entries of
        −1 give the vector 0 and use no random number.

        Args:
            rows: numbers of the vectors to sample; −1 means none.
            generator: random generator on the device of the table.
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
        """Return mean and variance of the given vectors."""
        return self.mean[rows], (2 * self.log_deviation[rows]).exp()

    def kl(self, rows: Int[Tensor, " E"], mean: float, deviation: float) -> Float[Tensor, " E"]:
        """Return the divergence `KL(N(m, s²) ‖ N(mean, deviation²))` of each given vector, in nats, at least 0.

        It is the sum over entries of `log(deviation / s) + (s² + (m − mean)²) / (2 deviation²) − 1/2`.

        >>> one = MeanField(1, 2, deviation=1.0, mean=2.0)  # each of the two entries: 2² / 2
        >>> one.kl(torch.tensor([0]), mean=0.0, deviation=1.0).detach()
        tensor([4.])
        """
        own_mean, own = self.mean[rows], self.log_deviation[rows] - math.log(deviation)
        far = (own_mean - mean) / deviation
        return (((2 * own).exp() + far.square() - 1) / 2 - own).sum(-1)

    @torch.no_grad()
    def reset(self, rows: Int[Tensor, " E"], mean: float, deviation: float) -> None:
        """Set the given vectors to `N(mean, deviation²)`."""
        self.mean[rows] = mean
        self.log_deviation[rows] = math.log(deviation)
