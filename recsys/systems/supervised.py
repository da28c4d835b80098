"""Supervised next-item training: the fine-tuning (SFT) of every generative system, and SASRec."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recsys.models.generators.generator import Generator
from recsys.objectives.likelihood import NextItemObjective
from recsys.policies.generative import GenerativePolicy
from recsys.systems.sequential import OptimizerFactory, PolicyFactory, SequentialSystem
from recsys.systems.validation_ranks import RankFunction, ranks_in_catalogue
from recsys.types.context import Context
from recsys.types.example import Example


class SupervisedSystem(SequentialSystem):
    """Maximise the likelihood of each next item of the log, or of each logged slate.

    Args:
        network: see `SequentialSystem`.
        objective: the likelihood: over the whole catalogue or over the legal set.
        optimizer: see `SequentialSystem`.
        warmup_steps: see `SequentialSystem`.
        repeats: see `SequentialSystem`.
        policy: see `SequentialSystem`.
        ranks: ranks the items of the validation requests: `ranks_in_catalogue`, or `ranks_by_search` where a catalogue
            is too large to be ranked whole.
    """

    def __init__(
        self,
        network: Generator[Any, Any],
        objective: NextItemObjective,
        optimizer: OptimizerFactory,
        warmup_steps: int = 20,
        repeats: bool = False,
        policy: PolicyFactory = GenerativePolicy,
        ranks: RankFunction = ranks_in_catalogue,
    ) -> None:
        super().__init__(network, optimizer, warmup_steps, repeats, policy)
        self.ranks = ranks
        self.objective = objective

    def training_step(self, batch: Context | Example, batch_index: int) -> Tensor:
        """Return the objective over every prefix of the sequences, or over the examples, of the batch."""
        memory, examples = self.encode(batch)
        loss = self.objective(self.network, memory, examples)
        self.log_training({"loss": loss.detach()}, len(examples))
        return loss
