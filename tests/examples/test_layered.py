"""The layered applications under real servers: the same requests, the same answers, and what is left behind."""

from __future__ import annotations

import ast
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from httpx import Response
from tests.adapters.cases import PNG
from tests.adapters.servers import Kind, Server, eventually, gunicorn, running, uvicorn

from uploadkit.testing import FormBuilder

EXAMPLES = Path(__file__).parents[2] / "examples"
_THREADS = ("--worker-class", "gthread", "--threads", "4")
APPLICATIONS = {
    "layered_fastapi": uvicorn("layered_fastapi.main:app", adapter="fastapi"),
    "layered_flask": gunicorn("layered_flask.app:app", *_THREADS, adapter="flask"),
    "layered_django": gunicorn("layered_django.wsgi", *_THREADS, adapter="django"),
}

HOLIDAY = FormBuilder().text("title", "Holiday").file("files", PNG, filename="été.png", content_type="image/png")
TWO = (
    FormBuilder().text("title", "Both").file("files", b"a,b\r\n", filename="1.csv").file("files", PNG, filename="2.png")
)


@pytest.fixture(scope="module", params=APPLICATIONS)
def running_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kind: Kind = APPLICATIONS[request.param]
    with running(kind, tmp_path_factory.mktemp(request.param), APP_TOKEN="secret") as server:
        yield server


@pytest.fixture
def server(running_server: Server) -> Iterator[Server]:
    """The server with no file and no row, and nothing under way when the test is over."""
    yield running_server
    eventually(lambda: not left(running_server))
    assert left(running_server) == []
    running_server.clear()
    with closing(sqlite3.connect(running_server.folder / "files.db")) as rows, rows:
        rows.execute("DROP TABLE IF EXISTS files")


def left(server: Server) -> list[str]:
    """What is neither visible nor gone."""
    return [*server.staged(), *server.open_files(), *server.temporary()]


def stored(server: Server) -> tuple[int, int]:
    """How many files there are, and how many rows."""
    with closing(sqlite3.connect(server.folder / "files.db")) as rows:
        known = rows.execute("SELECT count(*) FROM sqlite_master WHERE name = 'files'").fetchone()[0]
        return len(server.files()), rows.execute("SELECT count(*) FROM files").fetchone()[0] if known else 0


def ask(server: Server, method: str, path: str, form: FormBuilder | None = None, token: str = "secret") -> Response:
    """One request."""
    headers = {"Authorization": f"Bearer {token}"}
    if form is not None:
        headers["Content-Type"] = form.content_type
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=20) as client:
        return client.request(method, path, headers=headers, content=None if form is None else form.body)


def kind_of(answer: Response) -> tuple[int, str]:
    """The status and the media type."""
    return answer.status_code, answer.headers["Content-Type"].partition(";")[0]


def test_a_file_is_stored_found_downloaded_and_removed(server: Server) -> None:
    """Its whole life, by the paths that the answers name."""
    added = ask(server, "POST", "/files", HOLIDAY)
    [file] = added.json()["files"]
    path = f"/files/{file['id']}"
    facts = {name: file[name] for name in ("title", "filename", "content_type", "size", "url")}
    assert added.status_code == 201
    assert facts == {
        "title": "Holiday",
        "filename": "été.png",
        "content_type": "image/png",
        "size": len(PNG),
        "url": f"{path}/content",
    }
    assert list(server.files().values()) == [file["sha256"]]
    assert ask(server, "GET", path).json() == file

    download = ask(server, "GET", file["url"])
    assert (*kind_of(download), download.content) == (200, "image/png", PNG)
    assert download.headers["X-Content-Type-Options"] == "nosniff"
    assert download.headers["Content-Disposition"].startswith("attachment;")
    assert "utf-8''%c3%a9t%c3%a9.png" in download.headers["Content-Disposition"].lower()

    assert ask(server, "DELETE", path).status_code == 204
    assert stored(server) == (0, 0)
    for method, gone in (("GET", path), ("GET", file["url"]), ("DELETE", path)):
        answer = ask(server, method, gone)
        assert kind_of(answer) == (404, "application/problem+json")
        assert answer.json()["detail"] == "there is no such file"


