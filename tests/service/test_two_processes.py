"""Several machines: two web processes behind a real nginx that asks them in turns, and two workers, over one Valkey,
one PostgreSQL and one bucket. Every route works, whichever process it meets: nothing that counts lives in one of them.

The two have data folders of their own, as on two machines, and share what `examples/service/compose.yaml` has them
share.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from PIL import Image
from tests.postgres import PostgresServer
from tests.processing.servers import ROOT, eventually
from tests.storage.s3.places import Place, place_on, weed  # noqa: F401  # a fixture
from tests.storage.s3.server import S3Server
from tests.valkey import running as running_valkey

from uploadkit.records.ledger import Ledger
from uploadkit.testing import FormBuilder

from .serving import Served

CONFIGURATION = ROOT / "examples" / "service" / "nginx.conf"

SECONDS = 120
"""Six processes begin at the same time: on a busy machine that takes half a minute."""

RATE = 400

FILES = 10

OWNERS = ("ann", "bob", "carl", "dora", "eve")

pytestmark = [pytest.mark.needs("nginx"), pytest.mark.needs("postgres")]


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Door:
    """Where requests go: a process, or nginx. It asks as somebody, by his token."""

    port: int

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, owner: str | None = "ann", **headers: str
    ) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            said = {name.replace("_", "-"): value for name, value in headers.items()}
            if owner is not None:
                said["Authorization"] = f"Bearer {token_of(owner)}"
            connection.request(method, path, body=body, headers=said)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=names, body=answer.read())
        finally:
            connection.close()

    def post(self, *files: tuple[str, bytes], owner: str = "ann", **headers: str) -> Answer:
        form = FormBuilder()
        for name, data in files:
            form.file("file", data, filename=name)
        return self.ask("POST", "/uploads", form.body, owner=owner, Content_Type=form.content_type, **headers)

    def completed(self, upload: str, *, owner: str = "ann") -> dict[str, Any]:
        """What is shown of an upload when it is."""
        eventually(lambda: self.ask("GET", f"/uploads/{upload}", owner=owner).json["is_settled"], seconds=SECONDS)
        shown: dict[str, Any] = self.ask("GET", f"/uploads/{upload}", owner=owner).json
        assert shown["status"] == "completed"
        return shown


@dataclass(frozen=True, kw_only=True)
class Machines:
    """All of them. `proxy` asks `one` and `other` in turns."""

    one: Door
    other: Door
    proxy: Door

    @property
    def both(self) -> tuple[Door, Door]:
        return self.one, self.other


def photo_of_a_camera() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((320, 240), 50).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def token_of(owner: str) -> str:
    return f"the-token-of-{owner}"


@pytest.fixture(scope="module")
def machines(
    postgres: PostgresServer,
    weed: S3Server,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machines]:
    """Begun once: it takes some seconds."""
    folder = tmp_path_factory.mktemp("machines")
    with ExitStack() as stack:
        valkey, place = stack.enter_context(running_valkey()), stack.enter_context(place_on(weed))
        database = postgres.create()
        stack.callback(postgres.drop, database)
        ledger = Ledger(postgres.url(database))
        ledger.migrate()
        ledger.close()
        told = _settings(valkey.url, postgres.url(database), place)
        served = [Served(folder / name) for name in ("one", "other")]
        for each in served:
            stack.callback(each.close)
            each.folder.mkdir()
            each.start("--no-jobs", wait=False, **told)
        workers = [stack.enter_context(_worker(folder / f"worker{number}", told)) for number in range(2)]
        for worker in workers:
            worker.wait_for(" begins with ")
        for each in served:
            eventually(lambda each=each: "  runs " in each.said, seconds=SECONDS)  # type: ignore[misc]
        doors = [Door(int(each.url.rpartition(":")[2])) for each in served]
        proxy = stack.enter_context(_nginx(folder, [door.port for door in doors]))
        yield Machines(one=doors[0], other=doors[1], proxy=proxy)


def _settings(redis_url: str, database_url: str, place: Place) -> dict[str, str]:
    tokens = [{"owner": each, "sha256": hashlib.sha256(token_of(each).encode()).hexdigest()} for each in OWNERS]
    return {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "UPLOADKIT_STORAGE": place.url,
        "UPLOADKIT_STORAGE_OPTIONS": json.dumps(place.options()),
        "UPLOADKIT_SECRET": "the secret that all of them sign their links with",
        "UPLOADKIT_TOKENS": json.dumps(tokens),
        "UPLOADKIT_METRICS_TOKEN": "for-the-scrape",
        "UPLOADKIT_TRUSTED_PROXIES": "127.0.0.1",
        "UPLOADKIT_RATE": f"{RATE}/minute",
        "UPLOADKIT_QUOTA_FILES": str(FILES),
    }


# What each of them does


def test_nginx_asks_them_in_turns(machines: Machines) -> None:
    """And hands the request's id on."""

    def asked() -> list[float]:
        found = [
            door.ask("GET", "/metrics", owner=None, Authorization="Bearer for-the-scrape") for door in machines.both
        ]
        counted = re.compile(rb'requests_total\{method="GET",route="/healthz",status="200"\} (\d+)')
        return [float(match[1]) if (match := counted.search(each.body)) else 0 for each in found]

    before = asked()
    for _ in range(4):
        answer = machines.proxy.ask("GET", "/healthz", owner=None)
        assert (answer.status, len(answer.headers["x-request-id"])) == (200, 32)
    assert [after - then for after, then in zip(asked(), before, strict=True)] == [2, 2]


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_nginx_tells_operators_things_to_nobody(machines: Machines, path: str) -> None:
    assert machines.proxy.ask("GET", path, owner=None, Authorization="Bearer for-the-scrape").status == 404


