"""Whatever fails while an upload comes in: it goes on from an offset that never goes back and is whole in the end, or
nothing of it is left. Every call of the storage and of the ledger fails once; every wait is cancelled once; clients go
away anywhere.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from glob import glob
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.intake.test_cancellation import CancelledAt
from tests.resumable.faulty import CalledKeeper, Calls, Persistent, expect_all_or_nothing, failing, told_of
from tests.resumable.talking import DRIVERS, Place, checksum, partials, place_in
from tests.soak import scaled

from uploadkit.errors import ClientDisconnected, LedgerFailed, StorageFailed
from uploadkit.records.lifecycle import State
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import assert_no_leaks

DATA = os.urandom(20000)

Run = Callable[[Place], Persistent]


def in_three(place: Place) -> Persistent:
    """In three requests: the first bytes are judged by the second."""
    client = Persistent(place, DATA, (5000, 12000))
    client.run()
    return client


def at_once(place: Place) -> Persistent:
    """All of it with the request that begins it."""
    client = Persistent(place, DATA)
    created = client._tried(lambda: place.talk.create(len(DATA), DATA), 201)
    if created is not None:
        client.location, client.offset = created.location, created.offset
    return client


def verified(place: Place) -> Persistent:
    """With the checksum of each request."""
    client = Persistent(place, DATA, (5000, 12000), patch_headers=lambda data: {"upload_checksum": checksum(data)})
    client.run()
    return client


def told_last(place: Place) -> Persistent:
    """Its length comes last."""
    client = Persistent(place, DATA, (5000, 12000), headers={"upload_length": None, "upload_defer_length": 1})
    client.data = DATA
    client.patch_headers = lambda data: {"upload_length": len(DATA)} if data.endswith(DATA[-10:]) else {}
    client.run()
    return client


RUNS: dict[str, Run] = {"in three": in_three, "at once": at_once, "verified": verified, "told last": told_last}

# In every run; the others in the long ones.
OFTEN = [("blocking", "in three"), ("async", "in three"), ("blocking", "at once")]

EACH = [
    pytest.param(driver, run, id=f"{driver}, {run}", marks=[] if (driver, run) in OFTEN else pytest.mark.soak)
    for driver in DRIVERS
    for run in RUNS
]

ERRORS: dict[str, Callable[[], BaseException]] = {
    "StorageFailed": lambda: StorageFailed("no", storage="disk"),
    "OSError": lambda: OSError(5, "of a test"),
    "KeyboardInterrupt": KeyboardInterrupt,
}


def called_in(folder: Path) -> CalledKeeper:
    """A disk storage that tells of its calls to nobody yet."""
    return CalledKeeper(lambda name: None, DiskStorage(folder / "disk"))


# Storages and ledgers


@pytest.mark.parametrize("error", [*ERRORS])
@pytest.mark.parametrize(("driver", "run"), EACH)
def test_whichever_call_of_the_storage_fails(tmp_path: Path, driver: str, run: str, error: str) -> None:
    """The first, the second, and so on: the client goes on from where it was, and the upload is whole."""
    if error != "StorageFailed" and (driver, run) != ("blocking", "in three") and scaled(10) == 1:
        pytest.skip("in the long runs")
    storage = called_in(tmp_path)
    with place_in(tmp_path, driver=driver, storage=storage) as place:
        for number in count():
            storage.called = calls = failing(number, ERRORS[error])
            with named(calls):
                client = RUNS[run](place)
                storage.called = Calls()
                expect_and_clear(place, client, tmp_path)
            if number >= len(calls.made):
                assert client.failures == []
                assert client.offset == len(DATA)
                return


@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "afterwards"])
@pytest.mark.parametrize(("driver", "run"), EACH)
def test_whichever_call_of_the_ledger_fails(tmp_path: Path, driver: str, run: str, afterwards: bool) -> None:
    """Before anything of it is done, or when all of it is and only its answer is missing."""
    with place_in(tmp_path, driver=driver) as place:
        for number in count():
            calls = failing(number, lambda: LedgerFailed("no", retryable=True))
            with named(calls):
                with told_of(place.ledger, calls, afterwards=afterwards):
                    client = RUNS[run](place)
                expect_and_clear(place, client, tmp_path)
            if number >= len(calls.made):
                assert client.failures == []
                assert client.offset == len(DATA)
                return


@contextmanager
def named(calls: Calls) -> Iterator[None]:
    """Says of what fails inside which call it was."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"call {calls.number} of {calls.made}") from error


def expect_and_clear(place: Place, client: Persistent, folder: Path) -> None:
    """The upload of a client is whole or gone; and it makes room for the next one."""
    assert [
        target for target in map(os.path.realpath, glob("/proc/self/fd/*")) if target.startswith(f"{folder}/disk/")
    ] == []
    if client.location is None:
        of_lost_answers = [record.id for record in place.records() if record.state is State.COMPLETED]
        assert len(of_lost_answers) <= len(client.failures)
        for upload in of_lost_answers:
            place.expect_whole(f"/files/{upload}", DATA)
            place.pipeline.delete(upload)
    expect_all_or_nothing(place, client)
    if client.location is not None:
        place.pipeline.delete(client.location.rpartition("/")[2])
    assert place.left() == []
    for record in place.records():
        place.ledger.forget(record.id)
