"""The commands beside `uploadkit serve`: they take the service's pipeline by its settings, and make tokens for it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.processing.servers import eventually
from tests.service.serving import Served

from uploadkit.cli import main
from uploadkit.processing.doctor import Finding, Level
from uploadkit.records.ledger import Ledger
from uploadkit.service import jobs
from uploadkit.service.settings import Settings, settings_of, tokens_of

SECONDS = 60

ADVISING = [
    Finding(name="ledger", level=Level.FAILED, text="no tables", advice="uploadkit migrate --app MODULE:NAME"),
    Finding(
        name="workers", level=Level.WARNING, text="none", advice="uploadkit worker --app MODULE:NAME --queues bulk"
    ),
    Finding(name="storage", level=Level.WARNING, text="full", advice="make room"),
]

STEPS = """
def add(pipeline):
    @pipeline.process("text/plain")
    def shout(upload, job):
        return {"said": job.open().read().decode().upper()}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where no service is yet, and nothing was set. What a command sets is gone afterwards."""
    before, path = dict(os.environ), list(sys.path)
    for setting in settings_of():
        for name in setting.variables:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    jobs._pipeline.cache_clear()
    os.environ.clear()
    os.environ.update(before)
    sys.path[:] = path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """The status of a command, and what it has said."""
    status = main(words)
    said = capsys.readouterr()
    return status, said.out, said.err.removeprefix("uploadkit: ").strip()


# Whose pipeline


def test_where_no_application_is_named_it_is_the_service(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its file of settings. A folder that is not there is not made: somebody forgot `--app`."""
    (folder / "service.toml").write_text('data = "uploads"')
    status, out, error = told(capsys, "migrate", "--config", "service.toml")
    assert (status, out) == (2, "")
    assert error.startswith("there is no upload service in uploads: name its folder by UPLOADKIT_DATA")
    assert [path.name for path in folder.iterdir()] == ["service.toml"]
    (folder / "uploads").mkdir()
    assert told(capsys, "migrate", "--config", "service.toml", "--check")[0] == 1
    assert told(capsys, "migrate", "--config", "service.toml")[0] == 0
    assert told(capsys, "sweep", "--config", "service.toml") == (0, "nothing to do\n", "")


def test_settings_that_cannot_be_meant(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "service.toml").write_text("data = 1\nprt = 2")
    assert told(capsys, "sweep", "--config", "service.toml")[2] == "service.toml: prt is no setting: did you mean port?"
    (folder / "uploadkit-data").mkdir()
    (folder / "service.toml").write_text('steps = "nowhere:add"')
    assert told(capsys, "doctor", "--config", "service.toml")[2].startswith("steps is module:function, and")


@pytest.mark.parametrize("config", [None, "service.toml"])
def test_what_the_doctor_advises_is_for_the_service(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, config: str | None
) -> None:
    """It has no `--app`, and a worker of its own."""
    (folder / "service.toml").write_text('data = "uploads"')
    monkeypatch.setenv("UPLOADKIT_DATA", "uploads")
    (folder / "uploads").mkdir()
    words = () if config is None else ("--config", config)
    after = "" if config is None else f" --config {config}"
    monkeypatch.setattr("uploadkit.processing.doctor.doctor", lambda pipeline: [*ADVISING])
    out = told(capsys, "doctor", *words)[1].splitlines()
    assert [line.strip() for line in out[1::2]] == [
        f"uploadkit migrate{after}",
        f"uploadkit serve{after}, or beside it uploadkit worker{after} --queues bulk",
        "make room",
    ]


# A worker


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, "there is no queue: no uploadkit serve runs in data, and REDIS_URL is not set"),
        ({"redis_url": "redis://h"}, "there is no ledger: none is in data, and DATABASE_URL is not set"),
        (
            {"redis_url": "redis://h", "database_url": "postgresql://h/d"},
            "there are no files: data is not there, and UPLOADKIT_STORAGE is not set",
        ),
        ({"redis_url": "redis://h", "database_url": "postgresql://h/d", "storage": "s3://b"}, None),
    ],
)
def test_a_worker_says_what_it_does_not_share(folder: Path, settings: dict[str, str], missing: str | None) -> None:
    text = jobs.lacking(Settings.load(data="data", **settings))
    assert text is None if missing is None else (text or "").startswith(missing)


def test_a_worker_on_another_machine_does_not_begin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a queue of its own it would wait for ever."""
    status, _, error = told(capsys, "worker")
    assert status == 2
    assert error.startswith("there is no queue")
    assert not (folder / "uploadkit-data").exists()


@pytest.mark.needs("linux")
def test_a_further_worker_does_the_steps_of_the_service(folder: Path) -> None:
    """Also those of the user, in a process of its own, which finds the same settings."""
    (folder / "mine.py").write_text(STEPS)
    with closing(Served(folder)) as served:
        served.start("--no-jobs", "--steps", "mine:add")
        [upload] = [each["id"] for each in served.upload(("a.txt", b"hello"))["uploads"]]
        assert served.get(f"/uploads/{upload}")["status"] in ("staged", "processing")
        (folder / "service.toml").write_text(f'steps = "mine:add"\ndata = "{served.data}"')
        command = [sys.executable, "-m", "uploadkit", "worker", "--config", "service.toml"]
        with (folder / "log").open("a") as log, subprocess.Popen(command, cwd=folder, stderr=log) as worker:
            try:
                eventually(lambda: served.completed(upload), seconds=SECONDS)
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(SECONDS) == 0
            finally:
                worker.kill()
        with closing(Ledger(f"sqlite:///{served.data / 'ledger.db'}")) as ledger:
            [shouted] = [result for result in ledger.results(upload) if result.processor == "shout"]
        assert shouted.told["results"] == {"said": "HELLO"}


# Tokens


def test_a_token_is_shown_once_and_its_hash_is_for_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, error = told(capsys, "token", "--owner", 'ann "é"', "--days", "3")
    token = error.rpartition(" ")[2]
    assert (status, error) == (0, f"the token, which is not shown again: {token}")
    assert token not in out
    [rule] = tokens_of(out)
    assert (rule.owner, rule.sha256) == ('ann "é"', hashlib.sha256(token.encode()).hexdigest())
    assert rule.expires_at is not None
    assert timedelta(days=3) - timedelta(minutes=1) < rule.expires_at - datetime.now(UTC) <= timedelta(days=3)


def test_tokens_are_added_to_a_file_one_after_the_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "service.toml"
    file.write_text("port = 1")
    for owner in ("ann", "bob"):
        with file.open("a") as more:
            more.write(told(capsys, "token", "--owner", owner)[1])
    assert [rule.owner for rule in Settings.load(file).tokens] == ["ann", "bob"]
    assert len({table["sha256"] for table in tomllib.loads(file.read_text())["tokens"]}) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--owner", ""],
        ["--owner", "a\nb"],
        ["--owner", "a" * 256],
        ["--owner", "a", "--days", "0"],
        ["--owner", "a", "--days", "x"],
        [],
    ],
)
def test_a_token_that_cannot_be_made(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["token", *words])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""