def test_all_of_them_are_ready(machines: Machines) -> None:
    for door in machines.both:
        assert door.ask("GET", "/readyz", owner=None).json == {"status": "ok"}


def test_what_came_through_one_is_everywhere(machines: Machines) -> None:
    """Its status, its place in the list and in its batch, its file, a range of that and its variants; and it is gone
    everywhere when it is deleted through one."""
    answer = machines.one.post(("photo.jpg", photo_of_a_camera()), ("note.txt", b"0123456789"), owner="eve")
    assert answer.status == 202
    photo, note = (each["id"] for each in answer.json["uploads"])
    for upload in (photo, note):
        machines.other.completed(upload, owner="eve")
    for door in machines.both:
        shown = door.ask("GET", f"/uploads/{photo}", owner="eve").json
        assert sorted(shown["variants"]) == ["large", "medium", "original", "thumbnail"]
        assert [each["id"] for each in door.ask("GET", "/uploads", owner="eve").json["uploads"]] == [note, photo]
        batch = door.ask("GET", answer.json["batch_url"], owner="eve").json
        assert (batch["total"], batch["counts"]) == (2, {"completed": 2})
        assert door.ask("GET", f"/files/{note}", owner="eve").body == b"0123456789"
        part = door.ask("GET", f"/files/{note}", owner="eve", Range="bytes=2-4")
        assert (part.status, part.body) == (206, b"234")
        assert door.ask("GET", f"/files/{photo}/thumbnail", owner="eve").status == 200
        assert door.ask("GET", f"/uploads/{photo}").status == 404  # ann's
    etags = [door.ask("GET", f"/files/{note}", owner="eve").headers["etag"] for door in machines.both]
    assert etags[0] == etags[1]
    assert machines.other.ask("DELETE", f"/uploads/{note}", owner="eve").json["removed"]["original"]
    for door in machines.both:
        assert door.ask("GET", f"/files/{note}", owner="eve").status == 404
        assert door.ask("GET", f"/uploads/{note}", owner="eve").json["status"] == "deleted"


def test_through_the_proxy_nobody_sees_that_there_are_two(machines: Machines) -> None:
    """An upload, and every question about it, meet whichever process is next."""
    answer = machines.proxy.post(("note.txt", b"through the proxy"))
    [upload] = (each["id"] for each in answer.json["uploads"])
    shown = machines.proxy.completed(upload)
    for _ in range(4):
        assert machines.proxy.ask("GET", shown["url"], owner=None).body == b"through the proxy"
        assert machines.proxy.ask("GET", f"/uploads/{upload}").json["status"] == "completed"


def test_events_are_heard_in_the_other_process(machines: Machines) -> None:
    """Also through nginx, which keeps none of them back: the stream ends when the upload is settled."""
    [upload] = (each["id"] for each in machines.one.post(("note.txt", b"to be followed")).json["uploads"])
    for door in (machines.other, machines.proxy):
        stream = door.ask("GET", f"/uploads/{upload}/events")
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line[6:]) for line in stream.body.decode().splitlines() if line.startswith("data: ")]
        assert told[-1]["status"] == "completed"


def test_a_request_that_is_sent_again_may_meet_the_other(machines: Machines) -> None:
    first = machines.one.post(("note.txt", b"once"), Idempotency_Key="the same")
    again = machines.other.post(("note.txt", b"once"), Idempotency_Key="the same")
    assert (first.status, again.status) == (202, 202)
    assert first.json["uploads"][0]["id"] == again.json["uploads"][0]["id"]


