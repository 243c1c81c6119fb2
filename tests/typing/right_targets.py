"""What `FormTargets` gives is what its spec promises. streaming-form-data's own names have no types."""

from __future__ import annotations

from typing import Any

from uploadkit import File, MemoryStorage, Submission, UploadedFile, Uploader
from uploadkit.adapters.streaming_form_data import FormTargets

upload = Uploader(MemoryStorage())


def single(parser: Any, body: bytes) -> UploadedFile:
    with FormTargets(upload.single("avatar")) as form:
        parser.register("avatar", form.target("avatar"))
        parser.data_received(body)
        avatar = form.finish()
        print(avatar.filename)
        return avatar


def fields(parser: Any, body: bytes) -> Submission:
    with FormTargets(upload.fields(File("avatar"))) as form:
        form.register(parser)
        parser.data_received(body)
        return form.finish()
