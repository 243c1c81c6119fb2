"""tus 1.0.0 sentence by sentence, and what tusd's own tests of its handler ask for, by both drivers.

Each test says what is left: in the ledger, in the storage and in its staging, and that nobody holds the upload.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from glob import glob
from pathlib import Path
from typing import Any

import pytest
from tests.processing.servers import eventually
from tests.resumable.talking import (
    DRIVERS,
    OFFSET_TYPE,
    Place,
    Told,
    arriving,
    checksum,
    id_of,
    metadata,
    place_in,
    told,
)

from uploadkit.policy.limits import Limits
from uploadkit.records.lifecycle import State
from uploadkit.storage import event_loop
from uploadkit.storage.contract import PartialObject
from uploadkit.storage.disk.partials import Partial
from uploadkit.storage.memory import MemoryStorage

DATA = bytes(range(256)) * 100

Begin = Callable[..., Place]


@pytest.fixture(params=DRIVERS)
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begin]:
    """Makes the place of a test."""
    with ExitStack() as ending:

        def begun(**options: Any) -> Place:
            return ending.enter_context(place_in(tmp_path, driver=request.param, **options))

        yield begun


def descriptors() -> Counter[str]:
    """The files that this process has open, where that can be seen, but for the ledger's and its folder (which SQLite
    opens to sync it): its connections come and go as threads need them."""
    targets = map(os.path.realpath, glob("/proc/self/fd/*"))
    return Counter(target for target in targets if "uploads.db" not in target and not target.startswith("/proc/"))


@pytest.fixture
def place(begin: Begin) -> Iterator[Place]:
    """With a field that takes everything. A test leaves no descriptor open."""
    place = begin()
    event_loop.wait_for(asyncio.sleep(0))  # it is begun late, and stays
    before = descriptors()
    yield place
    eventually(lambda: not descriptors() - before)


def expect_problem(answer: Told, status: int, code: str) -> None:
    """An answer of tus that says what is wrong."""
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["tus-resumable"] == "1.0.0"


# Core: OPTIONS


def test_options_tell_what_the_server_can(begin: Begin) -> None:
    """Versions, extensions, the longest upload and the algorithms of checksums: with no version asked for, or any."""
    place = begin(uploader={"max_size": 1000})
    for version in ("1.0.0", "0.2.2", None):
        place.talk.version = version
        answer = place.talk.ask("OPTIONS")
        assert answer.status == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-max-size"] == "1000"
        assert answer.headers["tus-extension"].split(",") == [
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "expiration",
            "checksum",
            "termination",
            "concatenation",
        ]
        assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")
    place.expect_nothing()


def test_the_longest_upload_is_not_told_where_there_is_none(begin: Begin) -> None:
    """None is no number."""
    place = begin(uploader={"limits": Limits(file_size=None, files_size=None)})
    assert "tus-max-size" not in place.talk.ask("OPTIONS").headers


def test_the_smaller_of_two_limits_is_the_longest_upload(begin: Begin) -> None:
    """Whether it is that of a file, or of all files."""
    place = begin(uploader={"limits": Limits(file_size=100, files_size=50)})
    assert place.talk.ask("OPTIONS").headers["tus-max-size"] == "50"
    expect_problem(place.talk.create(51), 413, "limit_exceeded")
    place.expect_nothing()


def test_another_version_is_not_processed(place: Place) -> None:
    """412 with the versions that are spoken, whatever is asked."""
    location = place.talk.created(10)
    speaking = place.again(version=None)
    for version in (None, "", "0.2.2", "1.0", "1.0.0, 1.0.0", "2.0.0"):
        answers = [
            speaking.ask("POST", tus_resumable=version, upload_length=10),
            speaking.ask("PATCH", location, b"12345", tus_resumable=version, upload_offset=0, content_type=OFFSET_TYPE),
        ]
        if version is not None:  # without it these two are the IETF's
            answers += [speaking.ask(method, location, tus_resumable=version) for method in ("HEAD", "DELETE")]
        for answer in answers:
            assert answer.status == 412
            assert answer.headers["tus-version"] == "1.0.0"
            assert answer.headers["tus-resumable"] == "1.0.0"
    assert len(place.records()) == 1
    place.expect_partial(location, 0)


def test_what_is_no_method_there_is_405(place: Place) -> None:
    """With those that are."""
    for path, methods, allowed in (
        ("/files/", ["GET", "HEAD", "PATCH", "DELETE"], "OPTIONS, POST"),
        ("/files/0123", ["GET", "POST", "PUT"], "DELETE, HEAD, OPTIONS, PATCH"),
    ):
        for method in methods:
            answer = place.talk.ask(method, path)
            assert (answer.status, answer.headers["allow"]) == (405, allowed)
            assert answer.headers["tus-resumable"] == "1.0.0"
    place.expect_nothing()


# Core: HEAD


def test_head_tells_how_far_an_upload_has_come(place: Place) -> None:
    """Its offset also where it is 0, its length, what was sent of metadata as it was sent; and no cache keeps that."""
    told = metadata(filename="a b.txt", empty=None, also="")
    location = place.talk.created(len(DATA), upload_metadata=told)
    for offset in (0, 100, 9000):
        answer = place.talk.head(location)
        assert answer.status == 200
        assert answer.headers["upload-offset"] == str(offset)
        assert answer.headers["upload-length"] == str(len(DATA))
        assert answer.headers["upload-metadata"] == told
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert "upload-defer-length" not in answer.headers
        assert "upload-concat" not in answer.headers
        place.expect_partial(location, offset)
        more = {0: 100, 100: 9000, 9000: len(DATA)}[offset]
        assert place.talk.patch(location, offset, DATA[offset:more]).status == 204
    place.expect_whole(location, DATA)


def test_head_of_a_finished_upload_tells_that_it_is(place: Place) -> None:
    """Its client may not have seen the last answer. It expires no more."""
    location = place.talk.upload(DATA)
    answer = place.talk.head(location)
    assert (answer.status, answer.offset) == (200, len(DATA))
    assert answer.headers["upload-length"] == str(len(DATA))
    assert "upload-expires" not in answer.headers
    place.expect_whole(location, DATA)


def test_what_is_no_upload_is_404(place: Place) -> None:
    """Also where it can be no name of one. No offset is told."""
    for name in ("0" * 32, "no", "a" * 500, "a/b", "..", "%00", "\x00", "é", " "):
        for method in ("HEAD", "PATCH", "DELETE"):
            answer = place.talk.ask(method, f"/files/{name}", upload_offset=0, content_type=OFFSET_TYPE)
            assert answer.status == 404
            assert "upload-offset" not in answer.headers
            assert method != "HEAD" or answer.headers["cache-control"] == "no-store"
    place.expect_nothing()


def test_what_came_by_a_form_is_no_upload_of_tus(place: Place) -> None:
    """It is 404, and stays as it is."""
    from uploadkit.intake.blocking import receive
    from uploadkit.testing import FormBuilder

    form = FormBuilder().file("file", b"data", filename="a")
    file = receive(place.spec, form.content_type, [form.body])
    for method in ("HEAD", "PATCH", "DELETE"):
        answer = place.talk.ask(method, f"/files/{file.id}", b"", upload_offset=0, content_type=OFFSET_TYPE)
        assert answer.status == 404
    assert place.ledger.get(file.id).state is State.COMPLETED
    assert place.left() == [file.key]


# Core: PATCH


@pytest.mark.parametrize("cuts", [[], [1], [100], [8191], [8192], [8193], [1, 2, 3, 8000, 20000]])
def test_an_upload_comes_in_any_number_of_requests(place: Place, cuts: list[int]) -> None:
    """And its handler is called once, with what a form would have given it."""
    location = place.talk.upload(DATA, *cuts, upload_metadata=metadata(filename="a.bin", filetype="text/plain"))
    record = place.expect_whole(location, DATA)
    [file] = place.handled
    assert (file.id, file.filename, file.size, file.declared_type) == (record.id, "a.bin", len(DATA), "text/plain")
    assert file.sha256 == hashlib.sha256(DATA).hexdigest()
    assert place.left() == [file.key]


def test_every_patch_tells_the_new_offset_and_when_the_upload_expires(place: Place) -> None:
    """204, without a body."""
    location = place.talk.created(10)
    answer = place.talk.patch(location, 0, b"12345")
    assert (answer.status, answer.offset, answer.problem) == (204, 5, {})
    assert "upload-expires" in answer.headers
    answer = place.talk.patch(location, 5, b"67890")
    assert (answer.status, answer.offset) == (204, 10)
    assert "upload-expires" not in answer.headers
    place.expect_whole(location, b"1234567890")


def test_an_offset_that_is_another_one_is_409(place: Place) -> None:
    """And says which it is. Nothing is added."""
    location = place.talk.created(10)
    place.talk.patch(location, 0, b"12345")
    for offset in (0, 4, 6, 10, 11, 10**18 - 1):
        answer = place.talk.patch(location, offset, b"67890")
        expect_problem(answer, 409, "offset_conflict")
        assert (answer.problem["expected"], answer.problem["provided"]) == (5, offset)
    place.expect_partial(location, 5)
    place.talk.patch(location, 5, b"67890")
    place.expect_whole(location, b"1234567890")


def test_an_offset_that_is_none_is_400(place: Place) -> None:
    """Nothing is added."""
    location = place.talk.created(10)
    for offset in (None, "-5", "+5", "5.0", "0x5", "five", "", "5, 5", "\N{ARABIC-INDIC DIGIT FIVE}", "9" * 19):
        answer = place.talk.ask("PATCH", location, b"12345", upload_offset=offset, content_type=OFFSET_TYPE)
        expect_problem(answer, 400, "malformed_upload")
    place.expect_partial(location, 0)


def test_a_body_of_another_type_is_415(place: Place) -> None:
    """Nothing is added."""
    location = place.talk.created(10)
    for kind in (None, "", "application/octet-stream", "application/fail", "multipart/form-data"):
        expect_problem(place.talk.patch(location, 0, b"12345", content_type=kind), 415, "unsupported_media_type")
    place.expect_partial(location, 0)


def test_the_type_of_a_body_may_have_parameters_and_capitals(place: Place) -> None:
    """Media types are compared without them."""
    location = place.talk.created(5)
    assert place.talk.patch(location, 0, b"12345", content_type="Application/Offset+Octet-Stream; x=y").status == 204
    place.expect_whole(location, b"12345")


def test_a_body_that_is_too_long_by_its_content_length_is_413(place: Place) -> None:
    """Before any of it is read, and none of it is kept; the upload goes on."""
    location = place.talk.created(10)
    body = Watched([b"hello this is more than 10 bytes"])
    expect_problem(place.talk.patch(location, 0, body, length=32), 413, "limit_exceeded")
    assert body.taken == 0
    place.expect_partial(location, 0)
    place.talk.patch(location, 0, b"1234567890")
    place.expect_whole(location, b"1234567890")


@pytest.mark.parametrize("length", [10, 20000])
def test_a_body_that_is_too_long_without_content_length_is_413(place: Place, length: int) -> None:
    """At the chunk that has too much, which is not kept, nor is more of the body read; what came before it is. The
    upload goes on."""
    location = place.talk.created(length)
    good = bytes(length - 5)
    body = Watched([good, b"123456", b"and more", b"and more"])
    expect_problem(place.talk.patch(location, 0, body), 413, "limit_exceeded")
    assert body.taken == 2
    place.expect_partial(location, length - 5)
    place.talk.patch(location, length - 5, b"12345")
    place.expect_whole(location, good + b"12345")


def test_what_is_sent_to_a_finished_upload_is_not_taken(place: Place) -> None:
    """At its end it is answered where that is, and not read; by its Content-Length it is 413, at another offset 409."""
    location, body = place.talk.upload(b"1234567890"), Watched([b"more"])
    for empty in (b"", body):
        answer = place.talk.patch(location, 10, empty)
        assert (answer.status, answer.offset) == (204, 10)
    assert body.taken == 0
    expect_problem(place.talk.patch(location, 10, b"more"), 413, "limit_exceeded")
    expect_problem(place.talk.patch(location, 0, b"1234567890"), 409, "offset_conflict")
    place.expect_whole(location, b"1234567890")
    assert len(place.handled) == 1


def test_an_empty_request_changes_nothing(place: Place) -> None:
    """At any offset that is right."""
    location = place.talk.created(10)
    for offset, data in ((0, b""), (0, b"12345"), (5, b""), (5, b"67890")):
        assert place.talk.patch(location, offset, data).status == 204
    place.expect_whole(location, b"1234567890")


@pytest.mark.parametrize("method", ["PATCH", "patch", "DELETE", "HEAD"])
def test_a_method_may_stand_in_a_header(place: Place, method: str) -> None:
    """For clients that can send nothing but POST."""
    location = place.talk.created(10)
    answer = place.talk.ask(
        "POST", location, b"12345", x_http_method_override=method, upload_offset=0, content_type=OFFSET_TYPE
    )
    if method == "DELETE":
        assert answer.status == 204
        place.expect_gone(location, State.DELETED)
    elif method == "HEAD":
        assert (answer.status, answer.offset) == (200, 0)
        place.expect_partial(location, 0)
    else:
        assert (answer.status, answer.offset) == (204, 5)
        place.expect_partial(location, 5)


def test_no_get_becomes_something_else_by_a_header(place: Place) -> None:
    """An address in a page must change nothing."""
    location = place.talk.created(10)
    for method in ("GET", "HEAD", "OPTIONS"):
        place.talk.ask(method, location, x_http_method_override="DELETE")
    place.expect_partial(location, 0)


# Creation


def test_a_new_upload_has_an_address_which_is_a_path(place: Place) -> None:
    """Whatever the client says of hosts: it is below the place to which it was sent. Nothing is told of how far it has
    come, since nothing was sent."""
    answer = place.talk.create(300, host="evil.example", forwarded="host=evil.example", x_forwarded_host="evil.example")
    assert answer.status == 201
    assert answer.location.startswith("/files/")
    assert len(id_of(answer.location)) == 32
    assert "upload-offset" not in answer.headers
    place.expect_partial(answer.location, 0)


def test_a_length_that_is_none_is_400(place: Place) -> None:
    """Nothing is left."""
    for length in ("-5", "1.5", "ten", "", "1, 1", "9" * 19):
        expect_problem(place.talk.ask("POST", upload_length=length), 400, "malformed_upload")
    place.expect_nothing()


def test_an_upload_has_either_a_length_or_is_to_be_told_one(place: Place) -> None:
    """Else it is 400, and nothing is left."""
    expect_problem(place.talk.ask("POST"), 400, "malformed_upload")
    for length, deferred in ((10, "1"), (None, "0"), (None, "bad"), (10, "bad"), (10, "0")):
        answer = place.talk.ask("POST", upload_length=length, upload_defer_length=deferred)
        expect_problem(answer, 400, "malformed_upload")
    place.expect_nothing()


def test_a_length_that_is_too_long_is_413(begin: Begin) -> None:
    """Before anything is there."""
    place = begin(single={"max_size": 400})
    expect_problem(place.talk.create(401), 413, "limit_exceeded")
    assert place.records() == []
    assert place.left() == []
    place.talk.created(400)


@pytest.mark.parametrize("body", [None, b""])
def test_an_upload_without_bytes_is_finished_when_it_is_made(place: Place, body: bytes | None) -> None:
    """Nothing more would come of it."""
    answer = place.talk.create(0, body)
    assert answer.status == 201
    assert answer.headers.get("upload-offset") == (None if body is None else "0")
    assert "upload-expires" not in answer.headers
    place.expect_whole(answer.location, b"")
    assert place.talk.patch(answer.location, 0).status == 204
    assert len(place.handled) == 1


def test_metadata_are_names_with_values_in_base64(place: Place) -> None:
    """The value may be empty, with or without its space. They are told again as they came."""
    for header in (
        "a",
        "a ",
        "a YQ==",
        "a YQ==,b",
        "a YQ== , b YQ==",
        " a YQ==",
        "a-b.c YQ==",
        "filename",
        "filename ",
    ):
        location = place.talk.created(10, upload_metadata=header)
        assert place.talk.head(location).headers["upload-metadata"] == header


def test_metadata_that_are_none_are_400(place: Place) -> None:
    """Names are not empty and each there once, values are text. Nothing is left."""
    for header in (
        *(",", "a YQ==,", "a YQ==,,b YQ==", "a YQ==,a YQ==", "a,a", "a Y", "a YQ", "a !!!!", "a YQ== YQ=="),
        *("é YQ==", "a é", "a\tYQ==", "a gA=="),
    ):
        expect_problem(place.talk.create(10, upload_metadata=header), 400, "malformed_upload")
    place.expect_nothing()


def test_empty_metadata_are_none(place: Place) -> None:
    """A client that has nothing to say may say so."""
    location = place.talk.created(10, upload_metadata="")
    assert "upload-metadata" not in place.talk.head(location).headers


# Creation with upload


def test_an_upload_may_bring_its_first_bytes(place: Place) -> None:
    """Or all of them; how many were taken is told."""
    answer = place.talk.create(10, b"12345")
    assert (answer.status, answer.offset) == (201, 5)
    assert "upload-expires" in answer.headers
    place.expect_partial(answer.location, 5)
    place.talk.patch(answer.location, 5, b"67890")
    place.expect_whole(answer.location, b"1234567890")
    answer = place.talk.create(10, b"1234567890")
    assert (answer.status, answer.offset) == (201, 10)
    assert "upload-expires" not in answer.headers
    place.expect_whole(answer.location, b"1234567890")


def test_an_upload_of_no_bytes_that_brings_some_is_413(place: Place) -> None:
    """It would be finished when it is made, and its client would not know."""
    expect_problem(place.talk.create(0, b"1"), 413, "limit_exceeded")
    place.expect_nothing()


@pytest.mark.parametrize("body", [b"123456", [b"123", b"456"]])
def test_an_upload_that_brings_more_than_it_is_to_have_is_413(place: Place, body: Any) -> None:
    """Nothing is left: its client was not told where it is."""
    expect_problem(place.talk.create(5, body), 413, "limit_exceeded")
    place.expect_nothing()


def test_an_upload_that_brings_a_body_of_another_type_is_415(place: Place) -> None:
    """Nothing is left."""
    answer = place.talk.create(10, b"12345", content_type="application/false")
    expect_problem(answer, 415, "unsupported_media_type")
    place.expect_nothing()


def test_an_upload_whose_client_goes_away_while_it_brings_its_first_bytes_is_given_up(place: Place) -> None:
    """Nobody was told where it is: nobody could go on with it."""

    def broken() -> Iterator[bytes]:
        yield bytes(9000)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        place.talk.create(10000, broken())
    place.expect_nothing()


def test_an_upload_that_brings_what_its_checksum_denies_is_given_up(place: Place) -> None:
    """460, and nothing is left."""
    expect_problem(place.talk.create(10, b"12345", upload_checksum=checksum(b"54321")), 460, "checksum_mismatch")
    place.expect_nothing()


# Creation with a length that is told later


def test_a_length_may_be_told_with_the_last_bytes(place: Place) -> None:
    """Before that HEAD says that it is not known."""
    location = place.talk.created()
    for offset, data in ((0, b"123"), (3, b"45")):
        answer = place.talk.head(location)
        assert answer.headers["upload-defer-length"] == "1"
        assert "upload-length" not in answer.headers
        assert place.talk.patch(location, offset, data).status == 204
    assert place.talk.patch(location, 5, b"67890", upload_length=10).offset == 10
    place.expect_whole(location, b"1234567890")
    assert "upload-defer-length" not in place.talk.head(location).headers


def test_a_length_may_be_told_before_the_last_bytes(place: Place) -> None:
    """From then on it is known."""
    location = place.talk.created()
    place.talk.patch(location, 0, b"12345", upload_length=10)
    answer = place.talk.head(location)
    assert answer.headers["upload-length"] == "10"
    assert "upload-defer-length" not in answer.headers
    place.expect_partial(location, 5)
    place.talk.patch(location, 5, b"67890")
    place.expect_whole(location, b"1234567890")


@pytest.mark.parametrize("size", [0, 10, 9000])
def test_a_length_may_be_told_after_the_last_bytes(place: Place, size: int) -> None:
    """By a request without any."""
    location, data = place.talk.created(), DATA[:size]
    place.talk.patch(location, 0, data)
    place.expect_partial(location, size)
    assert place.talk.patch(location, size, upload_length=size).status == 204
    place.expect_whole(location, data)


def test_a_length_that_was_told_does_not_change(place: Place) -> None:
    """The same once more is no change; another one is 400, and nothing is added."""
    location = place.talk.created(10)
    assert place.talk.patch(location, 0, b"123", upload_length=10).status == 204
    for length in (9, 11):
        expect_problem(place.talk.patch(location, 3, b"45", upload_length=length), 400, "length_conflict")
    place.expect_partial(location, 3)
    later = place.talk.created()
    place.talk.patch(later, 0, b"12345", upload_length=10)
    expect_problem(place.talk.patch(later, 5, b"6", upload_length=6), 400, "length_conflict")
    place.expect_partial(later, 5)


def test_a_length_that_is_less_than_has_come_is_400(place: Place) -> None:
    """It is still not known."""
    location = place.talk.created()
    place.talk.patch(location, 0, b"12345")
    expect_problem(place.talk.patch(location, 5, upload_length=4), 400, "length_conflict")
    assert place.talk.head(location).headers["upload-defer-length"] == "1"
    place.expect_partial(location, 5)


def test_a_length_that_is_told_too_long_is_413(begin: Begin) -> None:
    """What has come stays: the client may have meant another one."""
    place = begin(single={"max_size": 10})
    location = place.talk.created()
    place.talk.patch(location, 0, b"12345")
    expect_problem(place.talk.patch(location, 5, b"6", upload_length=11), 413, "limit_exceeded")
    place.expect_partial(location, 5)


@pytest.mark.parametrize("size", [11, 9000])
def test_of_an_unknown_length_no_more_may_come_than_the_longest_upload_has(begin: Begin, size: int) -> None:
    """By its Content-Length nothing of it is read; else what comes too much ends it: it can never be whole."""
    place = begin(single={"max_size": size - 1})
    location = place.talk.created()
    body = Watched([bytes(size)])
    expect_problem(place.talk.patch(location, 0, body, length=size), 413, "limit_exceeded")
    assert body.taken == 0
    place.expect_partial(location, 0)
    body = Watched([bytes(size - 3), b"123", b"4"])
    expect_problem(place.talk.patch(location, 0, body), 413, "limit_exceeded")
    assert body.taken == 2
    place.expect_gone(location, State.REJECTED, "bytes")
    assert place.left() == []


# Expiration


def test_an_upload_tells_when_it_expires_by_the_clock_of_http(place: Place) -> None:
    """In the answer that makes it, in those to each PATCH and to HEAD."""
    answer = place.talk.create(10)
    before = datetime.now(UTC)
    for each in (answer, place.talk.head(answer.location), place.talk.patch(answer.location, 0, b"12345")):
        text = each.headers["upload-expires"]
        assert text.endswith(" GMT")
        left = parsedate_to_datetime(text) - before
        assert timedelta(hours=23, minutes=59) < left < timedelta(hours=24, minutes=1)
    place.expect_partial(answer.location, 5)


def test_what_is_added_gives_an_upload_more_time(begin: Begin) -> None:
    """It expires when nothing more comes, and not so long after it began."""
    place = begin(expires_seconds=1000)
    location = place.talk.created(10)
    name = id_of(location)
    hold = place.ledger.resumables.hold(name, seconds=10)
    assert hold is not None
    place.ledger.resumables.let_go(hold, expires_at=datetime.now(UTC) + timedelta(seconds=10))
    place.talk.patch(location, 0, b"12345")
    row = place.ledger.resumables.get(name)
    assert row is not None
    assert row.expires_at > datetime.now(UTC) + timedelta(seconds=900)


def test_an_upload_whose_time_is_over_is_410(place: Place) -> None:
    """Also before anything has removed it."""
    location = place.talk.created(10)
    place.talk.patch(location, 0, b"12345")
    hold = place.ledger.resumables.hold(id_of(location), seconds=10)
    assert hold is not None
    place.ledger.resumables.let_go(hold, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    answer = place.talk.head(location)
    assert answer.status == 410
    assert "upload-offset" not in answer.headers
    expect_problem(place.talk.patch(location, 5, b"67890"), 410, "upload_gone")
    expect_problem(place.talk.delete(location), 410, "upload_gone")
    assert place.record(location).state is State.RECEIVING


# Checksum


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
@pytest.mark.parametrize("size", [5, 9000, 3_000_000])
def test_bytes_that_are_what_was_sent_are_taken(place: Place, algorithm: str, size: int) -> None:
    """However many they are."""
    data = os.urandom(size)
    location = place.talk.created(size + 3)
    place.talk.patch(location, 0, b"abc")
    answer = place.talk.patch(location, 3, data, upload_checksum=checksum(data, algorithm))
    assert (answer.status, answer.offset) == (204, size + 3)
    place.expect_whole(location, b"abc" + data)


@pytest.mark.parametrize("before", [0, 3, 9000])
@pytest.mark.parametrize("size", [5, 3_000_000])
def test_bytes_that_are_not_what_was_sent_are_460(place: Place, before: int, size: int) -> None:
    """None of them is kept, and the upload goes on from where it was."""
    data = os.urandom(before + size)
    location = place.talk.created(before + size)
    place.talk.patch(location, 0, data[:before])
    wrong = bytes([data[before] ^ 1]) + data[before + 1 :]
    answer = place.talk.patch(location, before, wrong, upload_checksum=checksum(data[before:]))
    expect_problem(answer, 460, "checksum_mismatch")
    place.expect_partial(location, before)
    place.talk.patch(location, before, data[before:], upload_checksum=checksum(data[before:]))
    place.expect_whole(location, data)


def test_a_checksum_that_is_none_is_400(place: Place) -> None:
    """Nor one of an algorithm that is not known. None of the bytes is kept."""
    location = place.talk.created(10)
    for header in (
        *("", "sha1", "sha1 ", "md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha1 !!!", "sha1 AAAA", "SHA1x AAAA", "sha1 é"),
        *("sha256 YQ==", "crc32 AAAAAAA="),
    ):
        expect_problem(place.talk.patch(location, 0, b"12345", upload_checksum=header), 400, "malformed_upload")
    place.expect_partial(location, 0)


def test_of_a_body_with_a_checksum_that_ends_early_nothing_is_kept(place: Place) -> None:
    """It cannot be what was sent."""

    def broken() -> Iterator[bytes]:
        yield b"123"
        raise ConnectionResetError

    location = place.talk.created(10)
    with pytest.raises(ConnectionResetError):
        place.talk.patch(location, 0, broken(), upload_checksum=checksum(b"12345"))
    place.expect_partial(location, 0)


# Termination


@pytest.mark.parametrize("size", [0, 5, 9000, 10000])
def test_an_upload_that_is_terminated_is_gone(place: Place, size: int) -> None:
    """Also one that is finished. From then on it is 410."""
    location = place.talk.created(10000)
    place.talk.patch(location, 0, bytes(size))
    answer = place.talk.delete(location)
    assert (answer.status, answer.problem, answer.headers["tus-resumable"]) == (204, {}, "1.0.0")
    place.expect_gone(location, State.DELETED)
    assert place.left() == []
    expect_problem(place.talk.delete(location), 410, "upload_gone")
    expect_problem(place.talk.patch(location, size, b"12345"), 410, "upload_gone")


def test_what_is_deleted_while_it_comes_is_gone(place: Place) -> None:
    """By somebody who need not know of tus. Nothing is left, and no fault of the service is told."""
    data = os.urandom(4 << 20)
    location = place.talk.created(len(data))

    def body() -> Iterator[bytes]:
        for at in range(0, len(data), 1 << 16):
            if at == 1 << 20:
                place.pipeline.delete(id_of(location))
            yield data[at : at + (1 << 16)]

    answer = place.talk.patch(location, 0, body(), length=len(data))
    expect_problem(answer, 410, "upload_gone")
    assert place.left() == []


# Concatenation


def pieces(place: Place, *data: bytes) -> list[str]:
    """Finished pieces."""
    return [place.talk.upload(each, upload_concat="partial") for each in data]


def test_pieces_are_put_together_in_their_order(place: Place) -> None:
    """Then they are used up. What they were called is nothing to the upload, which has its own metadata."""
    told = metadata(filename="whole.bin")
    one, two = pieces(place, b"12345", DATA)
    assert place.talk.head(one).headers["upload-concat"] == "partial"
    assert place.handled == []
    answer = place.talk.put_together(two, one, upload_metadata=told)
    assert answer.status == 201
    place.expect_whole(answer.location, DATA + b"12345")
    assert [file.filename for file in place.handled] == ["whole.bin"]
    for piece in (one, two):
        place.expect_gone(piece, State.DELETED)
    head = place.talk.head(answer.location)
    assert head.headers["upload-concat"] == f"final;{two} {one}"
    assert head.headers["upload-offset"] == head.headers["upload-length"] == str(len(DATA) + 5)
    assert head.headers["upload-metadata"] == told
    assert len(place.left()) == 1


def test_pieces_are_known_by_whole_addresses_and_by_paths(place: Place) -> None:
    """As a client has them. A space behind the semicolon is nothing."""
    one, two = pieces(place, b"12345", b"67890")
    answer = place.talk.create(upload_concat=f"final; https://example.org{one}  {two}/")
    assert answer.status == 201
    place.expect_whole(answer.location, b"1234567890")


def test_a_piece_is_there_once(place: Place) -> None:
    """A thousand times what was sent is nobody's upload."""
    (one,) = pieces(place, b"12345")
    expect_problem(place.talk.put_together(one, one), 400, "malformed_upload")
    place.expect_partial(one, 5)
    assert place.talk.put_together(one).status == 201


