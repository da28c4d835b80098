"""Log-likelihood of clicks on slates: of each slate, and as a table of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.metrics.results import Results, summarise


def log_likelihoods(probability: Float[Tensor, "n S1"], click: Int[Tensor, " n"]) -> dict[str, Float[Tensor, " n"]]:
    """Return the log-likelihoods of each slate's answer, in nats.

    - `log_likelihood`: log-probability of the clicked slot, or of no click;
    - `click_log_likelihood`: log-probability of the clicked slot given that a slot was clicked; NaN if none was.

    Args:
        probability: predicted probability of a click on each slot, and, last, of no click.
        click: the clicked slot, or −1 if no slot was clicked.

    >>> found = log_likelihoods(torch.tensor([[0.3, 0.2, 0.5], [0.3, 0.2, 0.5]]), torch.tensor([0, -1]))
    >>> found["log_likelihood"].exp(), found["click_log_likelihood"].exp()  # .3, .5; of .5 the share .3 / .5
    (tensor([0.3000, 0.5000]), tensor([0.6000,    nan]))
    """
    choice = click.where(click >= 0, probability.shape[1] - 1)
    every = probability.gather(1, choice.unsqueeze(1)).squeeze(1).log()
    given = every - torch.log1p(-probability[:, -1])
    return {"log_likelihood": every, "click_log_likelihood": given.masked_fill(click < 0, float("nan"))}


def slate_results(
    rows: Mapping[str, Float[Tensor, "n S1"]],
    click: Int[Tensor, " n"],
    users: Int[Tensor, " n"],
    strata: Mapping[str, Bool[Tensor, " n"]],
    references: Sequence[str] = (),
    seed: int = 0,
) -> Results:
    """Return the mean of each metric of `log_likelihoods` over slates, with 95 % bootstrap intervals over users.

    - `<metric>`: over all slates;
    - `<metric>/<stratum>`: over the slates of a stratum; strata without slates are left out;
    - `<metric>_minus_<reference>`: paired difference from the reference row.

    Args:
        rows: for each row of the table, its predicted probabilities for the same slates.
        click: clicked slots, as in `log_likelihoods`.
        users: user of each slate.
        strata: mask of the slates of each stratum, by name.
        references: rows that all other rows are compared with.
        seed: seed of the bootstrap.
    """
    values = {row: log_likelihoods(probability, click) for row, probability in rows.items()}
    table: Results = {row: {} for row in rows}
    everything = torch.ones_like(click, dtype=torch.bool)
    for stratum, mask in {"": everything, **strata}.items():
        for metric, known in (("log_likelihood", mask), ("click_log_likelihood", mask & (click >= 0))):
            if not known.any():
                continue
            name = f"{metric}/{stratum}" if stratum else metric
            given = {row: {name: found[metric][known].unsqueeze(0)} for row, found in values.items()}
            for row, cells in summarise(given, users[known], references=references, seed=seed).items():
                table[row] |= {key: cell.to_dict() for key, cell in cells.items()}
    return table
