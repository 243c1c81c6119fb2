"""Objects that come to a bucket in several goes: what counts, what deaths and faults leave, what it takes of memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.adapters.servers import eventually
from tests.storage.kinds import get, put, staged
from tests.storage.s3.places import PART_SIZE, Locate, Place
from tests.storage.s3.proxy import INTERNAL_ERROR, SLOW_DOWN, Fault, Hold, Proxy, Wrong
from tests.storage.s3.server import BUCKET, S3Server
from tests.storage.s3.test_parts import all_of, room

from uploadkit.errors import ObjectExists, ObjectMissing, StorageFailed
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.s3 import MEMORY, S3Storage
from uploadkit.storage.s3.partials import Kept, part_size_for
from uploadkit.storage.s3.parts import MAX_PARTS, MIN_PART_SIZE
from uploadkit.testing import check_storage

pytestmark = pytest.mark.usefixtures("no_pauses")

UPLOAD = "0123456789abcdef"

NAME = f".staging/partial-{UPLOAD}"

LARGE = b"".join(b"%07d\n" % number for number in range(2 * PART_SIZE // 8)) + b"the tail"
"""Two parts and a tail."""

INFO = ObjectInfo(max_size=4 * PART_SIZE)


@pytest.fixture
def storage(place: Place) -> S3Storage:
    """With parts of the usual size: what comes in several goes has the smallest all the same."""
    return place.storage(part_size=8 * 2**20, exclusive=True)


def add(storage: S3Storage, kept: str, data: bytes) -> None:
    """In one go."""
    found = storage.partial(UPLOAD, kept)
    found.append(data)
    found.keep()
    found.close()


def begun(storage: S3Storage, data: bytes = b"") -> str:
    """With these bytes, if there are some."""
    kept = storage.begin_partial(UPLOAD, INFO)
    if data:
        add(storage, kept, data)
    return kept


def size(storage: S3Storage, kept: str) -> int:
    """As the next process sees it."""
    found = storage.partial(UPLOAD, kept)
    found.close()
    return found.size


def finish(storage: S3Storage, kept: str, key: str = "key") -> bytes:
    """Completes and commits it; what the object has then."""
    found = storage.partial(UPLOAD, kept)
    found.complete()
    found.commit(key, INFO)
    return get(storage, key)


# Arithmetic


@pytest.mark.parametrize(
    "most",
    [
        1,
        MIN_PART_SIZE,
        MIN_PART_SIZE * MAX_PARTS,
        MIN_PART_SIZE * MAX_PARTS + 1,
        10**11,
        2**40,
        5 * 2**40,
        5 * 2**40 - 1,
    ],
)
def test_ten_thousand_parts_hold_the_most_that_may_come(storage: S3Storage, most: int) -> None:
    """As small as they may be: what is less than one is sent again with the next go."""
    part_size = part_size_for(most, storage._budget)
    assert MIN_PART_SIZE <= part_size <= 5 * 2**30
    assert part_size * MAX_PARTS >= most
    assert part_size % 2**20 == 0
    assert part_size == MIN_PART_SIZE or (part_size - 2**20) * MAX_PARTS < most


def test_where_nobody_knows_the_most_parts_are_the_storages_own(place: Place) -> None:
    """As those of a sink, which has the same bound then."""
    assert part_size_for(None, place.storage(part_size=8 * 2**20)._budget) == 8 * 2**20


@pytest.mark.parametrize(
    "kept", [Kept(part_size=2**23, checksums=True, parts_id="a b+/="), Kept(part_size=7, checksums=False, parts_id="x")]
)
def test_what_is_kept_is_one_text(kept: Kept) -> None:
    """Whatever a server calls its uploads."""
    assert Kept.of(str(kept)) == kept


# What counts


def test_parts_are_of_one_size_however_the_bytes_come(storage: S3Storage, place: Place) -> None:
    """Cloudflare's R2 takes no others. The rest is a tail, and of the tails only the last is left."""
    kept = begun(storage)
    for start in range(0, len(LARGE), 3_000_000):
        add(storage, kept, LARGE[start : start + 3_000_000])
    parts_id = Kept.of(kept).parts_id
    listed = place.server.client.list_parts(Bucket=BUCKET, Key=f"{place.prefix}/{NAME}", UploadId=parts_id)["Parts"]
    assert [part["Size"] for part in listed] == [PART_SIZE, PART_SIZE]
    assert place.keys() == [f"{NAME}.tail-2"]
    assert place.get(f"{NAME}.tail-2") == b"the tail"
    assert sorted(storage.in_staging()) == [NAME, f"{NAME}.tail-2"]
    assert finish(storage, kept) == LARGE
    assert (place.keys(), place.left()) == (["key"], [])


