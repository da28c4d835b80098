from __future__ import annotations

import inspect
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from recsys.data.datasets.loader import ExampleLoader
from recsys.data.datasets.sequence_data import SequenceData
from recsys.data.datasets.training_data import OVERFIT_REPEATS
from recsys.errors import ConfigurationError
from recsys.objectives.lambda_rank import lambda_ndcg
from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.policies.evaluation import evaluate
from recsys.policies.generative import GenerativePolicy
from recsys.rewards.reward import HitReward
from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
from recsys.systems.group_sampling import BeamSampler
from recsys.systems.supervised import SupervisedSystem
from recsys.training.fit import MMAP_MAX, TRIM_THRESHOLD, Schedule, fit, keep_freed_memory
from recsys.types.context import Context
from recsys.types.example import Example
from tests.fitting import ADAM, LOADER, quick_fit, quiet
from tests.tiny import tiny_dataset, tiny_generator

PROGRAM = """
import ctypes, resource, sys, torch
MMAP_MAX, TRIM_THRESHOLD = {mmap_max}, {trim_threshold}
{source}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
assert keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the option is glibc's")
def test_freed_blocks_are_used_again_without_new_page_faults() -> None:
    """The function alone in a process of its own: its module would import the trainer first, for seconds."""
    program = PROGRAM.format(
        mmap_max=MMAP_MAX, trim_threshold=TRIM_THRESHOLD, source=inspect.getsource(keep_freed_memory)
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    returned, kept = map(int, done.stdout.split())
    assert kept * 10 < returned


class Seen(Callback):
    """The batches a training was given, what it was validated on, and the trainer."""

    def __init__(self) -> None:
        self.training: list[Context] = []
        self.validation: list[Example] = []
        self.trainer: Any = None

    def on_train_batch_start(self, trainer: lightning.Trainer, *given: Any) -> None:
        self.trainer = trainer
        self.training.append(given[1])

    def on_validation_batch_start(self, *given: Any) -> None:
        self.validation.append(given[2])


def system(dropout: float = 0.2, rate: float = 0.01) -> SupervisedSystem:
    optimizer = partial(torch.optim.AdamW, lr=rate)
    return SupervisedSystem(tiny_generator(dropout), legal_set_cross_entropy, optimizer, warmup_steps=0)


def test_the_system_is_left_with_the_weights_that_validated_best(tmp_path: Path) -> None:
    trained = system()
    fitted = quick_fit(trained, tmp_path, Schedule(max_epochs=4))
    curve = fitted.history.filter(metric="validation/ndcg@10")
    assert curve["step"].to_list() == [6, 12, 18, 24]
    assert fitted.score == pytest.approx(curve["value"].max())
    evaluation = evaluate(GenerativePolicy(trained.network, beams=20), tiny_dataset().validation, k=(10,))
    found = (evaluation.items == evaluation.target.unsqueeze(1)).float()
    rank = torch.arange(1, found.shape[1] + 1)
    assert fitted.score == pytest.approx(float((found / (rank + 1).log2()).sum(1).mean()), abs=1e-5)
    assert {one.name for one in tmp_path.iterdir()} == {"before_last.ckpt", "best.ckpt", "last.ckpt"}


def test_where_the_last_are_asked_for_the_system_is_left_with_them(tmp_path: Path) -> None:
    trained = system(rate=0.3)
    fitted = quick_fit(trained, tmp_path, Schedule(max_epochs=4, keep="last"))
    curve = fitted.history.filter(metric="validation/ndcg@10")["value"]
    assert fitted.score == curve[-1] and curve.arg_max() != 3, "the last are not the best here"
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, last[name]) for name, value in trained.state_dict().items())


def test_the_last_checkpoint_is_that_of_the_last_validation_though_nothing_improved(tmp_path: Path) -> None:
    quick_fit(system(rate=0.0), tmp_path, Schedule(max_epochs=3))
    steps = [torch.load(tmp_path / f"{one}.ckpt", weights_only=True)["global_step"] for one in ("best", "last")]
    assert steps == [6, 18]


@pytest.mark.parametrize(
    ("schedule", "validated", "steps"),
    [
        (Schedule(max_epochs=2), [6, 12], 12),
        (Schedule(max_epochs=2, accumulate=2), [3, 6], 6),
        (Schedule(max_epochs=2, validate_every=4), [4, 8, 12], 12),
        (Schedule(max_epochs=2, validate_every=2, accumulate=3), [2, 4], 4),
        (Schedule(max_epochs=2, max_steps=8), [6], 8),
        (Schedule(max_epochs=9, patience=2), [6, 12, 18], 18),
        (Schedule(max_epochs=2, validate_every=96), [12], 12),
        (Schedule(max_epochs=2, validate_every=96, accumulate=3), [4], 4),
        (Schedule(max_epochs=3, max_steps=5), [5], 5),
        (Schedule(max_epochs=3, max_steps=4, validate_every=9, accumulate=3), [4], 4),
        (Schedule(max_epochs=9, max_steps=8, validate_every=9), [8], 8),
    ],
    ids=[
        *("epochs", "accumulate", "every", "every, accumulated", "max steps", "patience"),
        *("every is too long", "too long, accumulated", "less than an epoch", "steps, accumulated", "steps and every"),
    ],
)
def test_schedules(schedule: Schedule, validated: list[int], steps: int, tmp_path: Path) -> None:
    seen = Seen()
    fitted = quick_fit(system(rate=0.0), tmp_path, schedule, seen)
    assert fitted.history.filter(metric="validation/ndcg@10")["step"].to_list() == validated
    assert seen.trainer.global_step == steps
    assert len(seen.training) == steps * schedule.accumulate


@pytest.mark.parametrize(("clip", "largest"), [(1e-3, 1e-3), (0.0, 10.0)])
def test_gradients_are_clipped_by_their_norm(clip: float, largest: float, tmp_path: Path) -> None:
    trained = SupervisedSystem(
        tiny_generator(0.0), legal_set_cross_entropy, partial(torch.optim.SGD, lr=1.0), warmup_steps=0
    )
    before = [weight.clone() for weight in trained.parameters()]
    quick_fit(trained, tmp_path, Schedule(max_epochs=1, max_steps=1, validate_every=1, gradient_clip=clip, ema=0.0))
    pairs = zip(trained.parameters(), before, strict=True)
    moved = float(torch.stack([(after - start).norm() for after, start in pairs]).norm())
    assert 0.9 * min(largest, 0.01) < moved <= largest * 1.001


def test_result_and_validation_are_those_of_averaged_weights(tmp_path: Path) -> None:
    """After two steps of which the second weighs 1 − .75: w = .75 w₁ + .25 w₂."""
    found = {}
    for steps, ema in ((1, 0.0), (2, 0.0), (2, 0.75)):
        trained = system(dropout=0.0)
        schedule = Schedule(max_epochs=1, max_steps=steps, validate_every=steps, ema=ema)
        quick_fit(trained, tmp_path / f"{steps} {ema}", schedule)
        found[steps, ema] = trained.network.embedding.weight("item").detach()
    expected = 0.75 * found[1, 0.0] + 0.25 * found[2, 0.0]
    torch.testing.assert_close(found[2, 0.75], expected)
    assert (found[2, 0.0] - expected).abs().max() > 1e-4


def test_a_limit_cuts_batches_epochs_and_validations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "recsys.data.datasets.sequence_data.ExampleLoader",
        lambda examples, batch_size, shuffle: ExampleLoader(examples, 4, shuffle=shuffle),
    )
    seen = Seen()
    quick_fit(system(), tmp_path, Schedule(max_epochs=9, validate_every=5), seen, limit=2)
    assert (len(seen.training), len(seen.validation)) == (4, 4)


def test_overfitting_repeats_its_batches_and_validates_on_them(tmp_path: Path) -> None:
    seen, trained = Seen(), system(dropout=0.0)
    fitted = quick_fit(trained, tmp_path, Schedule(max_epochs=3), seen, overfit=2)
    first, second = list(LOADER(tiny_dataset().train))[:2]
    users = [batch.users.tolist() for batch in seen.training]
    assert users == [first.users.tolist(), second.users.tolist()] * OVERFIT_REPEATS * 3
    targets = torch.cat([batch.item for batch in seen.validation[:2]])
    assert targets.tolist() == [item for one in (first, second) for item in next_items(one)]
    losses = fitted.history.filter(metric="train/loss")["value"].to_list()
    assert losses[-1] < 0.25 * losses[0]
    assert fitted.score > 0.9


def next_items(batch: Context) -> list[int]:
    rows = batch.history.values.split(batch.history.lengths.tolist())
    return [item for row in rows for item in row.tolist()[1:]]


def test_overfitting_gives_inner_steps_their_batch(tmp_path: Path) -> None:
    seen = Seen()
    rere = GroupPolicyOptimisation(tiny_generator(), BeamSampler(4), HitReward(), lambda_ndcg, ADAM, inner_steps=2)
    quick_fit(rere, tmp_path, Schedule(max_epochs=1), seen, overfit=3)
    users = [tuple(batch.users.tolist()) for batch in seen.training]
    assert users[::2] == users[1::2]
    assert len(set(users)) == 3


@pytest.mark.parametrize("profiler", ["simple", "advanced"])
def test_a_profile_lies_beside_the_checkpoints(profiler: Any, tmp_path: Path) -> None:
    quick_fit(system(), tmp_path / "new", Schedule(max_epochs=1), profiler=profiler, limit=1)
    text = (tmp_path / "new" / "fit-profile.txt").read_text()
    assert "run_training_batch" in text


def test_a_process_is_given_its_share_of_the_batches(tmp_path: Path) -> None:
    asked = {}

    def loader(context: Context, **share: int) -> Any:
        asked.update(share)
        return LOADER(context, **share)

    fit(system(), SequenceData(tiny_dataset(), loader), Schedule(max_epochs=1), tmp_path, trainer=quiet(), limit=1)
    assert asked == {"rank": 0, "world_size": 1, "repeats": False}


def test_where_users_have_items_again_nothing_they_had_is_excluded(tmp_path: Path) -> None:
    seen, trained = Seen(), system()
    data = SequenceData(tiny_dataset(repeats=True), LOADER)
    assert data.system_arguments() == {"repeats": True}
    trained.repeats = True
    fit(trained, data, Schedule(max_epochs=1), tmp_path, trainer=quiet(seen), limit=2)
    contexts = [*seen.training, *(batch.context for batch in seen.validation)]
    assert all(context.excluded.values.numel() == 0 for context in contexts)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"max_epochs": 0}, "at least 1"),
        ({"max_steps": 0}, "at least 1"),
        ({"validate_every": 0}, "at least 1"),
        ({"patience": 0}, "at least 1"),
        ({"ema": 1.0}, r"in \[0, 1\)"),
        ({"gradient_clip": -1.0}, "at least 0"),
        ({"accumulate": 0}, "at least 1"),
    ],
)
def test_schedules_out_of_range_are_refused(wrong: dict[str, Any], expected: str) -> None:
    [(name, value)] = wrong.items()
    with pytest.raises(ConfigurationError, match=f"^{name}={value}: expected {expected}"):
        Schedule(**wrong)
