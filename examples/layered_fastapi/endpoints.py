"""Controllers: from a request to a call of the service, and from its result to an answer. They decide nothing."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import FileResponse

from .dependencies import Received
from .services import FileRecord, library


def add(request: Request, form: Received) -> dict[str, object]:
    return {"files": [shown(request, record) for record in library.add(form)]}


def find(request: Request, id: str) -> dict[str, object]:
    return shown(request, library.find(id))


def content(id: str) -> FileResponse:
    record = library.find(id)
    return FileResponse(
        library.path(record),
        media_type=record.content_type,
        filename=record.filename,
        headers={"X-Content-Type-Options": "nosniff"},
    )


def remove(id: str) -> None:
    library.remove(id)


def shown(request: Request, record: FileRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "title": record.title,
        "filename": record.filename,
        "content_type": record.content_type,
        "size": record.size,
        "sha256": record.sha256,
        "url": request.app.url_path_for("content", id=record.id),
    }
