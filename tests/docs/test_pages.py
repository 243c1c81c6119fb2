"""Each page tried from itself alone: its files in an empty folder, its commands as they stand, answered as it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.docs.documents import DOCS, DOCUMENTS, ROOT, commands, sections
from tests.docs.pasted import (
    REQUESTS,
    asked,
    assert_answered,
    bucket_beside,
    exported,
    paste,
    requests_of,
    servers_of,
    started,
    variable,
)

SERVICE = "$ uploadkit serve\n"  # test_service_pages.py has these
SERVED = sorted(
    page.relative_to(DOCS)
    for page in DOCS.rglob("*.md")
    if requests_of(page.read_text(encoding="utf-8")) and SERVICE not in page.read_text(encoding="utf-8")
)
TABBED = [page for page in SERVED if any(len(servers_of(section)) > 1 for section in sections(DOCS / page))]
PROGRAMS = sorted(
    page.relative_to(DOCS) for page in DOCS.rglob("*.md") if "$ python app.py" in page.read_text(encoding="utf-8")
)
COMMANDED = sorted(
    page.relative_to(DOCS)
    for page in DOCS.rglob("*.md")
    if "\n$ uploadkit " in page.read_text("utf-8") and SERVICE not in page.read_text("utf-8")
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.needs("curl")
@pytest.mark.parametrize("page", SERVED, ids=str)
def test_a_page_works_as_it_is_pasted(page: Path, tmp_path: Path) -> None:
    """Section by section: the files it shows, its servers by their commands, each request by its line.

    A section that names no server goes on with the first of the section before; of one that shows several, a tab for
    each framework, it is the first here.
    """
    follow(page, tmp_path, at_most=1)


@pytest.mark.soak
@pytest.mark.needs("curl")
@pytest.mark.parametrize("page", TABBED, ids=str)
def test_every_tab_of_a_page_works_as_it_is_pasted(page: Path, tmp_path: Path) -> None:
    """A page that shows several frameworks says that all of them answer the same."""
    follow(page, tmp_path)


def follow(page: Path, tmp_path: Path, *, at_most: int | None = None) -> None:
    """Does what a page says, in a folder; with so many of the servers of a section."""
    if page.name == "from-streaming-form-data.md":
        pytest.importorskip("streaming_form_data", reason="there is no wheel of it for this Python")
    servers: list[str] = []
    for section in sections(DOCS / page):
        paste(section, tmp_path)
        servers = servers_of(section) or servers[:1]
        assert servers or not requests_of(section), "the page says what is answered, and not by whom"
        for server in servers[:at_most] if requests_of(section) else ():
            with (
                bucket_beside(section, tmp_path) as text,
                started(server, tmp_path, exported(text)) as port,
            ):
                answered, variables = "", dict[str, str]()
                for command in commands(text):
                    variables |= variable(command.line, answered)
                    if command.line.startswith(REQUESTS):
                        answered = asked(command, tmp_path, port, variables)
                        assert_answered(command.answer, answered, tmp_path)


def test_the_tests_of_the_tutorial_run_as_they_are_pasted(tmp_path: Path) -> None:
    """They are pasted beside what the sections before have left, and end as the page says.

    Their asserts are the reader's, and hold without `python -O` alone.
    """
    asserting = {name: value for name, value in os.environ.items() if name != "PYTHONOPTIMIZE"}
    # Where temporary files lie below this project, pytest would take its settings; and others' warnings are not ours.
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = ignore\n", encoding="utf-8")
    for text in sections(DOCS / "tutorial.md"):
        paste(text, tmp_path)
        for command in commands(text):
            if "-m pytest" in command.line:
                done = subprocess.run(
                    [sys.executable, *command.line.split()[1:]],
                    cwd=tmp_path,
                    env=asserting,
                    capture_output=True,
                    text=True,
                )
                assert done.returncode == 0, done.stdout
                assert_answered(command.answer, done.stdout.splitlines()[-1], tmp_path)
                return
    pytest.fail("the tutorial has no tests")


def test_every_framework_has_a_page() -> None:
    """The test above has something to judge."""
    pages = {page.stem for page in SERVED if page.parts[0] == "how-to"}
    assert pages >= {"fastapi", "flask", "django", "starlette", "asgi", "wsgi"}
    assert {page.stem for page in PROGRAMS} >= {"any-source", "limits", "accept", "names"}
    assert {page.stem for page in COMMANDED} >= {"inspect"}


@pytest.mark.parametrize("page", PROGRAMS, ids=str)
def test_a_program_of_a_page_says_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """A page without a server: its program, pasted and run by its line."""
    text = (DOCS / page).read_text(encoding="utf-8")
    paste(text, tmp_path)
    for command in commands(text):
        if command.line.startswith("python app.py"):
            done = subprocess.run(
                [sys.executable, *command.line.split()[1:]], cwd=tmp_path, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            assert_answered(command.answer, done.stdout, tmp_path)


@pytest.mark.parametrize("page", COMMANDED, ids=str)
def test_the_command_says_what_a_page_says(page: Path, tmp_path: Path) -> None:
    """`uploadkit`, as it is installed, in the folder of the page and in a terminal of 80 columns."""
    text = (DOCS / page).read_text(encoding="utf-8")
    paste(text, tmp_path)
    for command in commands(text):
        if command.line.startswith("uploadkit "):
            words = shlex.split(command.line)
            done = subprocess.run(
                [Path(sys.executable).with_name(words[0]), *words[1:]],
                cwd=tmp_path,
                env={**os.environ, "COLUMNS": "80"},
                capture_output=True,
                text=True,
            )
            assert_answered(command.answer, done.stdout, tmp_path)
            assert done.stderr == ""


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_installs_can_be_installed(page: Path) -> None:
    """Every extra that a page names in an installation is one of the project's."""
    for command in commands(page.read_text(encoding="utf-8")):
        for extras in re.findall(r"(?:uploadkit|\.)\[([\w,-]+)\]", command.line):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), command.line


def test_every_extra_is_on_the_page_of_the_installation() -> None:
    """With what it brings."""
    page = (DOCS / "install.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `([\w-]+)` \| .+ \|$", page, re.MULTILINE)
    assert sorted(shown) == sorted(PROJECT["optional-dependencies"])
