"""Tests of an application's uploads, with the kit of uploadkit. Run them: python -m pytest examples/test_uploads.py"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask
from werkzeug.serving import make_server

from uploadkit import DiskStorage, MemoryStorage, StorageFailed, UploadedFile, Uploader, receive
from uploadkit.adapters.flask import receive as receive_in_flask
from uploadkit.testing import (
    Client,
    Corruption,
    FailingStorage,
    FormBuilder,
    assert_no_leaks,
    check_storage,
    leftovers,
    request_head,
)

app = Flask(__name__)
storage = MemoryStorage()
photo_form = Uploader(storage).single("photo")


@app.post("/photos")
@receive_in_flask(photo_form)
def add(photo: UploadedFile) -> dict[str, object]:
    return {"sha256": photo.digest}


FORM = FormBuilder().file("photo", bytes(100_000), filename="sea.bin")


def test_an_upload_is_stored() -> None:
    """Through the test client of the framework: a form is a body and its Content-Type."""
    answer = app.test_client().post("/photos", data=FORM.body, content_type=FORM.content_type)
    assert answer.get_json() == {"sha256": hashlib.sha256(bytes(100_000)).hexdigest()}


@pytest.mark.parametrize("after", range(4))
def test_whichever_call_of_the_storage_fails_nothing_is_left(after: int) -> None:
    """Opening, writing, staging, publishing."""
    inner = MemoryStorage()
    failing = FailingStorage(inner, after=after, on="any")
    with assert_no_leaks(inner), pytest.raises(StorageFailed):
        receive(Uploader(failing).single("photo"), FORM.content_type, [FORM.body])
    assert inner.objects == {}


def test_a_bit_that_was_turned_over_is_found() -> None:
    """The digest is that of the bytes which were received."""
    failing = FailingStorage(MemoryStorage(), after=0, on="write", fault=Corruption.FLIPPED)
    photo = receive(Uploader(failing).single("photo"), FORM.content_type, [FORM.body])
    assert hashlib.sha256(photo.read()).hexdigest() != photo.digest


@pytest.fixture
def port() -> Iterator[int]:
    """Where the application listens, under Flask's own server."""
    with make_server("127.0.0.1", 0, app) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.port
        server.shutdown()
        thread.join()


def test_a_client_that_stops_half_way_leaves_nothing(port: int) -> None:
    """It sends half of its body, waits a little, and ends its side of the connection."""
    head = request_head("/photos", FORM.content_type, length=len(FORM.body))
    with assert_no_leaks(storage), Client(port) as client:
        client.send(head, FORM.body[:50_000])
        client.drip(FORM.body[50_000:50_003], every=0.01)
        client.end()
        assert client.answer().json["code"] == "truncated_form"


def test_a_storage_keeps_the_contract(tmp_path: Path) -> None:
    """Yours in place of DiskStorage. Each promise that is broken is named."""
    disk = DiskStorage(tmp_path)
    check_storage(lambda: disk, leftovers=leftovers)
