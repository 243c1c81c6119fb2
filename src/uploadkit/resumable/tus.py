"""tus 1.0.0 (https://tus.io/protocols/resumable-upload): the core protocol, and the extensions creation,
creation-with-upload, creation-defer-length, expiration, checksum, termination and concatenation.

What a request means, and what it is answered; `uploads` does it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Final

from ..errors import MalformedUpload, UnsupportedMediaType, UploadError
from ..intake.steps import Steps
from ..multipart.headers import media_type
from .checksums import ALGORITHMS, Checksum
from .protocol import Answer, Request, expiry, problem, whole_number
from .uploads import Announced, ResumableUploads, Standing

__all__ = ["EXTENSIONS", "OFFSET_TYPE", "VERSION", "Tus"]

VERSION: Final = "1.0.0"

EXTENSIONS: Final = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "expiration",
    "checksum",
    "termination",
    "concatenation",
)

OFFSET_TYPE: Final = "application/offset+octet-stream"
"""The type of every body that is bytes of an upload."""

_EACH = {"Tus-Resumable": VERSION}

# What clients call the file's name and type: tus-js-client and tuspy leave it to their users, Uppy sends all of these.
_NAMES = ("filename", "name")
_TYPES = ("filetype", "type", "contentType")
_OF_UPPY = ("relativePath",)

_MOST_PIECES = 1000


class Tus:
    """Speaks tus over `uploads`."""

    def __init__(self, uploads: ResumableUploads) -> None:
        self._uploads = uploads

    def respond(self, request: Request) -> Steps[Answer]:
        """See `Speaks`."""
        request = request.overridden()
        if request.method == "OPTIONS":
            return self._options()
        if request.headers.get("tus-resumable") != VERSION:
            raise MalformedUpload(f"this is tus {VERSION}: send the header Tus-Resumable with it", status=412)
        if not request.upload:
            if request.method != "POST":
                return _not_allowed("OPTIONS, POST")
            return (yield from self._create(request))
        if request.method == "HEAD":
            return (yield from self._head(request))
        if request.method == "PATCH":
            return (yield from self._patch(request))
        if request.method == "DELETE":
            yield from self._uploads.terminate(request.upload, owner=request.owner, interrupt=request.interrupt)
            return Answer(status=204, headers=_EACH)
        return _not_allowed("DELETE, HEAD, OPTIONS, PATCH")

    def refused(self, request: Request, error: UploadError) -> Answer:
        """See `Speaks`."""
        headers = _EACH | ({"Tus-Version": VERSION} if error.status == 412 else {})
        answer = problem(error, headers)
        if request.overridden().method == "HEAD":
            return replace(answer, headers={**answer.headers, "Cache-Control": "no-store"}, body=b"")
        return answer

    def _options(self) -> Answer:
        most = self._uploads.max_size
        size = {} if most is None else {"Tus-Max-Size": str(most)}
        known = {"Tus-Version": VERSION, "Tus-Extension": ",".join(EXTENSIONS)}
        return Answer(status=204, headers=_EACH | known | size | {"Tus-Checksum-Algorithm": ",".join(ALGORITHMS)})

    def _create(self, request: Request) -> Steps[Answer]:
        concat = request.headers.get("upload-concat")
        metadata = request.headers.get("upload-metadata", "")
        brings = self._brings_bytes(request)
        if concat is not None and concat.startswith("final"):
            if brings:
                raise MalformedUpload("what is put together of pieces brings no bytes of its own", status=403)
            return (yield from self._concatenate(request, concat, metadata))
        if concat not in (None, "partial"):
            raise MalformedUpload("Upload-Concat is partial, or final; and the addresses of what is put together")
        length = whole_number("Upload-Length", request.headers.get("upload-length"))
        deferred = request.headers.get("upload-defer-length")
        if deferred not in (None, "1") or (deferred is None) == (length is None):
            raise MalformedUpload("an upload has an Upload-Length, or Upload-Defer-Length: 1")
        checksum = _checksum(request) if brings else None
        announced = self._announced(metadata, length, concat)
        if not brings:
            return _created(request, (yield from self._uploads.create(announced, owner=request.owner)))
        standing = yield from self._uploads.receive(
            announced,
            owner=request.owner,
            body_length=request.body_length,
            checksum=checksum,
            interrupt=request.interrupt,
        )
        return _created(request, standing, brings=True)

    def _concatenate(self, request: Request, concat: str, metadata: str) -> Steps[Answer]:
        if {"upload-length", "upload-defer-length"} & request.headers.keys():
            raise MalformedUpload("an upload that is put together is as long as its pieces: it has no Upload-Length")
        kind, _, addresses = concat.partition(";")
        pieces = [_piece(address) for address in addresses.split()]
        if kind != "final" or not pieces:
            raise MalformedUpload("Upload-Concat is final; and the addresses of what is put together")
        if len(pieces) > _MOST_PIECES:
            raise MalformedUpload(f"an upload is put together of at most {_MOST_PIECES} pieces")
        announced = self._announced(metadata, None, concat)
        standing = yield from self._uploads.concatenate(announced, pieces, owner=request.owner)
        return _created(request, standing)

    def _head(self, request: Request) -> Steps[Answer]:
        standing = yield from self._uploads.find(request.upload, owner=request.owner, interrupt=request.interrupt)
        known = {"Upload-Offset": str(standing.offset), "Cache-Control": "no-store"}
        known |= {"Upload-Defer-Length": "1"} if standing.length is None else {"Upload-Length": str(standing.length)}
        for header, name in (("Upload-Metadata", "metadata"), ("Upload-Concat", "concat")):
            if told := standing.told.get(name):
                known[header] = told
        return Answer(status=200, headers=_EACH | known | _expires(standing))

    def _patch(self, request: Request) -> Steps[Answer]:
        if not self._brings_bytes(request):
            raise UnsupportedMediaType(f"bytes of an upload are sent as {OFFSET_TYPE}")
        offset = whole_number("Upload-Offset", request.headers.get("upload-offset"))
        if offset is None:
            raise MalformedUpload("a PATCH says where its bytes begin: send the header Upload-Offset")
        standing = yield from self._uploads.append(
            request.upload,
            owner=request.owner,
            offset=offset,
            body_length=request.body_length,
            length=whole_number("Upload-Length", request.headers.get("upload-length")),
            checksum=_checksum(request),
            interrupt=request.interrupt,
        )
        return Answer(status=204, headers=_EACH | {"Upload-Offset": str(standing.offset)} | _expires(standing))

    def _brings_bytes(self, request: Request) -> bool:
        """Raises `UnsupportedMediaType` for a body that is something else."""
        if media_type(request.headers.get("content-type")) == OFFSET_TYPE:
            return True
        if request.body_length:
            raise UnsupportedMediaType(f"bytes of an upload are sent as {OFFSET_TYPE}")
        return False

    def _announced(self, metadata: str, length: int | None, concat: str | None) -> Announced:
        told = {"metadata": metadata} | ({} if concat is None else {"concat": concat})
        announced = announced_by(metadata, self._uploads.spec.form.texts.keys())
        return replace(announced, length=length, is_piece=concat == "partial", told=told)


def announced_by(metadata: str, texts: Set[str]) -> Announced:
    """What Upload-Metadata says of an upload, where `texts` are the text fields that are asked for. Raises
    `MalformedUpload`."""
    values = parse_metadata(metadata)
    own = {name: value for name, value in values.items() if name not in texts}
    taken = {*_NAMES, *_TYPES, *_OF_UPPY} - texts
    return Announced(
        length=None,
        filename=next((own[name] for name in _NAMES if own.get(name)), ""),
        declared_type=next((own[name] for name in _TYPES if own.get(name)), None),
        fields=[(name, value) for name, value in values.items() if name not in taken],
        told={"metadata": metadata},
    )


def parse_metadata(header: str) -> Mapping[str, str]:
    """Upload-Metadata: names, each with its value in base64, or none. Raises `MalformedUpload`."""
    values: dict[str, str] = {}
    for pair in header.split(","):
        name, _, encoded = pair.strip().partition(" ")
        if not name:
            if header.strip():
                raise MalformedUpload("Upload-Metadata has an empty name")
            break
        if not _is_name(name) or name in values:
            raise MalformedUpload("Upload-Metadata has names of ASCII without spaces and commas, each of them once")
        try:
            values[name] = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise MalformedUpload("the values of Upload-Metadata are text in UTF-8, in base64") from None
    return values


_is_name = re.compile(r"[!-+\--~]+").fullmatch  # what can be seen of ASCII, without the comma


def _checksum(request: Request) -> Checksum | None:
    header = request.headers.get("upload-checksum")
    return None if header is None else Checksum.parse(header)


def _piece(address: str) -> str:
    """The id at the end of an address. That it is one of ours is seen when it is looked for."""
    return re.split("[?#]", address, maxsplit=1)[0].rstrip("/").rpartition("/")[2]


def _created(request: Request, standing: Standing, *, brings: bool = False) -> Answer:
    known = {"Location": request.location(standing.upload)}
    if brings:
        known["Upload-Offset"] = str(standing.offset)
    return Answer(status=201, headers=_EACH | known | _expires(standing))


def _expires(standing: Standing) -> dict[str, str]:
    return {} if standing.is_finished else {"Upload-Expires": expiry(standing)}


def _not_allowed(methods: str) -> Answer:
    return problem(MalformedUpload(f"here tus has {methods}", status=405), _EACH | {"Allow": methods})
