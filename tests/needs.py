"""What some tests need beyond Python: `@pytest.mark.needs("tmpfs")` leaves a test out where it is not there.

Under `CI=true` nothing is left out: a need that is not met fails the test. The end of a run names every need that
was not met, why it matters and how to meet it.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests import browsing, postgres
from tests.content import clamd
from tests.examples import tus_js, uppy
from tests.service import axe
from tests.storage.fsspec import sftp


@dataclass(frozen=True, kw_only=True)
class Need:
    """`met` is asked once in a run. `install` is a line for a shell, or a sentence where no line does it."""

    met: Callable[[], bool]
    reason: str
    install: str


def _mounts_tmpfs() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True).returncode != 0:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


NEEDS = {
    "tmpfs": Need(
        met=_mounts_tmpfs,
        reason="a disk that is full is a small tmpfs, and only root may mount one",
        install="sudo --preserve-env=PATH $(which python) -m pytest tests/storage",
    ),
    "linux": Need(
        met=lambda: sys.platform == "linux",
        reason="it looks at files without a name, which only Linux has, or at /proc",
        install="docker run --rm -it -v .:/uploadkit -w /uploadkit python:3.11 bash",
    ),
    "curl": Need(
        met=lambda: shutil.which("curl") is not None,
        reason="what curl really sends is compared with what is recorded of it",
        install="apt-get install curl",
    ),
    "nginx": Need(
        met=lambda: shutil.which("nginx") is not None,
        reason="the configuration that the documents show is run by a real nginx",
        install="apt-get install nginx-light",
    ),
    "systemd": Need(
        met=lambda: shutil.which("systemd-analyze") is not None,
        reason="systemd itself says whether it knows every word of a unit that the documents show",
        install="apt-get install --no-install-recommends systemd",
    ),
    "sshd": Need(
        met=sftp.runs,
        reason="files go over SFTP to OpenSSH's own server",
        install="apt-get install openssh-server",
    ),
    "clamd": Need(
        met=lambda: clamd.CLAMD is not None,
        reason="files are scanned by a real clamd, with signatures of our own",
        install="apt-get install --no-install-recommends clamav-daemon",
    ),
    "postgres": Need(
        met=lambda: postgres.binaries() is not None,
        reason="records and jobs are kept in a real PostgreSQL",
        install="apt-get install --no-install-recommends postgresql",
    ),
    "browser": Need(
        met=lambda: browsing.executable() is not None,
        reason="pages are opened, and their forms sent, by a real browser",
        install="apt-get install chromium",
    ),
    "axe": Need(
        met=lambda: axe.PACKAGE.folder is not None,
        reason="the page of the service is looked over by axe-core, which comes from registry.npmjs.org",
        install=f"npm pack axe-core@{axe.VERSION} && export UPLOADKIT_AXE=$PWD/axe-core-{axe.VERSION}.tgz",
    ),
    "tus-js-client": Need(
        met=lambda: tus_js.script() is not None,
        reason="a page sends a file with tus-js-client, which comes from registry.npmjs.org",
        install=f"npm pack tus-js-client@{tus_js.VERSION} && "
        f"export UPLOADKIT_TUS_JS=$PWD/tus-js-client-{tus_js.VERSION}.tgz",
    ),
    "uppy": Need(
        met=lambda: uppy.folder() is not None,
        reason="a page sends a video with Uppy, which comes from registry.npmjs.org",
        install=f"npm pack uppy@{uppy.VERSION} && export UPLOADKIT_UPPY=$PWD/uppy-{uppy.VERSION}.tgz",
    ),
}


def pytest_configure(config: pytest.Config) -> None:
    """Registers the mark."""
    config.addinivalue_line("markers", "needs(*names): what a test needs beyond Python, as tests/needs.py calls it")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leaves a test out, or fails it under `CI=true`, where a need of it is not met."""
    for name in unmet(item):
        item.user_properties.append(("needs", name))  # goes with the report, from a worker of xdist too
        if os.environ.get("CI") == "true":
            pytest.fail(f"needs {name}: {NEEDS[name].reason}; {NEEDS[name].install}", pytrace=False)
        pytest.skip(f"needs {name}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was left out, why it matters, and how to have it."""
    reports = [*terminalreporter.getreports("skipped"), *terminalreporter.getreports("error")]
    properties = [pair for report in reports for pair in getattr(report, "user_properties", ())]  # a module has none
    left_out = [str(value) for key, value in properties if key == "needs"]
    if left_out:
        terminalreporter.section("left out", sep="-")
    for name in sorted(set(left_out)):
        count = left_out.count(name)
        terminalreporter.line(f"{name}: {count} test{'s' * (count > 1)}; {NEEDS[name].reason}")
        terminalreporter.line(f"    {NEEDS[name].install}")


def unmet(item: pytest.Item) -> list[str]:
    """The needs of a test that are not met here. An unknown name is a `KeyError`: it would never be met."""
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    return [name for name in names if not _met(name)]


@functools.cache
def _met(name: str) -> bool:
    return NEEDS[name].met()
