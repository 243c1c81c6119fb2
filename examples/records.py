"""What is remembered of uploads, and told. Run it: python examples/records.py"""

from __future__ import annotations

from contextlib import closing, suppress

from uploadkit import DiskStorage, RecordExists, UploadChanged, UploadedFile, Uploader, UploadError, receive
from uploadkit.events.facts import Fact, FileProcessed, FileUploaded
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Accepted
from uploadkit.testing import FormBuilder

upload = Uploader(DiskStorage("uploads"))
photo_form = upload.single("photo", accept=".png")


def take(ledger: Ledger, form: FormBuilder, *, request: str) -> UploadedFile | None:
    """Stores a photo, with a record that stands before its first byte. None where the same request came before."""
    try:
        record = ledger.add(
            f"photo-{request}",
            field="photo",
            filename="",  # not known yet
            content_type="application/octet-stream",
            owner="ada",
            idempotency_key=request,
        )
    except RecordExists as before:
        print("again    ", before.upload)
        return None
    try:
        photo = receive(photo_form, form.content_type, [form.body])
    except UploadError as error:
        ledger.move(record.id, State.REJECTED, reason=str(error))
        return None
    stored = Accepted(
        upload=record.id,
        filename=photo.filename,
        content_type=photo.content_type,
        size=photo.size,
        sha256=photo.digest,
        storage=photo.storage.name,
        key=photo.key,
    )
    ledger.accept([stored])  # and writes that it is to be told: with the move, or not at all
    return photo


def hear(ledger: Ledger, fact: Fact) -> None:
    """What follows from a fact. A fact may be told twice, and by two workers: neither does any harm."""
    if isinstance(fact, FileUploaded):
        claim = ledger.claim(fact.upload, "measure", "v1", seconds=60)
        if claim is not None:  # else it was done, or somebody is at it
            results = {"kilobytes": fact.size // 1000}
            ledger.finish(claim, results, facts=[FileProcessed(upload=fact.upload, results=results)])
    elif isinstance(fact, FileProcessed):
        with suppress(UploadChanged):  # somebody else was faster
            ledger.move(fact.upload, State.COMPLETED, since=[State.STAGED])


def tell(ledger: Ledger) -> int:
    """What a worker does again and again: hands out what was written with the moves."""
    return ledger.forward(lambda fact: hear(ledger, fact))


def main() -> None:
    with closing(Ledger("sqlite:///uploads.db")) as ledger:
        picture = b"\x89PNG\r\n\x1a\n" + bytes(5000)
        take(ledger, FormBuilder().file("photo", picture, filename="sea.png"), request="1")
        take(ledger, FormBuilder().file("photo", picture, filename="sea.png"), request="1")
        take(ledger, FormBuilder().file("photo", b"no picture", filename="shore.png"), request="2")
        print("told     ", tell(ledger), ledger.untold())

        for record in ledger.find(owner="ada"):
            print("found    ", record.id, record.state, record.filename or "-", record.reason or "")
        for move in ledger.history("photo-1"):
            print("history  ", move.before or "-", move.after)
        print("results  ", [dict(result.told) for result in ledger.results("photo-1")])
        try:
            ledger.move("photo-1", State.STAGED)
        except UploadChanged as error:
            print("refused  ", error)


if __name__ == "__main__":
    main()
