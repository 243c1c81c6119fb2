"""Addresses as nobody should write them: each is answered by problem details, and none is a fault of the service."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.service.listening import app_of, listening
from tests.service.test_owners import OF_TUS

from uploadkit.service.app import routes

ROUTES = {route.path for route in routes() if isinstance(route, Route)}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "BREW")


BEGINS = {"/direct/s3/params"}
"""What GET begins here, as Uppy has it, HEAD does not."""


def asked(path: str) -> str:
    """With something in the place of each parameter: a name, or a number where it is one."""
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: "1" if found[2] else found[1], path)


def methods_of(path: str) -> set[str]:
    found = [route for route in routes() if isinstance(route, Route) and route.path == path]
    return {method for route in found for method in route.methods or ()}


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_a_method_that_a_route_has_not_is_refused_with_those_that_it_has(service: TestClient, path: str) -> None:
    """Also OPTIONS, where no origin may use the service. Of a path that several routes share all methods are named."""
    has = methods_of(path)
    for method in sorted(set(METHODS) - has):
        answer = service.request(method, asked(path))
        assert answer.status_code == 405, method
        assert answer.headers["content-type"] == "application/problem+json"
        assert method == "HEAD" or answer.json()["code"] == "method_not_allowed"
        assert set(answer.headers["allow"].split(", ")) == has


@pytest.mark.parametrize("path", sorted(ROUTES - {"/"}))
def test_a_slash_too_much_leads_nowhere(service: TestClient, path: str) -> None:
    """It is not redirected: that would be to an address made of the Host that was sent, and would send a body twice."""
    for method in sorted(methods_of(path)):
        answer = service.request(method, asked(path) + "/", follow_redirects=False)
        assert answer.status_code == 404
        assert method == "HEAD" or answer.json()["code"] == "not_found"


STRANGE = [
    "%00",
    "%00" * 1000,
    "a%2Fb",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%ff%fe",
    "%ed%a0%80",
    "%",
    "%zz",
    "%F0%9F%98%80",
    "..;",
    "a" * 60_000,
    "%0d%0aSet-Cookie:a=b",
    "'%20OR%201=1--",
    "{upload}",
    "+",
    "%20",
]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda text: text[:20])
@pytest.mark.parametrize("path", sorted(path for path in ROUTES if "{" in path))
def test_a_strange_name_in_a_path_is_not_found(service: TestClient, path: str, strange: str) -> None:
    """Whatever it is: a NUL, a slash or half a character in percents, or more of it than anybody needs."""
    prefix, _, rest = path.partition("{")
    _, _, suffix = rest.partition("}")
    for method in sorted(methods_of(path)):
        headers = OF_TUS | ({"X-HTTP-Method-Override": "PATCH"} if method == "POST" else {})
        answer = service.request(method, prefix + strange + suffix, headers=headers if prefix == "/tus/" else {})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("strange", STRANGE, ids=lambda text: text[:20])
def test_a_strange_value_in_a_query_is_refused(service: TestClient, strange: str) -> None:
    for name, status in (("status", 422), ("limit", 422), ("after", 404)):
        answer = service.get(f"/uploads?{name}={strange}")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), name


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/xml;q=1, */*;q=0", "nonsense", ""])
@pytest.mark.parametrize("path", ["/uploads", "/uploads/none", "/files/none", "/files/none/none", "/nowhere"])
def test_what_is_answered_depends_on_no_accept(service: TestClient, path: str, accept: str) -> None:
    """JSON and problem details, also to who would rather have something else (RFC 9110, 12.4.1)."""
    answer = service.get(path, headers={"Accept": accept})
    kind = "application/json" if path == "/uploads" else "application/problem+json"
    assert answer.headers["content-type"] == kind
    assert answer.status_code == (200 if path == "/uploads" else 404)


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_head_is_answered_as_get_is_without_its_body(service: TestClient, path: str) -> None:
    if "GET" not in methods_of(path) or path in BEGINS:
        return
    head, get = service.head(asked(path)), service.get(asked(path))
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


WIRE = {
    b"GET /uploads/" + b"a" * 50_000: 404,  # of more than 64 KiB versions of httptools think differently
    b"GET /uploads/\x00\xff": 400,  # uvicorn's own answer, to what it does not read
    b"GET /uploads/%00%ff%ed%a0%80": 404,
    b"GET /uploads/%zz%2": 404,
    b"GET //uploads": 404,
    b"GET /uploads?status=%00&after=%ff": 422,
    b"GET http://127.0.0.1/healthz": 200,
    b"OPTIONS *": 404,
    b"OPTIONS /uploads": 405,
}


def test_a_server_takes_none_of_them_for_a_fault(tmp_path: Path) -> None:
    """The same over a socket, where a server reads the line of the request first."""
    with listening(app_of(tmp_path)) as server:
        for line, status in WIRE.items():
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
                connection.sendall(line + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                with connection.makefile("rb") as answer:
                    assert int(answer.readline().split()[1]) == status, line[:40]
