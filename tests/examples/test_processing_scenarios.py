"""The small programs of processing: each one under its server, with a worker where it has one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import redis
import requests
from flask import Flask, request
from PIL import Image
from tests.adapters.servers import Server, eventually, uvicorn
from tests.adapters.servers import running as running_server
from tests.examples.working import EXAMPLES, OTHERS, SETTLED_SECONDS, picture, worker
from tests.storage.s3.places import Locate
from tests.storage.s3.places import locate as locate
from tests.storage.s3.places import weed as weed
from tests.storage.s3.server import S3Server
from werkzeug.serving import make_server

from uploadkit.events.facts import Fact, FileProcessed
from uploadkit.events.redis import RedisEvents
from uploadkit.events.webhooks import new_secret, verify
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord
from uploadkit.testing import sample


@contextmanager
def application(name: str, folder: Path, **environment: str) -> Iterator[Server]:
    kind = uvicorn(f"{name}:app", "--app-dir", f"{EXAMPLES}", adapter="fastapi")
    with running_server(kind, folder, **{"REDIS_URL": ""} | environment) as server:
        yield server


def post(server: Server, route: str, *files: tuple[str, tuple[str, bytes]]) -> Any:
    """The JSON of an answer that is none of an error."""
    answer = requests.post(f"http://127.0.0.1:{server.port}/{route}", files=files, timeout=60)
    assert answer.ok, answer.text
    return answer.json()


def get(server: Server, route: str) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{server.port}/{route}", timeout=60)


def ledger_in(folder: Path) -> Ledger:
    return Ledger(f"sqlite:///{folder}/uploads.db")


def record_in(folder: Path, upload: str) -> UploadRecord:
    with closing(ledger_in(folder)) as ledger:
        return ledger.get(upload)


def test_synchronous_the_variants_are_in_the_answer(tmp_path: Path) -> None:
    """With what a step of the application's own says."""
    with application("at_once", tmp_path) as server:
        answer = post(server, "photos", ("photo", ("a.png", picture())))
    assert (answer["state"], answer["results"]["greet"]) == ("completed", {"text": "ann sends a.png"})
    thumbnail = tmp_path / "photos" / answer["results"]["variants"]["thumbnail"]["key"]
    with Image.open(thumbnail) as small:
        assert small.size == (200, 200)


def test_a_row_and_an_address(tmp_path: Path) -> None:
    """At the address lies the file; in the row, what is known of it."""
    with application("row_and_url", tmp_path) as server:
        answer = post(server, "files", ("file", ("notes.txt", b"hello")))
        shown = requests.get(answer["url"], timeout=60)
        assert get(server, "files/nobody").status_code == 404
    assert shown.content == b"hello"
    assert shown.headers["Content-Disposition"] == 'attachment; filename="notes.txt"'
    record = record_in(tmp_path, answer["id"])
    assert (record.owner, dict(record.tags), record.size) == ("ann", {"album": "summer"}, 5)
    assert record.state in (State.STAGED, State.PROCESSING, State.COMPLETED)


def test_a_user_has_room_for_so_much(tmp_path: Path) -> None:
    """Also where many come at once. Another user has his own."""
    with application("owned", tmp_path) as server:

        def send(user: str, *contents: bytes) -> requests.Response:
            files = [("file", (f"{number}.txt", content)) for number, content in enumerate(contents)]
            url = f"http://127.0.0.1:{server.port}/files"
            return requests.post(url, files=files, headers={"X-User": user}, timeout=60)

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: send("ann", b"hello"), range(6)))
        assert Counter(answer.status_code for answer in answers) == {201: 3, 413: 3}
        refused = next(answer.json() for answer in answers if answer.status_code == 413)
        assert (refused["code"], refused["limit"], refused["allowed"]) == ("quota_exceeded", "files", 3)
        assert send("bob", b"x" * 1_000_001).json()["limit"] == "bytes"
        assert len(send("bob", b"one", b"two").json()["ids"]) == 2
        usage = requests.get(f"http://127.0.0.1:{server.port}/usage", headers={"X-User": "bob"}, timeout=60)
        assert usage.json() == {"files": 2, "bytes": 6, "of": 1_000_000}


