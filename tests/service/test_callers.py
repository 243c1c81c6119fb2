"""Who is let in, and who is not: by tokens, by a function of the user's, and by neither."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.testclient import TestClient

from uploadkit.service import callers
from uploadkit.service.problems import Refused
from uploadkit.service.settings import Settings, TokenRule

from .conftest import Serve, parts_of

TOKEN = "n2vYh0Sx6dQqH3bLr8TzW5cKfJ7uMgA1eRiPoXyZ4Uk"


def rule(token: str = TOKEN, owner: str = "ann", **more: Any) -> TokenRule:
    return TokenRule(owner=owner, sha256=hashlib.sha256(token.encode()).hexdigest(), **more)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def upload(client: TestClient, headers: dict[str, str]) -> str:
    answer = client.post("/uploads", files=[("f", ("1.txt", b"one"))], headers=headers)
    assert answer.status_code == 202, answer.text
    upload: str = answer.json()["uploads"][0]["id"]
    return upload


def owner_of(client: TestClient, headers: dict[str, str]) -> str | None:
    return parts_of(client).pipeline.ledger.get(upload(client, headers)).owner


# Tokens


def test_a_token_says_whose_an_upload_is(serve: Serve) -> None:
    service = serve(tokens=(rule(), rule("another", "bob")))
    assert owner_of(service, bearer(TOKEN)) == "ann"
    assert owner_of(service, bearer("another")) == "bob"
    assert owner_of(service, {"Authorization": f"bEARER  {TOKEN} "}) == "ann"


def test_several_tokens_of_an_owner_are_good_at_a_time(serve: Serve) -> None:
    service = serve(tokens=(rule(), rule("another")))
    assert owner_of(service, bearer(TOKEN)) == owner_of(service, bearer("another")) == "ann"


def test_a_token_ends_when_it_expires(serve: Serve) -> None:
    now = datetime.now(UTC)
    service = serve(
        tokens=(
            rule("over", expires_at=now - timedelta(seconds=1)),
            rule("good", expires_at=now + timedelta(hours=1)),
        )
    )
    assert service.get("/uploads", headers=bearer("good")).status_code == 200
    assert service.get("/uploads", headers=bearer("over")).status_code == 401


def test_who_sends_nothing_is_asked_for_a_token(serve: Serve) -> None:
    answer = serve(tokens=(rule(),)).get("/uploads")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="uploads"'
    assert answer.headers["content-type"] == "application/problem+json"


MALFORMED = {
    "another": f"Bearer {TOKEN[:-1]}",
    "its beginning": f"Bearer {TOKEN[:5]}",
    "its hash": f"Bearer {hashlib.sha256(TOKEN.encode()).hexdigest()}",
    "nothing": "Bearer ",
    "two words": f"Bearer {TOKEN} {TOKEN}",
    "two with a comma": f"Bearer {TOKEN}, Bearer {TOKEN}",
    "in quotes": f'Bearer "{TOKEN}"',
    "a parameter": f"Bearer token={TOKEN} ",
    "huge": "Bearer " + "a" * 60_000,
    "much of nothing": "Bearer" + " " * 60_000 + "?",
    "not ASCII": "Bearer gr\xfc\xdfe",
    "NUL": "Bearer a\x00b",
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_token_of_ours_is_not_valid(serve: Serve, value: str) -> None:
    answer = serve(tokens=(rule(),)).get("/uploads", headers=[(b"authorization", value.encode("latin-1"))])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="uploads", error="invalid_token"'


@pytest.mark.parametrize(
    "value", ["Basic YTpi", TOKEN, f"Token {TOKEN}", f"Bearer\t{TOKEN}"], ids=["basic", "bare", "token", "tab"]
)
def test_what_is_no_bearer_token_is_asked_for_one(serve: Serve, value: str) -> None:
    answer = serve(tokens=(rule(),)).get("/uploads", headers={"Authorization": value})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="uploads"')


def test_two_tokens_are_none(serve: Serve) -> None:
    """A proxy may have read the one, and we the other. Nobody is asked which it is."""
    asked: list[Request] = []

    def authenticate(request: Request) -> str:
        asked.append(request)
        return "ann"

    service = serve(tokens=(rule(),), authenticate=authenticate)
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    assert service.get("/uploads", headers=headers).status_code == 401
    assert asked == []


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "bearer", "api_key"])
def test_a_token_in_an_address_or_a_cookie_is_none(serve: Serve, name: str) -> None:
    """Addresses stand in logs and in the history of browsers; cookies are sent for pages of others."""
    service = serve(tokens=(rule(),))
    assert service.get("/uploads", params={name: TOKEN}).status_code == 401
    assert service.get("/uploads", headers={"Cookie": f"{name}={TOKEN}"}).status_code == 401
    answer = service.post("/uploads", files=[("f", ("1.txt", b"one"))], data={name: TOKEN})
    assert answer.status_code == 401


def test_all_tokens_are_compared_in_constant_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their hashes, each of them, also after one was found."""
    compared: list[tuple[Any, Any]] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    rules = (rule(), rule("another", "bob"), rule("third", "cid"))
    service = serve(tokens=rules)
    monkeypatch.setattr(callers, "hmac", type("hmac", (), {"compare_digest": staticmethod(compare)}))
    for token in (TOKEN, "third", "none"):
        compared.clear()
        service.get("/uploads", headers=bearer(token))
        told = hashlib.sha256(token.encode()).hexdigest()
        assert compared == [(each.sha256, told) for each in rules]


