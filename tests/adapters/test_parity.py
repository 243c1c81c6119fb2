"""One request, every adapter under a real server, the same outcome: status, JSON or problem, and what is on the disk.

After every test no server may have anything left: no staged file, no open file, no connection. What is known to
differ between servers stands in `servers.Kind` and nowhere else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests.adapters.cases import CASES, MIXED, PICTURE, Case, case, files, one, part, raw, reference
from tests.adapters.servers import KINDS, Server, ServerOf, eventually
from tests.soak import scaled

from uploadkit.testing import Answer, Client, FormBuilder, NoAnswer, chunked, exchange, request_head

STREAMING = [name for name, kind in KINDS.items() if kind.can.refuses_early]
DRAINING = [name for name, kind in KINDS.items() if kind.can.drains]
KEEPING = [name for name, kind in KINDS.items() if not kind.closes_always]

UPLOAD = case("a file of some reads", "any", one(data=bytes(200_000)))


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, servers: ServerOf) -> Iterator[Server]:
    """Every server, which settles and is cleared after the test."""
    server = servers(request.param)
    try:
        yield server
        server.settle()
    finally:
        server.clear()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_what_it_says(case: Case) -> None:
    """The tables and the blocking driver agree: a mistake in either is seen before a server is asked."""
    status, members = reference(case)
    assert status == case.status, members
    assert {name: members.get(name) for name in case.problem} == case.problem


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_server_answers_alike(server: Server, case: Case) -> None:
    """One request, whichever framework and server: the same status, the same JSON, the same files, nothing else."""
    expect_outcome(server, case, exchange(server.port, whole(server, case)))


def test_a_body_that_was_cut_stores_nothing(server: Server) -> None:
    """The Content-Length is right and the form ends too early: 400, wherever it was cut."""
    cut = case("a form to be cut", "any", files("f", b"0123456789", b"\r\n--not the end\r\n").text("t", "x"))
    end = len(cut.body) - len("\r\n")  # what follows the last delimiter is no part of the form
    for size in sorted({*range(0, end, 17), *range(end - 8, end)}):
        expect_truncated(server, cut, size)


@pytest.mark.soak
def test_a_body_that_was_cut_anywhere_stores_nothing(server: Server) -> None:
    """Five hundred cuts by chance of a form that is larger than what any server reads at once."""
    large = case("large", "any", files("f", os.urandom(600_000), os.urandom(600_000)))
    chance = random.Random(500)
    for _ in range(scaled(500)):
        expect_truncated(server, large, chance.randrange(len(large.body) - len("\r\n")))
        server.settle()


def test_a_client_that_ends_before_its_length_stores_nothing(server: Server) -> None:
    """It promises ten bytes more than it sends, and half-closes. Even a form that is whole is not taken."""
    sent = head_of(server, MIXED, length=len(MIXED.body) + 10) + MIXED.body
    if server.kind.answers_half_close:
        answer = exchange(server.port, sent, end=True)
        assert (answer.status, answer.json["code"]) == (400, "truncated_form")
    else:
        with pytest.raises(NoAnswer):
            exchange(server.port, sent, end=True)
    server.settle()
    assert not server.files()


@pytest.mark.parametrize("end", [Client.close, Client.reset], ids=["closes", "resets"])
def test_a_client_that_goes_away_stores_nothing(server: Server, end: Callable[[Client], None]) -> None:
    """In the middle of a file that is open in the storage. The next client is served."""
    with Client(server.port) as client:
        client.send(whole(server, UPLOAD)[:-100])
        expect_begun(server)
        end(client)
    server.settle()
    assert not server.files()
    expect_outcome(server, PICTURE, exchange(server.port, whole(server, PICTURE)))


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_a_chunked_body_is_received_like_any_other(server: Server, pieces: int) -> None:
    """Transfer-Encoding: chunked says no length, and changes nothing else."""
    step = -(-len(MIXED.body) // pieces)
    cut = [MIXED.body[at : at + step] for at in range(0, len(MIXED.body), step)]
    sent = head_of(server, MIXED, "Transfer-Encoding: chunked") + chunked(*cut)
    expect_outcome(server, MIXED, exchange(server.port, sent))


def test_a_chunked_body_that_was_cut_stores_nothing(server: Server) -> None:
    """It ends well as HTTP and too early as a form."""
    answer = exchange(server.port, head_of(server, MIXED, "Transfer-Encoding: chunked") + chunked(MIXED.body[:-20]))
    assert (answer.status, answer.json["code"]) == (400, "truncated_form")
    assert not server.files()


@pytest.mark.parametrize("end", [Client.close, Client.reset], ids=["closes", "resets"])
def test_a_chunked_body_without_its_last_chunk_stores_nothing(server: Server, end: Callable[[Client], None]) -> None:
    """The form is whole, the request is not: its client went away before it said that this is all."""
    with Client(server.port) as client:
        sent = head_of(server, UPLOAD, "Transfer-Encoding: chunked") + chunked(UPLOAD.body)
        client.send(sent.removesuffix(b"0\r\n\r\n"))
        expect_begun(server)
        end(client)
    server.settle()
    assert not server.files()


def test_a_client_that_waits_for_permission_gets_it(server: Server) -> None:
    """Expect: 100-continue, which curl sends with every body of more than a MiB."""
    with Client(server.port) as client:
        client.send(head_of(server, PICTURE, "Expect: 100-continue", length=len(PICTURE.body)))
        assert client.interim() == b"HTTP/1.1 100 Continue"
        client.send(PICTURE.body)
        expect_outcome(server, PICTURE, client.answer())


@pytest.mark.parametrize("server", KEEPING, indirect=True)
def test_a_connection_serves_on_after_errors(server: Server) -> None:
    """A client that sent all of its body and was refused may send its next request on the same connection."""
    with Client(server.port) as client:
        for each in CASES:
            if each.status in (400, 409, 415, 422) or each is PICTURE:
                client.send(whole(server, each))
                expect_outcome(server, each, client.answer())
                server.clear()


@pytest.mark.parametrize("server", STREAMING, indirect=True)
def test_the_rest_of_a_refused_body_is_never_taken_for_a_request(server: Server) -> None:
    """After an early refusal a server reads the rest as what it is, or ends the connection."""
    smuggled = case("a request in a file", "any", one(data=b"smuggled"))
    begun = (64 << 10) + 500  # so much a WSGI server needs before it hands on anything
    header = b'Content-Disposition: form-data; name="f"; filename="f"'
    refused = raw("", "limit/file_size", part(header, b"x" * begun + whole(server, smuggled) * 20), 413)
    sent = whole(server, refused)
    with Client(server.port) as client:
        client.send(sent[:begun])
        assert client.answer().status == 413
        client.send_what_is_taken(sent[begun:])
        if not server.kind.closes_always:
            client.send_what_is_taken(whole(server, PICTURE))
            with contextlib.suppress(NoAnswer):
                expect_outcome(server, PICTURE, client.answer())
    server.settle()
    assert hashlib.sha256(b"smuggled").hexdigest() not in server.files().values()


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_sent(server: Server) -> None:
    """413 for its Content-Length alone, and no 100 before it where the server asks the application first."""
    length = 64 << 20
    with Client(server.port) as client:
        client.send(head_of(server, raw("", "limit/body_size", b""), "Expect: 100-continue", length=length))
        if server.kind.continues_at_once:
            assert client.interim() == b"HTTP/1.1 100 Continue"
        if not server.kind.can.refuses_early:
            client.send(bytes(length))
        answer = client.answer()
    assert (answer.status, answer.json["limit"], answer.json["seen"]) == (413, "body_size", length)


@pytest.mark.parametrize("coding", ["with a length", "chunked"])
@pytest.mark.parametrize("server", STREAMING, indirect=True)
def test_a_file_that_is_too_large_is_refused_within_a_buffer(server: Server, coding: str) -> None:
    """Of 64 MiB where 100 bytes are taken no more has to be sent than one read buffer of 64 KiB."""
    large = case("", "limit/file_size", one(data=bytes(64 << 10)))
    with Client(server.port) as client:
        if coding == "chunked":
            client.send(head_of(server, large, "Transfer-Encoding: chunked"), b"%x\r\n" % (64 << 20))
        else:
            client.send(head_of(server, large, length=64 << 20))
        client.send(large.body[: 64 << 10])
        answer = client.answer()
    assert (answer.status, answer.json["limit"], answer.json["allowed"]) == (413, "file_size", 100)
    server.settle()
    assert not server.files()


@pytest.mark.parametrize("server", DRAINING, indirect=True)
def test_a_client_that_sends_all_before_it_looks_sees_the_answer(server: Server) -> None:
    """4 MiB where 100 bytes are taken: the answer is there long before the end, and is not lost by a reset."""
    large = case("", "limit/file_size", one(data=bytes(4 << 20)))
    with Client(server.port) as client:
        client.send(whole(server, large))
        answer = client.answer()
    assert (answer.status, answer.json["limit"]) == (413, "file_size")


@pytest.mark.parametrize("part", ["before the body", "in the body"])
def test_a_silent_client_is_answered_408_where_that_can_be_done(server: Server, part: str) -> None:
    """Nothing of it is left, and its connection ends. Elsewhere it is still waited for, by the server."""
    silent = case("", "impatient", one(data=bytes(200_000)))
    with Client(server.port) as client:
        client.send(head_of(server, silent, length=len(silent.body)))
        if part == "in the body":
            client.send(silent.body[:100_000])
        if server.kind.can.idle_seconds:
            answer = client.answer()
            assert (answer.status, answer.json["code"]) == (408, "upload_too_slow")
            assert (answer.json["limit"], answer.json["allowed"]) == ("idle_seconds", 0.2)
            assert client.socket.recv(1) == b""
        else:
            assert not client.wait(0.5)
    server.settle()
    assert not server.files()


def test_progress_is_told_while_the_body_arrives(server: Server) -> None:
    """Of every chunk, ever more, up to the whole: with the Content-Length, where there is one."""
    large = case("", "progress", one(data=bytes(300_000)))
    size = len(large.body)
    told = exchange(server.port, whole(server, large)).json["progress"]
    assert told[-1] == [size, size]
    assert told == sorted(told)
    assert len(told) > 1
    sent = head_of(server, large, "Transfer-Encoding: chunked") + chunked(large.body[:1000], large.body[1000:])
    assert exchange(server.port, sent).json["progress"][-1] == [size, None]


REGISTERED = {
    "accepted": (
        files("f", b"one", bytes(100_000)),
        200,
        ["begin 0.bin", "begin 1.bin", "handler", "accept 0.bin 1.bin"],
    ),
    "the handler raises": (
        files("f", b"one", b"two").text("do", "raise"),
        500,
        ["begin 0.bin", "begin 1.bin", "handler", "refuse 2 for RuntimeError"],
    ),
    "cannot be accepted": (
        one(filename="unaccepted.bin"),
        503,
        ["begin unaccepted.bin", "handler", "accept unaccepted.bin", "refuse 1 for LedgerFailed"],
    ),
    "one too many": (
        files("f", b"1", b"2", b"3", b"4"),
        413,
        ["begin 0.bin", "begin 1.bin", "begin 2.bin", "refuse 3 for LimitExceeded"],
    ),
    "no file": (FormBuilder().text("t", "x"), 200, ["handler"]),
}


@pytest.mark.parametrize("name", REGISTERED)
def test_every_server_tells_a_register_the_same(server: Server, name: str) -> None:
    """Before the answer is there, and in the same order; only what was accepted is stored."""
    form, status, told = REGISTERED[name]
    log = server.folder / "register.log"
    log.unlink(missing_ok=True)
    answer = server.post("registered", form)
    assert (answer.status, log.read_text().splitlines()) == (status, told)
    assert len(server.files()) == (2 if name == "accepted" else 0)


def test_a_client_that_goes_away_has_its_upload_refused_everywhere(server: Server) -> None:
    """Where its file was begun at all."""
    log = server.folder / "register.log"
    log.unlink(missing_ok=True)
    sent = case("", "registered", one(data=bytes(200_000)))
    with Client(server.port) as client:
        client.send(whole(server, sent)[:-100])
        expect_begun(server)
        client.reset()
    server.settle()
    if server.kind.can.refuses_early:
        eventually(lambda: "refuse" in log.read_text())
        assert [line.partition(" for ")[0] for line in log.read_text().splitlines()] == ["begin data.bin", "refuse 1"]
    assert not server.files()


@pytest.mark.soak
@pytest.mark.parametrize("server", [name for name, kind in KINDS.items() if kind.module == "gunicorn"], indirect=True)
def test_a_client_that_stalls_after_the_answer_is_let_go(server: Server) -> None:
    """It was refused early, sends nothing more and stays: no thread waits for the rest of its body for ever."""
    large = case("", "limit/file_size", one(data=bytes(4 << 20)))
    with Client(server.port) as client:
        client.send(whole(server, large)[: 100 << 10])
        assert client.answer().status == 413
        eventually(server.settled, seconds=20)
        assert server.settled()


def test_no_server_has_complained(server: Server) -> None:
    """After all that came before: no exception that nobody expected, no coroutine or file that was forgotten."""
    assert not server.complaints()


def head_of(server: Server, case: Case, *headers: str, length: int | None = None) -> bytes:
    """The head of a request to this server."""
    return request_head(f"{server.kind.prefix}/{case.route}", case.content_type, *headers, length=length)


def whole(server: Server, case: Case) -> bytes:
    """The whole request."""
    return head_of(server, case, length=len(case.body)) + case.body


def expect_begun(server: Server) -> None:
    """The file that is being sent is open in the storage, if uploadkit sees anything of it yet."""
    if server.kind.can.refuses_early:
        eventually(server.open_files)
        assert server.open_files()


def expect_outcome(server: Server, case: Case, answer: Answer) -> None:
    """The answer is that of the reference, and what is stored is what was answered."""
    status, members = reference(case)
    assert answer.status == status, answer
    kept = [file["digest"] for file in members.get("files", ())]
    if status == 200:
        assert answer.json == members
    elif "code" in members:
        assert answer.content_type == "application/problem+json"
        # How much had been seen depends on how the bytes came in, and only that.
        assert answer.json | {"seen": None} == members | {"seen": None}
        assert answer.json.get("seen", 1) > answer.json.get("allowed", 0)
    assert Counter(server.files().values()) == Counter(kept)


def expect_truncated(server: Server, case: Case, size: int) -> None:
    """The first `size` bytes of the body are a form that ended too early, and leave nothing."""
    answer = exchange(server.port, whole(server, replace(case, body=case.body[:size])))
    assert (answer.status, answer.json["code"]) == (400, "truncated_form"), size
    assert not server.files(), size
