"""What users bring: filters, key makers, checks and gates. Whatever they do, nothing of a refused form is left."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from tests.intake.receiving import (
    DRIVES,
    Body,
    Drive,
    Refusal,
    arriving,
    asynchronous,
    blocking,
    bytewise,
    in_chunks,
    left_in,
    refusal,
    refusal_of,
)

from uploadkit.errors import FileRefused, KeyRefused, ObjectExists, SenderError
from uploadkit.intake.asynchronous import areceive_form
from uploadkit.intake.blocking import receive_form
from uploadkit.intake.plan import Gate
from uploadkit.policy.fields import File
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.signatures import HEAD_SIZE
from uploadkit.storage.contract import Buffer
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

AnyStorage = MemoryStorage | DiskStorage

PDF = b"%PDF-1.7\n"
DATA = PDF + bytes(range(256)) * 400
"""More than one head and more than one chunk."""


@pytest.fixture(params=["memory", "disk"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AnyStorage:
    """A storage that can do everything that a check or a key maker needs."""
    return MemoryStorage() if request.param == "memory" else DiskStorage(tmp_path)


def form(data: bytes = PDF) -> FormBuilder:
    """A form with a value, a file that was not chosen, and two files."""
    built = FormBuilder(boundary="b").text("t", "before").file("n", b"", filename="")
    return built.file("f", data, filename="x.pdf").text("t", "after").file("f", b"second", filename="y.txt")


class Filter:
    """A filter that is an object; `says` is what it answers, or raises."""

    def __init__(self, says: object = True) -> None:
        self.says = says
        self.files: list[IncomingFile] = []
        self.threads: list[int] = []

    def __call__(self, file: IncomingFile) -> bool:
        """Notes the file and the thread."""
        self.files.append(file)
        self.threads.append(threading.get_ident())
        if isinstance(self.says, BaseException):
            raise self.says
        return cast(bool, self.says)


class AsyncFilter(Filter):
    """The same, to be awaited."""

    async def __call__(self, file: IncomingFile) -> bool:  # type: ignore[override]  # a filter may be either
        """Notes the file and the thread, and waits."""
        answer = super().__call__(file)
        await asyncio.sleep(0)
        return answer


async def judged(asked: Filter, file: IncomingFile) -> bool:
    """An async function."""
    return asked(file)


def plain(asked: Filter) -> dict[str, Any]:
    """Every kind of plain callable."""
    return {"object": asked, "function": lambda file: asked(file), "method": asked.__call__, "partial": partial(asked)}


def awaited(says: object = True) -> dict[str, Any]:
    """Every kind of async callable."""
    asked = AsyncFilter(says)
    return {
        "object": asked,
        "method": asked.__call__,
        "partial": partial(judged, Filter(says)),
        "function that gives a coroutine": lambda file: judged(Filter(says), file),
        "partial of an object": partial(asked),
    }


@pytest.mark.parametrize("kind", plain(Filter()))
def test_a_filter_may_be_anything_that_can_be_called(drive: Drive, kind: str) -> None:
    """It is asked for each file, once, and told what is known of it."""
    asked = Filter()
    submission = drive(
        Uploader(MemoryStorage(), filter=plain(asked)[kind]).any(), form().content_type, [form(DATA).body]
    )
    assert len(submission.files) == 2
    first, second = asked.files
    assert (first.field, first.filename, first.client_filename) == ("f", "x.pdf", "x.pdf")
    assert (first.content_type, first.declared_type) == ("application/pdf", "application/octet-stream")
    assert (first.head, second.head) == (DATA[:HEAD_SIZE], b"second")
    assert (first.fields, second.fields) == ((("t", "before"),), (("t", "before"), ("t", "after")))
    assert [first.id, second.id] == [file.id for file in submission.files]


@pytest.mark.parametrize("kind", plain(Filter()))
def test_a_filter_that_says_no_refuses(drive: Drive, storage: AnyStorage, kind: str) -> None:
    """With its own name among the facts."""
    spec = Uploader(storage, filter=plain(Filter(False))[kind]).any()
    name = {"object": "Filter", "function": "<lambda>", "method": "__call__", "partial": "partial"}[kind]
    assert refusal(drive, spec, form(), storage) == Refusal(
        FileRefused,
        "the file in field 'f' was refused",
        status=422,
        code="file_refused",
        field="f",
        filter=name,
        detected="application/pdf",
    )


@pytest.mark.parametrize("kind", awaited())
def test_an_async_filter_is_awaited_by_the_async_driver(kind: str) -> None:
    """In the event loop; no is no, and an error comes out."""
    storage = MemoryStorage()
    submission = asynchronous(Uploader(storage).any(filter=awaited(True)[kind]), form().content_type, [form().body])
    submission.discard()
    spec = Uploader(storage).any(filter=awaited(False)[kind])
    assert refusal(asynchronous, spec, form(), storage).kind is FileRefused
    spec = Uploader(storage).any(filter=awaited(ValueError("wrong"))[kind])
    assert refusal(asynchronous, spec, form(), storage) == Refusal(ValueError, "wrong")


@pytest.mark.parametrize("kind", awaited())
def test_an_async_filter_is_a_mistake_in_the_blocking_driver(kind: str) -> None:
    """It is told before a chunk is taken, where it can be seen; else when it is asked. No coroutine is left behind."""
    storage, body = MemoryStorage(), Body([form().body])
    spec = Uploader(storage).any(filter=awaited()[kind])
    with pytest.raises(TypeError, match="async"):
        blocking(spec, form().content_type, body)
    seen_before = kind not in ("function that gives a coroutine", "partial of an object")
    assert body.taken == (0 if seen_before else 1)
    assert left_in(storage) == []
    if seen_before:
        with pytest.raises(TypeError, match="async"):
            spec.check_blocking()


def test_an_async_key_maker_is_a_mistake_in_the_blocking_driver_too() -> None:
    """It goes the same way as a filter."""

    async def key_of(file: IncomingFile) -> str:
        return "key"

    body = Body([form().body])
    with pytest.raises(TypeError, match="async"):
        blocking(Uploader(MemoryStorage()).any(filename=cast(Any, key_of)), form().content_type, body)
    assert body.taken == 0


class OwnRefusal(FileRefused):
    """A user's own kind of refusal."""