def test_an_object_has_its_headers_as_every_other(storage: S3Storage, place: Place) -> None:
    """They are said with the commit: what is in staging has none."""
    kept = begun(storage, b"picture")
    found = storage.partial(UPLOAD, kept)
    found.complete()
    found.commit("key", ObjectInfo(content_type="image/png", filename="me.png"))
    head = place.server.client.head_object(Bucket=BUCKET, Key=f"{place.prefix}/key")
    assert (head["ContentType"], head["ContentDisposition"]) == ("image/png", 'attachment; filename="me.png"')


def test_a_tail_of_another_number_of_parts_counts_for_nothing(storage: S3Storage, place: Place) -> None:
    """Its bytes are in the part that came behind it: who was killed between the two has not removed it."""
    kept = begun(storage, LARGE[:PART_SIZE])
    for number in (0, 2):
        place.server.client.put_object(Bucket=BUCKET, Key=f"{place.prefix}/{NAME}.tail-{number}", Body=b"twice")
    assert size(storage, kept) == PART_SIZE
    add(storage, kept, LARGE[PART_SIZE : PART_SIZE + 3])
    assert size(storage, kept) == PART_SIZE + 3
    add(storage, kept, LARGE[PART_SIZE + 3 : -3])
    assert size(storage, kept) == len(LARGE) - 3
    add(storage, kept, LARGE[-3:])
    assert finish(storage, kept) == LARGE
    assert place.left() == []


@pytest.mark.parametrize("data", [b"?" * 3 * PART_SIZE, LARGE + LARGE], ids=["of other bytes", "of the same bytes"])
def test_parts_behind_a_gap_count_for_nothing_not_even_when_it_is_filled(
    storage: S3Storage, place: Place, data: bytes
) -> None:
    """Who died had sent them. The next one begins at the gap, and may die as well."""
    whole = LARGE + LARGE
    kept = begun(storage, whole[:7])
    where = {"Bucket": BUCKET, "Key": f"{place.prefix}/{NAME}", "UploadId": Kept.of(kept).parts_id}
    for number in (2, 3):
        body = data[(number - 1) * PART_SIZE : number * PART_SIZE]
        place.server.client.upload_part(**where, PartNumber=number, Body=body)
    assert size(storage, kept) == 7
    add(storage, kept, whole[7 : PART_SIZE + 9])
    assert size(storage, kept) == PART_SIZE + 9
    add(storage, kept, whole[PART_SIZE + 9 : -3])
    assert size(storage, kept) == len(whole) - 3
    add(storage, kept, whole[-3:])
    assert finish(storage, kept) == whole
    assert place.left() == []


def test_an_end_that_was_begun_is_no_part(storage: S3Storage, place: Place) -> None:
    """The last part is smaller than the others: it was sent by who died before the upload was finished."""
    kept = begun(storage, LARGE[:PART_SIZE])
    where = {"Bucket": BUCKET, "Key": f"{place.prefix}/{NAME}", "UploadId": Kept.of(kept).parts_id}
    place.server.client.upload_part(**where, PartNumber=2, Body=b"the end")
    began = time.monotonic()
    assert size(storage, kept) == PART_SIZE
    eventually(lambda: time.monotonic() > began + 1.1)  # SeaweedFS knows the newest of a number by the second
    add(storage, kept, LARGE[PART_SIZE:])
    assert finish(storage, kept) == LARGE


# extend


