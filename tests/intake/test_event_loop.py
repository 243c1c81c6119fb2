"""Where the async driver makes its calls: what may block never in the event loop, what is quick never in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.intake.called import CalledStorage, Hold, turns
from tests.intake.receiving import Body, arriving, in_chunks, left_in

from uploadkit.errors import FieldRefused, StorageFailed
from uploadkit.intake.asynchronous import acarry_out, areceive
from uploadkit.intake.capacity import BUFFER_SIZE
from uploadkit.intake.steps import END, READ, Keep, Steps, Write
from uploadkit.policy.fields import File, Text
from uploadkit.policy.filters import IncomingFile
from uploadkit.storage.contract import Buffer
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, FormBuilder
from uploadkit.uploader import Uploader

LARGE = FormBuilder(boundary="b").file("f", b"1" * (BUFFER_SIZE + 1), filename="1.bin")
LARGE.file("g", b"2", filename="2.bin")
SMALL = FormBuilder(boundary="b").file("f", b"1", filename="1.bin").text("t", "x").file("g", b"2", filename="2.bin")


@pytest.mark.parametrize("call", ["open", "write", "stage", "commit", "discard", "delete"])
def test_the_loop_turns_while_a_call_blocks(call: str) -> None:
    """Another task goes on, and so does another upload; when the call returns, so does this one."""

    async def main() -> None:
        hold = Hold(call)
        fails = call in ("discard", "delete")
        inner = FailingStorage(MemoryStorage(), after=1 if fails else 2, on="commit")
        spec = Uploader(CalledStorage(hold, inner)).any()
        task = asyncio.create_task(areceive(spec, SMALL.content_type, arriving([SMALL.body])))
        await hold.reached.wait()
        other = Uploader(CalledStorage(lambda call: None)).any()
        await areceive(other, SMALL.content_type, arriving([SMALL.body]))
        await turns(100)
        assert not task.done()
        hold.let_go()
        if fails:
            with pytest.raises(StorageFailed):
                await task
        else:
            (await task).discard()
        assert left_in(inner) == []

    asyncio.run(main())


def calls_in_loop(form: FormBuilder, *, may_block: bool, chunk_size: int = 1 << 16, **rules: Any) -> dict[str, bool]:
    """Receives a form: of each kind of call whether all were made in the event loop, or none."""
    made: list[tuple[str, bool]] = []

    def called(call: str) -> None:
        made.append((call, threading.get_ident() == loop_thread))

    loop_thread = threading.get_ident()
    spec = Uploader(CalledStorage(called, may_block=may_block), **rules).any()
    asyncio.run(areceive(spec, form.content_type, arriving(in_chunks(form.body, chunk_size))))
    where = dict(made)
    assert all(where[call] == in_loop for call, in_loop in made)
    return where


def file_of(size: int) -> FormBuilder:
    """A form with one file."""
    return FormBuilder(boundary="b").file("f", b"x" * size, filename="x.bin")


QUICK = {"open": True, "write": True, "stage": True, "commit": True}
SLOW = dict.fromkeys(QUICK, False)
WRITTEN_ELSEWHERE = SLOW | {"open": True}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (SMALL, QUICK),
        (file_of(BUFFER_SIZE - 1), QUICK),
        (file_of(BUFFER_SIZE), WRITTEN_ELSEWHERE),
        (file_of(BUFFER_SIZE + 1), WRITTEN_ELSEWHERE),
    ],
    ids=["small", "just small enough", "a byte too large", "large"],
)
def test_a_storage_that_does_not_block_is_called_in_the_loop_while_files_are_small(
    form: FormBuilder, expected: dict[str, bool]
) -> None:
    """A hop to a thread costs more than they do. Many bytes are hashed and written elsewhere."""
    assert calls_in_loop(form, may_block=False, chunk_size=1 << 22) == expected


def test_the_parts_of_a_large_file_are_written_elsewhere() -> None:
    """Whenever a buffer is full: one great chunk goes there in pieces."""
    in_loop = calls_in_loop(file_of(2 * BUFFER_SIZE), may_block=False, chunk_size=4 * BUFFER_SIZE)
    assert in_loop == WRITTEN_ELSEWHERE


def test_a_storage_that_may_block_is_never_called_in_the_loop() -> None:
    """Not even for a byte."""
    assert calls_in_loop(SMALL, may_block=True) == SLOW
    assert calls_in_loop(LARGE, may_block=True) == SLOW


def test_no_thread_is_used_where_none_is_needed() -> None:
    """No thread has been started when small files have gone to a storage that does not block."""
    before = threading.enumerate()
    asyncio.run(areceive(Uploader(MemoryStorage()).any(), SMALL.content_type, arriving([SMALL.body])))
    assert threading.enumerate() == before


class Check:
    """A check of both kinds that notes where it is called."""

    def __init__(self) -> None:
        self.threads: dict[str, int] = {}

    def begin(self, file: IncomingFile) -> Check:
        """A file begins."""
        self.threads["begin"] = threading.get_ident()
        return self

    def feed(self, data: Buffer) -> None:
        """Its bytes."""
        self.threads["feed"] = threading.get_ident()

    def end(self) -> None:
        """Its end."""
        self.threads["end"] = threading.get_ident()

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """When it is staged."""
        self.threads["examine"] = threading.get_ident()


class StagedCheck:
    """One that makes no file's own calls block."""

    def __init__(self) -> None:
        self.threads: dict[str, int] = {}

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """When it is staged."""
        self.threads["examine"] = threading.get_ident()


