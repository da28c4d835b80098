"""A step of preference alignment against a supervised step on the same sessions, mean over many batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import lightning
import torch

from harness import Result, alternate, compare
from recsys.decode.normalisation import StepByStep
from recsys.items.trie import Trie
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.models.rewards.session import SessionRewardModel
from recsys.nn.mixture_of_experts import MixtureOfExperts
from recsys.objectives.likelihood import catalogue_cross_entropy
from recsys.objectives.preference import dpo
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.rewards.learned import LearnedReward, ProbabilitySum, Scalariser, StandardisedSum
from recsys.systems.group_sampling import BeamSampler
from recsys.systems.judged_validation import JudgedValidation
from recsys.systems.pairing import BestAgainstWorst
from recsys.systems.preference_alignment import PreferenceAlignment
from recsys.systems.reference_policy import EpochReference
from recsys.systems.supervised import SupervisedSystem
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates

CODES, LEVELS = 32, 3
GOAL = 1.3


@dataclass(frozen=True)
class Sizes:
    """Sizes of the two steps.

    Args:
        items: of the catalogue.
        requests: of a batch.
        candidates: sessions of a request that gets a pair.
        slots: items of a session.
        longest: items of a history at most; half the requests have as many.
        steps: of a turn, each on a batch of its own.
        pair_share: probability that a request gets a pair.
    """

    items: int = 7_500
    requests: int = 128
    candidates: int = 128
    slots: int = 5
    longest: int = 20
    steps: int = 20
    pair_share: float = 0.01


def run(rounds: int) -> list[Result]:
    """Both steps from the same weights."""
    return [against_supervised(Sizes(), rounds)]


def against_supervised(sizes: Sizes, rounds: int) -> Result:
    """Both trainings step by step over the same batches."""
    batches = [sessions(sizes, seed) for seed in range(sizes.steps)]
    shared = {
        "optimizer": partial(torch.optim.AdamW, lr=1e-3),
        "policy": partial(AutoregressiveSlatePolicy, normalisation=StepByStep()),
    }
    alignment = PreferenceAlignment(
        network(sizes),
        BeamSampler(sizes.candidates),
        reward(sizes, StandardisedSum()),
        dpo,
        catalogue_cross_entropy,
        EpochReference,
        BestAgainstWorst(),
        JudgedValidation(reward(sizes, ProbabilitySum())),
        slots=sizes.slots,
        pair_share=sizes.pair_share,
        **shared,
    )
    aligned = Training(alignment, batches)
    supervised = Training(SupervisedSystem(network(sizes), catalogue_cross_entropy, **shared), batches)
    timings = alternate({"ours": supervised, "aligned": aligned}, rounds)
    found = compare(
        timings,
        "aligned",
        benchmark="preference alignment",
        case=f"step over that of supervised training, {sizes.requests} requests, pair_share {sizes.pair_share:g}",
        goal=GOAL,
        checked=f"{sizes.steps} steps a turn, {aligned.pairs / max(aligned.taken, 1):.2f} pairs a step",
    )
    return Result(**{**vars(found), "at_least": False, "detail": found.detail.replace("ours", "supervised", 1)})


def network(sizes: Sizes) -> EncoderDecoder:
    """The network of `conf/network/session.yaml` over random codes."""
    torch.manual_seed(0)
    drawn = torch.randperm(CODES**LEVELS)[: sizes.items]
    codes = torch.stack([drawn // CODES ** (LEVELS - 1 - level) % CODES for level in range(LEVELS)], 1)
    experts = partial(MixtureOfExperts, experts=8, active=2, hidden=64, dropout=0.1)
    shape = {
        "width": 64,
        "layers": 1,
        "decoder_layers": 2,
        "heads": 4,
        "head_width": 16,
        "hidden": 128,
        "max_length": sizes.longest,
    }
    return EncoderDecoder(Trie.from_codes(codes), **shape, decoder_feed_forward=experts).train()


def reward(sizes: Sizes, scalariser: Scalariser) -> LearnedReward:
    """A reward model of one head with random weights."""
    torch.manual_seed(1)
    model = SessionRewardModel(torch.randn(sizes.items, 128), ["like"], max_length=sizes.longest)
    return LearnedReward(model.eval(), scalariser)


def sessions(sizes: Sizes, seed: int) -> Example:
    """Requests with random histories, which they exclude, and random sessions."""
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 2 * sizes.longest + 1, (sizes.requests,), generator=rng).clamp(max=sizes.longest)
    history = Jagged.from_lengths(torch.randint(sizes.items, (int(lengths.sum()),), generator=rng), lengths)
    items = torch.randint(sizes.items, (sizes.requests, 1, sizes.slots), generator=rng)
    slates = Slates(items, torch.zeros(items.shape), SamplingMethod.GIVEN)
    return Example(Context(torch.arange(sizes.requests), history, history), slates)


class Training:
    """Optimizer steps of a system without a trainer, and how many pairs they had."""

    def __init__(self, system: lightning.LightningModule, batches: list[Example]) -> None:
        self.system, self.batches = system.train(), batches
        self.optimizer = torch.optim.AdamW([p for p in system.parameters() if p.requires_grad], lr=1e-3)
        self.pairs, self.taken = 0.0, 0
        system.log_training = self._log  # type: ignore[method-assign, assignment]

    def _log(self, values: dict[str, torch.Tensor], batch_size: int) -> None:
        self.pairs += float(values.get("pairs", 0.0))

    def __call__(self) -> None:
        """See the class."""
        for number, batch in enumerate(self.batches):
            self.optimizer.zero_grad()
            self.system.training_step(batch, number).backward()
            self.optimizer.step()
            self.taken += 1
