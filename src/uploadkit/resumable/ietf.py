"""Resumable uploads as the IETF has them: draft-ietf-httpbis-resumable-upload, in its text after draft 11.

What a request means, and what it is answered; `uploads` does it. `Upload-Draft-Interop-Version` says which text a
client was written by, and these are understood:

    3     draft 01             Upload-Incomplete in the place of Upload-Complete
    4, 5  draft 02, 03         any Content-Type for what is appended
    6     draft 04, 05         application/partial-upload; Upload-Limit has `expires`
    7, 8  draft 06 and later   Upload-Limit has `max-age`; 204 where it was 201

A request without it, or with a later one, is taken by the newest text. There are no answers 104, which ASGI and WSGI
cannot send: so a client that wants to resume begins with a request without content, and is told where the upload is.

The answer to the request that completes an upload is the application's own: see `Answer`. It is given once. Whose
answer was lost asks by HEAD, and sees that the upload is complete; whatever is appended then is refused, as the draft
demands, and changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from ..adapters.problem import problem_headers
from ..errors import (
    ChecksumMismatch,
    FileRefused,
    InvalidForm,
    LengthConflict,
    LimitExceeded,
    MalformedForm,
    MalformedUpload,
    OffsetConflict,
    UnsupportedMediaType,
    UploadError,
)
from ..intake.steps import Steps
from ..multipart.headers import disposition_filename, media_type
from .checksums import Checksum, sha256_in
from .protocol import Answer, Request, joined, problem
from .tus import announced_by
from .uploads import Announced, ResumableUploads, Standing

__all__ = ["PARTIAL_TYPE", "VERSIONS", "Ietf"]

PARTIAL_TYPE: Final = "application/partial-upload"
"""The type of every body that is appended to an upload."""

VERSIONS: Final = range(3, 9)
"""The interop versions that are understood."""

_FRAMING: Final = frozenset(("content-length", "transfer-encoding"))
"""Where an answer ends: that is known by its body, and is not the application's to say."""

_PROBLEMS: Final = "https://iana.org/assignments/http-problem-types#"


