"""The commands that look after an application, as it is in a folder."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.processing.pipelines import Copies, keys_of, sent
from tests.processing.servers import eventually
from tests.records.ledgers import Clock
from tests.storage.kinds import put

from uploadkit.cli import main
from uploadkit.cli.app import load_app
from uploadkit.cli.terminal import CommandFailed, Ticker, duration
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.schema import VERSION
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.disk import DiskStorage
from uploadkit.uploader import Uploader

COMMAND = Path(sys.executable).with_name("uploadkit")
SECONDS = 60
DAY = 86400

pytestmark = pytest.mark.skipif(not os.access(COMMAND, os.X_OK), reason="uploadkit is not installed here")

APP = """
from tests.processing.pipelines import Copies
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.storage.disk import DiskStorage

pipeline = Pipeline(Ledger("sqlite:///uploads.db"), storage=DiskStorage("media", name="media"))
pipeline.process("text/plain", Copies(count=3))
upload = "no pipeline"

class Settings:
    uploads = pipeline
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An application is in it, whose modules are forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command in the current folder, within this process: to start one takes most of a second. Its application is
    imported each time, as it would be there."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(words)
        except SystemExit as ended:  # after --help
            status = int(ended.code or 0)
    if application := sys.modules.pop("shop", None):
        application.pipeline.close()
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def started(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as it is installed, with its own log: in a process, to which our processors are known."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=SECONDS, env=environment)


def left_two_days_ago(folder: Path) -> dict[str, str]:
    """What a sweep has to do something with, by what it is."""
    clock = Clock()
    clock.now = datetime.now(UTC) - timedelta(days=2)
    with closing(Ledger(f"sqlite:///{folder}/uploads.db", now=clock)) as ledger:
        media = DiskStorage(folder / "media", name="media")
        pipeline = Pipeline(ledger, storage=media)
        pipeline.process("text/plain", Copies())
        upload = Uploader(media, pipeline=pipeline)
        [stays] = [file.id for file in sent(upload, b"one")]
        clock.forward(1)
        [expired] = [file.id for file in sent(upload, b"two")]
        pipeline.describe(expired, expires_at=clock.now)
        eventually(lambda: not pipeline._forwarder.is_running)
        ledger.add("cut", field="f", filename="a", content_type="text/plain", storage="media", key=put(media, "cut"))
        put(media, "orphan")
        for path in (folder / "media").iterdir():
            if path.is_file():
                os.utime(path, (clock.now.timestamp(),) * 2)
    return {"stays": stays, "expired": expired, "cut": "cut"}


def everything(folder: Path) -> tuple[list[str], Sequence[str]]:
    with closing(sqlite3.connect(folder / "uploads.db")) as database:
        return list(database.iterdump()), keys_of(DiskStorage(folder / "media"))


def state_of(folder: Path, upload: str) -> State:
    with closing(Ledger(f"sqlite:///{folder}/uploads.db")) as ledger:
        return ledger.get(upload).state


def test_sweep(folder: Path) -> None:
    """A dry run says what a sweep does, and changes nothing; after it there is nothing to do."""
    left = left_two_days_ago(folder)
    before = everything(folder)
    dry = run("sweep", "--app", "shop:pipeline", "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert everything(folder) == before
    assert dry.stdout.split("\n") == [
        "       1  uploads that never ended",
        "            cut",
        "       1  uploads whose time was over",
        f"            {left['expired']}",
        "       1  objects that belong to no upload",
        "            media: orphan",
        "",
    ]
    swept = run("sweep", "--app", "shop:pipeline", "--json")
    told = json.loads(swept.stdout)
    assert {name: count for name, count in told.items() if count and name != "names"} == {
        "unended": 1,
        "expired": 1,
        "orphans": 1,
        "told": 1,
        "are_orphans_kept": True,
    }
    assert (state_of(folder, left["expired"]), state_of(folder, "cut")) == (State.EXPIRED, State.EXPIRED)
    assert len(keys_of(DiskStorage(folder / "media"))) == 4  # an upload with its two copies, and the orphan
    counted = run("sweep", "--app", "shop:pipeline")
    assert counted.stdout == "       1  objects that belong to no upload, which --orphans removes\n"
    assert run("sweep", "--app", "shop:pipeline", "--orphans").returncode == 0
    assert "orphan" not in keys_of(DiskStorage(folder / "media"))
    assert state_of(folder, left["stays"]) is State.COMPLETED
    again = run("sweep", "--app", "shop:pipeline", "--orphans")
    assert (again.returncode, again.stdout, again.stderr) == (0, "nothing to do\n", "")


def test_a_sweep_of_uploads_that_rest(folder: Path) -> None:
    """A dry run does not take them for dead; those whose time is over are ended, the others stay."""
    media, at = DiskStorage(folder / "media", name="media"), datetime.now(UTC)
    with closing(Ledger(f"sqlite:///{folder}/uploads.db", now=lambda: at - timedelta(days=2))) as ledger:
        for upload, expires_at in (("over", at - timedelta(days=1)), ("rests", at + timedelta(days=1))):
            ledger.add(upload, field="f", filename="a", content_type="text/plain")
            kept = media.begin_partial(upload, ObjectInfo())
            ledger.resumables.add(upload, length=1, storage="media", kept=kept, told={}, expires_at=expires_at)
    dry = run("sweep", "--app", "shop:pipeline", "--dry-run").stdout.split("\n")
    assert dry[0] == "       2  objects in staging, of live uploads and of such as rest as well"
    assert dry[3:] == ["       1  uploads whose time was over", "            over", ""]
    swept = run("sweep", "--app", "shop:pipeline", "--orphans")
    assert swept.stdout == "       1  uploads whose time was over\n"
    assert (state_of(folder, "over"), state_of(folder, "rests")) == (State.EXPIRED, State.RECEIVING)
    assert media.in_staging() == ["partial-rests"]


def test_a_sweep_of_the_longest_time(folder: Path) -> None:
    """It reaches back a hundred years, where nothing is."""
    assert run("migrate", "--app", "shop:pipeline").returncode == 0
    words = ("--older-than", "36500d", "--forget-after", "36500d")
    done = run("sweep", "--app", "shop:pipeline", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing to do\n", "")


def test_two_sweeps_at_once(folder: Path) -> None:
    """Each thing is done by one of them."""
    left_two_days_ago(folder)
    words = [str(COMMAND), "sweep", "--app", "shop:pipeline", "--json", "--orphans"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=SECONDS)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [sum(each[part] for each in told) for part in ("unended", "expired", "failures")] == [1, 1, 0]


def test_what_fails_is_trouble(folder: Path) -> None:
    """An application that has lost a storage: its uploads stay where they are. Each is told in a line."""
    left = left_two_days_ago(folder)
    text = APP.replace('DiskStorage("media", name="media")', 'DiskStorage("other", name="other")')
    (folder / "shop.py").write_text(text)
    done = started("sweep", "--app", "shop:pipeline")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line[:60] for line in lines] == [
        "uploadkit: sweep: unended cut could not be done, and is trie",
        f"uploadkit: sweep: expired {left['expired']} c",
        "uploadkit: 2 could not be done; the next sweep tries again",
    ]
    assert "an upload lies in a storage called 'media'" in lines[0]


def test_reprocess(folder: Path) -> None:
    """Copies were two, and are three by now."""
    left = left_two_days_ago(folder)
    dry = run("reprocess", "--app", "shop:pipeline", "--stale", "--dry-run")
    told, *names = dry.stdout.splitlines()
    assert (told, sorted(names)) == ("2 of 2 uploads are stale", sorted([f"  {left['expired']}", f"  {left['stays']}"]))
    done = run(
        "reprocess", "--app", "shop:pipeline", "--stale", "--type", "DOCUMENTS", "--type", ".txt", "--limit", "1"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 of 1 uploads are processed again\n", "")
    done = run("reprocess", "--app", "shop:pipeline", "--stale", "--json", "--state", "completed,failed")
    assert json.loads(done.stdout) == {"dry_run": False, "looked": 2, "stale": 1, "names": [left["stays"]]}
    assert len(keys_of(DiskStorage(folder / "media"))) == 10  # two uploads, three copies of each, and what is nobody's


def test_doctor(folder: Path) -> None:
    """A new application has no ledger yet; then all is well; then something is left."""
    new = run("doctor", "--app", "shop:pipeline")
    assert new.returncode == 2
    assert "failed   ledger: has no tables yet\n" in new.stdout
    assert run("migrate", "--app", "shop:pipeline").returncode == 0
    well = run("doctor", "--app", "shop:pipeline", "--json")
    assert (well.returncode, well.stderr) == (0, "")
    findings = [json.loads(line) for line in well.stdout.splitlines()]
    assert {tuple(finding) for finding in findings} == {("name", "level", "text", "advice")}
    assert {finding["level"] for finding in findings} == {"ok"}
    left_two_days_ago(folder)
    left = run("doctor", "--app", "shop:pipeline")
    assert left.returncode == 1
    assert "warning  leftovers: 1 uploads whose time is over\n" in left.stdout
    assert "uploadkit sweep --app shop:pipeline" in left.stdout


def test_migrate(folder: Path) -> None:
    """It says from which version to which, and for a check alone it does nothing."""
    for source in (["--app", "shop:pipeline"], ["--url", "sqlite:///other.db"]):
        check = run("migrate", *source, "--check")
        assert (check.returncode, check.stdout) == (1, f"the ledger had no tables, and {VERSION} is up to date\n")
        done = run("migrate", *source)
        assert (done.returncode, done.stdout) == (0, f"the ledger had no tables, and is at version {VERSION} now\n")
        check = run("migrate", *source, "--check")
        assert (check.returncode, check.stdout) == (0, f"the ledger is up to date, at version {VERSION}\n")
    with closing(sqlite3.connect("other.db")) as database:
        database.execute("UPDATE uploadkit_version SET version_num = '9999'")
        database.commit()
    newer = run("migrate", "--url", "sqlite:///other.db")
    assert (newer.returncode, newer.stdout) == (2, "")
    assert "of a newer version of uploadkit: 9999" in newer.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["migrate", "--config", "a", "--url", "c"], "one of --app, --config and --url"),
        (["migrate", "--app", "a:b", "--url", "c"], "one of --app, --config and --url"),
        (["sweep", "--app", "a:b", "--older-than", "1"], "'1' is no time, such as 90s, 15m, 12h or 1d"),
        (["sweep", "--app", "a:b", "--older-than", "99999999999999d"], "is too long: 36500d is the longest time"),
        (
            ["sweep", "--app", "a:b", "--forget-after", "999999999d"],
            "argument --forget-after: '999999999d' is too long",
        ),
        (["sweep", "--app", "a:b", "--older-than", "9" * 400 + "s"], "36500d is the longest time"),
        (["reprocess", "--app", "a:b"], "required: --stale"),
        (["reprocess", "--app", "a:b", "--stale", "--state", "done"], "'done' is no state"),
        (["reprocess", "--app", "a:b", "--stale", "--limit", "-1"], "'-1' is no number"),
    ],
)
def test_wrong_use_says_what_is_wrong(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With status 2, and nothing done."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["migrate", "--url", "mysql://host/uploads"], "a ledger is kept in SQLite or PostgreSQL, not in mysql"),
        (["migrate", "--url", "postgresql://127.0.0.1:1/none?connect_timeout=2"], "LedgerFailed: the ledger does not"),
        (["reprocess", "--app", "shop:pipeline", "--stale", "--state", "deleted"], "no upload is processed again that"),
        (["sweep", "--app", "nope:pipeline"], "--app: there is no module 'nope'"),
        (["sweep"], "there is no upload service in uploadkit-data: name its folder by UPLOADKIT_DATA"),
    ],
)
def test_trouble_is_told_in_a_line(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a traceback."""
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"uploadkit: {said}")
    assert err.count("\n") == 1


def test_a_pipeline_is_found_by_its_name(folder: Path) -> None:
    """In a module, or in something that is in one."""
    found = load_app("shop:pipeline")
    assert load_app("shop:Settings.uploads") is found
    assert sys.path[0] == str(folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shop", "--app: 'shop' names no pipeline: write MODULE:NAME, such as app:pipeline, for"),
        (":pipeline", "--app: ':pipeline' names no pipeline: write"),
        (
            "missing:pipeline",
            "--app: there is no module 'missing', neither in {folder} nor installed: write MOD",
        ),
        ("shop.missing:pipeline", "--app: there is no module 'shop.missing', neither in {folder} nor installed"),
        ("shop:other", "--app: shop:other: module 'shop' has no 'other': write shop:pipeline"),
        ("shop:Settings.other", "--app: shop:Settings.other: a type has no 'other': write shop:pipeline"),
        ("shop:upload", "--app: shop:upload is a str, and no Pipeline: write shop:pipeline"),
        ("bare:a.b", "--app: bare:a.b is a int, and no Pipeline: write MODULE:NAME, such as app:pipeline"),
        (
            "needs:pipeline",
            "--app: module 'needs' cannot be imported: ModuleNotFoundError: No module named 'unheard_of' "
            '({folder}/needs.py, line 1): for all of it write python -c "import needs"',
        ),
        (
            "wrong:pipeline",
            "--app: module 'wrong' cannot be imported: NameError: name 'x' is not defined ({folder}/wrong.py,",
        ),
        ("ends:pipeline", "--app: module 'ends' cannot be imported: SystemExit: bye ({folder}/ends.py, line 1)"),
        ("torn:pipeline", "--app: module 'torn' cannot be imported: SyntaxError: "),
    ],
)
def test_what_is_wrong_with_an_application_is_said(folder: Path, name: str, said: str) -> None:
    """In one line, with the place in the application."""
    for module, text in {
        "needs": "import unheard_of",
        "wrong": "def f():\n    x\n\nf()",
        "ends": "raise SystemExit('bye')",
        "torn": "def f(:",
        "bare": "class a:\n    b = 1",
    }.items():
        (folder / f"{module}.py").write_text(text)
    with pytest.raises(CommandFailed) as failed:
        load_app(name)
    assert str(failed.value).startswith(said.format(folder=folder))


def test_the_help_of_each_command_has_examples() -> None:
    """And says what its status means."""
    for command in ("migrate", "worker", "doctor", "sweep", "reprocess"):
        said = run(command, "--help").stdout
        assert f"examples:\n  uploadkit {command} --app app:pipeline" in said
        assert "status: 0 " in said


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("36500d", 3153600000)]
)
def test_times_are_written_with_their_unit(text: str, seconds: float) -> None:
    """As people say them."""
    assert duration(text) == seconds


def test_progress_is_shown_on_a_terminal_alone(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """On one line, which is taken away at the end."""
    silent = Ticker()
    silent("expired", 1)
    silent.end()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = Ticker()
    shown("expired", 1000)
    shown.end()
    assert capsys.readouterr().err == f"\rexpired: 1,000\r{' ' * 14}\r"
