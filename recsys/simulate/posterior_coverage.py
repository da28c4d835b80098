"""Coverage of a simulator's true values by the intervals of a slate model's posterior."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.data.datasets.slate_log import SlateLog
from recsys.errors import ConfigurationError
from recsys.metrics.calibration import interval_coverage
from recsys.models.slates.slate_model import SlateModel
from recsys.nn.affinity import negative_distance
from recsys.simulate.choice_models import MultinomialLogit
from recsys.simulate.simulated_slates import SimulatedSlates


def click_coverage(draws: Float[Tensor, "draws n S1"], truth: Float[Tensor, "n S1"]) -> Bool[Tensor, " slots"]:
    """Return for every shown slot whether the 90 % interval of the draws holds the true probability of its click."""
    shown = truth[:, :-1] > 0
    slots = shown.shape[1]
    return interval_coverage(draws[:, :, :slots][:, shown], truth[:, :-1][shown])


@torch.no_grad()
def distance_coverage(
    model: SlateModel, log: SlateLog, simulator: SimulatedSlates, generator: torch.Generator, draws: int = 200
) -> Bool[Tensor, " pairs"]:
    """Return for 2,000 random pairs of items whether the posterior's 90 % interval holds their true distance.

    Distances, as vectors are only known up to rotation and reflection; and only where scores are distances, as inner
    products leave the scale of items open.

    Args:
        model: trained on the log.
        log: of the simulator.
        simulator: what made it.
        generator: of pairs and draws.
        draws: of the posterior.

    Raises:
        ConfigurationError: scores are no distances in the simulator or in the model.
    """
    if not model.affinity is simulator.simulator.affinity is negative_distance:
        raise ConfigurationError("truth: distances of items are compared where scores are distances, here they are not")
    first, second = torch.randint(log.num_items, (2, 2000), generator=generator)
    found = model.items.draw(torch.arange(log.num_items).expand(draws, -1), generator)
    truth = simulator.item_vectors(log)
    distances = (found[:, first] - found[:, second]).norm(dim=-1)
    return interval_coverage(distances, (truth[first] - truth[second]).norm(dim=-1))


@torch.no_grad()
def no_click_coverage(
    model: SlateModel, log: SlateLog, simulator: SimulatedSlates, generator: torch.Generator, draws: int = 200
) -> Bool[Tensor, " lengths"]:
    """Return for every length of a slate whether the posterior's 90 % interval holds the true score of no click.

    Raises:
        ConfigurationError: the simulator's users choose otherwise than by a multinomial logit, and have no such score.
    """
    choice = simulator.simulator.choice
    if not isinstance(choice, MultinomialLogit):
        raise ConfigurationError(f"truth: {type(choice).__name__} has no score of no click; expected MultinomialLogit")
    lengths = log.slates.lengths.unique() - 1
    found = model.no_click.draw(lengths.expand(draws, -1), generator).squeeze(-1)
    return interval_coverage(found, torch.full((len(lengths),), choice.no_click))
