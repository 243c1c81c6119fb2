"""What every test may use, how far the property tests go, and how long the long runs are.

Every hypothesis profile runs without a deadline: a shared machine is slow for reasons of its own. `ci` is picked by
hypothesis itself where CI is set, and derandomized; `fuzz` is for `nox -s fuzz`.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

pytest_plugins = ["tests.needs"]

for _name in ("default", "ci"):
    settings.register_profile(_name, settings.get_profile(_name), deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=20_000)


@pytest.fixture(scope="session")
def soak_scale() -> float:
    """What a long run multiplies its counts with: 1.0 is the whole, CI runs a tenth."""
    return float(os.environ.get("UPLOADKIT_SOAK", "1.0"))
