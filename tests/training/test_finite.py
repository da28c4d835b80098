"""Trainings that diverge stop, say where, and keep what they had; trained policies answer alike."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from recsys.errors import NonFiniteError
from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.systems.supervised import SupervisedSystem
from recsys.training.finite import gradient_norms, set_training_mode
from recsys.training.fit import Schedule
from recsys.types.context import Context
from recsys.types.example import Example
from tests.fitting import quick_fit
from tests.tiny import tiny_dataset, tiny_generator

NAN, INF = float("nan"), float("inf")


class Spoilt(SupervisedSystem):
    """A system whose loss, gradient or metric is spoilt at one step."""

    def __init__(self, at: int, what: str, value: float = NAN, rate: float = 0.01, dropout: float = 0.0) -> None:
        optimizer = partial(torch.optim.SGD, lr=rate)
        super().__init__(tiny_generator(dropout), legal_set_cross_entropy, optimizer, warmup_steps=0)
        self.at, self.what, self.value = at, what, value

    def training_step(self, batch: Context, batch_index: int) -> Tensor:
        loss = super().training_step(batch, batch_index)
        if self.global_step + 1 != self.at:
            return loss
        if self.what == "loss":
            return loss + self.value
        if self.what == "gradient":
            weight = self.network.embedding.weight("item")
            weight.register_hook(lambda gradient: torch.full_like(gradient, self.value))
            return loss + 0.0 * weight.sum()
        return loss

    def validation_step(self, batch: Example, batch_index: int) -> None:
        if self.what != "metric":
            return super().validation_step(batch, batch_index)
        value = self.value if self.global_step >= self.at else float(self.global_step)
        self.log("validation/ndcg@10", torch.tensor(value), batch_size=len(batch))


class Weights(Callback):
    """The weights after each step."""

    def __init__(self) -> None:
        self.after: dict[int, Tensor] = {}

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *_: Any) -> None:
        self.after[trainer.global_step] = nn.utils.parameters_to_vector(pl_module.parameters()).detach().clone()


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_loss_that_is_not_finite_stops_before_its_step(value: float, tmp_path: Path) -> None:
    system, seen = Spoilt(3, "loss", value), Weights()
    with pytest.raises(NonFiniteError, match=f"stopped at step 3: the loss is {value}; a smaller learning rate"):
        quick_fit(system, tmp_path, Schedule(max_epochs=1), seen)
    assert max(seen.after) == 2
    assert torch.equal(nn.utils.parameters_to_vector(system.parameters()), seen.after[2])


@pytest.mark.parametrize("clip", [0.0, 1.0])
@pytest.mark.parametrize("value", [NAN, INF])
def test_the_parameter_whose_gradient_is_not_finite_is_named(value: float, clip: float, tmp_path: Path) -> None:
    word = "NaN" if value != value else "infinite"
    with pytest.raises(NonFiniteError, match=f"at step 2: the gradient of network.embedding.* is {word}"):
        quick_fit(Spoilt(2, "gradient", value), tmp_path, Schedule(max_epochs=1, gradient_clip=clip))


def test_of_accumulated_batches_every_loss_counts(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match="at step 2: the loss is nan"):
        quick_fit(Spoilt(2, "loss"), tmp_path, Schedule(max_epochs=1, accumulate=3))


@pytest.mark.parametrize("between", [2, 4, 100])
def test_where_looks_are_rare_the_step_is_the_same_and_nothing_is_validated(
    between: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.training.finite.steps_between_looks", lambda device: between)
    with pytest.raises(NonFiniteError, match="at step 9: the loss is nan"):
        quick_fit(Spoilt(9, "loss"), tmp_path, Schedule(max_epochs=3))
    kept = [torch.load(tmp_path / f"{name}.ckpt", weights_only=True) for name in ("best", "last")]
    assert [one["global_step"] for one in kept] == [6, 6]
    assert all(value.isfinite().all() for one in kept for value in one["state_dict"].values())


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_metric_that_is_not_finite_is_never_best(value: float, tmp_path: Path) -> None:
    with pytest.raises(
        NonFiniteError, match=f"in the validation after step 12: the metric validation/ndcg@10 is {value}"
    ):
        quick_fit(Spoilt(12, "metric", value), tmp_path, Schedule(max_epochs=4))
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == 6


def test_nor_is_the_first(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match=r"after step 6.*there is no checkpoint in"):
        quick_fit(Spoilt(6, "metric"), tmp_path, Schedule(max_epochs=4))
    assert [one.name for one in tmp_path.iterdir()] == ["stopped.txt"]


def test_a_diverged_training_keeps_its_checkpoints_and_says_on_resuming_what_happened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Jumps(Spoilt):
        def training_step(self, batch: Context, batch_index: int) -> Tensor:
            if self.global_step >= 8:
                self.optimizers().param_groups[0]["lr"] = 1e30
            return super().training_step(batch, batch_index)

    schedule = Schedule(max_epochs=3, gradient_clip=0.0)
    with pytest.raises(NonFiniteError, match=r"at step \d+: .*best.ckpt and last.ckpt in .* hold the weights") as first:
        quick_fit(Jumps(0, "nothing"), tmp_path, schedule)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert best["global_step"] == 6
    assert all(value.isfinite().all() for value in best["state_dict"].values())
    with caplog.at_level(logging.WARNING), pytest.raises(NonFiniteError) as second:
        quick_fit(Jumps(0, "nothing"), tmp_path, schedule)
    assert str(second.value) == str(first.value)
    assert f"an earlier attempt ended so: {first.value}" in caplog.text
    assert "it goes on from last.ckpt" in caplog.text
    quick_fit(Spoilt(0, "nothing"), tmp_path, schedule)
    assert {one.name for one in tmp_path.iterdir()} == {"best.ckpt", "last.ckpt", "before_last.ckpt"}, "it ended well"


def test_sparse_empty_and_missing_gradients() -> None:
    table = nn.Embedding(4, 2, sparse=True)
    system = nn.ModuleDict({"table": table, "unused": nn.Linear(1, 1), "none": nn.Embedding(0, 2)})
    system["none"].weight.grad = torch.zeros(0, 2)
    table(torch.tensor([1, 1])).sum().backward()
    assert {name: float(value) for name, value in gradient_norms(system).items()} == {"table.weight": 2.0}
    assert gradient_norms(nn.Linear(1, 1)) == {}


class Modes(Callback):
    """Whether parts were in training mode in training steps."""

    def __init__(self) -> None:
        self.training: set[bool] = set()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.training |= {one.training for one in pl_module.network.modules()}


def test_a_trained_policy_answers_alike_and_a_second_training_has_dropout_again(tmp_path: Path) -> None:
    system, asked = Spoilt(0, "nothing", dropout=0.5), tiny_dataset().validation.context
    for folder in ("first", "second"):
        modes = Modes()
        quick_fit(system, tmp_path / folder, Schedule(max_epochs=1), modes)
        assert modes.training == {True}
        assert not any(one.training for one in system.modules())
        first, again = (system.policy.catalogue_log_prob(asked) for _ in range(2))
        assert torch.equal(first, again)


def test_a_training_that_stopped_leaves_evaluation_mode_too(tmp_path: Path) -> None:
    system = Spoilt(1, "loss", dropout=0.5)
    with pytest.raises(NonFiniteError, match="at step 1"):
        quick_fit(system, tmp_path, Schedule(max_epochs=1))
    assert not any(one.training for one in system.modules())


def test_frozen_parts_stay_in_evaluation_mode() -> None:
    frozen = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)).requires_grad_(False).eval()
    trained = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)).eval()
    system = nn.ModuleDict({"frozen": frozen, "trained": trained})
    set_training_mode(system)
    assert {name: one.training for name, one in system.named_modules()} == {
        **{"": True, "trained": True, "trained.0": True, "trained.1": True},
        **{"frozen": False, "frozen.0": False, "frozen.1": False},
    }
