"""An object on its way into a bucket: what moments must not do to it."""

from __future__ import annotations

import io
import os
from importlib.metadata import version

import pytest
from tests.adapters.servers import eventually
from tests.storage.kinds import staged
from tests.storage.s3.places import PART_SIZE, Place
from tests.storage.s3.proxy import Hold, Proxy, Refusal

from uploadkit.errors import StorageFailed
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.s3 import MEMORY, PARTS_IN_ALL
from uploadkit.storage.s3.parts import MAX_PARTS
from uploadkit.storage.s3.upload import Sink

INFO = ObjectInfo()

HALF = PART_SIZE // 2

OLD = tuple(map(int, version("aiobotocore").split(".")[:2])) < (3, 2)


def test_a_part_that_fills_used_memory_is_whole_where_that_ends_halfway(place: Place) -> None:
    """It is larger than the part that the memory was of. Its bytes go into a file, and none that were there before."""
    storage = place.storage(memory=3 * PART_SIZE, checksums=False)
    account = storage._budget
    data = os.urandom(4 * PART_SIZE)
    usual, other, another = (storage.open(key, INFO) for key in ("usual", "other", "another"))
    usual.write(os.urandom(PART_SIZE))
    eventually(lambda: account.spare)
    large = storage.open("large", ObjectInfo(max_size=2 * PART_SIZE * MAX_PARTS))
    large.write(data[: 2 * PART_SIZE])
    large.write(data[2 * PART_SIZE : 2 * PART_SIZE + HALF])  # into the memory of the usual one
    eventually(lambda: account.memory.left == 2 * PART_SIZE)
    other.write(bytes(PART_SIZE - 1))
    another.write(bytes(PART_SIZE - 1))
    large.write(data[2 * PART_SIZE + HALF :])
    large.stage().commit()
    for each in (usual, other, another):
        each.discard()
    assert place.get("large") == data


@pytest.mark.parametrize("size", [10, PART_SIZE], ids=["put", "in parts"])
@pytest.mark.parametrize("code", ["AccessDenied", "InvalidRequest"])
def test_a_commit_that_was_refused_is_discarded_without_a_look(
    place: Place, proxy: Proxy, size: int, code: str
) -> None:
    """S3 has said that it made nothing. Whoever may not write may not look either: one failure is told, and not two."""
    storage = place.storage(proxy)
    for operation in ("PutObject", "CompleteMultipartUpload", "HeadObject"):
        proxy.fail(operation, Refusal(403, code))
    upload = staged(storage, "key", bytes(size))
    with pytest.raises(StorageFailed, match=code):
        upload.commit()
    upload.discard()
    assert proxy.count("HeadObject") == 0
    assert not place.keys()
    assert not place.uploads()


def test_who_writes_on_while_the_process_ends_is_told_that_it_failed(place: Place, proxy: Proxy) -> None:
    """In a thread that nobody waits for: its upload was aborted, with the parts that were under way."""
    hold = Hold()
    proxy.fail("UploadPart", hold)
    sink = place.storage(proxy).open("key", INFO)
    sink.write(bytes(PART_SIZE))
    assert hold.reached.wait(10)
    assert isinstance(sink, Sink)
    assert sink._parts is not None
    sink._parts.abort()  # as the end does
    with pytest.raises(StorageFailed, match="given up"):
        sink.write(b"more")
    sink.discard()
    hold.let_go()
    assert hold.over.wait(10)
    assert not place.uploads()


def test_used_memory_counts_as_memory(place: Place) -> None:
    """Of many slow clients each fills a part in the memory of one that was sent: all together they take no more than
    they may, and what lies there unused gives way to what fills."""
    storage = place.storage(memory=3 * PART_SIZE)
    account = storage._budget
    sinks = [storage.open(f"key-{number}", INFO) for number in range(8)]
    for sink in sinks:
        sink.write(bytes(PART_SIZE))
        eventually(lambda: account.parts._value == PARTS_IN_ALL)  # it is sent
        sink.write(b"x")
    files = [*(sink._part._file for sink in sinks), *account.spare]
    assert sum(file.getbuffer().nbytes for file in files if isinstance(file, io.BytesIO)) <= 3 * PART_SIZE
    for sink in sinks:
        sink.discard()
    rest = [storage.open("other", INFO) for _ in range(3)]
    for sink in rest:
        sink.write(bytes(PART_SIZE - 1))
    assert all(isinstance(sink._part._file, io.BytesIO) for sink in rest)
    for sink in rest:
        sink.discard()


@pytest.mark.parametrize("rest", [0, 1])
def test_used_memory_is_not_used_up(place: Place, rest: int) -> None:
    """One object after the other fills it, also where the last part is a whole one, and it is all there at the end."""
    storage = place.storage(checksums=False)
    account = storage._budget
    for number in range(3):
        sink = storage.open(f"key-{number}", INFO)
        for _ in range(2):
            sink.write(bytes(PART_SIZE))
            eventually(lambda: account.spare)
        sink.write(bytes(rest))
        sink.stage().commit()
    assert account.memory.left + len(account.spare) * PART_SIZE == MEMORY


@pytest.mark.skipif(OLD, reason="aiobotocore before 3.2 takes no sockets of ours: a part may be sent twice")
def test_a_slow_line_is_not_taken_for_silence(place: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part goes out bit by bit for longer than silence may last: it is sent once. What the kernel would have taken of
    it, at once, could not."""
    monkeypatch.setattr("uploadkit.storage.s3.client.SILENT_SECONDS", 1)
    proxy.bytes_per_second = 2**21
    storage = place.storage(proxy, config={"read_timeout": 1})
    data = os.urandom(PART_SIZE)
    staged(storage, "key", data).commit()
    assert proxy.count("UploadPart") == 1
    assert place.get("key") == data