def test_empty_pieces_are_pieces(place: Place) -> None:
    """Of two of them comes an empty upload."""
    one, two = place.talk.created(0, upload_concat="partial"), place.talk.created(0, upload_concat="partial")
    answer = place.talk.put_together(one, two)
    assert answer.status == 201
    place.expect_whole(answer.location, b"")


@pytest.mark.parametrize("length", [None, 10])
def test_pieces_that_are_not_finished_are_not_put_together(place: Place, length: int | None) -> None:
    """400; they stay, and can be finished."""
    (one,) = pieces(place, b"12345")
    two = place.talk.created(length, upload_concat="partial", upload_defer_length=None if length else 1)
    place.talk.patch(two, 0, b"67890"[: 4 if length else 5])
    expect_problem(place.talk.put_together(one, two), 400, "malformed_upload")
    place.expect_partial(one, 5)
    assert len(place.records()) == 2
    rest = b"012345" if length else b""
    place.talk.patch(two, place.talk.head(two).offset, rest, upload_length=10 if length else 5)
    assert place.talk.put_together(one, two).status == 201


def test_what_is_no_piece_is_not_put_together(place: Place) -> None:
    """An upload that is finished, one that is not, and one that was put together."""
    (one,) = pieces(place, b"12345")
    whole, open_ = place.talk.upload(b"67890"), place.talk.created(5)
    for other in (whole, open_):
        expect_problem(place.talk.put_together(one, other), 400, "malformed_upload")
        expect_problem(place.talk.put_together(other), 400, "malformed_upload")
    place.expect_partial(one, 5)
    final = place.talk.put_together(one).location
    expect_problem(place.talk.put_together(final), 400, "malformed_upload")
    place.expect_whole(final, b"12345")
    place.expect_whole(whole, b"67890")
    place.expect_partial(open_, 0)


