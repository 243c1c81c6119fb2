"""How far the tests go that are marked `soak`, and what they have measured.

UPLOADKIT_SOAK scales their counts; 1.0 is the whole. What a test records as `figure` (`record_property`) stands at the
end of the run.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Any

import pytest

_SCALE = float(os.environ.get("UPLOADKIT_SOAK", "1"))


def scaled(count: int, *, at_least: int = 1) -> int:
    """That many, or the part of them that this run is to have, but not fewer than what makes the test one."""
    return max(at_least, round(count * _SCALE))


def mostly_soaked(values: Iterable[Any], but: Collection[object]) -> list[Any]:
    """Parameters of a test that holds for each of them: those in `but` are tried in every run, all in the long ones."""
    return [value if value in but else pytest.param(value, marks=pytest.mark.soak) for value in values]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the figures."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [value for report in reports for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures", sep="-")
    for figure in figures:
        terminalreporter.line(str(figure))
