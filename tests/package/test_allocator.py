"""What `tune_allocator` does to a process, seen from outside: page faults."""

from __future__ import annotations

import subprocess
import sys

import pytest

from uploadkit.allocator import tune_allocator

PROGRAM = """
import resource, sys
import uploadkit

if sys.argv[1] == "tuned":
    print(uploadkit.tune_allocator())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    chunk = b"x" * 256_000  # as uvicorn reads them
    chunk = None
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def lines(how: str) -> list[str]:
    """What the program prints."""
    command = [sys.executable, "-c", PROGRAM, how]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.needs("linux")
def test_a_tuned_process_does_not_fetch_its_memory_again_and_again() -> None:
    """Two hundred chunks, one after the other: the first one's pages serve all. Without it each may fault anew."""
    done, faults = lines("tuned")
    if done == "False":  # the C library is not glibc, and the call says so
        assert tune_allocator() is False
    else:
        assert int(faults) < 200


def test_it_may_be_called_again() -> None:
    """Whoever calls it need not know whether somebody else has."""
    assert tune_allocator() is tune_allocator()