def test_pieces_that_are_gone_or_never_were_are_told(place: Place) -> None:
    """The others stay. Also where another one is not finished, whichever is looked at first."""
    one, two = pieces(place, b"12345", b"67890")
    place.talk.delete(two)
    for other in [place.talk.created(5, upload_concat="partial") for _ in range(4)]:
        expect_problem(place.talk.put_together(other, two), 410, "upload_gone")
        place.expect_partial(other, 0)
    expect_problem(place.talk.put_together(one, two), 410, "upload_gone")
    expect_problem(place.talk.put_together(one, "/files/" + "0" * 32), 404, "record_missing")
    place.expect_partial(one, 5)


@pytest.mark.parametrize("address", ["http://[x", "http://[x/y", "//", "?", "/files/a\0b"])
def test_an_address_that_is_none_is_no_piece(place: Place, address: str) -> None:
    expect_problem(place.talk.put_together(address), 404, "record_missing")
    place.expect_nothing()


@pytest.mark.parametrize("name", ["a\0b", "n" * 9000], ids=["NUL", "long"])
def test_a_piece_has_no_name_and_no_type(place: Place, name: str) -> None:
    """What its client says of it is told back to it, and nowhere else."""
    said = metadata(filename=name, filetype=name)
    piece = place.talk.created(5, upload_concat="partial", upload_metadata=said)
    assert place.talk.head(piece).headers["upload-metadata"] == said
    assert place.record(piece).client_filename == ""


