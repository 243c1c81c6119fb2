"""Who may say no to a file: filters and checks, and what they are shown. Protocols and values only, no I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeAlias, runtime_checkable

from ..storage.contract import Buffer


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingFile:
    """A file that is arriving, as filters, checks and naming callables see it.

    `id` is the upload's own id; `filename` is safe to show and to save, `client_filename` as sent; `content_type` is
    what the first bytes show, `declared_type` what the client said (None: nothing); `head` is at most the first
    8 KiB. `fields` holds the text values that arrived before the file.
    """

    id: str
    field: str
    filename: str
    client_filename: str
    content_type: str
    declared_type: str | None
    head: bytes
    fields: tuple[tuple[str, str], ...] = ()


Filter: TypeAlias = Callable[[IncomingFile], bool | Awaitable[bool]]
"""Says whether a file may come in. It is asked when the first bytes are there and before anything is stored."""


@runtime_checkable
class StreamCheck(Protocol):
    """A check that sees a file's bytes as they pass. One object serves many files at once."""

    def begin(self, file: IncomingFile) -> Watch:
        """Called when the file's first bytes are there."""
        ...


class Watch(Protocol):
    """One file under a `StreamCheck`. It runs where the bytes are written: in a worker thread or a blocking driver."""

    def feed(self, data: Buffer) -> None:
        """The next bytes, in order. The buffer may be reused after the call. Raises `FileRefused` to refuse."""
        ...

    def end(self) -> None:
        """The file is complete. Raises `FileRefused` to refuse."""
        ...


@runtime_checkable
class ClosableWatch(Watch, Protocol):
    """A watch that holds something, a connection for example."""

    def close(self) -> None:
        """Lets it go. Called on every way out, after `end` or in its place, where the others run. Idempotent."""
        ...


@runtime_checkable
class StagedCheck(Protocol):
    """A check that reads the whole staged file before it is published. Needs a storage with `ReadsStaged`."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """Raises `FileRefused` to refuse. `staged` is seekable and closed by the caller."""
        ...
