"""What is answered before anything of a body was read, on a real socket: clients send a head, and nothing more.

With `Expect: 100-continue` it would be told to go on as soon as the service reads. So an answer without that says that
nothing was read, and the answer alone that nothing was waited for.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from starlette.routing import Route
from uvicorn.config import HTTPProtocolType

from uploadkit.service.app import routes
from uploadkit.service.parts import Parts
from uploadkit.service.safety import SAFE_METHODS
from uploadkit.testing import FormBuilder

from .listening import app_of, listening
from .test_callers import rule

ASKS = "asks who calls"
ANYBODY = "answers anybody"

ROUTES = {
    ("POST", "/uploads"): ASKS,
    ("GET", "/uploads"): ASKS,
    ("GET", "/uploads/{upload}"): ASKS,
    ("DELETE", "/uploads/{upload}"): ASKS,
    ("GET", "/uploads/{upload}/events"): ASKS,
    ("GET", "/batches/{batch}"): ASKS,
    ("GET", "/direct/s3/params"): ASKS,
    ("POST", "/direct/s3/complete"): ASKS,
    ("POST", "/direct/s3/multipart"): ASKS,
    ("GET", "/direct/s3/multipart/{upload}"): ASKS,
    ("DELETE", "/direct/s3/multipart/{upload}"): ASKS,
    ("POST", "/direct/s3/multipart/{upload}/complete"): ASKS,
    ("GET", "/direct/s3/multipart/{upload}/{number}"): ASKS,
    ("GET", "/files/{upload}"): ASKS,
    ("GET", "/files/{upload}/{variant}"): ASKS,
    ("OPTIONS", "/tus/"): ANYBODY,
    ("POST", "/tus/"): ASKS,
    ("HEAD", "/tus/{upload}"): ASKS,
    ("PATCH", "/tus/{upload}"): ASKS,
    ("DELETE", "/tus/{upload}"): ASKS,
    ("POST", "/tus/{upload}"): ASKS,
    ("GET", "/metrics"): ANYBODY,  # or nobody but who knows its own token
    ("GET", "/healthz"): ANYBODY,
    ("GET", "/readyz"): ANYBODY,
    ("GET", "/openapi.json"): ANYBODY,
    ("GET", "/"): ANYBODY,
    ("GET", "/page/{name}"): ANYBODY,
}
"""All that there is to ask: HEAD goes where GET does."""

HOST = "uploads.example.org"
BY_ADDRESS = ("/healthz", "/readyz")
ALL = [*ROUTES, *(("HEAD", path) for method, path in ROUTES if method == "GET")]
ASKING = [each for each in ALL if (ROUTES.get(each) or ROUTES["GET", each[1]]) is ASKS]
OPEN = [each for each in ALL if each not in ASKING]

FRAMINGS = {"length": "Content-Length: 1000000", "chunks": "Transfer-Encoding: chunked"}
BUSY = "Authorization: Bearer busy"
FORM = "Content-Type: multipart/form-data; boundary=b"


@dataclass(frozen=True)
class Door:
    """A service that listens."""

    port: int
    parts: Parts


@pytest.fixture(scope="module", params=["httptools", "h11"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """It knows some owners, and `busy`, who has asked too often."""
    http: HTTPProtocolType = request.param
    with TemporaryDirectory() as folder:
        app = app_of(
            Path(folder),
            tokens=(rule("busy", "busy"), *(rule(f"token{number}", f"owner{number}") for number in range(9))),
            rate="5/minute",
            failed_rate=None,
            hosts=(HOST,),
            quota_size="50 KB",
            max_request_size="2 MB",
        )
        with listening(app, http=http) as server:
            for _ in range(5):
                answer(server.port, "GET", "/uploads", BUSY)
            yield Door(server.port, app.state.parts)


def head(method: str, path: str, *lines: str, host: str = HOST) -> bytes:
    """A head whose body is yet to come. What stands for an id is one that there is not."""
    asked = path.replace("{number}", "1").replace("{", "").replace("}", "")
    return "\r\n".join([f"{method} {asked} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode("latin-1")


def answer(port: int, method: str, path: str, *lines: str, host: str = HOST) -> tuple[int, bytes]:
    """The status of the one answer, and all that came, from its first byte to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(head(method, path, *lines, host=host))
        came = connection.recv(65536)
        assert came, "the connection has ended without an answer"
        connection.shutdown(socket.SHUT_WR)  # nothing follows: the service need not wait for it
        while more := connection.recv(65536):
            came += more
    return int(came.split(b" ", 2)[1]), came


