"""What the page on S3 says to AWS and to cron, said to servers that judge it: moto has accounts and policies."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

import boto3
import pytest
from tests.docs.documents import DOCS, blocks
from tests.docs.pasted import paste
from tests.storage.kinds import put, staged
from tests.storage.s3.moto import moto_server
from tests.storage.s3.places import PART_SIZE, Locate
from tests.storage.s3.proxy import Hold, Proxy
from tests.storage.s3.server import BUCKET, S3Server

from uploadkit.errors import ObjectMissing, UploadError
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.keys import STAGING
from uploadkit.storage.s3 import S3Storage

PAGE = (DOCS / "how-to" / "s3.md").read_text(encoding="utf-8")
POLICY, LIFECYCLE = (json.loads(block.code) for block in blocks(PAGE, "json"))
ACTIONS = [action for statement in POLICY["Statement"] for action in statement["Action"]]
NEEDED = dict(re.findall(r"^\| `(s3:\w+)` \| (.+) \|$", PAGE, re.MULTILINE))
THE_BUCKET, URL = "my-bucket", "s3://my-bucket/uploads"


def upload_small(storage: S3Storage) -> None:
    put(storage, "new")


def upload_large(storage: S3Storage) -> None:
    put(storage, "new", bytes(PART_SIZE + 1))


def discard_large(storage: S3Storage) -> None:
    staged(storage, "new", bytes(PART_SIZE)).discard()


def read(storage: S3Storage) -> None:
    assert b"".join(storage.read("there")) == b"data"


def stat(storage: S3Storage) -> None:
    storage.stat("there")


def list_(storage: S3Storage) -> None:
    assert [found.key for found in storage.list()] == ["there"]


def copy(storage: S3Storage) -> None:
    storage.copy("there", "new")


def delete(storage: S3Storage) -> None:
    storage.delete("there")


def sweep(storage: S3Storage) -> None:
    assert storage.sweep() == 2


def give_up_direct(storage: S3Storage) -> None:
    upload = token_hex(16)
    parts_id = storage.begin_parts(upload, ObjectInfo())
    assert storage.list_parts(upload, parts_id) == []
    storage.abort_parts(upload, parts_id)


def give_up_between_two_goes(storage: S3Storage) -> None:
    upload = token_hex(16)
    found = storage.partial(upload, storage.begin_partial(upload, ObjectInfo()))
    found.append(b"data")
    found.keep()
    found.discard()


MOVES: dict[Callable[[S3Storage], None], set[str]] = {
    upload_small: {"s3:PutObject"},
    upload_large: {"s3:PutObject"},
    discard_large: {"s3:PutObject", "s3:AbortMultipartUpload"},
    read: {"s3:GetObject"},
    stat: {"s3:GetObject"},
    list_: {"s3:ListBucket"},
    copy: {"s3:PutObject", "s3:GetObject"},
    delete: {"s3:DeleteObject"},
    give_up_direct: {"s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"},
    give_up_between_two_goes: {*ACTIONS} - {"s3:ListBucketMultipartUploads"},
    sweep: {"s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucket", "s3:ListBucketMultipartUploads"},
}
"""What needs which actions, as the page has it by action."""


class Account:
    """One of moto's that may do what it is told. `owner` is somebody who may do everything."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        owner = self._client("iam", "nobody", "nothing")
        self._key, self._secret = _new(owner, "owner", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
        self._iam = self._client("iam", self._key, self._secret)
        self.owner = self._client("s3", self._key, self._secret)
        self.owner.create_bucket(Bucket=THE_BUCKET)
        self.credentials = _new(self._iam, "application", [])

    def may(self, *actions: str) -> None:
        """From now on: what the page's policy says, but for actions that are not among these."""
        statements = [
            {**statement, "Action": [action for action in statement["Action"] if action in actions]}
            for statement in POLICY["Statement"]
        ]
        _say(self._iam, "application", [statement for statement in statements if statement["Action"]])

    @cached_property
    def storage(self) -> S3Storage:
        """One that has nothing but this account."""
        return self.storage_at(self.server.url)

    def storage_at(self, url: str) -> S3Storage:
        key, secret = self.credentials
        options = {"key": key, "secret": secret, "endpoint_url": url}
        return S3Storage(URL, options=options, part_size=PART_SIZE, stale_seconds=1e-6)

    def begin_anew(self) -> None:
        """One object, and what a process that died has left: a multipart upload, and a staged object."""
        for found in self.owner.list_objects_v2(Bucket=THE_BUCKET).get("Contents", ()):
            self.owner.delete_object(Bucket=THE_BUCKET, Key=found["Key"])
        for found in self.owner.list_multipart_uploads(Bucket=THE_BUCKET).get("Uploads", ()):
            self.owner.abort_multipart_upload(Bucket=THE_BUCKET, Key=found["Key"], UploadId=found["UploadId"])
        self.owner.put_object(Bucket=THE_BUCKET, Key="uploads/there", Body=b"data")
        self.owner.put_object(Bucket=THE_BUCKET, Key=f"uploads/{STAGING}/left", Body=b"data")
        self.owner.create_multipart_upload(Bucket=THE_BUCKET, Key="uploads/left")

    def close(self) -> None:
        self.storage.close()
        self._iam.close()
        self.owner.close()

    def _client(self, service: str, key: str, secret: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.server.url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
        )


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """On a server that has become strict when it was made."""
    with moto_server(tmp_path_factory.mktemp("moto"), open_calls=4) as server:
        account = Account(server)
        yield account
        account.close()


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
def test_the_policy_of_the_page_allows_all_that_a_storage_does_and_no_more(
    account: Account, move: Callable[[S3Storage], None]
) -> None:
    """Without any one of the actions that it needs it is refused; without the others it is not."""
    needed = MOVES[move]
    for missing in (None, *ACTIONS):
        account.begin_anew()
        account.may(*(action for action in ACTIONS if action != missing))
        with pytest.raises(UploadError) if missing in needed else nullcontext():
            move(account.storage)


@pytest.mark.parametrize("missing", ["", "s3:ListMultipartUploadParts"])
def test_parts_under_way_are_looked_for_where_that_is_allowed(account: Account, missing: str) -> None:
    """When an upload is given up, S3 may have been taking one and keeps it; without the action a sweep removes it."""
    account.begin_anew()
    account.may(*(action for action in ACTIONS if action != missing))
    with Proxy(account.server) as proxy:
        hold = Hold()
        proxy.fail("UploadPart", hold)
        storage = account.storage_at(proxy.url)
        sink = storage.open("new", ObjectInfo())
        sink.write(bytes(PART_SIZE))
        assert hold.reached.wait(5)
        sink.discard()
        [status] = {call.status for call in proxy.calls if call.operation == "ListParts"}
        hold.let_go()
        storage.close()
    assert status == (403 if missing else 404)


def test_every_action_is_explained() -> None:
    """And none besides."""
    assert sorted(NEEDED) == sorted(ACTIONS)
    assert {action for needed in MOVES.values() for action in needed} == {*ACTIONS}


@pytest.mark.parametrize("name", ["weed", "moto"])
def test_a_server_takes_the_rule_of_the_life_cycle(name: str, request: pytest.FixtureRequest) -> None:
    """As the page has it."""
    server: S3Server = request.getfixturevalue(name)
    server.client.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=LIFECYCLE)
    [rule] = server.client.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    server.client.delete_bucket_lifecycle(Bucket=BUCKET)
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}


