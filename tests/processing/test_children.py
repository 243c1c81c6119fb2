"""Child processes for the functions of users: what ends them, what is told of it, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.processing import children_app
from tests.processing.servers import eventually

from uploadkit import FileRefused
from uploadkit.events.facts import FileScanned
from uploadkit.processing import worker
from uploadkit.processing.children import Children, FunctionFailed, Outcome
from uploadkit.processing.processor import Quarantined
from uploadkit.processing.queue import GivenUp, Later
from uploadkit.records.ledger import Claim
from uploadkit.testing import assert_no_leaks

APP = "tests.processing.children_app:pipeline"
MEMORY = 512 * 2**20

pytestmark = pytest.mark.needs("linux")


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def claim(function: str, upload: object = "a") -> Claim:
    return Claim(upload=str(upload), processor=function, digest="d1", attempts=1, token="t")


async def called(children: Children, function: str, upload: object = "a", **words: Any) -> Outcome:
    words = {"attempt": 1, "seconds": 60, "memory": MEMORY} | words
    return await children.call(claim(function, upload), **words)


async def written(path: Path) -> int:
    """What a function has written there, once it has."""
    await asyncio.to_thread(eventually, lambda: path.exists() and path.read_text())
    return int(await asyncio.to_thread(path.read_text))


Body = Callable[[Children], Coroutine[Any, Any, None]]


def with_children(body: Body, **options: Any) -> None:
    """Afterwards nothing is left: no process, no descriptor, no thread, no task."""

    async def main() -> None:
        pids: list[int] = []
        async with assert_no_leaks(), Children(APP, **{"processes": 1} | options) as children:
            await body(children)
            pids = children.pids
        assert not any(lives(pid) for pid in pids)

    asyncio.run(asyncio.wait_for(main(), 120))


# What goes well


def test_what_a_function_tells_comes_back() -> None:
    """Results, objects by their places, facts as they were, and progress meanwhile."""
    told: list[tuple[int, str | None]] = []
    announced: list[Any] = []

    async def tell(percent: int, note: str | None) -> None:
        told.append((percent, note))

    async def body(children: Children) -> None:
        outcome = await called(children, "store", tell=tell, announce=lambda *places: announced.append(places))
        key = outcome.results["key"]
        assert outcome.objects == [("memory", key)]
        assert announced == [([("memory", key)], [])]
        [fact] = outcome.facts
        assert isinstance(fact, FileScanned)
        assert fact.outcome == "clean"
        assert told[-1] == (100, None)
        assert (await called(children, "in_a_loop")).results["key"]

    with_children(body)


def test_a_warm_child_serves_one_call_after_the_other_and_is_replaced() -> None:
    """It is told of which upload and which attempt."""

    async def body(children: Children) -> None:
        seen = [(await called(children, "pid", f"u{number}", attempt=number)).results for number in range(1, 4)]
        assert [(each["upload"], each["attempt"]) for each in seen] == [(f"u{n}", n) for n in range(1, 4)]
        pids = [each["pid"] for each in seen]
        assert pids[0] == pids[1] != pids[2]
        assert not lives(pids[0])

    with_children(body, calls=2)


def test_there_are_no_more_children_than_calls_at_a_time() -> None:
    """Whoever finds none waits."""

    async def body(children: Children) -> None:
        outcomes = await asyncio.gather(*(called(children, "pid") for _ in range(4)))
        assert len({outcome.results["pid"] for outcome in outcomes}) <= 2
        assert len(children.pids) <= 2

    with_children(body, processes=2)


def test_a_child_is_like_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function has the worker's environment and a main thread, and of descriptors only the channel's."""
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")

    async def body(children: Children) -> None:
        seen = (await called(children, "surroundings")).results
        assert seen["secret"] == "hunter2"
        assert seen["thread"]
        assert seen["group"]
        assert seen["arguments"] == []
        assert len(seen["descriptors"]) <= 5

    with_children(body)


