"""`uploadkit serve`, as a tree of processes: how it begins, what it survives, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.postgres import PostgresServer
from tests.processing.servers import eventually
from tests.service.serving import SECONDS, Served, SlowUpload, wait_until_gone
from tests.small_disk import small_disk

from uploadkit.cli import main
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.schema import VERSION_TABLE
from uploadkit.service.operating import SHARED, SHARED_SIZE
from uploadkit.service.parts import storages_of
from uploadkit.service.settings import Settings
from uploadkit.service.tree import ServeFailed, _Tree, described
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import sample

pytestmark = pytest.mark.needs("linux")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.close()


@pytest.fixture
def slow_upload(served: Served) -> Iterator[Callable[[], SlowUpload]]:
    """Begins one, and returns when it is known of."""
    with ExitStack() as stack:

        def begin() -> SlowUpload:
            upload = stack.enter_context(closing(SlowUpload(served.url)))
            eventually(lambda: State.RECEIVING in served.states(), seconds=SECONDS)
            return upload

        yield begin


Slow: TypeAlias = Callable[[], SlowUpload]


# While it runs


def test_a_photo_is_taken_by_curl_and_worked_on(served: Served, tmp_path: Path) -> None:
    """In a fresh folder, with nothing else installed. Whoever serves has never loaded Pillow."""
    served.start("--workers", 2)
    assert f"curl -F file=@photo.jpg {served.url}/uploads" in served.said
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(sample("image/jpeg"))
    curl = ["curl", "-sS", "-F", f"file=@{photo}", f"{served.url}/uploads"]
    answer = json.loads(subprocess.run(curl, capture_output=True, check=True, timeout=SECONDS).stdout)
    assert "uploads" in answer, (answer, served.log)
    [upload] = [each["id"] for each in answer["uploads"]]
    eventually(lambda: served.completed(upload), seconds=SECONDS)
    assert set(served.get(f"/uploads/{upload}")["variants"]) == {"original", "thumbnail", "medium", "large"}
    web, jobs = served.processes("service.web"), served.processes("service.jobs")
    assert (len(web), len(jobs)) == (2, 1)
    for pid in (*web, *jobs):
        assert "PIL" not in Path(f"/proc/{pid}/maps").read_text()
        assert "secret" not in Path(f"/proc/{pid}/cmdline").read_text()


def test_nobody_else_may_read_what_lies_in_the_folder(served: Served) -> None:
    """Also where it was there before, as one that an administrator has made."""
    served.data.mkdir(mode=0o755)
    served.start()
    upload = served.upload(("notes.txt", b"for nobody else\n"))["uploads"][0]["id"]
    eventually(lambda: served.get(f"/uploads/{upload}")["status"] == "completed", seconds=SECONDS)
    found = {path.relative_to(served.data): path.lstat().st_mode for path in served.data.rglob("*")}
    assert Path("ledger.db") in found
    assert Path("files") in found
    assert {str(path): oct(mode) for path, mode in found.items() if mode & 0o077} == {}


def test_what_dies_is_replaced_and_the_service_goes_on(served: Served) -> None:
    """A web process, the worker, and the server of the queue."""
    process = served.start()
    before = {part: served.processes(part) for part in ("service.web", "service.jobs", "valkey-server unixsocket")}
    for [pid] in before.values():
        os.kill(pid, signal.SIGKILL)

    def replaced(part: str) -> bool:
        return bool(set(served.processes(part)) - set(before[part]))

    eventually(lambda: replaced("service.web") and replaced("service.jobs"), seconds=SECONDS)
    eventually(served.answers, seconds=SECONDS)
    [upload] = [each["id"] for each in served.upload(("a.txt", b"one"))["uploads"]]
    eventually(lambda: served.completed(upload), seconds=SECONDS)
    assert f"web process {before['service.web'][0]} ended by SIGKILL, and another one begins" in served.log
    served.processes()
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0
    assert served.left() == []


@pytest.mark.needs("postgres")
def test_several_processes_make_the_tables_of_one_database(served: Served, postgres: PostgresServer) -> None:
    """Whichever comes first."""
    database = postgres.create()
    try:
        process = served.start("--workers", 2, DATABASE_URL=postgres.url(database))
        [upload] = [each["id"] for each in served.upload(("a.txt", b"one"))["uploads"]]
        eventually(lambda: served.completed(upload), seconds=SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        assert not (served.data / "ledger.db").exists()
        assert "Traceback" not in served.log
    finally:
        postgres.drop(database)


# Its end


def test_at_its_end_an_upload_that_is_under_way_is_taken(served: Served, slow_upload: Slow) -> None:
    """What is sent to the parent is sent to all by a terminal, and by systemd: the order is the same."""
    process = served.start()
    upload = slow_upload()
    for pid in (*served.processes("service.web"), *served.processes("service.jobs"), process.pid):
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not served.answers())
    upload.finish()
    assert upload.answer()[0] == 202
    assert process.wait(SECONDS) == 0
    assert served.left() == []
    ends = ["requests may end, for 30 s", "jobs may end, for 30 s", "the queue ends", "the service has ended"]
    assert sorted(ends, key=served.log.index) == ends
    assert "Traceback" not in served.log
    assert State.RECEIVING not in served.states()


def test_an_upload_that_does_not_end_in_time_is_cut(served: Served, slow_upload: Slow) -> None:
    """It is answered, and nothing of it is left."""
    process = served.start("--grace-seconds", 0.2)
    upload = slow_upload()
    served.processes()
    process.send_signal(signal.SIGTERM)
    status, told = upload.answer()
    assert (status, told["code"]) == (503, "overloaded")
    assert process.wait(SECONDS) == 0
    assert served.left() == []
    assert served.states() == [State.REJECTED]
    assert served.staged() == []
    assert "Traceback" not in served.log


def test_streams_of_events_do_not_hold_up_the_end(served: Served) -> None:
    """They would go on for as long as the upload is not settled, which nobody is at."""
    process = served.start("--no-jobs")
    [upload] = [each["id"] for each in served.upload(("a.txt", b"one"))["uploads"]]
    with urllib.request.urlopen(f"{served.url}/uploads/{upload}/events", timeout=SECONDS) as stream:
        assert stream.readline() == b"event: status\n"
        process.send_signal(signal.SIGTERM)
        stream.read()
    assert process.wait(SECONDS) == 0
    assert "requests are cut" not in served.log


def test_a_second_signal_ends_it_at_once(served: Served, slow_upload: Slow) -> None:
    process = served.start()
    slow_upload()
    served.processes()
    process.send_signal(signal.SIGTERM)
    served.logs("requests may end")
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 128 + signal.SIGTERM
    assert served.left() == []
    assert served.staged() == []


# Deaths


def test_when_the_parent_is_killed_all_others_end(served: Served, slow_upload: Slow) -> None:
    """By themselves, and the folder is free for the next one, which may begin at once."""
    process = served.start()
    upload = slow_upload()
    assert len(served.processes()) >= 5
    process.kill()
    process.wait()
    served.start()
    wait_until_gone_but_the_new(served)
    assert upload.answer()[0] == 503
    assert served.staged() == []
    assert served.answers()


def wait_until_gone_but_the_new(served: Served) -> None:
    new = set(served._seen)
    served._seen = new - set(served.processes())
    wait_until_gone(served)


def test_after_a_death_of_all_what_was_accepted_is_completed(served: Served, slow_upload: Slow) -> None:
    """Uploads were answered, and arriving; of those that were not answered nothing is left, at once."""
    served.start("--rate", "none")
    accepted: list[str] = []

    def send(number: int) -> None:
        with suppress(OSError, ValueError):
            while True:
                accepted.extend(each["id"] for each in served.upload((f"{number}.txt", b"x" * 1000))["uploads"])

    with ThreadPoolExecutor(8) as senders:
        sending = [senders.submit(send, number) for number in range(8)]
        slow_upload()
        eventually(lambda: len(accepted) >= 20, seconds=SECONDS)
        served.kill_all()
        for each in sending:
            each.result(SECONDS)
    served.start("--rate", "none")
    eventually(lambda: State.RECEIVING not in served.states(), seconds=SECONDS)
    eventually(lambda: all(map(served.completed, accepted)), seconds=SECONDS)
    gone = {State.COMPLETED, State.EXPIRED, State.REJECTED}
    eventually(lambda: set(served.states()) <= gone, seconds=SECONDS)
    eventually(lambda: served.staged() == [], seconds=SECONDS)


def test_after_a_death_of_all_an_upload_that_rests_goes_on(served: Served) -> None:
    """Nobody has to wait for those who were at it, and what had arrived is there. What comes in one request is over."""
    served.start("--rate", "none")
    with closing(Ledger(f"sqlite:///{served.data}/ledger.db")) as ledger:
        for upload in ("rests", "dead"):
            ledger.add(upload, field="file", filename="a.txt", content_type="text/plain")
        staging = DiskStorage(served.data / "staging", name="staging")
        kept = staging.begin_partial("rests", ObjectInfo())
        expires_at = datetime.now(UTC) + timedelta(days=1)
        ledger.resumables.add("rests", length=9, storage="staging", kept=kept, told={}, expires_at=expires_at)
        assert ledger.resumables.hold("rests", seconds=3600) is not None
        served.kill_all()
        served.start("--rate", "none")
        eventually(lambda: ledger.get("dead").state is State.EXPIRED, seconds=SECONDS)
        assert ledger.get("rests").state is State.RECEIVING
        assert ledger.resumables.hold("rests", seconds=3600) is not None
        with closing(staging.partial("rests", kept)) as partial:
            assert partial.size == 0


DYING = """
import os, sys
if "uploadkit.service.web" in sys.orig_argv:
    os._exit(3)