def test_files_of_one_form_have_one_title(server: Server) -> None:
    """Many, in their order."""
    files = ask(server, "POST", "/files", TWO).json()["files"]
    assert [(file["title"], file["filename"], file["content_type"]) for file in files] == [
        ("Both", "1.csv", "text/csv"),
        ("Both", "2.png", "image/png"),
    ]
    assert stored(server) == (2, 2)


REFUSED: list[tuple[str, FormBuilder, int, list[tuple[str, str]]]] = [
    (
        "a text in a picture's clothes",
        FormBuilder().text("title", "T").file("files", PNG, filename="a.png").file("files", b"text", filename="b.png"),
        415,
        [("files", "file_refused")],
    ),
    ("no title", FormBuilder().file("files", PNG, filename="a.png"), 422, [("title", "field_missing")]),
    ("no file", FormBuilder().text("title", "T"), 422, [("files", "field_missing")]),
    (
        "a title that is too long, after the file",
        FormBuilder().file("files", PNG, filename="a.png").text("title", "T" * 81),
        422,
        [("title", "string_too_long")],
    ),
]


@pytest.mark.parametrize(
    ("form", "status", "errors"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_refused_form_leaves_nothing(
    server: Server, form: FormBuilder, status: int, errors: list[tuple[str, str]]
) -> None:
    """No file and no row, and the reason is in the answer, field by field."""
    answer = ask(server, "POST", "/files", form)
    assert kind_of(answer) == (status, "application/problem+json")
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == errors
    assert stored(server) == (0, 0)


def test_a_file_that_is_too_large_is_told_so(server: Server) -> None:
    """By the limit that it has passed."""
    form = FormBuilder().text("title", "T").file("files", PNG.ljust(5_000_001, b"\0"), filename="a.png")
    answer = ask(server, "POST", "/files", form)
    assert kind_of(answer) == (413, "application/problem+json")
    assert [error["code"] for error in answer.json()["errors"]] == ["limit_exceeded"]
    assert stored(server) == (0, 0)


def test_who_has_no_token_is_told_so_before_anything_is_read(server: Server) -> None:
    """On every route; nothing is stored, and nothing is removed."""
    [file] = ask(server, "POST", "/files", HOLIDAY).json()["files"]
    requests = [("POST", "/files", TWO), ("GET", file["url"], None), ("DELETE", f"/files/{file['id']}", None)]
    for method, path, form in requests:
        answer = ask(server, method, path, form, token="guessed")
        assert kind_of(answer) == (401, "application/problem+json")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert stored(server) == (1, 1)


def test_where_the_service_fails_the_files_of_the_form_are_removed(server: Server) -> None:
    """Its database cannot be written: no row, and so no file."""
    with closing(sqlite3.connect(server.folder / "files.db")) as rows:
        rows.execute("CREATE TABLE files (id TEXT)")
        assert ask(server, "POST", "/files", HOLIDAY).status_code == 500
    assert stored(server) == (0, 0)


@pytest.mark.parametrize("name", ["uploads.py", "services.py"])
def test_what_knows_no_framework_is_the_same_file_in_all(name: str) -> None:
    """Each folder can be copied alone, and none is a version behind."""
    assert len({(EXAMPLES / folder / name).read_text() for folder in APPLICATIONS}) == 1


@pytest.mark.parametrize("name", ["uploads.py", "services.py"])
def test_the_rules_and_the_service_import_no_framework(name: str) -> None:
    """They could serve a fourth one."""
    tree = ast.parse((EXAMPLES / "layered_flask" / name).read_text())
    absolute = {
        str(node.module).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
    }
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {*absolute, *plain} <= {"pydantic", "uploadkit", *sys.stdlib_module_names}
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level} <= {"uploads"}
