"""What is logged of requests: one line for each, in which a client can forge nothing and no secret stands."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from uploadkit.service import lines
from uploadkit.service.app import create_app
from uploadkit.service.exchange import Exchange
from uploadkit.service.settings import Settings

from .conftest import Serve, parts_of, quick_pipeline


@pytest.fixture(autouse=True)
def _all_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "uploadkit.service.requests")


def the_one(caplog: pytest.LogCaptureFixture) -> Exchange:
    """The only request there was, as it was logged."""
    [found] = requests(caplog)
    exchange: Exchange = found.exchange  # type: ignore[attr-defined]
    return exchange


def settings(**said: Any) -> Settings:
    return Settings(**said)


def requests(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "uploadkit.service.requests"]


def test_an_upload_is_one_line_with_all_that_came_of_it(service: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """Whose it is, its ids, and how many bytes."""
    answer = service.post("/uploads?a=b", files=[("f", ("1.txt", b"one")), ("f", ("2.txt", b"two"))])
    told = answer.json()
    exchange = the_one(caplog)
    assert (exchange.method, exchange.path, exchange.route, exchange.status) == ("POST", "/uploads", "/uploads", 202)
    assert (exchange.owner, exchange.batch, exchange.client) == ("anybody", told["batch"], "127.0.0.1")
    assert list(exchange.uploads) == [each["id"] for each in told["uploads"]]
    assert (exchange.received, exchange.sent) == (int(answer.request.headers["content-length"]), len(answer.content))
    assert (exchange.code, exchange.cut, exchange.request) == (None, None, answer.headers["x-request-id"])


def test_a_refusal_has_its_code_and_the_ids_that_were_begun(
    service: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    service.post("/uploads", files=[("f", ("1.txt", b"one"))], data={"priority": "soon"})
    exchange = the_one(caplog)
    assert (exchange.status, exchange.code, len(exchange.uploads)) == (422, "field_refused", 1)


def test_a_request_of_an_upload_has_its_id(service: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    service.get("/uploads/no-such-upload")
    exchange = the_one(caplog)
    assert (exchange.route, exchange.uploads, exchange.code) == ("/uploads/{upload}", ("no-such-upload",), "not_found")


def test_a_path_of_nobody_has_no_route(service: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    service.get("/" + "x" * 1000)
    exchange = the_one(caplog)
    assert (exchange.route, exchange.status, len(exchange.path)) == (None, 404, 200)


@pytest.mark.parametrize("given", ["a" * 64, "0.9_-Z"])
def test_a_proxys_id_of_a_request_is_kept(service: TestClient, given: str) -> None:
    assert service.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["a" * 65, "", "a b", "a\tb", "é".encode().decode("latin-1"), 'a"b'])
def test_what_is_no_id_is_replaced(service: TestClient, given: str) -> None:
    made = service.get("/healthz", headers=[(b"x-request-id", given.encode("latin-1"))]).headers["x-request-id"]
    assert made != given
    assert len(made) == 32


def test_two_ids_are_none(service: TestClient) -> None:
    headers = [("x-request-id", "a"), ("x-request-id", "b")]
    assert service.get("/healthz", headers=headers).headers["x-request-id"] not in ("a", "b", "a, b")


def test_questions_for_health_are_no_news_where_all_is_well(
    service: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    service.get("/healthz")
    assert [record.levelno for record in requests(caplog)] == [logging.DEBUG]


# What nobody foresaw


@contextmanager
def broken(tmp_path: Path, endpoint: Any) -> Iterator[TestClient]:
    """A service with a route that is broken."""
    app = create_app(settings(data=tmp_path / "data"), pipeline=quick_pipeline(tmp_path))
    app.router.routes.append(Route("/broken", endpoint))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def test_what_nobody_foresaw_is_told_to_the_operator_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def endpoint(request: Request) -> Response:
        raise RuntimeError("the secret of the house")

    with broken(tmp_path, endpoint) as client:
        answer = client.get("/broken")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert problem["request"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    [failed] = [record for record in caplog.records if record.exc_info]
    assert "the secret of the house" in str(failed.exc_info)
    assert the_one(caplog).status == 500


def test_why_the_ledger_fails_is_told_to_the_operator(
    service: TestClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In a line, without the statement and what was to be written by it."""
    assert service.get("/uploads").status_code == 200
    parts_of(service).pipeline.close()
    for path in tmp_path.glob("ledger.db*"):
        path.write_bytes(b"no database" * 1000)
    answer = service.get("/uploads")
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger_failed")
    assert "no database" not in answer.text
    [told] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert told == "the ledger cannot do what it was asked: file is not a database"