def test_what_a_function_begins_hears_signals() -> None:
    """Though its own process does not end by what is meant for the worker."""

    async def body(children: Children) -> None:
        pid = (await called(children, "pid")).results["pid"]
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
        assert (await called(children, "end_what_it_began")).results["ends"] == [-signal.SIGTERM, -signal.SIGTERM]
        assert (await called(children, "pid")).results["pid"] == pid

    with_children(body)


def test_progress_that_is_told_faster_than_it_is_heard_is_left_out_but_for_the_last() -> None:
    """Nothing piles up."""
    told: list[tuple[int, str | None]] = []

    async def tell(percent: int, note: str | None) -> None:
        told.append((percent, note))
        await asyncio.sleep(0.005)

    async def body(children: Children) -> None:
        await called(children, "tell_much", tell=tell)
        assert told[-1] == (100, "20000")
        assert len(told) < 20_000

    with_children(body)


def test_progress_that_cannot_be_told_is_no_failure() -> None:
    """The work goes on."""

    async def tell(percent: int, note: str | None) -> None:
        raise OSError("no broker")

    async def body(children: Children) -> None:
        assert (await called(children, "store", tell=tell)).results

    with_children(body)


def test_what_a_thread_tells_after_its_function_is_not_of_the_next_one() -> None:
    """Calls have numbers."""
    told: list[int] = []

    async def tell(percent: int, note: str | None) -> None:
        told.append(percent)

    async def body(children: Children) -> None:
        first = await called(children, "tell_afterwards")
        second = await called(children, "store", tell=tell)
        assert first.results["pid"]
        assert second.results
        assert 13 not in told

    with_children(body)


# What goes wrong


def test_a_function_that_raises_is_told_and_its_process_goes_on(tmp_path: Path) -> None:
    """Also where it leaves, and where what it returns cannot be kept."""
    cases = {
        "fail": "KeyError: 'a mistake in a function'",
        "leave": "SystemExit: a function that leaves",
        "mute": r"Mute: \(it cannot be said\)",
        "no_json": "TypeError: .*JSON.*set",
        "not_a_number": "TypeError: .*JSON",
        "tell_too_much": "ValueError: the results are 10486.. bytes",
        "no_such_step": "LookupError: the application has no step 'no_such_step'",
    }

    async def body(children: Children) -> None:
        pid = (await called(children, "pid")).results["pid"]
        for function, text in cases.items():
            with pytest.raises(FunctionFailed, match=text) as failed:
                await called(children, function)
            assert failed.value.reason == "raised"
        assert (await called(children, "pid")).results["pid"] == pid

    with_children(body)


def test_a_function_that_goes_wrong_ends_its_process_alone_and_the_next_one_runs(tmp_path: Path) -> None:
    """Whatever it does, it does to itself, and the next one has another process."""
    cases: list[tuple[str, str, str, dict[str, Any]]] = [
        ("hang_asleep_to_signals", "time", r"took longer than 0\.2 s", {"seconds": 0.2}),
        ("hang_without_letting_go", "time", r"took longer than 0\.2 s", {"seconds": 0.2}),
        ("eat", "memory", "used more than 128 MiB", {"memory": 128 * 2**20}),
        ("exit_at_once", "exit", "ended with exit status 3", {}),
        ("kill_itself", "signal", "was killed by signal 9", {}),
        ("crash", "signal", "was killed by signal 11", {}),
        ("close_everything", "exit", "ended with exit status 1", {}),
    ]

    async def body(children: Children) -> None:
        for function, reason, text, options in cases:
            with pytest.raises(FunctionFailed, match=text) as failed:
                await called(children, function, tmp_path / "mark", **options)
            assert failed.value.reason == reason
            assert children.pids == []
        assert (await called(children, "pid")).results

    with_children(body)


