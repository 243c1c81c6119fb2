"""An application that is swept, looked after and reprocessed. Run it: python examples/upkeep_app.py"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

from uploadkit import DiskStorage, Uploader, receive
from uploadkit.processing.doctor import Level, doctor
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.upkeep import sweep
from uploadkit.records.ledger import Ledger
from uploadkit.testing import FormBuilder

pipeline = Pipeline(Ledger("sqlite:///uploads.db"), storage=DiskStorage("media", name="media"))
upload = Uploader(DiskStorage("staging", name="staging"), pipeline=pipeline)
note_form = upload.single("note", accept=".txt")


def take(text: bytes, *, minutes: float) -> None:
    """A note that is there for so long, as a handler takes it."""
    form = FormBuilder().file("note", text, filename="note.txt")
    note = receive(note_form, form.content_type, [form.body])
    pipeline.describe(note.id, expires_at=datetime.now(UTC) + timedelta(minutes=minutes))


def main() -> None:
    with closing(pipeline):
        take(b"for an hour", minutes=60)
        take(b"over already", minutes=0)
        print("would    ", sweep(pipeline, dry_run=True).expired, "to be removed")
        print("swept    ", sweep(pipeline).expired, "removed")
        print("again    ", sweep(pipeline).expired, "removed")
        for finding in doctor(pipeline):
            if finding.level is not Level.OK:
                print(finding.level, finding.name, finding.text)


if __name__ == "__main__":
    main()
