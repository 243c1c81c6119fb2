"""The client of a bucket: s3fs's configuration and credentials, aiobotocore's calls, our errors.

Calls are made in the event loop of `storage.event_loop`; whoever calls from elsewhere waits. botocore repeats what may
be repeated (four attempts, with jitter): a call whose answer got lost may have been carried out, and its second attempt
then says that it had nothing left to do. Callers look what is there.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import IO, Any, TypeVar

from ...errors import ObjectExists, ObjectMissing, StorageError, StorageFailed
from .. import event_loop

T = TypeVar("T")

CONNECT_SECONDS = 5

SILENT_SECONDS = 30
"""After so long without an answer, or without a byte taken, a connection is lost."""

UNSENT_SIZE = 2**18
"""Bytes that the kernel holds of a connection and has not sent yet. It would take megabytes at once, which seem to have
gone out then: on a slow line the wait for an answer would begin too early, and a part be sent again and again."""

ATTEMPTS = 4

BLOCK_SIZE = 2**20

READ_SIZE = 8 * 2**20
"""The most bytes that are asked for at once when an object is read."""

CONNECTIONS = 50
"""Of one storage in a process. Parts under way are fewer, so that a small call need not wait for a large one."""

_UNSENT_OPTION = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)  # since Python 3.13


_CONFIG: Mapping[str, Any] = {
    "signature_version": "s3v4",  # botocore would still sign some URLs in the old way
    "retries": {"total_max_attempts": ATTEMPTS, "mode": "standard"},
    "connect_timeout": CONNECT_SECONDS,
    "read_timeout": SILENT_SECONDS,
    "max_pool_connections": CONNECTIONS,
    # botocore's own check over all bytes has a form that not every server takes: ours is made with each part.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}

_NOT_TAKEN = {
    *("asynchronous", "loop", "skip_instance_cache"),  # the storage itself says them
    *("requester_pays", "s3_additional_kwargs", "version_aware"),  # only s3fs's own calls would heed them
}

# So that an address that is signed on AWS names its region. botocore would sign for the general one: that sends a
# browser on where a bucket is new, past its CORS rule, and does not know the newest regions.
_IN_THE_REGION: Mapping[str, Any] = {"addressing_style": "virtual"}

_is_host = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]").fullmatch

# What a server says where the same call may succeed later. The last three: bytes were damaged or lost on their way.
_PASSING = {
    *("InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "RequestLimitExceeded", "Throttling"),
    *("ThrottlingException", "ThrottledException", "RequestThrottled", "BandwidthLimitExceeded", "OperationAborted"),
    *("ConditionalRequestConflict", "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"),
}

_PASSING_STATUS = {429, 500, 502, 503, 504}

_content_range = re.compile(r"bytes (\d+)-.*/(\d+)").fullmatch

NO_UPLOAD = "NoSuchUpload"

_MISSING = {"404", "NoSuchKey", "NotFound", NO_UPLOAD}

CONFLICT = "ConditionalRequestConflict"
"""Another writer of the same key was about to finish, or to be removed."""


class Client:
    """Calls one bucket. Of each process after a fork it is another one. `on_aws` is False where anything names another
    server: the options, the environment, or a profile."""

    def __init__(self, bucket: str, options: Mapping[str, Any], *, storage: str) -> None:
        """Raises `ModuleNotFoundError` without s3fs, `TypeError` and `ValueError` for options that cannot be meant."""
        self.bucket = bucket
        self._storage = storage
        self._options = _complete(options)
        self.on_aws: bool = _is_on_aws(_filesystem(self._options))
        if self.on_aws and _is_host(bucket):
            config = self._options["config_kwargs"]
            config["s3"] = {**_IN_THE_REGION, **(config.get("s3") or {})}
        self._filesystems: dict[int, Any] = {}  # by process: a fork's copy has connections of another's

    def call(self, operation: str, doing: str, key: str | None, **arguments: Any) -> Any:
        """What S3 answers. `doing` and `key` stand in errors; `key` is the storage's own name of the object.

        Raises `ObjectMissing` where there is no such object or upload, `ObjectExists` where `IfNoneMatch` was not met,
        and `StorageFailed`.
        """
        return event_loop.wait_for(self.acall(operation, doing, key, **arguments))

    async def acall(self, operation: str, doing: str, key: str | None, **arguments: Any) -> Any:
        """The same in the event loop."""
        try:
            client = await self._client()
            call = partial(getattr(client, operation), Bucket=self.bucket, **arguments)
            if "Body" in arguments:
                return await _sent(call, arguments["Body"], arguments["ContentLength"])
            return await call()
        except Exception as error:
            raise self._translated(error, doing, key, arguments) from error

    def get(self, key: str, name: str, start: int, end: int, etag: str | None) -> tuple[bytes, int, str]:
        """Bytes of object `name`, its size and its ETag. Past its end there are none. `etag` is what it has to have."""
        return event_loop.wait_for(self._get(key, name, start, end, etag))

    def delete(self, name: str, key: str | None, doing: str) -> None:
        """Removes object `name`, if it is there."""
        with suppress(ObjectMissing):  # Google's servers say so
            self.call("delete_object", doing, key, Key=name)

    def blocks(
        self, key: str, name: str, start: int, end: int, etag: str, *, asked: int = BLOCK_SIZE
    ) -> Iterator[bytes]:
        """The bytes of object `name` in blocks of at most 1 MiB. No connection is held: ranges are asked for one after
        the other, the first of `asked` bytes, and all of them are of one and the same object."""
        while start < end:
            found, _, _ = self.get(key, name, start, min(start + asked, end), etag)
            if not found:
                return
            yield from (found[at : at + BLOCK_SIZE] for at in range(0, len(found), BLOCK_SIZE))
            start += len(found)
            asked = min(2 * asked, READ_SIZE)  # who reads a little gets a little

    def sign(self, operation: str, key: str | None, *, expires_seconds: int, **arguments: Any) -> str:
        """An address for one call, for who has no other credentials."""
        what = {"Params": {"Bucket": self.bucket, **arguments}, "ExpiresIn": expires_seconds}
        url: str = event_loop.wait_for(self._signed("generate_presigned_url", "sign a URL", key, operation, **what))
        return url

    def sign_post(
        self, name: str, key: str | None, fields: Mapping[str, str], conditions: list[Any], *, expires_seconds: int
    ) -> tuple[str, dict[str, str]]:
        """Where a form is sent to, and its fields."""
        what = {"Fields": dict(fields), "Conditions": conditions, "ExpiresIn": expires_seconds}
        signed = self._signed("generate_presigned_post", "sign a form", key, self.bucket, name, **what)
        post = event_loop.wait_for(signed)
        return post["url"], post["fields"]

    def close(self) -> None:
        """Ends this process's connections. The next call connects again."""
        filesystem = self._filesystems.pop(os.getpid(), None)
        if filesystem is not None:
            event_loop.not_at_exit(self.close)
            event_loop.wait_for(_closed(filesystem))

    async def _client(self) -> Any:
        filesystem = self._filesystems.get(os.getpid())
        if filesystem is None:
            filesystem = self._filesystems[os.getpid()] = _filesystem(self._options)
            event_loop.at_exit(self.close)
        return await filesystem.set_session()

    async def _signed(self, how: str, doing: str, key: str | None, *arguments: Any, **words: Any) -> Any:
        """What the client signs. It may have to ask for credentials."""
        try:
            client = await self._client()
            return await getattr(client, how)(*arguments, **words)
        except Exception as error:
            raise self._translated(error, doing, key, {}) from error

    async def _get(self, key: str, name: str, start: int, end: int, etag: str | None) -> tuple[bytes, int, str]:
        arguments = {"Key": name, "Range": f"bytes={start}-{end - 1}"} | ({"IfMatch": etag} if etag else {})
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = await self.acall("get_object", "read a file", key, **arguments)
                async with answer["Body"] as stream:
                    if "ETag" not in answer:
                        text = "the storage could not read a file: its server gives no ETag"
                        raise StorageFailed(text, storage=self._storage, key=key)
                    first, size = _range(answer)
                    if start >= size:
                        return b"", size, answer["ETag"]
                    if first != start or not 0 < answer["ContentLength"] <= end - start:
                        text = "the storage could not read a file: it gave another range than was asked"
                        raise StorageFailed(text, storage=self._storage, key=key)
                    return await stream.read(), size, answer["ETag"]
            except StorageError as error:
                if code_of(error) == "InvalidRange":
                    return b"", start, etag or ""
                raise
            except Exception as error:  # botocore repeats what fails before the first byte
                if attempt == ATTEMPTS:
                    raise self._translated(error, "read a file", key, {}) from error
                await asyncio.sleep(random.uniform(0, 2**attempt / 10))  # noqa: S311  # jitter

    def _translated(self, error: Exception, doing: str, key: str | None, arguments: Mapping[str, Any]) -> StorageError:
        if isinstance(error, StorageError):
            return error
        code, status = _said(error)
        if code in _MISSING:
            return ObjectMissing("there is no such object", storage=self._storage, key=key)
        # Within an answer of 200, where the server had begun it before it knew, the status is not 412.
        if (status == 412 or code == "PreconditionFailed") and "IfNoneMatch" in arguments:
            return ObjectExists("the object exists already", storage=self._storage, key=key)
        reason = code or type(error).__name__  # never its own words: they hold addresses
        retryable = status in _PASSING_STATUS or code in _PASSING or (not code and _is_passing(error))
        text = f"the storage could not {doing}: {reason}"
        return StorageFailed(text, storage=self._storage, key=key, retryable=retryable)