def test_pieces_of_another_owner_are_none(begin: Begin) -> None:
    """As if they were not there; they stay."""
    place = begin(owner="ann")
    (one,) = pieces(place, b"12345")
    for owner in ("bob", None):
        other = place.again()
        other.owner = owner
        expect_problem(other.put_together(one), 404, "record_missing")
    place.expect_partial(one, 5)
    assert place.talk.put_together(one).status == 201


def test_what_was_put_together_takes_no_bytes(place: Place) -> None:
    """403, whatever the offset; also where none are sent."""
    (one,) = pieces(place, b"12345")
    final = place.talk.put_together(one).location
    for offset, data in ((5, b"67890"), (5, b""), (0, b"12345")):
        assert place.talk.patch(final, offset, data).status == 403
    place.expect_whole(final, b"12345")


def test_what_is_put_together_brings_no_bytes(place: Place) -> None:
    """They would have no place in it. Nothing is made of it, and the pieces stay."""
    (one,) = pieces(place, b"12345")
    answer = place.talk.create(None, b"hello", upload_concat=f"final;{one}")
    assert answer.status == 403
    place.expect_partial(one, 5)
    assert len(place.records()) == 1


def test_a_concatenation_that_is_none_is_400(place: Place) -> None:
    """Nothing is left."""
    for concat in (
        "",
        "final",
        "final;",
        "final; ",
        "finally;/files/x",
        "part",
        "partial;",
        "Partial",
        "final,/files/x",
    ):
        length = None if concat.startswith("final") else 10
        answer = place.talk.ask("POST", upload_concat=concat, upload_length=length)
        expect_problem(answer, 400, "malformed_upload")
    place.expect_nothing()


