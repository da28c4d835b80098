"""Which single-action estimator to trust when: errors as the target policy moves away from the one that logged.

python benchmarks/quality/replay_trust.py [--logs 200] [--rounds 2000] [--write FOLDER]

Ten actions, five numbers of context, clicks by a logistic model; the logging policy prefers what is bad a little, the
target policies prefer what is good more and more. The reward model of DM and DR is either wrong, as it knows
actions and not contexts, or right, as it is the world's own. Root mean squared errors over logs; the picture has those
with the wrong model against the effective sample size.
"""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import track
from torch import Tensor

from recsys.data.logs.batches import LoggedActions
from recsys.replay.accumulate import Accumulation, accumulate
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.doubly_robust import DM, DR, SNDR
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.actions.reward_model import ActionMeans, cross_fitted
from recsys.replay.actions.weights import Clip, Shrink
from recsys.replay.estimator_selection import Slope, members, resolve_estimator
from recsys.report.chart import Series, line_chart
from recsys.report.page import Section, page

ACTIONS, WIDTH = 10, 5
LOGGING = -0.3
SHARPNESS = (-0.1, 0.1, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""How much the logging policy, and those to be judged, prefer what is good; below 0 they prefer what is bad."""

ESTIMATORS: dict[str, Any] = {
    "ips": IPS(),
    "snips": SNIPS(),
    "clipped ips": Slope(tuple(IPS(Clip(limit)) for limit in (1e9, 100.0, 30.0, 10.0, 3.0))),
    "dm": DM(),
    "dr": DR(),
    "sndr": SNDR(),
    "dros": Slope((DR(), *(DR(Shrink(strength)) for strength in (1000.0, 100.0, 10.0, 1.0)), DM())),
}


@dataclass(frozen=True)
class World:
    """Clicks of a logistic model.

    Args:
        weights: `[F, A]`.
    """

    weights: Tensor

    def chance(self, context: Tensor) -> Tensor:
        """`[n, A]`."""
        return (context @ self.weights - 1.0).sigmoid()

    def policy(self, context: Tensor, sharpness: float) -> Tensor:
        """`[n, A]`."""
        return (sharpness * (context @ self.weights)).softmax(1)


def log(world: World, rounds: int, generator: torch.Generator) -> tuple[LoggedActions, Tensor, Tensor]:
    """A log, its contexts, and the logging policy's probabilities."""
    context = torch.randn(rounds, WIDTH, generator=generator, dtype=torch.float64)
    logging = world.policy(context, LOGGING)
    action = torch.multinomial(logging, 1, generator=generator).squeeze(1)
    chance = world.chance(context).gather(1, action.unsqueeze(1)).squeeze(1)
    reward = (torch.rand(rounds, generator=generator, dtype=torch.float64) < chance).double()
    rows = torch.arange(rounds)
    return LoggedActions(rows, action, reward, logging[rows, action], context=context), context, logging


def chosen(probability: Tensor, logged: LoggedActions) -> Tensor:
    """`[n]`, of what was chosen."""
    return probability.gather(1, logged.action.unsqueeze(1)).squeeze(1)


def measured(world: World, logs: int, rounds: int, right: bool) -> tuple[Tensor, Tensor]:
    """`[policies, estimators]` root mean squared errors, and `[policies]` shares of the effective sample size.

    Args:
        world: who clicks.
        logs: how many.
        rounds: of a log.
        right: whether the reward model is the world's own.
    """
    generator = torch.Generator().manual_seed(0)
    many = torch.randn(200_000, WIDTH, generator=generator, dtype=torch.float64)
    truths = [float((world.policy(many, sharp) * world.chance(many)).sum(1).mean()) for sharp in SHARPNESS]
    errors, sizes = torch.zeros(len(SHARPNESS), len(ESTIMATORS)), torch.zeros(len(SHARPNESS))
    for _ in track(range(logs), description="logs"):
        logged, context, logging = log(world, rounds, generator)
        predicted = world.chance(context) if right else cross_fitted(ActionMeans(), logged, ACTIONS)
        for place, (sharp, truth) in enumerate(zip(SHARPNESS, truths, strict=True)):
            target = world.policy(context, sharp)
            own = chosen(target, logged)
            found: Accumulation = accumulate(
                members(ESTIMATORS),
                [
                    BanditBatch(
                        logged.action, logged.reward, chosen(logging, logged), own, None, logging, target, predicted
                    )
                ],
            )
            for number, (name, one) in enumerate(ESTIMATORS.items()):
                answer = resolve_estimator(name, one, found)
                errors[place, number] += (float(answer.estimator.value(answer.summed.sums.totals)) - truth) ** 2
            sizes[place] += found["ips"].weights.effective / rounds
    return (errors / logs).sqrt(), sizes / logs


def table(model: str, errors: Tensor, sizes: Tensor, rounds: int) -> str:
    """A row a policy, the least error emphasised."""
    lines = [[f"model {model}: effective sample size", *ESTIMATORS], ["---"] * (1 + len(ESTIMATORS))]
    for size, row in zip(sizes, errors, strict=True):
        best = float(row.min())
        cells = [f"**{value:.4f}**" if value == best else f"{value:.4f}" for value in row.tolist()]
        lines.append([f"{rounds * float(size):,.0f} of {rounds:,}", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the table; with `--write`, keep it and the picture's page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    world = World(torch.randn(WIDTH, ACTIONS, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    found = {model: measured(world, given.logs, given.rounds, model == "right") for model in ("wrong", "right")}
    text = "\n\n".join(table(model, *both, given.rounds) for model, both in found.items())
    Console(width=160).print(Markdown(text))
    if given.write:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        command = f"python benchmarks/quality/replay_trust.py --logs {given.logs} --rounds {given.rounds}"
        told = f"`{command}`, commit {commit.stdout.strip()}: root mean squared error over {given.logs} logs."
        (given.write / "replay_trust.md").write_text(f"# Which estimator to trust when\n\n{told}\n\n{text}\n")
        errors, sizes = found["wrong"]
        x = sizes.flip(0).tolist()
        columns = dict(zip(ESTIMATORS, errors.flip(0).T.tolist(), strict=True))
        series = [Series(name, x, column) for name, column in columns.items() if name != "dm"]
        note = f"dm: {columns['dm'][-1]:.2f} at the right, {columns['dm'][0]:.2f} at the left, its model being wrong."
        title = "Root mean squared error of the value, by a wrong reward model"
        chart = line_chart(series, title, "effective sample size, as a share of the log's rounds", note=note)
        (given.write / "replay_trust.html").write_text(page("replay", [Section("Which to trust when", chart)]))


if __name__ == "__main__":
    main()
