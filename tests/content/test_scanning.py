"""`ClamAV` against a real daemon: three outcomes, and what is left of a file that was not clean."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from tests.adapters.servers import eventually
from tests.content.clamd import SCAN_SIZE, STREAM_SIZE, Clamd, eicar, running
from tests.intake.receiving import left_in

from uploadkit import (
    CheckFailed,
    DiskStorage,
    FileRefused,
    IncomingFile,
    MemoryStorage,
    Spec,
    StorageFailed,
    Submission,
    Uploader,
    areceive,
    receive,
)
from uploadkit.content.scanning import CLEAN, ClamAV, Outcome, Scan
from uploadkit.testing import FailingStorage, FormBuilder

pytestmark = pytest.mark.needs("clamd")

SOCKETS = ["tcp", "unix"]

# Not all of one byte, and with EICAR's first byte in it.
FILLING = bytes(range(256)) * 4096


@pytest.fixture(params=SOCKETS)
def address(request: pytest.FixtureRequest, clamd: Clamd) -> str:
    """Of the daemon of the session."""
    return clamd.addresses[request.param]


class Told:
    """What `on_scan` was told."""

    def __init__(self) -> None:
        self.scans: list[Scan] = []

    def __call__(self, file: IncomingFile, scan: Scan) -> None:
        assert file.field == "file"
        self.scans.append(scan)


def spec_of(storage: DiskStorage | MemoryStorage, check: object) -> Spec[Submission]:
    """One that takes any files."""
    return Uploader(storage).any(check=check)  # type: ignore[arg-type]  # both kinds of check


def sent(spec: Spec[Submission], *files: bytes) -> Submission:
    """Through the blocking driver, in chunks of 64 KiB."""
    form = FormBuilder()
    for data in files:
        form.file("file", data, filename="report.bin")
    body = form.body
    return receive(spec, form.content_type, [body[at : at + 65536] for at in range(0, len(body), 65536)])


@contextmanager
def answering(answer: bytes, *, at_once: bool = False) -> Iterator[str]:
    """A listener that reads up to the end of one file, or not even that, and says `answer`. Gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as wire:
                read = b""
                while not at_once and not read.endswith(bytes(4)):
                    read += wire.recv(65536)
                wire.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)
        assert not thread.is_alive()


def in_quarantine(storage: MemoryStorage) -> dict[str, bytes]:
    return {found.key: b"".join(storage.read(found.key)) for found in storage.list()}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_clean_file_is_published_and_an_infected_one_is_not(address: str, streamed: bool) -> None:
    """Wherever in a file the signature lies. Of an infected form nothing is left, its clean files included."""
    storage, told = MemoryStorage(), Told()
    clamav = ClamAV(address, on_scan=told)
    spec = spec_of(storage, clamav.streamed if streamed else clamav)
    clean = [b"", b"text", eicar()[:-1], FILLING[:500_000]]
    assert [file.read() for file in sent(spec, *clean).files] == clean
    assert told.scans == [CLEAN] * 4

    before = left_in(storage)
    for infected in (eicar(), eicar() + b"\n", FILLING[:900_000] + eicar(), FILLING[:70_000] + eicar() + FILLING[:999]):
        told.scans.clear()
        with pytest.raises(FileRefused) as caught:
            sent(spec, b"clean", infected)
        assert caught.value.problem() == {
            "type": "about:blank",
            "title": "Unprocessable Content",
            "status": 422,
            "detail": "the file in field 'file' is infected",
            "code": "file_refused",
            "field": "file",
            "filter": "ClamAV",
            "detected": caught.value.detected,
        }
        signature = "Uploadkit.Test.Eicar.UNOFFICIAL"
        assert told.scans == [CLEAN, Scan(outcome=Outcome.INFECTED, signature=signature)]
        assert left_in(storage) == before


