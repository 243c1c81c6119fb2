"""Uploads as JSON, as every route shows them. `openapi` describes the same members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from ..processing.queue import queue_for
from ..processing.status import Status
from ..records.lifecycle import State
from ..records.record import UploadRecord
from .addresses import address
from .parts import parts_of

__all__ = ["accepted", "listed", "shown"]


def accepted(request: Request, record: UploadRecord) -> dict[str, Any]:
    """One of those that were just taken: where its work waits, and where to ask for it."""
    steps = parts_of(request).pipeline.rules.of(record)
    job = steps[0].job(record) if steps else None
    return {
        "id": record.id,
        "filename": record.filename,
        "status": str(record.state),
        "queue": queue_for(record.content_type) if job is None else job.queue,
        "job_id": None if job is None else job.id,
        "status_url": address(request, f"/uploads/{record.id}"),
    }


def listed(request: Request, record: UploadRecord) -> dict[str, Any]:
    """What is known of an upload by its record alone."""
    return {
        "id": record.id,
        "batch": record.batch,
        "field": record.field,
        "filename": record.filename,
        "status": str(record.state),
        # Why something failed, or what a scan has found, is for who looks after the program.
        "reason": record.reason if record.state is State.REJECTED else None,
        "size": record.size,
        "content_type": record.content_type,
        "sha256": record.sha256,
        "priority": record.priority,
        "tags": dict(record.tags),
        "created_at": record.created_at.isoformat(),
        "changed_at": record.changed_at.isoformat(),
        "expires_at": None if record.expires_at is None else record.expires_at.isoformat(),
        "status_url": address(request, f"/uploads/{record.id}"),
        "events_url": address(request, f"/uploads/{record.id}/events"),
    }


def shown(request: Request, status: Status) -> dict[str, Any]:
    """All that its owner may know of an upload. What can be fetched has a signed link, which holds for a while."""
    record, results = status.record, status.results
    is_there = record.state is State.COMPLETED
    return listed(request, record) | {
        "percent": status.percent,
        "received": status.received,
        "note": status.note,
        "is_settled": status.is_settled,
        "url": _link(request, record.id) if is_there else None,
        "variants": {
            name: _variant(request, record.id, name, told) for name, told in results.get("variants", {}).items()
        }
        if is_there
        else {},
        "metadata": dict(results.get("metadata", {})),
    }


def _variant(request: Request, upload: str, name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    members = {each: told[each] for each in ("content_type", "size", "width", "height")}
    return {"url": _link(request, upload, name)} | members


def _link(request: Request, upload: str, variant: str | None = None) -> str:
    return address(request, parts_of(request).links.path(upload, variant))
