"""How often somebody may ask: in memory, in Redis, and while that is gone; and how many may upload at a time."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.valkey import Broker, running

from uploadkit.processing.valkey import ValkeyServer
from uploadkit.service import turns
from uploadkit.service.parts import Parts, redis_url_of
from uploadkit.service.problems import Refused
from uploadkit.service.settings import Settings
from uploadkit.service.turns import Turns

from .conftest import Serve, parts_of, quick_pipeline
from .test_callers import bearer, rule


@dataclass(frozen=True)
class Named:
    counted_as: str


ANN, BOB = Named("owner ann"), Named("owner bob")


@asynccontextmanager
async def several(count: int = 1, *, redis_url: str | None = None, **settings: Any) -> AsyncIterator[list[Turns]]:
    """Those of so many processes."""
    async with AsyncExitStack() as stack:
        made = [Turns(Settings(**settings), redis_url=redis_url) for _ in range(count)]
        for each in made:
            stack.push_async_callback(each.aclose)
        yield made


async def counted(turns: Turns, caller: Named, times: int) -> list[int]:
    """200 or 429 for each."""
    told = []
    for _ in range(times):
        try:
            await turns.count(caller)
            told.append(200)
        except Refused as error:
            told.append(error.status)
    return told


# Through the service


def test_who_asks_too_often_is_told_when_to_come_again(serve: Serve) -> None:
    service = serve(rate="3/minute")
    assert [service.get("/uploads").status_code for _ in range(3)] == [200, 200, 200]
    answer = service.get("/uploads")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer.json()["detail"] == "there were more requests than 3 per 1 minute"
    seconds = int(answer.headers["retry-after"])
    assert 1 <= seconds <= 60
    assert answer.headers["ratelimit-policy"] == '"requests";q=3;w=60'
    assert answer.headers["ratelimit"] == f'"requests";r=0;t={seconds}'


def test_health_is_never_limited(serve: Serve) -> None:
    service = serve(rate="1/minute")
    for path in ("/healthz", "/readyz"):
        assert [service.get(path).status_code for _ in range(5)] == [200] * 5


def test_owners_are_counted_apart_wherever_they_ask_from(serve: Serve) -> None:
    service = serve(tokens=(rule("a", "ann"), rule("b", "bob"), rule("c", "ann")), rate="2/minute")
    told = [service.get("/uploads", headers=bearer(token)).status_code for token in "aacbbb"]
    assert told == [200, 200, 429, 200, 200, 429]


def test_an_open_service_counts_by_address(serve: Serve) -> None:
    service = serve(rate="1/minute")
    other = TestClient(service.app, base_url="http://127.0.0.1", client=("192.0.2.7", 1))
    assert [each.get("/uploads").status_code for each in (service, service, other, other)] == [200, 429, 200, 429]


def test_an_owner_with_the_name_of_an_address_is_not_that_address(serve: Serve) -> None:
    """Nor is who failed counted with those that did not."""
    service = serve(tokens=(rule("a", "127.0.0.1"),), rate="1/minute", failed_rate="1/minute")
    assert service.get("/uploads").status_code == 401
    assert service.get("/uploads", headers=bearer("a")).status_code == 200


def test_without_a_rate_nothing_is_counted(serve: Serve) -> None:
    service = serve(tokens=(rule("a"),), rate=None, failed_rate=None)
    assert {service.get("/uploads", headers=bearer("a")).status_code for _ in range(20)} == {200}
    assert {service.get("/uploads").status_code for _ in range(20)} == {401}


def test_a_rate_may_have_several_parts(serve: Serve) -> None:
    service = serve(rate="100/hour; 2/minute")
    assert [service.get("/uploads").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("name", ["rate", "failed_rate"])
@pytest.mark.parametrize("rate", ["often", "600", "600/fortnight", ""])
def test_a_rate_that_is_none_is_refused_at_the_start(serve: Serve, name: str, rate: str) -> None:
    with pytest.raises(ValueError, match=re.escape(name)):
        serve(**{name: rate})


def test_a_window_ends_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with its first request. By a clock that is not set, and without a walk through all names."""
    now = 1000.0
    monkeypatch.setattr(turns, "time", type("time", (), {"monotonic": staticmethod(lambda: now), "time": time.time}))

    async def promised() -> None:
        nonlocal now
        async with several(rate="2/minute") as (each,):
            memory: Any = each._counts._own.storage
            assert await counted(each, ANN, 3) == [200, 200, 429]
            now += 30
            assert await counted(each, BOB, 1) == [200]
            now += 29.9
            assert await counted(each, ANN, 1) == [429]
            now += 0.2
            assert await counted(each, ANN, 1) == [200]
            now += 60
            assert await memory.get("any") == 0
            assert [memory._counts, memory._ends, memory._order] == [{}, {}, []]

    asyncio.run(promised())