@pytest.mark.parametrize("header", ["upload_length", "upload_defer_length"])
def test_what_is_put_together_has_no_length_of_its_own(place: Place, header: str) -> None:
    """It is that of its pieces."""
    (one,) = pieces(place, b"12345")
    expect_problem(place.talk.put_together(one, **{header: 1}), 400, "malformed_upload")
    place.expect_partial(one, 5)


def test_pieces_that_are_too_much_together_are_413(begin: Begin) -> None:
    """Each of them was not. They stay: others may be put together of them."""
    place = begin(single={"max_size": 9})
    one, two = pieces(place, b"12345", b"67890")
    expect_problem(place.talk.put_together(one, two), 413, "limit_exceeded")
    place.expect_partial(one, 5)
    place.expect_partial(two, 5)
    assert place.handled == []


def test_a_piece_is_too_long_where_an_upload_would_be(begin: Begin) -> None:
    """And may be shorter than one."""
    place = begin(single={"max_size": 9, "min_size": 8})
    expect_problem(place.talk.create(10, upload_concat="partial"), 413, "limit_exceeded")
    one, two = pieces(place, b"12345", b"678")
    expect_problem(place.talk.put_together(one), 422, "file_refused")
    answer = place.talk.put_together(one, two)
    place.expect_whole(answer.location, b"12345678")


