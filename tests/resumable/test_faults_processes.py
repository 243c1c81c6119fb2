"""Real processes: two servers over one ledger and one folder, clients that race for one upload, servers that are killed
at any moment, and a disk that is full."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import pytest
from tests.adapters.servers import Server, running, uvicorn
from tests.postgres import PostgresServer
from tests.resumable.talking import DRIVERS, OFFSET_TYPE, id_of, place_in
from tests.small_disk import small_disk
from tests.soak import mostly_soaked

from uploadkit.records.ledger import Ledger
from uploadkit.storage.disk import DiskStorage

KIND = uvicorn("tests.resumable.app:app", adapter="starlette")

SECONDS = 60


@dataclass
class Told:
    """An answer; None for what it did not have."""

    status: int
    offset: int | None
    location: str | None


def ask(port: int, method: str, path: str, body: bytes | Sequence[bytes] = b"", **headers: object) -> Told:
    """One request on a connection of its own. Raises `OSError` or `HTTPException` where there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        names = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        names |= {"Tus-Resumable": "1.0.0", "Content-Type": OFFSET_TYPE}
        if not isinstance(body, bytes):
            names["Content-Length"] = str(sum(map(len, body)))
        elif method == "POST":
            del names["Content-Type"]
        connection.request(method, path, body=body if isinstance(body, bytes) else iter(body), headers=names)
        answer = connection.getresponse()
        answer.read()
        offset = answer.getheader("Upload-Offset")
        return Told(answer.status, None if offset is None else int(offset), answer.getheader("Location"))
    finally:
        connection.close()


def create(port: int, length: int) -> str:
    """Where a new upload is."""
    created = ask(port, "POST", "/files/", upload_length=length)
    assert created.status == 201
    assert created.location is not None
    return created.location


def size_of(port: int, location: str) -> int:
    """How far it has come, when somebody can say so."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with suppress(OSError, http.client.HTTPException):
            head = ask(port, "HEAD", location)
            if head.status == 200:
                assert head.offset is not None
                return head.offset
            assert head.status == 423, head
        time.sleep(0.02)
    raise AssertionError("nobody can say how far it has come")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two servers with one ledger and one folder."""
    folder = tmp_path_factory.mktemp("both")
    with ExitStack() as ending:
        if request.param == "sqlite":
            url = f"sqlite:///{folder}/uploads.db"
        else:
            postgres: PostgresServer = request.getfixturevalue("postgres")
            name = postgres.create()
            ending.callback(postgres.drop, name)
            url = postgres.url(name)
            with closing(Ledger(url)) as ledger:
                ledger.migrate()
        servers = [ending.enter_context(running(KIND, folder, RESUMABLE_LEDGER=url)) for _ in range(2)]
        yield servers
        for server in servers:
            assert server.complaints() == []


@pytest.fixture
def two(both: list[Server]) -> Iterator[list[Server]]:
    """Nothing lies there before a test."""
    yield both
    both[0].clear()


def expect_stored(server: Server, *files: bytes) -> None:
    """These are all that is there."""
    assert sorted(server.files().values()) == sorted(hashlib.sha256(data).hexdigest() for data in files)


# Two processes


def test_two_servers_take_one_upload_in_turn(two: list[Server]) -> None:
    """A request each: what one was sent the other knows. Pieces are put together by whoever is asked."""
    data, ports = os.urandom(300_000), cycle([server.port for server in two])
    location = create(next(ports), len(data))
    for start in range(0, len(data), 30_000):
        assert ask(next(ports), "HEAD", location).offset == start
        answer = ask(next(ports), "PATCH", location, data[start : start + 30_000], upload_offset=start)
        assert (answer.status, answer.offset) == (204, start + 30_000)
    assert [size_of(server.port, location) for server in two] == [len(data)] * 2
    pieces = []
    for server, piece in zip(two, (data[:100_000], data[100_000:]), strict=True):
        made = ask(server.port, "POST", "/files/", upload_length=len(piece), upload_concat="partial").location
        assert made is not None
        assert ask(next(ports), "PATCH", made, piece, upload_offset=0).status == 204
        pieces.append(made)
    put = ask(next(ports), "POST", "/files/", upload_concat=f"final;{' '.join(pieces)}")
    assert put.status == 201
    expect_stored(two[0], data, data)
    assert ask(next(ports), "DELETE", location).status == 204
    assert ask(next(ports), "HEAD", location).status == 410
    expect_stored(two[0], data)
    assert two[0].staged() == []


