"""What a server process is told by its environment, for every application of the bench that is written in Python.

Importing this tunes the allocator where that is asked for: an application does so before anything else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from uuid import uuid4

from uploadkit import tune_allocator

FOLDER = Path(os.environ["BENCH_FOLDER"])
"""Where files are to be stored. The folder is there, and empty."""

DIGEST = os.environ["BENCH_DIGEST"] == "1"
"""Whether uploadkit makes a SHA-256 of every file."""

TEXTS = ("title", "author", "note")
"""The text fields that a form may have."""

if os.environ["BENCH_TUNED"] == "1" and not tune_allocator():
    sys.exit("the allocator of this C library cannot be tuned")


def destination() -> Path:
    """A path for a new file, by a name that nobody else has."""
    return FOLDER / uuid4().hex


def said(*texts: str) -> str:
    """What an upload is answered with: the text values of its form, so that the sender sees that they were read."""
    return "|".join(texts)
