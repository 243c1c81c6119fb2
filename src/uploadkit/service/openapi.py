"""The contract: what each route takes and answers, as OpenAPI 3.1.

It is made of the values that the code itself uses: states, priorities, bounds, the rules of the form, and the codes of
`REFUSALS`. An operation names the codes with which it refuses, and its answers that are errors are made of that. Every
route is here, and nothing more: a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..adapters.openapi import describe
from ..adapters.problem import PROBLEM_JSON
from ..content.variants import DEFAULT_VARIANTS
from ..processing.queue import Priority
from .codes import REFUSALS, Refusal
from .parts import Parts, parts_of
from .problems import Refused
from .receiving import MOST_TAGS, TAG_SIZE, VALUE_SIZE
from .schemas import ID, Json, reference, schemas
from .uploads import MOST_LISTED

__all__ = ["contract", "document"]


async def document(request: Request) -> Response:
    """The contract of this service, as JSON."""
    return JSONResponse(contract(parts_of(request)))


def contract(parts: Parts) -> Json:
    """Of a service made of these parts."""
    described = describe(parts.form)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "uploadkit",
            "version": version("pyuploadkit"),
            "summary": "A service that takes uploads, works on them and gives them out.",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "Where this document was fetched."}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": _paths(_form(described.request_body), is_open=not parts.settings.tokens),
        "components": {
            "schemas": {
                **schemas(max_files=parts.settings.max_files),
                "Problem": described.problems["Problem"],
            },
            "headers": _HEADERS,
            "securitySchemes": _SCHEMES,
        },
    }


_ABOUT: Final = """\
Files come by `POST /uploads` and are answered at once; what is done with them is told by their status, or as it happens
by server-sent events. Every error is answered by problem details (RFC 9457) with a stable `code`. An id of somebody
else's is answered as one that does not exist. A method that a route does not have is answered 405, and a path that is
not here 404, also with a slash too much at its end; the header Accept changes nothing."""

_TAGS: Final = {
    "uploads": "What comes in, and what is known of it.",
    "files": "What is given out: uploads, and what was made of them.",
    "operating": "For who runs the service.",
    "page": "For people.",
}


def _paths(form: Json, *, is_open: bool) -> Json:
    def guarded(*refusals: str) -> Json:
        """Of a route that asks who calls. Where nobody has to say who he is, the contract asks for nothing."""
        return {"refusals": (*_GUARDED, *refusals), "security": [] if is_open else [{"bearer": []}]}

    fetched = [] if is_open else [{"bearer": []}, {"link": []}]
    return {
        "/uploads": {
            "post": _operation(
                "receive",
                "uploads",
                "Upload one or many files",
                "All of them are taken, or none. What is to be done with them begins after the answer.",
                parameters=[_IDEMPOTENCY_KEY],
                requestBody=form,
                answers={202: _json("Accepted", "All files are stored.", headers=_NOT_KEPT, links=_LINKS)},
                **guarded(*_OF_A_FORM),
            ),
            "get": _operation(
                "list",
                "uploads",
                "List uploads",
                "The caller's, the newest first.",
                parameters=_PAGING,
                answers={200: _json("Listing", "A page of them.", headers=_NOT_KEPT)},
                **guarded("parameter_refused", "not_found"),
            ),
        },
        "/uploads/{upload}": {
            "parameters": [_UPLOAD],
            "get": _operation(
                "status",
                "uploads",
                "What is known of an upload",
                "Also after its end.",
                answers={200: _json("Upload", "All that is known of it.", headers=_NOT_KEPT)},
                **guarded("not_found"),
            ),
            "delete": _operation(
                "delete",
                "uploads",
                "Delete an upload",
                "With all that was made of it. What is known of it stays, and says so. Idempotent.",
                answers={200: _json("Deleted", "What was removed.", headers=_NOT_KEPT)},
                **guarded("not_found", "storage_failed"),
            ),
        },
        "/uploads/{upload}/events": {
            "parameters": [_UPLOAD],
            "get": _operation(
                "events",
                "uploads",
                "Watch an upload",
                "First what is known of it, then each change of that, until it is settled.",
                parameters=[_LAST_EVENT_ID],
                answers={200: _EVENTS, 204: {"description": "All has been seen, by Last-Event-ID."}},
                **guarded("not_found", "overloaded", "too_many_streams"),
            ),
        },
        "/batches/{batch}": {
            "parameters": [_parameter("path", "batch", ID, "Of a request that uploaded.")],
            "get": _operation(
                "batch",
                "uploads",
                "What came with one request",
                "How many of its files are in which state, and each of them.",
                answers={200: _json("Batch", "All of its files.", headers=_NOT_KEPT)},
                **guarded("not_found"),
            ),
        },
        "/files/{upload}": {"parameters": [_UPLOAD], **_fetched("original", "an upload", security=fetched)},
        "/files/{upload}/{variant}": {
            "parameters": [_UPLOAD, _VARIANT],
            **_fetched("variant", "what was made of an upload, such as its thumbnail", security=fetched),
        },
        "/metrics": {
            "get": _operation(
                "metrics",
                "operating",
                "Numbers for Prometheus",
                "For who has the token of them, or on this machine where nobody needs one.",
                answers={200: _media("text/plain", "Numbers, as Prometheus has them.", headers=_NOT_KEPT)},
                refusals=("unauthenticated", "not_found"),
                security=[{"metrics": []}, {}],
            ),
        },
        "/healthz": {
            "get": _operation(
                "healthz",
                "operating",
                "Whether this process lives",
                "It asks nobody else.",
                answers={200: _json("Health", "It does.", headers=_NOT_KEPT)},
                security=[],
            ),
        },
        "/readyz": {
            "get": _operation(
                "readyz",
                "operating",
                "Whether uploads can be taken",
                "It asks the ledger, the queue and the storages.",
                answers={
                    200: _json("Health", "They can.", headers=_NOT_KEPT),
                    503: _json("Health", "They cannot, and why.", headers=_NOT_KEPT),
                },
                security=[],
            ),
        },
        "/openapi.json": {
            "get": _operation(
                "contract",
                "operating",
                "This document",
                "As it is for this service, with its settings.",
                answers={200: {"description": "It.", "content": {"application/json": {"schema": {"type": "object"}}}}},
                security=[],
            ),
        },
        "/": {
            "get": _operation(
                "page",
                "page",
                "The page",
                "To drop files, and to see what becomes of them.",
                answers={200: _media("text/html", "It.")},
                security=[],
            ),
        },
        "/page/{name}": {
            "parameters": [_parameter("path", "name", {"type": "string"}, "Of a file.")],
            "get": _operation(
                "asset",
                "page",
                "What the page needs",
                "Its styles, its script, its pictures.",
                answers={200: _media("*/*", "It.")},
                refusals=("not_found",),
                security=[],
            ),
        },
    }


def _fetched(name: str, what: str, *, security: Sequence[Json]) -> Json:
    """What `GET` and `HEAD` of a file have in common."""
    refusals = (*_GUARDED, "link_refused", "not_found", "not_ready", "precondition_failed", "storage_failed")
    whole, part = _FILE_HEADERS, (*_FILE_HEADERS, "Content-Range")
    return {
        method: _operation(
            name if method == "get" else f"{name}Head",
            "files",
            f"{verb} {what}",
            "All of it, or a part. Fetched again, it is sent only where it has changed.",
            parameters=_CONDITIONS,
            answers={
                200: _media("*/*", "All of it.", headers=whole),
                206: _media("*/*", "A part of it, or several parts.", headers=part),
                304: {"description": "It is still what the client has.", "headers": _headers("ETag", "Cache-Control")},
                307: {"description": "It is fetched from the bucket itself.", "headers": _headers("Location")},
            },
            refusals=(*refusals, "range_not_satisfiable"),
            security=security,
        )
        for method, verb in (("get", "Fetch"), ("head", "What would be sent of"))
    }


def _operation(
    name: str,
    tag: str,
    summary: str,
    description: str,
    *,
    answers: Mapping[int, Json],
    refusals: Iterable[str] = (),
    **more: Any,
) -> Json:
    responses = {str(status): answer for status, answer in answers.items()} | _problems(refusals)
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        **more,
        "responses": dict(sorted(responses.items())),
    }


def _problems(codes: Iterable[str]) -> Json:
    """The answers that are errors, by their status: each says which codes it has, and when."""
    pairs = sorted((status, code) for code in set(codes) for status in REFUSALS[code].statuses)
    return {
        str(status): _problem(status, [REFUSALS[code] for _, code in group])
        for status, group in groupby(pairs, key=lambda pair: pair[0])
    }


def _problem(status: int, refusals: Sequence[Refusal]) -> Json:
    schema = {
        "allOf": [reference("Problem")],
        "properties": {
            "status": {"const": status},
            "code": {"enum": [refusal.code for refusal in refusals]},
        },
    }
    examples = {
        each.code: {"summary": each.when, "value": Refused(status, each.code, each.when).problem()} for each in refusals
    }
    names = [name for name, codes in _HEADERS_OF.items() if codes & {refusal.code for refusal in refusals}]
    answer: Json = {
        "description": "\n".join(f"- `{refusal.code}`: {refusal.when}" for refusal in refusals),
        "content": {PROBLEM_JSON: {"schema": schema, "examples": examples}},
    }
    return answer | ({"headers": _headers(*names)} if names else {})


_HEADERS_OF: Final[Mapping[str, set[str]]] = {
    "Retry-After": {code for code, refusal in REFUSALS.items() if refusal.retry_after},
    "WWW-Authenticate": {"unauthenticated"},
}
"""Which headers answers with these codes have."""


def _json(schema: str, description: str, *, headers: Sequence[str] = (), links: Json | None = None) -> Json:
    answer: Json = {"description": description, "content": {"application/json": {"schema": reference(schema)}}}
    return (
        answer | ({"headers": _headers(*headers)} if headers else {}) | ({"links": links} if links is not None else {})
    )


def _media(kind: str, description: str, *, headers: Sequence[str] = ()) -> Json:
    answer: Json = {"description": description, "content": {kind: {}}}
    return answer | ({"headers": _headers(*headers)} if headers else {})


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _parameter(where: str, name: str, schema: Json, description: str, **more: Any) -> Json:
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "description": description, **required, "schema": schema, **more}


def _form(body: Json) -> Json:
    """What the rules of the form say, and beside its files the texts that mean something."""
    [(media_type, content)] = body["content"].items()
    files = content["schema"]["additionalProperties"]
    names = [each.name.lower() for each in Priority]
    texts: Json = {
        "priority": {
            "type": "string",
            "enum": [*names, *(str(each.value) for each in Priority)],
            "description": "Of the work on all files of this request: urgent comes first.",
        },
        "tags": {
            "type": "array",
            # A comma stands between several tags of one text, which no pattern says well.
            "items": {"type": "string", "format": "uploadkit-tags"},
            "maxItems": MOST_TAGS,
            "description": f"Of all files: each is a name of at most {TAG_SIZE} characters, or name=value with a value "
            f"of at most {VALUE_SIZE}. Repeated, or with commas between them.",
        },
    }
    schema = {
        "type": "object",
        "description": "Files, and what is said of all of them. A file may have a field of any name.",
        "properties": {"file": files, **texts},
        "required": ["file"],
        "additionalProperties": False,
    }
    repeated = {"style": "form", "explode": True}
    encoding = {"file": repeated, "priority": {"contentType": "text/plain"}, "tags": repeated}
    return body | {"content": {media_type: {"schema": schema, "encoding": encoding}}}


_GUARDED: Final = ("unauthenticated", "rate_limited", "ledger_failed")
"""Every route that asks who calls may refuse so."""

_OF_A_FORM: Final = (
    "idempotency_key_refused",
    "idempotency_conflict",
    "too_many_uploads",
    "length_required",
    "malformed_form",
    "truncated_form",
    "upload_too_slow",
    "upload_changed",
    "limit_exceeded",
    "quota_exceeded",
    "unsupported_media_type",
    "file_refused",
    "field_missing",
    "field_refused",
    "overloaded",
    "check_failed",
    "storage_failed",
    "queue_failed",
)

_UPLOAD: Final = _parameter("path", "upload", ID, "Of the upload.")

_VARIANT: Final = _parameter(
    "path",
    "variant",
    {"type": "string", "minLength": 1, "examples": [*DEFAULT_VARIANTS]},
    "One of the upload's `variants`.",
)

_CONDITIONS: Final = tuple(
    _parameter("header", name, {"type": "string"}, description)
    for name, description in {
        "Range": "Which bytes: `bytes=0-1023`.",
        "If-Range": "The ETag with which the range is meant: where it is another one, all of it is sent.",
        "If-None-Match": "ETags that the client has.",
        "If-Match": "ETags of which it must be one.",
        "If-Modified-Since": "When the client has fetched it.",
        "If-Unmodified-Since": "Since when it must not have changed.",
    }.items()
)

_FILE_HEADERS: Final = ("Accept-Ranges", "Cache-Control", "Content-Disposition", "ETag", "Last-Modified")

_IDEMPOTENCY_KEY: Final = _parameter(
    "header",
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
    "The same request again, with the same key, is answered as the first was, and nothing of it is read.",
)

_LAST_EVENT_ID: Final = _parameter(
    "header", "Last-Event-ID", {"type": "string"}, "The id of the last event that was seen: it is not sent again."
)

_PAGING: Final = (
    _parameter(
        "query",
        "status",
        {"type": "array", "items": reference("State")},
        "Those in one of these states. Repeated.",
        style="form",
        explode=True,
    ),
    _parameter(
        "query",
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": MOST_LISTED},
        "At most so many.",
    ),
    _parameter("query", "after", ID, "The last upload of the page before. `next` says it."),
)

_NOT_KEPT: Final = ("Cache-Control",)

_LINKS: Final[Json] = {
    name: {"operationId": name, "parameters": {"upload": "$response.body#/uploads/0/id"}}
    for name in ("status", "events", "original", "delete")
} | {"batch": {"operationId": "batch", "parameters": {"batch": "$response.body#/batch"}}}

_EVENTS: Final[Json] = {
    "description": "Events named `status`, whose data is an `Upload`. Between them are comments, so that the connection "
    "stays. The stream ends after a state in which nothing more happens.",
    # As the registry of media types of OpenAPI 3.2 has it: the schema is that of each event.
    "content": {"text/event-stream": {"schema": reference("Event")}},
    "headers": _headers("Cache-Control"),
}

_HEADERS: Final[Json] = {
    "Accept-Ranges": {"schema": {"const": "bytes"}, "description": "Parts of it can be fetched."},
    "Content-Disposition": {
        "schema": {"type": "string"},
        "description": "Its name. `inline` for what is safe in a browser, `attachment` for the rest.",
    },
    "Content-Range": {"schema": {"type": "string"}, "description": "Which bytes of how many these are."},
    "ETag": {"schema": {"type": "string", "pattern": '^"[!#-~]+"$'}, "description": "The same for the same bytes."},
    "Last-Modified": {"schema": {"type": "string"}, "description": "When it was stored."},
    "Location": {"schema": {"type": "string", "format": "uri"}, "description": "Where it is, for a short while."},
    "Cache-Control": {"schema": {"type": "string"}, "description": "Who may keep the answer, and how long."},
    "Retry-After": {
        "schema": {"type": "integer", "minimum": 0},
        "description": "Seconds after which the same request may succeed.",
    },
    "WWW-Authenticate": {"schema": {"type": "string"}, "description": "How to say who calls."},
}

_SCHEMES: Final[Json] = {
    "link": {
        "type": "apiKey",
        "in": "query",
        "name": "signature",
        "description": "The signature of an address that the service has given.",
    },
    "metrics": {"type": "http", "scheme": "bearer", "description": "The token of the setting `metrics_token`."},
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the settings; `uploadkit token` makes them.",
    },
}
