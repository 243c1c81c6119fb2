"""The rules of a form as JSON, for a page that wants to tell its user before anything is sent. No I/O.

A page may only be polite with them: what counts is decided when the bytes arrive, by the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from .accept import Accept
from .fields import FileRule, FormRules, Text
from .limits import Limits
from .media_types import EXTENSIONS, OCTET_STREAM


class FileFieldRules(TypedDict):
    """One file field. Sizes are bytes."""

    accept: list[str] | None
    """Media types, then extensions: joined by commas the `accept` of an `<input type="file">`. None is every type."""
    max_size: int | None
    min_size: int
    max_count: int | None
    min_count: int
    required: bool
    multiple: bool


class TextFieldRules(TypedDict):
    """One declared text field. `max_length` is in characters."""

    max_length: int | None
    max_count: int | None
    required: bool


class FormLimits(TypedDict):
    """What is bounded for all fields together, and for what has no rule of its own, as in `Limits`."""

    body_size: int | None
    file_size: int | None
    files_size: int | None
    files: int | None
    fields: int | None
    field_size: int | None
    fields_size: int | None


class Rules(TypedDict):
    """All of it. `any_file` is for files in fields that `files` does not name; None is that there may be none."""

    limits: FormLimits
    files: dict[str, FileFieldRules]
    texts: dict[str, TextFieldRules]
    any_file: FileFieldRules | None


def rules_of(form: FormRules, limits: Limits, schema: Mapping[str, Any] | None = None) -> Rules:
    """The rules of a form under its limits. None stands where nothing is bounded. `schema` is the JSON Schema of a
    typed form, whose text fields have no other rules."""
    return {
        "limits": {
            "body_size": limits.body_size,
            "file_size": limits.file_size,
            "files_size": limits.files_size,
            "files": limits.files,
            "fields": limits.fields,
            "field_size": limits.field_size,
            "fields_size": limits.fields_size,
        },
        "files": {name: _file(rule, limits) for name, rule in form.files.items()},
        "texts": {text.name: _text(text) for text in form.texts.values()} if schema is None else _typed(form, schema),
        "any_file": None if form.any_file is None else _file(form.any_file, limits),
    }


def accepted(accept: Accept | None) -> list[str] | None:
    """The media types that a field takes, in the order of the alphabet; None is every type, also where files that
    nobody recognises are taken: what they are called says nothing."""
    if accept is None or accept.admits(OCTET_STREAM):
        return None
    return sorted(accept.types)


def largest(rule: FileRule, limits: Limits) -> int | None:
    """How many bytes a file of the field may have."""
    return limits.file_size if rule.max_size is None else rule.max_size


def most(rule: FileRule, limits: Limits) -> int | None:
    """How many files the field may have."""
    return limits.files if rule.max_count is None else rule.max_count


def _file(rule: FileRule, limits: Limits) -> FileFieldRules:
    types, count = accepted(rule.accept), most(rule, limits)
    # A system that does not know a type, as some do not know Markdown, knows its extension.
    extensions = [extension for kind in types or () for extension in EXTENSIONS[kind]]
    return {
        "accept": None if types is None else [*types, *dict.fromkeys(extensions)],
        "max_size": largest(rule, limits),
        "min_size": rule.min_size,
        "max_count": count,
        "min_count": rule.min_count,
        "required": rule.min_count > 0,
        "multiple": count is None or count > 1,
    }


def _text(text: Text) -> TextFieldRules:
    return {"max_length": text.max_length, "max_count": text.max_count, "required": text.required}


def _typed(form: FormRules, schema: Mapping[str, Any]) -> dict[str, TextFieldRules]:
    return {
        name: {
            "max_length": _bound("maxLength", field),
            "max_count": form.texts[name].max_count if name in form.texts else _bound("maxItems", field),
            "required": name in schema["required"],
        }
        for name, field in schema["properties"].items()
        if name not in form.files
    }


def _bound(name: str, field: Mapping[str, Any]) -> int | None:
    """What the schema of a field says, or that of what may be in its place beside null."""
    kinds = [kind for kind in field.get("anyOf", (field,)) if kind.get("type") != "null"]
    return kinds[0].get(name) if len(kinds) == 1 else None
