"""A training step of the slate model against the same model written straightforwardly in Pyro."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from torch import Tensor

from harness import Result, alternate, compare
from recsys.data.datasets.user_slates import Exposure, UserSlates
from recsys.models.slates.initial_state import InitialState
from recsys.models.slates.item_posterior import FlatItems
from recsys.models.slates.slate_model import SlateModel
from recsys.models.slates.user_state import GammaLinearUser
from recsys.systems.slate_elbo import SlateElboSystem

CASES = {
    "1,000 items, slates of 10, 8 numbers": (1_000, 10, 8),
    "10,000 items, slates of 24, 25 numbers": (10_000, 24, 25),
}
USERS, STEPS, DRAWS = 256, 20, 40
TOLERANCE = 0.005


def run(rounds: int) -> list[Result]:
    """Ten steps over a batch that is all data: linear users, one draw of each start, items without groups."""
    results = []
    for case, (items, slots, width) in CASES.items():
        generator = torch.Generator().manual_seed(0)
        slates = torch.rand(USERS, STEPS, items, generator=generator).topk(slots).indices
        click = torch.randint(-1, slots, (USERS, STEPS), generator=generator)
        batch = UserSlates(slates, click, torch.ones(USERS, STEPS, dtype=torch.bool))
        torch.manual_seed(0)
        ours = system(batch, items, slots, width)
        theirs = InPyro(ours.model, batch)
        difference = compared(ours, theirs, batch)
        optimizer = ours.configure_optimizers()
        svi = SVI(theirs.model, theirs.guide, pyro.optim.Adam({"lr": 1e-3}), TraceMeanField_ELBO())

        def ten(
            ours: SlateElboSystem = ours, optimizer: torch.optim.Optimizer = optimizer, batch: UserSlates = batch
        ) -> None:
            for step in range(10):
                optimizer.zero_grad()
                ours.training_step(batch, step).backward()
                optimizer.step()

        def ten_in_pyro(svi: SVI = svi) -> None:
            for _ in range(10):
                svi.step()

        results.append(
            compare(
                alternate({"ours": ten, "Pyro": ten_in_pyro}, rounds),
                "Pyro",
                benchmark="slate model",
                case=f"training step, {USERS} users with {STEPS} slates, {case}",
                goal=None,
                checked=f"bounds within {100 * difference:.2f} % over {DRAWS} draws",
            )
        )
    return results


def system(batch: UserSlates, items: int, slots: int, width: int) -> SlateElboSystem:
    """Ours, with the usual bound."""
    model = SlateModel(FlatItems(items, width, initial=0.5), GammaLinearUser(), slots, initial_state=InitialState(0.5))
    exposure = Exposure(torch.bincount(batch.slates.flatten(), minlength=items), batch.click.numel())
    made = SlateElboSystem(model, exposure, 1, partial(torch.optim.Adam, lr=1e-3), initial_states=1)
    made.log = lambda *_, **__: None  # type: ignore[method-assign]
    return made


@dataclass
class InPyro:
    """The same model, its guide, and the same parameters to begin with.

    Args:
        start_from: whose parameters.
        batch: all data.
    """

    start_from: SlateModel
    batch: UserSlates

    def model(self) -> None:
        """Items, scores of no click, users slate by slate."""
        ours, slates, click = self.start_from, self.batch.slates, self.batch.click
        items, width = ours.items.num_items, ours.items.width
        with pyro.plate("items", items):
            vectors = pyro.sample("vectors", dist.Normal(0.0, 1.0).expand([width]).to_event(1))
        with pyro.plate("lengths", slates.shape[2]):
            no_click = pyro.sample("no_click", dist.Normal(0.0, 1.0))
        gamma = pyro.param("gamma", lambda: ours.user.gamma.detach().clone(), dist.constraints.unit_interval)
        with pyro.plate("users", len(slates)):
            z = pyro.sample("start", dist.Normal(0.0, 0.5).expand([width]).to_event(1))
            for step in range(slates.shape[1]):
                shown = vectors[slates[:, step]]
                scores = -(z.unsqueeze(1) - shown).norm(dim=-1)
                none = no_click[-1].expand(len(slates), 1)
                answer = click[:, step].where(click[:, step] >= 0, slates.shape[2])
                pyro.sample(f"click_{step}", dist.Categorical(logits=torch.cat([scores, none], 1)), obs=answer)
                clicked = shown.gather(1, click[:, step].clamp(min=0)[:, None, None].expand(-1, 1, width)).squeeze(1)
                z = torch.where((click[:, step] >= 0).unsqueeze(1), gamma * z + (1 - gamma) * clicked, z)

    def guide(self) -> None:
        """Independent normals, and each user's start from the clicks as ours has it."""
        ours, slates, click = self.start_from, self.batch.slates, self.batch.click
        with pyro.plate("items", ours.items.num_items):
            vectors = pyro.sample("vectors", _normal("vectors", ours.items.vectors).to_event(1))
        with pyro.plate("lengths", slates.shape[2]):
            pyro.sample("no_click", _normal("no_click", ours.no_click, squeeze=True))
        decay = pyro.param(
            "decay", lambda: ours.initial_state.logit_decay.detach().sigmoid(), dist.constraints.unit_interval
        )
        evidence = pyro.param(
            "evidence", lambda: ours.initial_state.log_evidence.detach().exp(), dist.constraints.positive
        )
        gain = pyro.param("gain", lambda: ours.initial_state.gain.detach().clone())
        clicked = click >= 0
        weight = (clicked * decay ** (clicked.cumsum(1) - clicked.long())).unsqueeze(-1)
        chosen = vectors[slates.gather(2, click.clamp(min=0).unsqueeze(-1)).squeeze(-1)]
        total = evidence + weight.sum(1)
        mean, deviation = gain * (weight * chosen).sum(1) / total, 0.5 * (evidence / total).sqrt()
        with pyro.plate("users", len(slates)):
            pyro.sample("start", dist.Normal(mean, deviation.expand_as(mean)).to_event(1))


def _normal(name: str, table: torch.nn.Module, squeeze: bool = False) -> dist.Normal:
    def shaped(value: Tensor) -> Tensor:
        return value.detach().clone().squeeze(-1) if squeeze else value.detach().clone()

    mean = pyro.param(f"{name}_mean", lambda: shaped(table.mean))
    deviation = pyro.param(f"{name}_deviation", lambda: shaped(table.log_deviation.exp()), dist.constraints.positive)
    return dist.Normal(mean, deviation)


def compared(ours: SlateElboSystem, theirs: InPyro, batch: UserSlates) -> float:
    """Relative difference of the two negative bounds, each the mean over as many draws.

    Raises:
        AssertionError: they differ.
    """
    pyro.clear_param_store()
    elbo = TraceMeanField_ELBO()
    with torch.no_grad():
        found = [
            ours.negative_elbo(ours.draw(batch.slates, torch.Generator().manual_seed(s)), batch) for s in range(DRAWS)
        ]
        peer = [elbo.loss(theirs.model, theirs.guide) for _ in range(DRAWS)]
    own, other = float(torch.stack(found).mean()), sum(peer) / DRAWS
    difference = abs(own - other) / abs(other)
    if difference > TOLERANCE:
        raise AssertionError(f"the two bounds differ: {own:.1f} and {other:.1f}")
    return difference
