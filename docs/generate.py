"""Renews what the documents say of the code: tables between the marks `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

`python docs/generate.py` writes them; a test compares. What a table holds comes from the code, its docstrings included,
so that nothing is typed twice.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

from uploadkit import errors
from uploadkit.adapters.capabilities import as_table
from uploadkit.policy.fields import FieldRules, FileRules
from uploadkit.policy.limits import Limits

DOCS = Path(__file__).parent


def capabilities() -> str:
    """What each adapter can do under which server."""
    return as_table()


def limits() -> str:
    """Every limit, its default and what it bounds."""
    rows = ["| limit | default | bounds |", "|---|---|---|"]
    said = _attribute_docstrings(Limits)
    for field in fields(Limits):
        rows.append(f"| `{field.name}` | {_size(field.default, field.type)} | {said[field.name]} |")
    return "\n".join(rows)


def rules() -> str:
    """Every rule of a file field."""
    rows = ["| rule | means |", "|---|---|"]
    said = _attribute_docstrings(FileRules) | _attribute_docstrings(FieldRules)
    rows += [f"| `{name}` | {text} |" for name, text in said.items()]
    return "\n".join(rows)


def codes() -> str:
    """Every error that a request can have, as it is answered."""
    rows = ["| code, class | status | when | facts |", "|---|---|---|---|"]
    for error in _classes(errors.UploadError):
        facts = ", ".join(f"`{fact}`" for fact in ("field", *error._facts) if fact != "field" or _takes_field(error))
        rows.append(f"| `{error.code}`<br>`{error.__name__}` | {_status(error)} | {_summary(error)} | {facts} |")
    return "\n".join(rows)


SECTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "capabilities": ("under-load.md", capabilities),
    "codes": ("reference/error-codes.md", codes),
    "limits": ("reference/limits.md", limits),
    "rules": ("reference/rules.md", rules),
}


def renewed(name: str) -> tuple[Path, str]:
    """A page, and its text with the section as the code has it now."""
    page, section = SECTIONS[name]
    path = DOCS / page
    marks = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    text, count = marks.subn(lambda found: f"{found[1]}\n{section()}\n\n{found[2]}", path.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{path} has the marks of {name!r} {count} times, and not once")
    return path, text


def main() -> None:
    for name in SECTIONS:
        path, text = renewed(name)
        path.write_text(text, encoding="utf-8")


def _attribute_docstrings(cls: type) -> dict[str, str]:
    """What stands below each attribute, as one line."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    said = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                said[name] = " ".join(inspect.cleandoc(text).split())
    return said


def _size(value: object, kind: object) -> str:
    if kind != "Size" or not isinstance(value, int):
        return f"{value:,}" if isinstance(value, int) else str(value)
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value % unit == 0:
            return f"{value // unit} {name}"
    return f"{value:,} bytes"


def _classes(root: type[errors.UploadError]) -> Iterator[type[errors.UploadError]]:
    """The leaves of the tree, in the order in which they are defined."""
    below = [cls for cls in root.__subclasses__() if cls.__module__ == errors.__name__]
    if not below:
        yield root
    for cls in below:
        yield from _classes(cls)


def _status(error: type[errors.UploadError]) -> str:
    return "415 or 422" if error is errors.FileRefused else str(error.status)


def _takes_field(error: type[errors.UploadError]) -> bool:
    return "field" in inspect.signature(error).parameters


def _summary(error: type[errors.UploadError]) -> str:
    return " ".join(inspect.getdoc(error).partition("\n\n")[0].split())  # type: ignore[union-attr]  # each has one


if __name__ == "__main__":
    main()