class Ietf:
    """Speaks the draft over `uploads`."""

    def __init__(self, uploads: ResumableUploads) -> None:
        self._uploads = uploads

    def respond(self, request: Request) -> Steps[Answer]:
        """See `Speaks`."""
        request = request.overridden()
        if request.method == "OPTIONS":
            limits = self._limits(_version(request), self._uploads.expires_seconds)
            return Answer(status=204, headers={"Accept-Patch": PARTIAL_TYPE, **limits})
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
            return Answer(status=204)
        return _not_allowed("DELETE, HEAD, OPTIONS, PATCH")

    def refused(self, request: Request, error: UploadError) -> Answer:
        """See `Speaks`. A verdict on a file of which all was sent is the final answer to the upload."""
        request, headers = request.overridden(), problem_headers(error)
        version = _version(request)
        if isinstance(error, OffsetConflict):
            headers["Upload-Offset"] = str(error.expected)
        if isinstance(error, FileRefused | InvalidForm) and _says_complete(request, version):
            headers |= _completeness(version, is_complete=True)
        if isinstance(error, UnsupportedMediaType) and request.method == "PATCH":
            headers["Accept-Patch"] = PARTIAL_TYPE
        status = 400 if isinstance(error, ChecksumMismatch) or _is_of_length(error) else error.status
        if status == 413:
            headers |= self._limits(version, self._uploads.expires_seconds)
        if request.method == "HEAD":
            return Answer(status=status, headers={**headers, "Cache-Control": "no-store"})
        body = json.dumps(_problem(error, status), separators=(",", ":")).encode("ascii")
        return Answer(status=status, headers=headers, body=body)

    def _create(self, request: Request) -> Steps[Answer]:
        said = _Said.by(request, 0)
        if said.is_complete is None:
            raise MalformedUpload("a first request says whether it brings all: send the header Upload-Complete")
        announced = self._announced(request, said)
        if request.body_length == 0:
            standing = yield from self._uploads.create(announced, owner=request.owner)
        else:
            standing = yield from self._uploads.receive(
                announced,
                owner=request.owner,
                body_length=request.body_length,
                is_last=said.is_complete,
                checksum=_checksum(request),
                interrupt=request.interrupt,
            )
        where = {"Location": request.location(standing.upload)}
        return self._answer(said.version, standing, status=201, headers=where)

    def _patch(self, request: Request) -> Steps[Answer]:
        version = _version(request)
        if version > 5 and media_type(request.headers.get("content-type")) != PARTIAL_TYPE:
            raise UnsupportedMediaType(f"bytes of an upload are sent as {PARTIAL_TYPE}")
        offset = _integer(request.headers.get("upload-offset"))
        if offset is None:
            raise MalformedUpload("a PATCH says where its bytes begin: send the header Upload-Offset")
        said = _Said.by(request, offset)
        if said.is_complete is None:
            raise MalformedUpload("a PATCH says whether its bytes are the last: send the header Upload-Complete")
        standing = yield from self._uploads.append(
            request.upload,
            owner=request.owner,
            offset=offset,
            body_length=request.body_length,
            length=said.length,
            is_last=said.is_complete,
            checksum=_checksum(request),
            ends_too_long=request.body_length is None,  # more has come, and was not only announced
            interrupt=request.interrupt,
        )
        if standing.was_finished:
            raise _Completed(standing)
        where = {"Location": request.location(standing.upload)} if standing.is_finished else {}
        return self._answer(version, standing, status=201 if version < 7 else 204, headers=where)

    def _head(self, request: Request) -> Steps[Answer]:
        version = _version(request)
        standing = yield from self._uploads.find(request.upload, owner=request.owner, interrupt=request.interrupt)
        length = {} if standing.length is None else {"Upload-Length": str(standing.length)}
        known = self._known(version, standing) | length | {"Cache-Control": "no-store"}
        return Answer(status=204, headers=known)

    def _announced(self, request: Request, said: _Said) -> Announced:
        """What is said of the upload by its first request. Upload-Metadata is no word of the draft: the clients of tus
        that speak both send it, and a form's text values come by nothing else."""
        headers = request.headers
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise UnsupportedMediaType("a file is taken as it is: send it without a Content-Encoding")
        announced = announced_by(headers.get("upload-metadata", ""), self._uploads.spec.form.texts.keys())
        declared = media_type(headers.get("content-type"))
        digest = sha256_in(headers.get("repr-digest", ""))
        is_empty = said.length == request.body_length == 0 and said.version < 7  # tus-js-client sends nothing more
        return replace(
            announced,
            length=said.length,
            filename=_filename(headers.get("content-disposition")) or announced.filename,
            declared_type=announced.declared_type if declared in ("", PARTIAL_TYPE) else declared,
            needs_last=not (is_empty or (said.is_complete and said.length is not None)),
            sha256=None if digest is None else digest.hex(),
        )

    def _answer(self, version: int, standing: Standing, *, status: int, headers: Mapping[str, str]) -> Answer:
        known = {**headers, **self._known(version, standing)}
        if not standing.is_finished:
            return Answer(status=status, headers=known)
        own = standing.answer if isinstance(standing.answer, Answer) else Answer(status=201)
        said = {name: value for name, value in own.headers.items() if name.lower() not in _FRAMING}
        return replace(own, headers=joined(known, said, _completeness(version, is_complete=True)))

    def _known(self, version: int, standing: Standing) -> dict[str, str]:
        known = {"Upload-Offset": str(standing.offset), **_completeness(version, is_complete=standing.is_finished)}
        left = standing.expires_at - datetime.now(UTC)
        return known if standing.is_finished else known | self._limits(version, max(0, int(left.total_seconds())))

    def _limits(self, version: int, seconds: int) -> dict[str, str]:
        """What an upload may be, and how many seconds it is kept from now."""
        uploads = self._uploads
        sizes = {"max-size": uploads.max_size, "min-size": uploads.min_size or None}
        limits = sizes | {"max-age" if version > 6 else "expires": seconds}
        return {"Upload-Limit": ", ".join(f"{name}={value}" for name, value in limits.items() if value is not None)}


