"""Headers of every answer, the names by which a service may be called, and what pages of others may do."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.testclient import TestClient
from uvicorn.config import HTTPProtocolType

from uploadkit.service.safety import is_loopback
from uploadkit.service.settings import Settings

from .conftest import Serve
from .listening import app_of, listening
from .test_callers import bearer, rule

OWN = "http://127.0.0.1:8000"

DEFAULTS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


# Headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/uploads", {}, 200),
        ("HEAD", "/uploads", {}, 200),
        ("GET", "/uploads/nothing", {}, 404),
        ("GET", "/nowhere", {}, 404),
        ("PATCH", "/uploads", {}, 405),
        ("POST", "/uploads", {"Content-Type": "text/plain"}, 415),
        ("POST", "/uploads", {"Origin": "http://evil.example"}, 403),
        ("GET", "/uploads", {"Host": "evil.example"}, 421),
        ("GET", "/healthz", {}, 200),
    ],
)
def test_every_answer_has_headers_of_safety(
    service: TestClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = service.request(method, path, headers=headers)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in DEFAULTS} == DEFAULTS
    assert "strict-transport-security" not in answer.headers


def test_what_must_say_who_it_is_has_them_too(serve: Serve) -> None:
    answer = serve(tokens=(rule(),)).get("/uploads")
    assert answer.status_code == 401
    assert {name: answer.headers.get(name) for name in DEFAULTS} == DEFAULTS


def test_what_fails_has_them_too(serve: Serve) -> None:
    """Also where nobody foresaw it."""

    def failing(request: Request) -> str:
        raise LookupError("the sessions are gone")

    service = serve(authenticate=failing, cors_origins=("https://app.example.org",))
    answer = service.get("/uploads", headers={"Origin": "https://app.example.org"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert {name: answer.headers.get(name) for name in DEFAULTS} == DEFAULTS
    assert answer.headers["access-control-allow-origin"] == "https://app.example.org"


def test_https_is_for_good_where_it_was_used(service: TestClient) -> None:
    """By what the server says of the request: a header of a client's makes no https."""
    assert service.get("https://127.0.0.1/healthz").headers["strict-transport-security"] == "max-age=31536000"
    answer = service.get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert "strict-transport-security" not in answer.headers


def test_an_answers_own_headers_stay(service: TestClient) -> None:
    """The page and files say what they need, once."""
    for path in ("/", "/openapi.json", "/metrics"):
        headers = service.get(path).headers
        for name in DEFAULTS:
            assert len(headers.get_list(name)) == 1, (path, name)


# Names


LOCAL = [
    "127.0.0.1",
    "127.0.0.1:8000",
    "LOCALHOST:1",
    "localhost.",
    "app.localhost",
    "[::1]:80",
    "127.1.2.3",
    "localhost:",
]
OTHERS = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evillocalhost",
    "192.0.2.1",
    "0.0.0.0",
    "[::]",
    "[::ffff:192.0.2.1]",
    "user@localhost",
    "localhost/",
    "localhost:80:80",
    "localhost:8000x",
    "local host",
    "",
    "[localhost]",
    "127.1",
    "2130706433",
]


