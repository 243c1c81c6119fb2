"""The parts of an object: what they take of a process, and their way to S3.

A `Part` lies in memory while the `Budget` of the process has room, else in a temporary file: to wait for memory would
let slow clients keep the others out. `Parts` are a multipart upload. The event loop of `storage.event_loop` sends them
while the caller fills the next one; where enough of them are under way the caller waits, which is what slows a client.
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
            if self._pop_spare() is None:
                return False
            self.memory.give_back(self.part_size)
        return True

    def whole_buffer(self) -> io.BytesIO | None:
        """Memory for a whole part, which is taken: that of one that was sent, if there is some, else new, and in one
        piece, since what grows bit by bit in several threads leaves holes. None where there is no room."""
        buffer = self._pop_spare()
        if buffer is None and self.memory.take(self.part_size):
            buffer = io.BytesIO()
            buffer.seek(self.part_size - 1)
            buffer.write(b"\0")
        return buffer

    def _pop_spare(self) -> io.BytesIO | None:
        with suppress(IndexError):  # another thread may be faster
            return self.spare.pop()
        return None

    def part_size_for(self, max_size: int | None) -> int:
        """Large enough for an object of `max_size` bytes, in whole MiB."""
        if max_size is None or max_size <= self.part_size * MAX_PARTS:
            return self.part_size
        return -(-max_size // MAX_PARTS // 2**20) * 2**20


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
    that of a part that was sent, if there is some by then.
    """

    def __init__(self, budget: Budget, *, first: bool = True) -> None:
        self.size: int = 0
        self._budget = budget
        self._first = first
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
        if self._budget.checksums:
            self._checksum = zlib.crc32(data, self._checksum)

    def arguments(self) -> dict[str, Any]:
        """Of the call that sends it."""
        file = self._begun()
        file.truncate(self.size)
        file.seek(0)
        checksum = base64.b64encode(self._checksum.to_bytes(4, "big")).decode()
        check = {"ChecksumCRC32": checksum} if self._budget.checksums else {}
        return {"Body": file, "ContentLength": self.size, **check}

    def close(self, *, sent: bool = False) -> None:
        """Idempotent. Where it was `sent`, nobody reads from its memory any more."""
        file, self._file = self._file, None
        whole = isinstance(file, io.BytesIO) and self.size == self._taken == self._budget.part_size
        if sent and whole and len(self._budget.spare) < _SPARE:
            self._budget.spare.append(cast(io.BytesIO, file))
        else:
            if file is not None:
                file.close()
            self._budget.memory.give_back(self._taken)
        self._taken = 0

    def _begun(self) -> IO[bytes]:
        if self._file is None:
            buffer = None if self._first else self._budget.whole_buffer()
            self._taken = 0 if buffer is None else self._budget.part_size
            self._file = io.BytesIO() if buffer is None else buffer
            self._file.seek(0)
        return self._file

    def _spill(self, filled: io.BytesIO) -> IO[bytes]:
        file = self._file = tempfile.TemporaryFile(dir=self._budget.folder)  # noqa: SIM115  # `close` closes it
        file.write(filled.getbuffer()[: self.size])  # behind it may be bytes of another part
        taken, self._taken = self._taken, 0
        self._budget.memory.give_back(taken)
        return file


class Parts:
    """A multipart upload. Ended by `complete`, or by `abort`, which the end of the process makes too."""

    def __init__(self, writing: Writing, budget: Budget) -> None:
        self._writing = writing
        self._budget = budget
        self._done: dict[int, dict[str, Any]] = {}  # by number, as the last call wants them
        self._under_way: set[Future[None]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()  # the same, seen from the loop
        algorithm = {"ChecksumAlgorithm": "CRC32"} if budget.checksums else {}
        begun = writing.call("create_multipart_upload", "begin an upload", **writing.arguments, **algorithm)
        self._id: str = begun["UploadId"]
        self._begun = 0
        budget.live.add(self._id)
        event_loop.at_exit(self.abort)

    def send(self, part: Part) -> None:
        """Sends the next part, and closes it. Waits where enough of them are under way, and raises what went wrong
        with one."""

        def answered(answer: Mapping[str, Any]) -> Mapping[str, Any]:
            part.close(sent=True)  # before anybody waits no more for it: the next part has its memory
            return answer

        try:
            future = self._begin("upload_part", answered, part.arguments())
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

    def complete(self) -> None:
        parts = [self._done[number] for number in sorted(self._done)]
        how = {"UploadId": self._id, "MultipartUpload": {"Parts": parts}, **self._budget.condition}
        self._writing.publish("complete_multipart_upload", **how)
        self._end()

    def abort(self) -> None:
        """Leaves nothing of it, also where it was finished and nobody said so."""
        try:
            event_loop.wait_for(self._abort())
        finally:
            self._end()
            self._writing.withdraw()

    def _end(self) -> None:
        self._budget.live.discard(self._id)
        event_loop.not_at_exit(self.abort)

    async def _carry_out(
        self, operation: str, result: Callable[[Any], Mapping[str, Any]], number: int, arguments: Mapping[str, Any]
    ) -> None:
        task = asyncio.ensure_future(self._call(operation, "write a file", PartNumber=number, **arguments))
        self._tasks.add(task)
        try:
            said = result(await task)
            self._done[number] = {"PartNumber": number} | {name: said[name] for name in _OF_A_PART if name in said}
        except ObjectMissing as error:
            if code_of(error) != NO_UPLOAD:
                raise
            raise self._writing.failed("write a file: the upload was removed") from error  # by a sweep, of whoever
        except asyncio.CancelledError:  # the end of the process aborts what other threads still write
            raise self._writing.failed("write a file: the upload was given up") from None
        finally:
            self._tasks.discard(task)

    async def _abort(self) -> None:
        interrupted = [*self._tasks]
        for task in interrupted:
            task.cancel()
        if interrupted:
            await asyncio.wait(interrupted)
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