@dataclass(frozen=True, slots=True)
class _Said:
    """What a request says by its headers of the end of an upload. `is_complete` is whether its bytes are the last ones,
    None where it does not say; `length` is that of all of them."""

    version: int
    is_complete: bool | None
    length: int | None

    @classmethod
    def by(cls, request: Request, offset: int) -> _Said:
        """Of a request whose bytes begin at `offset`. Raises `LengthConflict` where it says two lengths."""
        version = _version(request)
        is_complete = _says_complete(request, version)
        length = _integer(request.headers.get("upload-length"))
        end = None if request.body_length is None else offset + request.body_length
        if is_complete is None and version < 7 and request.method == "PATCH":  # its drafts have examples without it
            is_complete = length == offset + (request.body_length or 0)
        if is_complete and end is not None:
            if length not in (None, end):
                raise LengthConflict(f"the upload is said to have {length} bytes, and its last ones end at {end}")
            length = end
        return cls(version, is_complete, length)


class _Completed(MalformedUpload):
    """Something was appended to an upload that was complete."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(f"this upload is complete, with {standing.offset} bytes: nothing more is appended")


def _version(request: Request) -> int:
    """Where it is none that is understood, the newest."""
    version = _integer(request.headers.get("upload-draft-interop-version"))
    return VERSIONS[-1] if version is None or version not in VERSIONS else version


def _says_complete(request: Request, version: int) -> bool | None:
    if version == 3:
        is_incomplete = _boolean(request.headers.get("upload-incomplete"))
        return None if is_incomplete is None else not is_incomplete
    return _boolean(request.headers.get("upload-complete"))


def _completeness(version: int, *, is_complete: bool) -> dict[str, str]:
    if version == 3:
        return {"Upload-Incomplete": "?0" if is_complete else "?1"}
    return {"Upload-Complete": "?1" if is_complete else "?0"}


def _problem(error: UploadError, status: int) -> dict[str, object]:
    """The problem details of an error, of which the draft has types of its own for some."""
    members = error.problem()
    if status != error.status:
        members |= {"status": status, "title": HTTPStatus(status).phrase}
    if isinstance(error, OffsetConflict):
        offsets = {"expected-offset": error.expected, "provided-offset": error.provided}
        return members | {"type": f"{_PROBLEMS}mismatching-upload-offset"} | offsets
    if isinstance(error, _Completed):
        return members | {"type": f"{_PROBLEMS}completed-upload"}
    if isinstance(error, LengthConflict) or _is_of_length(error):
        return members | {"type": f"{_PROBLEMS}inconsistent-upload-length"}
    return members


def _is_of_length(error: UploadError) -> bool:
    """Whether more bytes were sent than the upload is to have."""
    return isinstance(error, LimitExceeded) and error.limit == "upload_length"


def _checksum(request: Request) -> Checksum | None:
    digest = sha256_in(request.headers.get("content-digest", ""))
    return None if digest is None else Checksum("sha256", digest)


def _filename(disposition: str | None) -> str | None:
    if disposition is None:
        return None
    try:  # a header is Latin-1 here, and UTF-8 where it is not ASCII: curl and others send it so
        return disposition_filename(disposition.encode("latin-1").decode("utf-8", "surrogateescape"))
    except (MalformedForm, UnicodeEncodeError):
        raise MalformedUpload("the Content-Disposition has no name that can be read; see RFC 6266") from None


# Items of structured fields (RFC 9651), with parameters that nobody has defined. Another value is as good as none: so
# the draft wants it.
_integer_item = re.compile(r"[ ]*([0-9]{1,15})(?:;.*)?[ ]*").fullmatch
_boolean_item = re.compile(r"[ ]*\?([01])(?:;.*)?[ ]*").fullmatch


def _integer(value: str | None) -> int | None:
    match = _integer_item(value or "")
    return None if match is None else int(match[1])


def _boolean(value: str | None) -> bool | None:
    match = _boolean_item(value or "")
    return None if match is None else match[1] == "1"


def _not_allowed(methods: str) -> Answer:
    return problem(MalformedUpload(f"here are {methods}", status=405), {"Allow": methods})
