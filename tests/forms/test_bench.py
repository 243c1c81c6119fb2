"""The bench of typed forms."""

from __future__ import annotations

import pytest
from bench.typed import SCENARIOS, main


def test_the_quick_bench_prints_a_ratio_for_every_form_and_driver(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m bench.typed --quick` works from a checkout."""
    assert main(["--quick", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out
    for title in SCENARIOS:
        for driver in ("blocking", "async"):
            [line] = [line for line in printed.splitlines() if line.startswith(f"  {title}, {driver} ")]
            assert float(line.split()[-1]) > 0
