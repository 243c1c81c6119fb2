"""The virus scan, by a clamd over its INSTREAM command. `ClamAV` is the check.

A scan has three outcomes: clean, infected, unscannable. Clean is one answer of the daemon, to the letter, after it was
sent the whole file; whatever else happens (it is down, killed, silent, out of limits, or says what nobody knows) is
unscannable, never clean. Blocking sockets, since checks run in worker threads; every wait has an end, and every
connection serves one file and is closed on every way out.
"""

from __future__ import annotations

import inspect
import json
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import BinaryIO, Literal, TypeAlias
from urllib.parse import urlsplit

from ..errors import CheckFailed, FileRefused, quoted
from ..policy.filters import ClosableWatch, IncomingFile
from ..policy.limits import parse_size
from ..storage.contract import Buffer, ObjectInfo, Storage
from ..storage.transfer import stage_blocks

__all__ = [
    "ClamAV",
    "OnScan",
    "Outcome",
    "Scan",
    "StreamedClamAV",
]

BLOCK_SIZE = 2**20
"""The most bytes that are read, or sent as one chunk, at a time."""

DEFAULT_SIZE = 25 * 2**20
"""What clamd as Debian sets it up looks into (MaxFileSize 25M); what is larger it calls clean without a look."""

_ANSWER_SIZE = 4096  # a signature's name is short; whoever says more is no clamd

# Alerts that name no virus: it did not look, or could not, at all of the file. Off unless clamd.conf asks for them.
_NOT_SEEN = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")


class Outcome(Enum):
    """What came of a scan."""

    CLEAN = "clean"
    INFECTED = "infected"
    UNSCANNABLE = "unscannable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What came of a scan, and why.

    `signature` is what an infected file matched, as the daemon's database calls it. `reason` says why a file is
    unscannable; with `retryable` the daemon was the reason, and another attempt may end otherwise. Neither is shown
    to senders: for logs both are safe, printable and at most 200 characters.
    """

    outcome: Outcome
    signature: str | None = None
    reason: str | None = None
    retryable: bool = False


OnScan: TypeAlias = Callable[[IncomingFile, Scan], object]
"""Is told what came of each scan, in the thread that made it, before anything comes of it. What it raises ends
the form."""

CLEAN = Scan(outcome=Outcome.CLEAN)


class ClamAV:
    """A check that has the whole staged file scanned by a clamd, before it is published.

    `address` is `unix:///run/clamav/clamd.ctl` or `tcp://127.0.0.1:3310`. The connection is neither encrypted nor
    authenticated: who can reach the port can read what is scanned.

    - Infected: the file is refused (`FileRefused`, 422). With `quarantine` it is kept there first, under the upload's
      id, and beside it `ID.json` says what it is and why it was refused.
    - Unscannable: with `unscannable="refuse"`, the default, a file that is too large to be scanned, or that the daemon
      could not look into, is `FileRefused`; where the daemon is the reason it is `CheckFailed`, 503. With "accept" the
      file comes in as if it were clean.

    What is larger than `max_size` is unscannable and is not sent. Set it to what `MaxFileSize` and `StreamMaxLength`
    of the daemon's clamd.conf say; `AlertExceedsMax yes` there has the daemon say where it stopped looking, inside an
    archive too. None: there is no bound here, and beyond its own the daemon calls a file clean.

    `connect_seconds` is how long a connection may take, `silent_seconds` how long the daemon may take nothing or not
    answer; it scans after the last byte, so that is also the longest scan. `on_scan` is told what came of each.
    """

    def __init__(
        self,
        address: str,
        *,
        max_size: int | str | None = DEFAULT_SIZE,
        unscannable: Literal["refuse", "accept"] = "refuse",
        quarantine: Storage | None = None,
        on_scan: OnScan | None = None,
        connect_seconds: float = 5,
        silent_seconds: float = 60,
    ) -> None:
        if unscannable not in ("refuse", "accept"):
            raise ValueError(f'unscannable is "refuse" or "accept", not {unscannable!r}')
        if connect_seconds <= 0 or silent_seconds <= 0:
            raise ValueError("connect_seconds and silent_seconds are greater than 0")
        _check_values(quarantine, on_scan)
        self._daemon = _Daemon(_connector(address), connect_seconds=connect_seconds, silent_seconds=silent_seconds)
        self.max_size: int | None = None if max_size is None else parse_size(max_size)
        self._accepts_unscannable = unscannable == "accept"
        self._quarantine = quarantine
        self._on_scan = on_scan
        self.address = address

    def __repr__(self) -> str:
        return f"ClamAV({self.address!r})"

    def scan(self, file: BinaryIO) -> Scan:
        """What the daemon says to `file`, read from where it stands to its end. Raises nothing of the daemon's."""
        with self._session() as session:
            while block := file.read(BLOCK_SIZE):
                if not session.send(block):
                    break
            return session.end()

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """Raises `FileRefused`, `CheckFailed`, and `StorageFailed` of the quarantine."""
        self._judge(file, self.scan(staged), staged)

    @property
    def streamed(self) -> StreamedClamAV:
        """The same check on the bytes as they pass, which reads nothing a second time and needs no `ReadsStaged`.

        It holds a connection for as long as the file arrives: a client that is slower than 1 MiB in clamd's
        ReadTimeout (120 s unless its clamd.conf says otherwise) makes its own file unscannable. Raises `TypeError`
        with a quarantine, which needs the staged file.
        """
        if self._quarantine is not None:
            raise TypeError("a quarantine needs the staged file: use ClamAV(...) itself as the check")
        return StreamedClamAV(self)

    def _session(self) -> _Session:
        return _Session(self._daemon, self.max_size)

    def _judge(self, file: IncomingFile, scan: Scan, staged: BinaryIO | None = None) -> None:
        if self._on_scan is not None:
            self._on_scan(file, scan)
        which = f"the file in field {quoted(file.field)}"
        if scan.outcome is Outcome.INFECTED:
            if self._quarantine is not None and staged is not None:
                _keep(self._quarantine, file, staged, scan)
            raise FileRefused(f"{which} is infected", field=file.field, filter="ClamAV", detected=file.content_type)
        if scan.outcome is Outcome.UNSCANNABLE and not self._accepts_unscannable:
            if scan.retryable:
                text = f"{which} could not be scanned for viruses; try again later"
                raise CheckFailed(text, field=file.field, filter="ClamAV", reason=scan.reason or "")
            text = f"{which} cannot be scanned for viruses"
            raise FileRefused(text, field=file.field, filter="ClamAV", detected=file.content_type)


