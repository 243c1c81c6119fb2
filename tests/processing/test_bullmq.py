"""What a queue over a broker promises beyond the contract: when workers and brokers die, and from every kind of app."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi import Path as InPath
from tests.processing.jobs import job
from tests.processing.servers import eventually, line_of, running
from tests.processing.test_contract import (
    STARTED_WITHIN,
    counted,
    holding,
    nothing,
    run,
    settled,
    worked_off,
    working,
)
from tests.soak import scaled

from uploadkit import QueueFailed
from uploadkit.processing.bullmq import BullMQQueue, crew
from uploadkit.processing.bullmq.crew import LOCK_SECONDS, STALL_SECONDS
from uploadkit.processing.queue import Counts, Running
from uploadkit.storage import event_loop

WORKER = """
import asyncio, signal, sys
from uploadkit.processing import bullmq

url, prefix, short, seconds = sys.argv[1:]
if short == "short":
    bullmq.crew.LOCK_SECONDS = bullmq.crew.STALL_SECONDS = 1

async def handler(running):
    print(running.job.upload, running.attempt, running.deaths, flush=True)
    await asyncio.sleep(float(seconds))

async def main():
    until = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, until.set)
    queue = bullmq.BullMQQueue(url, prefix=prefix)
    await queue.work(handler, concurrency={"images": 1}, until=until, grace_seconds=0.1)

asyncio.run(main())
"""


@pytest.fixture
def short_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of one second: what is to happen when they run out happens soon."""
    monkeypatch.setattr(crew, "LOCK_SECONDS", 1)
    monkeypatch.setattr(crew, "STALL_SECONDS", 1)


def where(queue: BullMQQueue, url: str) -> tuple[str, str]:
    return url, queue._prefix


# Workers that die


def test_the_job_of_a_killed_worker_is_begun_elsewhere_within_15_seconds(
    valkey_queue: BullMQQueue, valkey_url: str
) -> None:
    """With the times that users have. Meanwhile the other worker does what waits."""
    began = []

    async def handler(running: Running) -> None:
        began.append((running.job.upload, running.attempt, running.deaths, time.monotonic()))

    async def both_have() -> bool:
        return len(began) == 2

    async def main(killed_at: float) -> None:
        async with working(valkey_queue, handler):
            await holding(both_have)
        waited, taken = began
        assert waited[:3] == ("2", 1, 0)
        assert waited[3] - killed_at < STARTED_WITHIN
        assert taken[:3] == ("1", 1, 1)  # its death was no attempt
        assert taken[3] - killed_at < 15

    valkey_queue.add(job(1), job(2))
    with running(WORKER, *where(valkey_queue, valkey_url), "long", 60) as worker:
        assert line_of(worker) == "1 1 0"
        worker.kill()
        run(main(time.monotonic()))
    assert LOCK_SECONDS + STALL_SECONDS < 15


def test_two_deaths_do_not_fail_a_job(broker_queue: BullMQQueue, broker_url: str, short_locks: None) -> None:
    """bullmq itself would fail it at the second."""
    broker_queue.add(job(1))
    for deaths in (0, 1):
        with running(WORKER, *where(broker_queue, broker_url), "short", 60) as worker:
            assert line_of(worker) == f"1 1 {deaths}"
            worker.kill()
    seen = []

    async def handler(running: Running) -> None:
        seen.append((running.attempt, running.deaths))

    async def main() -> None:
        assert await worked_off(broker_queue, handler) == Counts(completed=1)

    run(main())
    assert seen == [(1, 2)]


