"""Who adds to an upload is alone, in threads and processes; who waits gets it soon; and whoever dies keeps nobody."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from tests.punctual import punctual

from uploadkit.errors import LedgerFailed, RecordMissing, UploadLocked
from uploadkit.intake.asynchronous import adrive
from uploadkit.records.ledger import Ledger
from uploadkit.resumable import holding
from uploadkit.resumable.holding import LEASE_SECONDS, Held, take, taking

ROOT = Path(__file__).parents[2]
LEASE = 1.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/uploads.db"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """With two uploads that may be held, "u" and "v"."""
    ledger = Ledger(url)
    for upload in "uv":
        ledger.add(upload, field="f", filename="a", content_type="text/plain")
        ledger.resumables.add(
            upload, length=1, storage="s", kept="", told={}, expires_at=datetime.now(UTC) + timedelta(days=1)
        )
    yield ledger
    until(lambda: not any(keeper.held for keeper in holding._keepers.values()))
    ledger.close()


def until(is_so: Callable[[], object], seconds: float = 20) -> None:
    """Waits for it."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def held(ledger: Ledger, *, wait_seconds: float = 0, lease_seconds: float = LEASE, **more: Any) -> Held:
    return take(
        ledger, "u", **{"on_wanted": lambda: None} | more, wait_seconds=wait_seconds, lease_seconds=lease_seconds
    )


def pass_by(seconds: float) -> None:
    """So much time."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end)


def is_over(held: Held) -> bool:
    """Whether nothing may be written any more."""
    try:
        held.expect()
    except UploadLocked:
        return True
    return False


def kept(ledger: Ledger) -> str:
    known = ledger.resumables.get("u")
    assert known is not None
    return known.kept


@contextmanager
def holder(url: str, manner: str, *, lease_seconds: float = LEASE) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has the upload by now."""
    command = [sys.executable, "-m", "tests.resumable.holder", url, str(lease_seconds), manner]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert said(process) == "held"
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    out: IO[str] | None = process.stdout
    assert out is not None
    return out.readline().strip()


def test_one_has_it_and_the_next_when_it_is_released(ledger: Ledger) -> None:
    """What is changed with that is seen by the next one. A second release changes nothing."""
    wanted = threading.Event()
    first = held(ledger, on_wanted=wanted.set)
    first.expect()
    assert not wanted.is_set()
    with pytest.raises(UploadLocked) as locked:
        held(ledger)
    assert locked.value.retry_after == holding.RETRY_SECONDS
    assert wanted.is_set()
    first.expect()
    first.release(kept="first")
    with pytest.raises(UploadLocked):
        first.expect()
    second = held(ledger)
    first.release(kept="again")
    assert kept(ledger) == "first"
    second.expect()
    second.release()


def test_of_one_that_is_not_there_nothing_is_held(ledger: Ledger) -> None:
    with pytest.raises(RecordMissing):
        take(ledger, "x", wait_seconds=10, on_wanted=lambda: None)


def test_a_holder_is_told_at_once_in_the_same_process(ledger: Ledger) -> None:
    """Once, however often it is asked for and from however many threads; who waits has it as soon as it lets go."""
    told: list[str] = []
    first = held(ledger, lease_seconds=LEASE_SECONDS, on_wanted=lambda: told.append("wanted"))
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(held, ledger, wait_seconds=0) for _ in range(4)]
        assert all(isinstance(each.exception(), UploadLocked) for each in waiting)
    assert told == ["wanted"]
    first.release()


def test_a_polite_holder_is_followed_at_once_in_the_same_process(ledger: Ledger, url: str) -> None:
    """By a thread, with another ledger over the same database."""

    async def takeover() -> float:
        other = Ledger(url)
        wanted = threading.Event()
        first = held(ledger, lease_seconds=LEASE_SECONDS, on_wanted=wanted.set)

        def let_go() -> None:
            wanted.wait()
            first.release()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(let_go)
            begun = time.monotonic()
            second = await asyncio.to_thread(held, other, wait_seconds=20, lease_seconds=LEASE_SECONDS)
            took = time.monotonic() - begun
        second.release()
        other.close()
        return took

    asyncio.run(punctual(takeover, 0.1))


async def atake(ledger: Ledger, **options: Any) -> Held:
    """As a request in an event loop does it, which has no body here."""
    steps = taking(ledger, "u", on_wanted=lambda: None, **options)
    nothing: Any = None
    return await adrive(steps, nothing, nothing, undo=lambda mine, error: mine.release())