class StreamedClamAV:
    """`ClamAV` on the bytes as they pass: see `ClamAV.streamed`, which makes it."""

    def __init__(self, clamav: ClamAV) -> None:
        self._clamav = clamav

    def __repr__(self) -> str:
        return f"{self._clamav!r}.streamed"

    def begin(self, file: IncomingFile) -> ClosableWatch:
        """Connects when the first bytes are there."""
        return _ScanWatch(self._clamav, file)


class _ScanWatch:
    """One file under a `StreamedClamAV`. What is unscannable and refused is refused at once, without the rest."""

    def __init__(self, clamav: ClamAV, file: IncomingFile) -> None:
        self._clamav = clamav
        self._file = file
        self._session: _Session | None = clamav._session()

    def feed(self, data: Buffer) -> None:
        if self._session is not None and not self._session.send(data):
            self.end()

    def end(self) -> None:
        if self._session is not None:
            with self._session as session:
                self._session = None
                self._clamav._judge(self._file, session.end())

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connector:
    """Where a clamd listens."""

    family: socket.AddressFamily | None
    host: str
    port: int = 0

    def connect(self, seconds: float) -> socket.socket:
        if self.family is None:
            connection = socket.create_connection((self.host, self.port), timeout=seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        connection = socket.socket(self.family)
        try:
            connection.settimeout(seconds)
            connection.connect(self.host)
        except BaseException:
            connection.close()
            raise
        return connection


def _check_values(quarantine: object, on_scan: object) -> None:
    """What a type checker refuses."""
    if quarantine is not None and (isinstance(quarantine, type) or not hasattr(quarantine, "may_block")):
        raise TypeError(f"{quarantine!r} is no storage; write DiskStorage(...) or another one")
    if on_scan is not None and (not callable(on_scan) or inspect.iscoroutinefunction(on_scan)):
        raise TypeError(f"{on_scan!r} is no plain function: on_scan is called in the thread of the scan")


def _connector(address: str) -> _Connector:
    """Raises `ValueError` where the address is of no clamd."""
    parts = urlsplit(address)
    with suppress(ValueError):  # a port that is none
        if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
            return _Connector(family=socket.AF_UNIX, host=parts.path)
        if parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path:
            return _Connector(family=None, host=parts.hostname, port=parts.port)
    raise ValueError(f"{address!r} is no address of a clamd: unix:///run/clamav/clamd.ctl or tcp://127.0.0.1:3310")


@dataclass(frozen=True, slots=True)
class _Daemon:
    connector: _Connector
    connect_seconds: float
    silent_seconds: float


class _Session:
    """One file on its way to a clamd. It is connected with the first byte that is sent, or at the end."""

    def __init__(self, daemon: _Daemon, max_size: int | None) -> None:
        self._daemon = daemon
        self._max_size = max_size
        self._size = 0
        self._socket: socket.socket | None = None
        self._scan: Scan | None = None  # known before the end: it cannot be clean any more

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, data: Buffer) -> bool:
        """The next bytes. False where nothing more is wanted: what came of the scan is known."""
        if self._scan is None:
            self._size += memoryview(data).nbytes
            if self._max_size is not None and self._size > self._max_size:
                self._give_up(_unscannable(f"the file has more than {self._max_size} bytes"))
            elif data:
                self._attempt(lambda connection: self._send(connection, data))
        return self._scan is None

    def end(self) -> Scan:
        """There is nothing more of the file: what the daemon says."""
        if self._scan is None:
            self._attempt(self._ask)
        self.close()
        return self._scan or _unscannable("the daemon was not asked", retryable=True)

    def _attempt(self, act: Callable[[socket.socket], None]) -> None:
        try:
            act(self._connected())
        except OSError as error:
            words = self._last_words()
            if words:
                self._give_up(_early(_interpreted(words)))
            else:
                self._give_up(_unscannable(f"clamd: {str(error) or type(error).__name__}", retryable=True))

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = self._daemon.connector.connect(self._daemon.connect_seconds)
            self._socket.settimeout(self._daemon.silent_seconds)
            self._socket.sendall(b"zINSTREAM\0")
        return self._socket

    def _send(self, connection: socket.socket, data: Buffer) -> None:
        rest = memoryview(data).cast("B")
        while rest and self._scan is None:
            if _has_spoken(connection):  # beyond StreamMaxLength it says so, and closes
                self._give_up(_early(_interpreted(self._answer(connection))))
            else:
                _send_chunk(connection, rest[:BLOCK_SIZE])
                rest = rest[BLOCK_SIZE:]

    def _ask(self, connection: socket.socket) -> None:
        connection.sendall(_header(0))
        self._scan = _interpreted(self._answer(connection))

    def _answer(self, connection: socket.socket) -> bytes:
        """Up to its end. An answer that comes byte by byte has no more time than another."""
        answer, end = b"", time.monotonic() + self._daemon.silent_seconds
        while not answer.endswith((b"\0", b"\n")) and len(answer) < _ANSWER_SIZE:
            connection.settimeout(max(end - time.monotonic(), 0.001))
            block = connection.recv(_ANSWER_SIZE)
            if not block:
                break
            answer += block
        return answer

    def _last_words(self) -> bytes:
        """What a daemon has said before it closed the connection. Waits for nothing."""
        if self._socket is None:
            return b""
        self._socket.setblocking(False)
        with suppress(OSError):
            return self._socket.recv(_ANSWER_SIZE)
        return b""

    def _give_up(self, scan: Scan) -> None:
        self._scan = scan
        self.close()