def test_a_worker_that_is_told_to_end_hands_its_job_to_another_process(
    broker_queue: BullMQQueue, broker_url: str
) -> None:
    """Which was idle, and begins it at once."""
    began = asyncio.Event()

    async def handler(running: Running) -> None:
        assert (running.attempt, running.deaths) == (1, 0)
        began.set()

    async def main() -> None:
        with running(WORKER, *where(broker_queue, broker_url), "long", 60) as worker:
            await broker_queue.aadd(job(1))
            assert line_of(worker) == "1 1 0"
            async with working(broker_queue, handler):
                worker.send_signal(signal.SIGTERM)
                told = time.monotonic()
                await began.wait()
                assert time.monotonic() - told < STARTED_WITHIN
                assert await settled(broker_queue) == Counts(completed=1)
            assert await asyncio.to_thread(worker.wait, 20) == 0

    run(main())


def test_a_job_is_held_while_its_worker_ends(valkey_queue: BullMQQueue, valkey_url: str, short_locks: None) -> None:
    """bullmq itself lets its lock run out then, and another worker does the job a second time."""
    began = asyncio.Event()
    seen = []

    async def handler(running: Running) -> None:
        seen.append("here")
        began.set()
        await asyncio.sleep(3.5)

    async def main() -> None:
        await valkey_queue.aadd(job(1))
        async with working(valkey_queue, handler):
            await began.wait()
            other = BullMQQueue(valkey_url, prefix=valkey_queue._prefix)
        assert await counted(valkey_queue) == Counts(completed=1)
        other.close()

    with running(WORKER, *where(valkey_queue, valkey_url), "short", 0) as worker:
        worker.send_signal(signal.SIGSTOP)
        began_here = threading.Event()

        async def lead() -> None:
            task = asyncio.create_task(main())
            await began.wait()
            worker.send_signal(signal.SIGCONT)
            began_here.set()
            await task

        run(lead())
        worker.terminate()
        assert line_of(worker) == ""  # it was never begun there
    assert seen == ["here"]


def test_a_handler_that_blocks_its_loop_keeps_its_job(
    valkey_queue: BullMQQueue, valkey_url: str, short_locks: None
) -> None:
    """For longer than its lock lasts: bullmq is at home in another loop."""
    seen = []

    async def handler(running: Running) -> None:
        seen.append(running.deaths)
        time.sleep(3)  # noqa: ASYNC251  # that is the case

    async def main() -> None:
        assert await worked_off(valkey_queue, handler, at_once=1) == Counts(completed=1)

    valkey_queue.add(job(1))
    with running(WORKER, *where(valkey_queue, valkey_url), "short", 0) as other:
        other.send_signal(signal.SIGSTOP)
        threading.Timer(0.5, other.send_signal, [signal.SIGCONT]).start()
        run(main())
        other.terminate()
        assert line_of(other) == ""
    assert seen == [0]


# Brokers that die


@pytest.fixture
def folder() -> Iterator[Path]:
    """One whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="uploadkit-") as found:
        yield Path(found)


def server_of(folder: Path) -> int:
    """Its process id."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                is_ours = words[0].endswith(b"valkey-server") or b"valkey-server" in words[0]
                if is_ours and os.readlink(entry / "cwd") == str(folder / "queue"):
                    return int(entry.name)
            except OSError:
                continue
    return 0