def refused(door: Door, method: str, path: str, *lines: str, host: str = HOST) -> int:
    """The status of an answer that came without a byte of the body, and without being asked for one."""
    statuses = set()
    for framing in FRAMINGS.values():
        for expect in ((), ("Expect: 100-continue",)):
            status, came = answer(door.port, method, path, framing, *expect, *lines, host=host)
            assert came.count(b"HTTP/1.1 ") == 1, came
            assert b"100 Continue" not in came
            statuses.add(status)
    (status,) = statuses
    return status


def test_every_route_is_asked_here() -> None:
    """A new one needs an entry above."""
    there = set()
    for route in routes():
        assert isinstance(route, Route)
        methods = route.methods or set()
        there |= {(method, route.path_format) for method in methods - ({"HEAD"} if "GET" in methods else set())}
    assert there == set(ROUTES)


@pytest.mark.parametrize(("method", "path"), ASKING)
def test_nobody_is_let_in_by_any_route(door: Door, method: str, path: str) -> None:
    """Neither without a token nor with another one."""
    assert refused(door, method, path) == 401
    assert refused(door, method, path, "Authorization: Bearer another") == 401
    assert refused(door, method, f"{path}?token=token0&access_token=token0") == 401


@pytest.mark.parametrize(("method", "path"), ASKING)
def test_who_asks_too_often_is_refused_by_every_route(door: Door, method: str, path: str) -> None:
    assert refused(door, method, path, BUSY) == 429


@pytest.mark.parametrize(("method", "path"), ALL)
def test_who_calls_by_another_name_is_refused_by_every_route(door: Door, method: str, path: str) -> None:
    """Also who has a token. Health alone is asked by address."""
    status = refused(door, method, path, "Authorization: Bearer token0", host="evil.example")
    assert (status != 421) if path in BY_ADDRESS else (status == 421)


@pytest.mark.parametrize(("method", "path"), [each for each in ALL if each[0] not in SAFE_METHODS])
def test_a_page_of_another_origin_is_refused_by_every_route_that_changes_something(
    door: Door, method: str, path: str
) -> None:
    for line in ("Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"):
        assert refused(door, method, path, "Authorization: Bearer token0", line) == 403


@pytest.mark.parametrize(("method", "path"), OPEN)
def test_what_answers_anybody_reads_nothing_either(door: Door, method: str, path: str) -> None:
    assert refused(door, method, path) < 500


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES} | {"/nowhere", "/uploads/", "/tus/"}))
def test_a_method_that_is_none_reads_nothing(door: Door, path: str) -> None:
    for method in ("PUT", "PATCH", "POST", "DELETE", "OPTIONS", "QUERY"):
        if (method, path) not in ROUTES:
            assert refused(door, method, path) in (404, 405)


def test_two_headers_where_one_is_meant_are_none(door: Door) -> None:
    """A proxy may have gone by the other. What breaks HTTP itself the server answers."""
    token = "Authorization: Bearer token0"
    assert refused(door, "GET", "/uploads", token, token) == 401
    assert refused(door, "GET", "/uploads", token, "Authorization: Bearer another") == 401
    assert refused(door, "GET", "/uploads", token, f"Host: {HOST}") == 400
    for lines in (
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5, 6",),
        ("Content-Length: -5",),
        ("Content-Length: +5",),
        ("Transfer-Encoding: gzip",),
        (f"{token}\r\n folded", "Content-Length: 5"),
    ):
        status, came = answer(door.port, "POST", "/uploads", FORM, *lines)
        assert status in (400, 401, 501), lines
        assert came.count(b"HTTP/1.1 ") == 1
        assert b"100 Continue" not in came


