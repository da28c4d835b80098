"""Where the Hydra groups lie."""

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
