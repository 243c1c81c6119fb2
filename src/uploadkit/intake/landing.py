"""A file on its way into a storage: the sink, the digest and the checks that see its bytes. The acting half of a step.

Both drivers use it, the async one from a worker thread where the storage may block.
"""

from __future__ import annotations

import hashlib
import inspect

from ..policy.fields import FileRule
from ..policy.filters import IncomingFile, StagedCheck, Watch
from ..storage.contract import Buffer, ObjectInfo, ReadableStaged, Sink, Staged, StoredObject


class Landing:
    """One file from its first byte to its place. Used by one thread at a time."""

    __slots__ = ("_digest", "_sink", "_staged", "_watches", "may_block")

    def __init__(self, rule: FileRule, key: str, file: IncomingFile, *, digest: bool) -> None:
        self._watches = [_synchronous(check.begin(file)) for check in rule.stream_checks]
        self._digest = hashlib.sha256() if digest else None
        self._staged: Staged | None = None
        self._sink: Sink = rule.storage.open(key, ObjectInfo(content_type=file.content_type, filename=file.filename))
        self.may_block: bool = rule.storage.may_block or bool(self._watches)  # a driver sets it for a large file

    @property
    def digest(self) -> str | None:
        """The SHA-256 of what was written, in lower-case hex; None where none was wanted."""
        return None if self._digest is None else self._digest.hexdigest()

    def write(self, data: Buffer) -> None:
        for watch in self._watches:
            watch.feed(data)
        if self._digest is not None:
            self._digest.update(data)
        self._sink.write(data)

    def stage(self) -> None:
        for watch in self._watches:
            watch.end()
        self._staged = self._sink.stage()

    def examine(self, check: StagedCheck, file: IncomingFile) -> None:
        staged: ReadableStaged = self._staged  # type: ignore[assignment]  # FileRule was built for a ReadsStaged storage
        with staged.open() as opened:
            check.examine(file, opened)

    def commit(self) -> StoredObject:
        if self._staged is None:
            raise RuntimeError("a file is staged before it is committed")
        return self._staged.commit()

    def discard(self) -> None:
        if self._staged is None:
            self._sink.discard()
        else:
            self._staged.discard()


def _synchronous(watch: Watch) -> Watch:
    if inspect.iscoroutinefunction(watch.feed) or inspect.iscoroutinefunction(watch.end):
        raise TypeError(f"{watch!r} is async: nobody would await it, and it would refuse nothing")
    return watch
