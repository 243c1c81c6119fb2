"""One command, its processes: the parent begins them, replaces what dies, and ends them in order.

The parent holds what there is once: the folder, by a lock, the socket, and the server of the queue. It reads no request
and opens no ledger. Each of its processes ends with it, however it ends: see `channel`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from ..processing.valkey import ValkeyServer
from .channel import END, ENDING, FAILED, LAST_SECONDS, READY
from .lines import configure
from .settings import Settings, check, without_password

if sys.platform != "win32":
    import fcntl

__all__ = ["ServeFailed", "described", "serve"]

MOST_DEATHS: Final = 5
DEATH_SECONDS: Final = 30.0
"""What dies so often in so many seconds will not live: then the whole ends."""

BACKLOG: Final = 2048
"""So many connections wait to be taken, as uvicorn has it."""

_log = logging.getLogger("uploadkit.service")


class ServeFailed(Exception):
    """The service cannot begin, or go on. The text is one for people, and ends with what to do where that is known."""


def serve(settings: Settings, *, say: Callable[[str], object]) -> int:
    """Runs the service until SIGTERM, SIGINT or SIGHUP, and returns the status to exit with: 0 where it has ended in
    order, 128 and the number of the signal where a second one came. `say` is told, a line at a time, where it listens
    and what it uses, as soon as it does. Raises `ServeFailed`."""
    if sys.platform == "win32":
        raise ServeFailed("uploadkit serve needs Linux or macOS")
    try:
        check(settings)
    except ValueError as error:
        raise ServeFailed(str(error)) from error
    with ExitStack() as stack:
        lock = stack.enter_context(_held(settings.data))
        listening = stack.enter_context(_bound(settings))
        configure(settings)
        stack.callback(os.umask, os.umask(0o077))  # the folder may have been there before, for others to read
        return asyncio.run(_Tree(settings, lock, listening, say).run())


def described(settings: Settings, url: str) -> Iterator[str]:
    """Where the service is, and what it uses, in a few lines."""
    words = "" if settings.asks_nobody else "-H 'Authorization: Bearer TOKEN' "
    yield f"uploadkit serves at {url}/{' (a page, for a browser)' if settings.asks_nobody else ''}"
    yield f"  try      curl {words}-F file=@photo.jpg {url}/uploads"
    yield f"  data     {settings.data.absolute()}"
    yield f"  ledger   {without_password(settings.database_url or 'SQLite, in the data folder')}"
    yield f"  queue    {without_password(settings.redis_url or 'a Valkey server, in the data folder')}"
    yield f"  storage  {settings.storage or 'the data folder'}"
    work = "and one that works" if settings.jobs else "and none that works: uploadkit worker does"
    yield f"  runs     {settings.workers} web process{'es' if settings.workers > 1 else ''}, {work}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What processes of a kind are begun with. `first_words` are for the first one alone."""

    name: str
    words: tuple[str, ...] = ()
    first_words: tuple[str, ...] = ()
    descriptors: tuple[int, ...]


