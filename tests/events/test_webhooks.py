"""Facts over HTTP: signed so that others can tell, taken or told as failed, and never longer than they may take."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st
from tests.events.receivers import (
    SOON,
    Answer,
    answer,
    certificate,
    closes,
    drips,
    headers_without_end,
    never,
    receiving,
    without_end,
)
from tests.events.told import FACTS_TOLD, UPLOADED
from werkzeug.datastructures import Headers

from uploadkit import UploadError
from uploadkit.errors import DeliveryFailed, SignatureRefused
from uploadkit.events.bus import Events
from uploadkit.events.facts import Fact, FileDeleted, FileProcessed, UnknownFact, as_json
from uploadkit.events.webhooks import Webhooks, new_secret, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()

OK = answer("HTTP/1.1 204 No Content\nContent-Length: 0")

SHORT = 0.15
"""Seconds that a delivery may take where the test waits for its end."""


def delivered(fact: Fact = UPLOADED, secret: Any = SECRET, **options: Any) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a delivery."""
    with receiving(OK) as receiver:
        Webhooks(receiver.url, secret, internal=True, **options).deliver(fact)
        [request] = receiver.requests
    return request.headers, request.body


# What is sent


@pytest.mark.parametrize("fact", FACTS_TOLD, ids=lambda fact: fact.name)
def test_a_fact_arrives_as_it_was(fact: Fact) -> None:
    headers, body = delivered(fact)
    assert verify(headers, body, SECRET) == fact
    assert headers["webhook-id"] == fact.id


def test_the_request_is_what_the_specification_says() -> None:
    """Type and timestamp outside, what the fact says in `data`, and nothing that a proxy could take for its own."""
    with receiving(OK) as receiver:
        Webhooks(receiver.url, SECRET, internal=True).deliver(UPLOADED)
        [request] = receiver.requests
    assert request.line == "POST /hooks?from=uploads HTTP/1.1"
    assert f"http://{request.headers['Host']}/hooks?from=uploads" == receiver.url
    assert (request.headers["Content-Type"], request.headers["Connection"]) == ("application/json", "close")
    told = json.loads(request.body)
    assert (told["type"], told["timestamp"]) == ("file.uploaded", "2026-11-26T09:30:00.250000+00:00")
    assert told["data"] | {"name": told["type"], "at": told["timestamp"]} == as_json(UPLOADED)


@pytest.mark.parametrize("fact", FACTS_TOLD, ids=lambda fact: fact.name)
def test_the_library_of_the_specification_takes_it(fact: Fact) -> None:
    """Whoever receives need not have uploadkit."""
    headers, body = delivered(fact)
    assert standardwebhooks.Webhook(SECRET).verify(body, headers)["type"] == fact.name


def test_we_take_what_the_library_of_the_specification_signs() -> None:
    body = json.dumps(
        {"type": "file.deleted", "timestamp": "2026-11-26T09:30:00Z", "data": {"id": "f1", "upload": "u"}}
    )
    signer = standardwebhooks.Webhook(SECRET)
    moment = int(time.time())
    headers = {
        "Webhook-Id": "f1",
        "Webhook-Timestamp": str(moment),
        "Webhook-Signature": signer.sign("f1", _utc(moment), body),
    }
    assert verify(headers, body.encode(), SECRET).upload == "u"


