"""Thousands of resumable uploads by one server, whose clients are cut off at random: nothing piles up."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bench.end_to_end.processes import resident
from bench.resumable.measure import serving
from tests.adapters.servers import eventually
from tests.soak import scaled
from tests.storage.kinds import files_below

from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.upkeep import sweep
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import Answer, Client

pytestmark = [pytest.mark.soak, pytest.mark.needs("linux")]

GROWTH = 16 << 20
"""Bytes by which a server may grow over the second half: an allocator's, and no upload's, of which there are a
thousand. One after the other they take a quarter of a MiB."""

OFFSET = "Content-Type: application/offset+octet-stream"


def test_uploads_that_are_cut_at_random_leave_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """What was finished is whole, what was given up is gone, what was left is swept; and the server is as it was."""
    count = scaled(2000, at_least=40)
    with serving(tmp_path) as (port, pid):
        folder = next(path for path in tmp_path.iterdir())
        clients = Clients(port)
        clients.send(count // 2)
        eventually(lambda: not _open_uploads(pid))
        before, had = resident([pid]), _descriptors(pid)
        clients.send(count - count // 2)
        eventually(lambda: not _open_uploads(pid))
        eventually(lambda: _descriptors(pid) <= had + 4)  # connections to the ledger come as they are needed
        grown = resident([pid]) - before
        assert clients.failures == []
        record_property("figure", f"{count} uploads, {clients.cuts} cuts: the server grew by {grown / 2**20:.1f} MiB")
        assert grown < GROWTH
        assert clients.cuts > count // 4
        with closing(Ledger(f"sqlite:///{folder / 'uploads.db'}")) as ledger:
            _expect_as_it_was_told(ledger, DiskStorage(folder / "files"), clients)
            _expect_nothing_after_a_sweep(ledger, DiskStorage(folder / "files", stale_seconds=1e-6), clients, folder)


def _expect_as_it_was_told(ledger: Ledger, storage: DiskStorage, clients: Clients) -> None:
    states = Counter(ledger.get(upload).state for upload in clients.ends)
    told = Counter(clients.ends.values())
    assert states[State.COMPLETED] == told["whole"]
    assert states[State.DELETED] == told["given up"]
    assert states[State.RECEIVING] == told["left"]
    for upload, digest in clients.digests.items():
        record = ledger.get(upload)
        assert record.sha256 == digest
        assert record.key is not None
        assert hashlib.sha256(b"".join(storage.read(record.key))).hexdigest() == digest


def _expect_nothing_after_a_sweep(ledger: Ledger, storage: DiskStorage, clients: Clients, folder: Path) -> None:
    with closing(Pipeline(ledger)) as pipeline:
        pipeline.knows(storage)
        swept = sweep(pipeline, now=lambda: datetime.now(UTC) + timedelta(days=2))
    assert swept.failures == 0
    kept = {ledger.get(upload).key for upload in clients.digests}
    assert {name for name in files_below(folder / "files") if not name.endswith(".lock")} == kept
    assert ledger.find(resumable=True) == []
    assert ledger.find(state=State.RECEIVING) == []


@dataclass
class Clients:
    """`ends` says of each upload what its client knows of it: that it is whole, was given up, or left."""

    port: int
    ends: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    cuts: int = 0
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sent: int = 0

    def send(self, count: int) -> None:
        """So many uploads, some at a time."""
        numbers = range(self._sent, self._sent + count)
        self._sent += count
        with ThreadPoolExecutor(6) as pool:
            for _ in pool.map(self._upload, numbers):
                pass

    def _upload(self, number: int) -> None:
        chance = random.Random(number)
        data = chance.randbytes(chance.choice([0, 1, 500, 8192, 20_000, 150_000, 1_500_000]))
        try:
            upload, end, cuts = self._one(chance, data)
        except Exception as error:
            self.failures.append(f"{number}: {error!r}")
            return
        with self._lock:
            self.ends[upload], self.cuts = end, self.cuts + cuts
            if end == "whole":
                self.digests[upload] = hashlib.sha256(data).hexdigest()

    def _one(self, chance: random.Random, data: bytes) -> tuple[str, str, int]:
        """The upload, what became of it, and how often it was cut."""
        begun = self._ask("POST", "/tus/", 201, f"Upload-Length: {len(data)}")
        address, cuts, known = begun.headers["location"], 0, 0
        upload = address.rpartition("/")[2]
        while (offset := int(self._ask("HEAD", address, 200).headers["upload-offset"])) < len(data):
            assert offset >= known, "an offset went back"
            known = offset
            fate = chance.random()
            if fate < 0.04:
                self._ask("DELETE", address, 204)
                return upload, "given up", cuts
            if fate < 0.08:
                return upload, "left", cuts
            if fate < 0.5:
                self._cut(chance, address, offset, data)
                cuts += 1
            else:
                end = chance.randint(offset + 1, len(data)) if fate < 0.7 else len(data)
                told = self._ask("PATCH", address, 204, OFFSET, f"Upload-Offset: {offset}", body=data[offset:end])
                assert told.status == 409 or int(told.headers["upload-offset"]) == end
        return upload, "whole", cuts

    def _cut(self, chance: random.Random, address: str, offset: int, data: bytes) -> None:
        """A client that goes away in the middle of what it has said it would send."""
        client = Client(self.port, timeout=60)
        client.send(_head("PATCH", address, OFFSET, f"Upload-Offset: {offset}", length=len(data) - offset))
        client.send(data[offset : chance.randint(offset, len(data) - 1)])
        if chance.random() < 0.5:
            client.reset()
        else:
            client.close()

    def _ask(self, method: str, address: str, status: int, *headers: str, body: bytes = b"") -> Answer:
        """Asks again where the upload is still another request's. One that was cut may be served after the next one,
        whose offset is then another: it is 409."""
        for _ in range(20):
            with Client(self.port, timeout=60) as client:
                client.send(_head(method, address, *headers, length=len(body)) + body)
                answer = client.answer()
            if answer.status != 423:
                assert answer.status == status or (method, answer.status) == ("PATCH", 409), (method, answer)
                return answer
        raise AssertionError(f"{address} is never let go")


def _head(method: str, address: str, *headers: str, length: int) -> bytes:
    lines = [f"{method} {address} HTTP/1.1", "Host: 127.0.0.1", "Tus-Resumable: 1.0.0", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def _targets(pid: int) -> Iterator[str]:
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue


def _descriptors(pid: int) -> int:
    return len(list(_targets(pid)))


def _open_uploads(pid: int) -> Mapping[str, int]:
    """Files of uploads and connections of clients."""
    return Counter(each for each in _targets(pid) if "partial-" in each)
