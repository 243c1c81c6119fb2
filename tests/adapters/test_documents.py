"""Documents over real sockets, in three frameworks: what a check refuses is answered alike, and leaves nothing on the
disk or in the bucket.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.adapters.servers import Server, eventually, gunicorn, running, uvicorn
from tests.content.test_document_samples import EXPECTED, SAMPLES
from tests.storage.s3.places import Place, place_on
from tests.storage.s3.places import weed as weed
from tests.storage.s3.server import S3Server

from uploadkit.content.documents import Flag
from uploadkit.testing import FormBuilder

_APP = "tests.adapters.apps.documents"

KINDS = {
    "fastapi": uvicorn(f"{_APP}:on_fastapi", adapter="fastapi"),
    "flask": gunicorn(f"{_APP}:on_flask", "--preload", "--worker-class", "gthread", adapter="flask"),
    "django": gunicorn(f"{_APP}:on_django", "--preload", "--worker-class", "gthread", adapter="django"),
}

WORDS = {
    Flag.MACROS: "has macros",
    Flag.JAVASCRIPT: "has JavaScript",
    Flag.LAUNCH: "launches a program",
    Flag.UNREADABLE: "is damaged or encrypted",
}
GOOD = "letter.pdf"
LET_IN = [name for name, flags in EXPECTED.items() if flags <= {Flag.EMBEDDED}]
REFUSED = {name: WORDS[flag] for name, flags in EXPECTED.items() for flag in WORDS if flag in flags}


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each of them, over a disk."""
    with running(KINDS[request.param], tmp_path_factory.mktemp("server")) as server:
        yield server
        assert server.complaints() == []


@pytest.fixture(scope="module")
def over_s3(weed: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Place]]:
    """One of them, over a bucket."""
    with place_on(weed) as place:
        to = {"UPLOADKIT_URL": place.url, "UPLOADKIT_OPTIONS": json.dumps(place.options())}
        with running(KINDS["fastapi"], tmp_path_factory.mktemp("server"), **to) as server:
            yield server, place
            assert server.complaints() == []


def form(name: str) -> FormBuilder:
    return FormBuilder().file("document", SAMPLES[name], filename=name, content_type="application/octet-stream")


def expect_refusal(server: Server, name: str) -> None:
    answer = server.post("any", form(name))
    told = (answer.status, answer.json["code"], answer.json["filter"], answer.json["field"])
    assert (name, *told) == (name, 422, "file_refused", "DocumentCheck", "document")
    assert REFUSED[name] in answer.json["detail"]


def test_what_does_something_is_refused_and_leaves_nothing(server: Server) -> None:
    """Macros, scripts, programs and what cannot be read: the same answer everywhere, and then a good one comes in."""
    for name in REFUSED:
        expect_refusal(server, name)
    eventually(lambda: not [*server.open_files(), *server.staged(), *server.temporary()])
    assert (server.files(), server.open_files(), server.staged(), server.temporary()) == ({}, [], [], [])
    answer = server.post("any", form(GOOD))
    assert (answer.status, answer.json["pages"]) == (200, 1)
    assert [*server.files()] == [answer.json["key"]]
    server.clear()


def test_what_does_nothing_is_stored(server: Server) -> None:
    """Every good document, as it was sent."""
    keys = {}
    for name in LET_IN:
        answer = server.post("any", form(name))
        assert (name, answer.status) == (name, 200)
        keys[answer.json["key"]] = name
    assert {key: (server.root / key).read_bytes() for key in server.files()} == {
        key: SAMPLES[name] for key, name in keys.items()
    }
    server.clear()


def test_a_bucket_is_left_with_nothing_too(over_s3: tuple[Server, Place]) -> None:
    """No object, no part of one, nothing on the disk on which it lay meanwhile; and then a good one is there."""
    server, place = over_s3
    for name in ("javascript-packed.pdf", "macro.docm", "excel4-hidden.xls", "locked.odt"):
        expect_refusal(server, name)
    eventually(lambda: not [*place.left(), *server.open_files(), *server.temporary()])
    assert (place.keys(), place.left(), server.temporary()) == ([], [], [])
    answer = server.post("any", form(GOOD))
    assert (answer.status, answer.json["pages"]) == (200, 1)
    assert (place.keys(), place.left()) == ([answer.json["key"]], [])
    assert place.get(answer.json["key"]) == SAMPLES[GOOD]
    assert (server.files(), server.staged(), server.open_files()) == ({}, [], [])
