"""The tests of the example for FastAPI, as tests."""

from __future__ import annotations

from examples.test_fastapi_app import *  # noqa: F403
