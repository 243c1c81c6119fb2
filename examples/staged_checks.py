"""Checks that read a whole file before it goes to a storage which cannot show what is staged, such as S3."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from uploadkit import DiskStorage, FileRefused, IncomingFile, Spec, Storage, UploadedFile, Uploader


class NoBombs:
    """Refuses archives that would be too large when they are unpacked."""

    def __init__(self, size: int) -> None:
        self.size = size

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        try:
            with zipfile.ZipFile(staged) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
        except zipfile.BadZipFile as error:
            raise FileRefused("the archive cannot be read", field=file.field, filter="no-bombs") from error
        if unpacked > self.size:
            raise FileRefused(f"the archive holds {unpacked} bytes", field=file.field, filter="no-bombs")


def archives(media: Storage) -> Spec[UploadedFile]:
    """A form whose file is examined on this machine's disk and then goes to `media`."""
    upload = Uploader(media, staging=DiskStorage("staging"))
    return upload.single("archive", accept=".zip", check=NoBombs(100_000_000))
