"""What is known of uploads, and their end. An owner's routes know of the owner's uploads alone."""

from __future__ import annotations

from collections import Counter
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..records.lifecycle import State
from ..records.record import UploadRecord
from .addresses import address
from .callers import Caller
from .parts import Parts, parts_of
from .problems import Refused, not_found
from .shown import listed, shown

__all__ = ["MOST_LISTED", "batch", "delete", "listing", "of_batch", "owned", "status"]

MOST_LISTED = 100
"""So many uploads are on one page."""


async def owned(parts: Parts, caller: Caller, upload: str) -> UploadRecord:
    """An upload of the caller's. Raises what is answered by the same 404 for every other one, whatever it is."""
    record = await parts.pipeline.ledger.aget(upload)
    _expect_owner(record, caller)
    return record


def _expect_owner(record: UploadRecord, caller: Caller) -> None:
    if record.owner != caller.owner:
        raise not_found()


async def of_batch(parts: Parts, caller: Caller, batch: str) -> list[UploadRecord]:
    """The caller's uploads that came with one request, in the order in which they came, however many there are."""
    find = partial(parts.pipeline.ledger.afind, owner=caller.owner, batch=batch, limit=MOST_LISTED)
    found = page = await find()
    while len(page) == MOST_LISTED:
        page = await find(after=page[-1])
        found = [*found, *page]
    return found[::-1]


async def status(request: Request, caller: Caller) -> Response:
    """All that is known of an upload."""
    parts = parts_of(request)
    found = await parts.pipeline.astatus(request.path_params["upload"])
    _expect_owner(found.record, caller)
    return JSONResponse(shown(request, found), headers=_NOT_KEPT)


async def listing(request: Request, caller: Caller) -> Response:
    """The caller's uploads, the newest first, by pages: `next` leads to the next one."""
    parts, asked = parts_of(request), request.query_params
    states = [_state(name) for name in asked.getlist("status")]
    limit = _number(asked.get("limit", str(MOST_LISTED)))
    after = asked.get("after")
    found = await parts.pipeline.ledger.afind(
        owner=caller.owner,
        state=states or None,
        after=None if after is None else await owned(parts, caller, after),
        limit=limit + 1,
    )
    following = None
    if len(found) > limit:
        found = found[:limit]
        words = [("status", str(state)) for state in states] + [("limit", str(limit)), ("after", found[-1].id)]
        following = address(request, f"/uploads?{urlencode(words)}")
    answer = {"uploads": [listed(request, record) for record in found], "next": following}
    return JSONResponse(answer, headers=_NOT_KEPT)


async def batch(request: Request, caller: Caller) -> Response:
    """What came with one request: how many are in which state, and each of them."""
    found = await of_batch(parts_of(request), caller, request.path_params["batch"])
    if not found:
        raise not_found()
    counts = Counter(str(record.state) for record in found)
    answer = {
        "batch": request.path_params["batch"],
        "total": len(found),
        "is_settled": all(record.is_settled for record in found),
        "counts": dict(counts),
        "uploads": [listed(request, record) for record in found],
    }
    return JSONResponse(answer, headers=_NOT_KEPT)


async def delete(request: Request, caller: Caller) -> Response:
    """Removes an upload with all that was made of it. Its record stays, and says so. Idempotent."""
    parts = parts_of(request)
    before = await parts.pipeline.astatus(request.path_params["upload"])
    _expect_owner(before.record, caller)
    await parts.pipeline.adelete(before.id)
    size = before.record.size if before.record.key is not None else None  # of bytes that were all there
    variants = before.results.get("variants", {})
    removed = {
        "original": size is not None,
        "variants": sorted(variants),
        "bytes": (size or 0) + sum(told["size"] for told in variants.values()),
    }
    return JSONResponse({"id": before.id, "status": "deleted", "removed": removed}, headers=_NOT_KEPT)


_NOT_KEPT = {"Cache-Control": "no-store"}


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError:
        raise Refused(422, "parameter_refused", f"status is one of {', '.join(State)}") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= MOST_LISTED):
        raise Refused(422, "parameter_refused", f"limit is a number from 1 to {MOST_LISTED}")
    return int(text)
