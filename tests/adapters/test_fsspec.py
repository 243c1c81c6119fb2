"""The whole way from a client to a filesystem of fsspec: FastAPI on uvicorn and Flask on gunicorn, local and SFTP.

The SFTP server serves this machine, so that what is left can be seen in the same folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.adapters.servers import Server, eventually, gunicorn, running, uvicorn
from tests.storage.fsspec.sftp import SftpServer, sftp_server

from uploadkit.testing import Client, FormBuilder, exchange, request

_APP = "tests.adapters.apps.on_fsspec"

KINDS = {
    "fastapi": uvicorn(f"{_APP}:on_fastapi", adapter="fastapi"),
    # Loaded before the workers are forked, and each connects for itself.
    "flask": gunicorn(f"{_APP}:on_flask", "--preload", "--worker-class", "gthread", "--threads", "8", adapter="flask"),
}

PICTURE = b"\xff\xd8\xff\xe0" + os.urandom(3_000_000)


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[SftpServer]:
    """One that can be killed."""
    with sftp_server(tmp_path / "ssh") as server:
        yield server


@pytest.fixture(scope="module", params=["local", pytest.param("sftp", marks=pytest.mark.needs("sshd"))])
def storage(request: pytest.FixtureRequest) -> str:
    """Each kind of filesystem."""
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=KINDS)
def begun(request: pytest.FixtureRequest, storage: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server over each kind of filesystem."""
    folder = tmp_path_factory.mktemp("server")
    with ExitStack() as stack:
        sftp = stack.enter_context(sftp_server(folder / "ssh")) if storage == "sftp" else None
        yield stack.enter_context(running(KINDS[request.param], folder, **environment(folder, sftp)))


@pytest.fixture
def server(begun: Server) -> Iterator[Server]:
    """With nothing in its storage."""
    yield begun
    assert begun.complaints() == []
    begun.clear()


def environment(folder: Path, sftp: SftpServer | None) -> dict[str, str]:
    """What names the storage, whose root is the `uploads` of the server that runs in `folder`."""
    root = folder / "uploads"
    url = sftp.url(root) if sftp else f"file://{root}"
    return {"UPLOADKIT_URL": url, "UPLOADKIT_OPTIONS": json.dumps(sftp.options if sftp else {})}


def form(data: bytes) -> FormBuilder:
    return FormBuilder().file("avatar", data, filename="a.jpg", content_type="image/jpeg")


def left(server: Server) -> list[str]:
    """What is neither an object nor given up."""
    return [*server.open_files(), *server.staged(), *server.temporary()]


def test_a_picture_arrives_whole(server: Server) -> None:
    """Its bytes, size and digest; and nothing beside it."""
    answer = server.post("any", form(PICTURE))
    digest = hashlib.sha256(PICTURE).hexdigest()
    assert (answer.status, answer.json["size"], answer.json["sha256"]) == (200, len(PICTURE), digest)
    assert server.files() == {answer.json["key"]: digest}
    assert left(server) == []


def test_what_is_refused_leaves_nothing(server: Server) -> None:
    """A type that is not taken, and a form that ends too early."""
    assert server.post("any", form(b"no picture")).status == 415
    assert exchange(server.port, request("/any", form(PICTURE).cut(2_000_000))).status == 400
    eventually(lambda: not left(server))
    assert (server.files(), left(server)) == ({}, [])


def test_a_client_that_goes_away_leaves_nothing(server: Server) -> None:
    """At 60 %, when a part of it lies in staging."""
    sent = request("/any", form(PICTURE))
    with Client(server.port) as client:
        client.send(sent[: len(sent) * 6 // 10])
        eventually(server.staged)
        assert len(server.staged()) == 1
        client.reset()
    eventually(lambda: not left(server))
    assert (server.files(), left(server)) == ({}, [])
    assert server.post("any", form(PICTURE)).status == 200


@pytest.mark.needs("sshd")
@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_whose_storage_goes_away_is_answered_503_and_the_next_arrives(
    kind: str, sftp: SftpServer, tmp_path: Path
) -> None:
    """What the lost connection has left in staging is invisible; the application connects again by itself."""
    with ExitStack() as stack:
        server = stack.enter_context(running(KINDS[kind], tmp_path, **environment(tmp_path, sftp)))
        sent = request("/any", form(PICTURE))
        with Client(server.port) as client:
            client.send(sent[: len(sent) * 6 // 10])
            eventually(server.staged)
            sftp.kill()
            client.send(sent[len(sent) * 6 // 10 :])
            answer = client.answer()
        assert (answer.status, answer.json["code"]) == (503, "storage_failed")
        assert "uploads" not in answer.json["detail"]
        assert server.files() == {}
        sftp.restart()
        assert server.post("any", form(PICTURE)).status == 200
        assert len(server.files()) == 1
