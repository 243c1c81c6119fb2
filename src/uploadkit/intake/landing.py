"""A file on its way into a storage: the sink, the digest and the checks that see its bytes. The acting half of a step.

Both drivers use it, the async one from a worker thread where the storage may block.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO, Protocol, cast

from ..errors import StorageFailed
from ..policy.endings import ending_of
from ..policy.fields import FileRule
from ..policy.filters import ClosableWatch, IncomingFile, StagedCheck, Watch
from ..storage.contract import Buffer, ObjectInfo, ReadableStaged, Sink, Staged, StoredObject
from ..storage.transfer import stage_blocks

BLOCK_SIZE = 2**20


class KeepingSink(Sink, Protocol):
    """A sink whose storage keeps what is not whole."""

    def keep(self) -> None: ...


class Landing:
    """One file from its first byte to its place. Used by one thread at a time."""

    __slots__ = (
        "_behind",
        "_digest",
        "_ending",
        "_file",
        "_held",
        "_info",
        "_key",
        "_rule",
        "_sink",
        "_size",
        "_staged",
        "_watches",
        "may_block",
    )

    def __init__(self, rule: FileRule, key: str, file: IncomingFile, *, digest: bool, max_size: int | None) -> None:
        self._digest = hashlib.sha256() if digest else None
        self._staged: Staged | None = None
        self._behind: Staged | None = None  # in staging, after the file has moved on
        self._ending = ending_of(file, rule.accept)
        self._rule = rule
        self._file = file
        self._key = key
        self._size = 0
        self._info = ObjectInfo(content_type=file.content_type, filename=file.filename, max_size=max_size)
        with ExitStack() as held:
            self._watches = begin_watches(rule, file, held)
            self._sink: Sink = rule.lands_in.open(key, self._info)
            self._held = held.pop_all()  # what watches hold is let go by `stage` or `discard`
        self.may_block: bool = rule.lands_in.may_block or bool(self._watches)  # a driver sets it for a large file

    @property
    def digest(self) -> str | None:
        """The SHA-256 of what was written, in lower-case hex; None where none was wanted."""
        return None if self._digest is None else self._digest.hexdigest()

    def write(self, data: Buffer) -> None:
        for watch in self._watches:
            watch.feed(data)
        if self._ending is not None:
            self._ending.feed(data)
        if self._digest is not None:
            self._digest.update(data)
        self._size += len(data)
        self._sink.write(data)

    def stage(self) -> None:
        if self._ending is not None:
            self._ending.check(self._file)
        with self._held:
            for watch in self._watches:
                watch.end()
        self._staged = self._sink.stage()

    def examine(self, check: StagedCheck, file: IncomingFile) -> None:
        with self._readable().open() as opened:
            check.examine(file, opened)

    def move(self) -> None:
        """From staging, where checks could read it, into the storage of its rule, where it is staged again. What comes
        out of staging is compared with what went in."""
        staged, storage, staging = self._readable(), self._rule.storage, self._rule.lands_in.name
        self.may_block = True  # to commit or to discard it is that storage's turn
        with staged.open() as opened:
            blocks = _blocks(opened, staging, self._key)
            self._behind, self._staged = (
                staged,
                stage_blocks(
                    blocks, self._key, self._info, target=storage, size=self._size, sha256=self.digest, source=staging
                ),
            )
        staged.discard()
        self._behind = None

    def commit(self) -> StoredObject:
        if self._staged is None:
            raise RuntimeError("a file is staged before it is committed")
        return self._staged.commit()

    def keep(self) -> None:
        """What was written stays in its storage, where that keeps what is not whole."""
        with self._held:
            cast(KeepingSink, self._sink).keep()

    def discard(self) -> None:
        with self._held:
            try:
                if self._staged is None:
                    self._sink.discard()
                else:
                    self._staged.discard()
            finally:
                if self._behind is not None:
                    self._behind.discard()

    def _readable(self) -> ReadableStaged:
        if self._staged is None:
            raise RuntimeError("a file is staged before it is read")
        return cast(ReadableStaged, self._staged)  # the rule was built for a storage that reads what is staged


def _blocks(file: BinaryIO, storage: str, key: str) -> Iterator[bytes]:
    try:
        while block := file.read(BLOCK_SIZE):
            yield block
    except OSError as error:
        raise StorageFailed("the storage could not read a staged file", storage=storage, key=key) from error


def begin_watches(rule: FileRule, file: IncomingFile, held: ExitStack) -> list[Watch]:
    """A watch over one file for each check of its rule that sees the passing bytes. `held` closes those that hold
    something, also where a later one does not begin."""
    watches = []
    for check in rule.stream_checks:
        watch = _synchronous(check.begin(file))
        if isinstance(watch, ClosableWatch):
            held.callback(watch.close)
        watches.append(watch)
    return watches


def _synchronous(watch: Watch) -> Watch:
    calls = (watch.feed, watch.end, getattr(watch, "close", None))
    if any(inspect.iscoroutinefunction(call) for call in calls):
        raise TypeError(f"{watch!r} is async: nobody would await it, and it would refuse nothing")
    return watch
