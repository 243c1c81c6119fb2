"""The bench of detection: it runs, it needs no peer, and it takes nobody for right who is not."""

from __future__ import annotations

import pytest
from bench.detection import OURS, RIVAL, Answers, Detect, Detector, by_kind, installed, judge, main, measured, table
from tests.samples.catalogue import KINDS, samples

from uploadkit.policy.signatures import detect

HEADS = {kind: samples(kind) for kind in ("png", "plain", "docx")}
COUNT = sum(map(len, HEADS.values()))


def text(head: bytes) -> str:
    """Who takes everything for text."""
    return "text/plain"


def answers(**looks: Detect) -> dict[str, Answers]:
    """One round of these detectors."""
    return measured({name: ("1.0", look) for name, look in looks.items()}, HEADS, rounds=1, seconds=0.001)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_quick_bench_prints_a_table_and_judges_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m bench.detection --quick` works from a checkout, with what uploadkit itself needs."""
    assert main(["--quick", "--detector", RIVAL]) == 0
    printed = capsys.readouterr().out
    [ours] = [cells(line) for line in printed.splitlines() if line.startswith(f"| {OURS} ")]
    assert ours[1] == str(len(KINDS))
    assert float(ours[3]) > 0
    assert "plain/utf-8.plain" in printed  # of which filetype knows nothing


def test_a_kind_is_right_where_all_its_samples_are() -> None:
    """Who takes everything for text is right of one kind and of its samples."""
    seen = answers(uploadkit=detect, text=text)
    lines = table(seen, HEADS).splitlines()
    assert cells(lines[2])[:3] == ["uploadkit 1.0", "3", str(COUNT)]
    assert cells(lines[3])[:3] == ["text 1.0", "1", str(len(HEADS["plain"]))]
    assert seen["text"].wrong["png"] == dict.fromkeys(HEADS["png"], "text/plain")


def test_a_kind_that_nobody_gets_wrong_is_not_in_the_table_of_kinds() -> None:
    """The table shows where detectors differ."""
    lines = by_kind(answers(uploadkit=detect, text=text), HEADS).splitlines()
    assert [cells(line)[0] for line in lines[2:]] == ["png", "docx"]
    assert cells(lines[2]) == ["png", *[str(len(HEADS["png"]))] * 2, "0"]


def test_a_detector_that_is_not_installed_is_left_out() -> None:
    """The bench runs with the peers that are there."""

    def missing() -> tuple[str, Detect]:
        raise ImportError

    there = Detector(name="there", make=lambda: ("1.0", text))
    assert list(installed([Detector(name="missing", make=missing), there])) == ["there"]


def test_kinds_that_are_wrong_and_time_that_is_too_long_miss_the_targets() -> None:
    """46 kinds and four times the time of filetype are the bounds."""
    heads = {kind: {"a": b""} for kind in KINDS}
    wrong = {kind: {"a": None} for kind in [*KINDS][:5]}
    fast, slow = (Answers(version="", wrong={}, seconds=[seconds, seconds]) for seconds in (1.0, 4.1))
    assert [verdict.met for verdict in judge({OURS: slow, RIVAL: fast}, heads)] == [True, False]
    poor = Answers(version="", wrong=wrong, seconds=[4.0, 4.0])
    assert [verdict.met for verdict in judge({OURS: poor, RIVAL: fast}, heads)] == [False, True]
