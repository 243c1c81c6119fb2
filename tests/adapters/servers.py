"""Real servers on 127.0.0.1, each in a process and a folder of its own, and what can be seen of them from outside.

A server keeps its files in `uploads` below its folder. It chooses its port itself and says so in its log, so two
servers never meet; every wait for it is bounded. It is ended by the id of its own process, or of the group that it
leads, and by nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.once import Once

from uploadkit.adapters.capabilities import Capabilities, capabilities
from uploadkit.testing import Answer, Client, FormBuilder, NoAnswer, exchange, request

PROJECT = Path(__file__).parents[2]

READY_SECONDS = 20
"""A server that has not begun to listen by then will not: they need one or two, on a busy machine five."""

TEMPORARY = "temporary"
"""The folder below a server's own in which `tempfile` makes its files."""

SETTLED_SECONDS = 10
"""What a server has not cleared away by then it has forgotten."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A framework under a server. `module` and `options` are the command, `prefix` stands before every route, and
    `route` takes a picture in a field `avatar`. `staging` is one of the two of a DiskStorage.

    What uploadkit can do there is said by its own table of capabilities, by the name of its `adapter`. What differs
    besides is named here and nowhere else:
    `answers_half_close`: a client that half-closes in the middle of a body is answered 400; an ASGI server sees a
    client that is gone, since its protocol has no word for the difference.
    `closes_always`: no connection has a second request.
    `continues_at_once`: `100 Continue` is sent before the application is asked, and not when it first reads.
    """

    module: str
    options: tuple[str, ...]
    adapter: str
    prefix: str = ""
    route: str = "any"
    staging: str = "nameless"
    answers_half_close: bool = False
    closes_always: bool = False
    continues_at_once: bool = True

    @property
    def can(self) -> Capabilities:
        return capabilities(self.adapter, "werkzeug" if self.module == "flask" else self.module)


def uvicorn(app: str, *options: str, **facts: Any) -> Kind:
    """An ASGI application. uvicorn sends `100 Continue` when the application first reads."""
    facts.setdefault("continues_at_once", False)
    quiet = ("--no-access-log", "--port", "0")
    return Kind(module="uvicorn", options=(app, *quiet, *options), **facts)


def gunicorn(app: str, *options: str, **facts: Any) -> Kind:
    """A WSGI application."""
    bind = ("--bind", "127.0.0.1:0", "--no-control-socket")
    return Kind(module="gunicorn", options=(app, *bind, *options), answers_half_close=True, **facts)


_APPS = "tests.adapters.apps"
_THREADS = ("--worker-class", "gthread", "--threads", "64")

_STREAMED = "django under django.asgi()"

KINDS = {
    "asgi": uvicorn(f"{_APPS}.asgi:app", adapter="asgi"),
    "asgi, h11": uvicorn(f"{_APPS}.asgi:app", "--http", "h11", adapter="asgi", staging="named"),
    "starlette": uvicorn(f"{_APPS}.starlette:app", adapter="starlette", staging="named"),
    "fastapi": uvicorn(f"{_APPS}.fastapi:app", "--loop", "uvloop", adapter="fastapi"),
    "django, asgi": uvicorn(
        f"{_APPS}.django:asgi_application", adapter="django under ASGI alone", prefix="/async", continues_at_once=True
    ),
    "django, asgi, streamed": uvicorn(f"{_APPS}.django:streamed_application", adapter=_STREAMED, prefix="/async"),
    "django, asgi, streamed, sync": uvicorn(f"{_APPS}.django:streamed_application", adapter=_STREAMED, staging="named"),
    "wsgi": gunicorn(f"{_APPS}.wsgi:app", *_THREADS, adapter="wsgi"),
    "wsgi, sync": gunicorn(f"{_APPS}.wsgi:app", adapter="wsgi", closes_always=True, staging="named"),
    "flask": gunicorn(f"{_APPS}.flask:app", *_THREADS, adapter="flask"),
    "flask, dev": Kind(
        module="flask",
        options=("--app", f"{_APPS}.flask", "run", "--port", "0"),
        adapter="flask",
        staging="named",
        answers_half_close=True,
        closes_always=True,
    ),
    "django": gunicorn(f"{_APPS}.django:application", *_THREADS, adapter="django"),
}

_TYPED = PROJECT / "examples" / "typed_forms"
_SCANNING = PROJECT / "examples" / "scanning"

