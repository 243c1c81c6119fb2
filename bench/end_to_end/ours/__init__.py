"""uploadkit under each of its adapters, with one spec for all."""

from __future__ import annotations

from uploadkit import DiskStorage, File, Limits, Submission, Uploader

from ..told import DIGEST, FOLDER, TEXTS, said

_limits = Limits(file_size=None, files_size=None, body_size=None)
form = Uploader(DiskStorage(FOLDER), limits=_limits, digest=DIGEST).fields(File("file", required=True))


def answer(received: Submission) -> str:
    """The text values, as every application answers them."""
    assert (received.files[0].sha256 is not None) is DIGEST  # else its price would be that of something else
    return said(*(received.fields.get(name, "") for name in TEXTS))