def test_an_answer_that_fails_in_the_middle_is_cut_by_the_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the status that was sent: it is the server that says what was raised, and closes the connection."""

    async def endpoint(request: Request) -> Response:
        async def parts() -> Any:
            yield b"begun"
            raise RuntimeError("in the middle")

        return StreamingResponse(parts())

    with broken(tmp_path, endpoint) as client:
        client.get("/broken")
    exchange = the_one(caplog)
    assert (exchange.status, exchange.sent, exchange.cut) == (200, 5, "service")


# Who leaves


class Client:
    """One that sends its messages and leaves."""

    def __init__(self, *bodies: bytes) -> None:
        self._messages = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
        self.answers: list[MutableMapping[str, Any]] = []

    async def receive(self) -> MutableMapping[str, Any]:
        await asyncio.sleep(0)
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.answers.append(message)

    def ask(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        """To the end of the answer, or until he leaves."""

        async def asked() -> None:
            await app(scope, self.receive, self.send)

        asyncio.run(asked())


def scope(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), *raw],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 4000),
        "root_path": "",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }


def test_who_leaves_while_he_sends_is_499(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    app = serve().app
    begun = b'--b\r\nContent-Disposition: form-data; name="f"; filename="1.txt"\r\n\r\nhalf of i'
    client = Client(begun)
    head = {"content_type": "multipart/form-data; boundary=b", "content_length": "1000"}
    client.ask(app, scope("/uploads", "POST", **head))
    exchange = the_one(caplog)
    assert (exchange.status, exchange.cut, exchange.received) == (499, "client", len(begun))


def test_who_leaves_while_he_is_answered_has_the_status_that_was_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def endpoint(request: Request) -> Response:
        async def parts() -> Any:
            while True:
                yield b"more"
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    with broken(tmp_path, endpoint) as service:
        client = Client()
        client.ask(service.app, scope("/broken"))
    exchange = the_one(caplog)
    assert (exchange.status, exchange.cut) == (200, "client")


def test_what_the_service_cuts_when_it_ends_is_503(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As its server answers where no answer had begun."""

    async def endpoint(request: Request) -> Response:
        raise asyncio.CancelledError

    with broken(tmp_path, endpoint) as service, pytest.raises(asyncio.CancelledError):
        Client().ask(service.app, scope("/broken"))
    exchange = the_one(caplog)
    assert (exchange.status, exchange.cut) == (503, "service")


# Lines


