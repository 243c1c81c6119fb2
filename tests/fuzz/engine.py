"""Runs one target under atheris in this process: `python -m tests.fuzz.engine TARGET LIBFUZZER-OPTION...`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["uploadkit", "filetype"]):
    from tests.fuzz.targets import TARGETS

name = sys.argv.pop(1)
atheris.Setup(sys.argv, TARGETS[name].check)
atheris.Fuzz()
