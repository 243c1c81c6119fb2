"""Pages of the upload service, followed to the letter: `uploadkit serve`, and each command after it in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.documents import DOCS, Command, commands
from tests.docs.pasted import assert_answered, paste
from tests.service.serving import Served

PAGES = sorted(
    page.relative_to(DOCS) for page in DOCS.rglob("*.md") if "$ uploadkit serve\n" in page.read_text(encoding="utf-8")
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The service, and where it listens."""
    service = Served(tmp_path)
    try:
        yield service
    finally:
        service.close()


@pytest.mark.needs("curl")
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_of_the_service_works_as_it_is_typed(page: Path, served: Served) -> None:
    """What is typed as `NAME=…` is what the answer before it says first as an `id`."""
    text = (DOCS / page).read_text(encoding="utf-8")
    paste(text, served.folder)
    served.start()
    known: dict[str, str] = {}
    said = ""
    for command in commands(text):
        if named := re.fullmatch(r"(\w+)=…", command.line):
            known[named[1]] = re.findall(r'"id": ?"(\w+)"', said)[0]
        elif not command.line.startswith("uploadkit "):
            said = _typed(command, served, known)
            answer = re.sub(r"\$(\w+)", lambda name: known[name[1]], command.answer)
            if answer or said:
                assert_answered(answer, said, served.folder)


def test_the_walk_through_the_api_is_one_of_them() -> None:
    assert Path("how-to/service-api.md") in PAGES


def _typed(command: Command, served: Served, known: dict[str, str]) -> str:
    line = command.line.replace("http://127.0.0.1:8000", served.url)
    line = re.sub(r"^curl ", "curl -sS --max-time 30 ", line)
    line = re.sub(r"^python ", f"{sys.executable} ", line)
    done = subprocess.run(
        ["bash", "-c", line], cwd=served.folder, env={**os.environ, **known}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
