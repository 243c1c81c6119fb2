"""What is given out: uploads and what was made of them. Ranges, conditions, and headers that keep browsers safe.

Whatever somebody has uploaded, nothing of it runs here: a browser shows what it only draws or plays, and saves the
rest. An answer that has begun is whole, or its connection is closed before its end.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from ..errors import ObjectMissing, StorageError
from ..policy.media_types import PLAIN
from ..processing.pipeline import made_filename
from ..records.lifecycle import GONE, State
from ..records.record import UploadRecord
from ..storage.contract import SignsUrls, Storage
from ..storage.disposition import content_disposition
from ..storage.threads import in_thread
from .callers import Caller
from .links import Linked
from .parts import Parts, parts_of
from .problems import Refused, not_found
from .ranges import Given, Held, given
from .uploads import owned

__all__ = ["INLINE", "Asker", "original", "variant"]

Asker: TypeAlias = Caller | Linked
"""Who asks for a file: its owner, or whoever has a link that holds."""

PLAYED: Final = frozenset(
    {
        *("audio/aac", "audio/flac", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/wav", "audio/webm"),
        *("video/mp4", "video/ogg", "video/webm"),
    }
)

INLINE: Final = PLAYED | {
    *("image/avif", "image/bmp", "image/gif", "image/jpeg", "image/png", "image/webp"),
    PLAIN,
}
"""What a browser shows, by the type that was detected: it draws, plays or writes these, and runs nothing of them. The
rest is saved. So is a PDF, which has scripts and forms of its own: browsers show it in viewers that a sandbox shuts
out, and that differ in what they let it do."""

LONGEST_ADDRESS: Final = 7 * 24 * 60 * 60
"""Seconds that a storage's own address may hold: S3 takes no more."""

_log = logging.getLogger("uploadkit.service")


async def original(request: Request, asker: Asker) -> Response:
    """The upload itself. HEAD too."""
    record = await _completed(request, asker)
    return await _answer(request, asker, _original(parts_of(request), record))


