"""Load the public names of a package when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package that imports its public names on first use (PEP 562).

    The package imports nothing by itself: `import recsys` stays fast and pulls in no heavy library. Type checkers
    do not see these names: the package repeats them under `if TYPE_CHECKING:` and in `__all__`, and
    `tests/test_lazy.py` compares the three lists.

    Args:
        package: `__name__` of the package.
        names: the public names that each module defines; modules are written relative to the package, as in
            `{"faiss": ["FaissIndex"]}`.

    >>> load, listed = lazy_names("recsys.retrieve", {"index": ["Index"]})
    >>> load("Index").__module__
    'recsys.retrieve.index'
    >>> "Index" in listed()
    True
    >>> load("Indx")
    Traceback (most recent call last):
    AttributeError: module 'recsys.retrieve' has no attribute 'Indx'
    """
    modules = {name: f"{package}.{module}" for module, defined in names.items() for name in defined}

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return load, listed