def _send_chunk(connection: socket.socket, data: memoryview) -> None:
    """A chunk is never empty: that would be the end of the file."""
    header = _header(len(data))
    sent = connection.sendmsg([header, data])
    if sent < len(header):
        connection.sendall(header[sent:])
        sent = len(header)
    connection.sendall(data[sent - len(header) :])


def _header(length: int) -> bytes:
    return struct.pack("!L", length)


def _has_spoken(connection: socket.socket) -> bool:
    """Whether something can be read, the end of the connection included. Not `select.select`: it ends at 1024."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _interpreted(answer: bytes) -> Scan:
    """What an answer of clamd means. Only one that is complete can be good or bad."""
    text = answer.decode("utf-8", "replace").rstrip("\0\n")
    complete = len(text) < len(answer.decode("utf-8", "replace"))
    if complete and text == "stream: OK":
        return CLEAN
    if complete and text.startswith("stream: ") and text.endswith(" FOUND"):
        signature = _printable(text.removeprefix("stream: ").removesuffix(" FOUND"))
        if signature.startswith(_NOT_SEEN):
            return _unscannable(signature)
        return Scan(outcome=Outcome.INFECTED, signature=signature)
    if text.startswith("INSTREAM size limit exceeded"):
        return _unscannable("the file is larger than clamd's StreamMaxLength")
    return _unscannable(f"clamd: {text}" if text else "clamd closed the connection without an answer", retryable=True)


def _early(scan: Scan) -> Scan:
    """The same, from a daemon that had not seen the whole file."""
    if scan.outcome is Outcome.UNSCANNABLE:
        return scan
    return _unscannable("clamd answered before the end of the file", retryable=True)


def _unscannable(reason: str, *, retryable: bool = False) -> Scan:
    return Scan(outcome=Outcome.UNSCANNABLE, reason=_printable(reason), retryable=retryable)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:200])


def _keep(quarantine: Storage, file: IncomingFile, staged: BinaryIO, scan: Scan) -> None:
    """The file and its record, both or none. The record comes first: what lies in a quarantine says why."""
    facts, size = _record(file, scan), staged.seek(0, 2)
    staged.seek(0)
    stage = partial(stage_blocks, target=quarantine, sha256=None, source="staging")
    with ExitStack() as undo:
        record = stage([facts], f"{file.id}.json", ObjectInfo(content_type="application/json"), size=len(facts))
        undo.callback(record.discard)
        body = stage(_blocks(staged), file.id, ObjectInfo(), size=size)
        undo.callback(body.discard)
        undo.callback(quarantine.delete, record.commit().key)
        body.commit()
        undo.pop_all()


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK_SIZE):
        yield block


def _record(file: IncomingFile, scan: Scan) -> bytes:
    """No text values of the form: they may be anything, and are nobody's business here."""
    facts = {
        "id": file.id,
        "signature": scan.signature,
        "quarantined": datetime.now(UTC).isoformat(timespec="seconds"),
        "field": file.field,
        "filename": file.filename,
        "client_filename": file.client_filename,
        "content_type": file.content_type,
        "declared_type": file.declared_type,
    }
    return json.dumps(facts, indent=1).encode()
