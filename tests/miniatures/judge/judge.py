"""A reward model in one file: a network that tells next items from others, its training, and the reward it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import lightning
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from recsys.data.datasets.prefixes import prefixes
from recsys.items.bundle import ItemBundle
from recsys.systems.seeds import step_generator
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.slates import Slates


class Judge(nn.Module):
    """The log-odds that an item follows the last item of a history: an inner product of two vectors.

    Args:
        num_items: size of the catalogue.
        width: of the vectors.
    """

    def __init__(self, num_items: int, width: int) -> None:
        super().__init__()
        self.last, self.next = nn.Embedding(num_items, width), nn.Embedding(num_items, width)
        for vectors in (self.last, self.next):
            nn.init.normal_(vectors.weight, std=0.3)

    @classmethod
    def from_bundle(cls, bundle: ItemBundle, width: int = 16) -> Judge:
        """Return a judge of the run's items."""
        return cls(len(bundle.table), width)

    def forward(self, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S"]:
        """Return the log-odds of each item."""
        history = context.history
        last = self.last(history.values[history.offsets[1:] - 1])
        return torch.einsum("bgsd,bd->bgs", self.next(items.clamp(min=0)), last)


class JudgeSystem(lightning.LightningModule):
    """Logistic regression of the next item against one random item.

    Args:
        model: what is trained.
        optimizer: makes the optimizer of the parameters.
        repeats: whether users take items again.
        seed: of the random items.
    """

    monitor: ClassVar[str] = "validation/loss"
    mode: ClassVar[str] = "min"
    artifact: ClassVar[ArtifactKind] = ArtifactKind.REWARD_MODEL

    def __init__(
        self, model: Judge, optimizer: Callable[[Iterable[Any]], Any], repeats: bool = False, seed: int = 0
    ) -> None:
        super().__init__()
        self.model, self.optimizer, self.repeats, self.seed = model, optimizer, repeats, seed

    def training_step(self, batch: Context, batch_index: int) -> Tensor:
        """Return the loss over every prefix of the batch."""
        loss = self.loss(prefixes(batch, self.repeats), self.global_step)
        self.log("train/loss", loss.detach(), batch_size=len(batch))
        return loss

    def validation_step(self, batch: Example, batch_index: int) -> None:
        """Log the loss against the same random items each time."""
        self.log(self.monitor, self.loss(batch, batch_index), batch_size=len(batch))

    def loss(self, examples: Example, step: int) -> Tensor:
        """Return the mean logistic loss."""
        generator = step_generator(self.seed, self.global_rank, step, self.device)
        items = self.model.next.num_embeddings
        other = torch.randint(items, (len(examples),), generator=generator, device=self.device)
        odds = self.model(examples.context, torch.stack([examples.item, other], 1).unsqueeze(1))
        return -(logsigmoid(odds[..., 0]) + logsigmoid(-odds[..., 1])).mean()

    def configure_optimizers(self) -> Any:
        """Return the optimizer."""
        return self.optimizer(self.parameters())


class JudgedReward:
    """The probability of the judge that the item follows.

    Args:
        judge: as its training left it.
    """

    order_matters = False
    bounds = (0.0, 1.0)

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        """Return a probability for each candidate; it reads the context, never the logged answer."""
        return (self.judge(example.context, slates.items).sigmoid().mean(-1) * slates.mask).detach()