class _Tree:
    """All of it, from its beginning to its end."""

    def __init__(self, settings: Settings, lock: int, listening: socket.socket, say: Callable[[str], object]) -> None:
        self.settings = settings
        self.environment = settings.environment(os.environ)
        self.is_told = asyncio.Event()
        self.hurries = asyncio.Event()
        self.failure: ServeFailed | None = None
        self._listening = listening
        self._say = say
        self._signals: list[int] = []
        web = _Kind(name="web", words=(str(listening.fileno()),), descriptors=(listening.fileno(), lock))
        # A ledger in the folder is ours alone: whatever had begun in it by now has died.
        ours = () if settings.database_url is not None else (str(time.time()),)
        jobs = _Kind(name="jobs", first_words=ours, descriptors=(lock,))
        self._web = [_Keeper(self, web) for _ in range(settings.workers)]
        self._jobs = [_Keeper(self, jobs)] if settings.jobs else []
        self._beginning = {*self._web, *self._jobs}

    async def run(self) -> int:
        """See `serve`."""
        loop = asyncio.get_running_loop()
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                loop.add_signal_handler(number, self._hear, number)
        self._share_numbers()
        async with _queue(self.settings):
            keeping = {keeper: asyncio.create_task(keeper.keep()) for keeper in (*self._web, *self._jobs)}
            told = asyncio.create_task(self.is_told.wait())
            await asyncio.wait({told, *keeping.values()}, return_when=asyncio.FIRST_COMPLETED)
            told.cancel()  # where a keeper has failed, which is raised below
            self._listening.close()
            for keepers, what in ((self._web, "requests"), (self._jobs, "jobs")):
                _log.info("%s may end, for %g s", what, self.settings.grace_seconds)
                for keeper in keepers:
                    keeper.is_ending.set()
                await asyncio.gather(*(keeping[keeper] for keeper in keepers))
        _log.info("the service has ended")
        if self.failure is not None:
            raise self.failure
        return 128 + self._signals[-1] if self.hurries.is_set() else 0

    def begun(self, keeper: _Keeper) -> None:
        """One of the processes is there. When the last one is, the service is."""
        if keeper in self._beginning:
            self._beginning.remove(keeper)
            if not self._beginning:
                for line in described(self.settings, _url(self._listening)):
                    self._say(line)

    def died(self, pid: int) -> None:
        """What it was at is no longer under way, as the numbers have it."""
        for file in self._numbers.glob(f"gauge_live*_{pid}.db"):
            file.unlink(missing_ok=True)

    def fail(self, text: str) -> None:
        """Ends all of it."""
        self.failure = self.failure or ServeFailed(text)
        self.is_told.set()

    def _hear(self, number: int) -> None:
        self._signals.append(number)
        self.is_told.set()
        if len(self._signals) > 1:
            self.hurries.set()

    @property
    def _numbers(self) -> Path:
        return self.settings.data.absolute() / "metrics"

    def _share_numbers(self) -> None:
        """The processes count together, from nothing on."""
        shutil.rmtree(self._numbers, ignore_errors=True)
        self._numbers.mkdir(mode=0o700, exist_ok=True)
        self.environment["PROMETHEUS_MULTIPROC_DIR"] = str(self._numbers)