EXAMPLES = {
    "examples/flask_app.py": gunicorn("flask_app:app", *_THREADS, adapter="flask", route="profile"),
    "examples/starlette_forms.py": uvicorn("starlette_forms:app", adapter="starlette", route="profile"),
    "examples/fastapi_app.py": uvicorn("fastapi_app:app", adapter="fastapi", route="profile"),
    "examples/django_app.py": gunicorn("django_app:application", *_THREADS, adapter="django", route="profile"),
    "examples/django_app.py, asgi": uvicorn("django_app:asgi_application", adapter=_STREAMED, route="profile"),
    "examples/typed_forms/fastapi_app.py": uvicorn(
        "fastapi_app:app", "--app-dir", f"{_TYPED}", adapter="fastapi", route="profile"
    ),
    "examples/typed_forms/flask_app.py": gunicorn(
        "flask_app:app", *_THREADS, "--pythonpath", f"{_TYPED}", adapter="flask", route="profile"
    ),
    "examples/scanning/scan_fastapi.py": uvicorn(
        "scan_fastapi:app", "--app-dir", f"{_SCANNING}", adapter="fastapi", route="documents"
    ),
    "examples/scanning/scan_flask.py": gunicorn(
        "scan_flask:app", *_THREADS, "--pythonpath", f"{_SCANNING}", adapter="flask", route="documents"
    ),
    "examples/scanning/scan_django.py": gunicorn(
        "scan_django:application", *_THREADS, "--pythonpath", f"{_SCANNING}", adapter="django", route="documents"
    ),
    "examples/typed_forms/django_app.py": gunicorn(
        "django_app:application", *_THREADS, "--pythonpath", f"{_TYPED}", adapter="django", route="profile"
    ),
}


@dataclass(eq=False)
class Server:
    """A server that runs. `port` is where."""

    kind: Kind
    process: subprocess.Popen[str]
    folder: Path
    port: int = 0
    log: list[str] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)
    _descriptors: int = 0

    @property
    def root(self) -> Path:
        return self.folder / "uploads"

    def post(self, route: str, form: FormBuilder, *headers: str) -> Answer:
        """One request on a connection of its own."""
        return exchange(self.port, request(f"{self.kind.prefix}/{route}", form, *headers))

    def files(self) -> dict[str, str]:
        """The SHA-256 of every file under a final name, by that name."""
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.root.glob("[!.]*")}

    def staged(self) -> list[str]:
        """The names in the staging folder."""
        staging = self.root / ".staging"
        return os.listdir(staging) if staging.exists() else []

    def open_files(self) -> list[str]:
        """What its processes hold open below the root; with a file that has no name its number stands here."""
        return self._open_files(self._targets())

    def temporary(self) -> list[str]:
        """The names of its temporary files."""
        return os.listdir(self.folder / TEMPORARY)

    def threads(self) -> int:
        """How many its processes have."""
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.pids)

    def resident_size(self) -> int:
        """The memory that its processes have, in bytes."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids)
        return pages * os.sysconf("SC_PAGE_SIZE")

    def settled(self) -> bool:
        """Whether no request is under way and nothing is left of any: no staged file, no open one, no connection."""
        return not self._unsettled()

    def settle(self) -> None:
        """Waits until it is `settled`."""
        left: list[object] = []

        def settled() -> bool:
            left[:] = self._unsettled()
            return not left

        eventually(settled)
        assert not left, f"{left}"  # of the last look; a text, which is not shortened

    def complaints(self) -> list[str]:
        """The lines of its log that name an exception or a warning, but for the one that a handler raises."""
        return [line for line in self.log if _complaint(line) and "as it should" not in line]

    def clear(self) -> None:
        """Removes all files, for the next test."""
        for path in self.root.glob("[!.]*"):
            path.unlink()

    def warm_up(self, *, clear: bool = True) -> None:
        """The first upload, which loads what is loaded late. From then on no descriptor may be lost."""
        form = FormBuilder().text("name", "of a typed form").text("born", "2000-01-01")
        form.file("avatar", b"\xff\xd8\xff\xe0\r\n", filename="a.jpg", content_type="image/jpeg")
        with Client(self.port) as client:
            client.send(request(f"{self.kind.prefix}/{self.kind.route}", form))
            try:
                assert client.answer().status == 200
            except (AssertionError, NoAnswer) as error:
                raise AssertionError("".join(self.log)) from error
            connected = _connected()
            self._descriptors = sum(target not in connected for target in self._targets())
        if clear:
            self.clear()

    def highest_descriptor(self) -> int:
        return max(int(link.name) for pid in self.pids for link in Path(f"/proc/{pid}/fd").glob("*"))

    def kill(self) -> None:
        """`kill -9` of every process of it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        """Asks it to end, and ends it where it does not."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def _unsettled(self) -> list[object]:
        """What is left; where a descriptor is, all that there are. First those are looked for whose clients may have
        gone before it has heard of them."""
        waiting = _waiting(self.port)
        targets = self._targets()
        left: list[object] = [*self._open_files(targets), *self.staged(), *self.temporary()]
        if waiting:
            left.append(f"{waiting} connections wait to be accepted")
        if len(targets) > self._descriptors:
            left.append((self._descriptors, targets))
        return left

    def _open_files(self, targets: list[str]) -> list[str]:
        files = f"{self.root}/"
        staging = f"{files}.staging"  # itself is open only for as long as a file is made in it
        return [target for target in targets if target.startswith(files) and target != staging]

    def _targets(self) -> list[str]:
        targets = []
        for pid in self.pids:
            folder = f"/proc/{pid}/fd"
            with contextlib.suppress(FileNotFoundError):  # the process has ended
                for number in os.listdir(folder):
                    with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                        targets.append(os.readlink(f"{folder}/{number}"))
        return targets


ServerOf: TypeAlias = Callable[..., Server]


def eventually(condition: Callable[[], object], *, seconds: float = SETTLED_SECONDS) -> None:
    """Waits until `condition` holds, but not longer than `seconds`; the caller asserts it afterwards."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)  # what another process has done cannot be waited for otherwise


