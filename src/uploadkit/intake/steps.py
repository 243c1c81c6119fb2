"""What a driver is to do next. A plan yields steps, and is sent what each of them came to.

A step says what, never how: it holds no open file and no socket. `Open` is answered by a landing, which the plan only
hands back. Every landing is closed by a `Commit` that succeeds or by a `Discard`. What was told by `Begin` and is not
received is told by a `Refuse`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeAlias, TypeVar

from ..errors import UploadLocked
from ..policy.fields import FileRule
from ..policy.filters import IncomingFile, StagedCheck
from ..storage.contract import Buffer, Storage
from ..uploads import Register
from .landing import Landing

T = TypeVar("T")


class End(Enum):
    """The answer to `Read` when the body has ended."""

    END = "the body has ended"


END = End.END


@dataclass(frozen=True, slots=True)
class Read:
    """Answered by the next chunk of the body, or `END`."""


READ = Read()


@dataclass(frozen=True, slots=True)
class Ask:
    """Call something of the user's, which may be async. Answered by what it returns."""

    call: Callable[..., Any]
    args: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Tell the register of a file that is about to be opened in `storage`, under `key` (None: the user has chosen it).
    `batch` is the same for all files of a request."""

    register: Register
    file: IncomingFile
    storage: Storage
    key: str | None
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Open a sink under `key`, with or without a digest of what is written, for at most `max_size` bytes (None: nobody
    knows). Answered by a landing."""

    rule: FileRule
    key: str
    file: IncomingFile
    digest: bool
    max_size: int | None


class Takes(Protocol):
    """What bytes are written to: a landing, or what an upload in several requests is added to. A driver sets
    `may_block` for a large file."""

    may_block: bool

    def write(self, data: Buffer) -> None: ...

    def keep(self) -> None:
        """All that was written stays where it is. Nothing more is written."""
        ...


@dataclass(frozen=True, slots=True)
class Write:
    """Append `data`, which may be reused when the step is answered."""

    landing: Takes
    data: Buffer


@dataclass(frozen=True, slots=True)
class Keep:
    """No more comes for now: what was written stays for another request."""

    landing: Takes


@dataclass(frozen=True, slots=True)
class Do:
    """Call something that may block. Answered by what it returns. One that `settles` gives back what an earlier step
    has taken: it is done whatever has happened, and no cancellation takes its place."""

    call: Callable[..., Any]
    args: tuple[object, ...] = ()
    settles: bool = False


class Happens(Protocol):
    """A `threading.Event`."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Accept:
    """Have a register take files for good: by `accept` or, in an event loop, by its async twin. Who waited for that in
    a worker thread would hold one of those in which it works. Nobody could tell how far it came: it is waited for."""

    accept: Callable[[], object]
    aaccept: Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Wait:
    """Until `event` is set, by any thread, and no longer than so many seconds. In an event loop it takes no thread."""

    event: Happens
    seconds: float


@dataclass(frozen=True, slots=True)
class Stage:
    """All bytes were written."""

    landing: Landing


@dataclass(frozen=True, slots=True)
class Examine:
    """Let a check read the staged file. It raises to refuse."""

    landing: Landing
    check: StagedCheck
    file: IncomingFile


@dataclass(frozen=True, slots=True)
class Move:
    """Bring a file that was staged elsewhere for its checks into its storage; it is staged there."""

    landing: Landing


@dataclass(frozen=True, slots=True)
class Commit:
    """Make the file visible. Answered by the `StoredObject`."""

    landing: Landing


@dataclass(frozen=True, slots=True)
class Discard:
    """Leave nothing of what was written."""

    landing: Landing


@dataclass(frozen=True, slots=True)
class Delete:
    """Take back a file that was made visible."""

    storage: Storage
    key: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the register that uploads which were begun came to nothing. What was stored of them is gone by now."""

    register: Register
    uploads: tuple[str, ...]
    error: BaseException


Step: TypeAlias = (
    Read
    | Ask
    | Do
    | Accept
    | Wait
    | Begin
    | Open
    | Write
    | Keep
    | Stage
    | Examine
    | Move
    | Commit
    | Discard
    | Delete
    | Refuse
)

Steps: TypeAlias = Generator[Step, Any, T]
"""A plan, or a part of one, which comes to a result."""


def undoing(steps: Steps[T], undo: Callable[[BaseException], object]) -> Steps[T]:
    """These steps, and where they fail, whatever that is, the one that takes back what they had: it is told why. What
    that raises itself is noted on the error, but for `UploadLocked`: what is another's by now is for him to take back,
    and to say what became of it."""
    try:
        return (yield from steps)
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from undone(undo, error)
        raise


def undone(undo: Callable[[BaseException], object], error: BaseException) -> Steps[None]:
    """The one that takes back what others had, which have failed by this error: see `undoing`."""
    try:
        yield Do(undo, (error,), settles=True)
    except (GeneratorExit, UploadLocked):
        raise
    except Exception as also:
        if also is not error:
            error.add_note(f"and not all could be taken back: {also!r}")


def releasing(steps: Steps[T], release: Callable[[], object]) -> Steps[T]:
    """These steps, and then the one that gives back what they had, whatever has happened."""
    result = yield from undoing(steps, lambda _: release())
    yield Do(release, settles=True)
    return result
