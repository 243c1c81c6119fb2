"""Mistakes with `FormTargets` that a type checker finds."""

from __future__ import annotations

from uploadkit import MemoryStorage, UploadedFile, Uploader
from uploadkit.adapters.streaming_form_data import FormTargets

upload = Uploader(MemoryStorage())

FormTargets(upload)  # E: not a spec
FormTargets(upload.single("avatar"), "avatar")  # E: the spec knows the field

with FormTargets(upload.single("avatar", required=False)) as form:
    form.target(1)  # E: a field's name
    print(form.finish().filename)  # E: it may be None

with FormTargets(upload.array("photos")) as many:
    photo: UploadedFile = many.finish()  # E: a list
    many.commit()  # E: no such method