class _Keeper:
    """Has one process of a kind, and another one where that dies, until it is to end."""

    def __init__(self, tree: _Tree, kind: _Kind) -> None:
        self.is_ending = asyncio.Event()
        self._tree = tree
        self._kind = kind
        self._was_there = False

    async def keep(self) -> None:
        """Returns when it is to end, and its process has ended."""
        deaths: deque[float] = deque(maxlen=MOST_DEATHS)
        words = self._kind.words, self._kind.first_words
        while not self.is_ending.is_set():
            who, failure = f"{self._kind.name} process", None
            try:
                process = await _Process.begin(self._kind, words, self._tree.environment)
            except OSError as error:  # there is no memory, or there are too many processes
                how = f"before it began: {error.strerror or error}"
            else:
                words = self._kind.words, ()
                failure = await self._live(process)
                self._tree.died(process.pid)
                who += f" {process.pid}"
                how = f"{process.how_it_ended}{'' if failure is None else f': {failure}'}"
            if self.is_ending.is_set():
                return
            deaths.append(time.monotonic())
            recent = sum(death > deaths[-1] - DEATH_SECONDS for death in deaths)
            if failure is not None and not self._was_there:
                self._tree.fail(failure)
            elif recent == MOST_DEATHS:
                self._tree.fail(f"a {self._kind.name} process ended {recent} times in {DEATH_SECONDS:g} s, {how}")
            else:
                _log.warning("%s ended %s, and another one begins", who, how)
            await _happened(self.is_ending, 0.05 * 2**recent)

    async def _live(self, process: _Process) -> str | None:
        """Returns when it has ended, and why it could not begin."""
        told: asyncio.Task[str | None] = asyncio.create_task(self._listen(process))
        ended, ending = asyncio.create_task(process.wait()), asyncio.create_task(self.is_ending.wait())
        try:
            await asyncio.wait({ended, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.say(END)
                await self._until(ended, self._tree.settings.grace_seconds + LAST_SECONDS)
                process.let_go()
                await asyncio.wait({ended}, timeout=LAST_SECONDS + 1)
                process.kill()
            await ended
            await asyncio.wait({told}, timeout=1)
            return told.result() if told.done() else None
        finally:
            told.cancel()
            ending.cancel()
            process.let_go()

    async def _until(self, ended: asyncio.Task[None], seconds: float) -> None:
        hurries = asyncio.create_task(self._tree.hurries.wait())
        await asyncio.wait({ended, hurries}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurries.cancel()

    async def _listen(self, process: _Process) -> str | None:
        failure = None
        with suppress(ConnectionError):  # it has died with something unread
            async for line in process.lines:
                if line == READY:
                    self._was_there = True
                    self._tree.begun(self)
                elif line.startswith(FAILED):
                    failure = line.removeprefix(FAILED).decode().strip()
        return failure


class _Process:
    """A process, and the parent's end of the channel to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, lines: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid: Final = process.pid
        self.lines: Final = lines
        self._process = process
        self._writer = writer

    @classmethod
    async def begin(
        cls, kind: _Kind, words: tuple[Sequence[str], Sequence[str]], environment: dict[str, str]
    ) -> _Process:
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as failing:
            failing.enter_context(ours)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"{__package__}.{kind.name}",
                *words[0],
                str(theirs.fileno()),
                *words[1],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=(*kind.descriptors, theirs.fileno()),
            )
            failing.pop_all()
        lines, writer = await asyncio.open_connection(sock=ours)
        return cls(process, lines, writer)

    @property
    def how_it_ended(self) -> str:
        status = self._process.returncode or 0
        return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"

    async def wait(self) -> None:
        await self._process.wait()

    def say(self, line: bytes) -> None:
        self._writer.write(line)

    def let_go(self) -> None:
        """For the process it is as if its parent were dead: it ends at once."""
        self._writer.close()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()


@asynccontextmanager
async def _queue(settings: Settings) -> AsyncIterator[None]:
    """The server of the queue runs meanwhile, where none is named."""
    if settings.redis_url is not None:
        yield
        return
    folder = settings.data.absolute() / "queue"
    try:
        server = ValkeyServer(folder)
        await server.ensure()
    except (ModuleNotFoundError, OSError, TimeoutError) as error:
        raise ServeFailed(
            f"the queue cannot begin: {str(error) or 'it does not answer'} ({folder / 'valkey.log'})"
        ) from error
    try:
        yield
    finally:
        _log.info("the queue ends")
        server.end()


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    """A lock of the folder, for this service alone: its descriptor, which the processes have too."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        text = f"the data folder {folder} cannot be written to: {error.strerror}: name another one by --data"
        raise ServeFailed(text) from error
    try:
        _lock(lock, folder)
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _lock(lock: int, folder: Path) -> None:
    """The processes of one that was killed hold it for a moment: they are waited for."""
    until = time.monotonic() + LAST_SECONDS + 1
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode()
            if _lives(holder) or time.monotonic() > until:
                text = f"another uploadkit serve, process {holder}, has the data folder {folder}"
                raise ServeFailed(f"{text}: name another one by --data") from None
        time.sleep(0.05)


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def _bound(settings: Settings) -> closing[socket.socket]:
    """The socket, on which connections may wait already."""
    host, port = settings.host, settings.port
    family, address = _address(host, port)
    if settings.asks_nobody and not settings.open and not ip_address(address[0]).is_loopback:
        raise ServeFailed(
            f"at {host} other machines reach the service, and whoever does could use it: add [[tokens]] to the file of "
            "settings (uploadkit token makes them), name your own function by --authenticate, or write --open"
        )
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise ServeFailed(f"port {port} of {host} {why}: name another one by --port, or 0 for any") from error
    return closing(listening)


def _address(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Where a name has several, that of IPv4: it is what everybody can call."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ServeFailed(f"there is no host {host!r}: {error.strerror}: name an address by --host") from error
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, address


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if ip_address(host).is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _happened(event: asyncio.Event, seconds: float) -> None:
    """Returns when it has, or after so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
