"""`POST /uploads`: one or many files, whatever their fields are called, and beside them `priority` and `tags`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..adapters.asgi import form_headers
from ..adapters.starlette import receive_request
from ..errors import RecordExists, RecordMissing, StorageError, UploadChanged, UploadError
from ..intake.asynchronous import akept_if_handled
from ..processing.owned import Owned
from ..records.lifecycle import GONE, State
from ..records.record import UploadRecord
from ..storage.threads import in_thread
from .addresses import address
from .callers import Caller
from .parts import Parts, parts_of
from .problems import Refused
from .settings import Settings
from .shown import accepted
from .uploads import of_batch
from .words import said

__all__ = ["expiry", "receive", "taken"]

ALIVE_SECONDS = 10.0
LOST_SECONDS = 60.0
"""So often a request with an Idempotency-Key says that it is under way, and so long after the last time it is lost."""

ALL_ALIVE_SECONDS = 300.0
"""So often every request says so of each of its uploads: what is silent for `jobs.SILENT_SECONDS` is ended."""


async def receive(request: Request, caller: Caller) -> Response:
    """202 when all files are stored and their work is about to begin; with an error nothing of any of them is left.

    A request that is sent again with the same Idempotency-Key is answered as the first was, and nothing of it is read.
    """
    parts, key = parts_of(request), _idempotency_key(request)
    if key is not None and (earlier := await _earlier(parts, caller, key)):
        return _answer(request, earlier)
    _, size = form_headers(request.scope["headers"])
    if parts.quota is not None and parts.quota.bytes is not None and size is None:
        raise Refused(411, "length_required", "there is a quota: send the Content-Length")
    owner = Owned(
        parts.pipeline,
        owner=caller.owner,
        quota=parts.quota,
        expected_size=size or 0,
        idempotency_key=key,
        expires_at=expiry(parts.settings),
    )
    request.state.owned = owner  # for the log, whatever comes of it
    spec = replace(parts.form, register=owner)
    async with parts.turns.uploading(caller), _under_way(parts, owner, key):
        try:
            received = await receive_request(spec, request, None)
        except RecordExists:
            raise _conflict() from None
        async with akept_if_handled(spec, received.submission):
            owner.say(**said(received.submission.fields))
    return _answer(request, await of_batch(parts, caller, owner.batch or ""))


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise Refused(400, "idempotency_key_refused", "an Idempotency-Key is 1 to 255 printable characters of ASCII")
    return key


async def _earlier(parts: Parts, caller: Caller, key: str) -> list[UploadRecord] | None:
    """The uploads of an earlier request with this key. One that came to nothing does not count, and lets its key go."""
    ledger = parts.pipeline.ledger
    found = await ledger.afind(owner=caller.owner, idempotency_key=key, limit=1)
    if not found:
        return None
    with suppress(UploadChanged, RecordMissing):
        batch = await of_batch(parts, caller, found[0].batch or "") or found
        if any(record.state is State.RECEIVING for record in batch):
            if found[0].changed_at > datetime.now(UTC) - timedelta(seconds=LOST_SECONDS):
                raise _conflict()
            await _end_lost(parts, batch)
        elif any(record.size is not None for record in batch):  # they were accepted, whatever has become of them
            return batch
        await _let_go(parts, found[0].id)
        return None
    raise _conflict()


async def _let_go(parts: Parts, upload: str) -> None:
    """Takes its key from an upload that is gone, whose bytes are being removed, perhaps. Raises `UploadChanged`."""
    ledger = parts.pipeline.ledger
    while True:
        try:
            await ledger.achange(await ledger.aget(upload), idempotency_key=None)
        except UploadChanged as error:
            if error.state not in GONE:
                raise
        else:
            return


@asynccontextmanager
async def _under_way(parts: Parts, owner: Owned, key: str | None) -> AsyncIterator[None]:
    """Says again and again that a request lives: one whose process has died is known by its silence. It is the first
    upload that has the key."""
    ledger = parts.pipeline.ledger

    async def say(seconds: float, most: int | None) -> None:
        while True:
            await asyncio.sleep(seconds)
            for upload in owner.uploads[:most]:
                with suppress(UploadError):  # it is said again soon
                    record = await ledger.aget(upload)
                    if record.state is State.RECEIVING or most is not None:
                        await ledger.achange(record)

    saying = [asyncio.create_task(say(ALL_ALIVE_SECONDS, None))]
    if key is not None:
        saying.append(asyncio.create_task(say(ALIVE_SECONDS, 1)))
    try:
        yield
    finally:
        for each in saying:
            each.cancel()
        await asyncio.gather(*saying, return_exceptions=True)


async def _end_lost(parts: Parts, batch: Sequence[UploadRecord]) -> None:
    """Ends the uploads of a request that has died. Raises `UploadChanged` where it has not: either all of its files are
    accepted then, or none can be any more."""
    for record in batch:
        if record.state is State.RECEIVING:
            moved = await parts.pipeline.ledger.amove(
                record.id, State.REJECTED, since={State.RECEIVING}, reason="its request was lost"
            )
            with suppress(StorageError):  # a sweep removes what is left
                await in_thread(parts.pipeline.remove, moved)


def _conflict() -> Refused:
    text = "a request with this Idempotency-Key is under way"
    return Refused(409, "idempotency_conflict", text, headers={"Retry-After": "1"})


def expiry(settings: Settings) -> datetime | None:
    """When the time of an upload is over that begins now."""
    seconds = settings.expire_seconds
    return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)


def taken(request: Request, records: Sequence[UploadRecord]) -> dict[str, Any]:
    """What is told of the files of a request that were taken."""
    return {
        "batch": records[0].batch,
        "batch_url": address(request, f"/batches/{records[0].batch}"),
        "uploads": [accepted(request, record) for record in records],
        "total": len(records),
    }


def _answer(request: Request, records: Sequence[UploadRecord]) -> Response:
    return JSONResponse(taken(request, records), status_code=202, headers={"Cache-Control": "no-store"})