@pytest.mark.parametrize("what", ["filter", "filename"])
def test_what_a_callable_raises_comes_out_as_it_is(drive: Drive, storage: AnyStorage, what: str) -> None:
    """Its own refusals and any other exception: the very object, with nothing left."""
    errors = [
        OwnRefusal("not on Sundays", field="f", filter="sunday", status=415),
        SenderError("no"),
        ValueError("wrong"),
        concurrent.futures.CancelledError(),
        TimeoutError("another's"),
        StopAsyncIteration("wrong"),
        SystemExit(1),
    ]
    for error in errors:
        spec = Uploader(storage).any(**cast(Any, {what: Filter(error)}))
        with pytest.raises(type(error)) as caught:
            drive(spec, form().content_type, [form().body])
        assert caught.value is error
        assert left_in(storage) == []


@pytest.mark.parametrize("what", ["filter", "filename"])
def test_a_callable_that_leaks_a_stop_iteration_holds_nobody_up(drive: Drive, what: str) -> None:
    """`next()` of an empty iterator is a common slip. A future cannot carry it, so that nobody may wait for one."""
    storage = MemoryStorage()
    spec = Uploader(storage).any(**cast(Any, {what: Filter(StopIteration())}))
    assert refusal(drive, spec, form(), storage).kind is RuntimeError


@pytest.mark.parametrize("answer", [None, 1, 0, "yes", "", [True]], ids=repr)
def test_a_filter_that_says_neither_true_nor_false_is_a_mistake(drive: Drive, answer: object) -> None:
    """A forgotten `return` lets nothing in."""
    storage = MemoryStorage()
    why = refusal(drive, Uploader(storage).any(filter=Filter(answer)), form(), storage)
    assert why == Refusal(TypeError, f"filter 'Filter' returned {answer!r}; a filter returns True or False")


def test_plain_callables_leave_the_event_loop_and_async_ones_stay() -> None:
    """A plain filter may block, so it is asked in another thread, in the context of its request."""
    request: ContextVar[str] = ContextVar("request")
    request.set("this one")
    seen: list[tuple[str, str]] = []

    def note(file: IncomingFile) -> bool:
        seen.append((threading.current_thread().name.partition("_")[0], request.get()))
        return True

    async def anote(file: IncomingFile) -> bool:
        return note(file)

    for one in (note, anote):
        asynchronous(Uploader(MemoryStorage(), filter=one).any(), form().content_type, [form().body])
    assert seen == [("uploadkit-own", "this one")] * 2 + [("MainThread", "this one")] * 2


def by_name(file: IncomingFile) -> str:
    """A key maker that trusts the safe name."""
    return f"by-name/{file.filename}"


def test_a_key_maker_names_the_objects(drive: Drive, storage: AnyStorage) -> None:
    """The key is what it says, and folders are made."""
    submission = drive(Uploader(storage, filename=by_name).any(), form().content_type, [form().body])
    assert [file.key for file in submission.files] == ["by-name/x.pdf", "by-name/y.txt"]
    assert [storage.stat(file.key).size for file in submission.files] == [len(PDF), len(b"second")]


