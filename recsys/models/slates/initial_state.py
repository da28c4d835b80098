"""The distribution of a user's hidden state before the first slate."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class InitialState(nn.Module):
    """`h_0 ~ N(0, prior² I)`, and after clicks on items of vectors `v_1 … v_m`, with `w_k = ρ^(k − 1)`,

        N( gain · Σ_k w_k v_k / (κ + Σ_k w_k),   prior² κ / (κ + Σ_k w_k) · I )

    as if each click were a measurement of where the user began, the first the most telling; without clicks the prior.
    `ρ`, `κ` and `gain` are learnt. What is known from all clicks of a user is where a bound of their joint likelihood
    looks for the start (`SlateModel.log_weight`); a forecast of a click must use the clicks before it only.

    Source: after Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling" (DMKD 36), whose weights are `k ** −4` and whose start knows of later clicks in forecasts as well.

    Args:
        prior: above 0.
        decay: `ρ` when training starts, in (0, 1).
        evidence: `κ` when training starts, above 0: clicks that weigh as much as the prior.
    """

    def __init__(self, prior: float = 0.5, decay: float = 0.8, evidence: float = 3.0) -> None:
        super().__init__()
        self.prior = prior
        self.logit_decay = nn.Parameter(torch.tensor(math.log(decay / (1 - decay))))
        self.log_evidence = nn.Parameter(torch.tensor(math.log(evidence)))
        self.gain = nn.Parameter(torch.ones(()))

    def given(
        self, vectors: Float[Tensor, "*U T D"], clicked: Bool[Tensor, "*U T"]
    ) -> tuple[Float[Tensor, "*U T1 D"], Float[Tensor, "*U T1 1"]]:
        """Mean `[..., T + 1, D]` and deviation `[..., T + 1, 1]` after the clicks of the first `0 … T` steps.

        Args:
            vectors: of what was clicked; read only where something was.
            clicked: true where something was.

        >>> start = InitialState(prior=1.0, decay=0.5, evidence=1.0)
        >>> mean, deviation = start.given(torch.tensor([[3.0], [4.0]]), torch.tensor([True, True]))
        >>> mean.squeeze(1).tolist()  # 0, 3 / 2, (3 + 4 / 2) / (1 + 1 + 1 / 2)
        [0.0, 1.5, 2.0]
        >>> deviation.square().squeeze(1).detach()  # 1, 1 / 2, 1 / 2.5
        tensor([1.0000, 0.5000, 0.4000])
        """
        before = clicked.cumsum(-1) - clicked.long()
        weight = (clicked * self.logit_decay.sigmoid() ** before).unsqueeze(-1)
        weighted = _sums(weight * vectors.masked_fill(~clicked.unsqueeze(-1), 0))
        evidence, total = self.log_evidence.exp(), _sums(weight)
        return self.gain * weighted / (evidence + total), self.prior * (evidence / (evidence + total)).sqrt()

    def log_ratio(
        self, noise: Float[Tensor, "*K U D"], mean: Float[Tensor, "*#K U D"], deviation: Float[Tensor, "*#K U 1"]
    ) -> Float[Tensor, "*K U"]:
        """`log p(h) − log q(h)`, nats, at `h = mean + deviation · noise`, `p` the prior, `q = N(mean, deviation² I)`.

        >>> start = InitialState(prior=1.0)
        >>> start.log_ratio(torch.zeros(1, 1), torch.tensor([[2.0]]), torch.ones(1, 1))  # -2² / 2
        tensor([-2.])
        """
        place = (mean + deviation * noise) / self.prior
        return ((noise.square() - place.square()) / 2 + (deviation / self.prior).log()).sum(-1)


def _sums(values: Tensor) -> Tensor:
    """Sums of the first `0 … T` steps."""
    return nn.functional.pad(values.cumsum(-2), (0, 0, 1, 0))
