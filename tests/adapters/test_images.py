"""Pictures over real sockets: FastAPI on uvicorn, Flask and Django on gunicorn, whose workers are forked from a
process that has the application already. What a check refuses is answered, and leaves nothing in the storage.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.servers import Server, eventually, gunicorn, running, uvicorn
from tests.content.pictures import BAD, GOOD, JPEG
from tests.soak import mostly_soaked

from uploadkit.testing import FormBuilder

_APP = "tests.adapters.apps.images"
_FORKED = ("--preload", "--worker-class", "gthread", "--threads", "8")

KINDS = {
    "fastapi": uvicorn(f"{_APP}:on_fastapi", adapter="fastapi"),
    "flask": gunicorn(f"{_APP}:on_flask", *_FORKED, "--workers", "2", adapter="flask"),
    "django": gunicorn(f"{_APP}:on_django", *_FORKED, adapter="django"),
}


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each of them. When it has ended, so have the processes in which it decoded."""
    with running(KINDS[request.param], tmp_path_factory.mktemp("server")) as server:
        yield server
        assert server.complaints() == []
        server.stop()
        eventually(lambda: not children_of(server))
        assert children_of(server) == []


def children_of(server: Server) -> list[str]:
    """The command lines of the decoding processes that work in its folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if b"uploadkit.content" in command and (process / "cwd").resolve() == server.folder.resolve():
                found.append(command.decode())
        except OSError:  # ended meanwhile
            continue
    return found


def form(data: bytes, filename: str) -> FormBuilder:
    return FormBuilder().file("avatar", data, filename=filename, content_type="application/octet-stream")


def test_a_picture_and_a_small_one_of_it_are_stored(server: Server) -> None:
    """Both, and nothing beside them."""
    answer = server.post("any", form(JPEG, "a.jpg"))
    assert (answer.status, answer.json["sides"]) == (200, [30, 20])
    assert set(server.files()) == set(answer.json["keys"])
    server.clear()


@pytest.mark.parametrize("server", mostly_soaked(KINDS, but=["fastapi"]), indirect=True)
def test_what_is_refused_leaves_nothing(server: Server) -> None:
    """Every file of the list of bad ones, and then a good one comes in."""
    for name, (filename, code, make) in BAD.items():
        answer = server.post("any", form(make(), filename))
        status = 415 if code in ("image_format", "image_extension") else 422
        assert (name, answer.status, answer.json["filter"]) == (name, status, code)
    eventually(lambda: not [*server.open_files(), *server.staged(), *server.temporary()])
    assert (server.files(), server.open_files(), server.staged(), server.temporary()) == ({}, [], [], [])
    filename, make = GOOD["png"]
    assert server.post("any", form(make(), filename)).status == 200
    server.clear()


def test_a_server_decodes_in_few_processes_that_stay(server: Server) -> None:
    """They are warm for the next picture."""
    assert server.post("any", form(JPEG, "a.jpg")).status == 200
    assert 1 <= len(children_of(server)) <= 8
    server.clear()
