"""How far the tests go that are marked `soak`, and what they have measured.

UPLOADKIT_SOAK scales their counts; 1.0 is the whole. What a test records as `figure` (`record_property`) stands at the
end of the run.
"""

from __future__ import annotations

import os

import pytest

_SCALE = float(os.environ.get("UPLOADKIT_SOAK", "1"))


def scaled(count: int, *, at_least: int = 1) -> int:
    """That many, or the part of them that this run is to have, but not fewer than what makes the test one."""
    return max(at_least, round(count * _SCALE))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the figures."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [value for report in reports for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures", sep="-")
    for figure in figures:
        terminalreporter.line(str(figure))
