"""Direct uploads as users write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_type

from uploadkit import VIDEOS, S3Storage, TokenRefused, UploadedFile, Uploader
from uploadkit.resumable.direct import DirectForm, DirectParts, DirectUploads
from uploadkit.storage.contract import AcceptsDirectUploads, PublicUrls, SignsUrls, StoredPart

storage = S3Storage("s3://media/videos", public_url="https://cdn.example.com/videos")
upload = Uploader(storage)
direct = DirectUploads(upload.single("video", accept=VIDEOS, max_size="5 GB"), secret="at least sixteen bytes")
optional = DirectUploads(upload.single("video", required=False), secret=b"at least sixteen bytes", digest=True)


def offered(storage: S3Storage) -> tuple[AcceptsDirectUploads, SignsUrls, PublicUrls]:
    return storage, storage, storage


def small(filename: str) -> str:
    form = assert_type(direct.begin(filename, "video/mp4", 1000), DirectForm)
    assert_type(form.fields, Mapping[str, str])
    return form.token


def large(filename: str) -> UploadedFile | None:
    begun = assert_type(direct.begin_parts(filename), DirectParts)
    assert_type(direct.sign_part(begun.token, 1), str)
    assert_type(direct.list_parts(begun.token), Sequence[StoredPart])
    direct.complete(begun.token)
    try:
        file = assert_type(direct.finish(begun.token), UploadedFile)
    except TokenRefused as error:
        assert_type(error.reason, str)
        return None
    assert_type(file.url(expires_seconds=60, inline=True), str)
    assert_type(file.public_url(), str)
    return file


async def finished(token: str) -> str:
    file = assert_type(await optional.afinish(token), UploadedFile)
    return await file.aurl()
