"""`POST /uploads`: one or many files, whatever their fields are called, and beside them `priority` and `tags`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..adapters.asgi import form_headers
from ..adapters.starlette import receive_request
from ..errors import FieldRefused, RecordExists, UploadChanged, quoted
from ..intake.asynchronous import akept_if_handled
from ..processing.owned import Owned
from ..processing.queue import Priority
from ..records.lifecycle import GONE, State
from ..records.record import UploadRecord
from ..uploads import FieldValues
from .callers import Caller
from .parts import Parts, parts_of
from .problems import Refused
from .shown import accepted

__all__ = ["receive"]

MOST_TAGS = 20
TAG_SIZE = 64
VALUE_SIZE = 255
"""Characters of a tag's name, and of its value."""


async def receive(request: Request, caller: Caller) -> Response:
    """202 when all files are stored and their work is about to begin; with an error nothing of any of them is left.

    A request that is sent again with the same Idempotency-Key is answered as the first was, and nothing of it is read.
    """
    parts, key = parts_of(request), _idempotency_key(request)
    if key is not None and (earlier := await _earlier(parts, caller, key)):
        return _answer(parts, earlier)
    _, size = form_headers(request.scope["headers"])
    if parts.quota is not None and parts.quota.bytes is not None and size is None:
        raise Refused(411, "length_required", "there is a quota: send the Content-Length")
    expires = parts.settings.expire_seconds
    owner = Owned(
        parts.pipeline,
        owner=caller.owner,
        quota=parts.quota,
        expected_size=size or 0,
        idempotency_key=key,
        expires_at=None if expires is None else datetime.now(UTC) + timedelta(seconds=expires),
    )
    spec = replace(parts.form, register=owner)
    async with parts.turns.uploading(caller):
        try:
            received = await receive_request(spec, request, None)
        except RecordExists:
            raise _under_way() from None
        async with akept_if_handled(spec, received.submission):
            words = Words.of(received.submission.fields)
            owner.say(priority=words.priority, tags=words.tags)
    return _answer(parts, await _of_batch(parts, owner.batch or ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a request says of its files."""

    priority: Priority | None
    tags: dict[str, str]

    @classmethod
    def of(cls, fields: FieldValues) -> Words:
        """Raises `FieldRefused`, also for a field that means nothing here: it may have been misspelt."""
        for name in fields:
            if name not in ("priority", "tags"):
                raise FieldRefused(f"there is no text field {quoted(name)}, but priority and tags", field=name)
        return cls(priority=_priority(fields.get("priority")), tags=_tags(fields.getlist("tags")))


def _priority(text: str | None) -> Priority | None:
    if not text:
        return None
    for each in Priority:
        if text.lower() == each.name.lower() or text == str(each.value):
            return each
    names = ", ".join(each.name.lower() for each in Priority)
    raise FieldRefused(f"priority is one of {names}, and not {quoted(text)}", field="priority")


def _tags(values: Sequence[str]) -> dict[str, str]:
    """Each is `name` or `name=value`; a comma stands between several."""
    tags: dict[str, str] = {}
    for word in (word.strip() for value in values for word in value.split(",")):
        if not word:
            continue
        name, _, value = word.partition("=")
        if not name.strip() or len(name) > TAG_SIZE or len(value) > VALUE_SIZE or not word.isprintable():
            text = f"a tag is a name of {TAG_SIZE} characters at most, or name=value: {quoted(word)}"
            raise FieldRefused(text, field="tags")
        tags[name.strip()] = value.strip()
    if len(tags) > MOST_TAGS:
        raise FieldRefused(f"there are {len(tags)} tags, of {MOST_TAGS} at most", field="tags")
    return tags


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise Refused(400, "idempotency_key_refused", "an Idempotency-Key is 1 to 255 printable characters of ASCII")
    return key


async def _earlier(parts: Parts, caller: Caller, key: str) -> list[UploadRecord] | None:
    """The uploads that came with this key. One that came to nothing does not count, and lets its key go."""
    ledger = parts.pipeline.ledger
    found = await ledger.afind(owner=caller.owner, idempotency_key=key, limit=1)
    if not found:
        return None
    record = found[0]
    if record.state is State.RECEIVING:
        raise _under_way()
    if record.state in GONE:
        with suppress(UploadChanged):
            await ledger.achange(record, idempotency_key=None)
        return None
    return await _of_batch(parts, record.batch or "")


def _under_way() -> Refused:
    text = "a request with this Idempotency-Key is under way"
    return Refused(409, "idempotency_conflict", text, headers={"Retry-After": "1"})


async def _of_batch(parts: Parts, batch: str) -> list[UploadRecord]:
    """In the order in which they came."""
    found = await parts.pipeline.ledger.afind(batch=batch, limit=parts.settings.max_files)
    return found[::-1]


def _answer(parts: Parts, records: Sequence[UploadRecord]) -> Response:
    answer = {
        "batch": records[0].batch,
        "batch_url": f"/batches/{records[0].batch}",
        "uploads": [accepted(parts, record) for record in records],
        "total": len(records),
    }
    return JSONResponse(answer, status_code=202, headers={"Cache-Control": "no-store"})
