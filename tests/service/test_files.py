"""What is given out, to whom, with which headers; and what becomes of who leaves in the middle."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeAlias

import pytest
import requests
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tests.adapters.servers import eventually
from tests.service.conftest import Serve, parts_of, quick_pipeline
from tests.service.listening import listening
from tests.soak import scaled
from tests.storage.s3.places import Locate
from tests.storage.s3.places import locate as locate
from tests.storage.s3.places import weed as weed
from tests.storage.s3.server import S3Server

from uploadkit.content.variants import THUMBNAIL
from uploadkit.errors import StorageFailed
from uploadkit.policy.accept import IMAGES
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processors import Variants
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.service.app import create_app
from uploadkit.service.callers import ANYBODY
from uploadkit.service.parts import Parts
from uploadkit.service.settings import Settings
from uploadkit.storage.contract import Storage, StoredObject
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import Client, Corruption, FailingStorage

SANDBOX = "default-src 'none'; sandbox"
TEXT = b"".join(b"%07d\n" % line for line in range(1250))  # 10,000 bytes, each block of which is another


def put(client: TestClient, data: bytes = TEXT, filename: str = "a.txt") -> str:
    """The id of an upload of which nothing more remains to be done."""
    answer = client.post("/uploads", files=[("file", (filename, data))])
    assert answer.status_code == 202, answer.text
    return str(answer.json()["uploads"][0]["id"])


def png(width: int = 300, height: int = 200) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def link(client: TestClient, upload: str, variant: str | None = None) -> str:
    return parts_of(client).links.path(upload, variant)


# Who gets what


def test_an_upload_is_given_as_it_came(service: TestClient) -> None:
    upload = put(service)
    for path in (f"/files/{upload}", link(service, upload)):
        answer = service.get(path)
        assert (answer.status_code, answer.content) == (200, TEXT)
        assert answer.headers["etag"] == f'"{hashlib.sha256(TEXT).hexdigest()}"'
        assert answer.headers["content-length"] == "10000"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-disposition"] == 'inline; filename="a.txt"'
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == SANDBOX
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        made = parts_of(service).pipeline.ledger.get(upload).created_at
        assert parsedate_to_datetime(answer.headers["last-modified"]) == made.replace(microsecond=0)


def test_a_variant_is_given_under_a_name_of_its_own(service: TestClient) -> None:
    upload = put(service, png(), "teal.png")
    shown = service.get(f"/uploads/{upload}").json()
    answer = service.get(shown["variants"]["thumbnail"]["url"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert len(answer.content) == shown["variants"]["thumbnail"]["size"]
    assert Image.open(BytesIO(answer.content)).size == (200, 200)
    assert answer.headers["content-disposition"] == 'inline; filename="teal-thumbnail.png"'
    other = service.get(shown["url"]).headers["etag"]
    assert answer.headers["etag"] != other
    assert service.get(f"/files/{upload}/thumbnail").content == answer.content
    assert service.get(f"/files/{upload}/larger").status_code == 404


def test_a_link_is_kept_as_long_as_it_holds_and_the_owner_asks_again(service: TestClient) -> None:
    upload = put(service, png(), "a.png")
    kept = service.get(link(service, upload)).headers["cache-control"].split(", ")
    assert (kept[0], kept[2]) == ("private", "immutable")
    assert 3590 <= int(kept[1].removeprefix("max-age=")) <= 4500
    kept = service.get(link(service, upload, "thumbnail")).headers["cache-control"].split(", ")
    assert len(kept) == 2  # a variant may be made again, by other rules
    assert service.get(f"/files/{upload}").headers["cache-control"] == "private, no-cache"


def test_a_link_that_is_not_ours_opens_nothing(service: TestClient) -> None:
    """Whether there is such a file or not."""
    upload = put(service)
    for name in (upload, "0" * 32):
        answer = service.get(f"/files/{name}?until=99999999999&signature={'0' * 64}")
        assert (answer.status_code, answer.json()["code"]) == (403, "link_refused")
    for name in (f"{upload}?until=1", f"{upload}?signature=x"):
        assert service.get(f"/files/{name}").json()["code"] == "link_refused"


def test_an_upload_of_somebody_else_is_not_there(service: TestClient) -> None:
    """But for whoever was given a link."""
    upload, parts = put(service, png(), "a.png"), parts_of(service)
    parts.pipeline.describe(upload, owner="somebody else")
    for path in (f"/files/{upload}", f"/files/{upload}/thumbnail", f"/files/{'0' * 32}", "/files/x/y"):
        answer = service.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert service.head(path).status_code == 404
    assert service.get(link(service, upload)).status_code == 200


@pytest.mark.parametrize(
    ("states", "status", "code"),
    [
        ([], 409, "not_ready"),
        ([State.STAGED], 409, "not_ready"),
        ([State.STAGED, State.PROCESSING], 409, "not_ready"),
        ([State.STAGED, State.PROCESSING, State.FAILED], 409, "not_ready"),
        ([State.STAGED, State.QUARANTINED], 404, "not_found"),
        ([State.STAGED, State.PROCESSING, State.REJECTED], 404, "not_found"),
        ([State.EXPIRED], 404, "not_found"),
        ([State.DELETED], 404, "not_found"),
    ],
)
def test_only_what_is_completed_is_given(service: TestClient, states: list[State], status: int, code: str) -> None:
    """An upload that is only written down: one that was sent would go on by itself."""
    upload, ledger = token_hex(16), parts_of(service).pipeline.ledger
    where: dict[str, Any] = {"storage": "files", "key": "a.png", "owner": ANYBODY}
    record = ledger.add(upload, field="f", filename="a.png", content_type="image/png", **where)
    for state in states:
        record = ledger.move(upload, state)
    paths = [
        f"/files/{upload}",
        f"/files/{upload}/thumbnail",
        link(service, upload),
        link(service, upload, "thumbnail"),
    ]
    for path in paths:
        answer = service.get(path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert ("Retry-After" in answer.headers) == (status == 409 and not record.is_settled)


def test_what_is_over_is_given_to_nobody(service: TestClient) -> None:
    """Though no sweep has come yet."""
    upload, ledger = put(service), parts_of(service).pipeline.ledger
    for seconds, status in ((60, 200), (-1, 404)):
        ledger.change(ledger.get(upload), expires_at=datetime.now(UTC) + timedelta(seconds=seconds))
        assert [service.get(path).status_code for path in (f"/files/{upload}", link(service, upload))] == [status] * 2


def test_a_deleted_upload_is_gone_at_once(service: TestClient) -> None:
    upload = put(service, png(), "a.png")
    paths = [link(service, upload), link(service, upload, "thumbnail")]
    service.delete(f"/uploads/{upload}")
    assert [service.get(path).status_code for path in paths] == [404, 404]


def test_requests_by_a_link_are_not_counted(serve: Serve) -> None:
    """A page of a hundred pictures is one page to who looks at it. Without a link the owner is asked, and counted."""
    service = serve()
    upload, parts, counted = put(service), parts_of(service), []

    async def count(caller: object) -> None:
        counted.append(caller)

    parts.turns.count = count  # type: ignore[method-assign]
    service.get(link(service, upload))
    assert counted == []
    service.get(f"/files/{upload}")
    assert len(counted) == 1


# What a browser does with it


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
ACTIVE = ["image/svg+xml", "text/html", "application/xml", "text/javascript", "text/css", "application/pdf", "text/csv"]


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("a.svg", SVG),
        ("a.html", b"<!doctype html><script>alert(1)</script>"),
        ("a.xml", b"<?xml version='1.0'?><a xmlns:x='http://www.w3.org/1999/xhtml'><x:script/></a>"),
        ("a.js", b"alert(1)\n"),
        ("a.css", b"a { color: red }\n"),
        ("a.pdf", b"%PDF-1.7\n" + bytes(1000)),
        ("a.csv", b"a,b\n1,2\n3,4\n"),
        ("a.zip", b"PK\x05\x06" + bytes(18)),
    ],
)
def test_what_may_run_is_saved_and_not_shown(serve: Serve, filename: str, data: bytes) -> None:
    service = serve(accept=(*ACTIVE, "application/zip"))
    answer = service.get(f"/files/{put(service, data, filename)}")
    assert answer.content == data
    assert answer.headers["content-disposition"] == f'attachment; filename="{filename}"'
    assert answer.headers["content-security-policy"] == SANDBOX
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_whoever_wants_to_save_it_may(service: TestClient) -> None:
    upload = put(service, png(), "a.png")
    for path in (f"/files/{upload}?download=1", link(service, upload) + "&download=1"):
        assert service.get(path).headers["content-disposition"] == 'attachment; filename="a.png"'
    thumbnail = link(service, upload, "thumbnail") + "&download=1"
    assert service.get(thumbnail).headers["content-disposition"] == 'attachment; filename="a-thumbnail.png"'


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("grüße & so.txt", "inline; filename=\"grue & so.txt\"; filename*=UTF-8''gr%C3%BC%C3%9Fe%20&%20so.txt"),
        ('a"b.txt', None),
        ("a\r\nSet-Cookie: x=1\r\n.txt", None),
        ("отчёт.txt", None),
        ("a\\b%22;filename=x.exe.txt", None),
        ("\u202etxt.exe.txt", None),
    ],
)
def test_a_name_stays_one_parameter_of_one_header(service: TestClient, filename: str, expected: str | None) -> None:
    answer = service.get(f"/files/{put(service, filename=filename)}")
    value = answer.headers["content-disposition"]
    assert value.isascii()
    assert value.isprintable()
    assert "set-cookie" not in answer.headers
    kind, _, rest = value.partition("; ")
    assert kind == "inline"
    assert rest.count('"') == 2


def test_pages_of_other_origins_may_show_it_where_they_may_use_the_service(serve: Serve) -> None:
    service = serve(cors_origins=("https://app.example",))
    answer = service.get(f"/files/{put(service)}")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


# Conditions and ranges


def test_a_part_is_given(service: TestClient) -> None:
    upload = put(service)
    for asked, start, end in (("bytes=8-15", 8, 16), ("bytes=-8", 9992, 10_000), ("bytes=9990-", 9990, 10_000)):
        answer = service.get(f"/files/{upload}", headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, TEXT[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/10000"
        assert answer.headers["content-length"] == str(end - start)


def test_what_is_beyond_the_end_is_not_given(service: TestClient) -> None:
    answer = service.get(f"/files/{put(service)}", headers={"Range": "bytes=10000-"})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */10000"


def test_what_the_client_has_is_not_sent_again(service: TestClient) -> None:
    upload = put(service)
    first = service.get(link(service, upload)).headers
    for asked in ({"If-None-Match": first["etag"]}, {"If-Modified-Since": first["last-modified"]}):
        for answer in (
            service.get(link(service, upload), headers=asked),
            service.head(f"/files/{upload}", headers=asked),
        ):
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == first["etag"]
            assert "content-length" not in answer.headers
            assert answer.headers["cache-control"].startswith("private")


def test_another_file_than_the_one_that_is_meant_is_not_given(service: TestClient) -> None:
    answer = service.get(f"/files/{put(service)}", headers={"If-Match": '"other"'})
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")


def test_head_is_get_without_a_body(service: TestClient) -> None:
    upload = put(service)
    got, head = service.get(f"/files/{upload}"), service.head(f"/files/{upload}")
    assert (head.status_code, head.content) == (200, b"")
    assert without_id(head.headers) == without_id(got.headers)


def without_id(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "x-request-id"}


def test_an_empty_file_is_whole(serve: Serve) -> None:
    service = serve(accept=("text/plain", "application/octet-stream"))
    answer = service.get(f"/files/{put(service, b'', 'a')}")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")


# What storages do


def plain_pipeline(tmp_path: Path, files: Storage) -> Pipeline:
    staging = DiskStorage(tmp_path / "staging", name="staging")
    return Pipeline(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), storage=files, storages=[staging])


def test_an_object_that_is_missing_is_not_there(serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = serve()
    upload = put(service)
    [path] = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    path.unlink()
    for answer in (service.get(f"/files/{upload}"), service.head(f"/files/{upload}")):
        assert answer.status_code == 404
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told
    assert set(told) == {f"object {path.name!r} of storage 'files' is not there, and is asked for"}


class Faulty(MemoryStorage):
    """Works until `breaks` is said: then its stat fails, and a read behind so many bytes."""

    breaks: int | None = None

    def stat(self, key: str) -> StoredObject:
        if self.breaks is not None:
            raise self._failed(key)
        return super().stat(key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        blocks = super().read(key, start, end)
        return blocks if self.breaks is None else self._broken(next(blocks)[: self.breaks], key)

    def _broken(self, block: bytes, key: str) -> Iterator[bytes]:
        if block:
            yield block
        raise self._failed(key)

    def _failed(self, key: str) -> StorageFailed:
        return StorageFailed("the storage was told to fail", storage=self.name, key=key)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_storage_that_fails_before_the_first_byte_is_said(
    serve: Serve, tmp_path: Path, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = Faulty("files")
    service = serve(pipeline=plain_pipeline(tmp_path, files))
    upload = put(service)
    files.breaks = 0
    answer = service.request(method, f"/files/{upload}")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "storage 'files'" in caplog.text


def client_of(app: Starlette) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1:8000")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A service behind a real socket."""

    port: int
    app: Starlette

    @property
    def parts(self) -> Parts:
        parts: Parts = self.app.state.parts
        return parts

    def client(self) -> TestClient:
        """For what is not to go through the socket."""
        return client_of(self.app)

    def put(self, data: bytes = TEXT, filename: str = "a.txt") -> str:
        return put(self.client(), data, filename)

    def url(self, upload: str) -> str:
        return f"http://127.0.0.1:{self.port}{self.parts.links.path(upload)}"


