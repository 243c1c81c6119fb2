"""The servers and the proxy of these tests do what the tests rely on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from tests.adapters.servers import eventually
from tests.punctual import swift
from tests.storage.s3.places import Locate, Place
from tests.storage.s3.proxy import INTERNAL_ERROR, SLOW_DOWN, Fault, Hold, Proxy
from tests.storage.s3.server import BUCKET, S3Server

from uploadkit.testing import assert_no_leaks

PART = bytes(5 * 2**20)

DATA = bytes(100_000)


@pytest.fixture(params=["weed", "moto"])
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each kind."""
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Any]:
    """One that goes through the proxy."""
    client = through(proxy)
    yield client
    client.close()


@pytest.fixture
def impatient(proxy: Proxy) -> Iterator[Any]:
    """Another, that does not wait long for an answer."""
    client = through(proxy, read_timeout=0.3)
    yield client
    client.close()


def through(proxy: Proxy, **config: Any) -> Any:
    """A client that takes the proxy for its server."""
    return proxy.server.connect(proxy.url, **config)


def test_a_proxy_changes_nothing_and_names_every_operation(server: S3Server, locate: Locate) -> None:
    """Signatures hold, keys are as they were, and what is read is what was written."""
    place = locate(server)
    key = f"{place.prefix}/a b/é+%2F"
    with assert_no_leaks(), Proxy(server) as proxy:
        client = through(proxy)
        client.put_object(Bucket=BUCKET, Key=f"{place.prefix}/small", Body=b"small")
        upload = {"Bucket": BUCKET, "Key": key}
        upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        parts = [
            {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
            for number, body in ((1, PART), (2, b"the last"))
        ]
        assert place.uploads() == ["a b/é+%2F"]
        client.list_parts(**upload)
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        client.head_object(Bucket=BUCKET, Key=key)
        assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == PART + b"the last"
        client.copy_object(Bucket=BUCKET, Key=f"{place.prefix}/copy", CopySource={"Bucket": BUCKET, "Key": key})
        client.delete_object(Bucket=BUCKET, Key=key)
        given_up = {"Bucket": BUCKET, "Key": key}
        given_up["UploadId"] = client.create_multipart_upload(**given_up)["UploadId"]
        client.abort_multipart_upload(**given_up)
        client.list_objects_v2(Bucket=BUCKET)
        client.list_multipart_uploads(Bucket=BUCKET)
        client.close()
    assert " ".join(call.operation for call in proxy.calls) == (
        "PutObject CreateMultipartUpload UploadPart UploadPart ListParts CompleteMultipartUpload HeadObject GetObject"
        " CopyObject DeleteObject CreateMultipartUpload AbortMultipartUpload ListObjectsV2 ListMultipartUploads"
    )
    assert [call.part for call in proxy.calls if call.operation == "UploadPart"] == [1, 2]
    assert {call.key for call in proxy.calls if call.part} == {key}
    assert place.keys() == ["copy", "small"]
    assert not place.left()


def put(client: Any, place: Place, data: bytes = DATA) -> Any:
    """One object, in one request."""
    return client.put_object(Bucket=BUCKET, Key=f"{place.prefix}/key", Body=data)


@pytest.mark.parametrize("refusal", [INTERNAL_ERROR, SLOW_DOWN])
def test_a_refusal_is_an_error_of_s3(proxy: Proxy, place: Place, client: Any, refusal: Any) -> None:
    """After as many calls, and for as many, as a test says."""
    proxy.fail("PutObject", refusal, after=1, times=1)
    put(client, place)
    with pytest.raises(ClientError) as raised:
        put(client, place)
    assert raised.value.response["Error"]["Code"] == refusal.code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == refusal.status
    put(client, place)
    assert [call.status for call in proxy.calls] == [200, None, 200]


@pytest.mark.parametrize(
    ("fault", "raises", "stored"),
    [
        (Fault.RESET, ConnectionClosedError, False),
        (Fault.RESET_HALFWAY, ConnectionClosedError, False),
        (Fault.RESET_AFTER, ConnectionClosedError, False),
        (Fault.LOST, ConnectionClosedError, True),
        (Fault.LOST_SILENTLY, ReadTimeoutError, True),
        (Fault.SILENT, ReadTimeoutError, False),
    ],
)
def test_a_fault_is_what_it_says(
    proxy: Proxy, place: Place, client: Any, impatient: Any, fault: Fault, raises: type[Exception], stored: bool
) -> None:
    """The client is told the one, and the server has done the other."""
    proxy.fail("PutObject", fault)
    with pytest.raises(raises):
        put(impatient if raises is ReadTimeoutError else client, place)
    eventually(lambda: bool(place.keys()) == stored)  # who gives up may be faster than the server
    assert place.keys() == (["key"] if stored else [])
    proxy.heal()
    put(client, place)


def test_a_request_is_held_until_it_is_let_go(proxy: Proxy, place: Place, impatient: Any) -> None:
    """Whether its client is still there or not."""
    hold = Hold()
    proxy.fail("PutObject", hold)
    with pytest.raises(ReadTimeoutError):
        put(impatient, place)
    assert hold.reached.wait(5)
    assert not place.keys()
    hold.let_go()
    assert hold.over.wait(5)
    assert place.keys() == ["key"]


def test_a_slow_server_reads_as_slowly_as_it_is_told(proxy: Proxy, place: Place, client: Any) -> None:
    """5 MiB at 20 MiB a second."""
    proxy.bytes_per_second = 20 * 2**20
    begun = time.monotonic()
    put(client, place, PART)
    assert time.monotonic() - begun > 0.2
    swift(lambda: put(client, place, PART), 2, clock=time.monotonic)