class Written:
    """What a process writes that was configured so."""

    def __init__(self, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stream = stream
        self._monkeypatch = monkeypatch

    def configured(self, log_format: Literal["text", "json"], level: Literal["debug", "info"] = "info") -> None:
        self._monkeypatch.setattr(sys, "stderr", self._stream)
        lines.configure(settings(log_format=log_format, log_level=level))

    def lines(self) -> list[str]:
        """Since it was asked before."""
        found = self._stream.getvalue().split("\n")[:-1]
        self._stream.seek(0)
        self._stream.truncate()
        return found


_TOUCHED = (
    "uploadkit",
    *lines._TALKATIVE,
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "uvicorn.asgi",
    "a",
    "anything",
)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """Loggers are as they were afterwards."""
    loggers = [logging.getLogger(), *map(logging.getLogger, _TOUCHED)]
    before = [(each, each.level, each.handlers[:], each.propagate, each.disabled) for each in loggers]
    try:
        yield Written(io.StringIO(), monkeypatch)
    finally:
        logging.captureWarnings(False)
        for each, level, handlers, propagate, disabled in before:
            each.setLevel(level)
            each.handlers[:], each.propagate, each.disabled = handlers, propagate, disabled


def answered(**more: Any) -> None:
    """Logs a request."""
    exchange = replace(
        Exchange(
            request="r1",
            method="GET",
            path="/",
            route="/",
            status=200,
            seconds=0.0123456,
            received=0,
            sent=2,
            client="127.0.0.1",
            owner="ann",
            batch=None,
            uploads=(),
            code=None,
            cut=None,
        ),
        **more,
    )
    words = exchange.method, exchange.path, exchange.status
    logging.getLogger("uploadkit.service.requests").info("%s %s %d", *words, extra={"exchange": exchange})


HOSTILE = "\r\n2026-01-01 INFO forged\x1b[31m\u2028\udc80"


@pytest.mark.parametrize("form", ["text", "json"])
def test_lines_cannot_be_forged(written: Written, form: Literal["text", "json"]) -> None:
    """Neither by a path nor by an owner's name, nor by what an exception says."""
    written.configured(form)
    answered(path=f"/{HOSTILE}", owner=HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("uploadkit").exception("it says %s", HOSTILE)
    first, second, *raised = written.lines()
    assert all(line.isprintable() for line in (first, second, *raised))
    if form == "text":
        assert " INFO [" in first
        assert " ERROR [" in second
        assert all(line.startswith("  | ") for line in raised)
    else:
        assert raised == []
        assert json.loads(first)["owner"] == HOSTILE
        assert HOSTILE in json.loads(second)["exception"]


def test_a_line_of_json_has_what_is_known_of_the_request(written: Written) -> None:
    written.configured("json")
    answered(uploads=("u1", "u2"), batch="b")
    [line] = written.lines()
    told = json.loads(line)
    assert told.pop("ts").endswith("Z")
    assert told.pop("process") > 0
    assert told == {
        "level": "info",
        "logger": "uploadkit.service.requests",
        "message": "GET / 200",
        "request": "r1",
        "method": "GET",
        "path": "/",
        "route": "/",
        "status": 200,
        "seconds": 0.012346,
        "received": 0,
        "sent": 2,
        "client": "127.0.0.1",
        "owner": "ann",
        "batch": "b",
        "uploads": ["u1", "u2"],
    }


def test_a_line_of_text_has_it_too(written: Written) -> None:
    written.configured("text")
    answered(uploads=("u1", "u2"), owner="ann smith", status=404, code="not_found")
    [line] = written.lines()
    assert line.endswith(
        "uploadkit.service.requests: GET / 404 request=r1 route=/ seconds=0.012346 received=0 sent=2 "
        'client=127.0.0.1 owner="ann smith" uploads=u1,u2 code=not_found'
    )


def test_what_a_record_was_given_is_a_member_of_its_line(written: Written) -> None:
    """But it takes nobody else's place."""
    written.configured("json")
    logging.getLogger("a").info(
        "said", extra={"upload": "u1", "fact": {"id": 1}, "level": "forged", "where": Path("/")}
    )
    [line] = written.lines()
    told = json.loads(line)
    assert (told["upload"], told["fact"], told["level"], told["where"]) == ("u1", {"id": 1}, "info", "/")


@pytest.mark.parametrize(
    "said",
    [
        "GET /files/1?signature=SECRET&expires=1 HTTP/1.1",
        "cannot connect to redis://default:SECRET@127.0.0.1:6379/0",
        "postgresql+psycopg://uploads:SECRET@db/uploads",
        "Authorization: Bearer SECRET",
        "authorization: bearer SECRET, and more",
        "https://bucket.s3.amazonaws.com/key?X-Amz-Credential=A&X-Amz-Signature=SECRET is gone",
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_written(written: Written, form: Literal["text", "json"], said: str) -> None:
    """Not by who writes a line without a thought of it, either, and not by what an exception says."""
    written.configured(form)
    logging.getLogger("a").warning(said)
    try:
        raise OSError(said)
    except OSError:
        logging.getLogger("a").exception("failed")
    lines = written.lines()
    assert "…" in "\n".join(lines) or "\\u2026" in "\n".join(lines)
    assert "SECRET" not in "\n".join(lines)


def test_what_others_say_at_debug_is_not_written(written: Written) -> None:
    """Clients of S3 write their signatures there."""
    written.configured("text", "debug")
    for name in ("botocore.auth", "httpx", "anything"):
        logging.getLogger(name).debug("private")
    logging.getLogger("httpx").info("private")
    logging.getLogger("uploadkit.storage").debug("ours")
    assert [line.rpartition(" ")[2] for line in written.lines()] == ["ours"]


def test_the_servers_own_lines_are_of_the_same_form(written: Written) -> None:
    """But for its lines of requests, which would have the queries."""
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(sys.stdout))  # as its own configuration does
    logging.getLogger("uvicorn").propagate = False
    written.configured("json")
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 1)
    logging.getLogger("uvicorn.access").info("GET /?signature=SECRET")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(False)
        logging.captureWarnings(True)  # within the block, which would put back what it found
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert [json.loads(line)["logger"] for line in written.lines()] == ["uvicorn.error", "py.warnings"]


def test_every_line_of_a_request_has_its_id(tmp_path: Path) -> None:
    """Those of worker threads too."""
    seen: list[str | None] = []

    async def endpoint(request: Request) -> Response:
        def log() -> None:
            record = logging.makeLogRecord({})
            lines._note_request(record)
            seen.append(record.request)  # type: ignore[attr-defined]

        log()
        await asyncio.to_thread(log)
        return Response()

    with broken(tmp_path, endpoint) as client:
        given = client.get("/broken").headers["x-request-id"]
    assert seen == [given, given]