async def _follow(ledger: Ledger) -> tuple[Held, float]:
    """Who waits for it in an event loop, and how many seconds after its release he has it."""
    wanted = threading.Event()
    first = held(ledger, lease_seconds=LEASE_SECONDS, on_wanted=wanted.set)
    waiting = asyncio.create_task(atake(ledger, wait_seconds=20, lease_seconds=LEASE_SECONDS))
    while not wanted.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    begun = time.monotonic()
    await asyncio.to_thread(first.release)
    return await waiting, time.monotonic() - begun


def test_who_waits_in_an_event_loop_follows_at_once(ledger: Ledger) -> None:
    """And waits in no thread."""

    async def follow() -> float:
        second, took = await _follow(ledger)
        second.expect()
        await asyncio.to_thread(second.release)
        return took

    asyncio.run(punctual(follow, 0.1))


def test_who_is_not_let_in_in_an_event_loop_is_told_so(ledger: Ledger) -> None:
    """After the time that he has."""
    wanted = threading.Event()
    first = held(ledger, on_wanted=wanted.set)
    with pytest.raises(UploadLocked):
        asyncio.run(atake(ledger, wait_seconds=0.3))
    assert wanted.is_set()
    first.release()


def test_who_is_cancelled_holds_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the ledger answers, and while he waits: the next one has it at once."""
    asked, answer = threading.Event(), threading.Event()
    hold = ledger.resumables.hold

    def slow(upload: str, *, seconds: float) -> object:
        mine = hold(upload, seconds=seconds)
        asked.set()
        answer.wait(20)
        return mine

    async def cancel() -> None:
        taking = asyncio.create_task(atake(ledger, wait_seconds=20))
        await asyncio.to_thread(asked.wait)
        taking.cancel()
        await asyncio.sleep(0)
        answer.set()
        with pytest.raises(asyncio.CancelledError):
            await taking

    with monkeypatch.context() as patch:
        patch.setattr(ledger.resumables, "hold", slow)
        asyncio.run(cancel())
        first = held(ledger)
        asked.clear()
        asyncio.run(cancel())
        first.release()
    held(ledger).release()


def test_a_polite_holder_is_followed_soon_in_another_process(ledger: Ledger, url: str) -> None:
    """Within two seconds, with leases as they are: it looks once in a second whether somebody wants the upload."""

    async def takeover() -> float:
        with holder(url, "polite", lease_seconds=LEASE_SECONDS) as process:
            begun = time.monotonic()
            mine = held(ledger, wait_seconds=20, lease_seconds=LEASE_SECONDS)
            took = time.monotonic() - begun
            assert said(process) == "released"
            assert kept(ledger) == "polite"
            mine.release()
        return took

    asyncio.run(punctual(takeover, 2))


def test_a_killed_holder_keeps_nobody_longer_than_its_lease(ledger: Ledger, url: str) -> None:
    """And that long."""
    with holder(url, "blocked") as process:
        process.kill()
        process.wait()
        killed = time.monotonic()
        mine = held(ledger, wait_seconds=20)
        assert time.monotonic() - killed < LEASE + 5
        mine.expect()
        mine.release()


def test_a_hold_lasts_while_its_thread_is_blocked(ledger: Ledger) -> None:
    """Longer than its lease; so do others of the same process."""
    told: list[str] = []
    first = held(ledger, lease_seconds=2, on_wanted=lambda: told.append("wanted"))
    other = take(ledger, "v", wait_seconds=0, on_wanted=lambda: told.append("wanted"), lease_seconds=2)
    pass_by(2.6)
    assert told == []
    for each in (first, other):
        each.expect()
        assert ledger.resumables.hold(each.hold.upload, seconds=60) is None
        each.release()


def test_a_deaf_holder_loses_it(ledger: Ledger, url: str) -> None:
    """A lease after it was told, it is not renewed any more. Before another one has it, it knows that it may not write;
    who does not wait so long is told to come back."""
    with holder(url, "deaf") as process:
        with pytest.raises(UploadLocked):
            held(ledger, wait_seconds=LEASE / 2)
        mine = held(ledger, wait_seconds=20)
        assert [said(process), said(process)] == ["wanted", "over"]
        mine.expect()
        mine.release()


def test_a_hold_that_is_lost_is_told_of(ledger: Ledger) -> None:
    """As where the upload is deleted meanwhile: who waits for its client hears of it, and writes nothing more."""
    told: list[str] = []
    first = held(ledger, on_wanted=lambda: told.append("wanted"))
    ledger.resumables.forget("u")
    until(lambda: told)
    with pytest.raises(UploadLocked):
        first.expect()
    first.release(kept="lost")
    assert told == ["wanted"]


def test_a_hold_is_over_here_before_it_is_for_others(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the ledger does not answer. When it does again, and nobody else has taken it, it goes on."""
    wanted, answers = threading.Event(), threading.Event()
    first = held(ledger, on_wanted=wanted.set)

    def fail_until(call: Callable[..., object]) -> Callable[..., object]:
        def failing(*args: object, **options: object) -> object:
            if not answers.is_set():
                raise LedgerFailed("it does not answer", retryable=True)
            return call(*args, **options)

        return failing

    with monkeypatch.context() as patch:
        for name in ("extend_all", "wanted"):
            patch.setattr(ledger.resumables, name, fail_until(getattr(ledger.resumables, name)))
        begun = time.monotonic()
        until(lambda: is_over(first))
        assert time.monotonic() - begun < LEASE
        answers.set()
        until(lambda: not is_over(first))
    assert not wanted.is_set()
    first.release(kept="first")
    assert kept(ledger) == "first"


