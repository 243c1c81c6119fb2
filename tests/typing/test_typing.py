"""What type checkers say of a user's program.

`right_*.py` must be clean under every checker. In `wrong_*.py` every line with `# E:` and no other must be an error
of every checker: that is how the checks themselves are known to look.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = sorted([*HERE.glob("right_*.py"), *HERE.glob("wrong_*.py")])

Found = dict[tuple[str, int], list[str]]
"""Messages by file name and line."""


@cache
def found_by_mypy() -> Found:
    """The errors of `mypy --strict` in all programs."""
    found: Found = {}
    for line in _output("mypy", "--strict", "--no-error-summary", "--no-pretty").splitlines():
        match = re.match(r"(?P<path>.+?):(?P<line>\d+): error: (?P<text>.*)", line)
        if match:
            found.setdefault((Path(match["path"]).name, int(match["line"])), []).append(match["text"])
    return found


@cache
def found_by_pyright() -> Found:
    """The errors of pyright, in the mode that `pyproject.toml` sets, in all programs."""
    found: Found = {}
    for error in json.loads(_output("pyright", "--outputjson", "--pythonpath", sys.executable))["generalDiagnostics"]:
        if error["severity"] == "error":
            place = (Path(error["file"]).name, error["range"]["start"]["line"] + 1)
            found.setdefault(place, []).append(error["message"])
    return found


CHECKERS = [
    pytest.param(check, id=name, marks=pytest.mark.skipif(find_spec(name) is None, reason="`nox -s types` brings it"))
    for name, check in (("mypy", found_by_mypy), ("pyright", found_by_pyright))
]


@pytest.mark.parametrize("check", CHECKERS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_checker_finds_the_marked_lines_and_no_other(program: Path, check: Callable[[], Found]) -> None:
    """A right program passes; a wrong one fails where it is wrong."""
    lines = program.read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, start=1) if "# E:" in line}
    found = {line: texts for (name, line), texts in check().items() if name == program.name}
    assert {line: texts for line, texts in found.items() if line not in marked} == {}
    assert marked - found.keys() == set()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_only_wrong_programs_have_marked_lines(program: Path) -> None:
    """The name of a program says whether it is right."""
    assert ("# E:" in program.read_text(encoding="utf-8")) == program.name.startswith("wrong_")


def _output(*checker: str) -> str:
    command = [sys.executable, "-m", *checker, *map(str, PROGRAMS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    # 0: clean, 1: errors found; anything else is a checker that did not run.
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout
