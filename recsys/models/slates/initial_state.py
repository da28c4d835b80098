"""The distribution of a user's hidden state before the first slate."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recsys.ranges import above, below_one


class InitialState(nn.Module):
    """The distribution of a user's initial state, before and after clicks are observed.

    The prior is `h_0 ~ N(0, prior² I)`. After clicks on items with vectors `v_1 … v_m`, the (approximate) posterior is

        N( gain · Σ_k w_k v_k / (κ + Σ_k w_k),   prior² κ / (κ + Σ_k w_k) · I )   with   w_k = ρ^(k − 1)

    Each click is treated as a measurement of the initial state, and earlier clicks have larger weights. `ρ`, `κ` and
    `gain` are learned. The bound of the joint likelihood of a user's clicks (`SlateModel.log_weight`) uses the
    posterior after all of them. A forecast of a click may use the posterior after earlier clicks only.

    Source: after Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling" (DMKD 36). Their weights are `k ** −4`, and their forecasts use the posterior after all clicks.

    Args:
        prior: standard deviation of the prior, above 0.
        decay: initial value of `ρ`, in (0, 1).
        evidence: initial value of `κ`, above 0: the number of clicks that weigh as much as the prior.
    """

    def __init__(self, prior: float = 0.5, decay: float = 0.8, evidence: float = 3.0) -> None:
        above(0, prior=prior, decay=decay, evidence=evidence)
        below_one(decay=decay)
        super().__init__()
        self.prior = prior
        self.logit_decay = nn.Parameter(torch.tensor(math.log(decay / (1 - decay))))
        self.log_evidence = nn.Parameter(torch.tensor(math.log(evidence)))
        self.gain = nn.Parameter(torch.ones(()))

    def posterior(
        self, vectors: Float[Tensor, "*U T D"], clicked: Bool[Tensor, "*U T"]
    ) -> tuple[Float[Tensor, "*U T1 D"], Float[Tensor, "*U T1 1"]]:
        """Return mean `[..., T + 1, D]` and standard deviation `[..., T + 1, 1]` after the first `0 … T` steps.

        Args:
            vectors: vector of the clicked item of each step; only read at steps with a click.
            clicked: true at steps with a click.

        >>> start = InitialState(prior=1.0, decay=0.5, evidence=1.0)
        >>> mean, deviation = start.posterior(torch.tensor([[3.0], [4.0]]), torch.tensor([True, True]))
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
        """Return `log p(h) − log q(h)`, in nats, at `h = mean + deviation · noise`.

        `p` is the prior, and `q` is `N(mean, deviation² I)`.

        >>> start = InitialState(prior=1.0)
        >>> start.log_ratio(torch.zeros(1, 1), torch.tensor([[2.0]]), torch.ones(1, 1))  # -2² / 2
        tensor([-2.])
        """
        place = (mean + deviation * noise) / self.prior
        return ((noise.square() - place.square()) / 2 + (deviation / self.prior).log()).sum(-1)


def _sums(values: Tensor) -> Tensor:
    """Return the sums over the first `0 … T` steps."""
    return nn.functional.pad(values.cumsum(-2), (0, 0, 1, 0))
