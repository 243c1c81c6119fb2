"""The tests of the example for Flask, as tests."""

from __future__ import annotations

from examples.test_flask_app import *  # noqa: F403
