"""Every package that loads its public names lazily says the same three times: to readers, type checkers and Python."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

import recsys

ROOT = Path(recsys.__file__).parents[1]
LAZY = {
    ".".join(path.parent.relative_to(ROOT).parts): path
    for path in sorted((ROOT / "recsys").rglob("__init__.py"))
    if "lazy_names(" in path.read_text(encoding="utf-8")
}


def typed_imports(path: Path) -> dict[str, str]:
    """Name to module, as the block `if TYPE_CHECKING:` imports them."""
    return {
        name.name: statement.module or ""
        for block in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }


@pytest.mark.parametrize("package", LAZY)
def test_type_checkers_see_what_python_loads(package: str) -> None:
    module, typed = import_module(package), typed_imports(LAZY[package])
    assert sorted(module.__all__) == sorted(typed)
    for name, home in typed.items():
        assert getattr(module, name) is getattr(import_module(home), name)
        assert name in dir(module)


@pytest.mark.parametrize("package", LAZY)
def test_no_public_name_is_a_modules(package: str) -> None:
    """Importing the module would hide the name."""
    folder = LAZY[package].parent
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert not modules & set(import_module(package).__all__)


@pytest.mark.parametrize("package", LAZY)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'contxt'"):
        import_module(package).contxt  # noqa: B018