def test_the_known_signature_of_the_specifications_own_tests() -> None:
    """Of another body than ours: the signature holds, and what it is of is no fact."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(ValueError, match="this is no fact"):
        verify(headers, b'{"test": 2432232314}', SECRET, now=lambda: 1614265330)


def test_an_async_program_delivers_without_blocking_its_loop() -> None:
    events = Events()
    with receiving(OK) as receiver:
        webhooks = Webhooks(receiver.url, SECRET, internal=True)
        events.on("file.uploaded", retried=True)(webhooks.deliver)
        asyncio.run(events.apublish(UPLOADED))
        asyncio.run(webhooks.adeliver(UPLOADED))
        assert [request.headers["webhook-id"] for request in receiver.requests] == ["f1", "f1"]


def test_a_second_delivery_has_the_same_id_and_its_own_time() -> None:
    clock = iter([1_000_000.9, 1_000_600.2])
    with receiving(OK) as receiver:
        webhooks = Webhooks(receiver.url, SECRET, internal=True, now=lambda: next(clock))
        webhooks.deliver(UPLOADED)
        webhooks.deliver(UPLOADED)
        first, second = (request.headers for request in receiver.requests)
    assert first["webhook-id"] == second["webhook-id"] == "f1"
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1000000", "1000600")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_a_secret_is_replaced_while_both_are_in_use() -> None:
    """The sender signs with both; a receiver has the old one, the new one, or both."""
    headers, body = delivered(secret=[OTHER, SECRET])
    for secret in (SECRET, OTHER, [SECRET, OTHER]):
        assert verify(headers, body, secret) == UPLOADED
    headers, body = delivered(secret=OTHER)
    assert verify(headers, body, [SECRET, OTHER]) == UPLOADED


# What is not taken


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (answer("HTTP/1.1 500 Internal Server Error\nContent-Length: 4", b"oops"), 500),
        (answer("HTTP/1.1 302 Found\nLocation: http://127.0.0.1:1/\nContent-Length: 0"), 302),
        (answer("HTTP/1.1 404 Not Found"), 404),
        (answer("HTTP/1.1 410 Gone\nContent-Length: 0"), 410),
        (answer("HTTP/1.1 429 Too Many Requests\nRetry-After: 120\nContent-Length: 0"), 429),
    ],
    ids=["500", "redirect", "404", "gone", "too many"],
)
def test_every_answer_but_2xx_is_a_failure(reply: Answer, status: int) -> None:
    """No redirect is followed: it is one request, whatever the answer says."""
    with receiving(reply) as receiver, pytest.raises(DeliveryFailed) as raised:
        Webhooks(receiver.url, SECRET, internal=True).deliver(UPLOADED)
    assert raised.value.answer == status
    assert raised.value.retryable == (status != 410)
    assert raised.value.retry_after == (120 if status == 429 else None)
    assert len(receiver.requests) == 1
    assert str(raised.value) == f"127.0.0.1 answered {status}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (formatdate(1_000_060, usegmt=True), 60),
        (formatdate(900_000, usegmt=True), 0),
        ("99999999", 24 * 60 * 60),
        ("soon", None),
        ("-5", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 24 * 60 * 60),
    ],
)
def test_how_long_a_receiver_asks_to_wait_is_bounded(text: str, seconds: float | None) -> None:
    """Seconds or a date. It is a stranger's word."""
    reply = answer(f"HTTP/1.1 503 Service Unavailable\nRetry-After: {text}\nContent-Length: 0")
    with receiving(reply) as receiver, pytest.raises(DeliveryFailed) as raised:
        Webhooks(receiver.url, SECRET, internal=True, now=lambda: 1_000_000).deliver(UPLOADED)
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize("reply", [never, drips], ids=["silent", "drips"])
def test_a_receiver_that_is_slow_is_left_in_time(reply: Answer) -> None:
    """Also one that never stays silent for long."""
    with receiving(reply) as receiver:
        begin = time.monotonic()
        with pytest.raises(DeliveryFailed, match=r"127\.0\.0\.1 was not reached: ") as raised:
            Webhooks(receiver.url, SECRET, internal=True, timeout_seconds=SHORT).deliver(UPLOADED)
        took = time.monotonic() - begin
        assert receiver.gone.wait(SOON)
    assert SHORT <= took < SOON
    assert raised.value.retryable
    assert raised.value.answer is None


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (closes, "Remote end closed connection without response"),
        (lambda connection, _: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "its answer is not HTTP"),
        (headers_without_end, "its answer is not HTTP"),
        (
            lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 101),
            "its answer is not HTTP",
        ),
        (lambda connection, _: connection.sendall(b"HTTP/1.1 OK\r\n\r\n"), "its answer is not HTTP"),
    ],
    ids=["closes", "ssh", "long header", "many headers", "no status"],
)
def test_what_does_not_answer_in_http_was_not_reached(reply: Answer, reason: str) -> None:
    with receiving(reply) as receiver, pytest.raises(DeliveryFailed) as raised:
        Webhooks(receiver.url, SECRET, internal=True).deliver(UPLOADED)
    assert str(raised.value) == f"127.0.0.1 was not reached: {reason}"


def test_a_huge_answer_is_not_read() -> None:
    """The head says that the fact was taken. The rest is left where it is."""
    with receiving(without_end) as receiver:
        Webhooks(receiver.url, SECRET, internal=True).deliver(UPLOADED)
        assert receiver.gone.wait(SOON)


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(DeliveryFailed, match=r"127\.0\.0\.1 was not reached: Connection refused"):
        Webhooks(f"http://127.0.0.1:{port}/", SECRET, internal=True).deliver(UPLOADED)