def test_an_async_key_maker_is_awaited_by_the_async_driver() -> None:
    """As a filter is."""

    async def key_of(file: IncomingFile) -> str:
        return by_name(file)

    spec = Uploader(MemoryStorage()).any(filename=cast(Any, key_of))
    submission = asynchronous(spec, form().content_type, [form().body])
    assert [file.key for file in submission.files] == ["by-name/x.pdf", "by-name/y.txt"]


def test_a_key_that_is_taken_refuses_the_form_and_keeps_the_object(drive: Drive, storage: AnyStorage) -> None:
    """The form's other file, which was published already, is taken back."""
    spec = Uploader(storage, filename=by_name).any()
    taken = FormBuilder().file("f", b"first come", filename="y.txt")
    kept = drive(spec, taken.content_type, [taken.body]).files[0]
    with pytest.raises(ObjectExists) as caught:
        drive(spec, form().content_type, [form().body])
    assert (caught.value.status, caught.value.key) == (409, "by-name/y.txt")
    assert left_in(storage) == ["by-name/y.txt"]
    assert kept.read() == b"first come"


def test_two_files_of_a_form_that_get_one_key_refuse_the_form(drive: Drive, storage: AnyStorage) -> None:
    """Neither of them is left."""
    spec = Uploader(storage, filename=lambda file: "one").any()
    assert refusal(drive, spec, form(), storage).kind is ObjectExists


@pytest.mark.parametrize(
    "key", ["", "../up", "/etc/passwd", "a/../../b", "a\\b", "nul\0", "x" * 5000, ".staging/x", "a//b", "\ud800"]
)
def test_a_hostile_key_is_refused(drive: Drive, storage: AnyStorage, key: str) -> None:
    """By the storage, whoever made it; the file before it is discarded."""
    spec = Uploader(storage).any(filename=lambda file: "good" if file.filename == "x.pdf" else key)
    why = refusal(drive, spec, form(), storage)
    assert (why.kind, why.status) == (KeyRefused, 500)


@pytest.mark.parametrize("key", [None, 5, b"key", Path("key")], ids=repr)
def test_a_key_that_is_no_text_is_a_mistake(drive: Drive, storage: AnyStorage, key: object) -> None:
    """A `Path` too: keys are the same on every system."""
    spec = Uploader(storage).any(filename=lambda file: cast(str, key))
    assert refusal(drive, spec, form(), storage).kind is TypeError


class Watching:
    """A stream check that refuses, or raises, at one of its calls; `passed` is what it has seen."""

    def __init__(self, at: str = "", error: BaseException | None = None) -> None:
        self.at = at
        self.error = error
        self.passed: list[bytearray] = []
        self.ended = 0

    def begin(self, file: IncomingFile) -> Watching:
        """A file begins."""
        self._stop("begin")
        self.passed.append(bytearray())
        return self

    def feed(self, data: Buffer) -> None:
        """Its bytes."""
        self._stop("feed")
        self.passed[-1] += data

    def end(self) -> None:
        """Its end."""
        self._stop("end")
        self.ended += 1

    def _stop(self, at: str) -> None:
        if self.at == at and self.error is not None:
            raise self.error


def test_a_stream_check_sees_every_byte_of_every_file(drive: Drive, storage: AnyStorage) -> None:
    """In order, and each file's end, however the body is cut."""
    for chunks in ([form(DATA).body], in_chunks(form(DATA).body, 1000)):
        check = Watching()
        drive(Uploader(storage, check=check).any(), form().content_type, chunks).discard()
        assert ([*map(bytes, check.passed)], check.ended) == ([DATA, b"second"], 2)


@pytest.mark.parametrize("at", ["begin", "feed", "end"])
@pytest.mark.parametrize(
    "error", [FileRefused("a virus", field="f", filter="scan"), ValueError("wrong"), StopIteration()], ids=repr
)
def test_a_stream_check_that_refuses_leaves_nothing(
    drive: Drive, storage: AnyStorage, at: str, error: Exception
) -> None:
    """At whichever of its calls, and of whatever it raises."""
    spec = Uploader(storage).fields(File("f", max_count=None, check=[Watching(), Watching(at, error)]))
    why = refusal(drive, spec, form(DATA), storage)
    if isinstance(error, StopIteration):  # no generator and no coroutine lets it out
        assert why.kind is RuntimeError
    else:
        assert why == refusal_of(error)


