"""Writes the public names and signatures as one page, and tells where the committed page `api.txt` differs.

Reads the source, runs none of it. Public is what a module of `PUBLIC` lists in `__all__` or, where no such list can
be read, defines under a name without an underscore; a package also offers what it imports from its own modules. A
change of the page is a change of the interface: it belongs into `news/`. Run through `nox -s api`; `nox -s api --
--write` renews the page.
"""

from __future__ import annotations

import difflib
import fnmatch
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.txt"
PUBLIC = (
    "uploadkit",
    "uploadkit.adapters.*",
    "uploadkit.content.archives",
    "uploadkit.content.documents",
    "uploadkit.content.images",
    "uploadkit.content.inspection",
    "uploadkit.content.media",
    "uploadkit.content.sandbox",
    "uploadkit.content.scanning",
    "uploadkit.content.sources",
    "uploadkit.content.variants",
    "uploadkit.events.*",
    "uploadkit.multipart",
    "uploadkit.processing.bullmq",
    "uploadkit.processing.doctor",
    "uploadkit.processing.inline",
    "uploadkit.processing.metrics",
    "uploadkit.processing.observing",
    "uploadkit.processing.owned",
    "uploadkit.processing.pipeline",
    "uploadkit.processing.processor",
    "uploadkit.processing.processors",
    "uploadkit.processing.queue",
    "uploadkit.processing.reprocessing",
    "uploadkit.processing.status",
    "uploadkit.processing.upkeep",
    "uploadkit.processing.worker",
    "uploadkit.records.ledger",
    "uploadkit.records.lifecycle",
    "uploadkit.records.record",
    "uploadkit.records.resumable",
    "uploadkit.records.resumables",
    "uploadkit.resumable",
    "uploadkit.resumable.asgi",
    "uploadkit.resumable.direct",
    "uploadkit.resumable.django",
    "uploadkit.resumable.flask",
    "uploadkit.resumable.holding",
    "uploadkit.resumable.ietf",
    "uploadkit.resumable.protocol",
    "uploadkit.resumable.serving",
    "uploadkit.resumable.tus",
    "uploadkit.resumable.uploads",
    "uploadkit.resumable.wsgi",
    "uploadkit.service.app",
    "uploadkit.service.callers",
    "uploadkit.service.problems",
    "uploadkit.service.settings",
    "uploadkit.testing",
    "uploadkit.testing.pytest_plugin",
)

# What a user calls without writing its name.
SYNTAX = ("init", "call", "enter", "exit", "aenter", "aexit", "iter", "aiter", "len", "getitem", "contains")
MARKS = ("async", "classmethod", "staticmethod")


def main() -> int:
    """0 where the page and the source agree, 1 where they differ."""
    page = "\n".join(_lines()) + "\n"
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    committed = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    difference = difflib.unified_diff(committed.splitlines(), page.splitlines(), "docs/api.txt", "source", lineterm="")
    print(*difference, sep="\n")
    return committed != page


def _lines() -> Iterator[str]:
    package = griffe.load("uploadkit", search_paths=[ROOT / "src"], resolve_aliases=True, resolve_external=False)
    for module in _modules(package):
        names = _public_names(module)
        if names and any(_names(pattern, module) for pattern in PUBLIC):
            yield module.path
            for name in names:
                yield from _described(name, module.members[name], "    ")


def _names(pattern: str, module: griffe.Module) -> bool:
    """A star stands for one name: what lies below an adapter is its own affair."""
    return module.path.count(".") == pattern.count(".") and fnmatch.fnmatchcase(module.path, pattern)


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for name in sorted(module.modules):
        if not name.startswith("_"):
            yield from _modules(module.modules[name])


def _public_names(scope: griffe.Module | griffe.Class) -> list[str]:
    if isinstance(scope, griffe.Module) and scope.exports:
        return sorted(str(name) for name in scope.exports)
    return [
        name
        for name, member in sorted(scope.members.items())
        if not name.startswith("_") or name.strip("_") in SYNTAX
        if _is_offered(member, scope)
    ]


def _is_offered(member: griffe.Object | griffe.Alias, scope: griffe.Module | griffe.Class) -> bool:
    if isinstance(member, griffe.Alias):
        return scope.is_init_module and member.target_path.startswith(f"{scope.path}.")
    return not member.is_module and not str(getattr(member, "value", "")).startswith(("TypeVar(", "ParamSpec("))


def _described(name: str, item: griffe.Object | griffe.Alias, head: str) -> Iterator[str]:
    """The lines of one name; a class brings its public members along."""
    found = item.final_target if isinstance(item, griffe.Alias) else item
    match found:
        case griffe.Class():
            bases = f"({', '.join(map(str, found.bases))})" if found.bases else ""
            yield f"{head}class {name}{bases}"
            for member in _public_names(found):
                yield from _described(member, found.members[member], head + "    ")
        case griffe.Function():
            marks = "".join(f"{mark} " for mark in MARKS if mark in found.labels)
            for variant in found.overloads or [found]:
                yield f"{head}{marks}def {variant.signature(name=name)}"
        case griffe.Attribute():
            mark = "property " if "property" in found.labels else ""
            kind = f": {found.annotation}" if found.annotation is not None else ""
            of_instance = "class-attribute" not in found.labels and "instance-attribute" in found.labels
            value = "" if found.value is None or of_instance else f" = {found.value}"
            yield f"{head}{mark}{name}{kind}{value}"
        case _:
            yield f"{head}module {name}"


if __name__ == "__main__":
    raise SystemExit(main())