def test_pieces_are_opened_one_at_a_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are: one request takes no descriptors from the others."""
    locations, opened, extend = pieces(place, *[b"12345"] * 6), [], Partial.extend

    def extending(partial: Partial, other: PartialObject) -> None:
        extend(partial, other)
        opened.append({path.rpartition("/partial-")[2] for path in descriptors() if "/partial-" in path})

    monkeypatch.setattr(Partial, "extend", extending)
    final = place.talk.put_together(*locations).location
    place.expect_whole(final, b"12345" * 6)
    assert opened == [{id_of(location), id_of(final)} for location in locations]


def test_no_more_pieces_are_put_together_than_a_client_needs(place: Place) -> None:
    """A thousand: each is locked meanwhile."""
    answer = place.talk.put_together(*["/files/" + "0" * 32] * 1001)
    expect_problem(answer, 400, "malformed_upload")
    place.expect_nothing()


# Owners


def test_the_uploads_of_another_owner_are_not_there(begin: Begin) -> None:
    """404, and nothing is done."""
    place = begin(owner="ann")
    location = place.talk.created(10)
    place.talk.patch(location, 0, b"12345")
    gone = place.talk.created(10)
    place.talk.delete(gone)
    for owner in ("bob", None, ""):
        other = place.again()
        other.owner = owner
        for where in (location, gone):
            assert other.head(where).status == 404
            assert other.patch(where, 5, b"67890").status == 404
            assert other.delete(where).status == 404
    place.expect_partial(location, 5)


# Locks


class Held:
    """A PATCH in a thread of its own, that has sent `sent` and goes on when it is let go."""

    def __init__(self, place: Place, location: str, *, sent: bytes, rest: bytes = b"") -> None:
        self.reading, self.goes_on = threading.Event(), threading.Event()
        self.answers: list[Told] = []
        talk = place.again()
        self._thread = threading.Thread(
            target=lambda: self.answers.append(talk.patch(location, 0, self._body(sent, rest)))
        )
        self._thread.start()
        assert self.reading.wait(10)

    def _body(self, sent: bytes, rest: bytes) -> Iterator[bytes]:
        yield sent
        self.reading.set()
        assert self.goes_on.wait(10)
        yield rest

    def end(self) -> Told:
        self.goes_on.set()
        self._thread.join(10)
        return self.answers[0]


@pytest.mark.parametrize("sent", [5, 9000])
def test_who_does_not_let_go_keeps_others_out(begin: Begin, sent: int) -> None:
    """They are told to come back, 423, and change nothing. A body that waits for its client in a thread cannot be
    broken off: it ends with its next chunk, and what has come stays."""
    place = begin()
    if place.talk.driver == "async":
        pytest.skip("an async body is broken off")
    location = place.talk.created(10000)
    held = Held(place, location, sent=bytes(sent), rest=b"x")
    try:
        for answer in (
            place.talk.head(location),
            place.talk.patch(location, 0, b"12345"),
            place.talk.delete(location),
        ):
            assert answer.status == 423
            assert int(answer.headers["retry-after"]) > 0
            assert "upload-offset" not in answer.headers
    finally:
        answer = held.end()
    expect_problem(answer, 423, "upload_locked")
    place.expect_partial(location, sent + 1)


@pytest.mark.parametrize("sent", [0, 5, 9000, 3_000_000])
@pytest.mark.parametrize("before", [0, 9000])
@pytest.mark.parametrize("asks", ["HEAD", "PATCH", "DELETE"])
def test_who_waits_for_a_client_lets_go_when_another_request_comes(
    tmp_path: Path, sent: int, before: int, asks: str
) -> None:
    """Of a body that is awaited no more is taken. What has come of it stays, and the other request sees all of it: its
    client has come back, and the first connection is one that nobody has told of its end."""

    async def main(place: Place, location: str) -> None:
        reading = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            for at in range(0, sent, 65536):
                yield data[before + at : before + min(at + 65536, sent)]
            reading.set()
            await asyncio.Event().wait()

        def request(method: str, chunks: Any = b"", **headers: Any) -> Any:
            return place.talk.request(method, location, chunks, content_type=OFFSET_TYPE, **headers)

        asked, chunks = request("PATCH", body(), upload_offset=before)
        first = asyncio.create_task(place.talk.server.arespond(asked, chunks))
        await asyncio.wait_for(reading.wait(), 20)
        there = before + sent
        asked, rest = request(asks, data[there:], upload_offset=there)
        second = told(await place.talk.server.arespond(asked, arriving(rest)))
        assert told(await asyncio.wait_for(first, 20)).code == "upload_locked"
        assert second.status == (200 if asks == "HEAD" else 204)
        if asks == "HEAD":
            assert second.offset == there

    data = os.urandom(before + sent + 10)
    with place_in(tmp_path, driver="async", wait_seconds=20) as place:
        location = place.talk.created(len(data))
        place.talk.patch(location, 0, data[:before])
        asyncio.run(main(place, location))
        if asks == "PATCH":
            place.expect_whole(location, data)
        elif asks == "DELETE":
            place.expect_gone(location, State.DELETED)
        else:
            place.expect_partial(location, before + sent)
            place.talk.patch(location, before + sent, data[before + sent :])
            place.expect_whole(location, data)


class OfATest(Exception):
    """What a body raises."""


def test_the_lock_is_free_whatever_a_request_has_come_to(place: Place) -> None:
    """After each of these the next one is not kept waiting."""

    def broken() -> Iterator[bytes]:
        yield b"1"
        raise OfATest

    location = place.talk.created(10)
    asked: list[Callable[[], object]] = [
        lambda: place.talk.head(location),
        lambda: place.talk.patch(location, 5, b"12345"),
        lambda: place.talk.patch(location, 0, b"12345", upload_checksum=checksum(b"x")),
        lambda: place.talk.patch(location, 0, b"x" * 20),
        lambda: place.talk.patch(location, 0, broken()),
        lambda: place.talk.patch(location, 1, [b"2", b"x" * 20]),
        lambda: place.talk.put_together(location),
        lambda: place.talk.patch(location, 2, b"345"),
    ]
    for ask in asked:
        began = time.monotonic()
        with suppress(OfATest):
            ask()
        place.expect_free(location)
        assert time.monotonic() - began < 5
    place.expect_partial(location, 5)


# Cross-origin requests


@pytest.mark.parametrize("allowed", [["https://a.example"], ["https://b.example", "https://a.example"], ["*"]])
def test_pages_of_allowed_origins_may_upload(begin: Begin, allowed: list[str]) -> None:
    """What they may send is told before, and what they may read with every answer, one of an error too."""
    place = begin(allow_origins=allowed)
    origin = "https://a.example"
    answer = place.talk.ask("OPTIONS", origin=origin, access_control_request_method="PATCH", tus_resumable=None)
    assert answer.status == 204
    assert {"POST", "HEAD", "PATCH", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    sent = {name.lower() for name in answer.headers["access-control-allow-headers"].split(", ")}
    for name in ("tus-resumable", "upload-length", "upload-offset", "upload-metadata", "upload-defer-length"):
        assert name in sent
    for name in ("content-type", "upload-concat", "upload-checksum", "x-http-method-override", "authorization"):
        assert name in sent
    created = place.talk.create(10, origin=origin)
    for answer in (
        created,
        place.talk.head(created.location, origin=origin),
        place.talk.patch(created.location, 5, b"x", origin=origin),
        place.talk.ask("GET", origin=origin),
        place.talk.head("/files/no", origin=origin),
    ):
        assert answer.headers["access-control-allow-origin"] == ("*" if allowed == ["*"] else origin)
        assert "Origin" in answer.headers["vary"]
        shown = {name.lower() for name in answer.headers["access-control-expose-headers"].split(", ")}
        of_tus = {name for name in answer.headers if name.startswith(("tus-", "upload-"))} | {"location", "retry-after"}
        assert of_tus <= shown
        assert "access-control-allow-credentials" not in answer.headers


def test_pages_of_other_origins_are_told_nothing(begin: Begin) -> None:
    """Their browsers keep the answer from them."""
    place = begin(allow_origins=["https://a.example"])
    for origin in ("https://a.example.evil", "http://a.example", "null", "https://a.example:444", ""):
        for answer in (
            place.talk.ask("OPTIONS", origin=origin, access_control_request_method="PATCH"),
            place.talk.create(10, origin=origin),
        ):
            assert "access-control-allow-origin" not in answer.headers
            assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-origin" not in place.talk.create(10).headers


def test_without_allowed_origins_nothing_is_said_of_them(place: Place) -> None:
    """A page of the own origin needs nothing."""
    answers = [
        place.talk.ask("OPTIONS", origin="https://a.example", access_control_request_method="PATCH"),
        place.talk.create(10, origin="https://a.example"),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]


# Storages


def test_uploads_wait_in_memory_too(begin: Begin) -> None:
    """All of it with the other storage that keeps what is not whole."""
    place = begin(storage=MemoryStorage())
    location = place.talk.upload(DATA, 5, 9000)
    place.expect_whole(location, DATA)
    one, two = pieces(place, b"12345", DATA)
    place.expect_whole(place.talk.put_together(one, two).location, b"12345" + DATA)


class Watched:
    """A body that counts how many of its chunks were taken."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.taken = 0
        self._chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.taken += 1
        return chunk
