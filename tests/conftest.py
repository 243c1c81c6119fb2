"""What every test may use, and how far the property tests go.

Every hypothesis profile runs without a deadline: a shared machine is slow for reasons of its own. `ci` is picked by
hypothesis itself where CI is set, and derandomized; `fuzz` is for `nox -s fuzz`, which says for how many minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Every module of the tests may assert. Only what pytest rewrites holds under `python -O` too.
pytest.register_assert_rewrite(*(f"tests.{entry.name}" for entry in Path(__file__).parent.iterdir() if entry.is_dir()))

pytest_plugins = ["pytester", "tests.browsing", "tests.needs", "tests.soak"]

for _name in ("default", "ci"):
    settings.register_profile(_name, settings.get_profile(_name), deadline=None)
# There are some 25 of these tests, and an example takes 1 to 10 ms: about this many fit, on two busy cores.
_minutes = float(os.environ.get("UPLOADKIT_FUZZ_MINUTES", "10"))
settings.register_profile("fuzz", deadline=None, max_examples=max(100, round(1000 * _minutes)))