# Who is let in, and sends what is not taken


def test_who_is_let_in_is_told_to_go_on(door: Door) -> None:
    """So the answers above would have shown it."""
    lines = (FORM, "Content-Length: 1000000", "Expect: 100-continue", "Authorization: Bearer token0")
    assert answer(door.port, "POST", "/uploads", *lines)[0] == 100


@pytest.mark.parametrize(
    ("token", "lines", "expected"),
    [
        ("token1", ("Content-Type: text/plain", "Content-Length: 1000"), 415),
        ("token2", (FORM, "Content-Length: 3000000"), 413),  # of one request
        ("token3", (FORM, "Transfer-Encoding: chunked"), 411),  # there is a quota
        ("token4", (FORM, "Content-Length: 1000", "Idempotency-Key: \xfc"), 400),
        ("busy", (FORM, "Content-Length: 1000"), 429),
    ],
)
def test_what_a_head_says_is_enough_to_refuse_it(door: Door, token: str, lines: tuple[str, ...], expected: int) -> None:
    lines = (*lines, "Expect: 100-continue", f"Authorization: Bearer {token}")
    status, came = answer(door.port, "POST", "/uploads", *lines)
    assert status == expected
    assert b"100 Continue" not in came


def test_a_quota_is_asked_when_the_first_file_begins(door: Door) -> None:
    """Not before: who has sent no file has none. The Content-Length counts as its size, whatever is sent of it."""
    form = FormBuilder(boundary="b").file("f", b"x" * 100_000, filename="1.txt", content_type="text/plain").body
    lines = (FORM, f"Content-Length: {len(form)}", "Expect: 100-continue", "Authorization: Bearer token5")
    with socket.create_connection(("127.0.0.1", door.port), 10) as connection:
        connection.sendall(head("POST", "/uploads", *lines))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(form[:10_000])
        assert b" 413 " in connection.recv(65536)
    assert door.parts.pipeline.ledger.usage("owner5").bytes == 0


def test_too_many_uploads_at_a_time_are_refused_by_their_heads(tmp_path: Path) -> None:
    app = app_of(tmp_path, uploads_at_once=1)
    lines = (FORM, "Content-Length: 1000000", "Expect: 100-continue")
    with listening(app) as server, socket.create_connection(("127.0.0.1", server.port), 10) as first:
        first.sendall(head("POST", "/uploads", *lines, host="127.0.0.1"))
        assert first.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"  # it is under way
        status, came = answer(server.port, "POST", "/uploads", *lines, host="127.0.0.1")
        assert (status, came.count(b"HTTP/1.1 ")) == (429, 1)
        assert b"too_many_uploads" in came


def test_who_fails_too_often_is_refused_by_his_head(tmp_path: Path) -> None:
    app = app_of(tmp_path, tokens=(rule(),), failed_rate="2/minute")
    with listening(app) as server:
        lines = (FORM, "Content-Length: 1000000", "Expect: 100-continue", "Authorization: Bearer another")
        told = [answer(server.port, "POST", "/uploads", *lines) for _ in range(3)]
    assert [status for status, _ in told] == [401, 401, 429]
    assert not any(b"100 Continue" in came for _, came in told)


def test_a_client_that_sends_all_the_same_sees_the_answer(door: Door) -> None:
    """It need not wait to be told: what it has sent is thrown away, up to a bound, so that it gets to read."""
    with socket.create_connection(("127.0.0.1", door.port), 10) as connection:
        connection.sendall(head("POST", "/uploads", FORM, FRAMINGS["length"]) + b"x" * 1_000_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
        connection.sendall(head("GET", "/healthz"))  # and the connection is as good as before
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
