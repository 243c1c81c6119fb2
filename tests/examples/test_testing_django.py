"""The tests of the example for Django, as tests: in a process of their own, where nobody else has settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tests_of_the_example_for_django_pass() -> None:
    """Run as the file says."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "examples/test_django_app.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
