"""What is said to S3, and what its answers are taken for, where servers differ."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.storage.kinds import get, put, staged
from tests.storage.s3.places import PART_SIZE, Locate, Place
from tests.storage.s3.proxy import Proxy, Refusal, Wrong, _Request
from tests.storage.s3.server import BUCKET, S3Server

from uploadkit.errors import ObjectExists, ObjectMissing, StorageFailed
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.s3 import S3Storage

INFO = ObjectInfo()


@dataclass(eq=False)
class Deaf(Proxy):
    """Does not pass on what fits `unheard` in the head of a request, as if the server did not know it. moto checks no
    signature."""

    unheard: str = ""

    async def _answer(
        self, request: _Request, wrong: Wrong | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = re.sub(self.unheard.encode(), b"", request.head)
        return await super()._answer(replace(request, head=head), wrong, reader, writer)


@dataclass(eq=False)
class Heard(Proxy):
    """Keeps the heads of all requests."""

    heads: list[str] = field(default_factory=list)

    async def _answer(
        self, request: _Request, wrong: Wrong | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        self.heads.append(request.head.decode("latin-1").lower())
        return await super()._answer(request, wrong, reader, writer)


ONCE = {"retries": {"total_max_attempts": 1}}


# What is said


def test_no_word_of_an_acl_is_sent_by_itself(place: Place) -> None:
    """A bucket of AWS has no ACLs unless its owner wants them, and refuses every call that sends one but the owner's:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-ownership-error-responses.html. Without one an object
    is private."""
    with (proxy := Heard(place.server)):
        storage = place.storage(proxy, config=ONCE)
        put(storage, "small")
        put(storage, "large", bytes(PART_SIZE))
        storage.copy("small", "copy")
    assert not [head for head in proxy.heads if "x-amz-acl" in head]


def test_an_acl_is_sent_where_it_is_asked_for(place: Place) -> None:
    """By each call that makes an object or begins one."""
    with (proxy := Heard(place.server)):
        storage = place.storage(proxy, config=ONCE, acl="bucket-owner-full-control")
        put(storage, "small")
        put(storage, "large", bytes(PART_SIZE))
        storage.copy("small", "copy")
    assert sum("x-amz-acl: bucket-owner-full-control" in head for head in proxy.heads) == 3


# What cannot be meant


@pytest.mark.parametrize(
    "options",
    [
        {"s3_additional_kwargs": {"ServerSideEncryption": "aws:kms"}},
        {"requester_pays": True},
        {"version_aware": True},
        {"asynchronous": True},
        {"client_kwargs": {"config": None}},
        {"config_kwargs": {"no_such_option": 1}},
        {"no_such_option": 1},
    ],
    ids=str,
)
def test_options_that_would_not_be_heeded_are_refused(options: dict[str, Any]) -> None:
    """Whoever asks for encryption in s3fs's way must not get none."""
    with pytest.raises(TypeError):
        S3Storage("s3://bucket", options=options)


def test_an_option_that_is_none_is_named() -> None:
    with pytest.raises(TypeError, match=r"^S3 has no option endpoint; it has endpoint_url, key, secret"):
        S3Storage("s3://bucket", options={"endpoint": "https://s3.example.org", "key": "k", "secret": "s"})


@pytest.mark.parametrize(
    "arguments",
    [
        {"kms_key": "alias/key"},
        {"kms_key": "alias/key", "encryption": "AES256"},
        {"metadata": {"two words": "x"}},
        {"metadata": {"": "x"}},
        {"metadata": {"name": "é"}},
        {"metadata": {"Uploadkit": "x"}},
        {"metadata": {"name": "x", "Name": "y"}},
        {"options": {"profile": "no-such-profile"}},
        {"url": "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/name"},
        {"url": "s3://key:s3cret@bucket"},
    ],
    ids=str,
)
def test_arguments_that_every_call_would_fail_with_are_refused(arguments: dict[str, Any]) -> None:
    """When the storage is made, and not at the first upload."""
    with pytest.raises(ValueError, match=r"^(?!.*s3cret)"):
        S3Storage(**{"url": "s3://bucket"} | arguments)


def test_what_is_none_in_the_options_is_not_said(place: Place) -> None:
    """As s3fs takes it."""
    storage = place.storage(options=place.server.options() | {"config_kwargs": None, "token": None, "profile": None})
    assert get(storage, put(storage, "key")) == b"data"
    S3Storage("s3://bucket", options={"client_kwargs": None, "endpoint_url": None})


def test_metadata_is_kept_in_small_letters(place: Place) -> None:
    """S3 makes them so: a copy has one of each."""
    storage = place.storage(metadata={"Source": "form"})
    storage.copy(put(storage, "key"), "copy")
    for key in ("key", "copy"):
        head = place.server.client.head_object(Bucket=BUCKET, Key=f"{place.prefix}/{key}")
        assert head["Metadata"]["source"] == "form"


# Whose server it is


