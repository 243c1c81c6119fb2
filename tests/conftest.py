"""What every test may use, and how far the property tests go.

Every hypothesis profile runs without a deadline: a shared machine is slow for reasons of its own. `ci` is picked by
hypothesis itself where CI is set, and derandomized; `fuzz` is for `nox -s fuzz`, which says for how many minutes.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Every module of the tests may assert. Only what pytest rewrites holds under `python -O` too.
_here = Path(__file__)
pytest.register_assert_rewrite(*(f"tests.{entry.stem}" for entry in _here.parent.iterdir() if entry != _here))

pytest_plugins = [
    "pytester",
    "tests.browsing",
    "tests.needs",
    "tests.once",
    "tests.postgres",
    "tests.soak",
    "tests.valkey",
]

for _name in ("default", "ci"):
    settings.register_profile(_name, settings.get_profile(_name), deadline=None)
# There are some 25 of these tests, and an example takes 1 to 10 ms: about this many fit, on two busy cores.
_minutes = float(os.environ.get("UPLOADKIT_FUZZ_MINUTES", "10"))
settings.register_profile("fuzz", deadline=None, max_examples=max(100, round(1000 * _minutes)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Nothing of what is collected is garbage: 14,000 tests are collected in two thirds of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What the tests are and what they have imported, half a million objects, stays to the end: the garbage collector
    need not walk through all of it again whenever a test asks it to collect, 0.3 s each time."""
    gc.enable()
    gc.collect()
    gc.freeze()


# Whose tests start processes and wait for them, more than they compute.
WAITING = ("records", "processing", "faults", "storage/s3", "examples", "docs", "bench", "service", "test_cli.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that wait come first: what is left at the end is in small pieces, for every process of tests."""
    waiting = [_here.parent / name for name in WAITING]
    items.sort(key=lambda item: not any(item.path.is_relative_to(each) for each in waiting))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """With `-n auto`: one more for every two processors, which works while the others wait."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + (processors + 1) // 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """With `-n`: a file of tests goes to one process, in which its servers are begun once."""
    from xdist.scheduler import LoadFileScheduling

    if config.getvalue("dist") != "load":
        return None  # somebody has asked for something else
    config.option.loadscopereorder = False  # in the order above
    return LoadFileScheduling(config, log)
