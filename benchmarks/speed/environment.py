"""The benchmarks' own virtual environment: the peers on top of what the project has installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / ".venv"
PEERS = ("transformers", "pandas", "pyarrow", "recbole", "recsim", "pyro", "obp")


def enter() -> None:
    """Go on in an interpreter that has the peers: this one, or one made for it. Does not return from this one then."""
    if all(importlib.util.find_spec(peer) for peer in PEERS):
        return
    python = FOLDER / "bin" / "python"
    if Path(sys.prefix).resolve() == FOLDER.resolve():
        raise SystemExit(f"{FOLDER} lacks one of {', '.join(PEERS)}: remove the folder and run this again")
    if not (FOLDER / "installed").exists():
        make(python)
    os.execv(python, [str(python), *sys.argv])


def make(python: Path) -> None:
    """A virtual environment that also sees this interpreter's packages, with the pinned peers in it.

    Peers come without their dependencies: RecBole's would replace numpy, torch and more by other versions. What Python
    they say they need is not heeded: Open Bandit Pipeline, which works with this one, says one older.
    """
    print(f"making {FOLDER} with the peers of {HERE / 'requirements.txt'}", flush=True)
    venv.create(FOLDER, with_pip=True, clear=True)
    site = next((FOLDER / "lib").glob("python*/site-packages"))
    (site / "project.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--ignore-requires-python"]
    subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True)
    (FOLDER / "installed").touch()
