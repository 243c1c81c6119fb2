"""A process that dies at whatever call, in the middle of receiving or processing an upload, and the next one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from tests.processing.pipelines import Copies, options, sent, sqlite, told
from tests.records.ledgers import Clock
from tests.soak import scaled

from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import GONE, State
from uploadkit.storage.contract import Buffer, ObjectInfo, ReadableStaged, Sink, Storage, StoredObject
from uploadkit.storage.memory import MemoryStorage
from uploadkit.uploader import Uploader

STRIDE = 10 - scaled(9)
"""Every moment where the whole is run, and else some of them."""


class Killed(BaseException):
    """The process is dead: nothing that it calls from here has an effect."""


class Life:
    """Ends before or after the call of this number. There are two moments for each call that leaves something."""

    def __init__(self, until: int) -> None:
        self._until = until
        self._lock = threading.Lock()
        self.moments = 0
        self.is_over = False

    @contextmanager
    def call(self) -> Iterator[None]:
        self._moment()
        yield
        self._moment()

    def _moment(self) -> None:
        with self._lock:
            self.moments += 1
            self.is_over = self.is_over or self.moments > self._until
        if self.is_over:
            raise Killed


class MortalStorage:
    """Keeps what it has in `kept`, which outlives the process. Its staging does not: no other process knows of it."""

    may_block = False
    reads_staged = True
    exclusive_commit = True

    def __init__(self, kept: MemoryStorage, life: Life) -> None:
        self.name = kept.name
        self._kept = kept
        self._life = life

    def open(self, key: str, info: ObjectInfo) -> Any:
        with self._life.call():
            return _MortalSink(self._kept.open(key, info), self._life)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with self._life.call():
            return self._kept.read(key, start, end)

    def stat(self, key: str) -> StoredObject:
        with self._life.call():
            return self._kept.stat(key)

    def delete(self, key: str) -> None:
        with self._life.call():
            self._kept.delete(key)


class _MortalSink:
    def __init__(self, sink: Sink, life: Life) -> None:
        self._sink = sink
        self._life = life

    def write(self, data: Buffer) -> None:
        self._sink.write(data)

    def stage(self) -> _MortalStaged:
        return _MortalStaged(cast(ReadableStaged, self._sink.stage()), self._life)

    def discard(self) -> None:
        with self._life.call():
            self._sink.discard()


class _MortalStaged:
    def __init__(self, staged: ReadableStaged, life: Life) -> None:
        self._staged = staged
        self._life = life

    def open(self) -> BinaryIO:
        return self._staged.open()

    def commit(self) -> StoredObject:
        with self._life.call():
            return self._staged.commit()

    def discard(self) -> None:
        with self._life.call():
            self._staged.discard()


def mortal(ledger: Ledger, life: Life) -> Ledger:
    """One whose process ends before or after a transaction."""
    database: Any = ledger._database
    writing = database.writing

    @contextmanager
    def transaction() -> Iterator[Any]:
        with life.call(), writing() as connection:
            yield connection

    database.writing = transaction
    return ledger


def pipeline_of(ledger: Ledger, staging: Storage, media: Storage) -> Pipeline:
    pipeline = Pipeline(ledger, storage=media, storages=[staging])
    pipeline.process("*", Copies("first"), Copies("second", count=1), **options())
    return pipeline


def lived(folder: Path, clock: Clock, kept: list[MemoryStorage], *, until: int) -> tuple[int, bool]:
    """One process that receives an upload and processes it in the request. How many moments it had, and whether it
    died."""
    life = Life(until)
    ledger = mortal(Ledger(f"sqlite:///{folder}/uploads.db", now=clock), life)
    staging, media = (MortalStorage(each, life) for each in kept)
    pipeline = pipeline_of(ledger, staging, media)
    with suppress(Killed):
        sent(Uploader(staging, pipeline=pipeline), b"hello")
        told(pipeline)
    ledger.close()
    return life.moments, life.is_over


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the one that forwards dies too
def test_whenever_a_process_dies_the_next_one_goes_on(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """An upload that was accepted is completed, each of its results exists once, and nothing else does. One that was
    not is gone when its time is over."""
    clock = Clock()
    sqlite(tmp_path).close()
    at, died, deaths = 0, True, 0
    while died:
        folder = tmp_path / str(at)
        folder.mkdir()
        shutil.copy(tmp_path / "uploads.db", folder)
        kept = [MemoryStorage(name="staging"), MemoryStorage(name="media")]
        _, died = lived(folder, clock, kept, until=at)
        clock.forward(3600)  # what the dead had claimed or taken is free
        ledger = Ledger(f"sqlite:///{folder}/uploads.db", now=clock)
        pipeline = pipeline_of(ledger, *kept)
        for record in ledger.find():
            if record.state is State.RECEIVING:  # as a sweep does
                ledger.move(record.id, State.EXPIRED)
                pipeline.remove(ledger.get(record.id))
            pipeline.advance(record.id)
        told(pipeline)
        staging, media = (sorted(each.objects) for each in kept)
        for record in ledger.find():
            assert record.state is State.COMPLETED or record.state in GONE, at
        made = [
            key for each in ledger.find() for result in ledger.results(each.id) for _, key in result.told["objects"]
        ]
        lying = [each.key for each in ledger.find() if each.key is not None]
        assert staging == [], at
        assert media == sorted([*made, *lying]), at
        assert len(made) == 3 * len(lying), at
        assert ledger.leftovers() == []
        ledger.close()
        at, deaths = at + STRIDE, deaths + died
    assert deaths >= 8
    record_property("figure", f"{deaths} deaths at every {STRIDE}. moment of an upload: completed, or gone")
