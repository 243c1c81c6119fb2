"""Uploads in several requests whose bytes wait in a bucket of a real S3 server, and two processes that take them in
turn."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import cycle

import pytest
from tests.adapters.servers import Server, running
from tests.resumable.test_faults_processes import KIND, ask, create, size_of
from tests.storage.s3.places import Place, place_on
from tests.storage.s3.places import weed as weed
from tests.storage.s3.server import S3Server

MIB = 2**20


@dataclass
class Two:
    """Two servers with one ledger and one bucket."""

    servers: list[Server]
    place: Place

    def expect_stored(self, *files: bytes) -> None:
        """These are all that is there: nothing is open, and nothing waits."""
        stored = map(self.place.get, sorted(self.place.keys()))
        assert sorted(hashlib.sha256(data).hexdigest() for data in stored) == sorted(
            hashlib.sha256(data).hexdigest() for data in files
        )
        assert self.place.left() == []


@pytest.fixture(scope="module")
def both(weed: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("bucket")
    with ExitStack() as ending:
        place = ending.enter_context(place_on(weed))
        told = {"RESUMABLE_LEDGER": f"sqlite:///{folder}/uploads.db", "RESUMABLE_BUCKET": place.url}
        told["RESUMABLE_S3"] = json.dumps(place.options())
        servers = [ending.enter_context(running(KIND, folder, **told)) for _ in range(2)]
        yield Two(servers, place)
        for server in servers:
            assert server.complaints() == []


@pytest.fixture
def two(both: Two) -> Two:
    """Nothing lies there before a test."""
    both.place.clear()
    return both


@pytest.mark.parametrize("piece", [pytest.param(700_001, marks=pytest.mark.soak), 3 * MIB, 5 * MIB, 7_000_001])
def test_two_servers_take_one_upload_in_turn(two: Two, piece: int) -> None:
    """Whether a request brings less than a part, one, or more."""
    data, ports = os.urandom(16 * MIB + 12_345), cycle([server.port for server in two.servers])
    location = create(next(ports), len(data))
    for start in range(0, len(data), piece):
        assert ask(next(ports), "HEAD", location).offset == start
        answer = ask(next(ports), "PATCH", location, data[start : start + piece], upload_offset=start)
        assert (answer.status, answer.offset) == (204, min(len(data), start + piece))
    assert [size_of(server.port, location) for server in two.servers] == [len(data)] * 2
    two.expect_stored(data)


def test_a_server_goes_on_where_the_line_of_another_one_was_cut(two: Two) -> None:
    """What has come is kept, and no byte is there twice."""
    data, offsets = os.urandom(12 * MIB), [0]
    location = create(two.servers[0].port, len(data))
    for server in cycle(two.servers):
        start = size_of(server.port, location)
        assert start >= offsets[-1], "it has gone back"
        offsets.append(start)
        if start == len(data):
            break
        _cut(server.port, location, data[start:], at=start, after=4 * MIB + 999)
    assert len(offsets) > 3
    two.expect_stored(data)


def test_pieces_are_put_together_in_the_bucket(two: Two) -> None:
    """Also where they are no whole parts."""
    data, ports, pieces = os.urandom(13 * MIB), cycle([server.port for server in two.servers]), []
    for start, end in ((0, 6 * MIB + 1), (6 * MIB + 1, 7 * MIB), (7 * MIB, len(data))):
        made = ask(next(ports), "POST", "/files/", upload_length=end - start, upload_concat="partial").location
        assert made is not None
        assert ask(next(ports), "PATCH", made, data[start:end], upload_offset=0).status == 204
        pieces.append(made)
    assert ask(next(ports), "POST", "/files/", upload_concat=f"final;{' '.join(pieces)}").status == 201
    two.expect_stored(data)


def test_what_is_given_up_leaves_nothing_in_the_bucket(two: Two) -> None:
    """Whoever is asked for that."""
    first, other = two.servers
    location = create(first.port, 20 * MIB)
    assert ask(first.port, "PATCH", location, os.urandom(11 * MIB), upload_offset=0).status == 204
    assert two.place.left() != []
    assert ask(other.port, "DELETE", location).status == 204
    two.expect_stored()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _cut(port: int, location: str, data: bytes, *, at: int, after: int) -> None:
    """A PATCH of all that is missing, whose client goes away after so many bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest("PATCH", location)
        for name, value in (
            ("Tus-Resumable", "1.0.0"),
            ("Content-Type", "application/offset+octet-stream"),
            ("Upload-Offset", str(at)),
            ("Content-Length", str(len(data))),
        ):
            connection.putheader(name, value)
        connection.endheaders()
        with suppress(OSError):
            connection.send(data[:after])
        if len(data) <= after:
            connection.getresponse().read()
    finally:
        connection.close()