def test_the_traceback_of_a_function_is_in_the_notes() -> None:
    """A log shows it where the error is logged."""

    async def body(children: Children) -> None:
        with pytest.raises(FunctionFailed) as failed:
            await called(children, "fail")
        assert "children_app.py" in failed.value.__notes__[0]

    with_children(body)


def test_what_uploadkit_knows_is_raised_as_it_was() -> None:
    """A refusal has its code and its facts, whatever process found it."""

    async def body(children: Children) -> None:
        with pytest.raises(FileRefused, match="too ugly") as refused:
            await called(children, "refuse")
        assert refused.value.filter == "beauty"
        assert refused.value.problem()["code"] == "file_refused"
        with pytest.raises(Quarantined) as quarantined:
            await called(children, "infected")
        assert quarantined.value.signature == "Eicar"
        with pytest.raises(Later) as later:
            await called(children, "later")
        assert later.value.seconds == 2.5
        with pytest.raises(GivenUp, match=r"never \\0 \\ud800"):
            await called(children, "give_up")

    with_children(body)


def test_what_was_about_to_be_made_is_known_when_its_process_is_gone() -> None:
    """So it can be removed."""
    announced: list[Any] = []

    async def body(children: Children) -> None:
        with pytest.raises(FunctionFailed):
            await called(children, "intend_and_die", announce=lambda *places: announced.append(places))
        [([(storage, key)], [])] = announced
        assert storage == "memory"
        assert key.endswith(".png")

    with_children(body)


@pytest.mark.parametrize("attempt", [1, 2], ids=["done", "died"])
def test_what_an_attempt_shares_is_the_workers_to_remove(attempt: int) -> None:
    """It is told apart from what is this attempt's alone, also where the process has died."""
    storages = children_app.pipeline.storages
    storage = storages["memory"]

    async def body(children: Children) -> None:
        of = claim("share")
        [rule] = [each for each in children_app.pipeline.rules if each.processor.name == "share"]
        job = children_app.pipeline.context(
            children_app.pipeline.ledger.get(of.upload),
            of,
            attempt=attempt,
            tell=lambda percent, note: None,
            is_cancelled=lambda: False,
        )
        with pytest.raises(FunctionFailed) if attempt == 2 else nullcontext():
            await worker._in(children, storages)(rule, of, job)
        assert (job.objects, job.shared) == ([(storage, "new")], [(storage, "a.txt")])

    with_children(body)


def test_a_child_that_has_kept_too_much_is_replaced() -> None:
    """What one call has left would be the next one's failure."""

    async def body(children: Children) -> None:
        pids = [(await called(children, "leak", memory=300 * 2**20)).results["pid"] for _ in range(2)]
        assert pids[0] != pids[1]

    with_children(body)


def test_what_is_printed_goes_to_the_workers_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """All of it, at the end of the call."""

    async def body(children: Children) -> None:
        await called(children, "print_a_lot")
        out, err = capfd.readouterr()
        assert out == ""
        assert err.count("x") == 2_000_000
        assert err.endswith("the last word")

    with_children(body)


@pytest.mark.parametrize("function", ["fork", "begin_a_program"])
def test_what_a_function_has_left_running_ends_with_its_child(function: str) -> None:
    """The call itself is not held up by it."""
    left: list[int] = []

    async def body(children: Children) -> None:
        left.append((await called(children, function)).results["left"])
        assert (await called(children, "pid")).results

    with_children(body)
    eventually(lambda: not lives(left[0]))


def test_a_fork_that_holds_what_its_parent_had_does_not_hide_its_end(tmp_path: Path) -> None:
    """And ends with it."""

    async def body(children: Children) -> None:
        with pytest.raises(FunctionFailed, match="exit status 5"):
            await called(children, "fork_and_die", tmp_path / "mark")
        left = await written(tmp_path / "mark")
        await asyncio.to_thread(eventually, lambda: not lives(left))

    with_children(body)