# bullmq now and then leaves a connection to a killed broker to the garbage collector, which is asked for here.
@pytest.mark.filterwarnings("ignore:unclosed Connection <redis.asyncio:ResourceWarning")
@pytest.mark.needs("linux")
def test_a_broker_that_is_killed_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand jobs, the broker killed before and in the middle of the work: the queue starts it again."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    queue = BullMQQueue(data=folder)
    queue.add(*map(job, range(1000)))
    seen: set[str] = set()

    async def handler(running: Running) -> None:
        seen.add(running.job.upload)
        if len(seen) == 500:
            os.kill(server_of(folder), signal.SIGKILL)

    async def all_are() -> bool:
        return len(seen) == 1000

    async def main() -> None:
        os.kill(server_of(folder), signal.SIGKILL)
        assert (await counted(queue)).waiting == 1000
        until = asyncio.Event()
        task = asyncio.create_task(queue.work(handler, concurrency={"images": 20}, until=until))
        await holding(all_are)
        until.set()
        await task

    run(main())
    assert server_of(folder)
    queue.close()
    assert not server_of(folder)
    gc.collect()


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
@pytest.mark.parametrize("kind", ["closed", "silent"])
def test_a_broker_that_is_down_is_told_within_a_bounded_time(scheme: str, kind: str) -> None:
    """To blocking code and to async code, of every call; the sender may try again later."""
    with silent() as address:
        url = f"{scheme}://{address if kind == 'silent' else '127.0.0.1:9'}/0"
        queue = BullMQQueue(url, timeout_seconds=0.5)
        began = time.monotonic()
        with pytest.raises(QueueFailed) as caught:
            queue.add(job(1))

        async def main() -> None:
            calls = (queue.aadd(job(1)), queue.counts(["images"]), queue.cancel(job(1)))
            until = asyncio.Event()
            work = queue.work(nothing, concurrency={"images": 1}, until=until)
            for call in (*calls, work):
                with pytest.raises(QueueFailed):
                    await call

        run(main())
        queue.close()
        assert time.monotonic() - began < 5 * 2
    assert (caught.value.status, caught.value.retryable, caught.value.code) == (503, True, "queue_failed")
    assert "127.0.0.1" not in str(caught.value)


def test_a_url_of_another_kind_is_refused_at_once() -> None:
    """Without saying it: there may be a password in it."""
    for url in ("amqp://user:secret@host", "localhost:6379"):
        with pytest.raises(ValueError, match="begins with redis://") as caught:
            BullMQQueue(url)
        assert "secret" not in str(caught.value)