def test_before_what_cannot_be_mended_the_ledger_is_asked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another one has it although it is not over by the own clock. Where the ledger does not answer, that
    counts."""
    told: list[str] = []
    first = held(ledger, lease_seconds=600, on_wanted=lambda: told.append("wanted"))
    first.confirm()
    ledger.release()
    second = held(ledger, lease_seconds=600)

    def fail(*args: object) -> None:
        raise LedgerFailed("it does not answer", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(ledger.resumables, "wanted", fail)
        first.confirm()
    first.expect()
    with pytest.raises(UploadLocked):
        first.change(kept="first")
    with pytest.raises(UploadLocked):
        first.confirm()
    assert is_over(first)
    assert told == ["wanted"]
    second.confirm()
    second.release()
    with pytest.raises(UploadLocked):
        second.confirm()


def test_the_time_of_a_hold_begins_before_the_ledger_is_asked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was slow to answer has given it to somebody else by now, perhaps."""
    hold = ledger.resumables.hold

    def slow(*args: Any, **options: Any) -> object:
        answer = hold(*args, **options)
        pass_by(LEASE)
        return answer

    monkeypatch.setattr(ledger.resumables, "hold", slow)
    first = held(ledger)
    assert is_over(first)
    first.release()


def test_a_release_that_the_ledger_does_not_hear_is_no_error(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The lease runs out by itself."""
    first = held(ledger)

    def fail(*args: object, **options: object) -> None:
        raise LedgerFailed("it does not answer", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(ledger.resumables, "let_go", fail)
        first.release(kept="first")
    assert "upload u could not be let go" in caplog.text
    second = held(ledger, wait_seconds=20)
    assert kept(ledger) == ""
    second.release()


def test_one_that_is_thrown_away_is_not_renewed(ledger: Ledger) -> None:
    """Such as by a task that was cancelled before it had it: nobody would ever release it."""
    held(ledger)
    gc.collect()
    held(ledger, wait_seconds=20).release()


def test_a_holder_that_cannot_be_told_is_logged(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    """And nobody else suffers."""
    first = held(ledger, on_wanted=lambda: 1 / 0)
    with pytest.raises(UploadLocked):
        held(ledger)
    assert "ZeroDivisionError" in caplog.text
    first.release()


def test_a_forked_child_holds_nothing_of_its_parents(ledger: Ledger, url: str) -> None:
    """It may not write, lets nothing go, and renews what it takes itself."""
    with holder(url, "forked", lease_seconds=LEASE_SECONDS) as process:
        assert [said(process) for _ in range(3)] == ["locked", "renewed", "released"]
    assert kept(ledger) == "parent"


def test_a_process_that_ends_is_not_kept_by_what_it_holds(ledger: Ledger, url: str) -> None:
    """It ends at once; the lease runs out by itself."""

    async def end() -> float:
        with holder(url, "ends") as process:
            assert said(process) == "ends"
            begun = time.monotonic()
            assert await asyncio.to_thread(process.wait) == 0
            took = time.monotonic() - begun
        held(ledger, wait_seconds=20).release()
        return took

    asyncio.run(punctual(end, 1))


def test_many_threads_add_in_turn(ledger: Ledger) -> None:
    """Each asks the one before to let go. Nothing that one has added is lost to another."""

    def add(number: int) -> None:
        for _ in range(5):
            wanted = threading.Event()
            mine = held(ledger, wait_seconds=60, lease_seconds=LEASE_SECONDS, on_wanted=wanted.set)
            mine.expect()
            mine.release(kept=f"{kept(ledger)}{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert sorted(kept(ledger)) == sorted("0123" * 5)