def test_a_name_that_is_not_found_is_told() -> None:
    with pytest.raises(DeliveryFailed, match=r"nowhere\.invalid was not reached: "):
        Webhooks("https://nowhere.invalid/", SECRET).deliver(UPLOADED)


# TLS, and what is inside


def test_a_certificate_is_checked(tmp_path: Path) -> None:
    """One that the system does not know is refused, and taken where it is trusted."""
    server, trusting = certificate(tmp_path)
    with receiving(OK, tls=server) as receiver:
        with pytest.raises(DeliveryFailed, match=r"localhost was not reached: .*CERTIFICATE_VERIFY_FAILED"):
            Webhooks(receiver.url, SECRET, internal=True).deliver(UPLOADED)
        Webhooks(receiver.url, SECRET, internal=True, context=trusting).deliver(UPLOADED)
        [request] = receiver.requests
    assert verify(request.headers, request.body, SECRET) == UPLOADED
    assert request.headers["Host"].startswith("localhost:")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1"),
        *("[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]", "[2001:db8::1]"),
        *("[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::a00:1]"),
        *("[2002:7f00:1::]", "[2001:0:7f00:1::]"),
        *("localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1"),
    ],
)
def test_no_request_goes_to_an_address_inside(address: str) -> None:
    """However it is written: there is a receiver at the port, and it hears nothing."""
    with receiving(OK) as receiver:
        port = receiver.url.rpartition(":")[2].partition("/")[0]
        with pytest.raises(DeliveryFailed, match="was not reached: ") as raised:
            Webhooks(f"https://{address}:{port}/", SECRET, timeout_seconds=2).deliver(UPLOADED)
        assert receiver.requests == []
        assert not receiver.gone.is_set()
    if not isinstance(raised.value.__cause__, socket.gaierror):  # some systems know no such name
        assert "it is at an address that is not public" in str(raised.value)


