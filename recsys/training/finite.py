"""Stop a training whose numbers are NaN or infinite, before it spoils what was learnt."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import NonFiniteError

ADVICE = (
    "a smaller learning rate (optimizer.lr), a longer warm-up (system.warmup_steps) or a smaller "
    "schedule.gradient_clip often help"
)


def steps_between_looks(device: torch.device) -> int:
    """Return after how many optimizer steps numbers are looked at, which makes an accelerator wait and a CPU not.

    >>> steps_between_looks(torch.device("cpu"))
    1
    """
    return 1 if device.type == "cpu" else 10


class FiniteTraining(Callback):
    """Stop the training where a loss, a gradient or the validation metric that decides is NaN or infinite.

    Losses and gradients are looked at before every optimizer step, ahead of clipping: on a CPU at once, so that the
    weights are those of the step before. A look makes an accelerator wait, so that there one look is for several steps,
    and the next validation, which writes the checkpoints, comes after a look. Where gradients are scaled (16-mixed),
    infinite ones are part of the method, and losses alone are looked at.

    Args:
        monitor: name of the metric.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.place: str | None = None
        """Where in the training an error stopped it: `at step 12`; None if none did."""
        self._losses: list[Tensor] = []
        self._unseen: list[tuple[int, list[str], Tensor]] = []

    @override
    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: Tensor
    ) -> None:
        self._losses.append(loss.detach())

    @override
    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        names, values = ["loss"] * len(self._losses), self._losses
        if getattr(trainer.precision_plugin, "scaler", None) is None:
            gradients = gradient_norms(pl_module)
            names, values = [*names, *gradients], [*values, *gradients.values()]
        self._losses = []
        if not values:
            return
        self._unseen.append((trainer.global_step + 1, names, torch.stack([one.float() for one in values])))
        if len(self._unseen) >= steps_between_looks(values[0].device):
            self._look()

    @override
    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._look()

    @override
    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._look()

    @override
    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        value = trainer.callback_metrics.get(self.monitor)
        if value is not None and not math.isfinite(value):
            raise NonFiniteError(
                f"the metric {self.monitor} is {float(value)}, which cannot choose the best weights; {ADVICE}"
            )

    @override
    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Note where the training was, unless the error was found later than it happened."""
        if self.place is None:
            step = trainer.global_step
            self.place = f"in the validation after step {step}" if trainer.validating else f"at step {step + 1}"

    def _look(self) -> None:
        unseen, self._unseen = self._unseen, []
        if not unseen or bool(torch.cat([values for _, _, values in unseen]).isfinite().all()):
            return
        for step, names, values in unseen:
            broken = [(name, float(value)) for name, value in zip(names, values, strict=True) if not value.isfinite()]
            if broken:
                self.place = f"at step {step}"
                raise NonFiniteError(f"{_described(broken)}; {ADVICE}")


def gradient_norms(module: nn.Module) -> dict[str, Tensor]:
    """Return the Euclidean norm of each parameter's gradient by the parameter's name; NaN where an entry is.

    It is infinite where an entry is, or where squares overflow, from 1e19 on in float32. Parameters without a gradient,
    or whose gradient is empty, are left out.
    """
    given = {name: one.grad for name, one in module.named_parameters() if one.grad is not None}
    entries = {name: grad._values() if grad.is_sparse else grad for name, grad in given.items()}
    entries = {name: grad for name, grad in entries.items() if grad.numel()}
    norms = torch._foreach_norm(list(entries.values())) if entries else ()  # pyright: ignore[reportPrivateImportUsage]
    return dict(zip(entries, norms, strict=True))


def set_training_mode(system: nn.Module) -> None:
    """Set training mode, but for parts in evaluation mode none of whose parameters is trained: frozen models."""
    frozen = [one for one in system.modules() if not one.training and _is_frozen(one)]
    system.train()
    for one in frozen:
        one.eval()


def _is_frozen(module: nn.Module) -> bool:
    flags = [one.requires_grad for one in module.parameters()]
    return bool(flags) and not any(flags)


def _described(broken: list[tuple[str, Any]]) -> str:
    """Say which numbers are not finite: the loss, or the first few parameters whose gradients are not."""
    name, value = broken[0]
    if name == "loss":
        return f"the loss is {value}"
    others = f", and those of {len(broken) - 1} more parameters," if len(broken) > 1 else ""
    are = "are" if others else "is"
    return f"the gradient of {name}{others} {are} {'NaN' if math.isnan(value) else 'infinite'}"