def test_the_environment_names_the_server(valkey_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`REDIS_URL` replaces the server of one's own, of which then nothing is there."""
    monkeypatch.setenv("REDIS_URL", valkey_url)
    queue = BullMQQueue(data=tmp_path, prefix="environment")
    queue.add(job(1))
    run(_has_one(queue))
    queue.close()
    assert list(tmp_path.iterdir()) == []


async def _has_one(queue: BullMQQueue) -> None:
    assert await counted(queue) == Counts(waiting=1)


def test_what_is_no_job_of_ours_is_put_aside(broker_queue: BullMQQueue, broker_url: str) -> None:
    """Somebody has used the same prefix; the worker goes on."""
    seen = []

    async def handler(running: Running) -> None:
        seen.append(running.job.upload)

    async def stray(broker: Any) -> None:
        await broker.queue("images").add("strange", {"job": {"priority": 3}}, {"priority": 1})

    async def main() -> None:
        await event_loop.there(broker_queue._ask(stray))
        await broker_queue.aadd(job(1))
        assert await worked_off(broker_queue, handler) == Counts(completed=1, failed=1)
        assert await broker_queue.dead("images") == []

    run(main())
    assert seen == ["1"]


# Every kind of app


def test_many_threads_add_at_a_time(valkey_queue: BullMQQueue) -> None:
    """Of blocking code, as WSGI servers have them."""
    threads = [threading.Thread(target=valkey_queue.add, args=[job(number)]) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def main() -> None:
        assert await counted(valkey_queue) == Counts(waiting=50)

    run(main())


def test_a_route_of_fastapi_adds_jobs(valkey_queue: BullMQQueue) -> None:
    """Many at a time."""
    app = FastAPI()

    @app.post("/{name}")
    async def post(name: Annotated[str, InPath()]) -> None:
        await valkey_queue.aadd(job(name))

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            answers = await asyncio.gather(*(client.post(f"/{number}") for number in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert await counted(valkey_queue) == Counts(waiting=50)

    run(main())


FORKING = """
import os, sys
from tests.processing.jobs import job
from uploadkit.processing.bullmq import BullMQQueue

queue = BullMQQueue(sys.argv[1], prefix=sys.argv[2])
queue.add(job("before"))
children = []
for number in range(3):
    if (child := os.fork()) == 0:
        queue.add(job(f"child{number}"))
        os._exit(0)
    children.append(child)
queue.add(job("parent"))
ended = [os.waitpid(child, 0)[1] for child in children]
queue.add(job("after"))
sys.exit(ended != [0, 0, 0])
"""


def test_a_fork_of_a_process_adds_jobs(valkey_queue: BullMQQueue, valkey_url: str) -> None:
    """While its parent goes on, over connections of its own."""
    with running(FORKING, *where(valkey_queue, valkey_url)) as program:
        assert program.wait(20) == 0

    async def main() -> None:
        assert await counted(valkey_queue) == Counts(waiting=6)

    run(main())


FLASK = """
import os
from flask import Flask
from tests.processing.jobs import job
from uploadkit.processing.bullmq import BullMQQueue

queue = BullMQQueue(data=os.environ["DATA"])
queue.add(job("preload"))
app = Flask(__name__)

@app.post("/<name>")
def post(name):
    queue.add(job(name))
    return str(os.getpid())
"""

GUNICORN = """
import os, sys
from gunicorn.app.wsgiapp import run

os.environ["DATA"] = sys.argv[1]
sys.path.insert(0, sys.argv[1])
options = "--preload -w 2 --log-level error --no-control-socket -b"
sys.argv = ["gunicorn", *options.split(), f"unix:{sys.argv[2]}", "flask_app:app"]
run()
"""


def test_flask_under_gunicorn_adds_jobs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--preload` and two workers, over a broker of its own that the first process had started."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    (folder / "flask_app.py").write_text(FLASK)
    bound = folder / "web.sock"
    with running(GUNICORN, folder, bound) as gunicorn:
        eventually(bound.exists)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(bound)), base_url="http://test") as client:
            workers: set[str] = set()
            number = 0

            def both_have() -> bool:
                nonlocal number
                number += 1
                workers.add(client.post(f"/{number}", headers={"connection": "close"}).raise_for_status().text)
                return len(workers) == 2

            eventually(both_have)
        queue = BullMQQueue(data=folder)
        run(_has_many(queue, number + 1))
        queue.close()
        gunicorn.terminate()
        assert gunicorn.wait(20) == 0
    eventually(lambda: not server_of(folder))


async def _has_many(queue: BullMQQueue, many: int) -> None:
    assert await counted(queue) == Counts(waiting=many)


# For long


@pytest.mark.soak
def test_workers_that_are_killed_every_five_seconds_lose_no_job(
    broker_queue: BullMQQueue, broker_url: str, record_property: Callable[[str, object], None]
) -> None:
    """Two workers, one of them killed each time and begun anew: every job is done, none fails, none is left."""
    count = scaled(200, at_least=20)
    broker_queue.add(*map(job, range(count)))
    done: Counter[str] = Counter()
    kills = 0
    with ExitStack() as stack:

        def begin() -> subprocess.Popen[str]:
            worker = stack.enter_context(running(WORKER, *where(broker_queue, broker_url), "long", 0.5))
            threading.Thread(target=lambda: done.update(worker.stdout or ()), daemon=True).start()
            return worker

        def is_over() -> bool:
            counts = event_loop.wait_for(broker_queue.counts(["images"]))["images"]
            return not (counts.waiting or counts.delayed or counts.active)

        workers = [begin(), begin()]
        while not is_over():
            try:
                workers[0].wait(5)
                pytest.fail("a worker has ended by itself")
            except subprocess.TimeoutExpired:
                kills += 1
            workers.pop(0).kill()
            workers.append(begin())
        counts = event_loop.wait_for(broker_queue.counts(["images"]))["images"]
    assert counts == Counts(completed=10)
    begun = {line.split()[0] for line in done}
    assert begun == {str(number) for number in range(count)}
    again = sum(line.split()[2] != "0" for line in done)
    record_property("figure", f"{count} jobs, {kills} workers killed, {again} jobs begun again")
