"""The tests that docs/testing.md shows, as tests."""

from __future__ import annotations

from examples.test_uploads import *  # noqa: F403