def test_a_link_that_one_has_signed_opens_at_the_other(machines: Machines) -> None:
    """Without a token; and one that was changed opens nowhere."""
    [upload] = (each["id"] for each in machines.one.post(("note.txt", b"linked")).json["uploads"])
    machines.one.completed(upload)
    links = [door.ask("GET", f"/uploads/{upload}").json["url"] for door in machines.both]
    for link, door in zip(links, reversed(machines.both), strict=True):
        assert door.ask("GET", link, owner=None).body == b"linked"
        assert door.ask("GET", link[:-2] + "xx", owner=None).status in (401, 403)


def test_a_quota_is_of_all_processes(machines: Machines) -> None:
    """Files that one has taken count at the other."""
    names = [(f"{number}.txt", b"x") for number in range(FILES - 2)]
    assert machines.one.post(*names, owner="carl").status == 202
    assert machines.other.post(("a.txt", b"x"), ("b.txt", b"x"), owner="carl").status == 202
    for door in machines.both:
        refused = door.post(("c.txt", b"x"), owner="carl")
        assert (refused.status, refused.json["code"]) == (413, "quota_exceeded")
        kept = door.ask("GET", "/uploads?status=completed&status=staged&status=processing", owner="carl")
        assert len(kept.json["uploads"]) == FILES


def test_a_rate_is_of_all_processes(machines: Machines) -> None:
    """Were each to count for itself, nobody would be refused before twice as many."""
    for number in range(2 * RATE):
        answer = machines.both[number % 2].ask("GET", "/uploads?limit=1", owner="dora")
        if answer.status == 429:
            break
    assert (answer.status, answer.json["code"]) == (429, "rate_limited")
    for door in machines.both:
        assert door.ask("GET", "/uploads?limit=1", owner="dora").status == 429


# Beginning and ending


@dataclass(frozen=True, kw_only=True)
class _Process:
    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, text: str) -> None:
        """Until its log has it."""
        _until(lambda: text in self.log.read_text(), self.process, self.log)


@contextmanager
def _worker(folder: Path, told: dict[str, str]) -> Iterator[_Process]:
    folder.mkdir()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uploadkit", "worker", "--log-level", "info"],
            cwd=folder,
            env={**os.environ, **told, "UPLOADKIT_DATA": str(folder / "data")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield _Process(process=process, log=log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _nginx(folder: Path, ports: list[int]) -> Iterator[Door]:
    """With the configuration of the example but for its addresses."""
    with TemporaryDirectory(dir="/tmp") as short:
        path = Path(short)
        port = _free_port()
        text = CONFIGURATION.read_text(encoding="utf-8")
        for was, now in (
            ("server 127.0.0.1:8000;", f"server 127.0.0.1:{ports[0]}; server 127.0.0.1:{ports[1]};"),
            ("listen 8080", f"listen 127.0.0.1:{port}"),
            ("/var/log/nginx/uploads.log", str(folder / "nginx.log")),
        ):
            assert text.count(was) == 1
            text = text.replace(was, now)
        log = folder / "error.log"
        process = subprocess.Popen(["nginx", "-c", main_of(path, text, log)], stderr=subprocess.DEVNULL)
        try:
            _until(lambda: _listens(port), process, log)
            yield Door(port)
            assert "?" not in (folder / "nginx.log").read_text()  # where signatures stand
        finally:
            process.terminate()
            process.wait(10)


def main_of(folder: Path, servers: str, log: Path) -> str:
    """What stands around a configuration, with all of nginx's own files in the folder."""
    (folder / "servers.conf").write_text(servers, encoding="utf-8")
    built = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
    temporary = "".join(
        f"{name.replace('-', '_')}_temp_path {folder}/{name};"
        for name in re.findall(r"--http-([\w-]+)-temp-path", built)
    )
    path = folder / "nginx.conf"
    # As root it would read its files as nobody. One worker process is one turn of requests.
    user = "user root;" if os.geteuid() == 0 else ""
    path.write_text(
        f"{user} worker_processes 1; daemon off; pid {folder}/pid; error_log {log}; events {{ }}\n"
        f"http {{ {temporary} include {folder}/servers.conf; }}\n",
        encoding="utf-8",
    )
    return str(path)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as door:
        return door.connect_ex(("127.0.0.1", port)) == 0


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        said = log.read_text() if log.exists() else ""
        assert process.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.01)
