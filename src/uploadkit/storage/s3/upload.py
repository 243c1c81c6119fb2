"""An object on its way into a bucket: from its first byte to its commit, or to nothing.

Bytes fill a `Part`. A full one begins a multipart upload and goes out while the next one fills. An object of less than
a part is sent by its commit, in one call.
"""

from __future__ import annotations

import errno
import os

from ..contract import Buffer, StoredObject
from .parts import Budget, Part, Parts
from .writing import Writing


class Sink:
    """Takes an object's bytes. What is not a whole part yet is held."""

    def __init__(self, writing: Writing, budget: Budget, max_size: int | None) -> None:
        self._writing = writing
        self._budget = budget
        self._part_size = budget.part_size_for(max_size)
        self._part = Part(budget)
        self._size = 0
        self._parts: Parts | None = None
        self._ended = False
        self._broken = False

    def write(self, data: Buffer) -> None:
        self._expect_writable()
        self._broken = True  # until all of it is taken, whatever may come in between
        if self._parts is not None:
            self._parts.expect_well()
        rest = memoryview(data).cast("B")
        while rest:
            taken = rest[: self._part_size - self._part.size]
            try:
                self._part.write(taken)
            except OSError as error:
                raise self._writing.failed(f"hold a file: {os.strerror(error.errno or errno.EIO)}") from error
            self._size += len(taken)
            rest = rest[len(taken) :]
            if self._part.size == self._part_size:
                self._send()
        self._broken = False

    def stage(self) -> Staged:
        self._expect_writable()
        self._broken = True
        bytes_in: Part | Parts
        if self._parts is None and self._budget.held.take(self._part.size):
            bytes_in = self._part
        else:
            bytes_in = self._send() if self._part.size or self._parts is None else self._parts
            bytes_in.finish()
        self._ended = True
        return Staged(self._writing, self._budget, StoredObject(key=self._writing.key, size=self._size), bytes_in)

    def discard(self) -> None:
        if self._ended:
            return
        self._broken = True
        self._part.close()
        if self._parts is not None:
            self._parts.abort()  # where it raises, it can be tried again
        self._ended = True

    def _send(self) -> Parts:
        if self._parts is None:
            self._parts = Parts(self._writing, self._budget)
        part, self._part = self._part, Part(self._budget, first=False)
        self._parts.send(part)
        return self._parts

    def _expect_writable(self) -> None:
        if self._ended:
            raise RuntimeError("the sink was staged or discarded")
        if self._broken:
            raise self._writing.failed("write a file: an earlier write failed")


class Staged:
    """All bytes are in parts at S3, or they are few and held here."""

    def __init__(self, writing: Writing, budget: Budget, stored: StoredObject, bytes_in: Part | Parts) -> None:
        self._writing = writing
        self._budget = budget
        self._stored = stored
        self._bytes_in: Part | Parts | None = bytes_in

    def commit(self) -> StoredObject:
        if self._bytes_in is None:
            raise RuntimeError("the staged object was committed or discarded")
        if isinstance(self._bytes_in, Parts):
            self._bytes_in.complete()
        else:
            how = {**self._writing.arguments, **self._bytes_in.arguments(), **self._budget.condition}
            self._writing.publish("put_object", **how)
            self._let_go(self._bytes_in)
        self._bytes_in = None
        return self._stored

    def discard(self) -> None:
        if isinstance(self._bytes_in, Parts):
            self._bytes_in.abort()  # where it raises, it can be tried again
        elif self._bytes_in is not None:
            self._let_go(self._bytes_in)
        self._bytes_in = None
        self._writing.withdraw()

    def _let_go(self, part: Part) -> None:
        part.close()
        self._budget.held.give_back(part.size)
