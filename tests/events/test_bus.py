"""Who hears what: each subscriber what it asked for, whatever the others do, from sync and from async programs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar

import pytest
from tests.events.told import FACTS_TOLD, UPLOADED, progress
from tests.storage.processes import held_elsewhere, in_a_fork

from uploadkit.events.bus import Events
from uploadkit.events.facts import (
    Fact,
    FileDeleted,
    FileFailed,
    FileProcessed,
    FileProgressed,
    FileUploaded,
)
from uploadkit.storage import event_loop

SOON = 10
"""Seconds after which a test has failed."""

Publish = Callable[[Events, Fact], None]


def from_sync(events: Events, fact: Fact) -> None:
    events.publish(fact)


def from_async(events: Events, fact: Fact) -> None:
    asyncio.run(asyncio.wait_for(events.apublish(fact), SOON))


@pytest.fixture(params=[from_sync, from_async], ids=["publish", "apublish"])
def publish(request: pytest.FixtureRequest) -> Publish:
    chosen: Publish = request.param
    return chosen


def test_a_subscriber_hears_what_it_asked_for(publish: Publish) -> None:
    """By name, by class, or everything; sync or async makes no difference."""
    events = Events()
    heard: list[tuple[str, str]] = []

    @events.on("file.failed")
    def by_name(fact: FileFailed) -> None:
        heard.append(("name", fact.reason))

    @events.on(FileDeleted)
    async def by_class(fact: FileDeleted) -> None:
        await asyncio.sleep(0)
        heard.append(("class", fact.reason))

    @events.on()
    def everything(fact: Fact) -> None:
        heard.append(("all", fact.name))

    for fact in FACTS_TOLD:
        publish(events, fact)
    assert [what for who, what in heard if who == "all"] == [fact.name for fact in FACTS_TOLD]
    assert [pair for pair in heard if pair[0] != "all"] == [("name", "no memory"), ("class", "expired")]


def test_one_that_fails_stops_no_other(publish: Publish, caplog: pytest.LogCaptureFixture) -> None:
    """Three that know nothing of each other, sync and async, of which the one in the middle raises."""
    events = Events()
    heard: list[str] = []

    @events.on("file.uploaded")
    async def index(fact: FileUploaded) -> None:
        heard.append("index")

    @events.on("file.uploaded")
    def bill(fact: FileUploaded) -> None:
        raise LookupError("no such customer")

    @events.on("file.uploaded")
    async def welcome(fact: FileUploaded) -> None:
        raise asyncio.CancelledError

    @events.on("file.uploaded")
    def thank(fact: FileUploaded) -> None:
        heard.append("thank")

    publish(events, UPLOADED)
    assert sorted(heard) == ["index", "thank"]
    failures = [record for record in caplog.records if record.name == "uploadkit"]
    assert {record.levelno for record in failures} == {logging.ERROR}
    texts = [record.getMessage() for record in failures]
    assert len(texts) == 2
    assert any("bill failed to hear file.uploaded of upload u1" in text for text in texts)
    assert any("welcome failed to hear file.uploaded of upload u1" in text for text in texts)
    assert "no such customer" in caplog.text


def test_what_a_retried_one_raises_is_raised_when_all_have_heard(publish: Publish) -> None:
    events = Events()
    heard: list[str] = []

    @events.on("file.deleted", retried=True)
    def sync(fact: FileDeleted) -> None:
        raise LookupError("sync")

    @events.on("file.deleted", retried=True)
    async def later(fact: FileDeleted) -> None:
        raise LookupError("async")

    @events.on("file.deleted")
    def not_retried(fact: FileDeleted) -> None:
        raise LookupError("not retried")

    @events.on("file.deleted")
    def hears(fact: FileDeleted) -> None:
        heard.append(fact.upload)

    with pytest.raises(ExceptionGroup) as raised:
        publish(events, FileDeleted(upload="u1"))
    assert sorted(str(error) for error in raised.value.exceptions) == ["async", "sync"]
    assert heard == ["u1"]


def test_the_facts_of_an_upload_are_heard_in_their_order(publish: Publish) -> None:
    """By a slow async one and a sync one alike, since each fact is heard before the next is told."""
    events = Events()
    slow: list[int] = []
    fast: list[int] = []

    @events.on("file.progressed")
    async def dawdle(fact: FileProgressed) -> None:
        for _ in range(100 - fact.percent):
            await asyncio.sleep(0)
        slow.append(fact.percent)

    events.on("file.progressed")(lambda fact: fast.append(fact.percent))
    percents = [10, 20, 60, 80, 90, 100]
    for fact in progress("u1", *percents):
        publish(events, fact)
    assert slow == fast == percents


def test_the_subscribers_of_a_fact_hear_it_at_the_same_time(publish: Publish) -> None:
    """Each waits until all are there. One after the other they would wait for ever."""
    events = Events()
    there = threading.Barrier(2, timeout=SOON)

    @events.on("file.deleted")
    async def one(fact: FileDeleted) -> None:
        await asyncio.to_thread(there.wait)

    events.on("file.deleted", retried=True)(lambda fact: there.wait())
    publish(events, FileDeleted(upload="u1"))
    assert not there.broken


def test_a_sync_subscriber_does_not_block_the_loop() -> None:
    """It waits for what only the loop can do."""
    events = Events()
    let_go = threading.Event()

    @events.on("file.deleted", retried=True)
    def blocks(fact: FileDeleted) -> None:
        assert let_go.wait(SOON)

    async def application() -> None:
        asyncio.get_running_loop().call_soon(let_go.set)
        await events.apublish(FileDeleted(upload="u1"))

    asyncio.run(application())


def test_an_async_subscriber_runs_in_the_applications_loop_or_in_the_one_of_the_process() -> None:
    events = Events()
    loops: list[asyncio.AbstractEventLoop] = []

    @events.on()
    async def look(fact: Fact) -> None:
        loops.append(asyncio.get_running_loop())

    async def application() -> None:
        await events.apublish(UPLOADED)
        loops.append(asyncio.get_running_loop())

    async def of_the_process() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    asyncio.run(application())
    events.publish(UPLOADED)
    mine, same, other = loops
    assert mine is same
    assert other is event_loop.wait_for(of_the_process())


def test_a_subscriber_sees_the_context_of_who_publishes(publish: Publish) -> None:
    """Traces and log records belong to the request that they are of."""
    events = Events()
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []

    @events.on()
    async def later(fact: Fact) -> None:
        seen.append(request.get())

    events.on()(lambda fact: seen.append(request.get()))
    token = request.set("r1")
    publish(events, UPLOADED)
    request.reset(token)
    assert seen == ["r1", "r1"]


def test_what_gives_a_coroutine_is_async_too(publish: Publish) -> None:
    """A lambda, and an object whose call is async."""
    events = Events()
    heard: list[str] = []

    async def hear(fact: Fact) -> None:
        heard.append(fact.upload)

    class Hears:
        async def __call__(self, fact: Fact) -> None:
            heard.append(fact.upload)

    events.on(retried=True)(lambda fact: hear(fact))
    events.on(retried=True)(Hears())
    publish(events, UPLOADED)
    assert heard == ["u1", "u1"]


def test_one_that_has_gone_hears_nothing(publish: Publish) -> None:
    """It is subscribed to nothing any longer, and to go twice is no error. Methods are the same when they are equal."""

    class Shop:
        def __init__(self) -> None:
            self.heard: list[Fact] = []

        def hear(self, fact: Fact) -> None:
            self.heard.append(fact)

    events = Events()
    shop, other = Shop(), Shop()
    for each in (shop, other):
        events.on()(each.hear)
        events.on("file.deleted")(each.hear)
    events.off(shop.hear)
    events.off(shop.hear)
    publish(events, FileDeleted(upload="u1"))
    assert (len(shop.heard), len(other.heard)) == (0, 2)


def test_a_subscriber_may_go_and_another_come_while_a_fact_is_told(publish: Publish) -> None:
    events = Events()
    heard: list[str] = []

    @events.on()
    def once(fact: Fact) -> None:
        heard.append("once")
        events.off(once)
        events.on()(lambda fact: heard.append("later"))

    publish(events, UPLOADED)
    publish(events, UPLOADED)
    assert heard == ["once", "later"]


def test_a_subscriber_may_publish(publish: Publish) -> None:
    """A sync one blocks nobody's loop, an async one awaits."""
    events = Events()
    heard: list[str] = []

    @events.on("file.uploaded", retried=True)
    def at_once(fact: FileUploaded) -> None:
        events.publish(FileProcessed(upload=fact.upload))

    @events.on("file.uploaded", retried=True)
    async def later(fact: FileUploaded) -> None:
        await events.apublish(FileProcessed(upload=fact.upload))

    @events.on("file.processed")
    async def hears(fact: FileProcessed) -> None:
        heard.append(fact.upload)

    publish(events, UPLOADED)
    assert heard == ["u1", "u1"]


