"""What uploads to a slow S3 take: parts under way, memory, files; and that whoever writes has to wait."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.storage.kinds import get, put
from tests.storage.s3.places import PART_SIZE, Place
from tests.storage.s3.proxy import INTERNAL_ERROR, Proxy

from uploadkit.errors import StorageFailed
from uploadkit.storage.contract import ObjectInfo
from uploadkit.testing import assert_no_leaks

MIB = 2**20

INFO = ObjectInfo()


@contextmanager
def taking_at_most(size: int) -> Generator[None]:
    """Python's memory grows by no more than so many bytes within the block."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < size
    finally:
        tracemalloc.stop()


def test_who_writes_waits_for_a_slow_s3(place: Place, proxy: Proxy) -> None:
    """No more parts are under way than were asked for; they and the one that fills are all the memory it takes."""
    storage = place.storage(proxy, parts_at_once=2)
    put(storage, "connects")
    proxy.bytes_per_second = 60 * MIB
    block, begun = bytes(MIB), time.monotonic()
    sink = storage.open("key", INFO)
    with taking_at_most(3 * PART_SIZE + 15 * MIB):
        for _ in range(60):
            sink.write(block)
        assert time.monotonic() - begun > 0.6  # 45 MiB have gone
        sink.stage().commit()
    assert proxy.most_at_once["UploadPart"] == 2
    assert storage.stat("key").size == 60 * MIB


def test_many_uploads_share_what_may_be_under_way(place: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, a process sends so many parts at a time."""
    monkeypatch.setattr("uploadkit.storage.s3.PARTS_IN_ALL", 3)
    storage = place.storage(proxy)
    proxy.bytes_per_second = 60 * MIB
    data = bytes(PART_SIZE + 1)
    with ThreadPoolExecutor(6) as threads:
        keys = list(threads.map(lambda number: put(storage, str(number), data), range(6)))
    assert proxy.most_at_once["UploadPart"] == 3
    assert place.keys() == sorted(keys)


def test_what_does_not_fit_into_memory_waits_on_disk(place: Place, tmp_path: Path) -> None:
    """Many uploads of which none has a whole part: beyond the memory that is allowed each fills a file."""
    storage = place.storage(memory=4 * MIB, spill_to=tmp_path)
    put(storage, "connects")
    with assert_no_leaks(place.left):
        sinks = {str(number): storage.open(str(number), INFO) for number in range(8)}
        with taking_at_most(4 * MIB + 6 * MIB):
            for _ in range(16):
                for key, sink in sinks.items():
                    sink.write(key.encode() * (MIB // 4))
            spilled = [sink.stage() for sink in sinks.values()]
        for upload in spilled[1:]:
            upload.commit()
        spilled[0].discard()
        storage.close()
    assert place.keys() == sorted([*list(sinks)[1:], "connects"])
    assert get(storage, "7") == b"7" * 4 * MIB
    assert list(tmp_path.iterdir()) == []


def test_parts_on_disk_are_cleared_away_as_well(place: Place, proxy: Proxy, tmp_path: Path, no_pauses: None) -> None:
    """Where they are sent, where S3 refuses them, and where the upload is given up."""
    storage = place.storage(proxy, memory=0, spill_to=tmp_path)
    put(storage, "connects")
    data = bytes(range(256)) * (PART_SIZE // 256) + b"the rest"
    with assert_no_leaks(place.left):
        put(storage, "sent", data)
        proxy.fail("UploadPart", INTERNAL_ERROR, times=1)
        put(storage, "sent again", data)
        given_up = storage.open("given up", INFO)
        given_up.write(data)
        given_up.discard()
        proxy.fail("UploadPart", INTERNAL_ERROR)
        refused = storage.open("refused", INFO)
        refused.write(data)
        with pytest.raises(StorageFailed):
            refused.stage()
        refused.discard()
        storage.close()
    assert place.get("sent") == place.get("sent again") == data
    assert place.keys() == ["connects", "sent", "sent again"]
    assert list(tmp_path.iterdir()) == []