# A file of tokens


def written(file: Path, *rules: tuple[str, str]) -> None:
    """As one does it: beside it, and then in its place."""
    new = file.with_suffix(".new")
    tables = [
        f'[[tokens]]\nowner = "{owner}"\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
        for token, owner in rules
    ]
    new.write_text("".join(tables))
    new.replace(file)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked at again with every request."""
    monkeypatch.setattr(callers, "LOOKED_AT_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
def test_tokens_are_rotated_without_a_restart(serve: Serve, tmp_path: Path) -> None:
    """The new one is good beside the old one, and then alone; those of the settings stay."""
    file = tmp_path / "tokens.toml"
    written(file, ("old", "ann"))
    service = serve(tokens=(rule("fixed", "bob"),), tokens_file=file)
    assert owner_of(service, bearer("old")) == "ann"
    written(file, ("old", "ann"), ("new", "ann"))
    assert owner_of(service, bearer("old")) == owner_of(service, bearer("new")) == "ann"
    written(file, ("new", "ann"))
    assert service.get("/uploads", headers=bearer("old")).status_code == 401
    assert owner_of(service, bearer("new")) == "ann"
    assert owner_of(service, bearer("fixed")) == "bob"
    written(file)
    assert service.get("/uploads", headers=bearer("new")).status_code == 401


def test_a_file_of_tokens_is_looked_at_once_a_second(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that is not set."""
    now = 1000.0
    monkeypatch.setattr(callers, "time", type("time", (), {"monotonic": staticmethod(lambda: now)}))
    file = tmp_path / "tokens.toml"
    written(file, ("old", "ann"))
    service = serve(tokens_file=file)
    written(file, ("new", "ann"))
    now += 0.9
    assert service.get("/uploads", headers=bearer("old")).status_code == 200
    now += 0.2
    assert service.get("/uploads", headers=bearer("old")).status_code == 401
    assert service.get("/uploads", headers=bearer("new")).status_code == 200


