"""Every assert of the tests bites, under `python -O` too, where Python leaves out what pytest has not rewritten."""

from __future__ import annotations

import ast
import contextlib
import re
import sys
import textwrap
from pathlib import Path

import pytest
from tests.multipart.outcomes import failure_of

from uploadkit.errors import LimitExceeded

REWRITTEN = "@pytest_ar"  # the name under which a module that pytest has rewritten knows pytest


def test_every_module_of_the_tests_that_asserts_is_rewritten() -> None:
    """Whatever module of the tests this run has loaded, by whichever test."""
    here = str(Path(__file__).parent)
    loaded = [module for module in sys.modules.values() if (getattr(module, "__file__", None) or "").startswith(here)]
    assert sys.modules["tests.multipart.outcomes"] in loaded
    as_they_were = [module for module in loaded if REWRITTEN not in vars(module)]  # few: to parse all takes seconds
    assert [module.__name__ for module in as_they_were if asserts(str(module.__file__))] == []


def test_no_program_within_a_test_asserts() -> None:
    """Python would leave out the whole line, and with it what is waited for there. Tests within tests are rewritten."""
    assert [
        f"{path.name}: {program.strip().splitlines()[0]}"
        for path in Path(__file__).parent.rglob("*.py")
        for program in re.findall(r'"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)
        if re.search(r"(?:^|;) *assert ", program, re.MULTILINE) and "def test_" not in program and is_program(program)
    ] == []


def is_program(text: str) -> bool:
    """A docstring is none."""
    with contextlib.suppress(SyntaxError):
        ast.parse(textwrap.dedent(text))
        return True
    return False


def asserts(path: str) -> bool:
    """Whether there is an assert in a module."""
    return any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(Path(path).read_bytes())))


def test_a_broken_assert_outside_of_a_test_is_noticed() -> None:
    """In what the tests share: an error that claims to have seen less than is allowed."""
    with pytest.raises(AssertionError):
        failure_of(LimitExceeded("too much", limit="files", allowed=2, seen=1))


def test_the_package_does_not_rely_on_assert() -> None:
    """What an assert of it decided would be decided otherwise under `python -O`."""
    package = Path(sys.modules[LimitExceeded.__module__].__file__ or "").parent
    assert [str(path) for path in package.rglob("*.py") if asserts(str(path))] == []