def test_a_fork_that_returns_from_the_function_says_nothing() -> None:
    """One call has one answer."""

    async def body(children: Children) -> None:
        left = (await called(children, "fork_and_return")).results["left"]
        assert not lives(left)
        assert (await called(children, "pid")).results

    with_children(body)


def test_a_child_that_died_while_it_waited_is_replaced() -> None:
    """Nobody notices."""

    async def body(children: Children) -> None:
        first = (await called(children, "pid")).results["pid"]
        os.kill(first, signal.SIGKILL)
        [child] = children._children
        await child.ended
        assert (await called(children, "pid")).results["pid"] != first

    with_children(body)


# Cancellation


def test_a_function_that_heeds_its_cancellation_keeps_its_process(tmp_path: Path) -> None:
    """The call has ended when the function has."""

    async def body(children: Children) -> None:
        call = asyncio.create_task(called(children, "heed_cancellation", tmp_path / "mark"))
        pid = await written(tmp_path / "mark")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await called(children, "pid")).results["pid"] == pid

    with_children(body, cancel_seconds=60)


def test_a_function_that_ignores_its_cancellation_is_killed(tmp_path: Path) -> None:
    """After its grace."""

    async def body(children: Children) -> None:
        call = asyncio.create_task(called(children, "ignore_cancellation", tmp_path / "mark"))
        pid = await written(tmp_path / "mark")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not lives(pid)
        assert children.pids == []

    with_children(body, cancel_seconds=0.1)


def test_who_is_cancelled_twice_does_not_wait(tmp_path: Path) -> None:
    """The process is killed at once."""

    async def body(children: Children) -> None:
        call = asyncio.create_task(called(children, "ignore_cancellation", tmp_path / "mark"))
        pid = await written(tmp_path / "mark")
        call.cancel()
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(eventually, lambda: not lives(pid))

    with_children(body, cancel_seconds=60)


def test_a_function_is_told_that_its_work_is_in_vain(tmp_path: Path) -> None:
    """As when the upload was deleted: nobody cancels the call, and what the function does then is its outcome."""

    async def body(children: Children) -> None:
        outcome = await called(
            children, "heed_cancellation", tmp_path / "mark", is_cancelled=(tmp_path / "mark").exists
        )
        assert outcome.results["pid"]

    with_children(body)


def test_who_is_cancelled_while_he_waits_for_a_child_takes_none() -> None:
    """Also while one is started."""

    async def body(children: Children) -> None:
        call = asyncio.create_task(called(children, "pid"))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert children.pids == []

    with_children(body)


def test_at_the_end_those_at_work_are_killed(tmp_path: Path) -> None:
    """Whoever waits for one is told."""

    async def body(children: Children) -> None:
        call = asyncio.create_task(called(children, "hang", tmp_path / "mark"))
        pid = await written(tmp_path / "mark")
        await children.aclose()
        with pytest.raises(FunctionFailed, match="signal 9"):
            await call
        assert not lives(pid)
        with pytest.raises(RuntimeError, match="no further calls"):
            await called(children, "pid")

    with_children(body)


# Applications that cannot be had


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("raise ValueError('no settings')", "cannot be imported: ValueError: no settings"),
        ("other = 1", "has no 'pipeline'"),
        ("import os; os._exit(4)", "the process of the application ended with exit status 4"),
        ("import threading; threading.Event().wait(600)", "was not imported after 2 s"),
    ],
)
def test_an_application_that_cannot_be_imported_fails_the_attempt(
    source: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt begins anew: it may be there then."""
    (tmp_path / "broken_app.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)

    async def main() -> None:
        async with (
            assert_no_leaks(),
            Children("broken_app:pipeline", start_seconds=2 if "Event" in source else 60) as children,
        ):
            with pytest.raises(FunctionFailed, match=text) as failed:
                await called(children, "pid")
            assert failed.value.reason == "start"
            assert children.pids == []

    asyncio.run(asyncio.wait_for(main(), 60))
