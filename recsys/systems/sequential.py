"""The base of systems that learn from item sequences: one pass a sequence, one validation, one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from recsys.data.datasets.prefixes import prefix_rows, prefixes
from recsys.metrics.ranking import ndcg
from recsys.models.generators.generator import Generator, PrefixGenerator
from recsys.nn.mixture_of_experts import expert_diagnostics
from recsys.nn.optimizer import OptimizerFactory, make_optimizer
from recsys.policies.generative import GenerativePolicy
from recsys.policies.network_policy import NetworkPolicy
from recsys.ranges import at_least
from recsys.systems.validation_ranks import RankFunction, ranks_in_catalogue
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.example import Example

PolicyFactory = Callable[[Generator[Any, Any]], NetworkPolicy]


class SequentialSystem(lightning.LightningModule):
    """Training over all prefixes of packed sequences; validation by NDCG@10 over each request's legal set.

    Args:
        network: what generates; a `PrefixGenerator` encodes all prefixes of a sequence in one pass.
        optimizer: makes the optimizer of the parameters.
        warmup_steps: optimizer steps over which the learning rate rises linearly from 0; it is constant afterwards.
        repeats: whether users take items again; where they do not, an item a user had is outside the legal set.
        policy: makes the policy of the network, which is validated and, with a reward, sampled and moved. What the
            training leaves answers requests with it too.
    """

    monitor: str = "validation/ndcg@10"
    mode: ClassVar[Literal["min", "max"]] = "max"
    artifact: ClassVar[ArtifactKind] = ArtifactKind.POLICY
    inner_steps: int = 1
    """Training steps on each batch in a row."""
    ranks: RankFunction = staticmethod(ranks_in_catalogue)
    """Ranks the items of the validation requests."""

    def __init__(
        self,
        network: Generator[Any, Any],
        optimizer: OptimizerFactory,
        warmup_steps: int = 20,
        repeats: bool = False,
        policy: PolicyFactory = GenerativePolicy,
    ) -> None:
        at_least(0, warmup_steps=warmup_steps)
        super().__init__()
        self.network = network
        self.optimizer = optimizer
        self.warmup_steps = warmup_steps
        self.repeats = repeats
        self.make_policy = policy

    @property
    def policy(self) -> NetworkPolicy:
        """The network as a policy, by default over each request's legal set."""
        return self.make_policy(self.network)

    def encode(self, batch: Context | Example) -> tuple[Any, Example]:
        """Return memory and examples of a batch, aligned row by row.

        Args:
            batch: sequences, of which every position that has a next item is an example; or the examples themselves.
        """
        examples = batch if isinstance(batch, Example) else prefixes(batch, self.repeats)
        return encode_examples(self.network, batch, examples), examples

    def validation_step(self, batch: Example, batch_index: int) -> None:
        """Log `validation/ndcg@10`, the mean over requests of the next item's discounted rank among legal items.

        Items of equal probability share their mean rank. Of a logged slate, each item is ranked as the first one.
        """
        ranks = self.ranks(self.policy, batch.context, batch.slates.items.flatten(1))
        self.log("validation/ndcg@10", ndcg(ranks, 10).float().mean(), batch_size=len(batch), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer with linear warm-up."""
        optimizer = make_optimizer(self.optimizer, self.parameters())
        warm = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / max(1, self.warmup_steps))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": warm, "interval": "step"}}

    def log_training(self, values: dict[str, Tensor], batch_size: int) -> None:
        """Log scalars of a training step under `train/`, and how evenly mixtures of experts were used."""
        values = values | expert_diagnostics(self.network.modules())
        self.log_dict({f"train/{name}": value for name, value in values.items()}, batch_size=batch_size)


def encode_examples(network: Generator[Any, Any], batch: Context | Example, examples: Example) -> Any:
    """Return the memory of every example of a batch; all prefixes of a sequence in one pass where the network can.

    Args:
        network: what encodes.
        batch: sequences, or the examples themselves.
        examples: of the batch.
    """
    if isinstance(batch, Context) and isinstance(network, PrefixGenerator):
        return network.select(network.encode_prefixes(batch), prefix_rows(batch))
    return network.encode(examples.context)
