"""What goes from clients straight into a bucket, and becomes an object of the storage when it was looked at.

It lies in staging: a form's file as `direct-UPLOAD`, what was sent in parts as `direct-UPLOAD-parts`. A form may be
sent again for as long as it is signed, and its ETag is an MD5, which two files have for whoever wants it. So what a
form has brought is first copied to where no client can write, and is read and published from there. Parts that were
made one object cannot be sent again.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ...errors import ObjectMissing, StorageFailed
from ..contract import ObjectInfo, SignedPost, StoredObject, StoredPart
from ..keys import STAGING
from .copying import copied
from .staged import HasStaging, StagedObject

LARGEST_POST = 5 * 2**30
"""Bytes that S3 takes in one request."""

# How a form calls what of the headers of every object holds for staged ones too.
_IN_A_FORM = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}

_upload_name = re.compile(r"[0-9a-f]{32}").fullmatch


class TakesDirectUploads(HasStaging):
    """The side of `S3Storage` that clients send to: its `AcceptsDirectUploads`."""

    def sign_post(
        self, upload: str, info: ObjectInfo, *, min_size: int, max_size: int, expires_seconds: int
    ) -> SignedPost:
        fields = {"Content-Type": info.content_type}
        fields |= {_IN_A_FORM[name]: value for name, value in self._sent_with_staged().items()}
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        conditions.append(["content-length-range", min_size, min(max_size, LARGEST_POST)])
        url, signed = self._client.sign_post(
            self._posted(upload), None, fields, conditions, expires_seconds=expires_seconds
        )
        return SignedPost(url=url, fields=signed)

    def begin_parts(self, upload: str, info: ObjectInfo) -> str:
        name = self._in_parts(upload)
        how = {"ContentType": info.content_type, **self._sent_with_staged()}
        begun = self._client.call("create_multipart_upload", "begin an upload", None, Key=name, **how)
        parts_id: str = begun["UploadId"]
        return parts_id

    def sign_part(self, upload: str, parts_id: str, number: int, *, expires_seconds: int) -> str:
        which = {"Key": self._in_parts(upload), "UploadId": parts_id, "PartNumber": number}
        return self._client.sign("upload_part", None, expires_seconds=expires_seconds, **which)

    def list_parts(self, upload: str, parts_id: str) -> Sequence[StoredPart]:
        which: dict[str, Any] = {"Key": self._in_parts(upload), "UploadId": parts_id}
        parts: list[StoredPart] = []
        while True:
            page = self._client.call("list_parts", "look at an upload", None, **which)
            for found in page.get("Parts", ()):
                parts.append(StoredPart(number=found["PartNumber"], size=found["Size"], etag=found["ETag"]))
            if not page.get("IsTruncated"):
                return parts
            which["PartNumberMarker"] = page["NextPartNumberMarker"]

    def complete_parts(self, upload: str, parts_id: str, parts: Sequence[StoredPart]) -> None:
        name = self._in_parts(upload)
        named = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        how = {"UploadId": parts_id, "MultipartUpload": {"Parts": named}}
        try:
            self._client.call("complete_multipart_upload", "finish an upload", None, Key=name, **how)
        except ObjectMissing:  # perhaps an attempt whose answer got lost has finished it
            self._client.call("head_object", "look at a file", None, Key=name)

    def abort_parts(self, upload: str, parts_id: str) -> None:
        which = {"Key": self._in_parts(upload), "UploadId": parts_id}
        with suppress(ObjectMissing):
            self._client.call("abort_multipart_upload", "discard an upload", None, **which)

    def arrived(self, upload: str) -> _Arrived:
        posted, name = self._posted(upload), self._in_parts(upload)
        names = [name]
        with suppress(ObjectMissing):
            name = self._held(posted)
            names = [name, posted]
        head = self._client.call("head_object", "look at a file", None, Key=name)
        return _Arrived(self, name, names, etag=head["ETag"], size=head["ContentLength"])

    def abandon(self, upload: str, parts_id: str | None) -> None:
        posted = self._posted(upload)
        if parts_id is not None:
            self.abort_parts(upload, parts_id)
        for staged in list(self._listed(posted.removeprefix(self._prefix))):  # the copies of who died with them too
            self._client.delete(self._prefix + staged.key, None, "discard a file")

    def _held(self, posted: str) -> str:
        """A copy where no client can write. Raises `ObjectMissing` where nothing was posted."""
        head = self._client.call("head_object", "look at a file", None, Key=posted)
        name = f"{posted}-{secrets.token_hex(8)}"
        writing = self._staging_of(name)
        writing.arguments["ContentType"] = head["ContentType"]
        copied(writing, self._budget, self._place(posted), head["ETag"], head["ContentLength"])
        return name

    def _posted(self, upload: str) -> str:
        if not _upload_name(upload):
            raise ValueError("a direct upload is called by 32 hexadecimal digits: secrets.token_hex(16)")
        return f"{self._prefix}{STAGING}/direct-{upload}"

    def _in_parts(self, upload: str) -> str:
        return f"{self._posted(upload)}-parts"


class _Arrived(StagedObject):
    """A staged object that no client can change any more. `names` are those that are removed with it."""

    def __init__(self, staging: HasStaging, name: str, names: Sequence[str], *, etag: str, size: int) -> None:
        super().__init__(staging, name, etag=etag, size=size)
        self._names = names

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        stored = self.publish(key, info)
        with suppress(StorageFailed):  # the upload is there: what is left of it in staging is swept
            self.discard()
        return stored

    def discard(self) -> None:
        for name in self._names:
            self._staging._client.delete(name, None, "discard a file")
