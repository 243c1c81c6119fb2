"""Subscribers as users write them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from flask import request as flask_request
from starlette.requests import Request

from uploadkit.events.bus import Events
from uploadkit.events.facts import Fact, FileDeleted, FileFailed, FileProcessed, FileRejected, FileUploaded
from uploadkit.events.logs import log
from uploadkit.events.redis import RedisEvents, RedisStatus
from uploadkit.events.webhooks import Webhooks, verify
from uploadkit.records.ledger import Ledger

events = Events()
webhooks = Webhooks("https://example.com/hooks", ["whsec_", "whsec_"])
redis = RedisEvents()
status = RedisStatus(ttl_seconds=60)
ledger = Ledger()


@events.on("file.processed")
def by_name(fact: FileProcessed) -> None:
    print(fact.results)


@events.on(FileUploaded, retried=True)
async def by_class(fact: FileUploaded) -> int:
    return fact.size


@events.on()
def everything(fact: Fact) -> str:
    match fact:
        case FileFailed(reason=reason):
            return reason
        case _:
            return fact.name


@events.on("file.deleted")
def of_any(fact: Fact) -> None: ...


def of_two(fact: FileFailed | FileRejected) -> None: ...


events.on("file.failed")(of_two)
events.on("file.rejected")(of_two)
events.on("file.uploaded")(lambda fact: print(fact.filename))
events.on()(log)
events.on()(redis.publish)
events.on()(status.hear)
events.on("file.processed", retried=True)(webhooks.deliver)
events.off(of_two)

# A subscriber stays what it was.
sync: Callable[[FileProcessed], None] = by_name
later: Callable[[FileUploaded], Awaitable[int]] = by_class
told: str = everything(FileDeleted(upload="u1"))

events.publish(FileDeleted(upload="u1"))
ledger.forward(events.publish)
ledger.forward(webhooks.deliver)
status.rebuild(ledger.find(limit=10))

with redis.listen(events.publish):
    pass


async def receive(request: Request) -> Fact:
    async with redis.alisten(events.apublish):
        return verify(request.headers, await request.body(), "whsec_")


verify(flask_request.headers, flask_request.get_data(), ["whsec_"], 60)
verify({"webhook-id": "f1"}, b"", "whsec_", now=lambda: 1.0)
