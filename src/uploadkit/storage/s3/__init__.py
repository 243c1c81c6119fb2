"""Objects in a bucket of S3, or of a server that speaks S3.

A file goes there while it arrives: in parts, from `upload`, by the `client` of the process. Nothing is visible before
the commit, which creates an object and does not replace one. s3fs is imported when a storage is made, never by
`import uploadkit`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ...errors import KeyRefused, ObjectMissing, StorageFailed
from ..contract import ObjectInfo, Storage, StoredObject
from ..disposition import content_disposition
from ..keys import KEY_SIZE, STAGING, check_key, is_key
from ..reading import check_range
from .client import BLOCK_SIZE, Client
from .copying import copied
from .direct import TakesDirectUploads
from .partials import KeepsPartialObjects, partial_of
from .parts import MIN_PART_SIZE, Budget
from .upload import Sink
from .writing import TOKEN, Writing

PART_SIZE = 8 * 2**20

PARTS_AT_ONCE = 4
"""Parts of one object that are under way. More than two or three fill no line better, and each takes memory."""

PARTS_IN_ALL = 16
"""Parts of all objects that are under way, of one storage in a process."""

MEMORY = 2**28
"""Bytes that they and those that fill may take: twice what is under way. Beyond that they fill files."""

HELD_IN_ALL = 4
"""So many parts' worth of small objects wait in memory for their commit. What is beyond is sent before it."""

STALE_SECONDS = 24 * 60 * 60

LONGEST_EXPIRY = 7 * 24 * 60 * 60
"""What S3 takes as the life of a signed URL, in seconds."""

_is_bucket = re.compile(r"[A-Za-z0-9._-]+").fullmatch

_is_header = re.compile(r"[A-Za-z0-9_.-]+").fullmatch


