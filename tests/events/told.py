"""One fact of every kind, and a way to make facts of an upload."""

from __future__ import annotations

from datetime import UTC, datetime

from uploadkit.events.facts import (
    Fact,
    FileDeleted,
    FileFailed,
    FileProcessed,
    FileProgressed,
    FileRejected,
    FileScanned,
    FileUploaded,
)

AT = datetime(2026, 11, 26, 9, 30, 0, 250_000, UTC)

UPLOADED = FileUploaded(
    upload="u1",
    owner="ann",
    batch="b1",
    id="f1",
    at=AT,
    filename="photo.jpg",
    content_type="image/jpeg",
    size=2_000_000,
    sha256="ab" * 32,
    storage="disk",
    key="2026/photo.jpg",
)

FACTS_TOLD: list[Fact] = [
    UPLOADED,
    FileRejected(upload="u1", at=AT, code="file_refused", reason="the file in field 'avatar' was refused"),
    FileScanned(upload="u1", at=AT, outcome="infected", signature="Eicar-Test-Signature"),
    FileProgressed(upload="u1", at=AT, processor="variants", percent=40, note="reading"),
    FileProcessed(upload="u1", at=AT, results={"variants": {"thumbnail": ["200x200", None, True, 0.5]}}),
    FileFailed(upload="u1", at=AT, processor="variants", reason="no memory", attempts=3),
    FileDeleted(upload="u1", at=AT, reason="expired"),
]


def progress(upload: str, *percents: int) -> list[FileProgressed]:
    return [FileProgressed(upload=upload, processor="variants", percent=percent) for percent in percents]
