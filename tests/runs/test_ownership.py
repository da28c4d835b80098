from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import DictConfig

from recsys.errors import ConfigurationError, RequestError
from recsys.runs.ownership import OWNER_FILE, Owner
from recsys.runs.run import run_stages


def foreign(folder: Path) -> dict[str, str]:
    """Files of somebody else, called like those of a run."""
    names = ("config.yaml", "report.html", "metrics.json", "checkpoints/sft/mine.pt", "stages/sft/mine.txt")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"name: {name}")
    return {name: f"name: {name}" for name in names}


def test_a_folder_of_somebody_else_is_refused_and_left_alone(chain: DictConfig, tmp_path: Path) -> None:
    chain.run = str(tmp_path / "mine")
    files = foreign(tmp_path / "mine")
    with pytest.raises(ConfigurationError, match="is not empty and no run folder of recsys; nothing in it was changed"):
        run_stages(chain)
    left = {str(one.relative_to(tmp_path / "mine")) for one in (tmp_path / "mine").rglob("*") if one.is_file()}
    assert left == set(files)
    assert all((tmp_path / "mine" / name).read_text() == text for name, text in files.items())
    (tmp_path / "file").touch()
    chain.run = str(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="is a file, expected a folder"):
        run_stages(chain)


@pytest.mark.parametrize("former", [False, True], ids=["marked", "of before there was a mark"])
def test_a_run_takes_its_own_folder_with_other_options_and_nobody_elses(
    chain: DictConfig, tmp_path: Path, former: bool
) -> None:
    chain.run = str(tmp_path / "here")
    run_stages(chain)
    if former:
        (tmp_path / "here" / OWNER_FILE).unlink()
    chain.seed = 4
    assert run_stages(chain).folder == tmp_path / "here"
    if former:
        (tmp_path / "here" / OWNER_FILE).unlink()
    before = {one: one.read_bytes() for one in (tmp_path / "here").rglob("*") if one.is_file()}
    chain.name = "other"
    with pytest.raises(ConfigurationError, match="holds the run 'chain' of `recsys train`, this is 'other'"):
        run_stages(chain)
    chain.name = "chain"
    chain.stage.play = chain.stage.prepare
    with pytest.raises(ConfigurationError, match="of `recsys train`, this is 'chain' of `recsys bench`"):
        run_stages(chain)
    assert {one: one.read_bytes() for one in (tmp_path / "here").rglob("*") if one.is_file()} == before


def test_a_folder_that_a_run_writes_in_is_refused(chain: DictConfig, tmp_path: Path) -> None:
    chain.run = str(tmp_path)
    owner = Owner.of(chain)
    with owner.holding(tmp_path), pytest.raises(RequestError, match=r"another run is writing in .* \(process \d+\)"):
        run_stages(chain)
    assert not (tmp_path / "config.yaml").exists()
    assert json.loads((tmp_path / OWNER_FILE).read_text()) == {"command": "train", "name": "chain"}
    run_stages(chain)


def test_a_damaged_configuration_of_another_run_is_passed_over(chain: DictConfig) -> None:
    first = run_stages(chain)
    (first.folder / "config.yaml").write_text("a: [1\n b: {")
    chain.resume = True
    assert run_stages(chain).folder != first.folder
