"""The parts of an object: what they take of a process, and their way to S3.

A `Part` lies in memory while the `Budget` of the process has room, else in a temporary file: to wait for memory would
let slow clients keep the others out. `Sending` has those that are under way to a multipart upload, and `Parts` is one
that ends with this process. The event loop of `storage.event_loop` sends them while the caller fills the next one;
where enough of them are under way the caller waits, which is what slows a client.
"""

from __future__ import annotations

import asyncio
import base64
import io
import tempfile
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import IO, Any, cast

from ...errors import ObjectMissing, StorageFailed
from .. import event_loop
from .client import NO_UPLOAD, code_of
from .writing import Writing

MIN_PART_SIZE = 5 * 2**20

MAX_PARTS = 10_000

_OF_A_PART = ("ETag", "ChecksumCRC32")
"""What the last call repeats of the answer to each part, where a server has given it."""

_ABORTS = 3

_SPARE = 8
"""So many whole parts' memory is kept for the next ones: what two uploads have under way."""


class Budget:
    """What the uploads of a storage share in a process.

    `parts_in_all` may be under way of all objects and `parts_at_once` of one; `memory` is what all parts may take of
    it, in bytes, beyond which they lie in `folder`; `held` bytes of small objects may wait for their commit.
    `condition` is what makes a call create an object, and not replace one. `live` has the ids of multipart uploads
    that were not given up.
    """

    def __init__(
        self,
        *,
        part_size: int,
        parts_at_once: int,
        parts_in_all: int,
        memory: int,
        held: int,
        folder: str | None,
        checksums: bool,
        condition: Mapping[str, str],
    ) -> None:
        self.part_size = part_size
        self.parts_at_once = parts_at_once
        self.parts: threading.BoundedSemaphore = threading.BoundedSemaphore(parts_in_all)
        self.checksums = checksums
        self.condition = condition
        self.live: set[str] = set()
        self.memory: Room = Room(memory)
        # Buffers of whole parts that were sent, and still take memory: new memory costs as much as the CRC.
        self.spare: list[io.BytesIO] = []
        self.held: Room = Room(held)
        self.folder = folder

    def take_memory(self, size: int) -> bool:
        """Whether there was room for so many bytes; what is spare gives way."""
        while not self.memory.take(size):
            spare = self._take_spare()
            if spare is None:
                return False
            self.memory.give_back(_size_of(spare))
        return True

    def whole_buffer(self, size: int) -> io.BytesIO | None:
        """Memory for a whole part, which is taken: that of one that was sent, if there is some, else new, and in one
        piece, since what grows bit by bit in several threads leaves holes. None where there is no room."""
        buffer = self._take_spare(size)
        if buffer is None and self.memory.take(size):
            buffer = io.BytesIO()
            buffer.seek(size - 1)
            buffer.write(b"\0")
        return buffer

    def _take_spare(self, size: int | None = None) -> io.BytesIO | None:
        for buffer in self.spare[::-1]:
            if size in (None, _size_of(buffer)):
                with suppress(ValueError):  # another thread may be faster
                    self.spare.remove(buffer)
                    return buffer
        return None

    def part_size_for(self, max_size: int | None) -> int:
        """Large enough for an object of `max_size` bytes, in whole MiB."""
        if max_size is None or max_size <= self.part_size * MAX_PARTS:
            return self.part_size
        return -(-max_size // MAX_PARTS // 2**20) * 2**20


def _size_of(buffer: io.BytesIO) -> int:
    return buffer.getbuffer().nbytes


class Room:
    """Bytes that may be taken, and are given back."""

    def __init__(self, size: int) -> None:
        self.left: int = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there was room for so many."""
        with self._lock:
            if size > self.left:
                return False
            self.left -= size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self.left += size


class Part:
    """Bytes that are not at S3 yet. Whoever has it last closes it.

    All but the `first` part of an object are likely to be whole ones, and have memory for one from their first byte on:
    that of a part that was sent, if there is some by then. `whole` is the size of a whole one, None the storage's own;
    `checksums` says whether it may be sent with one, None as the storage does.
    """

    def __init__(
        self, budget: Budget, *, first: bool = True, whole: int | None = None, checksums: bool | None = None
    ) -> None:
        self.size: int = 0
        self._budget = budget
        self._first = first
        self._whole = budget.part_size if whole is None else whole
        self._checksums = budget.checksums if checksums is None else checksums
        self._taken = 0
        self._file: IO[bytes] | None = None
        self._checksum = 0

    def write(self, data: memoryview) -> None:
        """Raises `OSError` where they go to a disk that is full."""
        file = self._begun()
        if isinstance(file, io.BytesIO):
            more = max(0, self.size + len(data) - self._taken)
            if self._budget.take_memory(more):
                self._taken += more
            else:
                file = self._spill(file)
        file.write(data)
        file.flush()  # of a disk that is full it is told here, and not when the part is sent
        self.size += len(data)
        if self._checksums:
            self._checksum = zlib.crc32(data, self._checksum)

    def arguments(self, *, checksum: bool = True) -> dict[str, Any]:
        """Of the call that sends it; without its checksum where the call takes none."""
        file = self._begun()
        file.truncate(self.size)
        file.seek(0)
        said = base64.b64encode(self._checksum.to_bytes(4, "big")).decode()
        check = {"ChecksumCRC32": said} if self._checksums and checksum else {}
        return {"Body": file, "ContentLength": self.size, **check}

    def head(self, size: int) -> bytes:
        """The first bytes."""
        file = self._begun()
        file.seek(0)
        return file.read(min(size, self.size))

    def go_on(self) -> None:
        """More can be written, after it was read."""
        self._begun().seek(self.size)

    def close(self, *, sent: bool = False) -> None:
        """Idempotent. Where it was `sent`, nobody reads from its memory any more."""
        file, self._file = self._file, None
        whole = isinstance(file, io.BytesIO) and self.size == self._taken == self._whole
        if sent and whole and len(self._budget.spare) < _SPARE:
            self._budget.spare.append(cast(io.BytesIO, file))
        else:
            if file is not None:
                file.close()
            self._budget.memory.give_back(self._taken)
        self._taken = 0

    def _begun(self) -> IO[bytes]:
        if self._file is None:
            buffer = None if self._first else self._budget.whole_buffer(self._whole)
            self._taken = 0 if buffer is None else self._whole
            self._file = io.BytesIO() if buffer is None else buffer
            self._file.seek(0)
        return self._file

    def _spill(self, filled: io.BytesIO) -> IO[bytes]:
        file = self._file = tempfile.TemporaryFile(dir=self._budget.folder)  # noqa: SIM115  # `close` closes it
        file.write(filled.getbuffer()[: self.size])  # behind it may be bytes of another part
        taken, self._taken = self._taken, 0
        self._budget.memory.give_back(taken)
        return file


class Sending:
    """The parts that are under way to a multipart upload. `done` has those that are there, by number and as the call
    that completes it wants them; they are the first ones, without a gap. `checksums` says whether it was begun with
    them."""

    def __init__(
        self,
        writing: Writing,
        budget: Budget,
        parts_id: str,
        done: Mapping[int, Mapping[str, Any]] | None = None,
        *,
        checksums: bool,
    ) -> None:
        self._writing = writing
        self._checksums = checksums
        self._budget = budget
        self._id = parts_id
        self._done: dict[int, Mapping[str, Any]] = dict(done or {})
        self._begun = len(self._done)
        self._under_way: set[Future[None]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()  # the same, seen from the loop

    @property
    def count(self) -> int:
        """Of the parts that are there or under way."""
        return self._begun

    def send(self, part: Part) -> None:
        """Sends the next part, and closes it. Waits where enough of them are under way, and raises what went wrong
        with one."""

        def answered(answer: Mapping[str, Any]) -> Mapping[str, Any]:
            part.close(sent=True)  # before anybody waits no more for it: the next part has its memory
            return answer

        try:
            future = self._begin("upload_part", answered, part.arguments(checksum=self._checksums))
        except BaseException:
            part.close()
            raise
        future.add_done_callback(lambda _: part.close())

    def copy(self, start: int, end: int, **source: Any) -> None:
        """Has S3 copy the next part from a range of another object."""
        where = {"CopySourceRange": f"bytes={start}-{end - 1}", **source}
        self._begin("upload_part_copy", lambda answer: answer["CopyPartResult"], where)

    def expect_well(self) -> None:
        """Raises what went wrong with a part that has ended."""
        for future in [each for each in self._under_way if each.done()]:
            self._under_way.remove(future)
            future.result()

    def finish(self) -> None:
        """Waits for all parts."""
        while self._under_way:
            wait(self._under_way, return_when=FIRST_COMPLETED)
            self.expect_well()

    def all_parts(self) -> dict[str, Any]:
        """What the call says that makes one object of them, once they are finished."""
        parts = [self._done[number] for number in sorted(self._done)]
        return {"UploadId": self._id, "MultipartUpload": {"Parts": parts}}

    def interrupt(self) -> None:
        """None is under way any more."""
        if self._under_way:
            event_loop.wait_for(self._interrupt())

    def abort(self) -> None:
        """Leaves nothing of them."""
        event_loop.wait_for(self._abort())

    def _begin(
        self, operation: str, result: Callable[[Any], Mapping[str, Any]], arguments: Mapping[str, Any]
    ) -> Future[None]:
        if self._begun == MAX_PARTS:
            raise self._writing.failed(f"write a file: it has more than {MAX_PARTS} parts; give its field a max_size")
        while len(self._under_way) >= self._budget.parts_at_once:
            wait(self._under_way, return_when=FIRST_COMPLETED)
            self.expect_well()
        self._budget.parts.acquire()
        self._begun += 1
        future = event_loop.begin(self._carry_out(operation, result, self._begun, arguments))
        future.add_done_callback(lambda _: self._budget.parts.release())
        self._under_way.add(future)
        return future

    async def _carry_out(
        self, operation: str, result: Callable[[Any], Mapping[str, Any]], number: int, arguments: Mapping[str, Any]
    ) -> None:
        task = asyncio.ensure_future(self._call(operation, "write a file", PartNumber=number, **arguments))
        self._tasks.add(task)
        try:
            self._done[number] = part_as_named(number, result(await task))
        except ObjectMissing as error:
            if code_of(error) != NO_UPLOAD:
                raise
            raise self._writing.failed("write a file: the upload was removed") from error  # by a sweep, of whoever
        except asyncio.CancelledError:  # the end of the process aborts what other threads still write
            raise self._writing.failed("write a file: the upload was given up") from None
        finally:
            self._tasks.discard(task)

    async def _interrupt(self) -> bool:
        """Whether there was one."""
        interrupted = [*self._tasks]
        for task in interrupted:
            task.cancel()
        if interrupted:
            await asyncio.wait(interrupted)
        return bool(interrupted)

    async def _abort(self) -> None:
        interrupted = await self._interrupt()
        for _ in range(_ABORTS):
            with suppress(ObjectMissing):
                await self._call("abort_multipart_upload", "discard a file")
            if not interrupted or not await self._has_parts():  # S3 may have been taking a part, and keeps it then
                return

    async def _has_parts(self) -> bool:
        try:
            found = await self._call("list_parts", "look at an upload", MaxParts=1)
        except (ObjectMissing, StorageFailed):  # who may not ask leaves it to a sweep
            return False
        return bool(found.get("Parts"))

    def _call(self, operation: str, doing: str, **arguments: Any) -> Any:
        writing = self._writing
        return writing.client.acall(operation, doing, writing.key, Key=writing.name, UploadId=self._id, **arguments)


class Parts(Sending):
    """A multipart upload of this process. Ended by `complete`, or by `abort`, which the process's end makes too."""

    def __init__(self, writing: Writing, budget: Budget) -> None:
        begun = writing.call(
            "create_multipart_upload", "begin an upload", **writing.arguments, **algorithm(checksums=budget.checksums)
        )
        super().__init__(writing, budget, begun["UploadId"], checksums=budget.checksums)
        budget.live.add(self._id)
        event_loop.at_exit(self.abort)

    def complete(self) -> None:
        self._writing.publish("complete_multipart_upload", **self.all_parts(), **self._budget.condition)
        self._end()

    def abort(self) -> None:
        """Leaves nothing of it, also where it was finished and nobody said so."""
        try:
            super().abort()
        finally:
            self._end()
            self._writing.withdraw()

    def _end(self) -> None:
        self._budget.live.discard(self._id)
        event_loop.not_at_exit(self.abort)


def algorithm(*, checksums: bool) -> dict[str, str]:
    """What the call says that begins a multipart upload, so that its parts may have checksums."""
    return {"ChecksumAlgorithm": "CRC32"} if checksums else {}


def part_as_named(number: int, said: Mapping[str, Any]) -> dict[str, Any]:
    """A part as the call that completes an upload names it. `said` is what the server told of it."""
    return {"PartNumber": number} | {name: said[name] for name in _OF_A_PART if name in said}
