"""The examples of scanning, under real servers and a real daemon: what is left in the storage, in every framework."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.servers import EXAMPLES, Server, eventually
from tests.adapters.servers import running as running_server
from tests.content.clamd import Clamd, eicar, running
from tests.content.hostile_archives import HOSTILE

from uploadkit.testing import Answer, FormBuilder

pytestmark = pytest.mark.needs("clamd")

FRAMEWORKS = ["fastapi", "flask", "django"]
CLEAN = b"a clean file"
LARGE = bytes(range(256)) * 3600


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """Whoever kills it starts it again; its unix socket has the same path then."""
    with running(tmp_path_factory.mktemp("clamd")) as clamd:
        yield clamd


@pytest.fixture(scope="module", params=FRAMEWORKS)
def process(
    request: pytest.FixtureRequest, daemon: Clamd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that runs an example."""
    kind, folder = EXAMPLES[f"examples/scanning/scan_{request.param}.py"], tmp_path_factory.mktemp("server")
    with running_server(kind, folder, CLAMD=daemon.unix) as server:
        server.warm_up()
        yield server


@pytest.fixture
def server(process: Server) -> Iterator[Server]:
    """It has settled, and is cleared, after each test."""
    yield process
    process.settle()
    process.clear()
    for path in quarantine(process).glob("[!.]*"):
        path.unlink()


def quarantine(server: Server) -> Path:
    return server.folder / "quarantine"


def kept(server: Server) -> list[str]:
    """What lies in its quarantine, visible or not."""
    staging = quarantine(server) / ".staging"
    staged = os.listdir(staging) if staging.exists() else []
    return sorted([*(path.name for path in quarantine(server).glob("[!.]*")), *staged])


def posted(server: Server, *files: bytes) -> tuple[int, Any]:
    """Status and JSON."""
    return _read(server.post("documents", _form(*files)))


def _form(*files: bytes) -> FormBuilder:
    form = FormBuilder()
    for at, data in enumerate(files):
        form.file(f"file{at}", data, filename=f"{at}.bin")
    return form


def _read(answer: Answer) -> tuple[int, Any]:
    return answer.status, json.loads(answer.body)


def test_a_clean_form_is_stored(server: Server) -> None:
    """All of its files, and nothing is in quarantine."""
    assert posted(server, CLEAN, LARGE) == (200, {"stored": ["0.bin", "1.bin"]})
    assert sorted(server.files().values()) == sorted(hashlib.sha256(data).hexdigest() for data in (CLEAN, LARGE))
    assert kept(server) == []


def test_of_a_form_with_an_infected_file_nothing_is_stored(server: Server) -> None:
    """But in quarantine, where the file lies beside the reason. The sender is not told the signature."""
    infected = LARGE + eicar()
    status, problem = posted(server, CLEAN, infected)
    assert (status, problem["code"], problem["filter"]) == (422, "file_refused", "ClamAV")
    assert problem["detail"] == "the file in field 'file1' is infected"
    assert "Uploadkit" not in json.dumps(problem)
    assert server.files() == {}
    body, record = kept(server)
    assert record == f"{body}.json"
    assert (quarantine(server) / body).read_bytes() == infected
    assert json.loads((quarantine(server) / record).read_bytes())["signature"] == "Uploadkit.Test.Eicar.UNOFFICIAL"


def test_the_answer_to_the_test_file_of_eicar_is_as_the_page_shows_it(server: Server) -> None:
    """As curl sends it from its standard input."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "scanning.md").read_text(encoding="utf-8")
    form = FormBuilder().file("file", eicar(), filename="-", content_type="application/octet-stream")
    status, problem = _read(server.post("documents", form))
    assert status == 422
    assert json.dumps(problem) in page


def test_a_file_that_is_too_large_to_be_scanned_is_not_stored(server: Server) -> None:
    """clamd closes the connection in the middle of it; the sender is told that another attempt is of no use."""
    status, problem = posted(server, CLEAN, LARGE * 4)
    assert (status, problem["code"]) == (422, "file_refused")
    assert problem["detail"] == "the file in field 'file1' cannot be scanned for viruses"
    assert server.files() == {}
    assert kept(server) == []


@pytest.mark.parametrize("name", ["zip bomb", "zip with '../evil'", "zip behind a picture", "gzips in gzips"])
def test_what_only_the_tail_of_an_archive_shows_is_not_published(server: Server, name: str) -> None:
    """It is staged, and refused before the daemon is asked; of its form nothing is left."""
    make, reason = HOSTILE[name]
    status, problem = posted(server, CLEAN, make())
    assert (status, problem["code"], problem["filter"]) == (422, "file_refused", "ArchiveCheck")
    assert reason in problem["detail"]
    assert server.files() == {}
    assert kept(server) == []


def test_a_daemon_that_is_killed_while_it_scans_publishes_nothing(server: Server, daemon: Clamd) -> None:
    """The upload is answered 503, and so is the next; when the daemon is back the same form is stored."""
    answers: list[tuple[int, Any]] = []
    daemon.pause()
    thread = threading.Thread(target=lambda: answers.append(posted(server, LARGE, eicar())))
    thread.start()
    try:
        eventually(lambda: scanning(server))
        assert scanning(server)
        assert server.files() == {}
    finally:
        daemon.kill()
        thread.join(20)
    try:
        answers.append(posted(server, CLEAN))
        for status, problem in answers:
            assert (status, problem["code"], problem["filter"]) == (503, "check_failed", "ClamAV")
            assert problem["detail"] == "the file in field 'file0' could not be scanned for viruses; try again later"
        assert len(answers) == 2
        assert server.files() == {}
        assert kept(server) == []
    finally:
        daemon.restart()
    assert posted(server, CLEAN)[0] == 200


def scanning(server: Server) -> bool:
    """Whether it has a file that is staged, and a connection to the daemon that has taken none of it."""
    inodes = {target.removeprefix("socket:[").removesuffix("]") for target in server._targets() if "socket" in target}
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    connected = {line.split()[6] for line in lines if line.split()[5] in ("02", "03")}
    return bool(server.open_files()) and bool(inodes & connected)
