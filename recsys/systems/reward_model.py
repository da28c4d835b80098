"""The training of reward models: heads that predict labels of logged slates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import lightning
import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from recsys.data.datasets.training_data import TrainingData
from recsys.errors import ConfigurationError
from recsys.instantiation import PartError, make
from recsys.metrics.discrimination import concordance
from recsys.models.rewards.session import SessionRewardModel
from recsys.nn.optimizer import OptimizerFactory, make_optimizer
from recsys.rewards.labels import Label, LabelError, check_labels
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.example import Example


class RewardModelSystem(lightning.LightningModule):
    """Fit each head to its label: `L = Σ_t BCE(y_t, σ(f_t(context, slate)))`, nats a slate, mean over the batch.

    Source: Deng et al. 2025 (OneRec, arXiv 2502.18965), §3.3.

    Args:
        model: what is trained; its heads are those of `labels`.
        labels: of the logged slates, by the name of their head.
        optimizer: makes the optimizer of the parameters.

    Raises:
        ConfigurationError: heads and labels have different names.
    """

    monitor: ClassVar[str] = "validation/loss"
    mode: ClassVar[Literal["min", "max"]] = "min"
    artifact: ClassVar[ArtifactKind] = ArtifactKind.REWARD_MODEL

    def __init__(self, model: SessionRewardModel, labels: Mapping[str, Label], optimizer: OptimizerFactory) -> None:
        super().__init__()
        if set(labels) != set(model.heads):
            raise ConfigurationError(
                f"the model has the heads {', '.join(model.heads)}, the labels are {', '.join(labels)}: name them alike"
            )
        self.model = model
        self.labels = {name: labels[name] for name in model.heads}
        self.optimizer = optimizer
        self._seen: list[tuple[Tensor, Tensor]] = []

    @staticmethod
    def check_data(node: DictConfig, batches: TrainingData, key: str) -> None:
        """Refuse labels that cannot be made of the feedback, or have one value in the training part.

        Args:
            node: configuration of the system.
            batches: data module of the training.
            key: of the system, for the message.
        """
        labels = {str(name): make(one, key=f"{key}.labels.{name}") for name, one in node.labels.items()}
        try:
            check_labels(labels, batches.training_batches(0, 1))
        except LabelError as error:
            raise PartError(f"{key}.labels.{error.label}", error.problem) from error

    def training_step(self, batch: Example, batch_index: int) -> Tensor:
        """Return the loss of a batch."""
        each = self._losses(self._log_odds(batch), self._wanted(batch))
        self.log_dict({f"train/loss/{name}": value.detach() for name, value in each.items()}, batch_size=len(batch))
        loss = torch.stack(list(each.values())).sum()
        self.log("train/loss", loss.detach(), batch_size=len(batch))
        return loss

    def validation_step(self, batch: Example, batch_index: int) -> None:
        """Log `validation/loss`, and keep predictions for the figures of the epoch."""
        log_odds, wanted = self._log_odds(batch), self._wanted(batch)
        loss = torch.stack(list(self._losses(log_odds, wanted).values())).sum()
        self.log(self.monitor, loss, batch_size=len(batch), prog_bar=True)
        self._seen.append((log_odds, wanted))

    def on_validation_epoch_end(self) -> None:
        """Log `validation/auc/<head>`: the concordance of predictions and labels, unless all labels are equal."""
        log_odds, wanted = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        for place, name in enumerate(self.labels):
            value = concordance(log_odds[:, place], wanted[:, place])
            if value == value:
                self.log(f"validation/auc/{name}", value)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of the model's parameters."""
        return make_optimizer(self.optimizer, self.parameters())

    def _log_odds(self, batch: Example) -> Float[Tensor, "B H"]:
        return self.model(batch.context, batch.slates.items).squeeze(1)

    def _wanted(self, batch: Example) -> Float[Tensor, "B H"]:
        return torch.stack([label(batch) for label in self.labels.values()], -1)

    def _losses(self, log_odds: Float[Tensor, "B H"], wanted: Float[Tensor, "B H"]) -> dict[str, Tensor]:
        each = binary_cross_entropy_with_logits(log_odds, wanted, reduction="none").mean(0)
        return dict(zip(self.labels, each, strict=True))
