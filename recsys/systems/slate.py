"""Variational training of a slate model (Eide, Leslie, Frigessi 2022)."""

from __future__ import annotations

import math

import lightning
import torch
from torch import Tensor

from recsys.data.user_slates import Exposure, UserSlates
from recsys.errors import ConfigurationError
from recsys.models.slate_forecast import answered, forecast
from recsys.models.slate_model import SlateModel, SlateValues
from recsys.objectives.elbo import negative_elbo_share
from recsys.systems.sequential import OptimizerFactory

DRAWS = 8
"""Of the posterior, in validation."""


class SlateSystem(lightning.LightningModule):
    """Maximise a lower bound of the evidence: for each user of a batch one draw of items, and some of the start.

    The starts are weighted by how well they explain the user's clicks (`SlateModel.log_weight`): with one the bound is
    the usual one, and prefers users who forget where they began (docs/log.md); it rises with their number, and so does
    the time it takes.

    The loss is the batch's share of the negative ELBO, divided by how many slates a batch has on average: nats a slate.
    An item's KL is dealt out evenly over the slots of the training slates that show it, all other KL evenly over the
    training slates, so that an epoch counts each once (`negative_elbo_share`). Items that no training slate shows are
    set to their prior and stay there.

    A temperature below 1 trusts the data more than the model says, as if each click had been given `1/temperature`
    times; the posterior becomes that much narrower than it should be.

    Args:
        model: what is trained.
        exposure: of the training slates.
        batches: of an epoch.
        optimizer: makes the optimizer of the parameters; without weight decay, which is not in the bound.
        starts: draws of each user's start, at least 1.
        temperature: of the likelihood, above 0; 1 is Bayes' rule.
        seed: of the draws; they depend on it, the process and the number of batches before, so that a resumed run
            equals the other.
    """

    def __init__(
        self,
        model: SlateModel,
        exposure: Exposure,
        batches: int,
        optimizer: OptimizerFactory,
        starts: int = 32,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if starts < 1:
            raise ConfigurationError(f"starts={starts}: a user's start is drawn at least once")
        self.starts = starts
        self.model = model
        self.optimizer = optimizer
        self.batches = batches
        self.impressions = exposure.impressions
        self.temperature = temperature
        self.seed = seed
        self.occurrences: Tensor
        self.register_buffer("occurrences", exposure.occurrences)
        model.items.forget((exposure.occurrences == 0).nonzero().squeeze(1))

    def draw(self, slates: Tensor, generator: torch.Generator) -> SlateValues:
        """Everything for each user, and for them once more with every further start: `starts · U` users."""
        first = self.model.draw(slates, generator)
        others = first.start.new_empty(self.starts - 1, *first.start.shape).normal_(generator=generator)
        return SlateValues(
            first.vectors.repeat(self.starts, 1, 1, 1),
            torch.cat([first.start.unsqueeze(0), others]).flatten(0, 1),
            first.no_click.repeat(self.starts, 1),
        )

    def negative_elbo(self, values: SlateValues, batch: UserSlates) -> Tensor:
        """The batch's share of the negative bound at these values; over the batches of an epoch they sum to it. Nats.

        Args:
            values: of the users of the batch, any number of times over; the same but for their starts.
            batch: whose slates they are.
        """
        starts = len(values.start) // len(batch)
        slates, click, counts = (
            part.repeat(starts, *[1] * (part.ndim - 1)) for part in (batch.slates, batch.click, batch.counts)
        )
        weights = self.model.log_weight(values, slates, click, counts, self.temperature).view(starts, -1)
        users = weights.logsumexp(0) - math.log(starts)
        shown = batch.slates[batch.counts]
        items, times = shown[shown >= 0].unique(return_counts=True)
        return negative_elbo_share(
            users,
            self.model.items.kl(items),
            times / self.occurrences[items],
            self.model.shared_kl(),
            int(batch.counts.sum()) / self.impressions,
        )

    def training_step(self, batch: UserSlates, batch_index: int) -> Tensor:
        """Nats a slate."""
        before = self.current_epoch * self.batches + batch_index
        draw = self.seed * 1_000_003 + before + (self.global_rank << 40)
        values = self.draw(batch.slates, torch.Generator(self.device).manual_seed(draw))
        loss = self.negative_elbo(values, batch) * (self.batches / self.impressions)
        self.log("train/loss", loss.detach(), batch_size=len(batch))
        return loss

    def validation_step(self, batch: UserSlates, batch_index: int) -> None:
        """Log `validation/log_likelihood`: nats a slate that counts, forecast from the same few draws each time."""
        generator = torch.Generator(self.device).manual_seed(self.seed)
        probability = forecast(self.model, batch, DRAWS, generator).mean(0)
        log_prob = answered(probability, batch.click)[batch.counts].log()
        self.log("validation/log_likelihood", log_prob.mean(), batch_size=len(log_prob), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer."""
        return self.optimizer(self.parameters())

    def transfer_batch_to_device(self, batch: UserSlates, device: torch.device, dataloader_idx: int) -> UserSlates:
        """Batches move whole."""
        return batch.to(device)
