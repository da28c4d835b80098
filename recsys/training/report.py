"""Stage: write one page that reports the run, from the sections that the configuration lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from omegaconf import DictConfig, OmegaConf

from recsys.atomic import write_text
from recsys.config.signature import locate
from recsys.report.page import Section, page
from recsys.runs.prepare import load_data
from recsys.runs.run_folder import RunFolder
from recsys.training.data_kind import check_reads
from recsys.training.evaluate import own_rows


@runtime_checkable
class ReportSection(Protocol):
    """Draws one section of the page from what the run left.

    A class may have a static method `check_rows(node, rows, key)`, which refuses its configuration `node`, at `key`,
    where that names a row of the table that there will not be.
    """

    def section(self, run: RunFolder) -> Section:
        """Return title, lead and body."""
        ...


@dataclass
class Report:
    """Write `report.html`: the sections under the name of the run, below what was prepared and how much of it.

    Args:
        sections: `recsys.training.report_sections`, `recsys.training.report_cards` and other classes with their method,
            by any name, in the order of the page.
    """

    sections: Mapping[str, ReportSection]
    name: ClassVar[str] = "report"
    results: ClassVar[Sequence[str]] = ("report.html",)

    @staticmethod
    def check_configuration(node: DictConfig, config: DictConfig) -> None:
        """Refuse sections that read other data than the run prepares, and mistyped rows."""
        evaluation = config.get("evaluation")
        rows = {*map(str, config.get("train") or {}), *(own_rows(evaluation) if evaluation is not None else ())}
        for name, section in node.sections.items():
            check_reads(f"report.{name}", section, config)
            check_rows = getattr(locate(f"report.{name}._target_", section["_target_"]), "check_rows", None)
            if check_rows is not None:
                check_rows(section, rows, f"report.{name}")

    def run(self, run: RunFolder) -> None:
        """Write the page."""
        data, config = load_data(run), OmegaConf.load(run.config)
        facts = {"data": data.name, **data.facts(), "seed": str(config.seed)}
        sections = [one.section(run) for one in self.sections.values()]
        write_text(run.report, page(str(config.name), sections, data.describe(), facts))