def code_of(error: StorageError) -> str:
    """The server's own word for what went wrong; "" where it has not answered."""
    return _said(error.__cause__)[0]


def is_refusal(error: StorageFailed) -> bool:
    """Whether the server has answered that it did not do it, and never will."""
    return not error.retryable and _said(error.__cause__)[1] >= 400


def _said(error: BaseException | None) -> tuple[str, int]:
    """The code and the status that a server has answered; none where it has not."""
    answer = getattr(error, "response", None)
    if not isinstance(answer, dict):
        return "", 0
    code = str(answer.get("Error", {}).get("Code", ""))
    return code, int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_passing(error: Exception) -> bool:
    """Whether it is about a connection, and not about who we are or what we asked."""
    import aiohttp
    from botocore import exceptions

    of_a_connection = (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.IncompleteReadError,
        exceptions.MetadataRetrievalError,
        aiohttp.ClientError,
        OSError,  # of which TimeoutError is one
    )
    return isinstance(error, of_a_connection) and not isinstance(error, exceptions.SSLError)


async def _sent(call: Callable[[], Coroutine[Any, Any, T]], body: IO[bytes], size: int) -> T:
    """The answer to a call with a body, which is repeated where the server takes no byte of it for too long."""
    for _ in range(1, ATTEMPTS):
        with suppress(TimeoutError):
            return await _watched(call(), body, size)
        body.seek(0)
    return await _watched(call(), body, size)