def test_to_block_an_event_loop_is_a_mistake() -> None:
    """An async subscriber that it would wait for could be in the very loop."""
    events = Events()
    heard: list[Fact] = []
    events.on()(heard.append)

    async def application() -> None:
        with pytest.raises(RuntimeError, match=r"await apublish\(\)"):
            events.publish(UPLOADED)

    asyncio.run(application())
    assert heard == []


def test_who_publishes_can_be_cancelled() -> None:
    """The async subscriber is, and the sync one is waited for."""
    events = Events()
    began, ended = threading.Event(), threading.Event()
    cancelled: list[str] = []

    @events.on()
    async def waits(fact: Fact) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(fact.upload)
            raise

    @events.on()
    def works(fact: Fact) -> None:
        began.set()
        assert ended.wait(SOON)

    async def application() -> None:
        task = asyncio.create_task(events.apublish(UPLOADED))
        await asyncio.to_thread(began.wait, SOON)
        task.cancel()
        asyncio.get_running_loop().call_soon(ended.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(application())
    assert cancelled == ["u1"]
    assert ended.is_set()


def test_a_name_that_no_fact_has_is_told_at_once() -> None:
    events = Events()
    with pytest.raises(ValueError, match=r"no fact is called 'file.procesed'; there are file.uploaded, "):
        events.on("file.procesed")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="by their name or their class"):
        events.on(7)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="cannot be called"):
        events.on()("not a function")  # type: ignore[arg-type]


def test_a_fact_that_nobody_asked_for_is_published_all_the_same(publish: Publish) -> None:
    events = Events()
    heard: list[Fact] = []
    events.on("file.failed")(heard.append)
    publish(events, UPLOADED)
    assert heard == []


def test_a_fork_subscribes_though_another_thread_was_at_it() -> None:
    """Who had subscribed before hears in the child too."""
    events = Events()
    heard: list[str] = []
    events.on()(lambda fact: heard.append("before"))

    def work() -> str:
        events.on()(lambda fact: heard.append("child"))
        events.publish(UPLOADED)
        return ", ".join(heard)

    with held_elsewhere(events._lock):
        assert in_a_fork(work) == "before, child"