@pytest.mark.parametrize("size", [1, 2, 3, 67, 68, 69, 4096, 65536, 1 << 20, (1 << 20) + 1])
def test_a_signature_is_found_however_the_file_is_cut(address: str, size: int) -> None:
    """An empty block in between is no end of the file, and a block beyond 1 MiB is sent in pieces."""
    data = (b"x" if size < 100 else FILLING[: 2 * size]) + eicar()
    file = IncomingFile(
        id="1", field="file", filename="a", client_filename="a", content_type="a/b", declared_type=None, head=b""
    )
    watch = ClamAV(address, max_size=None).streamed.begin(file)
    data = data[-SCAN_SIZE:]
    for at in range(0, len(data), size):
        watch.feed(b"")
        watch.feed(memoryview(data)[at : at + size])
    with pytest.raises(FileRefused, match="infected"):
        watch.end()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_file_beyond_the_length_of_a_stream_is_unscannable(address: str, streamed: bool) -> None:
    """clamd closes the connection in the middle. Its last words are read, also where the infection came before."""
    storage, told = MemoryStorage(), Told()
    clamav = ClamAV(address, max_size=None, on_scan=told)
    spec = spec_of(storage, clamav.streamed if streamed else clamav)
    for data in (eicar() + FILLING * 3, b"x" * (STREAM_SIZE + 1), b"x" * STREAM_SIZE * 8):
        with pytest.raises(FileRefused, match="cannot be scanned") as caught:
            sent(spec, data)
        assert caught.value.status == 422
        reason = "the file is larger than clamd's StreamMaxLength"
        assert told.scans.pop() == Scan(outcome=Outcome.UNSCANNABLE, reason=reason)
        assert left_in(storage) == []


@pytest.mark.parametrize("streamed", [False, True])
def test_a_file_beyond_max_size_is_unscannable_and_not_sent(tmp_path: Path, streamed: bool) -> None:
    """No daemon is asked: there is none. Exactly that many bytes are within the bound, and it is missed then."""
    clamav = ClamAV(f"unix://{tmp_path}/none", max_size="1 KiB")
    spec = spec_of(MemoryStorage(), clamav.streamed if streamed else clamav)
    with pytest.raises(FileRefused, match="cannot be scanned"):
        sent(spec, b"x" * 1025)
    with pytest.raises(CheckFailed):
        sent(spec, b"x" * 1024)


def test_what_the_daemon_did_not_look_into_is_unscannable(clamd: Clamd, tmp_path: Path) -> None:
    """Where its clamd.conf has it say so. Where not, it calls such a file clean: `max_size` is there for that."""
    data = FILLING[: SCAN_SIZE - 1] + eicar()
    reason = "Heuristics.Limits.Exceeded.MaxFileSize"
    assert ClamAV(clamd.unix).scan(io.BytesIO(data)) == Scan(outcome=Outcome.UNSCANNABLE, reason=reason)
    with running(tmp_path, alert=False) as silent:
        assert ClamAV(silent.unix).scan(io.BytesIO(data)) == CLEAN
        within = ClamAV(silent.unix, max_size=SCAN_SIZE)
        assert within.scan(io.BytesIO(data)).outcome is Outcome.UNSCANNABLE


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", SOCKETS)
def test_without_a_daemon_nothing_is_published(tmp_path: Path, kind: str, streamed: bool) -> None:
    """It is no fault of the sender's: 503. Only where the user said so the file comes in."""
    with running(tmp_path / "clamd") as daemon:
        daemon.kill()
        storage, told = DiskStorage(tmp_path / "uploads"), Told()
        clamav = ClamAV(daemon.addresses[kind], on_scan=told)
        with pytest.raises(CheckFailed, match="try again later") as caught:
            sent(spec_of(storage, clamav.streamed if streamed else clamav), b"data")
        assert (caught.value.status, caught.value.code, caught.value.filter) == (503, "check_failed", "ClamAV")
        assert "refused" in caught.value.reason
        assert "reason" not in caught.value.problem()
        assert left_in(storage) == []
        assert [(scan.outcome, scan.retryable) for scan in told.scans] == [(Outcome.UNSCANNABLE, True)]

        accepting = ClamAV(daemon.addresses[kind], unscannable="accept")
        [file] = sent(spec_of(storage, accepting.streamed if streamed else accepting), b"data").files
        assert file.read() == b"data"


