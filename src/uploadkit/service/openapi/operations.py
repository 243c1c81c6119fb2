"""Every route, one by one: what it takes, what it answers, and with which codes it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ...content.variants import DEFAULT_VARIANTS
from ...resumable.direct import MAX_PARTS
from ...resumable.tus import OFFSET_TYPE, VERSION
from ..uploads import MOST_LISTED
from .codes import REFUSALS, Refusal
from .pieces import PRIORITY, TAGS, answer, operation, parameter
from .schemas import ID, SHA256, SIZE, Json, reference

__all__ = ["paths"]


def paths(form: Json, *, callers: Sequence[Json]) -> Json:
    """All of them. `callers` are the ways to say who calls, none where nobody has to."""

    def guarded(*refusals: str | Refusal, also: Sequence[Json] = ()) -> Json:
        asked = ("unauthenticated",) if callers else ()
        return {"refusals": (*_ANY, *asked, *_GUARDED, *refusals), "security": [*callers, *also] if callers else []}

    def public(*refusals: str) -> Json:
        return {"refusals": (*_ANY, *refusals), "security": []}

    def fetched(name: str, what: str) -> Json:
        """HEAD is answered as GET is, without the bytes."""
        return {
            method: operation(
                name if method == "get" else f"{name}Head",
                "files",
                f"{verb} {what}",
                "All of it or a part, and only where it is not what the client has already.",
                parameters=[_DOWNLOAD, *_CONDITIONS],
                answers=_FETCHED,
                **guarded(*_OF_A_FILE, also=[{"signature": [], "until": []}]),
            )
            for method, verb in (("get", "Fetch"), ("head", "What is known of"))
        }

    return {
        "/uploads": {
            "post": operation(
                "receive",
                "uploads",
                "Upload one or many files",
                "All of them are taken, or none. What is to be done with them begins after the answer.",
                parameters=[_IDEMPOTENCY_KEY],
                requestBody=form,
                answers={202: answer("All files are stored.", json="Accepted", headers=_KEPT, links=_OF_ALL)},
                **guarded("wrong_origin", *_OF_A_FORM),
            ),
            "get": operation(
                "list",
                "uploads",
                "List uploads",
                "The caller's, the newest first, by pages.",
                parameters=_PAGING,
                answers={200: answer("A page of them.", json="Listing", headers=_KEPT)},
                **guarded("parameter_refused", "not_found"),
            ),
        },
        "/uploads/{upload}": {
            "parameters": [_UPLOAD],
            "get": operation(
                "status",
                "uploads",
                "What is known of an upload",
                "Also when it is gone.",
                answers={200: answer("All that is known of it.", json="Upload", headers=_KEPT, links=_OF_ONE)},
                **guarded("not_found"),
            ),
            "delete": operation(
                "delete",
                "uploads",
                "Delete an upload",
                "With all that was made of it. What is known of it stays, and says so. Idempotent.",
                answers={200: answer("It is gone.", json="Deleted", headers=_KEPT)},
                **guarded("wrong_origin", "not_found", "storage_failed"),
            ),
        },
        "/uploads/{upload}/events": {
            "parameters": [_UPLOAD],
            "get": operation(
                "events",
                "uploads",
                "Watch an upload",
                "First what is known of it, then each change of that, until nothing more happens by itself. Between "
                "them are comments, so that the connection stays.",
                parameters=[_LAST_EVENT_ID],
                answers={
                    # As OpenAPI 3.2 has it: the schema is that of each event.
                    200: answer("Events named `status`.", json="Event", media="text/event-stream", headers=_KEPT),
                    204: answer("The client has seen the last one.", headers=_KEPT),
                },
                **guarded("not_found", "overloaded", "too_many_streams"),
            ),
        },
        "/batches/{batch}": {
            "parameters": [parameter("path", "batch", ID, "Of the request that has uploaded.")],
            "get": operation(
                "batch",
                "uploads",
                "What came with one request",
                "How many of its files are in which state, and each of them.",
                answers={200: answer("All of its files.", json="Batch", headers=_KEPT)},
                **guarded("not_found"),
            ),
        },
        "/direct/s3/params": {
            "get": operation(
                "directForm",
                "direct",
                "Begin an upload straight into the bucket",
                "A form for one file, which is sent to the bucket and then told of by `directFinish`.",
                parameters=_SAID_OF_A_FILE,
                answers={200: answer("The form.", json="DirectForm", headers=_KEPT)},
                **guarded("wrong_origin", "direct_unavailable", *_OF_A_BEGINNING),
            ),
        },
        "/direct/s3/complete": {
            "post": operation(
                "directFinish",
                "direct",
                "The form was sent to the bucket",
                "What has arrived is judged, and taken as by `receive`. May be asked again.",
                parameters=[_FORM_KEY],
                answers={202: answer("The file is taken.", json="DirectAccepted", headers=_KEPT, links=_OF_ALL)},
                **guarded("wrong_origin", "direct_unavailable", *_OF_WHAT_ARRIVED),
            ),
        },
        "/direct/s3/multipart": {
            "post": operation(
                "directBegin",
                "direct",
                "Begin an upload in parts straight into the bucket",
                "Each part is sent by PUT to an address that `directPart` gives.",
                requestBody=_OF_A_FILE_TO_COME,
                answers={200: answer("It has begun.", json="DirectBegun", headers=_KEPT)},
                **guarded("wrong_origin", "direct_unavailable", "storage_failed", "upload_too_slow", *_OF_A_BEGINNING),
            ),
        },
        "/direct/s3/multipart/{upload}": {
            "parameters": [_UPLOAD, _KEY],
            "get": operation(
                "directParts",
                "direct",
                "Which parts have arrived",
                "Those need not be sent again.",
                answers={200: answer("They, by their numbers.", json="DirectParts", headers=_KEPT)},
                **guarded(*_OF_PARTS, "storage_failed", "not_arrived"),
            ),
            "delete": operation(
                "directAbort",
                "direct",
                "Give up an upload in parts",
                "Nothing is left of it. Idempotent; one that is taken stays.",
                answers={200: answer("It is gone.", json="Nothing", headers=_KEPT)},
                **guarded("wrong_origin", "not_found", "direct_unavailable", "storage_failed"),
            ),
        },
        "/direct/s3/multipart/{upload}/complete": {
            "parameters": [_UPLOAD, _KEY],
            "post": operation(
                "directComplete",
                "direct",
                "All parts were sent to the bucket",
                "What has arrived is judged, and taken as by `receive`. Which parts there are the bucket knows: what "
                "the request says of them is not read. May be asked again.",
                answers={202: answer("The file is taken.", json="DirectAccepted", headers=_KEPT, links=_OF_ALL)},
                **guarded("wrong_origin", "direct_unavailable", *_OF_WHAT_ARRIVED),
            ),
        },
        "/direct/s3/multipart/{upload}/{number}": {
            "parameters": [_UPLOAD, _PART_NUMBER, _KEY],
            "get": operation(
                "directPart",
                "direct",
                "An address for a part",
                "For a PUT of at least 5 MiB, but for the last part.",
                answers={200: answer("It.", json="DirectPart", headers=_KEPT)},
                **guarded(*_OF_PARTS, "parameter_refused", "limit_exceeded", "upload_changed"),
            ),
        },
        "/files/{upload}": {"parameters": [_UPLOAD], **fetched("original", "an upload")},
        "/files/{upload}/{variant}": {
            "parameters": [_UPLOAD, _VARIANT],
            **fetched("variant", "something that was made of an upload"),
        },
        "/tus/": {
            "options": operation(
                "capabilities",
                "resumable",
                "What is spoken of tus",
                "https://tus.io/protocols/resumable-upload",
                answers={204: answer("That.", headers=_CAPABILITIES)},
                **public(),
            ),
            "post": operation(
                "begin",
                "resumable",
                "Begin an upload in several requests",
                "With its first bytes, or without. When all have come it is an upload as any other, of the same id.",
                parameters=[*_OF_TUS, *_ANNOUNCED],
                requestBody=_BYTES,
                answers={201: answer("It was begun.", headers=("Location", "Upload-Offset", *_RESTING))},
                **guarded("wrong_origin", *_OF_PIECES, *_OF_TEXTS),
            ),
        },
        "/tus/{upload}": {
            "parameters": [_UPLOAD, *_OF_TUS],
            "head": operation(
                "offset",
                "resumable",
                "How far an upload has come",
                "A request that still sends bytes of it is broken off: its client has come back.",
                answers={200: answer("So far.", headers=(*_STANDING, *_RESTING))},
                **guarded(*_OF_PIECES),
            ),
            "patch": operation(
                "append",
                "resumable",
                "Send the next bytes of an upload",
                "What has arrived is kept, also where the connection is lost. The last ones finish it.",
                parameters=[_OFFSET | {"required": True}, *_ADDED],
                requestBody=_BYTES,
                answers={204: answer("They have arrived.", headers=("Upload-Offset", *_RESTING))},
                **guarded("wrong_origin", *_OF_PIECES),
            ),
            "delete": operation(
                "giveUp",
                "resumable",
                "Give up an upload",
                "Nothing is left of it, also where it is finished.",
                answers={204: answer("It is gone.", headers=_RESTING[:1])},
                **guarded("wrong_origin", "not_found", "malformed_upload", "upload_gone", "upload_locked"),
            ),
            "post": operation(
                "override",
                "resumable",
                "PATCH or DELETE, for who can send neither",
                "As the header says.",
                parameters=[_OVERRIDE, _OFFSET, *_ADDED],
                requestBody=_BYTES,
                answers={
                    200: answer("As HEAD is answered.", headers=(*_STANDING, *_RESTING)),
                    204: answer("As PATCH and DELETE are answered.", headers=("Upload-Offset", *_RESTING)),
                },
                **guarded("wrong_origin", *_OF_PIECES),
            ),
        },
        "/metrics": {
            "get": operation(
                "metrics",
                "operating",
                "Numbers for Prometheus",
                "For who has the token of them. Where there is none, they are for this machine.",
                answers={200: answer("Numbers, as Prometheus has them.", media="text/plain", headers=_KEPT)},
                refusals=(*_ANY, "unauthenticated", "not_found"),
                security=[{"metrics": []}, {}],
            ),
        },
        "/healthz": {
            "get": operation(
                "healthz",
                "operating",
                "Whether this process lives",
                "It asks nobody else.",
                answers={200: answer("It does.", json="Health", headers=_KEPT)},
                refusals=_ALL,
                security=[],
            ),
        },
        "/readyz": {
            "get": operation(
                "readyz",
                "operating",
                "Whether uploads can be taken",
                "It asks the ledger, the queue and the storages.",
                answers={
                    200: answer("They can.", json="Health", headers=_KEPT),
                    503: answer("They cannot.", json="Health", headers=_KEPT),
                },
                refusals=_ALL,
                security=[],
            ),
        },
        "/openapi.json": {
            "get": operation(
                "contract",
                "operating",
                "This document",
                "As it is for this service, with its settings.",
                answers={200: answer("It.", media="application/json")},
                **public(),
            ),
        },
        "/": {
            "get": operation(
                "page",
                "page",
                "The page",
                "To drop files, and to see what becomes of them.",
                parameters=[_KNOWN],
                answers={200: answer("It.", media="text/html", headers=_OF_PAGES), 304: _UNCHANGED},
                **public(),
            ),
        },
        "/page/{name}": {
            "parameters": [parameter("path", "name", {"type": "string", "minLength": 1}, "Of a file of the page.")],
            "get": operation(
                "asset",
                "page",
                "What the page needs",
                "Its styles, its scripts, its pictures.",
                parameters=[_KNOWN],
                answers={200: answer("It.", media="*/*", headers=_OF_PAGES), 304: _UNCHANGED},
                **public("not_found"),
            ),
        },
    }


_ALL: Final = ("malformed_request", "head_too_large", "internal_error", "overloaded")
"""Every route may refuse so."""

_ANY: Final = (*_ALL, "wrong_host")
"""And so every one but those by which a machine is asked whether it lives."""

_GUARDED: Final = ("rate_limited", "ledger_failed")

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

_NOT_OF_TUS: Final = replace(
    REFUSALS["malformed_upload"], statuses=(400,), when="What is said of the file is not of the kind that it has to be."
)

_OF_A_BEGINNING: Final = (
    "length_required",
    "malformed_form",
    _NOT_OF_TUS,
    "limit_exceeded",
    "quota_exceeded",
    "file_refused",
    "field_refused",
)

_OF_WHAT_ARRIVED: Final = (
    "not_found",
    "not_arrived",
    "upload_gone",
    "upload_locked",
    "upload_changed",
    "too_many_uploads",
    "truncated_form",
    "limit_exceeded",
    "quota_exceeded",
    "file_refused",
    "checksum_mismatch",
    "check_failed",
    "storage_failed",
    "queue_failed",
)

_OF_PARTS: Final = ("not_found", "direct_unavailable", "upload_gone")

_OF_A_FILE: Final = (
    "link_expired",
    "link_refused",
    "not_found",
    "not_ready",
    "precondition_failed",
    "range_not_satisfiable",
    "storage_failed",
)

_OF_PIECES: Final = (
    "not_found",
    "malformed_form",
    "malformed_upload",
    "length_conflict",
    "offset_conflict",
    "upload_gone",
    "upload_locked",
    "upload_changed",
    "checksum_mismatch",
    "too_many_uploads",
    "upload_too_slow",
    "limit_exceeded",
    "quota_exceeded",
    "unsupported_media_type",
    "file_refused",
    "overloaded",
    "check_failed",
    "storage_failed",
    "queue_failed",
)

_OF_TEXTS: Final = ("field_refused",)

_KEPT: Final = ("Cache-Control",)

_RESTING: Final = ("Tus-Resumable", "Upload-Expires")

_STANDING: Final = (
    "Cache-Control",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
)

_CAPABILITIES: Final = ("Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Resumable", "Tus-Version")

_OF_BYTES: Final = ("Accept-Ranges", "Cache-Control", "Content-Disposition", "ETag", "Last-Modified")

_OF_PAGES: Final = ("Cache-Control", "ETag")

_UNCHANGED: Final = answer("It is what the client has.", headers=_OF_PAGES)

_FETCHED: Final = {
    200: answer("All of it.", media="*/*", headers=_OF_BYTES),
    206: answer("A part of it.", media="*/*", headers=(*_OF_BYTES, "Content-Range")),
    304: _UNCHANGED,
    307: answer("It is fetched from the bucket itself.", headers=("Location",)),
}

_UPLOAD: Final = parameter("path", "upload", ID, "Of the upload.")

_KEY: Final = parameter("query", "key", ID, "The `key` with which it has begun.", required=True)

_FORM_KEY: Final = parameter(
    "query",
    "key",
    {"type": "string"},
    "The `key` among the fields of the form, or the `id` of the upload.",
    required=True,
)

_PART_NUMBER: Final = parameter(
    "path", "number", {"type": "integer", "minimum": 1, "maximum": MAX_PARTS}, "Of the part, from 1."
)

_SAID_OF_A_FILE: Final = [
    parameter("query", "filename", {"type": "string"}, "What the file is called.", required=True),
    parameter("query", "type", {"type": "string"}, "The media type that the client takes it for."),
    parameter("query", "size", SIZE, "In bytes: no other is taken. Needed where there is a quota of bytes."),
    parameter("query", "sha256", SHA256, "No file with another one is taken."),
    parameter("query", "priority", PRIORITY, "As in the form of `receive`."),
    parameter("query", "tags", TAGS, "As in the form of `receive`, with commas between them."),
]

_OF_A_FILE_TO_COME: Final[Json] = {
    "description": "Of the file that is to come.",
    "required": True,
    "content": {"application/json": {"schema": reference("DirectFile")}},
}

_VARIANT: Final = parameter(
    "path",
    "variant",
    {"type": "string", "minLength": 1, "examples": [*DEFAULT_VARIANTS]},
    "One of the upload's `variants`.",
)

_IDEMPOTENCY_KEY: Final = parameter(
    "header",
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
    "The same request again, with the same key, is answered as the first was, and nothing of it is read.",
)

_LAST_EVENT_ID: Final = parameter(
    "header", "Last-Event-ID", {"type": "string"}, "The id of the last event that was seen: it is not sent again."
)

_OF_TUS: Final = [parameter("header", "Tus-Resumable", {"const": VERSION}, "The version of tus.", required=True)]

_OVERRIDE: Final = parameter(
    "header",
    "X-HTTP-Method-Override",
    {"type": "string", "examples": ["PATCH"]},
    "The method that is meant.",
    required=True,
)

_CHECKSUM: Final = parameter(
    "header",
    "Upload-Checksum",
    {"type": "string", "examples": ["sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="]},
    "Of the bytes of this request.",
)

_ANNOUNCED: Final = [
    parameter("header", "Upload-Length", SIZE | {"examples": [10]}, "Bytes that it is to have."),
    *(
        parameter("header", name, {"type": "string", "examples": [example]}, description)
        for name, example, description in (
            ("Upload-Defer-Length", "1", "In place of that: how many is said later."),
            (
                "Upload-Metadata",
                "filename bm90ZXMudHh0,tags YQ==",
                "Its `filename`, `filetype`, `priority` and `tags`.",
            ),
            ("Upload-Concat", "partial", "A piece, or `final;` and the addresses of the pieces it is put together of."),
        )
    ),
    _CHECKSUM,
]

_OFFSET: Final = parameter(
    "header", "Upload-Offset", SIZE | {"examples": [0]}, "Where the bytes of this request begin."
)

_ADDED: Final = [
    parameter(
        "header",
        "Upload-Length",
        SIZE | {"examples": [10]},
        "Bytes that it is to have, where nobody has said so before.",
    ),
    _CHECKSUM,
]

_BYTES: Final[Json] = {
    "description": "Bytes of the upload.",
    "content": {OFFSET_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}

_DOWNLOAD: Final = parameter(
    "query", "download", {"type": "string", "examples": ["1"]}, "With `1` a browser saves it, whatever it is."
)

_KNOWN: Final = parameter(
    "header", "If-None-Match", {"type": "string", "examples": ['"5f2b", "91c0"']}, "ETags that the client has."
)

_CONDITIONS: Final = [
    _KNOWN,
    *(
        parameter("header", name, {"type": "string", "examples": [example]}, description)
        for name, example, description in (
            ("Range", "bytes=0-9", "Which bytes: one range, all from a byte on (`5-`), or the last ones (`-5`)."),
            ("If-Range", '"5f2b"', "The ETag of which the range is meant: of another one all is sent."),
            ("If-Match", "*", "ETags of which it has to be one."),
            ("If-Modified-Since", "Fri, 27 Nov 2026 08:00:00 GMT", "When the client has fetched it."),
            ("If-Unmodified-Since", "Fri, 27 Nov 2026 08:00:00 GMT", "Since when it must not have changed."),
        )
    ),
]

_PAGING: Final = [
    parameter(
        "query",
        "status",
        {"type": "array", "items": reference("State")},
        "Those in one of these states. Repeated.",
        style="form",
        explode=True,
    ),
    parameter(
        "query",
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": MOST_LISTED},
        "So many at most.",
    ),
    parameter("query", "after", ID, "The last upload of the page before, as `next` says it."),
]


def _link(name: str, **parameters: str) -> Json:
    return {name: {"operationId": name, "parameters": parameters}}


_FIRST: Final = "$response.body#/uploads/0/id"
_ITS: Final = "$response.body#/id"

_OF_ALL: Final[Json] = {
    **_link("status", upload=_FIRST),
    **_link("events", upload=_FIRST),
    **_link("original", upload=_FIRST),
    **_link("delete", upload=_FIRST),
    **_link("batch", batch="$response.body#/batch"),
}

_OF_ONE: Final[Json] = {
    **_link("original", upload=_ITS),
    **_link("variant", upload=_ITS, variant=next(iter(DEFAULT_VARIANTS))),
}
