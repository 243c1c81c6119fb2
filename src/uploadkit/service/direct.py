"""`/direct/s3/...`: files that go from a client straight into the service's bucket, under the rules of `POST /uploads`.

The routes are those that Uppy's `AwsS3` asks for below its `companionEndpoint` (`endpoint` before Uppy 6), and one
more: of a form that was sent to the bucket nobody tells the service but who has sent it. An upload is known by its id,
which is `key` and `uploadId` alike; whose it is its record says.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ..errors import (
    ClientDisconnected,
    LimitExceeded,
    MalformedUpload,
    ObjectExists,
    ObjectMissing,
    UploadChanged,
    UploadTooSlow,
)
from ..intake.spec import Spec
from ..processing.owned import Owned
from ..records.ledger import Said
from ..resumable.direct import DirectUploads, as_parts
from ..uploads import FieldValues, UploadedFile
from .addresses import address
from .callers import Caller
from .parts import Parts, parts_of
from .problems import Refused, not_found
from .receiving import expiry, taken
from .uploads import owned
from .words import said as said_of

__all__ = ["PART", "abort", "begin", "complete", "finish", "form", "part", "parts"]

PART: Final = "part_number"
"""How a path has the number of a part: its convertor."""

SAID_SIZE: Final = 64 * 1024
"""Bytes of what a client says of a file, at most: its name, its type and what it knows beside."""


class _Number(Convertor[str]):
    """Digits, and so few that none is too large a number for anything."""

    regex = "[0-9]{1,5}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor(PART, _Number())


async def form(request: Request, caller: Caller) -> Response:
    """A form for one file, which the client sends to the bucket. `finish` is told when it has."""
    if request.method != "GET":  # HEAD, which Starlette lets in with it: this one begins something
        raise Refused(405, "method_not_allowed", "this is not done here", headers={"Allow": "GET"})
    _spec(parts_of(request))
    asked = _Asked.of(_query(request))
    direct = _beginning(request, caller, asked)
    begun = await direct.abegin(asked.filename, asked.content_type, asked.size, sha256=asked.sha256)
    answer = {
        "method": "POST",
        "url": begun.url,
        "fields": dict(begun.fields),
        "headers": {},
        "expires": parts_of(request).settings.direct_seconds,
        "id": begun.id,
        "status_url": address(request, f"/uploads/{begun.id}"),
    }
    return JSONResponse(answer, headers=_NOT_KEPT)


async def finish(request: Request, caller: Caller) -> Response:
    """202 when what a form has brought was judged and is taken. May be asked again."""
    upload = _of_form(request.query_params.get("key", ""))
    known = parts_of(request)
    await owned(known, caller, upload)
    return await _finished(request, caller, upload, in_parts=False)


async def begin(request: Request, caller: Caller) -> Response:
    """Begins an upload in parts."""
    _spec(parts_of(request))
    asked = _Asked.of(await _said(request))
    direct = _beginning(request, caller, asked)
    begun = await direct.abegin_parts(asked.filename, asked.content_type, asked.size, sha256=asked.sha256)
    return JSONResponse({"key": begun.id, "uploadId": begun.id}, headers=_NOT_KEPT)


async def part(request: Request, caller: Caller) -> Response:
    """An address for a part."""
    known, upload = await _named(request, caller)
    number = int(request.path_params["number"])
    if number < 1:
        raise Refused(422, "parameter_refused", "the parts of an upload are numbered from 1")
    try:
        url = await _direct(known, caller).asign_part(upload, number)
    except ObjectExists:
        record = await owned(known, caller, upload)
        raise UploadChanged("the upload is finished already", upload=upload, state=record.state) from None
    answer = {"method": "PUT", "url": url, "headers": {}, "expires": known.settings.direct_seconds}
    return JSONResponse(answer, headers=_NOT_KEPT)


async def parts(request: Request, caller: Caller) -> Response:
    """The parts that have arrived. Of an upload of which all has, it is so many as no client has more: whoever did not
    hear of it sends none again, and completes it once more."""
    known, upload = await _named(request, caller)
    try:
        found = await _direct(known, caller).alist_parts(upload)
    except ObjectExists:
        found = as_parts((await owned(known, caller, upload)).size or 0)
    except ObjectMissing:
        raise _not_arrived() from None
    listed = [{"PartNumber": each.number, "Size": each.size, "ETag": each.etag} for each in found]
    return JSONResponse(listed, headers=_NOT_KEPT)


async def complete(request: Request, caller: Caller) -> Response:
    """202 when what the parts have brought was judged and is taken. May be asked again. Which parts there are the
    bucket knows: of the body nothing is read."""
    _, upload = await _named(request, caller)
    return await _finished(request, caller, upload, in_parts=True)


async def abort(request: Request, caller: Caller) -> Response:
    """Gives up an upload in parts: nothing is left of it. Idempotent. One that is taken stays."""
    known, upload = await _named(request, caller)
    await _direct(known, caller).aabort(upload)
    return JSONResponse({}, headers=_NOT_KEPT)


# Of which upload, and for whom


async def _named(request: Request, caller: Caller) -> tuple[Parts, str]:
    """The upload that a path names, and its `key` as well. Every other one is one that there is not."""
    known, upload = parts_of(request), request.path_params["upload"]
    await owned(known, caller, upload)
    if request.query_params.get("key") != upload:
        raise not_found()
    return known, upload


def _of_form(key: str) -> str:
    """The upload that a form was for, by the `key` in it, which Uppy says, or by its id."""
    found = re.fullmatch(r"(?:.*/direct-)?([0-9a-f]{32})", key)
    if found is None:
        raise not_found()
    return found[1]


def _spec(known: Parts) -> Spec[UploadedFile]:
    if known.direct is None:
        raise Refused(409, "direct_unavailable", "files do not lie in a bucket here: send them to the service itself")
    return known.direct


def _direct(known: Parts, caller: Caller, owner: Owned | None = None) -> DirectUploads:
    """Those of a caller."""
    settings = known.settings
    register = Owned(known.pipeline, owner=caller.owner, quota=known.quota) if owner is None else owner
    return DirectUploads(
        replace(_spec(known), register=register),
        expires_seconds=settings.direct_seconds,
        digest=settings.direct_sha256,
    )


def _beginning(request: Request, caller: Caller, asked: _Asked) -> DirectUploads:
    """For one that begins, with what is said of it."""
    known = parts_of(request)
    owner = Owned(
        known.pipeline,
        owner=caller.owner,
        quota=known.quota,
        expected_size=asked.size or 0,
        expires_at=expiry(known.settings),
    )
    direct = _direct(known, caller, owner)
    if known.quota is not None and known.quota.bytes is not None and asked.size is None:
        raise Refused(411, "length_required", "there is a quota: say the size of the file, as size or metadata[size]")
    owner.say(**asked.words)
    request.state.owned = owner  # for the log, whatever comes of it
    return direct


async def _finished(request: Request, caller: Caller, upload: str, *, in_parts: bool) -> Response:
    """To judge a file takes as long as to read it: so it counts as an upload that is under way."""
    known = parts_of(request)
    direct = _direct(known, caller)
    async with known.turns.uploading(caller):
        with suppress(ObjectExists):  # it was taken before, and its answer got lost
            try:
                if in_parts:
                    await direct.acomplete(upload)
                await direct.afinish(upload)
            except ObjectMissing:
                raise _not_arrived() from None
    accepted = taken(request, [await owned(known, caller, upload)])
    answer = accepted | {"location": address(request, f"/uploads/{upload}"), "key": upload}
    return JSONResponse(answer, status_code=202, headers=_NOT_KEPT)


def _not_arrived() -> Refused:
    return Refused(409, "not_arrived", "nothing has arrived of this upload")


# What a client says of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """`size` is in bytes, None where nothing was said of it."""

    filename: str
    content_type: str | None
    size: int | None
    sha256: str | None
    words: Said

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> _Asked:
        """From members of JSON; what is not there itself may be in its `metadata`, where Uppy has room for it. Whatever
        else Uppy has put there means nothing. Raises `MalformedUpload`, and `FieldRefused` for words that are none."""
        metadata = {} if said.get("metadata") is None else said["metadata"]
        if not isinstance(metadata, Mapping):
            raise MalformedUpload("the metadata of a file is an object of JSON")
        known = {name: said.get(name, metadata.get(name)) for name in ("size", "sha256", "priority", "tags")}
        texts = [(name, _text(known[name], name)) for name in ("priority", "tags") if known[name] is not None]
        return cls(
            filename=_text(said.get("filename"), "filename"),
            content_type=None if said.get("type") is None else _text(said["type"], "type"),
            size=_size(known["size"]),
            sha256=None if known["sha256"] is None else _text(known["sha256"], "sha256"),
            words=said_of(FieldValues(texts)),
        )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedUpload(f"{name} is a text")
    return value


def _size(value: object) -> int | None:
    """As JSON has it, which knows but one kind of numbers, or in digits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 4000:
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise MalformedUpload("the size of a file is a number of bytes")


def _query(request: Request) -> dict[str, Any]:
    """What stands in an address, as JSON would have it: `metadata[size]=5` is a member of its metadata."""
    said: dict[str, Any] = {"metadata": {}}
    for name, value in request.query_params.multi_items():
        inner = re.fullmatch(r"metadata\[(.*)\]", name)
        if inner is not None:
            said["metadata"][inner[1]] = value
        elif name != "metadata":
            said[name] = value
    return said


async def _said(request: Request) -> dict[str, Any]:
    """The JSON of a request. It is small, and is not waited for longer than a client may be silent."""
    body, seconds = bytearray(), parts_of(request).settings.idle_seconds
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > SAID_SIZE:
                    text = f"what is said of a file has more than {SAID_SIZE} bytes"
                    raise LimitExceeded(text, limit="body_size", allowed=SAID_SIZE, seen=len(body))
    except TimeoutError:
        text = f"the request did not end within {seconds:g} seconds"
        raise UploadTooSlow(text, limit="idle_seconds", allowed=seconds, seen=seconds) from None
    except ClientDisconnect:
        raise ClientDisconnected from None
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise MalformedUpload("the request is an object of JSON: filename, type, metadata")
    return said


_NOT_KEPT: Final = {"Cache-Control": "no-store"}
