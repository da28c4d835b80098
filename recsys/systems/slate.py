"""Variational training of a slate model (Eide, Leslie, Frigessi 2022)."""

from __future__ import annotations

import lightning
import torch
from torch import Tensor

from recsys.data.user_slates import Exposure, UserSlates
from recsys.models.slate_forecast import answered, forecast
from recsys.models.slate_model import SlateModel, SlateValues
from recsys.objectives.elbo import negative_elbo_share
from recsys.systems.sequential import OptimizerFactory

DRAWS = 8
"""Of the posterior, in validation."""


class SlateSystem(lightning.LightningModule):
    """Maximise the evidence lower bound, one draw of the posterior for each user of a batch.

    The loss is the batch's share of the negative ELBO, divided by how many slates a batch has on average: nats a slate.
    An item's KL is dealt out evenly over the slots of the training slates that show it, a user's goes with the user,
    all other KL evenly over the training slates, so that an epoch counts each once (`negative_elbo_share`). Items that
    no training slate shows are set to their prior and stay there.

    Args:
        model: what is trained.
        exposure: of the training slates.
        batches: of an epoch.
        optimizer: makes the optimizer of the parameters; without weight decay, which is not in the bound.
        temperature: of the likelihood, see `negative_elbo_share`.
        seed: of the draws; they depend on it, the process and the number of batches before, so that a resumed run
            equals the other.
    """

    def __init__(
        self,
        model: SlateModel,
        exposure: Exposure,
        batches: int,
        optimizer: OptimizerFactory,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.optimizer = optimizer
        self.batches = batches
        self.impressions = exposure.impressions
        self.temperature = temperature
        self.seed = seed
        self.occurrences: Tensor
        self.register_buffer("occurrences", exposure.occurrences)
        model.items.forget((exposure.occurrences == 0).nonzero().squeeze(1))

    def negative_elbo(self, values: SlateValues, batch: UserSlates) -> Tensor:
        """The batch's share of the negative ELBO at these values; over the batches of an epoch they sum to it. Nats."""
        answers = self.model.log_prob(values, batch.slates, batch.click)[batch.counts]
        shown = batch.slates[batch.counts]
        items, times = shown[shown >= 0].unique(return_counts=True)
        starts = self.model.start_kl(values, batch.click)
        return negative_elbo_share(
            answers,
            torch.cat([self.model.items.kl(items), starts]),
            torch.cat([times / self.occurrences[items], torch.ones_like(starts)]),
            self.model.shared_kl(),
            len(answers) / self.impressions,
            self.temperature,
        )

    def training_step(self, batch: UserSlates, batch_index: int) -> Tensor:
        """Nats a slate."""
        before = self.current_epoch * self.batches + batch_index
        draw = self.seed * 1_000_003 + before + (self.global_rank << 40)
        values = self.model.draw(batch.slates, torch.Generator(self.device).manual_seed(draw))
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
