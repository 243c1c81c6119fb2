"""Fifty threads in each of eight processes that upload under one name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.faults.contenders import THREADS
from tests.soak import scaled
from tests.storage.kinds import DISKS
from tests.storage.processes import Child

from uploadkit.testing import leftovers

PROCESSES = 8

SCRIPT = """
from tests.faults.contenders import contend
say("ready")
while round := sys.stdin.readline().strip():
    say(" ".join(contend(disk, {filename})))
"""


@pytest.mark.soak
@pytest.mark.parametrize("kind", DISKS)
def test_of_many_that_commit_under_one_key_exactly_one_wins(kind: str, tmp_path: Path) -> None:
    """The others get `ObjectExists`, the content of the winner is whole, and nothing is staged."""
    for round, answers in enumerate(rounds(kind, tmp_path, "lambda file: f'round-{round}.bin'")):
        assert sorted(outcome for outcome, _ in answers) == ["exists"] * (PROCESSES * THREADS - 1) + ["stored"]
        [winner] = [digest for outcome, digest in answers if outcome == "stored"]
        assert hashlib.sha256((tmp_path / f"round-{round}.bin").read_bytes()).hexdigest() == winner
        assert leftovers(DISKS[kind](tmp_path)) == []
        assert len(list(tmp_path.glob("[!.]*"))) == round + 1


@pytest.mark.soak
@pytest.mark.parametrize("kind", DISKS)
def test_of_many_files_that_are_called_the_same_each_is_kept(kind: str, tmp_path: Path) -> None:
    """A client's file name is no key: every content is there, whole."""
    kept: set[str] = set()
    for answers in rounds(kind, tmp_path, "None"):
        assert {outcome for outcome, _ in answers} == {"stored"}
        kept |= {digest for _, digest in answers}
        stored = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("[!.]*")}
        assert stored == kept
        assert leftovers(DISKS[kind](tmp_path)) == []
    assert len(kept) % (PROCESSES * THREADS) == 0


def rounds(kind: str, root: Path, filename: str) -> Iterator[list[tuple[str, str]]]:
    """Of each round what every thread of every process came to: an outcome and a SHA-256."""
    with ExitStack() as stack:
        children = [stack.enter_context(Child(SCRIPT.format(filename=filename), kind, root)) for _ in range(PROCESSES)]
        for child in children:
            assert child.line() == "ready"
        for round in range(scaled(20)):
            for child in children:
                child.say(str(round))
            words = [word for child in children for word in child.line().split()]
            yield list(zip(words[::2], words[1::2], strict=True))
