"""Endpoints of Starlette with a form of their own, on uvicorn: what they do not keep is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.adapters.servers import Server, ServerOf, eventually

from uploadkit.testing import Client, FormBuilder, request

TABLE = FormBuilder().file("table", b"year,uploads\n2026,3\n", filename="table.csv", content_type="text/csv")


@pytest.fixture
def server(servers: ServerOf) -> Iterator[Server]:
    """It has settled, holds no file and has not complained after every test."""
    server = servers("examples/starlette_forms.py")
    try:
        yield server
        server.settle()
        assert server.files() == {}
        assert server.complaints() == []
    finally:
        server.clear()


def test_what_an_endpoint_reads_is_gone_afterwards(server: Server) -> None:
    """It is there when the endpoint reads it, and not when the answer is."""
    answer = server.post("count", TABLE)
    assert (answer.status, answer.json) == (200, {"filename": "table.csv", "lines": 2})
    assert server.files() == {}


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        (FormBuilder().text("table", "a,b"), 422, {"error": "a table is needed"}),
        (FormBuilder().file("table", b"", filename=""), 200, {"filename": "", "lines": 0}),
        (FormBuilder().file("other", b"a,b\n", filename="a.csv"), 422, {"error": "a table is needed"}),
    ],
    ids=["a text", "nothing chosen", "another field"],
)
def test_an_endpoint_judges_what_it_was_sent(
    server: Server, form: FormBuilder, status: int, said: dict[str, object]
) -> None:
    """As it did before: what it does not take is removed too."""
    answer = server.post("count", form)
    assert (answer.status, answer.json) == (status, said)


def test_a_file_of_another_type_is_refused(server: Server) -> None:
    """By problem details, before the endpoint has a form."""
    answer = server.post("count", FormBuilder().file("table", b"\x89PNG\r\n\x1a\n", filename="table.csv"))
    assert (answer.status, answer.json["code"], answer.json["detected"]) == (415, "file_refused", "image/png")


@pytest.mark.parametrize("end", [Client.close, Client.reset], ids=["closes", "resets"])
def test_a_client_that_goes_away_stores_nothing(server: Server, end: Callable[[Client], None]) -> None:
    """In the middle of a file that is open in the storage. The next one is served."""
    large = FormBuilder().file("table", b"2026,3\n" * 300_000, filename="table.csv", content_type="text/csv")
    with Client(server.port) as client:
        client.send(request("/count", large)[:-1000])
        eventually(server.open_files)
        assert server.open_files()
        end(client)
    server.settle()
    assert server.post("count", large).json["lines"] == 300_000
