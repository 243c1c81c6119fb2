"""Controllers: from a request to a call of the service, and from its result to an answer. They decide nothing."""

from __future__ import annotations

from flask import Response, send_file, url_for

from .before import received
from .services import FileRecord, library
from .uploads import NewFiles


@received
def add(form: NewFiles) -> tuple[dict[str, object], int]:
    return {"files": [shown(record) for record in library.add(form)]}, 201


def find(id: str) -> dict[str, object]:
    return shown(library.find(id))


def content(id: str) -> Response:
    record = library.find(id)
    response = send_file(
        library.path(record).absolute(),
        mimetype=record.content_type,
        as_attachment=True,
        download_name=record.filename,
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def remove(id: str) -> tuple[str, int]:
    library.remove(id)
    return "", 204


def shown(record: FileRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "title": record.title,
        "filename": record.filename,
        "content_type": record.content_type,
        "size": record.size,
        "sha256": record.sha256,
        "url": url_for("files.content", id=record.id),
    }