@pytest.mark.parametrize("how", ["killed", "stopped"])
@pytest.mark.parametrize("kind", SOCKETS)
def test_a_daemon_that_ends_in_the_middle_of_a_file_leaves_it_unscannable(tmp_path: Path, kind: str, how: str) -> None:
    """Killed, or stopped without a word: with half of the file sent nothing is published, within the time allowed."""
    storage = DiskStorage(tmp_path / "uploads")
    with running(tmp_path / "clamd") as daemon:
        clamav = ClamAV(daemon.addresses[kind], silent_seconds=0.2, max_size=None)
        form = FormBuilder().file("file", FILLING + eicar() + FILLING[:500_000], filename="a.bin")

        def body() -> Iterator[bytes]:
            yield form.body[:1_000_000]
            if how == "killed":
                daemon.kill()
            else:
                daemon.pause()
            yield form.body[1_000_000:]

        with pytest.raises(CheckFailed, match="could not be scanned"):
            receive(spec_of(storage, clamav.streamed), form.content_type, body())
    assert left_in(storage) == []


@pytest.mark.parametrize("how", ["killed", "stopped"])
@pytest.mark.parametrize("kind", SOCKETS)
def test_a_daemon_that_ends_before_its_answer_leaves_a_staged_file_unscannable(
    tmp_path: Path, kind: str, how: str
) -> None:
    """The whole file lies in staging, and a part of it is on its way to the daemon."""
    with running(tmp_path / "clamd") as daemon:
        clamav = ClamAV(daemon.addresses[kind], silent_seconds=0.2, max_size=None)

        class Ending(io.BytesIO):
            """After its first block the daemon is no more."""

            def read(self, size: int | None = -1) -> bytes:
                if self.tell() and daemon.process.poll() is None:
                    daemon.kill() if how == "killed" else daemon.pause()
                return super().read(size)

        scan = clamav.scan(Ending(eicar() + FILLING + FILLING[:-100]))
        assert (scan.outcome, scan.retryable) == (Outcome.UNSCANNABLE, True)


def test_a_daemon_that_is_back_is_used_again(tmp_path: Path) -> None:
    """Nothing is remembered of the one that died."""
    with running(tmp_path) as daemon:
        clamav = ClamAV(daemon.unix)
        assert clamav.scan(io.BytesIO(eicar())).outcome is Outcome.INFECTED
        daemon.kill()
        assert clamav.scan(io.BytesIO(eicar())).outcome is Outcome.UNSCANNABLE
        daemon.restart()
        assert clamav.scan(io.BytesIO(eicar())).outcome is Outcome.INFECTED
        assert ClamAV(daemon.tcp).scan(io.BytesIO(b"clean")) == CLEAN


def test_many_files_are_scanned_at_once(clamd: Clamd, address: str) -> None:
    """By one check, each on a connection of its own, none of which is left open."""
    clamav, descriptors = ClamAV(address), clamd.descriptors()
    files = [(FILLING[: 1000 * at] + (eicar() if at % 3 == 0 else b"")) for at in range(60)]
    with ThreadPoolExecutor(20) as threads:
        scans = [*threads.map(lambda data: clamav.scan(io.BytesIO(data)), files)]
    assert [scan.outcome is Outcome.INFECTED for scan in scans] == [at % 3 == 0 for at in range(60)]
    assert {scan.outcome for scan in scans} == {Outcome.CLEAN, Outcome.INFECTED}
    clamd.settle(descriptors)


@pytest.mark.parametrize("chunks", [2, 1_000_000])
def test_a_connection_ends_with_an_upload_that_is_cut(clamd: Clamd, chunks: int) -> None:
    """By its sender, or because another file of the form was refused: the daemon keeps no connection of it."""
    descriptors = clamd.descriptors()
    form = FormBuilder().file("file", FILLING, filename="a.bin").file("other", b"x", filename="b.bin")
    body = [form.body[at : at + 65536] for at in range(0, len(form.body), 65536)]
    seen: list[int] = []

    def arriving() -> Iterator[bytes]:
        for at, chunk in enumerate(body):
            if at == chunks:
                raise ConnectionError("the client is gone")
            yield chunk
            if at == 1:
                eventually(lambda: clamd.descriptors() > descriptors)
                seen.append(clamd.descriptors() - descriptors)

    spec = Uploader(MemoryStorage(), check=ClamAV(clamd.tcp).streamed).any(filter=lambda file: file.field == "file")
    with pytest.raises((ConnectionError, FileRefused)):
        receive(spec, form.content_type, arriving())
    assert seen[0] > 0
    clamd.settle(descriptors)


