"""Every assert of the tests bites, under `python -O` too, where Python leaves out what pytest has not rewritten."""

from __future__ import annotations

import ast
import sys
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
    assert [
        module.__name__ for module in loaded if asserts(str(module.__file__)) and REWRITTEN not in vars(module)
    ] == []


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
