"""The files of examples/service that are no Python: each is taken by what it is for, and says what is true."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.documents import DOCS, ROOT, blocks
from tests.processing.servers import eventually

from uploadkit.cli.serve import load_settings
from uploadkit.service.settings import Settings, settings_of

from .serving import Served
from .test_two_processes import main_of

FOLDER = ROOT / "examples" / "service"
PAGE = DOCS / "how-to" / "service-operate.md"

VARIABLES = {name for setting in settings_of() for name in setting.variables}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("nginx.conf", "nginx"),
        ("uploadkit.service", "ini"),
        ("Containerfile", "dockerfile"),
        ("compose.yaml", "yaml"),
        ("uploadkit.toml", "toml"),
        ("backup.sh", "sh"),
    ],
)
def test_the_page_shows_the_file(name: str, language: str) -> None:
    """Nothing in the documents is typed twice."""
    shown = [block.code for block in blocks(PAGE.read_text(encoding="utf-8"), language) if block.title == name]
    assert shown == [(FOLDER / name).read_text(encoding="utf-8")]


@pytest.mark.needs("nginx")
def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    """`nginx -t`, with the file as it is but for its log."""
    text = (FOLDER / "nginx.conf").read_text(encoding="utf-8").replace("/var/log/nginx/", f"{tmp_path}/")
    main = main_of(tmp_path, text, tmp_path / "error.log")
    done = subprocess.run(["nginx", "-t", "-c", main], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nginx_takes_as_much_as_the_service() -> None:
    """A little more, and waits a little longer."""
    text, settings = (FOLDER / "nginx.conf").read_text(encoding="utf-8"), load_settings(str(FOLDER / "uploadkit.toml"))
    [size] = re.findall(r"client_max_body_size (\d+)m", text)
    [seconds] = re.findall(r"client_body_timeout (\d+)s", text)
    assert settings.settings.max_request_size == "4 GB"
    assert 4e9 < int(size) * 2**20 < 4.4e9
    assert settings.settings.idle_seconds < int(seconds)


def test_the_settings_are_taken() -> None:
    """Those of the file alone, of which none is a misspelt one."""
    loaded = load_settings(str(FOLDER / "uploadkit.toml"))
    assert loaded.misspelt == ()
    assert (loaded.settings.workers, loaded.settings.log_format) == (2, "json")
    assert not loaded.settings.asks_nobody


def test_systemd_waits_longer_than_the_service() -> None:
    """For requests, and then for jobs."""
    text = (FOLDER / "uploadkit.service").read_text(encoding="utf-8")
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(seconds) > 2 * load_settings(str(FOLDER / "uploadkit.toml")).settings.grace_seconds
    [command] = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    assert shlex.split(command)[1:3] == ["serve", "--config"]


@pytest.mark.needs("systemd")
def test_systemd_knows_every_word_of_the_unit(tmp_path: Path) -> None:
    """But for the command, which is not installed here."""
    text = (FOLDER / "uploadkit.service").read_text(encoding="utf-8")
    path = tmp_path / "uploadkit.service"
    path.write_text(text.replace("/opt/uploadkit/bin/uploadkit", "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_container_is_told_what_the_service_knows() -> None:
    """Variables that are settings, and a command that there is."""
    text = (FOLDER / "Containerfile").read_text(encoding="utf-8")
    [line] = re.findall(r"^ENV (.+)$", text, re.MULTILINE)
    told = dict(word.split("=", 1) for word in shlex.split(line))
    assert {name for name in told if name.startswith("UPLOADKIT_")} <= VARIABLES
    [command] = re.findall(r"^CMD (.+)$", text, re.MULTILINE)
    assert json.loads(command) == ["uploadkit", "serve"]


def test_several_machines_share_what_they_have_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their variables the service has its settings: one ledger, one queue, one bucket, and one secret."""
    services = _services()
    environment = services["web"]["environment"]
    assert environment == services["worker"]["environment"] == services["migrate"]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, re.sub(r"\$\{(\w+):\?\}", r"the-secret-of-\1-which-is-long", value).strip())
    loaded = load_settings(None)
    assert loaded.misspelt == ()
    settings: Settings = loaded.settings
    assert settings.database_url is not None
    assert settings.redis_url is not None
    assert (settings.storage, sorted(settings.storage_options)) == ("s3://uploads", ["endpoint_url", "key", "secret"])
    assert not settings.asks_nobody


def test_the_commands_of_several_machines_are_some() -> None:
    services = _services()
    for name in ("web", "worker", "migrate"):
        words = services[name]["command"]
        assert words[0] == "uploadkit"
        text = subprocess.run(
            ["uploadkit", words[1], "--help"], capture_output=True, text=True, env=_path(), check=True
        ).stdout
        assert all(word in text for word in words if word.startswith("--"))


def test_a_copy_of_the_folder_of_a_service_that_runs_is_a_service(tmp_path: Path) -> None:
    """With each file, and links that were signed before."""
    with ExitStack() as stack:
        served = [Served(tmp_path / name) for name in ("before", "after")]
        for each in served:
            each.folder.mkdir()
            stack.callback(each.close)
        before, after = served
        before.start()
        upload = before.upload(("note.txt", b"to be kept"))["uploads"][0]["id"]
        eventually(lambda: before.get(f"/uploads/{upload}")["status"] == "completed", seconds=60)
        link = before.get(f"/uploads/{upload}")["url"]
        subprocess.run(["sh", FOLDER / "backup.sh", before.data, after.data], env=_path(), check=True)
        before.upload(("later.txt", b"after the copy"))
        before.close()
        after.start()
        assert [each["id"] for each in after.get("/uploads")["uploads"]] == [upload]
        with urllib.request.urlopen(f"{after.url}{link}", timeout=60) as answer:
            assert answer.read() == b"to be kept"


def _services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


def _path() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
