from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from tests.in_process import played_here

__all__ = ["played_here"]


@pytest.fixture
def parsed() -> Callable[[str], ElementTree.Element]:
    """Markup as a tree; fails where tags do not match."""
    return lambda markup: ElementTree.fromstring(f"<root>{markup}</root>")


@pytest.fixture
def by_class() -> Callable[[ElementTree.Element, str], list[ElementTree.Element]]:
    """Every element of a class, in the order of the document."""
    return lambda root, name: [one for one in root.iter() if name in one.get("class", "").split()]