@pytest.mark.parametrize("host", LOCAL)
def test_an_open_service_of_this_machine_is_called_by_its_names(service: TestClient, host: str) -> None:
    assert service.get("/uploads", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", OTHERS)
def test_an_open_service_of_this_machine_is_called_by_no_other_name(service: TestClient, host: str) -> None:
    """A page whose own name leads to 127.0.0.1 would be of the same origin, and read and write all there is."""
    answer = service.get("/uploads", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "wrong_host")
    assert service.post("/uploads", files=[("f", ("1", b"one"))], headers={"Host": host}).status_code == 421
    assert service.get("/uploads").json()["uploads"] == []


def test_health_is_asked_by_address(service: TestClient) -> None:
    """What runs containers knows no names."""
    assert service.get("/healthz", headers={"Host": "10.0.0.7:8000"}).status_code == 200
    assert service.get("/readyz", headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_names_of_the_settings_are_the_only_ones(serve: Serve) -> None:
    """But for this machine's own, where nobody else is listened to."""
    here = serve(hosts=("Uploads.Example.org", "[2001:db8::1]"))
    elsewhere = serve(hosts=("uploads.example.org",), host="0.0.0.0", tokens=(rule("a"),))
    for name in ("uploads.example.org", "UPLOADS.example.org:8443", "uploads.example.org."):
        assert here.get("/uploads", headers={"Host": name}).status_code == 200
        assert elsewhere.get("/uploads", headers={"Host": name} | bearer("a")).status_code == 200
    assert here.get("/uploads", headers={"Host": "[2001:db8::1]:80"}).status_code == 200
    assert here.get("/uploads", headers={"Host": "localhost"}).status_code == 200
    for name in ("localhost", "evil.example", "x.uploads.example.org"):
        assert elsewhere.get("/uploads", headers={"Host": name} | bearer("a")).status_code == 421


def test_who_asks_for_a_token_may_be_called_as_one_likes(serve: Serve) -> None:
    """A page that gets there by another name knows no token; a gateway calls by whatever name it was called."""
    service = serve(tokens=(rule("a"),))
    assert service.get("/uploads", headers={"Host": "uploads.example.org"} | bearer("a")).status_code == 200
    service = serve(authenticate=lambda request: "ann")
    assert service.get("/uploads", headers={"Host": "uploads.example.org"}).status_code == 200


def test_a_service_that_is_open_to_others_may_be_called_as_one_likes(serve: Serve) -> None:
    service = serve(host="0.0.0.0", open=True)
    assert service.get("/uploads", headers={"Host": "192.0.2.7:8000"}).status_code == 200


def test_two_hosts_are_none(serve: Serve) -> None:
    """A proxy may have gone by the one, and we by the other."""
    for service in (serve(), serve(tokens=(rule("a"),))):
        answer = service.get("/healthz", headers=[("Host", "127.0.0.1"), ("Host", "127.0.0.1")])
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("name", ["https://a.example", "a.example:80", "a.example/", "*", "", "a b"])
def test_a_name_that_is_none_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="hosts"):
        Settings.load(data=tmp_path, hosts=(name,))


def test_below_a_path_of_an_application_it_is_as_safe(service: TestClient) -> None:
    """Addresses are known again there, and those that it tells lead back to it."""
    mounted = TestClient(Starlette(routes=[Mount("/inbox", service.app)]), base_url="http://127.0.0.1:8000")
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert mounted.get("/inbox/direct/s3/params", headers=cross).json()["code"] == "wrong_origin"
    assert mounted.get("/inbox/healthz", headers={"Host": "10.0.0.9"}).status_code == 200
    assert mounted.get("/inbox/uploads", headers={"Host": "10.0.0.9"}).status_code == 421
    tus = {"Tus-Resumable": "1.0.0"}
    location = mounted.post("/inbox/tus/", headers={**tus, "Upload-Length": "9"}).headers["Location"]
    assert mounted.head(location, headers=tus).headers["Upload-Offset"] == "0"


def test_this_machines_own_names_are_known() -> None:
    local = ("127.0.0.1", "::1", "localhost", "[::1]", "127.255.0.1")
    assert all(map(is_loopback, local))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.0.2.1", "example.org", "")))


# Pages of others


def sent_by(client: TestClient, **headers: str) -> int:
    """A form, as a page may send it to anybody without asking."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.post("/uploads", files=[("f", ("1.txt", b"one"))], headers=names)
    if answer.status_code == 403:
        assert answer.json()["code"] == "wrong_origin"
    return answer.status_code


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1"},  # another port
    {"Origin": "http://localhost:8000"},  # another name of the same
    {"Origin": "https://127.0.0.1:8000"},
    {"Origin": "http://127.0.0.1:8000.evil.example"},
    {"Origin": "http://evil.example", "Sec_Fetch_Site": "cross-site"},
    {"Origin": "http://127.0.0.1:3000", "Sec_Fetch_Site": "same-site"},
    {"Origin": OWN, "Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "whatever"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_origin_uploads_nothing(service: TestClient, headers: dict[str, str]) -> None:
    assert sent_by(service, **headers) == 403
    assert service.get("/uploads").json()["uploads"] == []


def test_a_page_of_another_origin_changes_nothing_by_any_method(service: TestClient) -> None:
    upload = service.post("/uploads", files=[("f", ("1.txt", b"one"))]).json()["uploads"][0]["id"]
    for method in ("DELETE", "PUT", "PATCH", "POST", "MOVE"):
        answer = service.request(method, f"/uploads/{upload}", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403
    assert service.get(f"/uploads/{upload}").json()["status"] == "completed"


@pytest.mark.parametrize(
    "headers",
    [
        {},  # no browser
        {"Origin": OWN},
        {"Origin": OWN, "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},  # somebody at the address bar
    ],
    ids=str,
)
def test_the_services_own_page_may_upload(service: TestClient, headers: dict[str, str]) -> None:
    assert sent_by(service, **headers) == 202


def test_a_browser_that_says_so_is_believed_behind_a_proxy_that_is_not(service: TestClient) -> None:
    """It knows of https, and of the port, where the proxy has told neither. No page can say it for the browser."""
    assert sent_by(service, Origin="https://127.0.0.1", Sec_Fetch_Site="same-origin") == 202


def test_the_origin_is_that_of_https_where_the_server_says_so(serve: Serve) -> None:
    service = serve(hosts=("uploads.example.org",))
    own = "https://uploads.example.org"
    for origin, status in ((own, 202), ("http://uploads.example.org", 403)):
        answer = service.post(f"{own}/uploads", files=[("f", ("1.txt", b"one"))], headers={"Origin": origin})
        assert answer.status_code == status


def test_two_origins_are_another(service: TestClient) -> None:
    for name, value in (("Origin", OWN), ("Sec-Fetch-Site", "same-origin")):
        answer = service.delete("/uploads/x", headers=[(name, value), (name, value)])
        assert answer.status_code == 403


def test_reading_is_for_everybody_who_may(service: TestClient) -> None:
    """A page of another origin may send it, and is not given the answer."""
    answer = service.get("/uploads", headers={"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_what_is_refused_is_not_counted(serve: Serve) -> None:
    """Otherwise a page could use up what its visitor may."""
    service = serve(rate="1/minute")
    for _ in range(3):
        assert sent_by(service, Origin="http://evil.example") == 403
        assert service.get("/uploads", headers={"Host": "evil.example"}).status_code == 421
    assert service.get("/uploads").status_code == 200


# CORS


APP = "https://app.example.org"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


def test_no_origin_is_let_in_by_default(service: TestClient) -> None:
    answer = service.options("/uploads", headers={"Origin": APP, **PREFLIGHT})
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_named_origin_may_do_all_that_there_is_to_do(serve: Serve) -> None:
    service = serve(cors_origins=(APP,), tokens=(rule("a"),))
    for method in ("GET", "HEAD", "POST", "DELETE"):
        for name in ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Range"):
            asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": name.lower()}
            answer = service.options("/uploads", headers={"Origin": APP, **asked})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, APP)
    assert sent_by(service, Origin=APP, Sec_Fetch_Site="cross-site", **bearer("a")) == 202
    answer = service.get("/uploads", headers={"Origin": APP} | bearer("a"))
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["vary"] == "Origin"
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"ETag", "Content-Range", "Retry-After", "WWW-Authenticate"} <= set(exposed)
    refused = service.get("/uploads", headers={"Origin": APP})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, APP)


@pytest.mark.parametrize("asked", [{"Access-Control-Request-Method": "PUT"}, {"Access-Control-Request-Headers": "x-a"}])
def test_a_named_origin_may_do_nothing_else(serve: Serve, asked: dict[str, str]) -> None:
    service = serve(cors_origins=(APP,))
    assert service.options("/uploads", headers={"Origin": APP, **PREFLIGHT, **asked}).status_code == 400


@pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example.org", f"{APP}.evil.example", "null"])
def test_an_origin_that_is_not_named_is_let_in_nowhere(serve: Serve, origin: str) -> None:
    service = serve(cors_origins=(APP,))
    answer = service.options("/uploads", headers={"Origin": origin, **PREFLIGHT})
    assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (400, None)
    assert sent_by(service, Origin=origin) == 403
    assert "access-control-allow-origin" not in service.get("/uploads", headers={"Origin": origin}).headers


def test_all_origins_never_come_with_cookies(serve: Serve) -> None:
    service = serve(cors_origins=("*",))
    for answer in (
        service.get("/uploads", headers={"Origin": "https://a.example"}),
        service.get("/uploads", headers={"Origin": "https://a.example", "Cookie": "a=b"}),
        service.options("/uploads", headers={"Origin": "https://a.example", **PREFLIGHT}),
    ):
        assert answer.status_code == 200
        assert "access-control-allow-credentials" not in answer.headers
    assert sent_by(service, Origin="https://a.example") == 202


def test_cookies_come_from_named_origins(serve: Serve) -> None:
    service = serve(cors_origins=(APP,), authenticate=lambda request: request.cookies.get("user"))
    answer = service.get("/uploads", headers={"Origin": APP, "Cookie": "user=ann"})
    assert (answer.status_code, answer.headers["access-control-allow-credentials"]) == (200, "true")
    assert answer.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize(
    "origin",
    ["app.example.org", f"{APP}/", f"{APP}/path", "null", "", "https://*.example.org", "ftp://a.example", "https://A"],
)
def test_an_origin_that_is_none_is_refused_at_the_start(tmp_path: Path, origin: str) -> None:
    """As it would be by browsers, which send it in small letters and without a path: it would never agree."""
    with pytest.raises(ValueError, match="cors-origins"):
        Settings.load(data=tmp_path, cors_origins=(origin,))


# What is said again


@pytest.mark.parametrize("text", ["%0d%0aSet-Cookie:%20a=b", "\r\nSet-Cookie: a=b", "<script>"])
def test_nothing_that_a_client_says_becomes_a_header(service: TestClient, text: str) -> None:
    """Neither of a path, nor of a query, nor of a header that is refused."""
    quoted = text.replace("\r\n", "%0d%0a").replace(" ", "%20")
    for answer in (
        service.get(f"/uploads/{quoted}"),
        service.get(f"/{quoted}/"),
        service.get(f"/uploads/{quoted}/"),
        service.get(f"/uploads?status={quoted}&after={quoted}&limit={quoted}"),
        service.get("/uploads", headers={"Origin": f"http://a{text}"}),
        service.post("/uploads", headers=[(b"idempotency-key", f"{text}ü".encode())]),
    ):
        assert answer.status_code < 500
        assert "location" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert not any("script" in value or "cookie" in value.lower() for value in answer.headers.values())


def test_a_name_that_is_refused_is_not_said_again(service: TestClient) -> None:
    answer = service.get("/uploads", headers={"Host": "<script>.example"})
    assert "script" not in answer.text


# Behind a proxy


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize(("proxies", "believed"), [((), False), (("127.0.0.0/8",), True), (("192.0.2.1",), False)])
def test_what_a_proxy_says_counts_where_it_is_named(
    tmp_path: Path, http: HTTPProtocolType, proxies: tuple[str, ...], believed: bool
) -> None:
    """Of https, and so of the origin; and of the client's address, by which he is counted."""
    app = app_of(tmp_path, hosts=("uploads.example.org",), trusted_proxies=proxies, rate="1/minute")
    said = {"X-Forwarded-Proto": "https", "Host": "uploads.example.org"}

    def ask(client: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{port}/uploads", headers=said | {"X-Forwarded-For": client})

    with listening(app, http=http) as server:
        port = server.port
        answers = [ask("198.51.100.1"), ask("198.51.100.2"), ask("198.51.100.3, 198.51.100.1")]
        origin = {"Origin": "https://uploads.example.org"}
        sent = httpx.delete(f"http://127.0.0.1:{port}/uploads/x", headers=said | origin)
    # A client who has said the first address himself is counted by the one that the proxy has added.
    assert [answer.status_code for answer in answers] == ([200, 200, 429] if believed else [200, 429, 429])
    assert ("strict-transport-security" in answers[0].headers) is believed
    assert (sent.status_code == 403) is not believed