@contextmanager
def running(
    kind: Kind, folder: Path, *options: str, staging: str | None = None, **environment: str
) -> Iterator[Server]:
    """A server in `folder` that listens. `options` go to its command."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("what a server holds open is seen on Linux only")
    (folder / TEMPORARY).mkdir(parents=True, exist_ok=True)
    environment |= {
        "PYTHONPATH": _paths(),
        "PYTHONUNBUFFERED": "1",
        # A file that is closed by chance stands in the log; where more warnings are asked for, more do.
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "always::ResourceWarning"),
        "TMPDIR": str(folder / TEMPORARY),
        "UPLOADKIT_STAGING": staging or kind.staging,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", kind.module, *kind.options, *options],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    server = Server(kind, process, folder)
    ports: queue.Queue[int] = queue.Queue()
    reader = threading.Thread(target=_read_log, args=(server, ports), daemon=True)
    reader.start()
    try:
        try:
            server.port = ports.get(timeout=READY_SECONDS)
        except queue.Empty:
            raise AssertionError(f"the server does not listen: {server.log}") from None
        yield server
    finally:
        server.stop()
        reader.join(10)
        process.stderr.close()  # type: ignore[union-attr]  # it is a pipe


_listening = re.compile(r"(?:running on|Listening at:) http://127\.0\.0\.1:(\d+)", re.IGNORECASE).search
_complaint = re.compile(r"\w(?:Error|Exception|Warning): |never (?:awaited|retrieved)").search
_worker = re.compile(r"Booting worker with pid: (\d+)").search


def _connected() -> set[str]:
    """Every socket of this machine that is no listener, as a descriptor's link names it."""
    fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{line[9]}]" for line in fields if line[3] != _LISTEN}


def _waiting(port: int) -> int:
    """How many connections nobody has accepted yet, which a listener's line has in place of bytes to be read."""
    fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [line for line in fields if line[3] == _LISTEN and int(line[1].partition(":")[2], 16) == port]
    return sum(int(line[4].partition(":")[2], 16) for line in listening)


_LISTEN = "0A"  # TCP_LISTEN of the kernel


def _read_log(server: Server, ports: queue.Queue[int]) -> None:
    """Until its end, that is of the last of its processes: a pipe that is full would stop them."""
    server.pids.append(server.process.pid)
    for line in server.process.stderr or ():
        server.log.append(line)
        if found := _listening(line):
            ports.put(int(found[1]))
        if found := _worker(line):
            server.pids.append(int(found[1]))


def _paths() -> str:
    """Where this process finds modules, the applications here and the examples. A server has a folder of its own."""
    return os.pathsep.join(
        os.path.abspath(path) for path in (str(PROJECT), str(PROJECT / "examples"), *sys.path) if path
    )


@contextmanager
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerOf]:
    begun: dict[tuple[str, str | None], Server] = {}
    with contextlib.ExitStack() as stack:

        def server_of(name: str, staging: str | None = None) -> Server:
            if (name, staging) not in begun:
                kind, folder = (KINDS | EXAMPLES)[name], tmp_path_factory.mktemp("server")
                server = stack.enter_context(running(kind, folder, staging=staging))
                server.warm_up()
                begun[name, staging] = server
            return begun[name, staging]

        yield server_of
        for server in begun.values():
            server.process.terminate()  # all at once, before each is waited for


@pytest.fixture(scope="session")
def servers(once: Once, tmp_path_factory: pytest.TempPathFactory) -> ServerOf:
    """Gives the server of a kind and a staging, the same one for the whole session."""
    return once("servers", lambda: _kept(tmp_path_factory))