def test_straight_into_a_bucket_with_a_row(weed: S3Server, locate: Locate, tmp_path: Path) -> None:
    """Nothing of it is on a disk."""
    place = locate(weed)
    account = {
        "BUCKET": place.url,
        "AWS_ACCESS_KEY_ID": weed.key,
        "AWS_SECRET_ACCESS_KEY": weed.secret,
        "AWS_ENDPOINT_URL": weed.url,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with application("straight_to_s3", tmp_path, **account) as server:
        answer = post(server, "files", ("file", ("notes.txt", b"hello")))
        assert requests.get(answer["url"], timeout=60).content == b"hello"
        assert get(server, f"files/{answer['id']}").content == b"hello"
    record = record_in(tmp_path, answer["id"])
    assert (record.storage, [record.key]) == ("s3", place.keys())


def test_the_status_is_in_redis_for_an_hour(valkey: str, tmp_path: Path) -> None:
    with application("status_in_redis", tmp_path, REDIS_URL=valkey) as server:
        upload = post(server, "files", ("file", ("notes.txt", b"hello")))["id"]
        eventually(lambda: get(server, f"status/{upload}").json().get("state") == "completed", seconds=SETTLED_SECONDS)
        status = get(server, f"status/{upload}").json()
        assert get(server, "status/nobody").status_code == 404
    assert (status["state"], status["filename"], status["size"]) == ("completed", "notes.txt", 5)
    with redis.Redis.from_url(valkey) as client:
        assert 3500 < client.ttl(f"uploadkit:status:{upload}") <= 3600


def test_a_worker_does_it_and_another_service_is_told(tmp_path: Path) -> None:
    """The webhook is signed, and has the results. That it was not taken at first does not matter."""
    secret, heard = new_secret(), list[Fact]()
    receiver = Flask("receiver")

    @receiver.post("/")
    def hear() -> tuple[str, int]:
        heard.append(verify(request.headers, request.get_data(), secret))
        return "", 204 if len(heard) > 1 else 503

    web = make_server("127.0.0.1", 0, receiver, threaded=True)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    environment = {
        "WEBHOOK_URL": f"http://127.0.0.1:{web.server_port}/",
        "WEBHOOK_SECRET": secret,
        "REDIS_URL": "",
    }
    try:
        with (
            application("in_background", tmp_path, **environment) as server,
            worker(tmp_path, app="in_background:pipeline", **environment),
        ):
            upload = post(server, "texts", ("text", ("a.txt", b"to be or not to be or to be")))["id"]
            eventually(lambda: len(heard) > 1, seconds=SETTLED_SECONDS)
            status = get(server, f"status/{upload}").json()
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
    assert status["state"] == "completed", (status, (tmp_path / "worker.log").read_text())
    first, second = heard[:2]
    assert isinstance(first, FileProcessed)
    assert first == second
    assert first.results == {"words": {"most": [["to", 3]]}}


def test_three_subscribers_hear_of_it_though_one_fails(valkey: str, tmp_path: Path) -> None:
    """The sync one raises; the async one and Redis have heard the fact all the same."""
    heard: list[Fact] = []
    with RedisEvents(valkey).listen(heard.append):
        done = subprocess.run(
            [sys.executable, EXAMPLES / "three_subscribers.py"],
            cwd=tmp_path,
            env=OTHERS | {"REDIS_URL": valkey},
            capture_output=True,
            text=True,
            timeout=60,
        )
        eventually(lambda: heard)
    assert done.stdout == "['thanks for letter.txt']\n", done.stderr
    [fact] = heard
    assert isinstance(fact, FileProcessed)


KINDS = {
    "images": ("image/jpeg", "a.jpg"),
    "documents": ("application/pdf", "a.pdf"),
    "videos": ("video/mp4", "a.mp4"),
    "bulk": ("application/zip", "a.zip"),
}
PRIORITIES = ("low", "normal", "high", "urgent", "normal")


def waiting(queue: BullMQQueue) -> dict[str, int]:
    counts = asyncio.run(queue.counts(list(KINDS)))
    return {name: count.waiting for name, count in counts.items()}


def test_twenty_files_go_to_four_queues_by_priority(valkey: str, tmp_path: Path) -> None:
    """What came last and is urgent is done first; within one priority the order is that of arrival."""
    files = [(priority, (name, sample(media_type))) for priority in PRIORITIES for media_type, name in KINDS.values()]
    with application("bulk", tmp_path, REDIS_URL=valkey) as server:
        uploads = post(server, "bulk", *files)["uploads"]
        queue = BullMQQueue(valkey)
        eventually(lambda: waiting(queue) == dict.fromkeys(KINDS, 5), seconds=SETTLED_SECONDS)
        assert waiting(queue) == dict.fromkeys(KINDS, 5)
        one_each = ("--concurrency", ",".join(f"{name}=1" for name in KINDS))
        with (
            worker(tmp_path, app="bulk:pipeline", options=one_each, REDIS_URL=valkey),
            closing(ledger_in(tmp_path)) as ledger,
        ):
            eventually(lambda: len(ledger.find(state=State.COMPLETED)) == 20, seconds=SETTLED_SECONDS)
            records = [ledger.get(upload) for upload in uploads]
            moved = {record.id: ledger.history(record.id)[-1].at for record in records}
            queues = {record.id: ledger.results(record.id)[0].told["results"]["by"] for record in records}
        queue.close()
    assert all(record.state is State.COMPLETED for record in records)
    for name in KINDS:
        of_queue = [record for record in records if queues[record.id] == name]
        done = sorted(of_queue, key=lambda record: moved[record.id])
        assert done == sorted(of_queue, key=lambda record: (record.priority or 0, uploads.index(record.id)))