@dataclass
class Racer:
    """A client that goes on with an upload from wherever it is, by one of the servers, and slowly."""

    port: int
    location: str
    data: bytes
    chance: random.Random
    taken: list[range] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def run(self) -> None:
        """Until all of it is there."""
        while True:
            offset = size_of(self.port, self.location)
            self.told.append(offset)
            if offset == len(self.data):
                return
            end = min(len(self.data), offset + self.chance.randrange(1, 120_000))
            with suppress(OSError, http.client.HTTPException):  # it was answered before all was sent
                answer = ask(self.port, "PATCH", self.location, self._slowly(offset, end), upload_offset=offset)
                self.statuses.append(answer.status)
                if answer.status == 204:
                    self.taken.append(range(offset, end))
                    assert answer.offset == end
                    self.told.append(end)

    def _slowly(self, start: int, end: int) -> list[bytes]:
        size = self.chance.randrange(1000, 30_000)
        return [self.data[at : min(at + size, end)] for at in range(start, end, size)]


@pytest.mark.parametrize("seed", mostly_soaked(range(8), {0}))
def test_clients_that_race_for_an_upload_never_mix(two: list[Server], seed: int) -> None:
    """Each server has two of them, and every byte of one is another one in the other. What was taken of a client is
    its own, without a gap, and nobody is told of an offset that goes back."""
    mine = random.Random(seed).randbytes(600_000)
    others = bytes(byte ^ 0xFF for byte in mine)
    location = create(two[0].port, len(mine))
    racers = [
        Racer(two[number % 2].port, location, (mine, others)[number // 2], random.Random(seed * 4 + number))
        for number in range(4)
    ]
    threads = [threading.Thread(target=racer.run) for racer in racers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    [path] = [path for path in two[0].root.glob("[!.]*") if path.is_file()]
    stored = path.read_bytes()
    assert len(stored) == len(mine)
    assert all(byte in pair for byte, pair in zip(stored, zip(mine, others, strict=True), strict=True))
    for racer in racers:
        assert racer.told == sorted(racer.told)
        assert set(racer.statuses) <= {204, 409, 423}
        for each in racer.taken:
            assert stored[each.start : each.stop] == racer.data[each.start : each.stop]
    assert two[0].staged() == []
    assert all(server.open_files() == [] for server in two)


def test_one_client_with_two_connections_is_not_kept_waiting(two: list[Server]) -> None:
    """Its first one is dead, and nobody has told the server that has it. The other server asks for the upload, and the
    first lets it go: that takes no lease."""
    data = os.urandom(400_000)
    location = create(two[0].port, len(data))
    dead = http.client.HTTPConnection("127.0.0.1", two[0].port, timeout=SECONDS)
    try:
        dead.putrequest("PATCH", location)
        for name, value in (("Tus-Resumable", "1.0.0"), ("Content-Type", OFFSET_TYPE), ("Upload-Offset", "0")):
            dead.putheader(name, value)
        dead.putheader("Content-Length", str(len(data)))
        dead.endheaders()
        dead.send(data[:200_000])
        end = time.monotonic() + SECONDS
        while True:
            offset = size_of(two[1].port, location)  # which interrupts it
            if offset:
                break
            assert time.monotonic() < end
            with suppress(OSError):
                dead.send(b"")
        assert offset <= 200_000
        answer = ask(two[1].port, "PATCH", location, data[offset:], upload_offset=offset)
        assert answer.status == 204
    finally:
        dead.close()
    expect_stored(two[1], data)


# Kills


@pytest.mark.parametrize("seed", mostly_soaked(range(10), {0}))
def test_a_server_may_be_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    """While bytes come, and while the last ones are judged and published: what was promised is there when it is begun
    again, no offset is behind it, and the file is whole in the end."""
    chance = random.Random(seed)
    data = chance.randbytes(3_000_000)
    location, promised = "", 0
    for _ in range(3):
        with running(KIND, tmp_path) as server:
            location = location or create(server.port, len(data))
            offset = size_of(server.port, location)
            assert promised <= offset
            assert server.files() == {} or offset == len(data)
            killing = threading.Timer(chance.uniform(0, 0.4), server.kill)
            killing.start()
            while offset < len(data):
                end = min(len(data), offset + chance.choice([50_000, 400_000, 3_000_000]))
                pieces = [data[at : min(at + 65_536, end)] for at in range(offset, end, 65_536)]
                try:
                    answer = ask(server.port, "PATCH", location, pieces, upload_offset=offset)
                except (OSError, http.client.HTTPException):
                    break
                assert answer.status == 204, answer
                offset = promised = end
            killing.join()
    with running(KIND, tmp_path) as server:
        offset = size_of(server.port, location)
        assert promised <= offset
        if offset < len(data):
            assert ask(server.port, "PATCH", location, data[offset:], upload_offset=offset).status == 204
        expect_stored(server, data)
        assert server.staged() == []


# A full disk


@pytest.mark.needs("tmpfs")
@pytest.mark.parametrize("driver", DRIVERS)
def test_on_a_full_disk_what_has_come_is_kept(tmp_path: Path, driver: str) -> None:
    """503 with the code of storages, and not the words of the system's paths; when there is room it goes on."""
    data = os.urandom(1_500_000)
    root = tmp_path / "files"
    root.mkdir()
    with small_disk(root, "size=2m"), place_in(tmp_path, driver=driver, storage=DiskStorage(root)) as place:
        location = place.talk.created(len(data))
        assert place.talk.patch(location, 0, data[:700_000]).offset == 700_000
        filler = root / "filler"
        filler.write_bytes(bytes(1_200_000))
        answer = place.talk.patch(location, 700_000, data[700_000:])
        assert (answer.status, answer.code) == (503, "storage_failed")
        assert str(root) not in answer.problem["detail"]
        offset = place.talk.head(location).offset
        assert 700_000 <= offset < len(data)
        again = place.talk.patch(location, offset, data[offset:])
        assert again.status == 503
        assert place.talk.head(location).offset >= offset
        filler.unlink()
        offset = place.talk.head(location).offset
        place.talk.patch(location, offset, data[offset:])
        place.expect_whole(location, data)


@pytest.mark.needs("tmpfs")
@pytest.mark.parametrize("driver", DRIVERS)
def test_on_a_full_disk_nothing_is_begun_and_nothing_left(tmp_path: Path, driver: str) -> None:
    """Of uploads that bring what does not fit, and of pieces that do not fit together. The pieces stay."""
    root = tmp_path / "files"
    root.mkdir()
    with small_disk(root, "size=2m"), place_in(tmp_path, driver=driver, storage=DiskStorage(root)) as place:
        answer = place.talk.create(3_000_000, bytes(3_000_000))
        assert (answer.status, answer.code) == (503, "storage_failed")
        place.expect_nothing()
        pieces = [place.talk.upload(bytes(700_000), upload_concat="partial") for _ in range(2)]
        answer = place.talk.put_together(*pieces)
        assert (answer.status, answer.code) == (503, "storage_failed")
        for piece in pieces:
            place.expect_partial(piece, 700_000)
        assert {name for name in place.left() if not any(id_of(piece) in name for piece in pieces)} == set()
        for piece in pieces:
            place.talk.delete(piece)
        assert place.left() == []