def test_whole_parts_of_another_one_are_copied_by_the_server(place: Place, proxy: Proxy) -> None:
    """Also where they begin in the middle of one: what comes here is what fills that, and the rest."""
    storage = place.storage(proxy)
    piece_kept = storage.begin_partial("piece", INFO)
    piece = storage.partial("piece", piece_kept)
    piece.append(LARGE + LARGE)
    piece.complete()
    kept = begun(storage, b"begun,")
    proxy.calls.clear()
    whole = storage.partial(UPLOAD, kept)
    whole.extend(piece)
    assert (proxy.count("UploadPartCopy"), proxy.count("UploadPart")) == (3, 1)
    assert whole.size == 6 + 2 * len(LARGE)
    whole.append(b",end")
    whole.complete()
    whole.commit("key", INFO)
    assert place.get("key") == b"begun," + LARGE + LARGE + b",end"
    piece.discard()
    assert place.left() == []


def test_it_is_extended_by_its_own_kind_alone(storage: S3Storage, place: Place, tmp_path: Any) -> None:
    """And by what is complete."""
    found = storage.partial(UPLOAD, begun(storage))
    other = place.storage()
    elsewhere = other.partial("other", other.begin_partial("other", INFO))
    disk = DiskStorage(tmp_path)
    disk.begin_partial("file", INFO)
    file = disk.partial("file", "")
    for wrong in (elsewhere, file):
        with pytest.raises(TypeError):
            found.extend(wrong)
        wrong.discard()
    piece = storage.partial("piece", storage.begin_partial("piece", INFO))
    with pytest.raises(RuntimeError, match="not complete"):
        found.extend(piece)
    for each in (piece, found):
        each.discard()
    assert place.left() == []


# What it takes of the process


@pytest.mark.parametrize("end", ["commit", "close", "discard"])
def test_what_it_took_is_given_back(storage: S3Storage, place: Place, end: str) -> None:
    """On every way out: memory, and the places of parts under way."""
    found = storage.partial(UPLOAD, begun(storage))
    for start in range(0, len(LARGE), 2**20):
        found.append(LARGE[start : start + 2**20])
    if end == "commit":
        found.complete()
        found.commit("key", INFO)
    elif end == "close":
        found.close()
    else:
        found.discard()
    spare = sum(buffer.getbuffer().nbytes for buffer in storage._budget.spare)
    assert storage._budget.memory.left + spare == MEMORY
    assert room(storage)[1:] == all_of(storage)[1:]
    assert place.keys() == (["key"] if end == "commit" else [])
    assert len(place.uploads()) == (1 if end == "close" else 0)


def test_where_there_is_no_memory_it_fills_temporary_files(place: Place, tmp_path: Any) -> None:
    """The object is the same."""
    storage = place.storage(memory=2**21, spill_to=tmp_path)
    kept = begun(storage, LARGE[:-1])
    add(storage, kept, LARGE[-1:])
    assert finish(storage, kept) == LARGE
    assert list(tmp_path.iterdir()) == []


def test_a_go_of_one_part_takes_few_calls(place: Place, proxy: Proxy) -> None:
    """It looks what is there, once before the first change and once at the beginning, and sends the part."""
    storage = place.storage(proxy)
    kept = begun(storage)
    proxy.calls.clear()
    add(storage, kept, LARGE[:PART_SIZE])
    calls = [call.operation for call in proxy.calls]
    assert calls == ["ListParts", "HeadObject", "ListParts", "HeadObject", "UploadPart"]


def test_parts_go_out_while_the_next_one_fills(place: Place, proxy: Proxy) -> None:
    """More than one at a time, and no more than the storage is told."""
    hold = Hold()
    proxy.fail("UploadPart", hold)
    storage = place.storage(proxy, parts_at_once=2)
    found = storage.partial(UPLOAD, begun(storage))
    found.append(LARGE)
    assert hold.reached.wait(5)
    eventually(lambda: proxy.most_at_once["UploadPart"] == 2)
    hold.let_go()
    found.complete()
    found.commit("key", INFO)
    assert proxy.most_at_once["UploadPart"] == 2
    assert place.get("key") == LARGE


# Processes

SCRIPT = f"""
import json, sys
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.s3 import S3Storage
storage = S3Storage(sys.argv[1], options=json.loads(sys.argv[2]))
found = storage.partial({UPLOAD!r}, sys.argv[3])
block = b"".join(b"%07d\\n" % number for number in range({PART_SIZE} // 8))
"""