def test_who_has_many_addresses_takes_no_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more time: the name that is over first makes room."""
    monkeypatch.setattr(turns, "MOST_NAMES", 3)

    async def promised() -> None:
        async with several(rate="1/minute") as (each,):
            for number in range(10):
                assert await counted(each, Named(f"address {number}"), 1) == [200]
            assert await counted(each, Named("address 9"), 1) == [429]
            assert await counted(each, Named("address 0"), 1) == [200]
            memory: Any = each._counts._own.storage
            assert len(memory._counts) == len(memory._ends) == len(memory._order) == 3

    asyncio.run(promised())


# Uploads at a time


def test_no_more_upload_at_a_time_than_may() -> None:
    """Of one owner: others have their own. Whoever has ended makes room, also by an error."""

    async def promised() -> None:
        async with several(uploads_at_once=2) as (turns,), turns.uploading(ANN):
            async with turns.uploading(ANN):
                with pytest.raises(Refused) as caught:
                    await turns.uploading(ANN).__aenter__()
                assert (caught.value.status, caught.value.code) == (429, "too_many_uploads")
                assert caught.value.headers["Retry-After"] == "1"
                async with turns.uploading(BOB):
                    pass
            with pytest.raises(RuntimeError):
                async with turns.uploading(ANN):
                    raise RuntimeError("it failed")
            async with turns.uploading(ANN):
                pass
        assert not turns._uploading

    asyncio.run(promised())


def test_too_many_uploads_are_refused_by_the_service(serve: Serve) -> None:
    """Before anything of them is read or remembered."""
    service = serve(uploads_at_once=1)
    under_way = parts_of(service).turns.uploading(Named("address 127.0.0.1"))
    assert service.portal is not None
    service.portal.call(under_way.__aenter__)
    answer = service.post("/uploads", files=[("f", ("1.txt", b"one"))])
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_uploads")
    assert service.get("/uploads").json()["uploads"] == []
    service.portal.call(under_way.__aexit__, None, None, None)
    assert service.post("/uploads", files=[("f", ("1.txt", b"one"))]).status_code == 202


# In Redis


def test_processes_count_together_in_redis(valkey: str) -> None:
    """Over the socket of the service's own Valkey, as well as over TCP."""

    async def promised() -> None:
        ann = Named(f"owner {secrets.token_hex(4)} ü/:%{{}}")
        async with several(2, redis_url=valkey, rate="3/minute") as (one, other):
            assert await counted(one, ann, 2) == [200, 200]
            assert await counted(other, ann, 2) == [200, 429]
            with pytest.raises(Refused) as caught:
                await one.count(ann)
            assert 1 <= int(caught.value.headers["Retry-After"]) <= 60

    asyncio.run(promised())


def test_failures_are_counted_together_too(valkey: str) -> None:

    async def promised() -> None:
        address = f"192.0.2.{secrets.token_hex(4)}"
        async with several(2, redis_url=valkey, failed_rate="2/minute") as (one, other):
            await one.failed(address)
            await other.may_fail(address)
            await other.failed(address)
            with pytest.raises(Refused):
                await one.may_fail(address)

    asyncio.run(promised())


def test_a_folder_whose_path_has_spaces_is_reached(tmp_path: Path) -> None:
    """The address of the service's own Valkey is quoted."""

    async def promised() -> None:
        server = ValkeyServer(tmp_path / "a folder")
        await server.ensure()
        try:
            async with several(2, redis_url=server.url(), rate="1/minute") as (one, other):
                assert await counted(one, ANN, 1) + await counted(other, ANN, 1) == [200, 429]
        finally:
            await asyncio.to_thread(server.end)

    asyncio.run(promised())


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """One that may be killed; when it is back, that is seen at once."""
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 0.0)
    with running() as broker:
        yield broker


def test_the_service_goes_on_when_redis_is_gone(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Each process counts for itself, and says so once; when Redis is back they count there again."""

    async def promised() -> None:
        caplog.set_level(logging.INFO)
        async with several(2, redis_url=broker.url, rate="2/minute") as (one, other):
            assert await counted(one, ANN, 1) == [200]
            broker.kill()
            assert await counted(one, ANN, 3) == [200, 200, 429]
            assert await counted(other, ANN, 3) == [200, 200, 429]
            assert _said(caplog, "Redis is gone") == 2  # once in each
            broker.start()
            assert await counted(one, BOB, 2) == [200, 200]
            assert await counted(other, BOB, 1) == [429]
            assert _said(caplog, "in Redis again") == 2

    asyncio.run(promised())


def test_a_redis_that_hangs_is_not_waited_for(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """But for a moment, and then not again for a while."""

    async def promised() -> None:
        monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.05)
        monkeypatch.setattr(turns, "AGAIN_SECONDS", 600.0)
        async with several(redis_url=broker.url, rate="10000/minute") as (each,):
            assert await counted(each, ANN, 1) == [200]
            broker.hold()
            try:
                began = time.monotonic()
                assert await counted(each, ANN, 2000) == [200] * 2000  # 2000 times the patience is 100 seconds
                assert time.monotonic() - began < 50
            finally:
                broker.go_on()
        assert _said(caplog, "Redis is gone") == 1

    asyncio.run(promised())


def test_a_redis_that_was_never_there_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its address, which may have a password in it, is not logged."""

    async def promised() -> None:
        async with several(redis_url=f"unix://:secret@{tmp_path}/none.sock", rate="1/minute") as (each,):
            assert await counted(each, ANN, 2) == [200, 429]
        assert _said(caplog, "Redis is gone") == 1
        assert "secret" not in caplog.text

    asyncio.run(promised())


def test_one_process_counts_in_its_memory_and_several_in_the_queues_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that is named has the numbers in any case; a service without a queue has no server of its own."""
    asked: list[str | None] = []

    class Seen(Turns):
        def __init__(self, settings: Settings, *, redis_url: str | None) -> None:
            asked.append(redis_url)
            super().__init__(settings, redis_url=None)

    monkeypatch.setattr("uploadkit.service.parts.Turns", Seen)
    data = tmp_path / "data"
    own = redis_url_of(Settings(data=data))
    redis = "redis://127.0.0.1:1/0"
    kinds: tuple[dict[str, Any], ...] = ({}, {"workers": 2}, {"redis_url": redis}, {"redis_url": redis, "workers": 2})
    for settings in kinds:
        Parts.of(Settings.load(data=data, **settings)).pipeline.close()
    Parts.of(Settings.load(data=data, workers=2), pipeline=(pipeline := quick_pipeline(tmp_path)))
    pipeline.close()
    assert asked == [None, own, redis, redis, None]


def _said(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)
