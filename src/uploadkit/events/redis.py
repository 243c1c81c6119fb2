"""Facts between processes, over Redis or Valkey: `RedisEvents` tells them, `RedisStatus` keeps where each upload is.

Both are for what may be missed. Pub/sub keeps nothing: who does not listen at that moment hears nothing, and a
connection that is lost loses what is told until it stands again. What must not be lost is in the ledger, and forwarded
from there.

redis-py is imported with this module and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final, Protocol

try:
    import redis
    import redis.asyncio
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.events.redis needs redis-py: pip install 'pyuploadkit[redis]'", name=_missing.name
    ) from _missing

from ..errors import DeliveryFailed
from ..storage import event_loop
from .bus import heard_by
from .facts import (
    Fact,
    FileDeleted,
    FileFailed,
    FileProcessed,
    FileProgressed,
    FileRejected,
    FileScanned,
    FileUploaded,
    UnknownFact,
    as_json,
    from_json,
    json_bytes,
    json_value,
)

__all__ = ["Listening", "Recorded", "RedisEvents", "RedisStatus"]

DEFAULT_URL = "redis://localhost:6379/0"

SILENT_SECONDS = 15
"""A listener that hears nothing for so long asks whether anybody is there; after as long again it connects anew."""

LONGEST_WAIT = 5.0
"""Seconds between two attempts to connect, at most."""

_logger = logging.getLogger("uploadkit")


class RedisEvents:
    """Tells facts to other processes, and hears what they tell, over a channel of Redis or Valkey.

    `events.on()(redis.publish)` has everything that is published here told to the others; `listen` and `alisten`
    hand on what they tell, to `events.publish` for example. What came over the channel is not told to it again, and
    what this process told is not handed to it. `channel` is a name that all of them share. `timeout_seconds` is how
    long Redis may take to answer.
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, channel: str = "uploadkit:events", timeout_seconds: float = 5
    ) -> None:
        """Connects to nothing yet. `url` is one of redis-py: `redis://`, `rediss://` or `unix://`."""
        self._url = url
        self._channel = channel
        self._timeout = timeout_seconds
        self._client = _client(url, timeout_seconds)
        self._token = token_hex(8)
        self._arrived: set[str] = set()  # facts that are being handed on

    def publish(self, fact: Fact) -> None:
        """Tells a fact to who listens now, if anybody does. Raises `DeliveryFailed`."""
        if fact.id in self._arrived:
            return
        message = json_bytes(as_json(fact) | {"origin": self._origin})
        with _translated():
            self._client.publish(self._channel, message)

    def listen(self, hear: Callable[[Fact], object]) -> Listening:
        """Has `hear` called with each fact that another process tells, in their order, until that is closed, or until
        this process ends. As a context manager it is closed with the block.

        That happens in threads of uploadkit's own; a process that is forked later does not listen. What `hear` raises
        is logged. When the call returns nothing is missed any longer; raises `DeliveryFailed` where that cannot be.
        """
        return Listening(self.alisten(hear))

    @asynccontextmanager
    async def alisten(self, hear: Callable[[Fact], object], *, is_needed: bool = True) -> AsyncIterator[asyncio.Event]:
        """As `listen`, for as long as the block runs and in this event loop: an async `hear` is awaited in it, a sync
        one runs in worker threads.

        The event is set as long as the connection stands. Where Redis is not needed, the block begins at once, and
        what it tells is heard from when it is there.
        """
        stands = asyncio.Event()
        task = asyncio.create_task(self._listen(hear, stands))
        try:
            if is_needed:
                await self._first(stands)
            yield stands
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def close(self) -> None:
        """Closes the connections of this process. The next call opens others."""
        self._client.close()

    @property
    def _origin(self) -> str:
        """Who tells: this object in this process, and not its copy in a fork."""
        return f"{self._token}-{os.getpid()}"

    async def _first(self, stands: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await stands.wait()
        except TimeoutError as error:
            raise DeliveryFailed("Redis was not reached") from error

    async def _listen(self, hear: Callable[[Fact], object], stands: asyncio.Event) -> None:
        bounds: dict[str, Any] = {"socket_timeout": self._timeout, "socket_connect_timeout": self._timeout}
        client = redis.asyncio.Redis.from_url(self._url, **bounds, retry=AsyncRetry(NoBackoff(), 0))
        failures = 0
        async with client:
            while True:
                try:
                    async with aclosing(_messages(client, self._channel)) as messages:
                        async for message in messages:
                            failures = 0
                            if message["type"] == "subscribe":
                                _logger.info("facts are heard from Redis")
                                stands.set()
                            elif message["type"] == "message":
                                await self._hand_on(hear, message["data"])
                except Exception as error:  # of whatever kind: who listens goes on listening
                    stands.clear()
                    if not failures:
                        is_known = isinstance(error, RedisError | OSError)
                        text = "Redis is gone, and what is told meanwhile is not heard: %s"
                        _logger.warning(text, type(error).__name__, exc_info=None if is_known else error)
                    await asyncio.sleep(min(LONGEST_WAIT, 0.05 * 2**failures) * (1 - random.random() / 2))  # noqa: S311
                    failures = min(failures + 1, 10)

    async def _hand_on(self, hear: Callable[[Fact], object], message: bytes) -> None:
        try:
            told = json_value(message)
            fact = from_json(told)
        except UnknownFact as error:
            _logger.debug("a fact from Redis is left out: %s", error)
            return
        except ValueError as error:
            _logger.warning("a message from Redis is left out: %s", error)
            return
        if isinstance(told, Mapping) and told.get("origin") == self._origin:
            return
        self._arrived.add(fact.id)
        try:
            await heard_by(hear, fact)
        except Exception:
            _logger.exception("%s of upload %s, from Redis, could not be handed on", fact.name, fact.upload)
        finally:
            self._arrived.discard(fact.id)


async def _messages(client: redis.asyncio.Redis, channel: str) -> AsyncGenerator[Mapping[str, Any], None]:
    """What the channel says, beginning with "subscribe". Ends with an exception alone."""
    async with client.pubsub() as subscription:
        await subscription.subscribe(channel)
        asked = False
        while True:
            message = await subscription.get_message(timeout=SILENT_SECONDS)
            if message is not None:
                asked = False
                yield message
            elif asked:
                raise redis.ConnectionError("nobody is there")
            else:
                await subscription.ping()
                asked = True


class Listening:
    """What was begun with `RedisEvents.listen`."""

    def __init__(self, manager: AbstractAsyncContextManager[object]) -> None:
        self._manager = manager
        self._process = os.getpid()
        self._is_open = True
        event_loop.wait_for(manager.__aenter__())
        event_loop.at_exit(self.close)

    def close(self) -> None:
        """Listens no longer. Idempotent, and of no effect in a fork, which does not listen."""
        if self._is_open and os.getpid() == self._process:
            self._is_open = False
            event_loop.not_at_exit(self.close)
            event_loop.wait_for(self._manager.__aexit__(None, None, None))

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recorded(Protocol):
    """What `RedisStatus.rebuild` reads of a record. An `UploadRecord` of the ledger is one."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def changed_at(self) -> datetime: ...
    @property
    def filename(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    @property
    def size(self) -> int | None: ...
    @property
    def owner(self) -> str | None: ...
    @property
    def batch(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...


_LASTING: Final = ("filename", "content_type", "size", "owner", "batch")
"""What a status keeps when the next fact does not say it."""


class RedisStatus:
    """Keeps where each upload is in Redis, for services that do not read the ledger: `events.on()(status.hear)`.

    Under the key `uploadkit:status:ID` lies a JSON object, which ends `ttl_seconds` after the last change. It has
    `upload`, `state` (one of the lifecycle's), `at` (the moment of that, in UTC) and, where they are known,
    `filename`, `content_type`, `size` in bytes, `owner`, `batch`; while it is processed `processor`, `percent`, `note`;
    `reason` and `code` where something went wrong. An older fact never replaces a newer one, in whatever order they
    come. The ledger is what counts: `rebuild` reads it.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        ttl_seconds: int = 3600,
        prefix: str = "uploadkit:status:",
        timeout_seconds: float = 5,
    ) -> None:
        """Connects to nothing yet."""
        if ttl_seconds < 1:
            raise ValueError("ttl_seconds is at least 1")
        self._client = _client(url, timeout_seconds)
        self._ttl = ttl_seconds
        self._prefix = prefix

    def hear(self, fact: Fact) -> None:
        """Keeps what a fact says. Raises `DeliveryFailed`."""
        if (told := _told(fact)) is not None:
            self._keep(fact.upload, fact.at, told | {"owner": fact.owner, "batch": fact.batch})

    def rebuild(self, records: Iterable[Recorded]) -> None:
        """Keeps what the ledger says: after Redis was emptied, or was not there. Raises `DeliveryFailed`."""
        for record in records:
            told = {name: getattr(record, name) for name in (*_LASTING, "reason")}
            self._keep(record.id, record.changed_at, told | {"state": str(record.state)})

    def get(self, upload: str) -> Mapping[str, Any] | None:
        """The status of an upload; None where nothing is kept of it. Raises `DeliveryFailed`."""
        with _translated():
            return _status(self._client.get(self._prefix + upload))

    def close(self) -> None:
        """Closes the connections of this process. The next call opens others."""
        self._client.close()

    def _keep(self, upload: str, at: datetime, told: Mapping[str, object]) -> None:
        key = self._prefix + upload

        def change(pipe: Any) -> None:
            """Where another one writes between the reading and the writing, all of this happens once more."""
            kept = _status(pipe.get(key)) or {}
            pipe.multi()
            known = {name: value for name, value in told.items() if value is not None}
            if kept and _moment(kept) > at:  # it adds what lasts, where that was not known
                added = {name: known[name] for name in _LASTING if name in known and name not in kept}
                if added:
                    pipe.set(key, json_bytes(kept | added), keepttl=True)
                return
            lasting = {name: kept[name] for name in _LASTING if name in kept}
            moment = at.astimezone(UTC).isoformat()
            pipe.set(key, json_bytes(lasting | known | {"upload": upload, "at": moment}), ex=self._ttl)

        with _translated():
            self._client.transaction(change, key)


def _told(fact: Fact) -> dict[str, object] | None:
    """What a fact changes in a status. None: nothing."""
    match fact:
        case FileUploaded():
            about = {"filename": fact.filename, "content_type": fact.content_type, "size": fact.size}
            return {"state": "staged", **about}
        case FileProgressed():
            progress = {"processor": fact.processor, "percent": fact.percent, "note": fact.note}
            return {"state": "processing", **progress}
        case FileProcessed():
            return {"state": "completed"}
        case FileFailed():
            return {"state": "failed", "processor": fact.processor, "reason": fact.reason}
        case FileRejected():
            return {"state": "rejected", "code": fact.code, "reason": fact.reason}
        case FileScanned(outcome="infected"):
            return {"state": "quarantined", "reason": fact.reason}
        case FileDeleted():
            return {"state": "expired" if fact.reason == "expired" else "deleted"}
        case _:
            return None


def _status(stored: Any) -> dict[str, Any] | None:
    """What is stored, if it is a status: others can write there."""
    with suppress(ValueError, TypeError):
        status = json_value(stored)
        if isinstance(status, dict) and _moment(status).tzinfo is not None:
            return status
    return None


def _moment(status: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(status.get("at", ""))


def _client(url: str, timeout_seconds: float) -> redis.Redis:
    """A client that tries once more, and at once: the broker may have been restarted since the last call."""
    bounds = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    return redis.Redis.from_url(url, **bounds, retry=Retry(NoBackoff(), 1))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise DeliveryFailed(f"Redis failed: {type(error).__name__}") from error
