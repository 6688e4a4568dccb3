"""What import-linter cannot say: which modules may import twisted.web, and the reactor."""

from __future__ import annotations

import ast
from pathlib import Path

import scgiproxy

PACKAGE = Path(scgiproxy.__file__).parent

# `twisted.web.iweb` has interfaces only, and IBodyProducer is what an upload is.
MAY_IMPORT_TWISTED_WEB = ("web/", "wire/agent/", "wire/server/", "service/", "demo/")


def modules() -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text()))
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def test_twisted_web_stays_in_its_layers() -> None:
    offending = [
        (name, imported)
        for name, tree in modules()
        if not name.startswith(MAY_IMPORT_TWISTED_WEB)
        for imported in imports(tree)
        if imported.startswith("twisted.web")
        and not imported.startswith(("twisted.web.iweb", "twisted.web.resource.IResource"))
    ]
    assert offending == []


def test_no_module_imports_the_reactor_when_it_is_imported() -> None:
    offending = [
        name
        for name, tree in modules()
        for node in tree.body
        if "twisted.internet.reactor" in imports(node)
        and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    ]
    assert offending == []
