"""Variational training of a slate model by its evidence lower bound (Eide, Leslie, Frigessi 2022)."""

from __future__ import annotations

from typing import ClassVar, Literal

import lightning
import torch
from torch import Tensor

from recsys.data.datasets.user_slates import Exposure, UserSlates
from recsys.models.slates.slate_model import SlateModel, SlateValues, answer_probability, forecast
from recsys.nn.optimizer import make_optimizer
from recsys.objectives.elbo import sample_initial_states, slate_negative_elbo
from recsys.ranges import above, at_least, is_seed
from recsys.systems.seeds import step_generator
from recsys.systems.sequential import OptimizerFactory
from recsys.types.artifact_kind import ArtifactKind

VALIDATION_SAMPLES = 8
"""Of the posterior, in validation."""


class SlateElboSystem(lightning.LightningModule):
    """Maximise a lower bound of the evidence: the negative ELBO, in nats a slate, is the loss.

        loss = batches / slates · [ −Σ_u log (1/M) Σ_m w_um  +  the batch's share of every KL ]
        w_um = p(clicks_u | V, h_um)^(1/temperature) · p(h_um) / q(h_um)

    `V` is one sample of the vectors of items from their posterior, `h_um` are `M` initial states of user `u` from
    theirs (`SlateModel.log_weight`), and KL divergences are those of items and of what all users share. With `M = 1`
    this is the usual ELBO, which prefers users who forget their initial state (docs/log.md). The bound rises with `M`,
    and so does the time it takes.

    An epoch counts each KL once (`slate_negative_elbo`). Items that no training slate shows are set to their prior and
    stay there.

    A temperature below 1 trusts the data more than the model says, as if each click had been given `1/temperature`
    times; the posterior becomes that much narrower than it should be.

    Args:
        model: what is trained.
        exposure: of the training slates.
        batches: of an epoch.
        optimizer: makes the optimizer of the parameters; without weight decay, which is not in the bound.
        initial_states: number of samples of each user's initial state, at least 1.
        temperature: of the likelihood, above 0; 1 is Bayes' rule.
        seed: of the draws; they depend on it, the process and the number of batches before, so that a resumed run
            equals the other.
    """

    monitor: ClassVar[str] = "validation/log_likelihood"
    mode: ClassVar[Literal["min", "max"]] = "max"
    artifact: ClassVar[ArtifactKind] = ArtifactKind.POSTERIOR

    def __init__(
        self,
        model: SlateModel,
        exposure: Exposure,
        batches: int,
        optimizer: OptimizerFactory,
        initial_states: int = 32,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        at_least(1, batches=batches)
        above(0, temperature=temperature)
        is_seed(seed=seed)
        super().__init__()
        at_least(1, initial_states=initial_states)
        self.initial_states = initial_states
        self.model = model
        self.optimizer = optimizer
        self.batches = batches
        self.impressions = exposure.impressions
        self.temperature = temperature
        self.seed = seed
        self.occurrences: Tensor
        self.register_buffer("occurrences", exposure.occurrences)
        model.items.reset_to_prior((exposure.occurrences == 0).nonzero().squeeze(1))

    def draw(self, slates: Tensor, generator: torch.Generator) -> SlateValues:
        """Return one sample of the items and `initial_states` samples of each user's initial state.

        Args:
            slates: items of the users' slates, −1 in empty slots.
            generator: source of randomness.
        """
        return sample_initial_states(self.model, slates, self.initial_states, generator)

    def negative_elbo(self, values: SlateValues, batch: UserSlates) -> Tensor:
        """Return the negative ELBO of a batch, nats (`slate_negative_elbo`).

        Args:
            values: what `draw` returned for the batch.
            batch: users with their slates and clicks.
        """
        exposure = Exposure(self.occurrences, self.impressions)
        return slate_negative_elbo(self.model, values, batch, exposure, self.temperature)

    def training_step(self, batch: UserSlates, batch_index: int) -> Tensor:
        """Return the loss of a batch: its share of the negative ELBO, nats a slate, from new samples."""
        before = self.current_epoch * self.batches + batch_index
        values = self.draw(batch.slates, step_generator(self.seed, self.global_rank, before, self.device))
        loss = self.negative_elbo(values, batch) * (self.batches / self.impressions)
        self.log("train/loss", loss.detach(), batch_size=len(batch))
        return loss

    def validation_step(self, batch: UserSlates, batch_index: int) -> None:
        """Log `validation/log_likelihood`: nats a slate that counts, forecast from the same few draws each time."""
        generator = torch.Generator(self.device).manual_seed(self.seed)
        probability = forecast(self.model, batch, VALIDATION_SAMPLES, generator).mean(0)
        log_prob = answer_probability(probability, batch.click)[batch.loss_mask].log()
        self.log("validation/log_likelihood", log_prob.mean(), batch_size=len(log_prob), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of the model's parameters."""
        return make_optimizer(self.optimizer, self.parameters())