def test_a_connection_ends_where_the_storage_fails(clamd: Clamd) -> None:
    """When it is opened, before or after the scan began, or in the middle."""
    descriptors = clamd.descriptors()
    for on in ("open", "write", "stage"):
        storage = FailingStorage(MemoryStorage(), on=on, after=0)
        spec = Uploader(storage).any(check=ClamAV(clamd.unix).streamed)
        form = FormBuilder().file("file", b"data", filename="a")
        with pytest.raises(StorageFailed):
            receive(spec, form.content_type, [form.body])
    clamd.settle(descriptors)


def test_a_cancelled_upload_ends_its_scan(tmp_path: Path) -> None:
    """The daemon has stopped: what is under way in a thread is waited for, at most for as long as it may be silent."""
    storage = DiskStorage(tmp_path / "uploads")
    form = FormBuilder().file("file", FILLING * 3, filename="a.bin")
    asked = threading.Event()

    class Examined(ClamAV):
        def scan(self, file: object) -> Scan:
            asked.set()
            return super().scan(file)  # type: ignore[arg-type]

    async def body() -> AsyncIterator[bytes]:
        yield form.body

    async def main(check: ClamAV) -> None:
        upload = asyncio.ensure_future(areceive(spec_of(storage, check), form.content_type, body()))
        await asyncio.to_thread(asked.wait, 10)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload

    with running(tmp_path / "clamd") as daemon:
        daemon.pause()
        mine = len(os.listdir("/proc/self/fd"))
        asyncio.run(main(Examined(daemon.unix, silent_seconds=0.2)))
        assert len(os.listdir("/proc/self/fd")) <= mine
    assert left_in(storage) == []


def test_the_event_loop_goes_on_while_a_daemon_is_silent(tmp_path: Path) -> None:
    """A scan runs in a thread, on the passing bytes as well."""
    ticks = 0

    async def body(form: FormBuilder) -> AsyncIterator[bytes]:
        yield form.body

    async def main(check: object) -> None:
        form = FormBuilder().file("file", b"data", filename="a")
        upload = asyncio.ensure_future(areceive(spec_of(MemoryStorage(), check), form.content_type, body(form)))
        nonlocal ticks
        while not upload.done():
            ticks += 1
            await asyncio.sleep(0.001)
        with pytest.raises(CheckFailed):
            await upload

    with running(tmp_path) as daemon:
        daemon.pause()
        clamav = ClamAV(daemon.tcp, silent_seconds=0.15)
        for check in (clamav, clamav.streamed):
            ticks = 0
            asyncio.run(main(check))
            assert ticks > 20


def test_an_infected_file_is_kept_in_quarantine_with_the_reason(address: str) -> None:
    """Under the upload's id, byte for byte, and beside it what it is. A clean one is not, nor what is unscannable."""
    storage, quarantine = MemoryStorage(), MemoryStorage()
    spec = spec_of(storage, ClamAV(address, quarantine=quarantine))
    sent(spec, b"clean")
    with pytest.raises(FileRefused, match="cannot be scanned"):
        sent(spec, FILLING + b"too large")
    assert in_quarantine(quarantine) == {}

    infected = FILLING[:300_000] + eicar()
    before = left_in(storage)
    with pytest.raises(FileRefused, match="infected"):
        sent(spec, infected)
    assert left_in(storage) == before
    kept = in_quarantine(quarantine)
    body, record = sorted(kept, key=len)
    facts = json.loads(kept[record])
    assert record == f"{body}.json"
    assert kept[body] == infected
    assert abs(datetime.fromisoformat(facts.pop("quarantined")).timestamp() - datetime.now().timestamp()) < 60
    assert facts == {
        "id": body,
        "signature": "Uploadkit.Test.Eicar.UNOFFICIAL",
        "field": "file",
        "filename": "report.bin",
        "client_filename": "report.bin",
        "content_type": "application/octet-stream",
        "declared_type": facts["declared_type"],
    }