def test_exclusive_commits_are_promised_on_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nothing names another server."""
    unconfigured(monkeypatch, tmp_path)
    assert S3Storage("s3://bucket").exclusive_commit


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "FSSPEC_S3_ENDPOINT_URL"])
def test_a_server_that_the_environment_names_is_not_aws(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """botocore, and fsspec, go there: what is promised of AWS is not promised of it."""
    unconfigured(monkeypatch, tmp_path)
    monkeypatch.setenv(name, "http://127.0.0.1:9000")
    if name.startswith("FSSPEC"):
        monkeypatch.setattr("fsspec.config.conf", {"s3": {"endpoint_url": "http://127.0.0.1:9000"}})
    assert not S3Storage("s3://bucket").exclusive_commit
    assert S3Storage("s3://bucket", exclusive=True).exclusive_commit


@pytest.mark.parametrize(
    "text",
    [
        "[profile other]\nendpoint_url = http://127.0.0.1:9000\n",
        "[profile other]\nservices = here\n[services here]\ns3 =\n  endpoint_url = http://127.0.0.1:9000\n",
    ],
    ids=["for all", "for S3"],
)
def test_a_server_that_a_profile_names_is_not_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """The same."""
    unconfigured(monkeypatch, tmp_path).write_text(text)
    assert not S3Storage("s3://bucket", options={"profile": "other"}).exclusive_commit
    assert S3Storage("s3://bucket").exclusive_commit


def unconfigured(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Nothing is said by whoever runs the tests. Where the configuration would stand."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    return folder / "config"


# What is answered


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "BadDigest", True),
        (400, "XAmzContentSHA256Mismatch", True),
        (400, "IncompleteBody", True),
        (400, "InvalidArgument", False),
        (403, "AccessDenied", False),
        (409, "OperationAborted", True),
        (429, "TooManyRequests", True),
        (501, "NotImplemented", False),
    ],
)
def test_a_failure_says_whether_it_may_pass(
    place: Place, proxy: Proxy, status: int, code: str, retryable: bool
) -> None:
    """What was damaged on its way or came too often may go well the next time; what a server does not know will not."""
    storage = place.storage(proxy, config=ONCE)
    proxy.fail("PutObject", Refusal(status, code))
    upload = staged(storage, "key")
    with pytest.raises(StorageFailed, match=code) as raised:
        upload.commit()
    assert raised.value.retryable == retryable
    upload.discard()


@pytest.mark.parametrize("operation", ["CompleteMultipartUpload", "CopyObject"])
def test_a_key_that_is_taken_may_be_told_after_the_answer_has_begun(place: Place, proxy: Proxy, operation: str) -> None:
    """S3 says 200 where a call takes long, and what went wrong afterwards, in the body."""
    storage = place.storage(proxy, config=ONCE)
    put(storage, "other")
    upload = staged(storage, "key", bytes(PART_SIZE))
    put(storage, "key")
    proxy.fail(operation, Refusal(200, "PreconditionFailed"))
    with pytest.raises(ObjectExists):
        storage.copy("other", "key") if operation == "CopyObject" else upload.commit()
    upload.discard()
    assert place.keys() == ["key", "other"]
    assert not place.uploads()


@pytest.mark.parametrize("code", ["NoSuchKey", "NotFound"])
def test_to_delete_what_is_not_there_is_no_error(place: Place, proxy: Proxy, code: str) -> None:
    """Also of a server that says so, as Google's does."""
    storage = place.storage(proxy, config=ONCE)
    proxy.fail("DeleteObject", Refusal(404, code))
    storage.delete("key")
    proxy.fail("HeadObject", Refusal(404, code))
    with pytest.raises(ObjectMissing):
        storage.stat("key")


# Ranges


@pytest.fixture
def rangeless(moto: S3Server, locate: Locate) -> Any:
    """A storage on a server that answers with the whole object, always."""
    place = locate(moto)
    with (proxy := Deaf(moto, unheard="(?i)\r\nrange:[^\r]*")):
        yield place.storage(proxy, config=ONCE)


@pytest.mark.parametrize("size", [0, 1, 2**20])
def test_a_small_object_is_read_without_ranges(rangeless: S3Storage, size: int) -> None:
    """It came whole. Of an empty one some servers that know ranges say the same, where AWS says that there is none."""
    data = bytes(range(256)) * (size // 256) or b"x" * size
    put(rangeless, "key", data)
    assert get(rangeless, "key") == data
    assert list(rangeless.read("key", size)) == []
    assert list(rangeless.read("key", size + 5, size + 9)) == []


@pytest.mark.parametrize(("start", "end"), [(1, None), (1, 3), (0, 3)])
def test_another_range_than_was_asked_is_never_taken_for_it(rangeless: S3Storage, start: int, end: int | None) -> None:
    """A failure, and not other bytes."""
    put(rangeless, "key", b"0123456789")
    with pytest.raises(StorageFailed, match="another range than was asked"):
        rangeless.read("key", start, end)


def test_a_large_object_is_not_taken_into_memory_whole(rangeless: S3Storage) -> None:
    """Its length is said before its first byte."""
    put(rangeless, "key", bytes(PART_SIZE + 1))
    with pytest.raises(StorageFailed, match="another range than was asked"):
        rangeless.read("key")


# Sweeping


def test_two_may_sweep_at_once(place: Place, proxy: Proxy) -> None:
    """What another one has removed meanwhile is no error, and the rest is still swept."""
    storage = place.storage(proxy, config=ONCE, stale_seconds=0.001)
    for key in ("first", "second"):
        place.server.client.create_multipart_upload(Bucket=BUCKET, Key=f"{place.prefix}/{key}")
    proxy.fail("AbortMultipartUpload", Refusal(404, "NoSuchUpload"), times=1)
    assert storage.sweep() == 2
    assert len(place.uploads()) == 1


def test_a_sweep_leaves_alone_what_is_not_below_its_prefix(moto: S3Server, locate: Locate) -> None:
    """And asks for all of the bucket: MinIO lists the uploads of a key, and none of a prefix
    (https://github.com/minio/minio/issues/20989)."""
    place, other = locate(moto), locate(moto)
    with (proxy := Heard(moto)):
        storage = place.storage(proxy, config=ONCE, stale_seconds=0.001)
        for each in (place, other):
            each.server.client.create_multipart_upload(Bucket=BUCKET, Key=f"{each.prefix}/key")
        assert storage.sweep() == 1
    assert (place.uploads(), other.uploads()) == ([], ["key"])
    assert not [head for head in proxy.heads if "uploads" in head.split()[1] and "prefix" in head.split()[1]]
