"""What operations are described by: parameters, answers, headers, and the form that is uploaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from ...adapters.problem import PROBLEM_JSON
from ...processing.queue import Priority
from ..problems import Refused
from ..words import MOST_TAGS, TAG_SIZE, VALUE_SIZE
from .codes import REFUSALS, Refusal
from .schemas import Json, reference

__all__ = ["HEADERS", "PRIORITY", "TAGS", "answer", "form", "operation", "parameter"]

TAGS_FORMAT: Final = "uploadkit-tags"
"""Of a text with tags: a comma stands between several, which no pattern says well."""

PRIORITY: Final[Json] = {
    "type": "string",
    "enum": [*(each.name.lower() for each in Priority), *(str(each.value) for each in Priority)],
}

TAGS: Final[Json] = {"type": "string", "format": TAGS_FORMAT}


def operation(
    name: str,
    tag: str,
    summary: str,
    description: str,
    *,
    answers: Mapping[int, Json],
    refusals: Iterable[str | Refusal],
    **more: Any,
) -> Json:
    """One that answers so, or refuses with one of these codes: by all statuses of it, or as a `Refusal` says."""
    responses = {str(status): each for status, each in answers.items()}
    for status, problem in _problems({REFUSALS[each] if isinstance(each, str) else each for each in refusals}).items():
        responses[status] = _either(responses[status], problem) if status in responses else problem
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        **more,
        "responses": dict(sorted(responses.items())),
    }


def answer(
    description: str,
    *,
    json: str | None = None,
    media: str | None = None,
    headers: Sequence[str] = (),
    links: Json | None = None,
) -> Json:
    """One that is no error: with JSON of a schema, something else of a media type, or nothing."""
    members: Json = {"description": description}
    if json is not None:
        members["content"] = {media or "application/json": {"schema": reference(json)}}
    elif media is not None:
        members["content"] = {media: {}}
    members["headers"] = _headers(headers)
    return members if links is None else members | {"links": links}


def parameter(where: str, name: str, schema: Json, description: str, **more: Any) -> Json:
    """Of a path, where it is required, a query or a header."""
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "description": description, **required, "schema": schema, **more}


def form(body: Json) -> Json:
    """What the rules of the form say, and beside its files the texts that mean something."""
    [(media_type, content)] = body["content"].items()
    texts: Json = {
        "priority": PRIORITY
        | {
            "description": "Of the work on all files of this request: urgent, which is 1, comes first.",
        },
        "tags": {
            "anyOf": [TAGS, {"type": "array", "items": TAGS, "maxItems": MOST_TAGS}],
            "description": f"Of all files of this request, {MOST_TAGS} at most: each is a name of at most {TAG_SIZE} "
            f"characters, or name=value with a value of at most {VALUE_SIZE}. Repeated, or with commas between them.",
        },
    }
    schema = {
        "type": "object",
        "description": "Files, and what is said of all of them. A file may have a field of any other name as well.",
        "properties": {"file": content["schema"]["additionalProperties"], **texts},
        "required": ["file"],
        "additionalProperties": False,
    }
    repeated = {"style": "form", "explode": True}
    encoding = {"file": repeated, "priority": {"contentType": "text/plain"}, "tags": repeated}
    return body | {"content": {media_type: {"schema": schema, "encoding": encoding}}}


HEADERS: Final[Json] = {
    name: {"description": description, "schema": schema}
    for name, schema, description in (
        ("Accept-Ranges", {"const": "bytes"}, "Parts of it can be fetched."),
        ("Cache-Control", {"type": "string"}, "Who may keep it, and how long."),
        ("Content-Disposition", {"type": "string"}, "Its name; `inline` for what is safe in a page."),
        (
            "Content-Range",
            {"type": "string", "pattern": r"^bytes ([0-9]+-[0-9]+|\*)/[0-9]+$"},
            "Which bytes these are.",
        ),
        ("ETag", {"type": "string", "pattern": '^"[!#-~]+"$'}, "The same for the same bytes."),
        ("Last-Modified", {"type": "string"}, "When it was stored."),
        ("Location", {"type": "string", "format": "uri-reference"}, "Where it is."),
        ("RateLimit", {"type": "string"}, "How many requests are left, and until when."),
        ("RateLimit-Policy", {"type": "string"}, "How many requests there may be, in how many seconds."),
        ("Retry-After", {"type": "integer", "minimum": 0}, "Seconds after which the same request may succeed."),
        ("Tus-Checksum-Algorithm", {"type": "string"}, "By which a body may be checked."),
        ("Tus-Extension", {"type": "string"}, "What is spoken of tus beside its core."),
        ("Tus-Max-Size", {"type": "integer", "minimum": 0}, "Bytes that an upload may have."),
        ("Tus-Resumable", {"const": "1.0.0"}, "The version of tus."),
        ("Tus-Version", {"const": "1.0.0"}, "The versions of tus that are spoken."),
        ("Upload-Concat", {"type": "string"}, "Whether it is a piece, or what it was put together of."),
        ("Upload-Defer-Length", {"const": "1"}, "Nobody has said how long it is."),
        ("Upload-Expires", {"type": "string"}, "When it is given up, where nothing more comes."),
        ("Upload-Length", {"type": "integer", "minimum": 0}, "Bytes that it is to have."),
        ("Upload-Metadata", {"type": "string"}, "What was said of it."),
        ("Upload-Offset", {"type": "integer", "minimum": 0}, "Bytes of it that have arrived."),
        ("WWW-Authenticate", {"type": "string"}, "How to say who calls."),
        ("X-Request-ID", {"type": "string"}, "By which the log of the service has it."),
    )
}


def _headers(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted({*names, "X-Request-ID"})}


def _problems(refusals: set[Refusal]) -> Json:
    """The answers that are errors, by their status: each says which codes it has, and when."""
    pairs = sorted(
        ((status, each) for each in refusals for status in each.statuses), key=lambda pair: (pair[0], pair[1].code)
    )
    return {
        str(status): _problem(status, [each for _, each in group])
        for status, group in groupby(pairs, key=lambda pair: pair[0])
    }


def _either(one: Json, other: Json) -> Json:
    """Two answers of one status, which the media type tells apart."""
    return {
        "description": f"{one['description']}\n{other['description']}",
        "headers": one["headers"] | other["headers"],
        "content": one["content"] | other["content"],
    }


def _problem(status: int, refusals: Sequence[Refusal]) -> Json:
    codes = [each.code for each in refusals]
    schema = {
        "allOf": [reference("Problem")],
        "properties": {"status": {"const": status}, "code": {"enum": codes}},
    }
    examples = {
        each.code: {"summary": each.when, "value": Refused(status, each.code, each.when).problem()} for each in refusals
    }
    return {
        "description": "\n".join(f"- `{each.code}`: {each.when}" for each in refusals),
        "headers": _headers(header for each in refusals for header in each.headers),
        "content": {PROBLEM_JSON: {"schema": schema, "examples": examples}},
    }