def test_a_public_address_passes_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is the one that was judged that is connected to: the name is looked up once, so that it cannot change.

    Where there are two, the first one may take half of the time.
    """
    asked: list[object] = []
    reached: list[object] = []
    seconds: list[float | None] = []

    def look_up(host: str, port: int, **options: Any) -> list[Any]:
        asked.append(host)
        addresses = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"] if len(asked) == 1 else ["127.0.0.1"]
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for family, address in zip(families, addresses, strict=True)
        ]

    class Refusing(socket.socket):
        def connect(self, address: object) -> None:
            reached.append(address)
            seconds.append(self.gettimeout())
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("uploadkit.events.webhooks.socket.getaddrinfo", look_up)
    monkeypatch.setattr("uploadkit.events.webhooks.socket.socket", Refusing)
    with pytest.raises(DeliveryFailed, match="Connection refused"):
        Webhooks("https://example.com/", SECRET, timeout_seconds=60).deliver(UPLOADED)
    assert asked == ["example.com"]
    assert [round(each or 0, -1) for each in seconds] == [30, 60]
    assert reached == [("93.184.215.14", 443), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443)]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "over https://"),
        ("ftp://example.com/", "https://"),
        ("example.com", "https://"),
        ("https:///path", "https://"),
        ("https://user:word@example.com/", "no user"),
        ("https://example.com/#part", "no fragment"),
        ("https://exämple.com/", "ASCII"),
        ("https://example.com/a b", "ASCII"),
        ("https://example.com/\r\nX-Evil: 1", "ASCII"),
        ("https://example.com:99999/", "Port out of range"),
        (f"https://{'a' * 64}.com/", "label"),
    ],
)
def test_a_url_that_is_none_is_told_at_once(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Webhooks(url, SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_c2hvcnQ=", "not base64 !", "whsec_" + "QUJD" * 30, []])
def test_a_secret_that_is_none_is_told_at_once_and_not_shown(secret: Any) -> None:
    with pytest.raises(ValueError, match="secret") as raised:
        Webhooks("https://example.com/", secret)
    assert not secret or secret not in str(raised.value)


def test_new_secrets_are_good_and_never_the_same() -> None:
    assert len({new_secret() for _ in range(10)}) == 10
    assert SECRET[6:] not in repr(Webhooks("https://example.com/token", SECRET))
    headers, body = delivered(secret=(secret := new_secret()))
    assert verify(headers, body, secret) == UPLOADED


def test_an_id_that_no_header_can_hold_is_a_mistake() -> None:
    with receiving(OK) as receiver, pytest.raises(ValueError, match="the id of a fact"):
        Webhooks(receiver.url, SECRET, internal=True).deliver(FileDeleted(upload="u1", id="a.1\r\nx: y"))


def test_timeouts_are_greater_than_nothing() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Webhooks("https://example.com/", SECRET, timeout_seconds=0)


# Who receives


def changed(name: str, value: str) -> Callable[[dict[str, str], bytes], tuple[dict[str, str], bytes]]:
    return lambda headers, body: (headers | {name: value}, body)


@pytest.mark.parametrize(
    "change",
    [
        lambda headers, body: (headers, body + b" "),
        lambda headers, body: (headers, body.replace(b"u1", b"u2")),
        changed("webhook-id", "f2"),
        changed("webhook-id", "f1.1"),
        changed("webhook-timestamp", "1000001"),
        changed("webhook-timestamp", "1e6"),
        changed("webhook-timestamp", "-1"),
        changed("webhook-timestamp", ""),
        changed("webhook-timestamp", "\uff11000000"),
        changed("webhook-signature", ""),
        changed("webhook-signature", "v1,"),
        changed("webhook-signature", "v1a,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
        changed("webhook-signature", "v1,é"),
        changed("Webhook-ID", "f1"),
        lambda headers, body: ({}, body),
        lambda headers, body: ({name: headers[name] for name in headers if name != "webhook-signature"}, body),
    ],
)
def test_what_was_changed_on_the_way_is_refused(change: Any) -> None:
    headers, body = change(*delivered(now=lambda: 1_000_000))
    with pytest.raises(SignatureRefused) as raised:
        verify(headers, body, SECRET, now=lambda: 1_000_000)
    assert (raised.value.status, raised.value.reason) == (403, "invalid")


def test_another_secret_is_refused() -> None:
    headers, body = delivered()
    with pytest.raises(SignatureRefused, match="was not signed with this secret"):
        verify(headers, body, OTHER)


@pytest.mark.parametrize("seconds", [-301, 301, 86400])
def test_a_request_that_was_recorded_cannot_be_sent_again_later(seconds: int) -> None:
    headers, body = delivered(now=lambda: 1_000_000)
    with pytest.raises(SignatureRefused) as raised:
        verify(headers, body, SECRET, now=lambda: 1_000_000 + seconds)
    assert raised.value.reason == "expired"
    assert verify(headers, body, SECRET, tolerance_seconds=86400, now=lambda: 1_000_000 + seconds) == UPLOADED


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_request_within_the_tolerance_is_the_same_fact_each_time(seconds: int) -> None:
    """So who receives knows it again, by its id."""
    headers, body = delivered(now=lambda: 1_000_000)
    assert verify(headers, body, SECRET, now=lambda: 1_000_000 + seconds).id == UPLOADED.id


def test_headers_come_in_the_way_of_every_framework() -> None:
    """Names in any case; werkzeug's are no mapping."""
    headers, body = delivered()
    for each in ({name.title(): value for name, value in headers.items()}, Headers(headers)):
        assert verify(each, body, SECRET) == UPLOADED


def test_a_fact_of_a_newer_version_is_told_apart() -> None:
    """The signature holds: it is answered with 2xx, and left alone."""
    body = json.dumps({"type": "file.watermarked", "timestamp": "2026-11-26T09:30:00Z", "data": {"id": "f1"}})
    moment = int(time.time())
    signed = standardwebhooks.Webhook(SECRET).sign("f1", _utc(moment), body)
    headers = {"webhook-id": "f1", "webhook-timestamp": str(moment), "webhook-signature": signed}
    with pytest.raises(UnknownFact):
        verify(headers, body.encode(), SECRET)


@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()), st.binary()
)
def test_whatever_comes_is_refused_and_nothing_else(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(UploadError) as raised:
        verify(headers, body, SECRET)
    assert isinstance(raised.value, SignatureRefused)


def test_results_that_are_no_json_are_a_mistake_and_are_not_sent() -> None:
    with receiving(OK) as receiver, pytest.raises(TypeError):
        Webhooks(receiver.url, SECRET, internal=True).deliver(FileProcessed(upload="u1", results={"a": object()}))


def _utc(moment: int) -> Any:
    """A time as that library takes it."""
    return datetime.fromtimestamp(moment, UTC)