class Examining:
    """A staged check that reads the whole file, and may raise after it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.files: list[tuple[IncomingFile, bytes]] = []
        self.opened: list[BinaryIO] = []

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """Reads it from its end and from its beginning."""
        staged.seek(-1, io.SEEK_END)
        last = staged.read()
        staged.seek(0)
        data = staged.read()
        assert data.endswith(last)
        self.files.append((file, data))
        self.opened.append(staged)
        if self.error is not None:
            raise self.error


def test_a_staged_check_reads_the_whole_file(drive: Drive, storage: AnyStorage) -> None:
    """Each of them, before anything is published; what it read from is closed."""
    check = Examining()
    drive(Uploader(storage, check=check).any(), form().content_type, in_chunks(form(DATA).body, 5000)).discard()
    assert [(file.filename, data) for file, data in check.files] == [("x.pdf", DATA), ("y.txt", b"second")]
    assert [opened.closed for opened in check.opened] == [True, True]


@pytest.mark.parametrize(
    "error", [FileRefused("a bomb", field="f", filter="bomb"), ValueError("wrong"), SystemExit(1)], ids=repr
)
def test_a_staged_check_that_refuses_leaves_nothing(drive: Drive, storage: AnyStorage, error: BaseException) -> None:
    """Also where an earlier check has agreed."""
    check = Examining(error)
    spec = Uploader(storage).any(check=(Examining(), check))
    with pytest.raises(type(error)) as caught:
        drive(spec, form().content_type, [form().body])
    assert caught.value is error
    assert left_in(storage) == []
    assert check.opened[0].closed


def test_checks_of_all_kinds_run_in_their_order(drive: Drive) -> None:
    """Filter, begin, feed, end, examine: one file after the other."""
    seen: list[str] = []

    class Noting:
        def begin(self, file: IncomingFile) -> Noting:
            seen.append(f"begin {file.filename}")
            return self

        def feed(self, data: Buffer) -> None:
            seen.append(f"feed {len(data)}")

        def end(self) -> None:
            seen.append("end")

        def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
            seen.append(f"examine {file.filename}")

    def asked(file: IncomingFile) -> bool:
        seen.append(f"ask {file.filename}")
        return True

    drive(Uploader(MemoryStorage(), check=Noting(), filter=asked).any(), form().content_type, bytewise(form().body))
    assert seen == [
        *("ask x.pdf", "begin x.pdf", "feed 9", "end", "examine x.pdf"),
        *("ask y.txt", "begin y.txt", "feed 6", "end", "examine y.txt"),
    ]


class Judge:
    """A gate that may raise at a text or at the end."""

    def __init__(self, at: str = "", error: BaseException | None = None) -> None:
        self.at = at
        self.error = error
        self.seen: list[str] = []

    def text(self, name: str, value: str) -> None:
        """A value."""
        self.note(f"{name}={value}")

    def end(self) -> None:
        """The end."""
        self.note("end")

    def note(self, what: str) -> None:
        """Keeps it, and raises where it was told to."""
        self.seen.append(what)
        if self.at == what and self.error is not None:
            raise self.error


class AsyncJudge:
    """The same, to be awaited."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    async def text(self, name: str, value: str) -> None:
        """A value."""
        self.judge.text(name, value)

    async def end(self) -> None:
        """The end."""
        self.judge.end()


def received(driver: str, storage: AnyStorage, judge: Judge) -> Submission:
    """The form behind a gate: blocking, async, and async with a gate that is awaited."""
    spec = Uploader(storage).any()
    if driver == "blocking":
        return receive_form(spec, form().content_type, [form().body], gate=judge).given
    gate: Gate = AsyncJudge(judge) if driver == "async gate" else judge

    async def main() -> Submission:
        return (await areceive_form(spec, form().content_type, arriving([form().body]), gate=gate)).given

    return asyncio.run(main())


@pytest.mark.parametrize("driver", [*DRIVES, "async gate"])
def test_a_gate_sees_the_texts_and_the_end(driver: str, storage: AnyStorage) -> None:
    """It may refuse at each; nothing is left."""
    judge = Judge()
    received(driver, storage, judge).discard()
    assert judge.seen == ["t=before", "t=after", "end"]
    for at in judge.seen:
        error = PermissionError("a bad token")
        with pytest.raises(PermissionError) as caught:
            received(driver, storage, Judge(at, error))
        assert caught.value is error
        assert left_in(storage) == []


def test_what_a_spec_cannot_give_leaves_nothing(drive: Drive, storage: AnyStorage) -> None:
    """The form was received, and its handler gets nothing of it."""

    def give(submission: Submission) -> None:
        raise SenderError(f"not these {len(submission.files)}")

    spec = replace(Uploader(storage).any(), give=cast("Callable[[Submission], Submission]", give))
    assert refusal(drive, spec, form(), storage).text == "not these 2"
