"""Who follows an upload sees what becomes of it, whichever process is at it, and whatever goes wrong beside."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from tests.service.conftest import Serve, parts_of, quick_pipeline
from tests.service.processes import Program, Stream, Web, eventually, web, worker
from tests.service.working import PERCENTS
from tests.valkey import Broker, running

from uploadkit.errors import LedgerFailed
from uploadkit.events.facts import FileDeleted, FileProgressed
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.lifecycle import State
from uploadkit.service import hearing, watching
from uploadkit.service.app import create_app
from uploadkit.service.hearing import Watch, tell_others
from uploadkit.service.parts import Parts
from uploadkit.service.settings import Settings


@dataclass(kw_only=True)
class Service:
    """Web processes and a worker, over one Valkey server. A step goes on by `go`."""

    webs: list[Web]
    working: Program
    broker: Broker
    steps: Path

    def go(self, name: str, *percents: int) -> None:
        for percent in percents:
            (self.steps / f"{name}-{percent}").touch()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """For a socket, whose path has 107 bytes at most."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@contextmanager
def served(webs: int) -> Iterator[Service]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        steps = folder / "steps"
        steps.mkdir()
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("UPLOADKIT_TEST_FOLDER", str(steps))
        broker = stack.enter_context(running())
        settings = {
            "redis_url": broker.url,
            "steps": "tests.service.working:declare",
            "streams_at_once": "200",
            "rate": "100000/minute",
        }
        found = [stack.enter_context(web(folder, **settings)) for _ in range(webs)]
        working = stack.enter_context(worker(folder, **settings))
        yield Service(webs=found, working=working, broker=broker, steps=steps)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Two web processes and a worker."""
    with served(webs=2) as service:
        yield service


def uploaded(web: Web, name: str) -> str:
    """The id of one that is accepted."""
    status, told = web.post((name, b"some text"))
    assert status == 202, told
    upload: str = told["uploads"][0]["id"]
    return upload


def until(stream: Stream, note: str) -> dict[str, Any]:
    """The event in which the step says so."""
    for event in stream:
        if event["note"] == note:
            return event
    raise AssertionError(f"it has never said {note}")


def test_progress_is_seen_in_its_order_whichever_process_took_the_upload(service: Service) -> None:
    """The stream is on one web process, the upload came through the other, and a third one works. The last event is the
    settled state, and the stream ends with it."""
    one, other = service.webs
    upload = uploaded(one, "order.txt")
    with other.following(upload) as stream:
        assert stream.answer.headers["Content-Type"].startswith("text/event-stream")
        assert stream.answer.headers["Cache-Control"] == "no-store"
        assert stream.answer.headers["X-Accel-Buffering"] == "no"
        percents = []
        for percent in PERCENTS[:-1]:
            service.go("order.txt", percent)
            percents.append(until(stream, f"at {percent}")["percent"])
        service.go("order.txt", 100)
        rest = list(stream)
    percents += [event["percent"] for event in rest]
    assert percents == sorted(percents)
    assert (rest[-1]["status"], rest[-1]["is_settled"], rest[-1]["percent"]) == ("completed", True, 100)
    assert rest[-1] == one.ask("GET", f"/uploads/{upload}")[1]


def test_who_comes_again_is_not_told_what_he_has_seen(service: Service) -> None:
    """By Last-Event-ID. Who has seen the end is answered 204: browsers ask no more then."""
    one, other = service.webs
    upload = uploaded(one, "again.txt")
    with one.following(upload) as stream:
        service.go("again.txt", 10)
        until(stream, "at 10")
        seen = stream.id
    with other.following(upload, seen=seen) as stream:
        service.go("again.txt", 20)
        event = stream.next()
        assert event is not None
        assert event["note"] == "at 20"
        service.go("again.txt", *PERCENTS)
        assert list(stream)[-1]["status"] == "completed"
        seen = stream.id
    with one.following(upload, seen=seen) as stream:
        assert (stream.answer.status, stream.answer.read()) == (204, b"")
    with one.following(upload, seen="something else") as stream:
        assert [event["status"] for event in stream] == ["completed"]


def test_streams_leave_nothing(service: Service) -> None:
    """Two hundred at a time, whose clients vanish: descriptors return, and so does the room that they took."""
    web = service.webs[0]
    upload = uploaded(web, "many.txt")

    for _ in range(2):
        with ExitStack() as stack:
            streams = [stack.enter_context(web.following(upload)) for _ in range(200)]
            assert all(stream.next() is not None for stream in streams)
            assert web.open_files() > 200
            with web.following(upload) as refused:
                assert (refused.answer.status, refused.answer.headers["Retry-After"]) == (429, "5")
        eventually(lambda: web.open_files() < 100)  # connections to the ledger and the queue are kept
    service.go("many.txt", *PERCENTS)


def test_streams_go_on_without_redis_and_end_with_the_process() -> None:
    """Redis is killed in the middle: the settled state is seen all the same, and the log says it once. A process that
    is stopped does not wait for its streams; they end as those do that are over, without an error."""
    with served(webs=1) as service:
        web = service.webs[0]
        first, second = (uploaded(web, name) for name in ("first.txt", "second.txt"))
        with web.following(first) as stream, web.following(second) as lasting:
            service.go("first.txt", 10)
            until(stream, "at 10")
            service.broker.kill()
            service.go("first.txt", *PERCENTS)
            web.says("is not heard")
            assert web.ask("DELETE", f"/uploads/{first}")[1]["status"] == "deleted"
            assert list(stream)[-1]["status"] == "deleted"
            assert lasting.next() is not None
            assert web.stop() < 5
            list(lasting)
        said = web.log.read_text()
        assert said.count("is not heard") == 1
        assert "Application shutdown complete" in said
        assert not any(word in said for word in ("Traceback", "Cancel", "without completing"))


# In this process, where what is left behind can be seen


@dataclass(eq=False)
class Follower:
    """A client of the application itself: what it has got, and whether it takes more."""

    app: Starlette
    path: str
    method: str = "GET"
    messages: list[dict[str, Any]] = field(default_factory=list)
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.takes.set()
        self._task = asyncio.create_task(self._run())

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def status(self) -> int | None:
        return self.messages[0]["status"] if self.messages else None

    async def end(self) -> None:
        """Returns when it is answered."""
        async with asyncio.timeout(10):
            await self._task

    async def eventually(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def _run(self) -> None:
        await self.app(
            {
                "type": "http",
                "http_version": "1.1",
                "method": self.method,
                "path": self.path,
                "raw_path": self.path.encode(),
                "query_string": b"",
                "headers": [(b"host", b"127.0.0.1")],
                "client": ("127.0.0.1", 1),
                "server": ("127.0.0.1", 80),
                "scheme": "http",
                "root_path": "",
            },
            self._receive,
            self._send,
        )

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.takes.wait()
        self.messages.append(message)


@dataclass(kw_only=True)
class Here:
    """A service in this process and event loop, in which an upload is being received."""

    app: Starlette
    upload: str

    @property
    def parts(self) -> Parts:
        parts: Parts = self.app.state.parts
        return parts

    def follow(self, **more: Any) -> Follower:
        return Follower(self.app, f"/uploads/{self.upload}/events", **more)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Runs `use` with a service; nothing of it is left after that."""
    pipelines: list[Pipeline] = []

    def run(use: Callable[[Here], Coroutine[Any, Any, None]], **settings: Any) -> None:
        pipelines.append(quick_pipeline(tmp_path))
        app = create_app(Settings(data=tmp_path / "data", **settings), pipeline=pipelines[0])
        pipelines[0].ledger.add("u", field="file", filename="a", content_type="text/plain", owner="anybody")

        async def main() -> None:
            async with app.state.parts.watch.running():
                await use(Here(app=app, upload="u"))
                assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())

    yield run
    for pipeline in pipelines:
        pipeline.close()


