from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import recsys
from recsys.config.folders import configuration_folder

ROOT = Path(recsys.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = ("torch", "lightning", "polars", "hydra", "faiss", "torchrec", "transformers", "sklearn", "numpy", "numba")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command that finds the package by itself: a checkout that PYTHONPATH names would come first."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def requirements() -> Iterator[Requirement]:
    for written in chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        requirement = Requirement(written)
        if requirement.name != "recsys":
            yield requirement


def test_import_pulls_nothing_heavy():
    code = "import sys, recsys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    assert not set(run(sys.executable, "-c", code).split()) & set(HEAVY)


def test_every_requirement_has_a_pin_that_meets_it():
    pinned = pins()
    for requirement in requirements():
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_pins_that_only_work_together():
    pinned = pins()
    assert {name: pinned[name] for name in ("torch", "torchrec", "fbgemm-gpu-cpu", "fbgemm-gpu")} == {
        "torch": "2.13.0",
        "torchrec": "1.8.0",
        "fbgemm-gpu-cpu": "1.8.0",
        "fbgemm-gpu": "1.8.0",
    }


def test_one_faiss_an_extra_and_torchrec_in_none():
    extras = {
        name: {Requirement(one).name for one in written} for name, written in PROJECT["optional-dependencies"].items()
    }
    assert "faiss-cpu" in extras["cpu"]
    assert "faiss-gpu" in extras["cuda"]
    assert not extras["cpu"] & {"faiss-gpu"} | extras["cuda"] & {"faiss-cpu"}
    assert not any({"torchrec", "fbgemm-gpu", "fbgemm-gpu-cpu"} & names for names in extras.values())


def test_version_is_said_once_and_cited():
    assert PROJECT["dynamic"] == ["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == recsys.__version__
    assert f"## {recsys.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split()
    shown = [line.split()[0] for line in run("make", "--no-print-directory", "help", cwd=ROOT).splitlines()]
    assert shown == targets


def test_a_checkout_reads_its_own_configuration():
    assert configuration_folder() == ROOT / "conf"


@pytest.mark.slow
def test_a_wheel_works_outside_the_checkout(tmp_path):
    wheels, home = tmp_path / "wheels", tmp_path / "venv"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, ROOT)
    run(sys.executable, "-m", "venv", "--without-pip", home)
    (wheel,) = wheels.glob("recsys-*.whl")
    run(*pip, "--python", home / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")

    where = "from recsys.config.folders import configuration_folder; print(configuration_folder())"
    folder = Path(run(home / "bin" / "python", "-c", where, cwd=tmp_path).strip())
    assert folder == packages / "recsys" / "conf"
    assert files(folder) == files(ROOT / "conf")
    assert (packages / "recsys" / "report" / "page.css").exists()
    command = home / "bin" / "recsys"
    assert recsys.__version__ in run(command, "--version", cwd=tmp_path)
    assert "name: rere/movielens_100k" in run(
        command, "train", "experiment=rere/movielens_100k", "--cfg", "job", cwd=tmp_path
    )


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.yaml")}
