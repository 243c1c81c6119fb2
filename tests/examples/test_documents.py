"""What the documents show is what the examples hold, and the examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from uploadkit.adapters.capabilities import as_table

ROOT = Path(__file__).parents[2]
EXAMPLES = {path: path.read_text() for path in sorted((ROOT / "examples").rglob("*.py"))}
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHOWN = [
    pytest.param(block, id=f"{document.name}-{at}")
    for document in DOCUMENTS
    for at, block in enumerate(PYTHON_BLOCK.findall(document.read_text()))
]


@pytest.mark.parametrize("block", SHOWN)
def test_code_in_a_document_stands_in_an_example(block: str) -> None:
    """Nothing in the documents is typed twice: a block is a part of a file in examples/, to the letter."""
    assert any(block in example for example in EXAMPLES.values())


def test_the_readme_shows_code() -> None:
    """The test above has something to judge."""
    assert len(PYTHON_BLOCK.findall((ROOT / "README.md").read_text())) >= 4


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


def test_the_table_of_capabilities_is_that_of_the_code() -> None:
    """`python docs/capabilities.py` renews it."""
    assert as_table() in (ROOT / "docs" / "under-load.md").read_text()
