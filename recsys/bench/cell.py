"""One cell of the matrix: played in a process of its own, kept on disk, found again."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from recsys.bench.play import Game, Played, play
from recsys.train.fingerprint import fingerprint, is_fresh, mark_fresh

LAYOUT = 1
"""Raised whenever what is played or kept changes: older cells are then played again."""


@dataclass(frozen=True)
class Cell:
    """One policy with one seed.

    Args:
        policy: its name.
        seed: of the game.
        simulator: configuration of the world.
        acts: configuration of the policy.
        game: what is played.
        folder: where the result is kept.
    """

    policy: str
    seed: int
    simulator: dict[str, Any]
    acts: dict[str, Any]
    game: Game
    folder: Path

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.policy}, seed {self.seed}"

    @property
    def mark(self) -> str:
        """Of everything the result depends on."""
        game = [getattr(self.game, field.name) for field in fields(Game)]
        return fingerprint(LAYOUT, self.simulator, self.acts, self.seed, game)

    @property
    def done(self) -> bool:
        """Whether the result is there."""
        return is_fresh(self.folder, self.mark)

    def read(self) -> Played:
        """The result."""
        kept = torch.load(self.folder / "played.pt", weights_only=True)
        return Played(**kept)


def run(cell: Cell) -> float:
    """Play a cell and keep the result; one thread, so that equal seeds give equal numbers wherever it runs.

    Returns:
        Seconds it took.
    """
    started = time.perf_counter()
    torch.set_num_threads(1)
    torch.manual_seed(cell.seed)
    simulator, policy = (instantiate(node, _convert_="all") for node in (cell.simulator, cell.acts))
    with torch.no_grad():
        played = play(simulator, policy, cell.game, cell.seed)
    cell.folder.mkdir(parents=True, exist_ok=True)
    aside = cell.folder / "played.aside"
    torch.save({field.name: getattr(played, field.name) for field in fields(Played)}, aside)
    aside.replace(cell.folder / "played.pt")
    mark_fresh(cell.folder, cell.mark)
    return time.perf_counter() - started
