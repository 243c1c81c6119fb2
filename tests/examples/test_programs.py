"""The examples that are programs run, and say what they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_without_a_framework_runs(tmp_path: Path) -> None:
    """A file that is accepted, and one that is refused."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "any_source.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == "me.png image/png 11"
    assert second.startswith("415 file_refused file 'avatar' is text/plain")


def test_the_example_of_rules_runs(tmp_path: Path) -> None:
    """A form that passes, one that a check refuses, and one that a filter refuses."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "rules.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "July ['report.txt', 'table.csv']",
        "422 file_refused the file holds a secret",
        "422 file_refused the file in field 'report' was refused",
    ]
