"""The service under load, as `python -m bench.service` has it: a tenth of that where UPLOADKIT_SOAK is 1.

What depends on how fast a machine is, is recorded as a figure and judged by nobody here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.service.__main__ import CPU_TARGET, large, photos, slow
from bench.targets import Verdict
from tests.soak import scaled

pytestmark = [pytest.mark.soak, pytest.mark.needs("linux")]

Record = Callable[[str, object], None]


def test_one_large_file_costs_little_more_than_to_store_it(tmp_path: Path, record_property: Record) -> None:
    """CPU time of neighbouring runs. The target is that of 1 GiB: a tenth of it has all of what each request costs."""
    told, _ = large(tmp_path, size=scaled(100 << 20, at_least=10 << 20), rounds=3)
    record_property("figure", f"a large file: {told['ratio']:.2f} times the CPU of storing it alone")
    assert told["ratio"] <= 2 * CPU_TARGET


def test_many_clients_are_served_and_nothing_is_lost(tmp_path: Path, record_property: Record) -> None:
    """Each upload that was answered by 202 is completed."""
    told, verdicts = photos(tmp_path, clients=16, seconds=scaled(6, at_least=2), size=10**6, workers=1)
    record_property("figure", _in_words(told))
    assert told["uploads"] > 0
    assert [each for each in missed(verdicts) if "memory" not in each] == []  # six seconds say nothing of that


def test_clients_that_drip_are_ended_while_others_are_served(tmp_path: Path, record_property: Record) -> None:
    told, verdicts = slow(tmp_path, dripping=scaled(20, at_least=5), clients=2, seconds=12)
    record_property("figure", f"clients that drip: ended after {told['first_after']:.1f} to {told['last_after']:.1f} s")
    assert missed(verdicts) == []


def missed(verdicts: list[Verdict]) -> list[str]:
    return [verdict.promise for verdict in verdicts if not verdict.met]


def _in_words(told: dict[str, Any]) -> str:
    return (
        f"{told['clients']} clients: {told['uploads_a_second']:.1f} uploads a second of {told['size'] / 1e6:g} MB, "
        f"p99 {told['post_p99']:.2f} s; the worker completes {told['completed_a_second']:.1f} a second"
    )
