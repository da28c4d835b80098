"""Weights of what actions have in common: for catalogues too large to log every action often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.rounds import Rounds


@dataclass(frozen=True)
class Marginal:
    """`π(c | x) / p(c | x)` with `c` the cluster of the logged action, and of each policy the sum over the cluster.

    `IPS(Marginal(…))` is marginalised inverse propensity scoring (MIPS), unbiased where the reward depends on the
    action through its cluster only and `p(c | x) > 0` wherever `π(c | x) > 0`; an action itself may have no support.
    Weights are the means of plain ones over the cluster, so they vary less, the less the more actions a cluster has.
    `SNIPS(Marginal(…))` divides by the sum of weights. `DR(Marginal(…))` is OffCEM, which leaves to a reward model what
    differs within a cluster: unbiased where the model has the *differences* of rewards within each cluster right,
    however wrong the level. Sources: Saito and Joachims 2022, "Off-policy evaluation for large action spaces via
    embeddings"; Saito, Ren, Joachims 2023, "Off-policy evaluation for large action spaces via conjunct effect
    modeling".

    Args:
        clusters: of each action, from 0; of several categories, one number for each combination.

    >>> rounds = Rounds(
    ...     *map(torch.tensor, ([0], [1.0], [0.1], [0.6])),
    ...     logging_all=torch.tensor([[0.1, 0.3, 0.6]]),
    ...     target_all=torch.tensor([[0.6, 0.2, 0.2]]),
    ... )
    >>> Marginal((0, 0, 1))(rounds)  # .8 / .4, where the plain weight is 6
    tensor([2.])
    """

    clusters: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters", tuple(self.clusters))

    def __call__(self, rounds: Rounds) -> Float[Tensor, " n"]:
        """See `Weights`."""
        logging, target = rounds.need("logging_all"), rounds.need("target_all")
        if logging.shape[1] != len(self.clusters):
            raise RequestError(
                f"{len(self.clusters)} actions have a cluster, and the log has {logging.shape[1]} actions"
            )
        clusters = torch.tensor(self.clusters, device=rounds.action.device)
        of_logged = clusters[rounds.action].unsqueeze(1)
        alike = clusters == of_logged
        return (target * alike).sum(1) / (logging * alike).sum(1)
