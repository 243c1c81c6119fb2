"""The examples of a typed form, under real servers: the same results and the same errors in every framework."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.cases import PNG
from tests.adapters.servers import Server, ServerOf

from uploadkit.testing import FormBuilder

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=[f"examples/typed_forms/{name}_app.py" for name in ("fastapi", "flask", "django")])
def server(request: pytest.FixtureRequest, servers: ServerOf) -> Iterator[Server]:
    """A server that runs an example, and has settled and is cleared after the test."""
    server = servers(request.param)
    try:
        yield server
        server.settle()
    finally:
        server.clear()


def posted(server: Server, form: FormBuilder) -> tuple[int, Any]:
    """Status and JSON."""
    answer = server.post("profile", form)
    return answer.status, json.loads(answer.body)


def test_a_view_is_given_the_model(server: Server) -> None:
    """Two text fields, an optional file and a list, of which all or only what is needed is sent."""
    form = FormBuilder().text("name", "Ada").file("avatar", PNG, filename="me.png")
    form.file("photos", PNG, filename="1.png").text("born", "1815-12-10").file("photos", PNG, filename="2.png")
    answer = {"name": "Ada", "year": 1815, "avatar": "image/png", "photos": ["1.png", "2.png"]}
    assert posted(server, form) == (200, answer)
    assert len(server.files()) == 3

    answer = {"name": "Bo", "year": 2000, "avatar": None, "photos": []}
    assert posted(server, FormBuilder().text("name", "Bo").text("born", "2000-01-01")) == (200, answer)


def test_all_errors_come_in_one_answer(server: Server) -> None:
    """And of the form nothing is stored, the good photo before the errors included."""
    form = FormBuilder().file("photos", PNG, filename="1.png").text("name", "x").text("born", "yesterday")
    form.file("avatar", b"text", filename="me.png").file("photo", PNG, filename="2.png")
    status, problem = posted(server, form)
    assert status == problem["status"] == 422
    assert problem["code"] == "invalid_form"
    assert [(each["field"], each["code"]) for each in problem["errors"]] == [
        ("avatar", "file_refused"),
        ("photo", "unexpected_field"),
        ("name", "string_too_short"),
        ("born", "date_from_datetime_parsing"),
    ]
    messages = [each["message"] for each in problem["errors"]]
    assert messages[:3] == [
        "file 'avatar' is text/plain, which the field does not accept",
        "no file is taken in field 'photo', only in 'avatar', 'photos'",
        "String should have at least 2 characters",
    ]
    assert server.files() == {}


def test_the_example_without_a_server_runs(tmp_path: Path) -> None:
    """Nested names, JSON, and what is told of a form with errors."""
    command = [sys.executable, str(ROOT / "examples" / "typed_forms" / "nested_names.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "Bern ['tea']",
        "reciept | unexpected_field | no file is taken in field 'reciept', only in 'receipt'",
        "address | city | missing | Field required",
        "items | too_short | List should have at least 1 item after validation, not 0",
    ]
