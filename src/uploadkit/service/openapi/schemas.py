"""The JSON that is answered, as JSON Schema: what `shown` and the routes make, member by member.

A member is named here and where it is made, and a test compares both in every state that an upload can be in. Values
that the code knows, such as states and bounds, are taken from it.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from ...processing.queue import CONCURRENCY, Priority
from ...records.lifecycle import State
from ..uploads import MOST_LISTED
from ..words import MOST_TAGS, TAG_SIZE, VALUE_SIZE

__all__ = ["ID", "SHA256", "SIZE", "Json", "reference", "schemas"]

Json: TypeAlias = dict[str, Any]
"""An object of JSON."""

ID: Final[Json] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
"""Of an upload, and of a batch."""


SIZE: Final[Json] = {"type": "integer", "minimum": 0}
"""Of a file, in bytes."""

SHA256: Final[Json] = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
"""Of a file, in hex."""


def reference(name: str) -> Json:
    """Refers to one of `schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(*, max_files: int) -> dict[str, Json]:
    """By their names. `max_files` is how many files a request may have."""
    of_a_batch = {"minItems": 1, "maxItems": max_files}
    return {
        "State": {"type": "string", "enum": list(State), "description": "Where an upload is in its life."},
        "Accepted": _object("What was taken, in the order in which it came.", **_accepted(max_files)),
        "DirectAccepted": _object(
            "The file that came straight into the bucket, and was taken.",
            **_accepted(1),
            location=_path("What is known of it."),
            key=ID,
        ),
        **_DIRECT,
        "AcceptedUpload": _object(
            "A file that was taken: where its work waits, and where to ask for it.",
            id=ID,
            filename=_string("Safe to show and to save."),
            status=reference("State"),
            queue=_string("The queue in which its work waits.", examples=list(CONCURRENCY)),
            job_id=_or_null(_string("Its first job, null where nothing is to be done.")),
            status_url=_path("What is known of it."),
        ),
        "Listed": _object("What is known of an upload by its record alone.", **_LISTED),
        "Upload": _object("All that is known of an upload.", **_LISTED, **_SHOWN),
        "Event": _object(
            "An event of a stream.",
            event={"const": "status"},
            id=_string("The same for the same data. The client says it as Last-Event-ID."),
            data=_string(
                "An `Upload`, as JSON.", contentMediaType="application/json", contentSchema=reference("Upload")
            ),
        ),
        "Variant": _object(
            "What was made of an upload.",
            url=_path("Where it can be fetched, for a while without saying who asks."),
            content_type=_string("Its media type."),
            size=_integer(0, description="In bytes."),
            width=_integer(1, description="In pixels."),
            height=_integer(1, description="In pixels."),
        ),
        "Listing": _object(
            "A page of uploads, the newest first.",
            uploads=_array(reference("Listed"), maxItems=MOST_LISTED),
            next=_or_null(_path("The next page, null on the last one.")),
        ),
        "Batch": _object(
            "What came with one request.",
            batch=ID,
            total=_integer(1, max_files),
            is_settled={"type": "boolean", "description": "Whether nothing more happens to any of them by itself."},
            counts={
                "type": "object",
                "description": "How many are in which state.",
                "propertyNames": reference("State"),
                "additionalProperties": _integer(1, max_files),
            },
            uploads=_array(reference("Listed"), **of_a_batch),
        ),
        "Deleted": _object(
            "What was removed.",
            id=ID,
            status={"const": str(State.DELETED)},
            removed=_object(
                "Nothing, where it had been removed before.",
                original={"type": "boolean", "description": "Whether the upload itself was there."},
                variants=_array(_string(""), description="What had been made of it."),
                bytes=_integer(0, description="Of all of them."),
            ),
        ),
        "Health": {
            "type": "object",
            "description": "Whether the service lives, or can work.",
            "properties": {
                "status": {"enum": ["ok", "failing", "draining"]},
                "failing": _array(_string(""), description="What does not answer."),
            },
            "required": ["status"],
            "additionalProperties": False,
        },
    }


def _accepted(most: int) -> dict[str, Json]:
    return {
        "batch": ID,
        "batch_url": _path("The batch: all files of this request."),
        "uploads": _array(reference("AcceptedUpload"), minItems=1, maxItems=most),
        "total": _integer(1, most),
    }


def _object(description: str, /, **members: Json) -> Json:
    """Of these members: all are there, and no others."""
    return {
        "type": "object",
        "description": description,
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def _array(items: Json, **bounds: Any) -> Json:
    return {"type": "array", "items": items, **bounds}


def _string(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description, **more} if description else {"type": "string", **more}


def _path(description: str) -> Json:
    return _string(description, format="uri-reference")


def _moment(description: str) -> Json:
    return _string(description, format="date-time")


def _integer(least: int, most: int | None = None, *, description: str = "") -> Json:
    schema: Json = {"type": "integer", "minimum": least}
    return schema | ({} if most is None else {"maximum": most}) | ({"description": description} if description else {})


def _or_null(schema: Json) -> Json:
    return schema | {"type": [schema["type"], "null"]}


_LISTED: Final[dict[str, Json]] = {
    "id": ID,
    "batch": ID | {"description": "The same for all files of a request."},
    "field": _string("The form field in which it came."),
    "filename": _string("Safe to show and to save."),
    "status": reference("State"),
    "reason": _or_null(_string("Why it was rejected. null in every other state.")),
    "size": _or_null(_integer(0, description="In bytes, null until all of it is stored.")),
    "content_type": _string("What its bytes show, whatever its sender has said."),
    "sha256": _or_null(_string("null until all of it is stored.", pattern="^[0-9a-f]{64}$")),
    "priority": {
        "enum": [*(each.value for each in Priority), None],
        "description": "Of its work: a smaller number comes first. null where none was asked for.",
    },
    "tags": {
        "type": "object",
        "description": "What its sender has said of it.",
        "maxProperties": MOST_TAGS,
        "propertyNames": {"minLength": 1, "maxLength": TAG_SIZE},
        "additionalProperties": {"type": "string", "maxLength": VALUE_SIZE},
    },
    "created_at": _moment("When its first byte came."),
    "changed_at": _moment("When it came into its state, or something else of it changed."),
    "expires_at": _or_null(_moment("When it is removed, null for never.")),
    "status_url": _path("What is known of it."),
    "events_url": _path("The same as it changes."),
}

_SHOWN: Final[dict[str, Json]] = {
    "received": _or_null(_integer(0, description="Bytes that have come, while it comes in several requests.")),
    "percent": _integer(0, 100, description="How far its processing has come."),
    "note": _or_null(_string("What the step at work says of itself.")),
    "is_settled": {"type": "boolean", "description": "Whether nothing more happens by itself."},
    "url": _or_null(_path("Where it can be fetched, for a while without saying who asks. null until it is completed.")),
    "variants": {
        "type": "object",
        "description": "What was made of it, by name. Empty until it is completed.",
        "additionalProperties": reference("Variant"),
    },
    "metadata": {"type": "object", "description": "What is known of its content. It depends on the type."},
}

_DIRECT: Final[dict[str, Json]] = {
    "DirectFile": {
        "type": "object",
        "description": "A file that is to come. What has no member of its own may be in the metadata; whatever else is "
        "there means nothing.",
        "properties": {
            "filename": _string("What it is called."),
            "type": _or_null(_string("The media type that the client takes it for.")),
            "size": _or_null(SIZE | {"description": "No other is taken. Needed where there is a quota of bytes."}),
            "sha256": _or_null(SHA256 | {"description": "No file with another one is taken."}),
            "metadata": {
                "type": ["object", "null"],
                "description": "`size`, `sha256`, `priority` and `tags` where they are not beside it.",
            },
        },
        "required": ["filename"],
    },
    "DirectForm": _object(
        "A form for one file.",
        method={"const": "POST"},
        url=_string("Where it is sent.", format="uri"),
        fields={
            "type": "object",
            "description": "What stands in it before the field `file`.",
            "additionalProperties": {"type": "string"},
        },
        headers={"type": "object", "maxProperties": 0},
        expires=_integer(1, description="So many seconds it is taken for."),
        id=ID,
        status_url=_path("What is known of the upload."),
    ),
    "DirectBegun": _object("An upload in parts: its id, by both names.", key=ID, uploadId=ID),
    "DirectPart": _object(
        "An address for a part.",
        method={"const": "PUT"},
        url=_string("Where it is sent.", format="uri"),
        headers={"type": "object", "maxProperties": 0},
        expires=_integer(1, description="So many seconds it is taken for, at most."),
    ),
    "DirectParts": _array(
        _object(
            "A part that has arrived.",
            PartNumber=_integer(1),
            Size=_integer(0, description="In bytes."),
            ETag=_string("As the bucket has answered it."),
        ),
        description="By their numbers. Of an upload that is taken as many as it may have had.",
    ),
    "Nothing": _object("Nothing is said."),
}