@pytest.mark.parametrize("check", [Check(), StagedCheck()], ids=["stream and staged", "staged"])
def test_checks_are_never_called_in_the_loop(check: Check | StagedCheck) -> None:
    """They may take as long as they like, whatever the storage."""
    calls_in_loop(SMALL, may_block=False, check=check)
    assert "examine" in check.threads
    assert threading.get_ident() not in check.threads.values()


def test_pythons_own_pool_is_left_to_others() -> None:
    """Name look-ups wait in it, and whatever else the application does there: here it is held, and nobody minds."""

    async def main() -> None:
        let_go = threading.Event()
        pool = ThreadPoolExecutor(1)
        asyncio.get_running_loop().set_default_executor(pool)
        work = asyncio.get_running_loop().run_in_executor(None, let_go.wait, 10)
        spec = Uploader(CalledStorage(lambda call: None), filter=lambda file: True).any()
        async with asyncio.timeout(10):
            submission = await areceive(spec, SMALL.content_type, arriving([SMALL.body]))
            await submission.files[0].aread()
            await submission.adiscard()
        let_go.set()
        await work

    asyncio.run(main())


def test_a_body_waits_for_its_writes() -> None:
    """One write is under way at a time: while it blocks, one more buffer is filled and no further chunk is taken."""

    async def main() -> None:
        hold = Hold("write")
        body = Body(in_chunks(FormBuilder(boundary="b").file("f", bytes(4 * BUFFER_SIZE), filename="x").body))
        spec = Uploader(CalledStorage(hold)).any()
        task = asyncio.create_task(areceive(spec, "multipart/form-data; boundary=b", arriving(body)))
        await hold.reached.wait()
        await turns(100)
        taken = body.taken
        assert taken * (1 << 16) <= 2 * BUFFER_SIZE + (2 << 16)
        await turns(100)
        assert body.taken == taken
        hold.let_go()
        (await task).discard()

    asyncio.run(main())


def test_many_uploads_at_once_keep_apart() -> None:
    """More than there are threads, with files of different bytes, in small chunks that take turns."""

    async def upload(number: int) -> None:
        data = bytes([number]) * (300_000 + number)
        form = FormBuilder(boundary="b").file("f", data, filename=f"{number}.bin").text("n", str(number))
        submission = await areceive(spec, form.content_type, taking_turns(in_chunks(form.body, 30_000)))
        assert submission.fields["n"] == str(number)
        assert await submission.files[0].aread() == data

    async def taking_turns(chunks: list[bytes]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(upload(number))

    spec = Uploader(CalledStorage(lambda call: None)).any()
    asyncio.run(main())


def test_one_upload_that_blocks_holds_up_no_other() -> None:
    """Uploads that begin and end while it waits."""

    async def main() -> None:
        hold = Hold("write")
        task = asyncio.create_task(
            areceive(Uploader(CalledStorage(hold)).any(), SMALL.content_type, arriving([SMALL.body]))
        )
        await hold.reached.wait()
        for chunks in repeat([LARGE.body], 3):
            spec = Uploader(CalledStorage(lambda call: None)).any()
            await areceive(spec, LARGE.content_type, arriving(chunks))
        assert not task.done()
        hold.let_go()
        await task

    asyncio.run(main())


def test_a_large_file_is_discarded_elsewhere_too() -> None:
    """To free its blocks takes a file system its time; here a later field refuses the form."""
    made: list[tuple[str, bool]] = []
    loop_thread = threading.get_ident()
    storage = CalledStorage(lambda call: made.append((call, threading.get_ident() == loop_thread)), may_block=False)
    form = FormBuilder(boundary="b").file("f", bytes(3 * BUFFER_SIZE), filename="x").text("t", "too long")
    spec = Uploader(storage).fields(File("f"), Text("t", max_length=1))
    with pytest.raises(FieldRefused):
        asyncio.run(areceive(spec, form.content_type, arriving(in_chunks(form.body))))
    assert ("discard", False) in made


def test_the_first_file_of_a_disk_is_opened_elsewhere(tmp_path: Path) -> None:
    """That sweeps what dead processes left, and there may be much of it. The second one is not."""
    storage = DiskStorage(tmp_path)
    assert storage.may_block
    spec = Uploader(storage).any()
    asyncio.run(areceive(spec, SMALL.content_type, arriving([SMALL.body])))
    assert not storage.may_block


def test_whatever_a_write_raises_its_file_is_discarded() -> None:
    """Also what is no Exception: it is raised when nothing is left."""

    class Ends(BaseException):
        pass

    def called(call: str) -> None:
        if call == "write":
            raise Ends

    storage = CalledStorage(called)
    with pytest.raises(Ends):
        asyncio.run(areceive(Uploader(storage).any(), LARGE.content_type, arriving(in_chunks(LARGE.body[:-100]))))
    assert left_in(storage.inner) == []


def test_steps_that_have_no_body_are_carried_out_too() -> None:
    """There is nothing to read. What they write is written as it is, in no memory of an upload's share."""

    class Taken:
        may_block = False

        def __init__(self) -> None:
            self.blocks: list[bytes] = []

        def write(self, data: Buffer) -> None:
            self.blocks.append(bytes(data))

        def keep(self) -> None:
            self.blocks.append(b"kept")

    def steps(taken: Taken) -> Steps[list[bytes]]:
        assert (yield READ) is END
        yield Write(taken, large)
        yield Write(taken, b"small")
        yield Keep(taken)
        return taken.blocks

    large = bytes(BUFFER_SIZE + 1)
    assert asyncio.run(acarry_out(steps(Taken()))) == [large, b"small", b"kept"]
