"""What may come in, and where it goes: the rules, said once. Knows no framework."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, File, Limits, UploadedFile, Uploader

storage = DiskStorage("uploads")
upload = Uploader(storage, limits=Limits(body_size="26 MB", file_size="5 MB"), accept=[IMAGES, DOCUMENTS])


@dataclass(frozen=True)
class NewFiles:
    title: Annotated[str, Field(min_length=1, max_length=80)]
    files: Annotated[list[UploadedFile], File(required=True, max_count=5)]


new_files = upload.form(NewFiles)