@pytest.mark.parametrize("on", ["open", "write", "stage", "commit"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_quarantine_that_fails_leaves_no_half_and_publishes_nothing(clamd: Clamd, on: str, after: int) -> None:
    """The record and the file are kept both or none; the sender is told that a storage failed."""
    storage, quarantine = MemoryStorage(), MemoryStorage()
    failing = FailingStorage(quarantine, on=on, after=after)  # type: ignore[arg-type]  # a name of a call
    with pytest.raises(StorageFailed):
        sent(spec_of(storage, ClamAV(clamd.unix, quarantine=failing)), eicar())
    assert left_in(storage) == []
    assert left_in(quarantine) == []


def test_what_on_scan_raises_ends_the_form(clamd: Clamd) -> None:
    """And nothing comes of the scan: no quarantine, nothing published."""

    def failing(file: IncomingFile, scan: Scan) -> None:
        raise RuntimeError(scan.outcome.value)

    storage, quarantine = MemoryStorage(), MemoryStorage()
    spec = spec_of(storage, ClamAV(clamd.unix, quarantine=quarantine, on_scan=failing))
    for data, outcome in ((b"clean", "clean"), (eicar(), "infected")):
        with pytest.raises(RuntimeError, match=outcome):
            sent(spec, data)
    assert left_in(storage) == left_in(quarantine) == []


class TestWithoutADaemon:
    """What a daemon may say that no real one can be made to say on demand: a listener of the test's own says it."""

    @pytest.mark.parametrize(
        ("answer", "outcome"),
        [
            (b"stream: OK\0", Outcome.CLEAN),
            (b"stream: OK", Outcome.UNSCANNABLE),
            (b"stream: OK FOUND\0", Outcome.INFECTED),
            (b"stream: Some.Virus FOU", Outcome.UNSCANNABLE),
            (b"", Outcome.UNSCANNABLE),
            (b"OK\0", Outcome.UNSCANNABLE),
            (b"stream: OK\0more", Outcome.UNSCANNABLE),
            (b"stream: Can't allocate memory ERROR\0", Outcome.UNSCANNABLE),
            (b"COMMAND READ TIMED OUT\n", Outcome.UNSCANNABLE),
            (b"Heuristics.Limits.Exceeded FOUND\0", Outcome.UNSCANNABLE),
            (b"stream: Heuristics.Encrypted.Zip FOUND\0", Outcome.UNSCANNABLE),
            (b"x" * 5000, Outcome.UNSCANNABLE),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", Outcome.UNSCANNABLE),
            (b"stream: \xff\n\x1b[2J FOUND\0", Outcome.INFECTED),
        ],
    )
    def test_only_one_answer_is_clean(self, answer: bytes, outcome: Outcome) -> None:
        """Whole, and to the letter. What is told is printable and short."""
        with answering(answer) as address:
            scan = ClamAV(address).scan(io.BytesIO(b"data"))
        assert scan.outcome is outcome
        told = scan.reason or scan.signature or ""
        assert told.isprintable()
        assert len(told) <= 200

    def test_an_answer_before_the_end_is_never_clean(self) -> None:
        """Whoever says OK to half of a file has not scanned it."""
        with answering(b"stream: OK\0", at_once=True) as address:
            scan = ClamAV(address).scan(io.BytesIO(FILLING * 8))
        assert (scan.outcome, scan.retryable) == (Outcome.UNSCANNABLE, True)
        assert scan.reason == "clamd answered before the end of the file"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:3310", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "unix://clamd.ctl", "tcp://:1", "", "http://a:1"],
)
def test_an_address_says_how_it_is_written(address: str) -> None:
    """When the check is made."""
    with pytest.raises(ValueError, match=r"no address of a clamd: unix:///run/clamav/clamd\.ctl or tcp://"):
        ClamAV(address)


def test_wrong_use_is_told_when_the_check_is_made() -> None:
    """With what to write in its place."""

    async def tell(file: IncomingFile, scan: Scan) -> None:
        """Nobody would await it."""

    make = partial(ClamAV, "tcp://[::1]:3310")
    assert repr(make().streamed) == "ClamAV('tcp://[::1]:3310').streamed"
    with pytest.raises(ValueError, match='"refuse" or "accept"'):
        make(unscannable="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="greater than 0"):
        make(silent_seconds=0)
    with pytest.raises(TypeError, match=r"is no storage; write DiskStorage"):
        make(quarantine="quarantine")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no plain function"):
        make(on_scan=tell)
    with pytest.raises(TypeError, match=r"use ClamAV\(\.\.\.\) itself"):
        _ = make(quarantine=MemoryStorage()).streamed