def test_the_line_of_cron_sweeps(weed: S3Server, locate: Locate, tmp_path: Path) -> None:
    """In the folder of the page's application, with what its environment says."""
    place = locate(weed)
    paste(PAGE, tmp_path)
    place.server.client.create_multipart_upload(Bucket=BUCKET, Key=f"{place.prefix}/left")
    [line] = re.findall(r"^ *17 4 \* \* \* cd /srv/gallery && \.venv/bin/python (.+)$", PAGE, re.MULTILINE)
    account = {"AWS_ACCESS_KEY_ID": weed.key, "AWS_SECRET_ACCESS_KEY": weed.secret, "AWS_ENDPOINT_URL": weed.url}
    done = subprocess.run(
        [sys.executable, *shlex.split(line)],
        cwd=tmp_path,
        env=os.environ | account | {"UPLOADS": place.url},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "0 removed\n", done.stderr  # it is younger than a day
    assert place.uploads() == ["left"]


def test_a_bucket_with_versions_keeps_what_is_deleted(moto: S3Server) -> None:
    """Below a marker: nobody sees it, and it is there."""
    where = {"Bucket": "versions"}
    moto.client.create_bucket(**where)
    moto.client.put_bucket_versioning(**where, VersioningConfiguration={"Status": "Enabled"})
    storage = S3Storage("s3://versions", options=moto.options())
    put(storage, "key")
    storage.delete("key")
    with pytest.raises(ObjectMissing):
        storage.stat("key")
    storage.close()
    versions = moto.client.list_object_versions(**where)
    assert [len(versions[kind]) for kind in ("Versions", "DeleteMarkers")] == [1, 1]


def _new(iam: Any, name: str, statements: list[dict[str, Any]]) -> tuple[str, str]:
    """A user who may do that; its key and its secret."""
    iam.create_user(UserName=name)
    _say(iam, name, statements)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def _say(iam: Any, name: str, statements: list[dict[str, Any]]) -> None:
    if statements:
        document = json.dumps({"Version": POLICY["Version"], "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=document)
