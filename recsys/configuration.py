"""The folder of the Hydra groups."""

from __future__ import annotations

from pathlib import Path


def configuration_folder() -> Path:
    """The folder of configuration groups: inside the package where it was installed, beside it in a checkout.

    >>> configuration_folder().name
    'conf'
    """
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def job_folder(configuration: Path, name: str) -> Path:
    """Where the groups of a job lie: in a folder of its name if that holds `<name>.yaml`, else with the rest.

    >>> job_folder(configuration_folder(), "replay").name, job_folder(configuration_folder(), "train").name
    ('replay', 'conf')
    """
    own = configuration / name
    return own if (own / f"{name}.yaml").exists() else configuration
