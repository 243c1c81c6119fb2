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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from uploadkit import errors
from uploadkit.adapters.capabilities import as_table
from uploadkit.policy.fields import FieldRules, FileRules
from uploadkit.policy.limits import Limits
from uploadkit.records.lifecycle import MOVES, State
from uploadkit.service.openapi import contract
from uploadkit.service.openapi.codes import REFUSALS
from uploadkit.service.parts import Parts
from uploadkit.service.settings import PREFIX, Settings, settings_of
from uploadkit.storage.contract import (
    AcceptsDirectUploads,
    CopiesObjects,
    KeepsPartial,
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
        "takes uploads in several goes": lambda storage: isinstance(storage, KeepsPartial),
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


def service_operations() -> str:
    """Every route of the service: what it takes, and how it answers."""
    document = _contract()
    rows = ["| route | |", "|---|---|"]
    parts = []
    for method, path, operation, parameters in _operations(document):
        route = f"{method} {path}"
        rows.append(f"| [`{route}`](#{_anchor(operation)}) | {operation['summary']} |")
        parts += [f"### `{route}` {{ #{_anchor(operation)} }}", f"{operation['summary']}. {operation['description']}"]
        parts += [_parameters(parameters)] if parameters else []
        parts += [_body(operation["requestBody"])] if "requestBody" in operation else []
        parts += [_answers(operation)]
    return "\n\n".join(["\n".join(rows), *parts])


def service_schemas() -> str:
    """The JSON that the service answers, member by member."""
    parts = []
    for name, schema in _contract()["components"]["schemas"].items():
        parts.append(f"### {name}")
        parts.append(schema["description"])
        if "enum" in schema:
            parts.append(", ".join(f"`{value}`" for value in schema["enum"]))
        if "properties" in schema:
            parts.append(_members(schema["properties"], required=schema.get("required", ())))
    return "\n\n".join(parts)


def service_codes() -> str:
    """Every code with which the service refuses."""
    rows = ["| code | status | when |", "|---|---|---|"]
    for refusal in sorted(REFUSALS.values(), key=lambda refusal: (refusal.statuses, refusal.code)):
        rows.append(f"| `{refusal.code}` | {' or '.join(map(str, refusal.statuses))} | {refusal.when} |")
    return "\n".join(rows)


SETTINGS = {
    "host": "Where and how",
    "database_url": "What it uses",
    "accept": "What may come in",
    "tokens": "Who may",
    "log_format": "For operators",
}
"""The headings, by the first setting below each."""


def settings() -> str:
    """Every setting of the service: how it is said, its default, and what it means."""
    rows: list[str] = []
    for setting in settings_of():
        if setting.name in SETTINGS:
            rows += ["", f"## {SETTINGS[setting.name]}", "", "| setting | default | means |", "|---|---|---|"]
        flag = [setting.flag] if setting.flag else []
        if setting.flag and setting.kind == "switch":
            flag = [f"--no-{setting.flag[2:]}" if setting.default else setting.flag]
        names = "<br>".join(f"`{name}`" for name in (setting.name, *flag, *setting.variables))
        means = setting.description + (f": {', '.join(setting.choices)}" if setting.choices else "")
        rows.append(f"| {names} | {_said(setting.default)} | {means} |")
    return "\n".join(rows[1:])


SECTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "capabilities": ("under-load.md", capabilities),
    "codes": ("reference/error-codes.md", codes),
    "limits": ("reference/limits.md", limits),
    "moves": ("how-to/records.md", moves),
    "promises": ("reference/storages.md", promises),
    "rules": ("reference/rules.md", rules),
    "settings": ("reference/service-settings.md", settings),
    "servers": ("how-to/s3-servers.md", servers),
    "service-codes": ("reference/service-api.md", service_codes),
    "service-operations": ("reference/service-api.md", service_operations),
    "service-schemas": ("reference/service-api.md", service_schemas),
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


@cache
def _contract() -> dict[str, Any]:
    """That of a service with tokens, whatever the environment says of another one."""
    token = {"owner": "ann", "sha256": "0" * 64}
    with TemporaryDirectory() as folder, patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith(PREFIX) or name in ("DATABASE_URL", "REDIS_URL")]:
            os.environ.pop(name)
        return contract(Parts.of(Settings.load(data=folder, tokens=[token], secret="0" * 32)))


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], list[dict[str, Any]]]]:
    """Method, path, operation, and the parameters of both. HEAD goes without saying where there is GET."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters" and not (method == "head" and "get" in item):
                parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
                yield method.upper(), path, operation, parameters


def _anchor(operation: dict[str, Any]) -> str:
    return f"operation-{operation['operationId']}"


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = ["| parameter | in | value | |", "|---|---|---|---|"]
    for each in parameters:
        rows.append(f"| `{each['name']}` | {each['in']} | {_kind(each['schema'])} | {each['description']} |")
    return "\n".join(rows)


def _body(body: dict[str, Any]) -> str:
    [(media_type, content)] = body["content"].items()
    schema = content["schema"]
    if "properties" not in schema:
        return f"A body of `{media_type}`: {_kind(schema)}. {body['description']}"
    said = f"A body of `{media_type}`. {body['description']} {schema['description']}"
    return f"{said}\n\n{_members(schema['properties'], required=schema['required'])}"


def _members(properties: dict[str, Any], *, required: Iterable[str]) -> str:
    rows = ["| member | value | |", "|---|---|---|"]
    for name, schema in properties.items():
        said = schema.get("description", "")
        if len(said) > 300:  # all types that are taken
            said = f"{said.partition(' Types:')[0]} Of the types that are accepted."
        if name not in set(required):
            said = f"{said} It may be left out.".strip()
        rows.append(f"| `{name}` | {_kind(schema)} | {said} |")
    return "\n".join(rows)


def _answers(operation: dict[str, Any]) -> str:
    rows = ["| answer | |", "|---|---|"]
    for status, answer in operation["responses"].items():
        if codes := _codes(answer):
            if told := [f"`{code}`" for code in codes if code not in _ANYWHERE]:
                rows.append(f"| {status} | {', '.join(told)} |")
            continue
        bodies = [_kind(content["schema"]) for content in answer.get("content", {}).values() if "schema" in content]
        headers = [f"`{name}`" for name in answer["headers"] if name not in ("Cache-Control", "X-Request-ID")]
        said = [answer["description"], *bodies, *([f"Headers: {', '.join(headers)}."] if headers else [])]
        rows.append(f"| {status} | {' '.join(said)} |")
    return "\n".join(rows)


def _codes(answer: dict[str, Any]) -> list[str]:
    return [
        code
        for content in answer.get("content", {}).values()
        for code in content.get("schema", {}).get("properties", {}).get("code", {}).get("enum", ())
    ]


_ANYWHERE = frozenset({"head_too_large", "internal_error", "malformed_request", "overloaded", "wrong_host"})
"""What every route may answer: the page says so once."""


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", ["any"])
    words = [_one_kind(kind, schema) for kind in kinds]
    return " or ".join(words)


def _one_kind(kind: str, schema: dict[str, Any]) -> str:
    if kind == "array":
        return f"list of {_kind(schema['items'])}"
    if kind == "integer" and "minimum" in schema:
        return (
            f"{schema['minimum']} to {schema['maximum']}" if "maximum" in schema else f"number from {schema['minimum']}"
        )
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    if kind == "string" and "pattern" in schema:
        return f"text `{schema['pattern']}`".replace("|", "\\|")
    if kind == "string" and schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    return {"string": "text", "integer": "number", "boolean": "true or false"}.get(kind, kind)


_FORMATS = {"binary": "file", "date-time": "time", "uri-reference": "address"}


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


def _said(value: object) -> str:
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value}`"


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