def test_a_client_that_vanishes_leaves_no_task(here: Callable[..., None]) -> None:
    async def use(here: Here) -> None:
        followers = [here.follow() for _ in range(20)]
        for follower in followers:
            await follower.eventually(lambda: all(each.body for each in followers))
            follower.gone.set()
        for follower in followers:
            await follower.end()
            assert follower.status == 200
        assert here.parts.watch._waiters == {}
        assert here.parts.watch._of_callers == {}

    here(use)


def test_a_fact_of_this_process_is_seen_at_once(here: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is told in another loop, as facts of an outbox are. What changes nothing is not sent."""
    monkeypatch.setattr(hearing, "ALONE_SECONDS", 600)

    async def use(here: Here) -> None:
        follower = here.follow()
        await follower.eventually(lambda: follower.body.count(b"event: status"))
        ledger, events = here.parts.pipeline.ledger, here.parts.pipeline.events
        await asyncio.to_thread(events.publish, FileProgressed(upload="u", processor="p", percent=1))
        await ledger.amove("u", State.DELETED)
        await asyncio.to_thread(events.publish, FileDeleted(upload="u"))
        await follower.end()
        assert follower.body.count(b"event: status") == 2
        assert b'"status":"deleted"' in follower.body
        assert follower.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}

    here(use)


def test_a_client_that_takes_nothing_is_let_go(here: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SEND_SECONDS", 0.05)
    monkeypatch.setattr(watching, "HEARTBEAT_SECONDS", 0.0)

    async def use(here: Here) -> None:
        follower = here.follow()
        await follower.eventually(lambda: follower.body)
        follower.takes.clear()
        await follower.end()
        assert here.parts.watch._waiters == {}

    here(use)


def test_a_stream_beats_and_has_an_end(here: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies see that it lives. After an hour the client comes again."""
    monkeypatch.setattr(watching, "HEARTBEAT_SECONDS", 0.0)
    monkeypatch.setattr(watching, "LONGEST_SECONDS", 0.3)

    async def use(here: Here) -> None:
        follower = here.follow()
        await follower.end()
        assert follower.body.count(b"event: status") == 1
        assert follower.body.endswith(b"\n\n:\n\n")
        assert follower.messages[-1]["more_body"] is False

    here(use)


def test_a_ledger_that_fails_ends_no_stream(here: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it begin one: that is 503. A record that is forgotten ends it."""
    monkeypatch.setattr(hearing, "ALONE_SECONDS", 0.01)

    async def use(here: Here) -> None:
        follower = here.follow()
        await follower.eventually(lambda: follower.body)
        pipeline, failed = here.parts.pipeline, asyncio.Event()

        async def fail(upload: str) -> None:
            failed.set()
            raise LedgerFailed("the ledger is gone")

        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "astatus", fail)
            await failed.wait()
            refused = here.follow()
            await refused.end()
            assert refused.status == 503
        await pipeline.ledger.aforget("u")
        await follower.end()
        assert follower.messages[-1]["more_body"] is False

    here(use)


def test_a_head_is_answered_and_ends(here: Callable[..., None]) -> None:
    async def use(here: Here) -> None:
        follower = here.follow(method="HEAD")
        await follower.end()
        assert (follower.status, follower.body) == (200, b"")

    here(use)


def test_there_are_no_more_streams_than_are_allowed(here: Callable[..., None]) -> None:
    """Of one caller, and of one process; what has ended counts no longer."""

    async def use(here: Here) -> None:
        first = here.follow()
        await first.eventually(lambda: first.body)
        for _ in range(2):
            refused = here.follow()
            await refused.end()
            assert refused.status in (429, 503)
            headers = dict(refused.messages[0]["headers"])
            assert (headers[b"content-type"], headers[b"retry-after"]) == (b"application/problem+json", b"5")
        first.gone.set()
        await first.end()
        second = here.follow()
        await second.eventually(lambda: second.body)
        second.gone.set()
        await second.end()

    here(use, streams_at_once=1)


def test_a_process_has_no_more_streams_than_it_may(here: Callable[..., None]) -> None:
    async def use(here: Here) -> None:
        first = here.follow()
        await first.eventually(lambda: first.body)
        refused = here.follow()
        await refused.end()
        assert (refused.status, b'"code":"overloaded"' in refused.body) == (503, True)
        here.parts.watch.end()
        await first.end()
        assert first.messages[-1]["more_body"] is False
        late = here.follow()
        await late.end()
        assert late.status == 503

    here(use, streams=1)


def test_an_upload_of_somebody_else_has_no_events(serve: Serve) -> None:
    """As one that is not there."""
    client = serve()
    parts_of(client).pipeline.ledger.add("u", field="file", filename="a", content_type="text/plain", owner="eve")
    mine, missing = (client.get(f"/uploads/{upload}/events") for upload in ("u", "v"))
    assert (mine.status_code, mine.json()) == (404, missing.json())


def test_what_cannot_be_told_fails_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and Redis is not asked again at once: a job does not wait for it with every fact."""
    pipeline = quick_pipeline(tmp_path)
    tell_others(pipeline, f"unix://{tmp_path}/nowhere.sock")
    with caplog.at_level(logging.INFO, "uploadkit"):
        for percent in range(3):
            pipeline.events.publish(FileProgressed(upload="u", processor="p", percent=percent))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    pipeline.close()


def test_what_is_told_again_is_said(
    tmp_path: Path, short_path: Path, valkey: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "AGAIN_SECONDS", 0.0)
    link, pipeline = short_path / "valkey.sock", quick_pipeline(tmp_path)
    tell_others(pipeline, f"unix://{link}")
    with caplog.at_level(logging.INFO, "uploadkit"):
        pipeline.events.publish(FileDeleted(upload="u"))
        link.symlink_to(valkey.removeprefix("unix://"))
        pipeline.events.publish(FileDeleted(upload="u"))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    pipeline.close()


def test_a_service_begins_without_redis(
    tmp_path: Path, short_path: Path, valkey: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, and who waits looks more often by himself. It hears others when Redis is there."""
    link, pipeline = short_path / "valkey.sock", quick_pipeline(tmp_path)
    watch = Watch(pipeline, redis_url=f"unix://{link}", streams=1, streams_at_once=1)

    async def run() -> None:
        async with watch.running():
            assert watch.look_seconds == hearing.ALONE_SECONDS
            async with asyncio.timeout(10):
                while not caplog.records:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                link.symlink_to(valkey.removeprefix("unix://"))
                while watch.look_seconds != hearing.LOOK_SECONDS:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)

    with caplog.at_level(logging.INFO, "uploadkit"):
        asyncio.run(run())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    pipeline.close()


def test_a_signal_reaches_streams_before_the_server(tmp_path: Path) -> None:
    """Whose own handler is called after that, and stands there again when the service has ended. In a thread, where no
    handler may be set, the service runs all the same."""
    watch = Watch(quick_pipeline(tmp_path), redis_url=None, streams=1, streams_at_once=1)
    heard: list[int] = []

    def handle(number: int, frame: object) -> None:
        heard.append(number)

    async def run() -> None:
        async with watch.running():
            if threading.current_thread() is threading.main_thread():
                os.kill(os.getpid(), signal.SIGTERM)
                async with asyncio.timeout(10):
                    while not watch._is_over:  # noqa: ASYNC110
                        await asyncio.sleep(0.005)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        asyncio.run(run())
        assert signal.getsignal(signal.SIGTERM) is handle
        assert heard == [signal.SIGTERM]
        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
    finally:
        signal.signal(signal.SIGTERM, before)
