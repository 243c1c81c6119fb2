"""Objects in a bucket whose bytes come in several goes, and to several processes.

Each is a multipart upload of the hidden object `.staging/partial-UPLOAD`. Its parts are all of one size: part `n` has
the same bytes whoever sends it. What is less than a part lies in an object beside it, `….tail-N`, where `N` is how many
parts are before it: a tail counts for nothing where there are more parts than that, and no byte is counted twice. What
has arrived are the parts from the first one up to a gap, and their tail.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count, takewhile
from typing import Any, BinaryIO

from ...errors import ObjectMissing, StorageError, StorageFailed
from ..contract import HEAD_SIZE, Buffer, ObjectInfo, PartialObject, StoredObject
from ..keys import PARTIAL, STAGING, check_upload
from .client import code_of
from .parts import MAX_PARTS, MIN_PART_SIZE, Budget, Part, Sending, algorithm, part_as_named
from .staged import HasStaging, StagedObject

_TAIL = ".tail-"
"""No upload has a dot in its name."""

_NO_PART = b"\0"
"""What is put in the place of a part behind a gap: it has not the size of a part."""

_TICK_SECONDS = 1.1
"""So far apart are two times that a server tells, to the second, at most if they are the same."""

_CHANGED = {"PreconditionFailed", "412"}


class KeepsPartialObjects(HasStaging):
    """The side of `S3Storage` that takes objects in several goes: its `KeepsPartial`."""

    def begin_partial(self, upload: str, info: ObjectInfo) -> str:
        name = self._partial_name(upload)
        # Who completes it repeats the checksums of parts that others have sent. Not every server tells them: SeaweedFS
        # asks for them then, and does not.
        checksums = self._budget.checksums and self._client.on_aws
        how = {**self._sent_with_staged(), **algorithm(checksums=checksums)}
        begun = self._client.call("create_multipart_upload", "begin an upload", None, Key=name, **how)
        size = part_size_for(info.max_size, self._budget)
        return str(Kept(part_size=size, checksums=checksums, parts_id=begun["UploadId"]))

    def partial(self, upload: str, kept: str) -> Partial:
        return Partial(self, self._partial_name(upload), Kept.of(kept))

    def _partial_name(self, upload: str) -> str:
        check_upload(upload)
        return f"{self._prefix}{STAGING}/{PARTIAL}{upload}"

    def _fresh_partials(
        self, uploads: Mapping[str, Mapping[str, Any]], staged: Iterable[StoredObject], before: datetime
    ) -> set[str]:
        """Those to which something was added since, as `partial_of` names them. `uploads` are multipart uploads by
        their keys."""
        fresh = {partial_of(each.key) for each in staged if each.modified and each.modified >= before}
        for key, upload in uploads.items():
            if key == partial_of(key) and key not in fresh:
                listed = listed_parts(self, upload["Key"], upload["UploadId"])
                with suppress(ObjectMissing):  # it has ended meanwhile
                    if upload["Initiated"] >= before or any(part["LastModified"] >= before for part in listed):
                        fresh.add(key)
        return fresh - {""}


def partial_of(key: str) -> str:
    """The key of the object in staging to which another one belongs; "" where it belongs to no such."""
    return key.partition(_TAIL)[0] if key.startswith(f"{STAGING}/{PARTIAL}") else ""


def part_size_for(max_size: int | None, budget: Budget) -> int:
    """The smallest parts of which 10,000 hold `max_size` bytes, in whole MiB: less than a part is sent again by the
    next go. The storage's own where nobody knows the size."""
    if max_size is None:
        return budget.part_size
    if max_size <= MIN_PART_SIZE * MAX_PARTS:
        return MIN_PART_SIZE
    return -(-max_size // MAX_PARTS // 2**20) * 2**20


def listed_parts(staging: HasStaging, name: str, parts_id: str, *, after: int = 0) -> Iterator[Mapping[str, Any]]:
    """The parts of a multipart upload that come `after` a number. Raises `ObjectMissing` where there is none."""
    which: dict[str, Any] = {"Key": name, "UploadId": parts_id} | ({"PartNumberMarker": after} if after else {})
    while True:
        page = staging._client.call("list_parts", "look at an upload", None, **which)
        yield from page.get("Parts", ())
        if not page.get("IsTruncated"):
            return
        which["PartNumberMarker"] = page["NextPartNumberMarker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What every process has to know of an upload, whatever its own settings are."""

    part_size: int
    checksums: bool
    parts_id: str

    @classmethod
    def of(cls, text: str) -> Kept:
        part_size, checksums, parts_id = text.split(" ", 2)
        return cls(part_size=int(part_size), checksums=checksums == "crc32", parts_id=parts_id)

    def __str__(self) -> str:
        return f"{self.part_size} {'crc32' if self.checksums else 'none'} {self.parts_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tail:
    """What is behind so many parts. None where there is no such object: no ETag, and no bytes."""

    parts: int
    size: int = 0
    etag: str | None = None


class Partial:
    """A `PartialObject`. Bytes fill a `Part`, and a full one goes out while the next one fills, as those of a sink.

    Before the first change after it has looked, it looks again. It is broken for good by what goes wrong with a call:
    what is at S3 then is found out by the next one.
    """

    def __init__(self, staging: HasStaging, name: str, kept: Kept) -> None:
        """Raises `ObjectMissing`, `StorageFailed`."""
        self._staging = staging
        self._client = staging._client
        self._budget = staging._budget
        self._name = name
        self._kept = kept
        self._writing = staging._staging_of(name)
        self._sending = self._sending_behind({})
        self._behind_a_gap: list[int] = []
        self._tail = _Tail(parts=0)
        self._tails: set[int] = set()  # those that are there, as far as it is known
        self._buffer: Part | None = None  # what is behind the parts; None where it is what the tail has
        self._whole: StagedObject | None = None
        self._has_looked = False
        self._broken = False
        self._closed = False
        self._committed = False
        self._look()
        self._sure_size = self.size

    @property
    def size(self) -> int:
        if self._whole is not None:
            return self._whole.size
        if self._broken:
            return self._sure_size
        rest = self._tail.size if self._buffer is None else self._buffer.size
        return self._sending.count * self._kept.part_size + rest

    def append(self, data: Buffer) -> None:
        with self._adding():
            self._add(data)

    def keep(self) -> None:
        self._expect_open()
        if self._whole is None:
            with self._changing():
                self._keep()
            self._sure_size = self.size

    def head(self, size: int) -> bytes:
        self._expect_open()
        if self.size > HEAD_SIZE:
            raise RuntimeError(f"it has more than {HEAD_SIZE} bytes: complete it, and open it")
        if self._whole is not None:
            return b"".join(self._whole.blocks(0, min(size, self._whole.size)))
        with self._changing():
            buffer = self._loaded()
            head = buffer.head(size)
            buffer.go_on()
        return head

    def extend(self, other: PartialObject) -> None:
        """Whole parts are copied by S3; what fills one that was begun, and what is less than one, is read."""
        if not isinstance(other, Partial) or other._client is not self._client:
            raise TypeError("a partial object is extended by others of its storage")
        whole, part_size = other._expect_complete(), self._kept.part_size
        source = {"CopySource": self._staging._place(whole.name), "CopySourceIfMatch": whole.etag}
        with self._adding():
            at = min(-self._loaded().size % part_size, whole.size)
            self._add_all(whole.blocks(0, at))
            while at + part_size <= whole.size:
                self._expect_unchanged()
                self._sending.copy(at, at + part_size, **source)
                at += part_size
            self._add_all(whole.blocks(at))
            self._keep()
        self._sure_size = self.size

    def complete(self) -> None:
        self._expect_open()
        if self._whole is not None:
            return
        size = self.size
        with self._changing():
            self._expect_unchanged()
            if self._sending.count:
                self._complete_parts()
            else:  # S3 makes no object of no parts, and some servers none of a part that is empty
                self._put(self._name)
                self._sending.abort()
            try:
                whole = StagedObject.found(self._staging, self._name)
            except ObjectMissing as error:
                raise self._failed("finish an upload: it was committed or removed") from error
            if whole.size != size:
                raise self._failed(f"finish an upload: it has {whole.size} of {size} bytes")
            self._empty()
            self._whole = whole

    def open(self) -> BinaryIO:
        return self._expect_complete().open()

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        """As `PartialObject.commit`. Where a process was killed in the middle of it, the same once more is no error."""
        word = hashlib.sha256(f"{self._name} {self._kept.parts_id}".encode()).hexdigest()[:32]
        try:
            stored = self._expect_complete().publish(key, info, word=word)
        except ObjectMissing as error:
            raise self._failed("publish a file: it was committed or removed") from error
        self._committed = True
        with suppress(StorageFailed):  # the object is there: what is left of it in staging is swept
            self._remove()
        self.close()
        return stored

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._sending.interrupt()
            self._empty()

    def discard(self) -> None:
        if not self._committed:
            self.close()
            self._sending.abort()
            self._remove()

    # What is there

    def _look(self) -> None:
        try:
            listed = self._listed_parts()
        except ObjectMissing:
            self._whole = StagedObject.found(self._staging, self._name)
            return
        whole = {number: part for number, part in listed.items() if self._is_whole(part)}
        done = {number: part_as_named(number, whole[number]) for number in takewhile(whole.__contains__, count(1))}
        self._sending = self._sending_behind(done)
        self._behind_a_gap = sorted(whole.keys() - done.keys())
        self._tail = self._tail_behind(len(done))
        if self._tail.etag is not None:
            self._tails.add(self._tail.parts)

    def _listed_parts(self, after: int = 0) -> dict[int, Mapping[str, Any]]:
        """The last one that was sent of each number. SeaweedFS lists those in whose place it came too, and those that
        were broken off, as of no bytes: in the second in which they came they would stand for what came after them."""
        parts: dict[int, Mapping[str, Any]] = {}
        sizes = (self._kept.part_size, len(_NO_PART))
        for part in listed_parts(self._staging, self._name, self._kept.parts_id, after=after):
            if part["Size"] not in sizes:
                continue
            other = parts.setdefault(part["PartNumber"], part)
            if (part["LastModified"], -part["Size"]) > (other["LastModified"], -other["Size"]):
                parts[part["PartNumber"]] = part
        return parts

    def _is_whole(self, part: Mapping[str, Any] | None) -> bool:
        return part is not None and part["Size"] == self._kept.part_size

    def _sending_behind(self, done: Mapping[int, Mapping[str, Any]]) -> Sending:
        return Sending(self._writing, self._budget, self._kept.parts_id, done, checksums=self._kept.checksums)

    def _tail_behind(self, parts: int) -> _Tail:
        try:
            head = self._client.call("head_object", "look at a file", None, Key=self._tail_name(parts))
        except ObjectMissing:
            return _Tail(parts=parts)
        return _Tail(parts=parts, size=head["ContentLength"], etag=head["ETag"])

    def _tail_name(self, parts: int) -> str:
        return f"{self._name}{_TAIL}{parts}"

    def _expect_unchanged(self) -> None:
        """Before the first change after what was kept: nobody else has added to it, or has ended it."""
        if self._has_looked:
            return
        after = self._tail.parts
        try:
            next_one = self._listed_parts(after).get(after + 1)
        except ObjectMissing as error:
            raise self._failed("write a file: it was committed or removed") from error
        if self._is_whole(next_one) or self._tail_behind(after) != self._tail:
            raise self._failed("write a file: somebody else has added to it")
        if self._behind_a_gap:
            self._void_behind_a_gap()
        self._has_looked = True

    def _void_behind_a_gap(self) -> None:
        """Who died has sent them. They would count as soon as the gap is filled."""
        for number in self._behind_a_gap:
            part = self._new_part()
            try:
                part.write(memoryview(_NO_PART))
                which = {"Key": self._name, "UploadId": self._kept.parts_id, "PartNumber": number}
                how = part.arguments(checksum=self._kept.checksums)
                self._client.call("upload_part", "write a file", None, **which, **how)
            finally:
                part.close()
        self._behind_a_gap = []
        time.sleep(_TICK_SECONDS)  # where a server lists what is no more, the time alone tells which part is the last

    # What is added

    def _add_all(self, blocks: Iterable[bytes]) -> None:
        for block in blocks:
            self._add(block)

    def _add(self, data: Buffer) -> None:
        self._sending.expect_well()
        rest = memoryview(data).cast("B")
        while rest:
            buffer = self._loaded()
            taken = rest[: self._kept.part_size - buffer.size]
            self._write(buffer, taken)
            rest = rest[len(taken) :]
            if buffer.size == self._kept.part_size:
                self._send()

    def _send(self) -> None:
        self._expect_unchanged()
        buffer, self._buffer = self._loaded(), self._new_part(first=False)
        self._sending.send(buffer)

    def _loaded(self) -> Part:
        """What is behind the parts."""
        if self._buffer is None:
            self._buffer = self._new_part()
            for block in self._blocks_of_tail():
                self._write(self._buffer, memoryview(block))
        return self._buffer

    def _blocks_of_tail(self) -> Iterator[bytes]:
        if self._tail.etag is None:
            return
        name = self._tail_name(self._tail.parts)
        try:
            yield from self._client.blocks(name, name, 0, self._tail.size, self._tail.etag)
        except StorageError as error:
            if not isinstance(error, ObjectMissing) and code_of(error) not in _CHANGED:
                raise
            raise self._failed("write a file: somebody else has added to it") from error

    def _write(self, buffer: Part, data: memoryview) -> None:
        try:
            buffer.write(data)
        except OSError as error:
            raise self._failed(f"hold a file: {os.strerror(error.errno or 0)}") from error

    def _new_part(self, *, first: bool = True) -> Part:
        checksums = self._kept.checksums or self._budget.checksums
        return Part(self._budget, first=first, whole=self._kept.part_size, checksums=checksums)

    # What is kept

    def _keep(self) -> None:
        self._sending.finish()
        parts = self._sending.count
        size = self._tail.size if self._buffer is None else self._buffer.size
        if size and (parts, size) != (self._tail.parts, self._tail.size):
            self._expect_unchanged()
            etag = self._put(self._tail_name(parts))
            self._tail = _Tail(parts=parts, size=size, etag=etag)
            self._tails.add(parts)
        elif parts != self._tail.parts:
            self._tail = _Tail(parts=parts)
        self._has_looked = False
        for old in self._tails - {parts}:
            with suppress(StorageFailed):  # it counts for nothing, and goes with the rest
                self._client.delete(self._tail_name(old), None, "discard a file")
                self._tails.discard(old)

    def _put(self, name: str) -> str:
        """Puts what is behind the parts; its ETag."""
        buffer = self._loaded()
        how = {**self._staging._sent_with_staged(), **buffer.arguments(checksum=self._budget.checksums)}
        etag: str = self._client.call("put_object", "write a file", None, Key=name, **how)["ETag"]
        buffer.go_on()
        return etag

    def _complete_parts(self) -> None:
        if self._loaded().size:
            self._send()
        self._sending.finish()
        how = self._sending.all_parts()
        with suppress(ObjectMissing):  # perhaps an attempt whose answer got lost has finished it: it is looked for next
            self._client.call("complete_multipart_upload", "finish an upload", None, Key=self._name, **how)

    # What it leaves

    def _empty(self) -> None:
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer.close()

    def _remove(self) -> None:
        """What there is of it in staging, also of processes that died."""
        prefix = self._staging._prefix
        own = self._name.removeprefix(prefix)
        for key in [found.key for found in self._staging._listed(own) if partial_of(found.key) == own]:
            self._client.delete(prefix + key, None, "discard a file")

    # What is expected

    @contextmanager
    def _adding(self) -> Generator[None]:
        self._expect_open()
        if self._whole is not None:
            raise RuntimeError("the upload is complete")
        with self._changing():
            yield

    @contextmanager
    def _changing(self) -> Generator[None]:
        """Where the block raises, it is not known what is there."""
        if self._broken:
            raise self._failed("write a file: an earlier call failed")
        self._broken = True
        yield
        self._broken = False

    def _expect_complete(self) -> StagedObject:
        self._expect_open()
        if self._whole is None:
            raise RuntimeError("the upload is not complete")
        return self._whole

    def _expect_open(self) -> None:
        if self._closed:
            raise RuntimeError("the upload was closed, committed or discarded")

    def _failed(self, what: str) -> StorageFailed:
        return StorageFailed(f"the storage could not {what}", storage=self._staging.name)