def process(place: Place, kept: str, script: str) -> subprocess.Popen[str]:
    """One that has the upload as `found`, and blocks of a part's size to add."""
    command = [sys.executable, "-c", SCRIPT + script, place.url, json.dumps(place.options()), kept]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_process_that_is_killed_while_it_adds_leaves_what_came_first(storage: S3Storage, place: Place) -> None:
    """kill -9 in the middle of an append: what is there is whole parts of what came, and another process goes on."""
    script = """
found.append(b"kept")
found.keep()
print("kept", flush=True)
for number in range(100):
    found.append(block)
    print(number, flush=True)
"""
    kept = storage.begin_partial(UPLOAD, ObjectInfo(max_size=200 * PART_SIZE))
    block = b"".join(b"%07d\n" % number for number in range(PART_SIZE // 8))
    with process(place, kept, script) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "kept\n"
        for _ in range(4):
            child.stdout.readline()
        child.kill()
    assert child.returncode == -signal.SIGKILL
    seen = size(storage, kept)
    assert seen == 4 or seen % PART_SIZE == 0
    came = b"kept" + block * 101
    add(storage, kept, came[seen : seen + PART_SIZE + 1])
    assert finish(storage, kept) == came[: seen + PART_SIZE + 1]
    assert (place.keys(), place.uploads()) == (["key"], [])


def test_two_processes_in_turn_make_one_object(storage: S3Storage, place: Place) -> None:
    """One go each, and neither has what the other one holds."""
    kept = begun(storage)
    for _ in range(3):
        with process(place, kept, "found.append(block[:-3] + b'...' + block[:1000])\nfound.keep()") as child:
            child.communicate()
        assert child.returncode == 0
    block = b"".join(b"%07d\n" % number for number in range(PART_SIZE // 8))
    assert finish(storage, kept) == 3 * (block[:-3] + b"..." + block[:1000])
    assert (place.keys(), place.uploads()) == (["key"], [])


@pytest.mark.parametrize("parts", [0, 2])
def test_a_process_that_is_killed_at_its_end_is_followed(storage: S3Storage, place: Place, parts: int) -> None:
    """Complete, and not committed: the next process finds it so."""
    kept = begun(storage, LARGE[: parts * PART_SIZE] + b"the tail")
    with process(place, kept, "import os\nfound.complete()\nos.kill(os.getpid(), 9)") as child:
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert place.uploads() == []
    found = storage.partial(UPLOAD, kept)
    with pytest.raises(RuntimeError, match="complete"):
        found.append(b"more")
    with found.open() as file:
        assert file.read() == LARGE[: parts * PART_SIZE] + b"the tail"
    found.commit("key", INFO)
    assert (place.keys(), place.left()) == (["key"], [])


def test_a_commit_that_was_not_noticed_is_made_again(place: Place, proxy: Proxy) -> None:
    """The object is there and what is in staging too, as a process leaves it that is killed in between. The same commit
    is no error, and that of another upload is."""
    storage = place.storage(proxy, exclusive=True)
    kept = begun(storage, b"whole")
    proxy.fail("DeleteObject", SLOW_DOWN)
    finish(storage, kept)
    assert place.keys()[0] == NAME
    proxy.heal()
    assert finish(storage, kept) == b"whole"
    assert (place.keys(), place.left()) == (["key"], [])
    other = begun(storage, b"whole")
    with pytest.raises(ObjectExists):
        finish(storage, other)
    storage.partial(UPLOAD, other).discard()
    assert (place.keys(), place.left()) == (["key"], [])


# Faults

FAULTS: dict[str, list[Wrong]] = {
    "ListParts": [SLOW_DOWN, Fault.LOST],
    "HeadObject": [SLOW_DOWN],
    "GetObject": [SLOW_DOWN, Fault.CUT],
    "UploadPart": [INTERNAL_ERROR, Fault.RESET_HALFWAY, Fault.LOST],
    "PutObject": [INTERNAL_ERROR, Fault.LOST],
    "CompleteMultipartUpload": [SLOW_DOWN, Fault.LOST],
    "CopyObject": [SLOW_DOWN, Fault.LOST],
    "DeleteObject": [SLOW_DOWN, Fault.LOST],
    "ListObjectsV2": [SLOW_DOWN],
}


def in_two_goes(storage: S3Storage, kept: str) -> None:
    """With a tail in between."""
    at = size(storage, kept)
    for end in (PART_SIZE + 10, len(LARGE)):
        if at < end:
            add(storage, kept, LARGE[at:end])
            at = end
    finish(storage, kept)


@pytest.mark.parametrize(
    ("operation", "wrong"), [(name, wrong) for name, all_ in FAULTS.items() for wrong in all_], ids=str
)
def test_what_goes_wrong_once_is_tried_again(place: Place, proxy: Proxy, operation: str, wrong: Wrong) -> None:
    """The object is whole, and nothing else is left."""
    storage = place.storage(proxy, exclusive=True)
    kept = begun(storage)
    proxy.fail(operation, wrong, times=1)
    in_two_goes(storage, kept)
    assert place.get("key") == LARGE
    assert (place.keys(), place.left()) == (["key"], [])


@pytest.mark.parametrize("operation", [name for name in FAULTS if name not in ("DeleteObject", "ListObjectsV2")])
@pytest.mark.parametrize("after", [0, 1])
def test_what_goes_wrong_always_can_be_gone_on_with(place: Place, proxy: Proxy, operation: str, after: int) -> None:
    """It is told as what may pass, nothing of it is visible, and what was kept is there."""
    storage = place.storage(proxy, exclusive=True)
    kept = begun(storage)
    proxy.fail(operation, SLOW_DOWN, after=after)
    try:
        in_two_goes(storage, kept)
    except StorageFailed as error:
        failed = error
    else:
        assert after == 1  # there was one such call alone
        assert operation in ("CompleteMultipartUpload", "CopyObject", "GetObject")
        return
    assert failed.retryable
    assert [key for key in place.keys() if key == "key"] == []  # noqa: SIM118  # it is no dict
    proxy.heal()
    in_two_goes(storage, kept)
    assert place.get("key") == LARGE
    assert (place.keys(), place.left()) == (["key"], [])


def test_after_a_failure_it_says_what_it_is_sure_of(place: Place, proxy: Proxy) -> None:
    """And takes nothing more. What has arrived all the same is found by the next one."""
    storage = place.storage(proxy)
    kept = begun(storage, LARGE[:PART_SIZE])
    found = storage.partial(UPLOAD, kept)
    proxy.fail("UploadPart", INTERNAL_ERROR)
    found.append(LARGE[PART_SIZE:])
    with pytest.raises(StorageFailed) as raised:
        found.keep()
    assert raised.value.retryable
    assert found.size == PART_SIZE
    calls: list[Callable[[], None]] = [lambda: found.append(b"more"), found.keep, found.complete]
    for call in calls:
        with pytest.raises(StorageFailed, match="an earlier call failed"):
            call()
    found.close()
    proxy.heal()
    assert size(storage, kept) == PART_SIZE
    storage.partial(UPLOAD, kept).discard()
    assert place.left() == []


def test_what_is_under_way_is_not_waited_for_when_it_is_discarded(place: Place, proxy: Proxy) -> None:
    """It is cancelled, and what S3 takes too late leaves nothing."""
    hold = Hold()
    storage = place.storage(proxy)
    found = storage.partial(UPLOAD, begun(storage))
    proxy.fail("UploadPart", hold)
    found.append(LARGE)
    assert hold.reached.wait(5)
    found.discard()
    hold.let_go()
    assert hold.over.wait(5)
    assert (place.keys(), place.uploads()) == ([], [])


def test_what_cannot_be_discarded_says_so_and_can_be_again(place: Place, proxy: Proxy) -> None:
    """Until it is gone."""
    storage = place.storage(proxy)
    kept = begun(storage, LARGE)
    found = storage.partial(UPLOAD, kept)
    for operation in ("AbortMultipartUpload", "DeleteObject"):
        proxy.fail(operation, SLOW_DOWN)
        with pytest.raises(StorageFailed):
            found.discard()
        proxy.heal()
    found.discard()
    assert (place.keys(), place.uploads()) == ([], [])
    with pytest.raises(ObjectMissing):
        storage.partial(UPLOAD, kept)


# Sweeps


def test_a_sweep_waits_for_the_last_change(storage: S3Storage, place: Place) -> None:
    """Not for the beginning, as that of other multipart uploads: a long upload is added to for days."""
    kept = begun(storage, LARGE)
    uploads = {NAME: {"Key": f"{place.prefix}/{NAME}", "UploadId": Kept.of(kept).parts_id}}
    begun_long_ago = {key: {**each, "Initiated": datetime(2020, 1, 1, tzinfo=UTC)} for key, each in uploads.items()}
    now = datetime.now(UTC)
    tail = list(storage._listed(".staging/"))
    assert storage._fresh_partials(begun_long_ago, [], now - timedelta(hours=1)) == {NAME}
    assert storage._fresh_partials({}, tail, now - timedelta(hours=1)) == {NAME}
    assert storage._fresh_partials(begun_long_ago, tail, now + timedelta(hours=1)) == set()
    storage.partial(UPLOAD, kept).discard()


@pytest.mark.parametrize("parts", [0, 2])
@pytest.mark.parametrize("is_complete", [False, True], ids=["begun", "complete"])
def test_a_sweep_takes_what_nothing_was_added_to_for_too_long(place: Place, parts: int, is_complete: object) -> None:
    """All that there is of it, and nothing before."""
    storage = place.storage(stale_seconds=3600)
    kept = begun(storage, LARGE[: parts * PART_SIZE] + b"the tail")
    if is_complete:
        found = storage.partial(UPLOAD, kept)
        found.complete()
        found.close()
    elsewhere = staged(storage, "another", LARGE)  # its upload is this storage's own
    assert storage.sweep() == 0
    assert size(storage, kept) == parts * PART_SIZE + 8
    storage.stale_seconds = -3600  # an hour from now
    assert storage.sweep() == 2
    assert place.uploads() == ["another"]
    with pytest.raises(ObjectMissing):
        storage.partial(UPLOAD, kept)
    elsewhere.commit()
    assert (place.keys(), place.left()) == (["another"], [])


def test_a_sweep_takes_no_tail_of_what_is_added_to(storage: S3Storage, place: Place) -> None:
    """However old it is: the parts before it are as old, and it counts."""
    kept = begun(storage, LARGE)
    [tail] = list(storage._listed(".staging/"))
    before = tail.modified
    assert before is not None
    uploads = {NAME: {"Key": f"{place.prefix}/{NAME}", "UploadId": Kept.of(kept).parts_id, "Initiated": before}}
    assert storage._fresh_partials(uploads, [], before) == {NAME}
    put(storage, "object")
    assert storage.sweep() == 0
    assert finish(storage, kept) == LARGE


# Servers


def test_where_a_server_tells_checksums_they_are_sent(
    moto: S3Server, locate: Locate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As AWS does; with what a process has not sent itself it is told nothing by other servers, and sends none."""
    place = locate(moto)
    storage = place.storage()
    assert not Kept.of(storage.begin_partial("other", INFO)).checksums
    monkeypatch.setattr(storage._client, "on_aws", True)
    kept = begun(storage, LARGE[:-4])
    assert Kept.of(kept).checksums
    add(place.storage(checksums=False), kept, LARGE[-4:])  # a storage that sends none elsewhere
    assert finish(storage, kept) == LARGE


def test_a_part_that_was_broken_off_stands_for_nothing(storage: S3Storage) -> None:
    """SeaweedFS lists it, as one of no bytes. What comes in its place in the same second is what counts."""
    for number in range(3):
        upload = f"{UPLOAD}{number}"
        kept = storage.begin_partial(upload, INFO)
        broken = storage.partial(upload, kept)
        broken.append(LARGE[: 2 * PART_SIZE - 1])  # the first one is under way when it is broken off
        broken.close()
        seen = storage.partial(upload, kept)
        seen.append(LARGE[seen.size :])
        seen.keep()
        seen.close()
        found = storage.partial(upload, kept)
        assert found.size == len(LARGE)
        found.discard()


@pytest.mark.soak
def test_a_storage_of_other_sizes_keeps_the_contract(place: Place) -> None:
    """As it is by default: parts of uploads in several goes are smaller than its own."""
    storage = place.storage(part_size=8 * 2**20)
    names = check_storage(lambda: storage, leftovers=lambda _: place.left(), part_size=8 * 2**20)
    assert "partial_sizes" in names
