"""A simulator as the data of a run: nothing is read, its configuration is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from recsys.atomic import write_json
from recsys.errors import RequestError
from recsys.instantiation import make
from recsys.simulate.simulator import Simulator
from recsys.stored import check_stored

SIMULATOR_FILE = "simulator.json"


@dataclass(frozen=True)
class PreparedSimulator:
    """A simulator that a run learns in.

    Args:
        simulator: whose users they are.
        name: what reports call it.
        fingerprint: text that changes whenever its configuration does.
    """

    simulator: Simulator[Any]
    name: str
    fingerprint: str

    @property
    def materials(self) -> PreparedSimulator:
        """Return itself: models are built from a simulator."""
        return self

    def check(self, fingerprint: str) -> None:
        """Refuse weights that were trained in another simulator.

        Raises:
            RequestError: the fingerprint is another simulator's.
        """
        if fingerprint != self.fingerprint:
            raise RequestError(f"these weights were trained in another simulator than {self.name} as the run has it")

    def describe(self) -> str:
        """Describe the simulator in one line of text."""
        return f"{self.name}: a simulator of {self.simulator.num_items:,} items"

    def facts(self) -> Mapping[str, str]:
        """Return the sizes that a report lists."""
        return {"items": f"{self.simulator.num_items:,}"}


class SimulatorPreparation:
    """Keeps which simulator a run learns in.

    Args:
        name: what reports call the simulator.
        simulator: its configuration (`_recursive_: false` leaves it as it is written).
    """

    def __init__(self, name: str, simulator: Any) -> None:
        self.name = name
        self.node = OmegaConf.to_container(simulator, resolve=True) if OmegaConf.is_config(simulator) else simulator

    def prepare(self, folder: Path) -> PreparedSimulator:
        """Make the simulator once, and keep its configuration."""
        write_json(folder / SIMULATOR_FILE, {"name": self.name, "simulator": self.node}, indent=1)
        return self.load(folder)

    @staticmethod
    def load(folder: Path) -> PreparedSimulator:
        """Make the simulator whose configuration the folder keeps."""
        text = (folder / SIMULATOR_FILE).read_text(encoding="utf-8")
        kept = json.loads(text)
        check_stored(kept["simulator"], folder / SIMULATOR_FILE, "simulator")
        return PreparedSimulator(make(kept["simulator"], key="simulator"), kept["name"], text)