"""


def test_a_process_that_does_not_live_ends_the_service(served: Served) -> None:
    """After five deaths, with the reason, and nothing is left running."""
    (served.folder / "sitecustomize.py").write_text(DYING)
    process = served.start(wait=False)
    assert process.wait(SECONDS) == 2
    assert served.log.endswith("uploadkit: a web process ended 5 times in 30 s, with status 3\n")
    assert served.said == ""


def test_a_process_that_cannot_begin_says_why(served: Served) -> None:
    (served.folder / "ours.py").write_text("def steps(pipeline):\n    raise ValueError('there is no step today')\n")
    process = served.start("--steps", "ours:steps", wait=False)
    assert process.wait(SECONDS) == 2
    assert "there is no step today" in served.log.splitlines()[-1]


def test_a_process_that_cannot_be_begun_again_ends_the_service(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """As where a machine has no memory left: it is tried again, and then said. Nobody is left who begins nothing."""

    async def fail(*arguments: object, **options: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fail)
    settings = Settings(data=tmp_path, redis_url="redis://127.0.0.1:1", port=0)
    before = len(os.listdir("/proc/self/fd"))
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(ServeFailed) as failed:
        asyncio.run(asyncio.wait_for(_Tree(settings, 0, listening, print).run(), SECONDS))
    assert "process ended 5 times in 30 s, before it began: Resource temporarily unavailable" in str(failed.value)
    assert "web process ended before it began: Resource temporarily unavailable, and another one begins" in caplog.text
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.needs("tmpfs")
def test_a_full_disk_is_answered_and_survived(served: Served) -> None:
    """No process is ended by it: what is mapped into memory has its place on the disk before."""
    served.data.mkdir()
    with small_disk(served.data, "size=16m"):
        served.start("--no-jobs")
        upload = served.upload(("notes.txt", b"x" * 100000))["uploads"][0]["id"]
        numbers = list((served.data / "metrics").glob("*.db"))
        assert {file.name.rpartition("_")[0] for file in numbers} == set(SHARED)
        before = served.processes("service.web")
        with (served.data / "fill").open("wb", buffering=0) as fill, suppress(OSError):
            while True:
                fill.write(bytes(4096))
        with pytest.raises(urllib.error.HTTPError) as refused:
            served.upload(("notes.txt", b"x" * 100000))
        assert refused.value.code == 503
        refused.value.close()
        for path in ("/uploads", "/uploads?limit=1", f"/uploads/{upload}", "/openapi.json", "/healthz"):
            served.get(path)
        (served.data / "fill").unlink()
        served.upload(("notes.txt", b"x" * 100000))
        assert served.processes("service.web") == before
        assert {file.stat().st_size for file in numbers} == {SHARED_SIZE}
        assert all(file.stat().st_blocks * 512 >= SHARED_SIZE for file in numbers)
        served.close()


# What it refuses


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What is told by a command that does not begin."""
    assert main(["serve", *map(str, words)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.removeprefix("uploadkit: ").removesuffix("\n")


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = refusal(capsys, "--port", port, "--data", tmp_path)
    assert told == f"port {port} of 127.0.0.1 is taken: name another one by --port, or 0 for any"


def test_a_folder_that_another_one_has(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with (tmp_path / "serve.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(os.getpid()))
        lock.flush()
        told = refusal(capsys, "--port", 0, "--data", tmp_path)
    assert told == (
        f"another uploadkit serve, process {os.getpid()}, has the data folder {tmp_path}: name another one by --data"
    )


def test_a_folder_that_cannot_be_written_to(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = refusal(capsys, "--port", 0, "--data", tmp_path / "file" / "data")
    assert told == (
        f"the data folder {tmp_path}/file/data cannot be written to: Not a directory: name another one by --data"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_to_serve_everybody_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path, host: str) -> None:
    """Not by accident, on a machine that others reach."""
    told = refusal(capsys, "--host", host, "--port", 0, "--data", tmp_path)
    assert told.startswith(f"at {host} other machines reach the service")
    assert "--open" in told


def test_a_host_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert refusal(capsys, "--host", "nowhere.invalid", "--data", tmp_path).startswith("there is no host")
    told = refusal(capsys, "--host", "192.0.2.1", "--open", "--port", 0, "--data", tmp_path)
    assert told.startswith("port 0 of 192.0.2.1 cannot be used: ")


def test_settings_that_cannot_be_meant(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "service.toml"
    file.write_text("prot = 1")
    assert refusal(capsys, "--config", file) == f"{file}: prot is no setting: did you mean port?"
    file.write_text('port = "x"\nworkers = 0')
    told = refusal(capsys, "--config", file).splitlines()
    assert [line.removeprefix("uploadkit: ").split(": ")[1] for line in told] == ["port", "workers"]
    assert refusal(capsys, "--workers", 0).startswith("--workers: input should be greater than or equal to 1")
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--prot", "1"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rate", "often"], "--rate: a rate is like 600/minute"),
        (["--accept", "nonsense"], "--accept: 'nonsense' is no media type"),
        (["--storage", "gs://x/y"], "--storage: files lie in s3://bucket"),
        (["--redis-url", "http://x"], "--redis-url: a URL of Redis or Valkey begins"),
        (["--database-url", "mysql://h/d"], "--database-url: a ledger is kept in SQLite or PostgreSQL"),
        (["--tokens-file", "/nowhere"], "tokens_file: /nowhere cannot be read"),
        (["--authenticate", "nomod:fn"], "authenticate is module:function, and 'nomod:fn' cannot be found"),
        (["--steps", "nomod:fn"], "steps is module:function, and 'nomod:fn' cannot be found"),
        (["--redirects"], "redirects: they are to a bucket"),
    ],
)
def test_what_is_wrong_is_told_before_anything_begins(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    told: str,
) -> None:
    """Not even the folder is made."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert refusal(capsys, "--port", 0, "--data", tmp_path / "data", *words).startswith(told)
    assert not (tmp_path / "data").exists()


def test_what_a_storage_does_not_take_is_told_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^storage_options: S3 has no option endpoint; it has endpoint_url"):
        storages_of(Settings(data=tmp_path, storage="s3://bucket", storage_options={"endpoint": "x"}))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"^storage: DiskStorage needs a folder, and {tmp_path}/file is a file"):
        storages_of(Settings(data=tmp_path, storage=str(tmp_path / "file")))


def test_the_help_has_every_default_and_a_wrong_flag_shows_the_usage_of_serve(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "how many web processes; 1 is the default" in told
    assert "the port, 0 for any that is free; 8000 is the default" in told
    assert not re.search(r"(None|True|False|\(\)) is the default", told)
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--bogus"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: uploadkit serve ")
    assert told.endswith("uploadkit serve: error: unrecognized arguments: --bogus\n")


def test_a_ledger_of_a_newer_version(served: Served) -> None:
    served.data.mkdir()
    with closing(sqlite3.connect(served.data / "ledger.db")) as database:
        database.executescript(
            f"create table {VERSION_TABLE} (version_num text); insert into {VERSION_TABLE} values ('9999')"
        )
    process = served.start(wait=False)
    assert process.wait(SECONDS) == 2
    assert "newer" in served.log.splitlines()[-1]


# What it says


def test_what_holds_is_shown_with_where_it_was_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOADKIT_SECRET", "s" * 40)
    assert main(["serve", "--port", "9000", "--open", "--show-settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"port = 9000  # --port", "open = true  # --open", 'host = "127.0.0.1"  # default'} <= set(lines)
    assert "# secret is set, and not shown  # UPLOADKIT_SECRET" in lines


def test_a_misspelt_variable_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADKIT_WORKER", "2")
    assert main(["serve", "--show-settings"]) == 0
    assert "UPLOADKIT_WORKER is no setting: did you mean UPLOADKIT_WORKERS?" in capsys.readouterr().err


def test_what_it_uses_is_told_without_passwords() -> None:
    settings = Settings.load(
        database_url="postgresql://ann:secret@db/uploads",
        redis_url="redis://:secret@cache",
        storage="s3://media/uploads",
        workers=4,
        jobs=False,
        tokens=[{"owner": "ann", "sha256": "0" * 64}],
    )
    lines = list(described(settings, "http://127.0.0.1:8000"))
    assert "secret" not in "\n".join(lines)
    assert lines[1] == (
        "  try      curl -H 'Authorization: Bearer TOKEN' -F file=@photo.jpg http://127.0.0.1:8000/uploads"
    )
    assert lines[-1] == "  runs     4 web processes, and none that works: uploadkit worker does"