BROKEN = {
    "no TOML": "[[tokens]\n",
    "no hash": '[[tokens]]\nowner = "ann"\n',
    "no owner": f'[[tokens]]\nowner = ""\nsha256 = "{"0" * 64}"\n',
    "a token where its hash belongs": f'[[tokens]]\nowner = "ann"\nsha256 = "{TOKEN}"\n',
    "a time without a zone": f'[[tokens]]\nowner = "ann"\nsha256 = "{"0" * 64}"\nexpires_at = 2027-01-01T00:00:00\n',
    "something else": '[tokens]\nowner = "ann"\n',
    "a word that means nothing": f'[[tokens]]\nowner = "ann"\nsha256 = "{"0" * 64}"\nexpire = 3\n',
}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_new_file_keeps_the_tokens_that_were(
    serve: Serve, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """That is said once, without a token, and is over when the file is mended."""
    file = tmp_path / "tokens.toml"
    written(file, ("old", "ann"))
    service = serve(tokens_file=file)
    file.write_text(text)
    for _ in range(3):
        assert service.get("/uploads", headers=bearer("old")).status_code == 200
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1
    assert "those that it had stay" in said[0].getMessage()
    assert TOKEN not in caplog.text
    written(file, ("new", "ann"))
    assert service.get("/uploads", headers=bearer("new")).status_code == 200
    assert service.get("/uploads", headers=bearer("old")).status_code == 401


@pytest.mark.usefixtures("at_once")
def test_a_file_that_is_gone_keeps_the_tokens_that_were(serve: Serve, tmp_path: Path) -> None:
    """It may be about to come back. An empty one takes them all."""
    file = tmp_path / "tokens.toml"
    written(file, ("old", "ann"))
    service = serve(tokens_file=file)
    file.unlink()
    assert service.get("/uploads", headers=bearer("old")).status_code == 200
    file.write_text("")
    assert service.get("/uploads", headers=bearer("old")).status_code == 401


@pytest.mark.parametrize("text", [None, *BROKEN.values()], ids=["none", *BROKEN.keys()])
def test_a_service_does_not_begin_with_a_broken_file(serve: Serve, tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "tokens.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match="tokens_file") as caught:
        serve(tokens_file=file)
    assert TOKEN not in str(caught.value)


def test_an_empty_file_opens_nothing(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text("")
    assert serve(tokens_file=file).get("/uploads").status_code == 401


def test_a_file_may_say_when_a_token_expires(serve: Serve, tmp_path: Path) -> None:
    """As a time of TOML, or as a text."""
    hashed = [hashlib.sha256(token.encode()).hexdigest() for token in ("a", "b", "c")]
    file = tmp_path / "tokens.toml"
    file.write_text(
        f'[[tokens]]\nowner = "ann"\nsha256 = "{hashed[0]}"\nexpires_at = 2999-01-01T00:00:00Z\n'
        f'[[tokens]]\nowner = "ann"\nsha256 = "{hashed[1]}"\nexpires_at = "2999-01-01T00:00:00+01:00"\n'
        f'[[tokens]]\nowner = "ann"\nsha256 = "{hashed[2]}"\nexpires_at = 2001-01-01T00:00:00Z\n'
    )
    service = serve(tokens_file=file)
    told = [service.get("/uploads", headers=bearer(token)).status_code for token in "abc"]
    assert told == [200, 200, 401]


def test_settings_do_not_show_what_is_wrong_with_a_token(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sha256") as caught:
        Settings.load(data=tmp_path, tokens=({"owner": "ann", "sha256": TOKEN},), secret="too short")
    assert TOKEN not in str(caught.value)
    assert "too short" not in str(caught.value)


# The user's own function


def by_header(request: Request) -> str | None:
    return request.headers.get("x-user")


async def by_header_async(request: Request) -> str | None:
    await asyncio.sleep(0)
    return request.headers.get("x-user")


class ByHeader:
    async def __call__(self, request: Request) -> str | None:
        return request.headers.get("x-user")


@pytest.mark.parametrize("authenticate", [by_header, by_header_async, ByHeader(), lambda each: by_header_async(each)])
def test_a_function_says_whose_a_request_is(serve: Serve, authenticate: Any) -> None:
    service = serve(authenticate=authenticate)
    assert owner_of(service, {"X-User": "ann"}) == "ann"
    answer = service.get("/uploads")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="uploads"'


def test_a_function_is_found_by_its_name(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADKIT_AUTHENTICATE", f"{__name__}:by_header")
    service = serve()
    assert owner_of(service, {"X-User": "ann"}) == "ann"
    assert service.get("/uploads").status_code == 401


def test_a_function_that_may_block_runs_in_a_thread(serve: Serve) -> None:
    ran: list[tuple[int, bool]] = []

    def sync(request: Request) -> str:
        ran.append((threading.get_ident(), _has_loop()))
        return "ann"

    async def asynchronous(request: Request) -> str:
        ran.append((threading.get_ident(), _has_loop()))
        return "ann"

    for authenticate in (sync, asynchronous):
        assert serve(authenticate=authenticate).get("/uploads").status_code == 200
    assert [has_loop for _, has_loop in ran] == [False, True]


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def test_a_token_is_looked_at_before_the_function_is_asked(serve: Serve) -> None:
    """Who sends one means it; whoever has none of the settings is the function's, also with a token of its own."""
    asked: list[str | None] = []

    def authenticate(request: Request) -> str | None:
        asked.append(request.headers.get("authorization"))
        return "by cookie" if "cookie" in request.headers else None

    service = serve(tokens=(rule(),), authenticate=authenticate)
    assert owner_of(service, {**bearer(TOKEN), "Cookie": "a=b"}) == "ann"
    assert asked == []
    assert owner_of(service, {"Cookie": "a=b"}) == "by cookie"
    assert owner_of(service, {**bearer("its own"), "Cookie": "a=b"}) == "by cookie"
    assert service.get("/uploads", headers=bearer("nobody's")).status_code == 401
    assert len(asked) == 3


def test_a_function_may_refuse_in_its_own_words(serve: Serve) -> None:
    def authenticate(request: Request) -> str:
        raise Refused(403, "not_paid", "the month is over", headers={"X-Why": "money"})

    answer = serve(authenticate=authenticate).get("/uploads")
    assert (answer.status_code, answer.json()["code"], answer.headers["x-why"]) == (403, "not_paid", "money")


def failing(error: Exception) -> Callable[[Request], str]:
    def authenticate(request: Request) -> str:
        raise error

    return authenticate


RAISED = [KeyError(TOKEN), PermissionError("no"), HTTPException(200), TimeoutError(), StopIteration()]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_a_function_that_fails_lets_nobody_in(serve: Serve, error: Exception) -> None:
    service = serve(authenticate=failing(error))
    answer = service.post("/uploads", files=[("f", ("1.txt", b"one"))])
    assert answer.status_code == 500
    assert TOKEN not in answer.text
    assert parts_of(service).pipeline.ledger.find() == []


@pytest.mark.parametrize("owner", ["", "x" * 256, "a\0b", "\udc80", b"ann", 7, True, False, 0, ["ann"]], ids=repr)
def test_an_owner_that_cannot_be_is_a_mistake_of_the_program(serve: Serve, owner: Any) -> None:
    service = serve(authenticate=lambda request: owner)
    assert service.post("/uploads", files=[("f", ("1.txt", b"one"))]).status_code == 500
    assert parts_of(service).pipeline.ledger.find() == []


def test_an_owner_may_have_255_characters_of_any_script(serve: Serve) -> None:
    assert owner_of(serve(authenticate=lambda request: "é" * 255), {}) == "é" * 255


def test_a_function_reads_no_body(serve: Serve) -> None:
    """It would be gone, and whoever is not known could have sent as much as he likes."""

    async def authenticate(request: Request) -> str:
        try:
            await request.body()
        except RuntimeError:
            return "who has read nothing"
        return "who has read"

    assert owner_of(serve(authenticate=authenticate), {}) == "who has read nothing"


# Nobody is asked


def test_an_open_service_takes_all_as_anybody(service: TestClient) -> None:
    assert owner_of(service, {}) == owner_of(service, bearer("whatever")) == callers.ANYBODY


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::/64"),
        ("", ""),
        (None, "?"),
    ],
)
def test_a_client_is_counted_by_an_address_that_he_cannot_change(host: str | None, address: str) -> None:
    scope: dict[str, Any] = {"type": "http", "headers": [], "client": None if host is None else (host, 1)}
    assert callers._address(Request(scope)) == address


# Who tries


def test_who_fails_too_often_is_not_asked_any_more(serve: Serve) -> None:
    """By address: neither the function nor anybody else is bothered. A token of the settings gets in all the same."""
    asked: list[int] = []

    def authenticate(request: Request) -> str | None:
        asked.append(1)
        return request.headers.get("x-user")

    service = serve(tokens=(rule(),), authenticate=authenticate, failed_rate="3/minute")
    told = [service.get("/uploads", headers=bearer(f"guess{number}")).status_code for number in range(5)]
    assert told == [401, 401, 401, 429, 429]
    assert len(asked) == 3
    answer = service.get("/uploads", headers={"X-User": "ann"})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert service.get("/uploads", headers=bearer(TOKEN)).status_code == 200
    assert service.get("/healthz").status_code == 200


def test_who_is_let_in_has_not_failed(serve: Serve) -> None:
    service = serve(tokens=(rule(),), failed_rate="1/minute")
    for _ in range(3):
        assert service.get("/uploads", headers=bearer(TOKEN)).status_code == 200
    assert service.get("/uploads").status_code == 401
    assert service.get("/uploads").status_code == 429


def test_a_refusal_with_401_of_the_function_has_failed(serve: Serve) -> None:
    service = serve(authenticate=failing(Refused(401, "wrong_password", "no")), failed_rate="1/minute")
    assert [service.get("/uploads").status_code for _ in range(2)] == [401, 429]


# What is told


def test_a_token_is_told_to_nobody(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the log, however much of it is written, nor in answers."""
    caplog.set_level(logging.DEBUG)

    def authenticate(request: Request) -> str | None:
        raise RuntimeError("the database is gone")

    service = serve(tokens=(rule(),), authenticate=authenticate, failed_rate="100/minute")
    wrong = secrets.token_urlsafe(32)
    answers = [
        service.get("/uploads", headers=bearer(TOKEN)),
        service.get("/uploads", headers=bearer(wrong)),
        service.post("/uploads", files=[("f", ("1.txt", b"one"))], headers=bearer(TOKEN)),
        service.post("/uploads", content=b"nothing", headers=bearer(TOKEN)),
        service.get("/uploads/nothing", headers=bearer(TOKEN)),
    ]
    assert [answer.status_code for answer in answers] == [200, 500, 202, 415, 404]
    for token in (TOKEN, wrong, rule().sha256):
        assert token not in caplog.text
        assert not any(token in answer.text + str(answer.headers) for answer in answers)
    assert "the database is gone" not in answers[1].text
