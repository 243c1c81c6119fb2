"""The examples for S3: each over a real server, and what it says is fetched."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from examples.s3_elsewhere import uploads_at, uploads_on_r2
from tests.adapters.servers import PROJECT, running, uvicorn
from tests.storage.kinds import get, put
from tests.storage.s3.places import Locate
from tests.storage.s3.places import locate as locate
from tests.storage.s3.places import moto as moto
from tests.storage.s3.places import weed as weed
from tests.storage.s3.server import S3Server

from uploadkit.testing import FormBuilder

JPEG = b"\xff\xd8\xff\xe0" + bytes(1000)
PDF = b"%PDF-1.7\n" + bytes(1000)


def account(server: S3Server) -> dict[str, str]:
    """What an application finds in its environment."""
    return {
        "AWS_ACCESS_KEY_ID": server.key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_the_address_that_is_answered_shows_the_picture(weed: S3Server, locate: Locate, tmp_path: Path) -> None:
    """In a browser, and under the name that it came with."""
    form = FormBuilder().file("photo", JPEG, filename="a.jpg", content_type="image/jpeg")
    with running(
        uvicorn("s3_app:app", adapter="fastapi"), tmp_path, UPLOADS=locate(weed).url, **account(weed)
    ) as server:
        answer = server.post("photos", form)
    assert (answer.status, answer.json["filename"], answer.json["size"]) == (200, "a.jpg", len(JPEG))
    shown = requests.get(answer.json["url"], timeout=10)
    assert shown.content == JPEG
    assert shown.headers["Content-Type"] == "image/jpeg"
    assert shown.headers["Content-Disposition"] == 'inline; filename="a.jpg"'


def test_pictures_are_public_and_papers_are_signed_for(weed: S3Server, locate: Locate, tmp_path: Path) -> None:
    """The public address is that of the CDN and the key; a paper is fetched by who follows the redirect, and saved."""
    place = locate(weed)
    cdn = {"CDN": "https://cdn.example/pictures/", "UPLOADS": place.url}
    with running(uvicorn("s3_public:app", adapter="fastapi"), tmp_path, **cdn, **account(weed)) as server:
        picture = server.post("pictures", FormBuilder().file("picture", JPEG, filename="a.jpg"))
        paper = server.post("papers", FormBuilder().file("paper", PDF, filename="é.pdf"))
        address = f"http://127.0.0.1:{server.port}/papers/{paper.json['key']}"
        sent_on = requests.get(address, timeout=10, allow_redirects=False).headers["Location"]
    key = picture.json["url"].removeprefix("https://cdn.example/pictures/")
    assert place.get(f"pictures/{key}") == JPEG
    assert weed.client.head_object(Bucket=weed.bucket, Key=f"{place.prefix}/pictures/{key}")["CacheControl"] == (
        "public, max-age=31536000, immutable"
    )
    fetched = requests.get(sent_on, timeout=10)
    assert fetched.content == PDF
    assert fetched.headers["Content-Disposition"].startswith("attachment; ")
    assert requests.get(sent_on.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), timeout=10).status_code == 403


def test_an_object_has_what_the_storage_was_told(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the page shows it; a region, too."""
    for name, value in account(moto).items():
        monkeypatch.setenv(name, value)
    moto.client.create_bucket(Bucket="my-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    storage: Any = runpy.run_path(str(PROJECT / "examples" / "s3_options.py"))["storage"]
    put(storage, "key")
    signed_for = urlsplit(storage.sign_url("key")).query
    storage.close()
    head = moto.client.head_object(Bucket="my-bucket", Key="uploads/key")
    assert head["StorageClass"] == "STANDARD_IA"
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/uploads")
    assert head["CacheControl"] == "private, max-age=3600"
    assert head["Metadata"]["application"] == "gallery"
    assert "%2Feu-central-1%2F" in signed_for


def test_a_storage_elsewhere_is_where_it_was_told(weed: S3Server) -> None:
    """By options alone. R2 cannot be asked here: its options are at least some."""
    weed.client.create_bucket(Bucket="uploads")
    storage = uploads_at(weed.url, weed.key, weed.secret)
    assert get(storage, put(storage, "key")) == b"data"
    assert not storage.exclusive_commit
    storage.delete("key")
    storage.close()
    on_r2 = uploads_on_r2("account", "key", "secret")
    assert on_r2.sign_url("key").startswith("https://account.r2.cloudflarestorage.com/uploads/key?")
    on_r2.close()
