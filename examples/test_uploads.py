"""What else can be tested of an application's uploads. Run it: python -m pytest examples/test_uploads.py

Begin with test_fastapi_app.py, test_flask_app.py or test_django_app.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask
from werkzeug.serving import make_server

from uploadkit import DiskStorage, MemoryStorage, StorageFailed, TruncatedForm, UploadedFile, Uploader, receive
from uploadkit.adapters.flask import receive as receive_in_flask
from uploadkit.testing import (
    HOSTILE_FILENAMES,
    Client,
    Corruption,
    FailingStorage,
    FormBuilder,
    assert_no_leaks,
    check_storage,
    leftovers,
    request_head,
    sample,
    swap_storage,
)

app = Flask(__name__)
storage = MemoryStorage()
upload = Uploader(storage)
photo_form = upload.single("photo")


@app.post("/photos")
@receive_in_flask(photo_form)
def add(photo: UploadedFile) -> dict[str, object]:
    return {"sha256": photo.digest}


FORM = FormBuilder().file("photo", bytes(100_000), filename="sea.bin")


def test_an_upload_is_stored() -> None:
    """Through the test client of the framework: a form is a body and its Content-Type."""
    answer = app.test_client().post("/photos", data=FORM.body, content_type=FORM.content_type)
    assert answer.get_json() == {"sha256": hashlib.sha256(bytes(100_000)).hexdigest()}


@pytest.mark.parametrize("name", HOSTILE_FILENAMES, ids=ascii)
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    """Over a folder of the test's own, as a handler needs it that works with the path of a file."""
    form = FormBuilder().file("photo", sample("image/png"), filename=name)
    with swap_storage(upload, DiskStorage(tmp_path / "uploads")):
        answer = app.test_client().post("/photos", data=form.body, content_type=form.content_type)
    assert answer.status_code < 500
    assert {path.parent for path in tmp_path.rglob("*.*") if path.is_file()} <= {tmp_path / "uploads"}


@pytest.mark.parametrize("at", [0, 1, 100, 50_000, len(FORM.body) - 3])
def test_a_form_that_is_cut_is_refused(at: int) -> None:
    """At any place: at all of them in a loop, where a form is small."""
    cut = FORM.cut(at)
    with assert_no_leaks(storage), pytest.raises(TruncatedForm):
        receive(photo_form, cut.content_type, [cut.body])


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


def test_a_length_that_is_too_large_is_a_form_that_is_cut(port: int) -> None:
    """The form is whole, but the client has announced more."""
    with assert_no_leaks(storage), Client(port) as client:
        client.send(request_head("/photos", FORM.content_type, length=len(FORM.body) + 1), FORM.body)
        client.end()
        assert client.answer().json["code"] == "truncated_form"


def test_a_storage_keeps_the_contract(tmp_path: Path) -> None:
    """Yours in place of DiskStorage. Each promise that is broken is named."""
    disk = DiskStorage(tmp_path)
    check_storage(lambda: disk, leftovers=leftovers)