class S3Storage(TakesDirectUploads, KeepsPartialObjects):
    """Keeps objects in a bucket, below a prefix if the URL has one: `S3Storage("s3://bucket/prefix")`.

    `options` are those of `s3fs.S3FileSystem`: `key`, `secret`, `endpoint_url`, `profile`, `client_kwargs`,
    `config_kwargs`. Without them credentials and region are found as by every tool of AWS. Connections are made at the
    first call, in each process after a fork anew; a thread of the library's own sends, so that blocking and async
    applications use it alike.

    Objects are private unless the bucket or an `acl` says otherwise (a bucket of AWS refuses each, if its owner has not
    allowed them), have the content type that was detected, and are saved by browsers under the file's name.
    `cache_control`, `storage_class`, `encryption` ("AES256", "aws:kms") with `kms_key`, and `metadata` are sent with
    each. `checksums` sends a CRC32 of every part, which the server compares; not every server takes it.

    A commit creates an object only where there is none (`If-None-Match: *`). That it holds for two that race is
    promised on AWS; of another server say `exclusive=True` where you know it. `exclusive=False` sends no condition, for
    servers that refuse it: a commit then replaces.

    One object has up to `parts_at_once` parts of `part_size` bytes under way and one that fills; they are larger where
    10,000 of them would not hold the most that the field allows. All that a process has of one storage take at most
    `memory` bytes; beyond that a part fills a temporary file, in the folder `spill_to` (None: where Python makes such
    files). `public_url` is where everybody finds the prefix, as behind a CDN. A `sweep` removes what was begun more
    than `stale_seconds` ago (a day) and never finished; of an object that comes in several goes, what nothing was added
    to for so long.
    """

    may_block = True

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        public_url: str | None = None,
        acl: str | None = None,
        storage_class: str | None = None,
        encryption: str | None = None,
        kms_key: str | None = None,
        cache_control: str | None = None,
        metadata: Mapping[str, str] | None = None,
        checksums: bool = True,
        exclusive: bool | None = None,
        part_size: int = PART_SIZE,
        parts_at_once: int = PARTS_AT_ONCE,
        memory: int = MEMORY,
        spill_to: str | Path | None = None,
        stale_seconds: float = STALE_SECONDS,
        name: str = "s3",
    ) -> None:
        """Raises `ModuleNotFoundError` without s3fs, `TypeError` and `ValueError` for what cannot be meant."""
        self.name = name
        self.stale_seconds = stale_seconds
        self._options = dict(options or {})
        bucket, self._prefix = _places(url)
        if part_size < MIN_PART_SIZE:
            raise ValueError(f"S3 takes no part of less than {MIN_PART_SIZE} bytes: part_size={part_size}")
        if parts_at_once < 1 or memory < 0 or stale_seconds <= 0:
            raise ValueError("parts_at_once and stale_seconds are more than 0, and memory is not negative")
        if kms_key is not None and not (encryption or "").startswith("aws:kms"):
            raise ValueError('a kms_key goes with encryption="aws:kms"')
        self._public_url = None if public_url is None else public_url.rstrip("/")
        self._sent_with_each = _arguments(
            ACL=acl,
            StorageClass=storage_class,
            ServerSideEncryption=encryption,
            SSEKMSKeyId=kms_key,
            CacheControl=cache_control,
        )
        self._metadata = _metadata(metadata or {})
        self._client = Client(bucket, self._options, storage=name)
        self.exclusive_commit: bool = self._client.on_aws if exclusive is None else exclusive
        self._new_budget = partial(
            Budget,
            part_size=part_size,
            parts_at_once=parts_at_once,
            parts_in_all=PARTS_IN_ALL,
            memory=memory,
            held=HELD_IN_ALL * part_size,
            folder=None if spill_to is None else str(spill_to),
            checksums=checksums,
            condition={} if exclusive is False else {"IfNoneMatch": "*"},
        )
        self._budgets: dict[int, Budget] = {}  # by process: what a fork's parent has under way will never end in it

    def open(self, key: str, info: ObjectInfo) -> Sink:
        return Sink(self._writing(key, info), self._budget, info.max_size)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """As `Storage.read`; what is missing is said by the call and not by the first `next`. No connection is held:
        ranges are asked for one after the other, and all of them are of one and the same object."""
        check_range(start, end)
        name = self._name(key)
        if end is not None and end <= start:
            self.stat(key)
            return iter(())
        asked = start + BLOCK_SIZE if end is None else min(start + BLOCK_SIZE, end)
        first, size, etag = self._client.get(key, name, start, asked, None)
        until = size if end is None else min(end, size)
        rest = self._client.blocks(key, name, start + len(first), until, etag, asked=2 * BLOCK_SIZE)
        return chain((first,), rest) if first else iter(())

    def stat(self, key: str) -> StoredObject:
        head = self._client.call("head_object", "look at a file", key, Key=self._name(key))
        return StoredObject(key=key, size=head["ContentLength"], modified=head["LastModified"].astimezone(UTC))

    def delete(self, key: str) -> None:
        """As `Storage.delete`. In a bucket with versions the object's versions stay, below a marker of S3's."""
        self._client.delete(self._name(key), key, "delete a file")

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """As `ListsObjects.list`, in the order of the keys' bytes on AWS; a thousand are asked for at a time."""
        if prefix and not (is_key(prefix) or is_key(f"{prefix}x")):
            return iter(())  # no key begins with it, and servers read `//` as `/`
        return (found for found in self._listed(prefix) if is_key(found.key))

    def copies_from(self, source: Storage) -> bool:
        """From every bucket that is reached with the same options."""
        return isinstance(source, S3Storage) and source._options == self._options

    def copy(self, key: str, new_key: str, *, source: Storage | None = None) -> StoredObject:
        """As `CopiesObjects.copy`: S3 copies, in parts where an object is large."""
        source = self if source is None else source
        if not isinstance(source, S3Storage) or not self.copies_from(source):
            raise TypeError(f"{self.name!r} cannot copy from {source.name!r} by itself")
        writing = self._writing(new_key, ObjectInfo())
        name = source._name(key)
        head = source._client.call("head_object", "look at a file", key, Key=name)
        kept = ("ContentType", "ContentDisposition", "ContentEncoding", "ContentLanguage", "CacheControl")
        writing.arguments.update({said: head[said] for said in kept if said in head})
        writing.arguments["Metadata"] = head.get("Metadata", {}) | writing.own_metadata
        place = {"Bucket": source._client.bucket, "Key": name}
        copied(writing, self._budget, place, head["ETag"], head["ContentLength"])
        return StoredObject(key=new_key, size=head["ContentLength"])

    def sign_url(
        self,
        key: str,
        *,
        expires_seconds: int = 3600,
        filename: str | None = None,
        content_type: str | None = None,
        inline: bool = False,
    ) -> str:
        """As `SignsUrls.sign_url`; `expires_seconds` is at most 7 days, and less where the credentials end before."""
        _check_expiry(expires_seconds)
        disposition = content_disposition(filename, inline=inline) if filename or inline else None
        said = _arguments(ResponseContentDisposition=disposition, ResponseContentType=content_type)
        name = self._name(key)
        return self._client.sign("get_object", key, expires_seconds=expires_seconds, Key=name, **said)

    def public_url(self, key: str) -> str | None:
        check_key(key, storage=self.name)
        return None if self._public_url is None else f"{self._public_url}/{quote(key)}"

    def in_staging(self) -> Sequence[str]:
        """As `SweepsStaging.in_staging`: the keys of multipart uploads, and the names of direct uploads and of what is
        kept of objects that come in several goes."""
        uploads = [self._relative(upload) for upload in self._open_uploads()]
        return [*uploads, *(staged.key for staged in self._listed(f"{STAGING}/"))]

    def sweep(self) -> int:
        """Removes what was begun more than `stale_seconds` ago: multipart uploads, of whoever under this prefix, direct
        uploads that nobody finished, and of objects that come in several goes those to which nothing was added since;
        returns how many. This storage's own live uploads are left alone."""
        before = datetime.now(UTC) - timedelta(seconds=self.stale_seconds)
        uploads, staged = list(self._open_uploads()), list(self._listed(f"{STAGING}/"))
        fresh = self._fresh_partials({self._relative(each): each for each in uploads}, staged, before)
        uploads = [
            each for each in uploads if self._is_dead(each, before) and partial_of(self._relative(each)) not in fresh
        ]
        for upload in uploads:
            begun = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
            with suppress(ObjectMissing):  # it has ended meanwhile, or another process sweeps
                self._client.call("abort_multipart_upload", "sweep an upload", None, **begun)
        old = [each.key for each in staged if each.modified and each.modified < before]
        old = [key for key in old if partial_of(key) not in fresh]
        for key in old:
            self._client.delete(self._prefix + key, None, "sweep a file")
        return len(uploads) + len(old)

    def server_time(self) -> datetime:
        """What the clock of the server says, to the second. Raises `StorageFailed`."""
        answer = self._client.call("list_objects_v2", "ask for the time", None, Prefix=self._prefix, MaxKeys=1)
        said = str(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        try:
            return parsedate_to_datetime(said).astimezone(UTC)
        except ValueError as error:
            raise StorageFailed("the server says no time", storage=self.name) from error

    def close(self) -> None:
        """Ends this process's connections. The next call connects again."""
        self._client.close()

    @property
    def _budget(self) -> Budget:
        budget = self._budgets.get(os.getpid())
        return budget or self._budgets.setdefault(os.getpid(), self._new_budget())

    # Names in the bucket

    def _name(self, key: str) -> str:
        check_key(key, storage=self.name)
        name = self._prefix + key
        if len(name.encode()) > KEY_SIZE:
            text = f"the storage key has more than {KEY_SIZE} bytes with the storage's prefix"
            raise KeyRefused(text, storage=self.name, key=key)
        return name

    def _writing(self, key: str, info: ObjectInfo) -> Writing:
        name = self._name(key)
        said = {"ContentType": info.content_type, "ContentDisposition": content_disposition(info.filename)}
        return Writing(self._client, key, name, self.name, self._sent_with_each | said, self._metadata)

    def _listed(self, prefix: str) -> Iterator[StoredObject]:
        """Everything below the storage's prefix, what is staged included."""
        more: dict[str, str] = {}
        while True:
            page = self._client.call("list_objects_v2", "list files", None, Prefix=self._prefix + prefix, **more)
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                yield StoredObject(key=key, size=found["Size"], modified=found["LastModified"].astimezone(UTC))
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    # What is in staging

    def _open_uploads(self) -> Iterator[Mapping[str, Any]]:
        """Those below the prefix. It is not sent: MinIO takes it for a whole key, and others heed none."""
        more: dict[str, str] = {}
        while True:
            page = self._client.call("list_multipart_uploads", "list uploads", None, **more)
            yield from (each for each in page.get("Uploads", ()) if each["Key"].startswith(self._prefix))
            if not page.get("IsTruncated"):
                return
            # Not every server gives the second, which tells uploads of one key apart.
            more = _arguments(KeyMarker=page["NextKeyMarker"], UploadIdMarker=page.get("NextUploadIdMarker"))

    def _relative(self, upload: Mapping[str, Any]) -> str:
        return str(upload["Key"]).removeprefix(self._prefix)

    def _is_dead(self, upload: Mapping[str, Any], before: datetime) -> bool:
        return upload["Initiated"] < before and upload["UploadId"] not in self._budget.live


def _places(url: str) -> tuple[str, str]:
    """The bucket, and the prefix with its slash."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("an S3 URL has no credentials: give key and secret among the options")
    if parts.scheme not in ("s3", "s3a") or not _is_bucket(parts.netloc) or parts.query or parts.fragment:
        raise ValueError(f"an S3 URL is s3://bucket or s3://bucket/prefix, not {url!r}")
    prefix = parts.path.strip("/")
    if not prefix:
        return parts.netloc, ""
    try:
        check_key(prefix, storage="s3")
    except KeyRefused as error:
        raise ValueError(f"the prefix of {url!r} is no key: {error}") from None
    return parts.netloc, f"{prefix}/"


def _arguments(**arguments: str | None) -> dict[str, str]:
    return {name: value for name, value in arguments.items() if value is not None}


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """With names as S3 gives them back."""
    for name, value in metadata.items():
        if not _is_header(name) or not value.isascii() or not value.isprintable():
            raise ValueError(f"metadata goes into headers, and is printable ASCII: {name!r}: {value!r}")
    said = {name.lower(): value for name, value in metadata.items()}
    if len(said) < len(metadata) or TOKEN in said:
        raise ValueError(f"names of metadata differ in more than their case, and {TOKEN!r} is the library's own")
    return said


def _check_expiry(expires_seconds: int) -> None:
    if not 0 < expires_seconds <= LONGEST_EXPIRY:
        raise ValueError(f"a signed URL lives for 1 to {LONGEST_EXPIRY} seconds, not {expires_seconds}")