async def variant(request: Request, asker: Asker) -> Response:
    """What was made of it, such as its thumbnail."""
    record = await _completed(request, asker)
    return await _answer(request, asker, await _variant(parts_of(request), record, request.path_params["variant"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file as it is given out. One that `stays` has the same bytes for ever."""

    storage: Storage
    key: str
    filename: str
    content_type: str
    held: Held
    stays: bool


async def _completed(request: Request, asker: Asker) -> UploadRecord:
    """The upload that is asked for. Raises `Refused` (404, or 409 where it is not ready)."""
    parts, upload = parts_of(request), request.path_params["upload"]
    if isinstance(asker, Caller):
        record = await owned(parts, asker, upload)
    else:
        record = await parts.pipeline.ledger.aget(upload)
    is_over = record.expires_at is not None and record.expires_at <= datetime.now(UTC)  # though no sweep has come yet
    if is_over or record.state in GONE or record.state is State.QUARANTINED:
        raise not_found()
    if record.state is not State.COMPLETED:
        soon = {} if record.is_settled else {"Retry-After": "1"}
        raise Refused(409, "not_ready", f"the upload is {record.state}", headers=soon)
    return record


def _original(parts: Parts, record: UploadRecord) -> _File:
    if record.storage is None or record.key is None or record.size is None:
        raise not_found()
    etag = record.sha256 or _digest(record.key, record.size)
    return _File(
        storage=parts.pipeline.storages[record.storage],
        key=record.key,
        filename=record.filename,
        content_type=record.content_type,
        held=Held(size=record.size, etag=f'"{etag}"', modified=record.created_at),
        stays=True,
    )


async def _variant(parts: Parts, record: UploadRecord, name: str) -> _File:
    for result in await parts.pipeline.ledger.aresults(record.id):
        if result.processor == "variants" and name in (variants := result.told["results"]):
            break
    else:
        raise not_found()
    told = variants[name]
    return _File(
        storage=parts.pipeline.storages[told["storage"]],
        key=told["key"],
        filename=made_filename(record.filename, name, told["content_type"]),
        content_type=told["content_type"],
        held=Held(size=told["size"], etag=f'"{_digest(told["key"], told["size"])}"', modified=result.at),
        stays=False,  # it may be made again, by other rules
    )


def _digest(key: str, size: int) -> str:
    """Nothing is ever replaced under a key."""
    return hashlib.sha256(f"{key}:{size}".encode()).hexdigest()[:32]


async def _answer(request: Request, asker: Asker, file: _File) -> Response:
    answer = given(request.method, request.headers, file.held)
    headers = {"ETag": file.held.etag, "Last-Modified": file.held.last_modified, **_keeping(asker, file)}
    if answer.status == 412:
        raise Refused(412, "precondition_failed", "the file is not the one that the request is for")
    if answer.status == 304:
        return Response(status_code=304, headers=headers)
    is_inline = file.content_type in INLINE and request.query_params.get("download") != "1"
    settings = parts_of(request).settings
    if settings.redirects and request.method == "GET" and isinstance(file.storage, SignsUrls):
        seconds = asker.seconds if isinstance(asker, Linked) else settings.link_seconds
        return await _redirect(file, file.storage, asker, seconds=seconds, is_inline=is_inline)
    if answer.status == 416:
        unsatisfied = {"Content-Range": f"bytes */{file.held.size}"}
        text = f"the file has {file.held.size} bytes, and none of those that were asked for"
        raise Refused(416, "range_not_satisfiable", text, headers=unsatisfied)
    headers |= _described(file, answer, is_inline=is_inline)
    headers["Cross-Origin-Resource-Policy"] = "cross-origin" if settings.cors_origins else "same-origin"
    try:
        if request.method == "HEAD":
            await in_thread(file.storage.stat, file.key)
            return Response(headers=headers)
        blocks, first = await in_thread(_begun, file.storage, file.key, answer.start, answer.end)
    except ObjectMissing:  # it was deleted just now, or somebody has lost it
        _log.warning("object %r of storage %r is not there, and is asked for", file.key, file.storage.name)
        raise
    return _Stream(request, file, blocks, first, answer.end - answer.start, status=answer.status, headers=headers)


def _keeping(asker: Asker, file: _File) -> dict[str, str]:
    """How long a browser may keep the file. Nobody else may: whose it is cannot be told by its address alone."""
    if isinstance(asker, Caller):
        return {"Cache-Control": "private, no-cache"}  # it asks whether it still may, and is answered 304
    return {"Cache-Control": f"private, max-age={asker.seconds}" + (", immutable" if file.stays else "")}


def _described(file: _File, answer: Given, *, is_inline: bool) -> dict[str, str]:
    headers = {
        "Content-Type": _content_type(file),
        "Content-Length": str(answer.end - answer.start),
        "Content-Disposition": content_disposition(file.filename, inline=is_inline),
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _PLAYER if is_inline and file.content_type in PLAYED else _SANDBOX,
    }
    if answer.status == 206:
        headers["Content-Range"] = f"bytes {answer.start}-{answer.end - 1}/{file.held.size}"
    return headers


_SANDBOX = "default-src 'none'; sandbox"
# Chromium plays a film in a page that it makes of it, and fetches it for that: with another origin it may not.
_PLAYER = "default-src 'none'; media-src 'self'; sandbox allow-same-origin"


def _content_type(file: _File) -> str:
    """Most texts are in UTF-8, which browsers do not take for granted; a mark at the beginning of others goes first."""
    return f"{PLAIN}; charset=utf-8" if file.content_type == PLAIN else file.content_type


async def _redirect(file: _File, storage: SignsUrls, asker: Asker, *, seconds: int, is_inline: bool) -> Response:
    """To the storage itself, for as long as the link holds. Type and disposition are inside the signature."""
    expires = min(max(60, seconds), LONGEST_ADDRESS)
    sign = partial(storage.sign_url, expires_seconds=expires, filename=file.filename, inline=is_inline)
    url = await in_thread(sign, file.key, content_type=_content_type(file))
    kept = f"private, max-age={min(seconds, expires) // 2}" if isinstance(asker, Linked) else "no-store"
    return RedirectResponse(url, 307, headers={"Cache-Control": kept})


_Blocks: TypeAlias = Iterator[bytes]


def _begun(storage: Storage, key: str, start: int, end: int) -> tuple[_Blocks, bytes | None]:
    """With the first block: what cannot be read is said before the answer begins."""
    blocks = storage.read(key, start, end)
    return blocks, next(blocks, None)


# A server takes a message and waits in front of the next one, until the first is out.
_WAIT: Message = {"type": "http.response.body", "body": b"", "more_body": True}


class _Stream(Response):
    """Blocks of a file, each read in a worker thread when the one before it is out. One is held, however slow a client
    is: as large as the storage makes them, at most 1 MiB."""

    def __init__(
        self,
        request: Request,
        file: _File,
        blocks: _Blocks,
        first: bytes | None,
        size: int,
        *,
        status: int,
        headers: dict[str, str],
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        self._request = request
        self._file = file
        self._blocks = blocks
        self._first = first
        self._size = size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._send_all(send)
        finally:
            if (close := getattr(self._blocks, "close", None)) is not None:  # an iterator need have none
                await in_thread(close)

    async def _send_all(self, send: Send) -> None:
        """Returns before the end where there is nobody any more, or no more to send: the server then closes the
        connection, and who counts sees that the file is not whole."""
        block, self._first = self._first, None  # which would be held to the end
        left = self._size
        while block is not None or left == 0:
            left -= len(block or b"")
            await send({"type": "http.response.body", "body": block or b"", "more_body": left > 0})
            if left <= 0:
                return
            block = None
            await send(_WAIT)
            if await self._request.is_disconnected():
                return
            try:
                block = await in_thread(next, self._blocks, None)
            except StorageError as error:
                _log.error("%s (storage %r, key %r)", error, error.storage, error.key, exc_info=error)
                return
        told = (self._file.key, self._file.storage.name, left, self._size)
        _log.error("object %r of storage %r has %d bytes of %d less than it should", *told)
