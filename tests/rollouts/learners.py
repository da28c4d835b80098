"""What tests of learning in simulators share: a small actor and critic, and a trainer that is interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from recsys.decode.catalogue import over_legal_set
from recsys.objectives.actor_critic import proximal_policy_optimisation
from recsys.policies.feature_network import FeatureCritic, FeatureScorer
from recsys.policies.latent import Latents
from recsys.policies.plackett_luce import draw_slates, slot_log_prob
from recsys.policies.policy import SoftmaxPolicy
from recsys.rollouts.data import SimulatorData
from recsys.simulate.features import TopicFeatures
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.systems.actor_critic import ActorCritic, LatentLevel
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates
from recsys.types.trajectory import Trajectory


class Moody(SoftmaxPolicy):
    """A policy in a mood that it draws once; scores fall with it."""

    def act(
        self, context: Context, latents: Latents | None, slots: int, generator: torch.Generator
    ) -> tuple[Slates, Latents]:
        first = {"mood": torch.rand(len(context), generator=generator).round(), "age": torch.zeros(len(context))}
        kept = latents or first
        log_prob = self.in_mood(context, kept["mood"])
        items = draw_slates(log_prob, 1, slots, generator)
        shown = Slates(items, slot_log_prob(log_prob, items), SamplingMethod.SAMPLE)
        age = kept["age"] + 1
        drawn = torch.full_like(age, -math.log(2))
        return shown, {"mood": kept["mood"], "age": age, "begins": age == 1, "log_prob": drawn}

    def in_mood(self, context: Context, mood: Tensor) -> Tensor:
        return over_legal_set(self.scorer(context) / (1 + mood.unsqueeze(1)), context)

    def log_prob_given(self, context: Context, slates: Slates, latents: Latents) -> Tensor:
        return slot_log_prob(self.in_mood(context, latents["mood"]), slates.items)

    def latent_log_prob(self, context: Context, latents: Latents) -> Tensor:
        return torch.full((len(context),), -math.log(2))


def actor_critic(lr: float = 0.01, kind: type[SoftmaxPolicy] = SoftmaxPolicy, **options: Any) -> ActorCritic:
    torch.manual_seed(0)
    features = TopicFeatures(20)
    policy, critic = kind(FeatureScorer(features, hidden=8)), FeatureCritic(features, hidden=8)
    objective = partial(proximal_policy_optimisation, entropy_weight=0.01)
    if kind is Moody:
        options = {"latent": LatentLevel(), **options}
    return ActorCritic(policy, critic, partial(torch.optim.Adam, lr=lr), **{"objective": objective, **options})


def data(**options: Any) -> SimulatorData:
    """Users stay for some six slates, so that they are replaced now and then."""
    given = {"users": 12, "steps": 4, "slots": 2, "batch_size": 5, "passes": 2, "validation_steps": 10, **options}
    return SimulatorData(InterestEvolution(budget=25.0), **given)


class Seen(Callback):
    """Keeps the training batches, and interrupts after so many."""

    def __init__(self, interrupt_after: int = 0) -> None:
        self.batches: list[Trajectory] = []
        self.validations: list[float] = []
        self.interrupt_after = interrupt_after

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        self.batches.append(batch)
        if len(self.batches) == self.interrupt_after:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "killed.ckpt")
            raise KeyboardInterrupt

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        self.validations.append(float(trainer.callback_metrics["validation/reward"]))


def trained(
    system: lightning.LightningModule,
    module: SimulatorData,
    folder: Path,
    epochs: int = 3,
    resume: bool = False,
    after: int = 0,
) -> Seen:
    """Train for some epochs, or until it is killed after so many batches."""
    seen = Seen(after)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        callbacks=[seen],
    )
    fit: Callable[[], None] = partial(
        trainer.fit,
        system,
        datamodule=module,
        ckpt_path=folder / "killed.ckpt" if resume else None,
        weights_only=True,
    )
    if not after:
        fit()
        return seen
    try:
        fit()
    except SystemExit as error:
        assert isinstance(error.__context__, KeyboardInterrupt)
        return seen
    raise AssertionError("the training ended before it was killed")
