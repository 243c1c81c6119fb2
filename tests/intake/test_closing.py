"""A watch that holds something lets it go on every way out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.intake.receiving import Drive, left_in

from uploadkit.errors import StorageFailed, TruncatedForm
from uploadkit.policy.filters import IncomingFile
from uploadkit.storage.contract import Buffer
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, FormBuilder
from uploadkit.uploader import Uploader


class Holding:
    """A stream check whose watches count. `fails` names the call that raises."""

    def __init__(self, *, fails: str = "") -> None:
        self.fails = fails
        self.held = 0
        self.begun = 0

    def begin(self, file: IncomingFile) -> HoldingWatch:
        """Holds one more."""
        self._meet("begin")
        return HoldingWatch(self)

    def _meet(self, call: str) -> None:
        if call == self.fails:
            raise RuntimeError(call)


class HoldingWatch:
    """Holds from its beginning until it is closed."""

    def __init__(self, check: Holding) -> None:
        self.check = check
        self.closed = False
        check.held += 1
        check.begun += 1

    def feed(self, data: Buffer) -> None:
        """May fail."""
        assert not self.closed
        self.check._meet("feed")

    def end(self) -> None:
        """May fail."""
        assert not self.closed
        self.check._meet("end")

    def close(self) -> None:
        """Lets go, and may fail."""
        if not self.closed:
            self.closed = True
            self.check.held -= 1
            self.check._meet("close")


FORM = FormBuilder().file("a", b"some data", filename="a").file("b", b"x" * 70_000, filename="b")


def body() -> Iterator[bytes]:
    yield FORM.body[:30_000]
    yield FORM.body[30_000:]


def test_a_watch_is_closed_after_its_end(drive: Drive) -> None:
    """One for each file."""
    check = Holding()
    drive(Uploader(MemoryStorage(), check=check).any(), FORM.content_type, body())
    assert (check.begun, check.held) == (2, 0)


@pytest.mark.parametrize("fails", ["begin", "feed", "end", "close"])
def test_a_watch_is_closed_where_one_fails(drive: Drive, fails: str) -> None:
    """Itself or the one beside it, at every call; and nothing of the form is left."""
    storage, good, bad = MemoryStorage(), Holding(), Holding(fails=fails)
    with pytest.raises(RuntimeError, match=fails):
        drive(Uploader(storage, check=(good, bad)).any(), FORM.content_type, body())
    assert (good.held, bad.held) == (0, 0)
    assert good.begun == 1
    assert left_in(storage) == []


@pytest.mark.parametrize("on", ["open", "write", "stage", "commit", "discard"])
def test_a_watch_is_closed_where_the_storage_fails(drive: Drive, on: str) -> None:
    """Also where the bytes that were written cannot be discarded."""
    check = Holding()
    storage = FailingStorage(MemoryStorage(), on=on, after=0)  # type: ignore[arg-type]  # a name of a call
    chunks = body() if on != "discard" else iter([FORM.body[:30_000]])
    with pytest.raises((StorageFailed, TruncatedForm)):
        drive(Uploader(storage, check=check).any(), FORM.content_type, chunks)
    assert check.held == 0


def test_a_watch_is_closed_when_the_body_is_cut(drive: Drive) -> None:
    """In the middle of its file."""

    def cut() -> Iterator[bytes]:
        yield FORM.body[:30_000]
        raise ConnectionError("the client is gone")

    check = Holding()
    with pytest.raises(ConnectionError):
        drive(Uploader(MemoryStorage(), check=check).any(), FORM.content_type, cut())
    assert (check.begun, check.held) == (2, 0)


def test_an_async_close_is_a_mistake(drive: Drive) -> None:
    """Nobody would await it."""

    class Late(HoldingWatch):
        async def close(self) -> None:  # type: ignore[override]
            """Would let go."""

    class Check(Holding):
        def begin(self, file: IncomingFile) -> Late:
            """One that is late."""
            return Late(self)

    with pytest.raises(TypeError, match="is async"):
        drive(Uploader(MemoryStorage(), check=Check()).any(), FORM.content_type, body())
