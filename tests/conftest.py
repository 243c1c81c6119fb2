"""What every test may use, and how far the property tests go.

Every hypothesis profile runs without a deadline: a shared machine is slow for reasons of its own. `ci` is picked by
hypothesis itself where CI is set, and derandomized; `fuzz` is for `nox -s fuzz`.
"""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.needs", "tests.soak"]

for _name in ("default", "ci"):
    settings.register_profile(_name, settings.get_profile(_name), deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=20_000)
