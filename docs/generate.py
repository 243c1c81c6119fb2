"""Renews what the documents say of the code: tables between the marks `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

`python docs/generate.py` writes them; a test compares. What a table holds comes from the code, its docstrings included,
so that nothing is typed twice.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from unittest.mock import patch

from uploadkit import errors
from uploadkit.adapters.capabilities import as_table
from uploadkit.policy.fields import FieldRules, FileRules
from uploadkit.policy.limits import Limits
from uploadkit.records.lifecycle import MOVES, State
from uploadkit.storage.contract import (
    AcceptsDirectUploads,
    CopiesObjects,
    ListsObjects,
    LocalPaths,
    SignsUrls,
    Storage,
    SweepsStaging,
)
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.fsspec import FsspecStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.storage.s3 import S3Storage

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


def promises() -> str:
    """What each storage offers beyond the contract."""
    storages: dict[str, Storage] = {
        "`MemoryStorage()`": MemoryStorage(),
        "`DiskStorage(root)`": DiskStorage("root"),
        '`FsspecStorage("file://…")`': FsspecStorage("file://root"),
        '`FsspecStorage("sftp://…")`': FsspecStorage("sftp://host/root"),
        '`FsspecStorage("memory://…")`': FsspecStorage("memory://root"),
        "`FsspecStorage` of any other": FsspecStorage("ftp://host/root"),
        '`S3Storage("s3://…")` on AWS': _on_aws(),
        "`S3Storage` on another server": S3Storage("s3://bucket", options={"endpoint_url": "http://host"}),
        "the same with `exclusive=True`": S3Storage(
            "s3://bucket", options={"endpoint_url": "http://host"}, exclusive=True
        ),
    }
    offered: dict[str, Callable[[Storage], bool]] = {
        "refuses a key that is taken": lambda storage: getattr(storage, "exclusive_commit", False),
        "reads what is staged": lambda storage: getattr(storage, "reads_staged", False),
        "lists its objects": lambda storage: isinstance(storage, ListsObjects),
        "copies without reading": lambda storage: isinstance(storage, CopiesObjects) and storage.copies_from(storage),
        "signs URLs": lambda storage: isinstance(storage, SignsUrls),
        "takes direct uploads": lambda storage: isinstance(storage, AcceptsDirectUploads),
        "gives paths": lambda storage: isinstance(storage, LocalPaths),
        "sweeps its staging": lambda storage: isinstance(storage, SweepsStaging),
    }
    rows = [f"| storage | {' | '.join(offered)} |", "|---" * (1 + len(offered)) + "|"]
    for name, storage in storages.items():
        rows.append(f"| {name} | {' | '.join('yes' if has(storage) else 'no' for has in offered.values())} |")
    return "\n".join(rows)


def servers() -> str:
    """What servers of S3 were seen to do with two writers of one key, as the tests have it."""
    sys.path.insert(0, str(DOCS.parent))
    try:
        from tests.storage.s3.races import SEEN, SEEN_BY_HAND
    finally:
        sys.path.pop(0)
    rows = ["| server | seen | one call | several parts | a copy |", "|---|---|---|---|---|"]
    for how, seen in (("in every run of the tests", SEEN), ("once, by hand", SEEN_BY_HAND)):
        rows += [
            f"| {name} {row.version} | {how} | {row.put} | {row.complete} | {row.copy} |" for name, row in seen.items()
        ]
    return "\n".join(rows)


def moves() -> str:
    """Every state of an upload, and which may follow it."""
    rows = ["| state | means | may become |", "|---|---|---|"]
    said = _attribute_docstrings(State)
    for state in State:
        after = ", ".join(f"`{other}`" for other in State if other in MOVES[state])
        rows.append(f"| `{state}` | {said[state.name]} | {after or 'nothing'} |")
    return "\n".join(rows)


SECTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "capabilities": ("under-load.md", capabilities),
    "codes": ("reference/error-codes.md", codes),
    "limits": ("reference/limits.md", limits),
    "moves": ("how-to/records.md", moves),
    "promises": ("reference/storages.md", promises),
    "rules": ("reference/rules.md", rules),
    "servers": ("how-to/s3-servers.md", servers),
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


def _on_aws() -> S3Storage:
    """Whatever the environment says of another server."""
    with patch.dict(os.environ, {"AWS_CONFIG_FILE": os.devnull}):
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            os.environ.pop(name, None)
        return S3Storage("s3://bucket")


def _attribute_docstrings(cls: type) -> dict[str, str]:
    """What stands below each attribute, as one line."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    said = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
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
