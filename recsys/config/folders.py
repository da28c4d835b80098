"""Locate the folders of the Hydra configuration groups."""

from __future__ import annotations

from pathlib import Path


def configuration_folder() -> Path:
    """Return the folder of configuration groups: inside an installed package, or beside the package in a checkout.

    >>> configuration_folder().name
    'conf'
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def job_folder(configuration: Path, name: str) -> Path:
    """Return the folder of a job's groups: the folder of its name if that holds `<name>.yaml`, else the common one.

    >>> job_folder(configuration_folder(), "replay").name, job_folder(configuration_folder(), "train").name
    ('replay', 'conf')
    """
    own = configuration / name
    return own if (own / f"{name}.yaml").exists() else configuration
