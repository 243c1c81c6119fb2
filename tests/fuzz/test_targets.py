"""The fuzz targets without the fuzzer: their seeds hold, what was found is mended, and they notice what is broken."""

from __future__ import annotations

from typing import Any

import pytest

from uploadkit.errors import SenderError
from uploadkit.multipart.parser import MultipartParser

from .targets import FOUND, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_holds(name: str) -> None:
    """What the fuzzer starts from, no data at all, and what was ever found."""
    check_seeds(name)


@pytest.mark.parametrize("name", ["multipart", "intake"])
@pytest.mark.parametrize("fault", ["loses a byte", "raises another error"])
def test_a_target_notices_a_fault(name: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that is wrong at the end of a chunk only, or that lets an error out which is no `SenderError`."""
    feed = MultipartParser.feed

    def faulty(self: MultipartParser, chunk: bytes) -> Any:
        try:
            events = list(feed(self, chunk))
        except SenderError:
            raise KeyError(chunk) from None
        return [event for event in events if fault != "loses a byte" or event != b"x"]

    monkeypatch.setattr(MultipartParser, "feed", faulty)
    with pytest.raises((AssertionError, KeyError)):
        check_seeds(name)


def check_seeds(name: str) -> None:
    """Raises where a seed of a target breaks a promise."""
    found = [path.read_bytes() for path in sorted((FOUND / name).glob("*"))]
    for seed in (b"", *TARGETS[name].seeds, *found):
        TARGETS[name].check(seed)