Recorder: TypeAlias = Callable[[str, object], None]
Listen: TypeAlias = Callable[..., Served]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    with ExitStack() as stack:

        def start(pipeline: Pipeline | None = None, **settings: Any) -> Served:
            made = quick_pipeline(tmp_path) if pipeline is None else pipeline
            app = create_app(Settings.load(data=tmp_path / "data", **settings), pipeline=made)
            return Served(port=stack.enter_context(listening(app)).port, app=app)

        yield start


@pytest.mark.parametrize("kind", ["fails", "is cut"])
def test_a_file_that_breaks_off_does_not_look_whole(
    listen: Listen, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is closed before the bytes that were promised have come, and the operator is told."""
    faulty = Faulty("files")
    cut = FailingStorage(MemoryStorage("files"), after=0, on="read", fault=Corruption.SHORT)
    served = listen(plain_pipeline(tmp_path, faulty if kind == "fails" else cut))
    upload = served.put()
    faulty.breaks = 1024
    with Client(served.port) as client:
        client.send(get(served, upload))
        head, body = answered(client)
    assert b"content-length: 10000" in head
    assert body == TEXT[: 1024 if kind == "fails" else 5000]
    assert [record.levelname for record in caplog.records if record.name == "uploadkit.service"] == ["ERROR"]
    assert "'files'" in caplog.text


def get(served: Served, upload: str, *lines: str, version: str = "1.1", method: str = "GET") -> bytes:
    path = served.parts.links.path(upload)
    head = [f"{method} {path} HTTP/{version}", "Host: 127.0.0.1", *lines, "", ""]
    return "\r\n".join(head).encode()


def answered(client: Client) -> tuple[bytes, bytes]:
    """All that comes until the server closes the connection."""
    received = b""
    while piece := client.socket.recv(1 << 16):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def test_head_sends_no_body(listen: Listen) -> None:
    """And the connection goes on: what comes next is the answer to the next request."""
    served = listen()
    upload = served.put()
    with Client(served.port) as client:
        client.send(get(served, upload, method="HEAD"))
        client.send(get(served, upload, "Connection: close", "Range: bytes=0-7"))
        head, rest = answered(client)
    assert b"content-length: 10000" in head
    assert rest.startswith(b"HTTP/1.1 206 ")
    assert rest.endswith(b"\r\n\r\n0000000\n")


def test_a_client_of_http_1_0_is_served(listen: Listen) -> None:
    served = listen()
    with Client(served.port) as client:
        client.send(get(served, served.put(), version="1.0"))
        head, body = answered(client)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 10000" in head
    assert b"chunked" not in head
    assert body == TEXT


def test_a_body_that_means_nothing_is_passed_over(large: tuple[Served, str]) -> None:
    """Also of a large file, while which is sent it is seen whether the client is still there."""
    served, upload = large
    with Client(served.port) as client:
        client.send(get(served, upload, "Content-Length: 100000"), bytes(100_000))
        client.send(get(served, upload, "Connection: close", method="HEAD"))
        _, rest = answered_after(b"", client)
    assert rest.startswith(LARGE + b"HTTP/1.1 200 ")


LARGE = bytes(24 << 20)
"""More than the buffers of both sockets take."""


def open_files(folder: Path) -> list[str]:
    """What this process holds open below a folder."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(os.readlink(link))
        except FileNotFoundError:
            continue
    return [
        target for target in found if target.startswith(f"{folder}/") and not target.endswith((".db", "-wal", "-shm"))
    ]


@pytest.fixture
def large(listen: Listen) -> tuple[Served, str]:
    served = listen(accept=("application/octet-stream",))
    return served, served.put(LARGE, "large")


@pytest.mark.needs("linux")
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_leaves_no_file_open(large: tuple[Served, str], tmp_path: Path, how: str) -> None:
    served, upload = large
    with Client(served.port) as client:
        client.send(get(served, upload))
        assert client.socket.recv(1 << 16)
        eventually(lambda: open_files(tmp_path))
        assert len(open_files(tmp_path)) == 1
        getattr(client, how)()
    eventually(lambda: not open_files(tmp_path))
    assert open_files(tmp_path) == []


@pytest.mark.needs("linux")
def test_a_server_that_ends_in_the_middle_leaves_no_file_open(tmp_path: Path) -> None:
    app = create_app(
        Settings.load(data=tmp_path / "data", accept=("application/octet-stream",)), pipeline=quick_pipeline(tmp_path)
    )
    upload = put(client_of(app), LARGE, "large")
    with ExitStack() as server:
        port = server.enter_context(listening(app, grace_seconds=0)).port
        ending = threading.Thread(target=server.close)
        with Client(port) as client:
            client.send(get(Served(port=port, app=app), upload))
            assert client.socket.recv(1 << 16)
            eventually(lambda: open_files(tmp_path))
            ending.start()
            eventually(lambda: not open_files(tmp_path))
            assert open_files(tmp_path) == []
        ending.join()  # uvloop is closed when the connection is, on which there is something to be sent


@pytest.mark.needs("linux")
def test_a_download_outlives_its_upload(large: tuple[Served, str], tmp_path: Path) -> None:
    """What has begun on a disk ends whole, and the next one does not begin."""
    served, upload = large
    with Client(served.port) as client:
        client.send(get(served, upload, "Connection: close"))
        first = client.socket.recv(1 << 16)
        assert served.client().delete(f"/uploads/{upload}").status_code == 200
        head, body = answered_after(first, client)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == LARGE
    assert requests.get(served.url(upload), timeout=10).status_code == 404
    eventually(lambda: not open_files(tmp_path))
    assert open_files(tmp_path) == []


def answered_after(first: bytes, client: Client) -> tuple[bytes, bytes]:
    pieces = [first]
    while piece := client.socket.recv(1 << 20):
        pieces.append(piece)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    return head, body


@pytest.mark.soak
@pytest.mark.needs("linux", "curl")
def test_a_large_file_takes_no_memory(listen: Listen, tmp_path: Path, record_property: Recorder) -> None:
    served = listen(accept=("application/octet-stream",), max_file_size="2 GiB")
    source = tmp_path / "source"
    source.touch()
    os.truncate(source, scaled(1 << 30, at_least=64 << 20))
    sent = curl("--form", f"file=@{source}", f"http://127.0.0.1:{served.port}/uploads", seconds=300)
    url = served.url(json.loads(sent.stdout)["uploads"][0]["id"])
    assert curl(url, "--output", "/dev/null", seconds=300).returncode == 0  # with which everything is loaded
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = peak_size()
    assert curl(url, "--output", "/dev/null", seconds=300).returncode == 0
    record_property("figure", f"a download of {source.stat().st_size >> 20} MiB: {(peak_size() - before) >> 20} MiB")
    assert peak_size() - before < 16 << 20


def peak_size() -> int:
    """The most memory that this process has had at a time, in bytes."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


# curl


def curl(*words: str, seconds: int = 20) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["curl", "--silent", "--show-error", "--max-time", str(seconds), *words], capture_output=True)


@pytest.mark.needs("curl")
def test_curl_gets_ranges(listen: Listen) -> None:
    served = listen()
    url = served.url(served.put())
    for words, expected in (
        ("0-0", TEXT[:1]),
        ("100-199", TEXT[100:200]),
        ("9000-", TEXT[9000:]),
        ("-10", TEXT[-10:]),
        ("0-9,20-29", TEXT),
    ):
        assert curl("--range", words, url).stdout == expected, words
    beyond = curl("--fail", "--range", "10000-", url)
    assert (beyond.returncode, beyond.stdout) == (22, b"")


@pytest.mark.needs("curl")
def test_curl_goes_on_where_it_was_cut(listen: Listen, tmp_path: Path) -> None:
    served = listen()
    url, target = served.url(served.put()), tmp_path / "got"
    target.write_bytes(TEXT[:4321])
    assert curl("--continue-at", "-", "--output", str(target), url).returncode == 0
    assert target.read_bytes() == TEXT
    assert curl("--continue-at", "-", "--output", str(target), url).returncode == 0  # it has all of it
    assert target.read_bytes() == TEXT


@pytest.mark.needs("curl")
def test_curl_keeps_what_it_has(listen: Listen, tmp_path: Path) -> None:
    served = listen()
    url, tag = served.url(served.put()), str(tmp_path / "tag")
    assert curl("--etag-save", tag, url).stdout == TEXT
    again = curl("--etag-compare", tag, "--write-out", "%{http_code}", url)
    assert again.stdout == b"304"
    other = served.url(served.put(b"another text"))
    assert curl("--etag-compare", tag, other).stdout == b"another text"


# Redirects to a bucket


@pytest.fixture
def bucket(weed: S3Server, locate: Locate) -> Storage:
    return locate(weed).storage(name="files")


def on_bucket(tmp_path: Path, bucket: Storage) -> Pipeline:
    pipeline = plain_pipeline(tmp_path, bucket)
    pipeline.process(IMAGES, Variants(thumbnail=THUMBNAIL))
    return pipeline


def test_a_file_in_a_bucket_is_streamed(serve: Serve, tmp_path: Path, bucket: Storage) -> None:
    service = serve(pipeline=on_bucket(tmp_path, bucket))
    path = link(service, put(service))
    assert service.get(path).content == TEXT
    assert service.get(path, headers={"Range": "bytes=8-15"}).content == TEXT[8:16]
    assert service.head(path).headers["content-length"] == "10000"


def test_who_fetches_a_file_is_sent_to_the_bucket(serve: Serve, tmp_path: Path, bucket: Storage) -> None:
    service = serve(pipeline=on_bucket(tmp_path, bucket), redirects=True)
    upload = put(service, png(), "grün.png")
    for path, filename in (
        (link(service, upload), "gr%C3%BCn.png"),
        (link(service, upload, "thumbnail"), "gr%C3%BCn-thumbnail.png"),
    ):
        answer = service.get(path, follow_redirects=False)
        assert (answer.status_code, answer.content) == (307, b"")
        assert answer.headers["cache-control"].startswith("private, max-age=")
        fetched = requests.get(answer.headers["location"], timeout=10)
        assert fetched.status_code == 200
        assert fetched.headers["content-type"] == "image/png"
        assert fetched.headers["content-disposition"].startswith("inline; ")
        assert fetched.headers["content-disposition"].endswith(filename)
    saved = service.get(link(service, upload) + "&download=1", follow_redirects=False).headers["location"]
    assert requests.get(saved, timeout=10).headers["content-disposition"].startswith("attachment; ")
    mine = service.get(f"/files/{upload}", follow_redirects=False)
    assert (mine.status_code, mine.headers["cache-control"]) == (307, "no-store")
    assert service.head(link(service, upload), follow_redirects=False).status_code == 200  # signed for GET alone


def test_a_bucket_is_no_way_around_the_list_of_what_is_shown(serve: Serve, tmp_path: Path, bucket: Storage) -> None:
    service = serve(pipeline=on_bucket(tmp_path, bucket), redirects=True, accept=(*ACTIVE, "text/plain"))
    for filename, data in (("a.svg", SVG), ("a.html", b"<!doctype html><p>"), ("a.pdf", b"%PDF-1.7\n" + bytes(100))):
        upload = put(service, data, filename)
        location = service.get(link(service, upload), follow_redirects=False).headers["location"]
        assert requests.get(location, timeout=10).headers["content-disposition"] == f'attachment; filename="{filename}"'
        changed = location.replace("attachment", "inline")
        assert changed != location
        assert requests.get(changed, timeout=10).status_code == 403
    text = service.get(link(service, put(service)), follow_redirects=False).headers["location"]
    assert requests.get(text, timeout=10).headers["content-type"] == "text/plain; charset=utf-8"


def test_conditions_are_kept_before_a_redirect(serve: Serve, tmp_path: Path, bucket: Storage) -> None:
    service = serve(pipeline=on_bucket(tmp_path, bucket), redirects=True)
    path = link(service, put(service))
    tag = service.head(path).headers["etag"]
    assert service.get(path, headers={"If-None-Match": tag}, follow_redirects=False).status_code == 304
    assert service.get(path, headers={"If-Match": '"other"'}, follow_redirects=False).status_code == 412