async def _watched(answer: Coroutine[Any, Any, T], body: IO[bytes], size: int) -> T:
    """Raises `TimeoutError` for a server that takes no byte: aiohttp would wait for it without end."""
    task, last = asyncio.ensure_future(answer), -1
    try:
        while not (await asyncio.wait({task}, timeout=SILENT_SECONDS))[0]:
            at = body.tell()
            if at == last and at < size:  # once all is sent, botocore's own timeout counts
                raise TimeoutError
            last = at
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _closed(filesystem: Any) -> None:
    creator = getattr(filesystem, "_s3creator", None)
    if creator is not None:
        with suppress(Exception):  # it is of no use any more
            await creator.__aexit__(None, None, None)


def _range(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Where what is answered begins in its object, and the object's size."""
    said = _content_range(answer.get("ContentRange") or "")
    return (int(said[1]), int(said[2])) if said else (0, answer["ContentLength"])  # it knows no ranges: all of it


def _complete(options: Mapping[str, Any]) -> dict[str, Any]:
    if refused := _NOT_TAKEN & set(options):
        raise TypeError(f"S3Storage takes no {', '.join(sorted(refused))} among its options")
    if "config" in (options.get("client_kwargs") or {}):
        raise TypeError("S3Storage takes the arguments of a Config as config_kwargs, and none in client_kwargs")
    return {**options, "config_kwargs": {**_CONFIG, **(options.get("config_kwargs") or {})}}


def _filesystem(options: Mapping[str, Any]) -> Any:
    try:
        import s3fs
        from aiobotocore.config import AioConfig
        from botocore.exceptions import ParamValidationError
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError("S3Storage needs s3fs: pip install 'pyuploadkit[s3]'", name=missing.name) from missing
    config = options["config_kwargs"]
    with suppress(ParamValidationError):  # aiobotocore before 3.2, or one that is told to use another library for HTTP
        sockets = {"connector_args": {"socket_factory": _socket}} | config
        AioConfig(**sockets)
        config = sockets
    return s3fs.S3FileSystem(**{**options, "config_kwargs": config}, asynchronous=True, skip_instance_cache=True)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(*address[:3])
    if _UNSENT_OPTION is not None:
        with suppress(OSError):
            made.setsockopt(socket.IPPROTO_TCP, _UNSENT_OPTION, UNSENT_SIZE)
    return made


def _is_on_aws(filesystem: Any) -> bool:
    """Raises `TypeError` and `ValueError` for what s3fs would not take at its first call."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession
    from botocore.exceptions import BotoCoreError

    AioConfig(**filesystem.config_kwargs)
    try:
        session = filesystem.session or AioSession(**filesystem.kwargs)
    except TypeError as error:  # what s3fs does not know it hands on
        unknown = ", ".join(filesystem.kwargs)
        raise TypeError(f"S3 has no option {unknown}; it has endpoint_url, key, secret and client_kwargs") from error
    try:
        profile = session.get_scoped_config()
    except BotoCoreError as error:
        raise ValueError(f"the configuration of AWS cannot be read: {error}") from error
    named = filesystem.endpoint_url or filesystem.client_kwargs.get("endpoint_url")
    named = named or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return not (named or profile.get("endpoint_url") or profile.get("services"))
