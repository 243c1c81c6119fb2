"""Who is refused in the middle of a body sees why, and the connection is right after that: on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.service.conftest import quick_pipeline
from tests.service.listening import Listening, listening
from tests.service.processes import eventually

from uploadkit.adapters import asgi
from uploadkit.adapters.problem import DRAIN_SIZE
from uploadkit.service.app import create_app
from uploadkit.service.settings import Settings, TokenRule
from uploadkit.testing import Client

BODY = bytes(5 << 20)

SOMEBODY = TokenRule(owner="ann", sha256="0" * 64)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request that is answered before its body is read. `is_closed`: who asks has to say who he is."""

    status: int
    method: str = "POST"
    path: str = "/uploads"
    host: str = "127.0.0.1"
    is_closed: bool = False


NOWHERE = Case(status=404, path="/nowhere")
TOO_LARGE = Case(status=413)

CASES = [
    Case(status=401, is_closed=True),
    NOWHERE,
    Case(status=405, method="PUT"),
    Case(status=421, host="somewhere.example"),
    TOO_LARGE,
    Case(status=200, method="GET", path="/healthz"),
]


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: str(case.status))


@dataclass(frozen=True, kw_only=True)
class Servers:
    """One that is open, and one that asks who calls."""

    opened: Listening
    closed: Listening

    def of(self, case: Case) -> Client:
        return Client((self.closed if case.is_closed else self.opened).port)


@pytest.fixture(scope="module", params=["httptools", "h11"])
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Of uvicorn, with each of its parsers."""
    folder: Path = tmp_path_factory.mktemp("service")

    def app(**settings: object) -> Listening:
        asked = Settings(data=folder, max_request_size="1 MB", rate=None, **settings)  # type: ignore[arg-type]
        served = listening(create_app(asked, pipeline=quick_pipeline(folder)), http=request.param)
        return stack.enter_context(served)

    with ExitStack() as stack:
        yield Servers(opened=app(), closed=app(tokens=(SOMEBODY,)))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody is waited for longer than a test may take."""
    monkeypatch.setattr(asgi, "DRAIN_SECONDS", 0.2)


def head(case: Case, *headers: str, version: str = "1.1", length: int = len(BODY)) -> bytes:
    lines = [f"{case.method} {case.path} HTTP/{version}", f"Host: {case.host}"]
    lines.append("Content-Type: multipart/form-data; boundary=x")
    return "\r\n".join([*lines, f"Content-Length: {length}", *headers, "", ""]).encode()


@each(CASES)
def test_the_answer_is_seen_and_the_next_request_is_right(servers: Servers, case: Case) -> None:
    with servers.of(case) as client:
        for _ in range(2):
            client.send(head(case), BODY)
            answer = client.answer()
            assert (answer.status, answer.closes) == (case.status, False)
            if case.status >= 400:
                assert answer.content_type == "application/problem+json"
        client.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.answer().json == {"status": "ok"}


@each([case for case in CASES if case is not TOO_LARGE])  # whose size is not known beforehand
def test_a_chunked_body_is_drained_as_well(servers: Servers, case: Case) -> None:
    start = head(case).replace(f"Content-Length: {len(BODY)}".encode(), b"Transfer-Encoding: chunked")
    with servers.of(case) as client:
        client.send(
            start, b"%x\r\n" % len(BODY), BODY, b"\r\n0\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )
        assert client.answer().status == case.status
        assert client.answer().json == {"status": "ok"}


@each(CASES)
@pytest.mark.parametrize("headers", [(), ("Connection: keep-alive",)], ids=["plain", "keep-alive"])
def test_an_old_client_sees_the_answer(servers: Servers, case: Case, headers: tuple[str, ...]) -> None:
    """HTTP/1.0: the connection ends with it, after the body."""
    with servers.of(case) as client:
        client.send(head(case, *headers, version="1.0"), BODY)
        assert client.answer().status == case.status
        assert client.socket.recv(1) == b""


@each(CASES)
def test_a_body_is_not_asked_for_that_is_refused(servers: Servers, hurried: None, case: Case) -> None:
    """`Expect: 100-continue` gets the refusal, and no 100 behind it. Who sends nothing then is let go."""
    with servers.of(case) as client:
        client.send(head(case, "Expect: 100-continue"))
        answer = client.answer()
        assert (answer.status, answer.closes) == (case.status, False)
        client.socket.settimeout(4)  # uvicorn waits for 5 seconds for another request
        assert client.socket.recv(1) == b""


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "drips"])
def test_a_client_that_never_ends_is_let_go(servers: Servers, hurried: None, drips: bool) -> None:
    """The server has nothing of it any more. Who drips would be read for ever."""
    with servers.of(NOWHERE) as client:
        client.send(head(NOWHERE), b"some of it")
        assert client.answer().status == 404
        if drips:
            assert client.drip(bytes(1000), every=0.02) < 1000
        else:
            assert client.socket.recv(1) == b""
        eventually(lambda: servers.opened.open_connections == 0)


def test_a_client_that_goes_on_is_read_to_its_end(servers: Servers, hurried: None) -> None:
    """More than is drained, and slowly: a browser that sends a film through a slow line sees why it was in vain."""
    size = DRAIN_SIZE + (1 << 20)
    with servers.of(NOWHERE) as client:
        client.send(head(NOWHERE, length=size), bytes(size))
        assert client.answer().status == 404
        client.send(head(NOWHERE, length=50000))
        client.send(*[bytes(10000)] * 5)
        assert client.answer().status == 404
        client.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.answer().json == {"status": "ok"}
